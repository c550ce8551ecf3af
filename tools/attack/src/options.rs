//! The command line.

use crate::attacks::Kind;
use crate::drive::Plan;
use crate::setup::Victim;
use crate::victim::AcceptMode;
use std::ffi::OsString;
use std::time::Duration;

pub(crate) const USAGE: &str = "\
Usage: brooklet-attack [OPTIONS]            the table
       brooklet-attack syn-million          1,000,000 SYNs against each program
       brooklet-attack hostile              10,000,000 hostile packets in process
       brooklet-attack flows [N]            N flows opened and closed (default 1,000,000)
       brooklet-attack echo-loss [BYTES]    BYTES echoed over lossy links, in virtual time (default 100G)
       brooklet-attack cost                 what a packet costs, as a distribution

  --only NAME      attacks and victims whose names have NAME in them; again for more
  --in-process     only victims in this process
  --tun            only victims behind a TUN device, and the kernel (as root)
  --packets N      packets of each attack at least
  --rate N         packets per second at most (default: as many as the victim takes)
  --quick          a small form of each, for tests
  --counters       the counters of the stack below each line
  --no-build       attack inetd and forward as they were built last
  --list           the attacks and the victims

The exit status is 1 if a bound is broken.
";

/// What to do.
#[derive(Debug)]
pub(crate) enum Command {
    Help,
    List,
    Table(Options),
    /// One attack, for a table in another process.
    Row(Options),
    Flows(u64),
    EchoLoss(u64),
    Cost,
    /// The services behind a TUN device.
    Victim {
        tun: String,
        accept: AcceptMode,
    },
}

/// Which attacks, and how large.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) only: Vec<String>,
    pub(crate) in_process: bool,
    pub(crate) tun: bool,
    pub(crate) packets: Option<u64>,
    pub(crate) rate: Option<u64>,
    pub(crate) quick: bool,
    pub(crate) no_build: bool,
    pub(crate) counters: bool,
    /// The attack and the victim of a row.
    pub(crate) attack: Option<&'static Kind>,
    pub(crate) victim: Option<Victim>,
    pub(crate) proof: Option<Proof>,
}

/// A large run of some of the attacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    SynMillion,
    Hostile,
}

impl Options {
    /// How much of an attack there is.
    pub(crate) fn plan(&self, kind: &Kind, victim: Victim) -> Plan {
        let second = Duration::from_secs(1);
        let packets = match self.proof {
            Some(Proof::SynMillion) => 1_000_000,
            Some(Proof::Hostile) => 10_000_000,
            None => 200_000,
        };
        let mut plan = Plan {
            packets,
            least: 3 * second,
            most: 10 * second,
            rate: self.rate,
            interval: Duration::from_millis(5),
            settle: Some(60 * second),
            size: kind.size,
            dial: victim.dial(),
        };
        if self.quick {
            plan.packets = packets / 20;
            plan.least = second / 2;
            plan.most = 2 * second;
            plan.settle = None;
            plan.size = kind.quick;
        }
        if self.proof.is_some() || self.packets.is_some() {
            plan.most = 900 * second;
        }
        plan.packets = self.packets.unwrap_or(plan.packets);
        plan
    }

    /// The arguments of the process for one row.
    pub(crate) fn row(&self, kind: &Kind, victim: Victim) -> Vec<String> {
        let mut args = vec!["row".to_owned(), kind.name.to_owned(), victim.to_string()];
        let mut number = |name: &str, number: Option<u64>| {
            args.extend(
                number
                    .into_iter()
                    .flat_map(|n| [name.to_owned(), n.to_string()]),
            );
        };
        number("--packets", self.packets);
        number("--rate", self.rate);
        if self.quick {
            args.push("--quick".to_owned());
        }
        args.extend(self.proof.map(|proof| format!("--{}", proof.name())));
        args
    }
}

impl Proof {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SynMillion => "syn-million",
            Self::Hostile => "hostile",
        }
    }
}

/// Reads the arguments of the process, of which the first is the name of the program.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, lexopt::Error> {
    use lexopt::prelude::*;
    let mut options = Options::default();
    let (mut words, mut list) = (Vec::new(), false);
    let (mut device, mut accept) = (None, AcceptMode::Requests);
    let mut args = lexopt::Parser::from_iter(args);
    while let Some(arg) = args.next()? {
        match arg {
            Value(word) => words.push(word.string()?),
            Short('h') | Long("help") => return Ok(Command::Help),
            Long("list") => list = true,
            Long("only") => options.only.push(args.value()?.string()?),
            Long("in-process") => options.in_process = true,
            Long("tun") if words.first().is_some_and(|word| word == "victim") => {
                device = Some(args.value()?.string()?);
            }
            Long("tun") => options.tun = true,
            Long("packets") => options.packets = Some(args.value()?.parse()?),
            Long("rate") => options.rate = Some(args.value()?.parse()?),
            Long("quick") => options.quick = true,
            Long("counters") => options.counters = true,
            Long("no-build") => options.no_build = true,
            Long("syn-million") => options.proof = Some(Proof::SynMillion),
            Long("hostile") => options.proof = Some(Proof::Hostile),
            Long("accept") => {
                let name = args.value()?.string()?;
                accept = AcceptMode::find(&name).ok_or("--accept takes another name")?;
            }
            _ => return Err(arg.unexpected()),
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        _ if list => Ok(Command::List),
        [] => Ok(Command::Table(options)),
        ["syn-million"] => {
            options.proof = Some(Proof::SynMillion);
            Ok(Command::Table(options))
        }
        ["hostile"] => {
            options.proof = Some(Proof::Hostile);
            Ok(Command::Table(options))
        }
        ["flows"] => Ok(Command::Flows(1_000_000)),
        ["flows", flows] => Ok(Command::Flows(number(flows)?)),
        ["echo-loss"] => Ok(Command::EchoLoss(100 << 30)),
        ["echo-loss", bytes] => Ok(Command::EchoLoss(number(bytes)?)),
        ["cost"] => Ok(Command::Cost),
        ["victim"] => Ok(Command::Victim {
            tun: device.ok_or("--tun NAME is missing")?,
            accept,
        }),
        ["row", attack, victim] => {
            options.attack = Some(Kind::find(attack).ok_or("no such attack")?);
            options.victim = Some(Victim::find(victim).ok_or("no such victim")?);
            Ok(Command::Row(options))
        }
        _ => Err("these words are no command".into()),
    }
}

/// A number, with K, M or G behind it for 2^10, 2^20 or 2^30.
fn number(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K') => (&text[..text.len() - 1], 10),
        Some(b'M') => (&text[..text.len() - 1], 20),
        Some(b'G') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number = digits
        .parse::<u64>()
        .map_err(|why| format!("{text}: {why}"))?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| format!("{text} is too large"))
}
