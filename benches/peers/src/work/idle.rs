//! Connections that are open, and nothing more.

use super::{Column, EACH, OPEN, PEAK, WAKES, Work};
use crate::contender::Contender;
use crate::holder::Holders;
use crate::server::{Process, field};
use std::thread;
use std::time::Duration;
use std::{fs, io};

const MANY: usize = 100_000;

/// By so many is seen whether the machine has memory for all.
const SOME: usize = 10_000;

/// The keys of those who are to hold so many.
const ASKED: [&str; 4] = [
    "brooklet",
    "brooklet-offload",
    "brooklet-before",
    "brooklet-before-offload",
];

/// What is left to do after a handshake is done by then.
const SETTLED: Duration = Duration::from_secs(3);

/// As long as it is looked at.
const WATCHED: Duration = Duration::from_secs(10);

pub(crate) struct Idle;

impl Work for Idle {
    fn key(&self) -> &'static str {
        "idle-100000"
    }

    fn title(&self) -> &'static str {
        "100,000 connections that are idle"
    }

    fn columns(&self) -> &'static [Column] {
        &[OPEN, EACH, WAKES, PEAK]
    }

    fn leaves_out(&self, contender: &Contender) -> Option<String> {
        let asked = ASKED.contains(&contender.key);
        (!asked).then(|| "asked of brooklet only, with and without offload".to_owned())
    }

    fn most_rounds(&self) -> usize {
        1
    }

    fn run(&self, _span: Duration, server: &Process) -> io::Result<Vec<f64>> {
        let before = server.resident()?;
        let _some = Holders::open(0..SOME)?;
        let will_take = (server.resident()? - before) * (MANY / SOME) as f64;
        if will_take > available()? / 2.0 {
            let (some, mib) = (SOME, will_take / 1024.0);
            let text = format!("after {some} connections, {MANY} would take {mib:.0} MiB");
            return Err(io::Error::other(text));
        }
        let _others = Holders::open(SOME..MANY)?;
        thread::sleep(SETTLED);
        let each = (server.resident()? - before) * 1024.0 / MANY as f64;
        let sleeps = server.sleeps()?;
        thread::sleep(WATCHED);
        let wakes = server.sleeps()? - sleeps;
        Ok(vec![MANY as f64, each, wakes, server.peak()? / 1024.0])
    }
}

/// The memory that the machine can still give, in KiB.
fn available() -> io::Result<f64> {
    let info = fs::read_to_string("/proc/meminfo")?;
    field(&info, "MemAvailable:").ok_or_else(|| io::Error::other("meminfo without MemAvailable"))
}
