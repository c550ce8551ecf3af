//! Connections that carry as much as they can, measured while all of them are at it.

use super::{STALL_MS, connect};
use crate::contender::{BUFFER, CHARGEN, DISCARD};
use crate::server::Process;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use socket2::SockRef;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Until windows are open and buffers full. What is in a buffer before and after the time that
/// counts is then the same, and a byte that was written is a byte that was carried.
const WARM_UP: Duration = Duration::from_millis(200);

/// Threads of the client at most. With one for each connection, who is slow and who is fast would
/// be up to the kernel's scheduler.
const THREADS: usize = 4;

/// Bytes that each of many holds beyond those under way: what their buffers take while they grow
/// would else count as carried.
const UNSENT: u32 = 128 * 1024;

#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    /// From the client to the server.
    Up,
    Down,
}

/// What so many connections have carried together.
#[derive(Debug)]
pub(super) struct Carried {
    pub(super) mbit: f64,
    /// The server's time for each GiB.
    pub(super) cpu_gib: f64,
    /// What the slowest connection has carried, of what the fastest has.
    pub(super) evenness: f64,
}

pub(super) fn carry(
    way: Way,
    flows: usize,
    span: Duration,
    server: &Process,
) -> io::Result<Carried> {
    let port = match way {
        Way::Up => DISCARD,
        Way::Down => CHARGEN,
    };
    // The share of each of many would else be too coarse.
    let many = flows > THREADS;
    let chunk = if many { 16 * 1024 } else { BUFFER };
    let streams: Vec<_> = (0..flows)
        .map(|_| connect(port))
        .collect::<io::Result<_>>()?;
    if many {
        for stream in &streams {
            SockRef::from(stream).set_tcp_notsent_lowat(UNSENT)?;
        }
    }
    let counters: Vec<_> = streams.iter().map(|_| AtomicU64::new(0)).collect();
    let over = AtomicBool::new(false);
    let share = flows.div_ceil(THREADS);
    thread::scope(|scope| {
        let threads: Vec<_> = streams
            .chunks(share)
            .zip(counters.chunks(share))
            .map(|(streams, counters)| {
                let flows = Flows {
                    way,
                    streams,
                    counters,
                    over: &over,
                };
                scope.spawn(move || flows.pump(chunk))
            })
            .collect();
        thread::sleep(WARM_UP);
        let before = Moment::now(&counters, server);
        thread::sleep(span);
        let after = Moment::now(&counters, server);
        over.store(true, Ordering::Relaxed);
        for stream in &streams {
            // Wakes the thread that waits on it. Where the peer has gone, nobody waits.
            let _ = stream.shutdown(Shutdown::Both);
        }
        for thread in threads {
            let joined = thread.join();
            joined.map_err(|_| io::Error::other("a flow panicked"))??;
        }
        after?.since(&before?)
    })
}

/// The connections of one thread.
struct Flows<'a> {
    way: Way,
    streams: &'a [TcpStream],
    counters: &'a [AtomicU64],
    over: &'a AtomicBool,
}

impl Flows<'_> {
    /// Goes on until it is over.
    fn pump(&self, chunk: usize) -> io::Result<()> {
        let mut buffer = vec![b'#'; chunk];
        match self.streams.len() {
            // A single one waits for its peer at once.
            1 => {
                while !self.over() {
                    self.turn(0, &mut buffer)?;
                }
            }
            _ => self.take_turns(&mut buffer)?,
        }
        Ok(())
    }

    fn take_turns(&self, buffer: &mut [u8]) -> io::Result<()> {
        let epoll = Epoll::new(EpollCreateFlags::empty())?;
        let wanted = match self.way {
            Way::Up => EpollFlags::EPOLLOUT,
            Way::Down => EpollFlags::EPOLLIN,
        };
        for (stream, number) in self.streams.iter().zip(0..) {
            stream.set_nonblocking(true)?;
            epoll.add(stream, EpollEvent::new(wanted, number))?;
        }
        let mut events = vec![EpollEvent::empty(); self.streams.len()];
        while !self.over() {
            let ready = epoll.wait(&mut events, EpollTimeout::from(STALL_MS))?;
            if ready == 0 {
                return Err(io::ErrorKind::TimedOut.into());
            }
            for event in &events[..ready] {
                self.turn(event.data() as usize, buffer)?;
            }
        }
        Ok(())
    }

    /// Moves once what goes.
    fn turn(&self, flow: usize, buffer: &mut [u8]) -> io::Result<()> {
        let mut stream = &self.streams[flow];
        let moved = match self.way {
            Way::Up => stream.write(buffer),
            Way::Down => stream.read(buffer),
        };
        match moved {
            _ if self.over() => Ok(()),
            Ok(0) => Err(io::Error::other("a flow has ended")),
            Ok(n) => {
                self.counters[flow].fetch_add(n as u64, Ordering::Relaxed);
                Ok(())
            }
            Err(why) if why.kind() == io::ErrorKind::WouldBlock && self.streams.len() > 1 => Ok(()),
            Err(why) => Err(why),
        }
    }

    fn over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// How far everybody has come.
struct Moment {
    time: Instant,
    cpu: Duration,
    bytes: Vec<u64>,
}

impl Moment {
    fn now(counters: &[AtomicU64], server: &Process) -> io::Result<Self> {
        Ok(Self {
            time: Instant::now(),
            cpu: server.cpu()?,
            bytes: counters.iter().map(|n| n.load(Ordering::Relaxed)).collect(),
        })
    }

    fn since(&self, before: &Self) -> io::Result<Carried> {
        let bytes = self.bytes.iter().zip(&before.bytes);
        let bytes: Vec<_> = bytes.map(|(after, before)| after - before).collect();
        let sum = bytes.iter().sum::<u64>() as f64;
        if sum == 0.0 {
            return Err(io::Error::other("nothing was carried"));
        }
        let (slowest, fastest) = (bytes.iter().min(), bytes.iter().max());
        let (slowest, fastest) = (slowest.copied(), fastest.copied());
        Ok(Carried {
            mbit: sum * 8e-6 / (self.time - before.time).as_secs_f64(),
            cpu_gib: (self.cpu - before.cpu).as_secs_f64() / (sum / f64::from(1 << 30)),
            evenness: slowest.unwrap_or(0) as f64 / fastest.unwrap_or(0) as f64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_is_between_the_moments() {
        let time = Instant::now();
        let moment = |seconds, bytes: [u64; 2]| Moment {
            time: time + Duration::from_secs(seconds),
            cpu: Duration::from_secs(seconds / 2),
            bytes: bytes.into(),
        };
        let (before, after) = (moment(2, [10, 20]), moment(4, [1_000_010, 3_000_020]));
        let carried = after.since(&before).unwrap();
        assert!((carried.mbit - 16.0).abs() < 1e-9, "{carried:?}");
        assert!((carried.cpu_gib - 268.435_456).abs() < 1e-9, "{carried:?}");
        assert!((carried.evenness - 1.0 / 3.0).abs() < 1e-9, "{carried:?}");
        assert!(before.since(&before).is_err());
    }
}
