//! One connection, as fast as it goes.

use super::{Outcome, Work, connect};
use crate::contender::{BUFFER, CHARGEN, DISCARD};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

const COLUMNS: &[&str] = &["Mbit/s"];
const CPU: (&str, f64) = ("server's CPU, ms/MB", 1e3);

pub(crate) struct Up;

impl Work for Up {
    fn title(&self) -> &'static str {
        "Bulk, client to server, one connection"
    }

    fn columns(&self) -> &'static [&'static str] {
        COLUMNS
    }

    fn cpu(&self) -> (&'static str, f64) {
        CPU
    }

    fn run(&self, span: Duration) -> io::Result<Outcome> {
        let mut stream = connect(DISCARD)?;
        let bytes = vec![b'#'; BUFFER];
        let start = Instant::now();
        let mut sum = 0;
        while start.elapsed() < span {
            stream.write_all(&bytes)?;
            sum += bytes.len();
        }
        // The server closes when it has read everything: what waits in a buffer does not count.
        stream.shutdown(Shutdown::Write)?;
        if stream.read(&mut [0])? > 0 {
            return Err(io::Error::other("discard has said something"));
        }
        Ok(outcome(sum, start.elapsed()))
    }
}

pub(crate) struct Down;

impl Work for Down {
    fn title(&self) -> &'static str {
        "Bulk, server to client, one connection"
    }

    fn columns(&self) -> &'static [&'static str] {
        COLUMNS
    }

    fn cpu(&self) -> (&'static str, f64) {
        CPU
    }

    fn run(&self, span: Duration) -> io::Result<Outcome> {
        let mut stream = connect(CHARGEN)?;
        let mut buffer = vec![0; BUFFER];
        let start = Instant::now();
        let mut sum = 0;
        while start.elapsed() < span {
            match stream.read(&mut buffer)? {
                0 => return Err(io::Error::other("chargen has ended")),
                n => sum += n,
            }
        }
        Ok(outcome(sum, start.elapsed()))
    }
}

fn outcome(bytes: usize, took: Duration) -> Outcome {
    let megabytes = bytes as f64 / 1e6;
    Outcome {
        figures: vec![megabytes * 8.0 / took.as_secs_f64()],
        units: megabytes,
    }
}
