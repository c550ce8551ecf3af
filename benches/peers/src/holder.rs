//! Processes of the client that hold idle connections: one process may not have files for all.

use crate::contender::HOLD;
use crate::work::{STALL, connect_within, server_address};
use std::env;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;
use std::process::{Child, Command, Stdio};

/// Connections of one process.
const SHARE: usize = 10_000;

/// What a process says when all of its connections are open; anything else is why they are not.
const OPEN: &str = "open";

/// Connections of the port [`HOLD`], with these numbers, until it is dropped.
#[derive(Debug)]
pub(crate) struct Holders(Vec<Child>);

impl Holders {
    /// Returns when all are open.
    pub(crate) fn open(connections: Range<usize>) -> io::Result<Self> {
        let mut holders = Self(Vec::new());
        let Range { start, end } = connections;
        for first in (start..end).step_by(SHARE) {
            let next = end.min(first + SHARE);
            let mut command = Command::new(env::current_exe()?);
            command.args(["hold", &first.to_string(), &next.to_string()]);
            let child = command.stdin(Stdio::piped()).stdout(Stdio::piped());
            holders.0.push(child.spawn()?);
            holders.wait()?;
        }
        Ok(holders)
    }

    /// Waits for the last process.
    fn wait(&mut self) -> io::Result<()> {
        let stdout = self.0.last_mut().and_then(|child| child.stdout.take());
        let mut said = String::new();
        if let Some(stdout) = stdout {
            BufReader::new(stdout).read_line(&mut said)?;
        }
        match said.trim() {
            OPEN => Ok(()),
            why => Err(io::Error::other(why.to_owned())),
        }
    }
}

impl Drop for Holders {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // Both fail on a child that has ended, which is as well.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Is such a process: it ends with its parent, whose end of stdin is closed then.
pub(crate) fn hold(connections: Range<usize>) -> io::Result<()> {
    let mut held = Vec::with_capacity(connections.len());
    // Over all of the server's addresses: one has too few ports for the client.
    for number in connections {
        match connect_within((server_address(number), HOLD).into(), STALL) {
            Ok(stream) => held.push(stream),
            Err(why) => {
                println!("{number} connections are open, and then: {why}");
                return Ok(());
            }
        }
    }
    println!("{OPEN}");
    io::stdin().read_to_end(&mut Vec::new()).map(drop)
}
