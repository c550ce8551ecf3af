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
use std::process::ExitCode;

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
