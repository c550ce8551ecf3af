//! A stack within the memory of a network extension, attacked from another process.

mod attacker;
mod extension;
mod limit;
mod wire;

use std::io;
use std::process::ExitCode;

const USAGE: &str = "\
Usage: memory_profile [--mib N] [--flows N] [--flood N]

  --mib N     mebibytes of each bulk transfer (default 256)
  --flows N   connections whose data nobody reads (default 1900)
  --flood N   SYNs, and UDP datagrams, of the flood (default 50000 each)
";

/// The memory that a process may have in all, and the budget of the stack in it.
#[derive(Clone, Copy, Debug)]
struct Profile {
    process: usize,
    stack: usize,
}

/// `docs/memory.md` says how these are chosen.
const PROFILES: [Profile; 2] = [
    Profile {
        process: 15 << 20,
        stack: 8 << 20,
    },
    Profile {
        process: 50 << 20,
        stack: 36 << 20,
    },
];

/// How much the attack is.
#[derive(Clone, Copy, Debug)]
struct Load {
    mib: u64,
    flows: usize,
    flood: usize,
}

/// Runs the program with a light load, as a test: without arguments, or as the process under attack.
#[must_use]
pub fn test() -> ExitCode {
    let role = match parse() {
        Ok(role @ Role::Extension(_)) => role,
        // What else stands there is for a test harness.
        _ => Role::Attack(Load {
            mib: 8,
            flows: 1900,
            flood: 10_000,
        }),
    };
    report(run(role))
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    match parse().map(run) {
        Ok(ended) => report(ended),
        Err(why) => {
            eprintln!("memory_profile: {why}; `memory_profile --help` lists the flags");
            ExitCode::from(2)
        }
    }
}

fn report(ended: io::Result<()>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("memory_profile: {error}");
            ExitCode::FAILURE
        }
    }
}

enum Role {
    Attack(Load),
    /// The process under attack: a stack with a budget of so many bytes on the standard input.
    Extension(usize),
    Help,
}

fn parse() -> Result<Role, lexopt::Error> {
    use lexopt::prelude::*;

    let mut load = Load {
        mib: 256,
        flows: 1900,
        flood: 50_000,
    };
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("mib") => load.mib = args.value()?.parse()?,
            Long("flows") => load.flows = args.value()?.parse()?,
            Long("flood") => load.flood = args.value()?.parse()?,
            Long("extension") => return Ok(Role::Extension(args.value()?.parse()?)),
            Short('h') | Long("help") => return Ok(Role::Help),
            _ => return Err(arg.unexpected()),
        }
    }
    Ok(Role::Attack(load))
}

fn run(role: Role) -> io::Result<()> {
    match role {
        Role::Help => print!("{USAGE}"),
        Role::Extension(memory) => extension::run(memory)?,
        Role::Attack(load) => {
            println!("process  stack    limit   up          down       in a flood  peak RSS");
            for profile in PROFILES {
                let outcome = attacker::run(profile, load)?;
                println!("{outcome}");
                if outcome.peak.is_some_and(|peak| peak > profile.process) {
                    return Err(io::Error::other("the process has had more than it may"));
                }
            }
        }
    }
    Ok(())
}
