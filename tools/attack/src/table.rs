//! The table: each attack against each victim, in a process of its own.

use crate::attacks::Kind;
use crate::options::{Options, Proof};
use crate::row::{Row, print_line};
use crate::setup::{self, Victim, build_programs};
use crate::victim::AcceptMode;
use std::io;
use std::process::{Command, Stdio};

/// Prints the names of the attacks and of the victims.
pub(crate) fn list() {
    for kind in Kind::ALL {
        println!("{:17} {}", kind.name, kind.about);
    }
    let victims: Vec<_> = Victim::all().map(|victim| victim.to_string()).collect();
    println!("victims: {}", victims.join(", "));
}

/// The victims of an attack: SYNs are for all, the rest for one stack, one program and the
/// kernel. The short form is SYNs for all, and the rest for one stack.
fn victims(kind: &Kind, options: &Options) -> Vec<Victim> {
    let requests = Victim::InProcess(AcceptMode::Requests);
    let program = Victim::Tun(AcceptMode::Requests);
    match options.proof {
        Some(Proof::SynMillion) if kind.name.starts_with("syn") => {
            vec![Victim::Inetd, Victim::Forward, program]
        }
        Some(Proof::Hostile) if kind.name == "hostile" => vec![requests],
        Some(_) => Vec::new(),
        None if kind.name == "syn-many" => Victim::all().collect(),
        None if options.quick => vec![requests],
        None if kind.name == "syn-one" => Victim::all().collect(),
        // The kernel has no use for UDP sessions, and is no judge of damaged packets.
        None if kind.name == "hostile" => vec![requests, program],
        None => vec![requests, program, Victim::Linux],
    }
}

/// Prints the table. Returns whether all bounds hold.
pub(crate) fn run(options: &Options) -> io::Result<bool> {
    let rows = Kind::ALL.iter().flat_map(|kind| {
        let victims = victims(kind, options).into_iter();
        victims.map(move |victim| (kind, victim))
    });
    let wanted = |(kind, victim): &(&Kind, Victim)| {
        let name = format!("{} {victim}", kind.name);
        let by_name =
            options.only.is_empty() || options.only.iter().any(|part| name.contains(part));
        let place = match victim.needs_tun() {
            true => !options.in_process,
            false => !options.tun,
        };
        by_name && place
    };
    let rows: Vec<_> = rows.filter(wanted).collect();
    let programs = |victim| matches!(victim, Victim::Inetd | Victim::Forward);
    if !options.no_build && rows.iter().any(|(_, victim)| programs(*victim)) {
        build_programs()?;
    }
    print_line(&Row::HEAD);
    let mut holds = !rows.is_empty();
    for (kind, victim) in rows {
        let output = Command::new(std::env::current_exe()?)
            .args(options.row(kind, victim))
            .stderr(Stdio::inherit())
            .output()?;
        match serde_json::from_slice::<Option<Row>>(&output.stdout) {
            Ok(Some(row)) => {
                print_line(&row.cells());
                if options.counters {
                    print!("{}", row.text);
                }
                holds &= row.broken.is_empty();
            }
            Ok(None) => println!("{:17} {victim:16} skipped", kind.name),
            Err(_) => {
                println!("{:17} {victim:16} FAILED: {}", kind.name, output.status);
                holds = false;
            }
        }
    }
    Ok(holds)
}

/// Runs one attack and prints its figures as JSON.
pub(crate) fn run_row(options: &Options) -> io::Result<bool> {
    let (Some(kind), Some(victim)) = (options.attack, options.victim) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let row = setup::run(kind, victim, options.plan(kind, victim))?;
    println!("{}", serde_json::to_string(&row)?);
    Ok(true)
}
