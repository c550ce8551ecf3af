//! The program `brooklet`: a network for a command or a TUN device, in user space.
//!
//! `brooklet run` runs a command in a network namespace whose network is the stack. `brooklet forward`
//! forwards everything that is routed into a TUN device.

mod forward;
mod limits;
#[cfg(target_os = "linux")]
mod namespace;
#[cfg(target_os = "linux")]
mod netlink;
#[cfg(target_os = "linux")]
mod run;
mod runtime;

use std::process::ExitCode;

const USAGE: &str = "\
Usage: brooklet COMMAND [FLAG...]

  run       run a program in a network namespace whose network is brooklet
  forward   forward everything that is routed into a TUN device

`brooklet COMMAND --help` lists the flags.
";

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let _ = args.next();
    match args.next().as_ref().and_then(|name| name.to_str()) {
        Some("forward") => forward::main(args),
        #[cfg(target_os = "linux")]
        Some("run") => run::main(args),
        #[cfg(not(target_os = "linux"))]
        Some("run") => {
            eprintln!("brooklet: network namespaces are Linux's; use `brooklet forward` here");
            ExitCode::from(125)
        }
        Some("help" | "--help" | "-h") => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprint!("{USAGE}");
            ExitCode::from(2)
        }
    }
}
