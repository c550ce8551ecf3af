//! Connections that say one thing each.

use super::{
    CPU_1000, Column, P50, P99, PEAK, PER_SECOND, STALL, Work, connect_within, percentile,
    server_address,
};
use crate::contender::{ANSWER, WEB};
use crate::server::Process;
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const REQUEST: &[u8] = b"GET / HTTP/1.0\r\n\r\n";

pub(crate) const ONE: Connect = Connect {
    key: "connect-1",
    title: "Connect, request, answer, close; one client",
    clients: 1,
};

pub(crate) const FOUR: Connect = Connect {
    key: "connect",
    title: "Connect, request, answer, close; 4 clients",
    clients: 4,
};

pub(crate) const SIXTEEN: Connect = Connect {
    key: "connect-16",
    title: "Connect, request, answer, close; 16 clients",
    clients: 16,
};

#[derive(Debug)]
pub(crate) struct Connect {
    key: &'static str,
    title: &'static str,
    /// At once.
    clients: usize,
}

impl Work for Connect {
    fn key(&self) -> &'static str {
        self.key
    }

    fn title(&self) -> &'static str {
        self.title
    }

    fn columns(&self) -> &'static [Column] {
        &[PER_SECOND, P50, P99, CPU_1000, PEAK]
    }

    fn run(&self, span: Duration, server: &Process) -> io::Result<Vec<f64>> {
        let cpu = server.cpu()?;
        let start = Instant::now();
        let connections = AtomicUsize::new(0);
        let client = || {
            let mut times = Vec::new();
            while start.elapsed() < span {
                let number = connections.fetch_add(1, Ordering::Relaxed);
                let start = Instant::now();
                ask(server_address(number), STALL)?;
                times.push(start.elapsed());
            }
            io::Result::Ok(times)
        };
        let mut times = thread::scope(|scope| {
            let clients: Vec<_> = (0..self.clients).map(|_| scope.spawn(client)).collect();
            let mut times = Vec::new();
            for client in clients {
                let joined = client.join();
                times.extend(joined.map_err(|_| io::Error::other("a client panicked"))??);
            }
            io::Result::Ok(times)
        })?;
        // The last of each client may have begun just before the end.
        let took = start.elapsed().as_secs_f64();
        let cpu = (server.cpu()? - cpu).as_secs_f64();
        server.count(times.len());
        times.sort_unstable();
        Ok(vec![
            times.len() as f64 / took,
            percentile(&times, 50),
            percentile(&times, 99),
            cpu * 1e3 / times.len() as f64,
            server.peak()? / 1024.0,
        ])
    }
}

/// One connection, from the SYN to the end of the stream; no step may take longer than this.
fn ask(server: Ipv4Addr, limit: Duration) -> io::Result<()> {
    let mut stream = connect_within((server, WEB).into(), limit)?;
    stream.write_all(REQUEST)?;
    let mut answer = Vec::with_capacity(2 * ANSWER.len());
    stream.read_to_end(&mut answer)?;
    if answer != ANSWER {
        return Err(io::Error::other("another answer than was expected"));
    }
    Ok(())
}
