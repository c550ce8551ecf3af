//! Floods and hostile peers, in process and over a TUN device: what they cost, and what honest clients
//! notice. `README.md` says how to run it and how to read the table.

#![cfg(target_os = "linux")]

mod attacks;
mod conns;
mod counters;
mod drive;
mod honest;
mod options;
mod packet;
mod process;
mod proofs;
mod random;
mod row;
mod setup;
mod table;
mod victim;
mod watch;
mod wire;

use options::{Command, USAGE};
use std::process::ExitCode;

fn main() -> ExitCode {
    let ran = match options::parse(std::env::args_os()) {
        Ok(Command::Help) => {
            print!("{USAGE}");
            Ok(true)
        }
        Ok(Command::List) => {
            table::list();
            Ok(true)
        }
        Ok(Command::Table(options)) => table::run(&options),
        Ok(Command::Row(options)) => table::run_row(&options),
        Ok(Command::Flows(flows)) => proofs::flows::run(flows),
        Ok(Command::EchoLoss(bytes)) => proofs::echo_loss::run(bytes),
        Ok(Command::Cost) => proofs::cost(),
        Ok(Command::Victim { tun, accept }) => victim::program(&tun, accept).map(|()| true),
        Err(why) => {
            eprintln!("attack: {why}; `--help` lists the options");
            return ExitCode::from(2);
        }
    };
    match ran {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("attack: {why}");
            ExitCode::FAILURE
        }
    }
}
