//! Connections that say one thing each.

use super::{Outcome, STALL, Work, connect_within};
use crate::arena::SERVER;
use crate::contender::{ANSWER, WEB};
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Addresses that the clients go to in turn. A client of one address soon has every port in use,
/// and comes with the addresses and ports of a connection that the server still has in TIME-WAIT:
/// what becomes of that is a question of its own.
const ADDRESSES: usize = 64;

/// Clients at once.
const CLIENTS: usize = 4;

const REQUEST: &[u8] = b"GET / HTTP/1.0\r\n\r\n";

pub(crate) struct Connect;

impl Work for Connect {
    fn title(&self) -> &'static str {
        "Connect, request, 64 bytes of answer, close; four clients"
    }

    fn columns(&self) -> &'static [&'static str] {
        &["connections/s"]
    }

    fn cpu(&self) -> (&'static str, f64) {
        ("server's CPU, µs a connection", 1e6)
    }

    fn run(&self, span: Duration) -> io::Result<Outcome> {
        let start = Instant::now();
        let connections = AtomicUsize::new(0);
        let client = || {
            let mut done = 0_usize;
            while start.elapsed() < span {
                let number = connections.fetch_add(1, Ordering::Relaxed) % ADDRESSES;
                ask(Ipv4Addr::from_bits(SERVER.to_bits() + number as u32), STALL)?;
                done += 1;
            }
            io::Result::Ok(done)
        };
        let done = thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
            let mut sum = 0;
            for client in clients {
                let joined = client.join();
                sum += joined.map_err(|_| io::Error::other("a client panicked"))??;
            }
            io::Result::Ok(sum as f64)
        })?;
        // The last of each client may have begun just before the end.
        let took = start.elapsed().as_secs_f64();
        Ok(Outcome {
            figures: vec![done / took],
            units: done,
        })
    }
}

/// One connection, from the SYN to the end of the stream; no step may take longer than this.
pub(crate) fn ask(server: Ipv4Addr, limit: Duration) -> io::Result<()> {
    let mut stream = connect_within((server, WEB).into(), limit)?;
    stream.write_all(REQUEST)?;
    let mut answer = Vec::with_capacity(2 * ANSWER.len());
    stream.read_to_end(&mut answer)?;
    if answer != ANSWER {
        return Err(io::Error::other("another answer than was expected"));
    }
    Ok(())
}
