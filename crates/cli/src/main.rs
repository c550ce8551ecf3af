//! The program `brooklet`: a network for a command or a TUN device, in user space.
//!
//! `brooklet run` runs a command in a network namespace whose network is the stack. `brooklet forward`
//! forwards everything that is routed into a TUN device.

mod args;
mod capture;
#[cfg(target_os = "linux")]
mod files;
mod flow_log;
mod forward;
mod metrics;
#[cfg(target_os = "linux")]
mod namespace;
#[cfg(target_os = "linux")]
mod netlink;
mod observe;
mod output;
#[cfg(target_os = "linux")]
mod run;
mod top;

use args::Command;
use brooklet::{TcpConfig, TcpOptions};
use std::process::ExitCode;
use std::time::Duration;

/// How long an ACK waits for the answer of the host's socket. Linux waits as long.
const DELAYED_ACK: Duration = Duration::from_millis(40);

/// The configuration of TCP towards the clients.
fn tcp_config() -> TcpConfig {
    TcpConfig::new().options(TcpOptions::new().delayed_ack(Some(DELAYED_ACK)))
}

fn main() -> ExitCode {
    let command = match args::parse(std::env::args_os()) {
        Ok(command) => command,
        Err(exit) => return exit.print(),
    };
    match command {
        #[cfg(target_os = "linux")]
        Command::Run(options) => run::main(options),
        #[cfg(not(target_os = "linux"))]
        Command::Run(_) => {
            output::eprint(
                "brooklet run: network namespaces are Linux's; use `brooklet forward` here\n",
            );
            ExitCode::from(125)
        }
        Command::Forward(options) => forward::main(&options),
        Command::Completions { shell } => {
            output::print(args::completions(shell));
            ExitCode::SUCCESS
        }
        Command::Man => {
            output::print(args::man());
            ExitCode::SUCCESS
        }
    }
}
