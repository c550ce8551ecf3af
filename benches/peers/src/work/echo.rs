//! How long a small message takes there and back.

use super::{
    CPU_1000, Column, P50, P99, PEAK, PER_SECOND, STALL_MS, Work, connect, connect_within,
    percentile,
};
use crate::arena::SERVER;
use crate::contender::ECHO;
use crate::server::Process;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Bytes of a message.
const SIZE: usize = 64;

/// Messages of each connection before the clock counts.
const WARM_UP: u64 = 100;

pub(crate) const ONE: Echo = Echo {
    key: "echo-1",
    title: "Echo of 64 bytes, one connection",
    connections: 1,
};

pub(crate) const MANY: Echo = Echo {
    key: "echo-64",
    title: "Echo of 64 bytes, 64 connections",
    connections: 64,
};

#[derive(Debug)]
pub(crate) struct Echo {
    key: &'static str,
    title: &'static str,
    connections: u64,
}

impl Work for Echo {
    fn key(&self) -> &'static str {
        self.key
    }

    fn title(&self) -> &'static str {
        self.title
    }

    fn columns(&self) -> &'static [Column] {
        &[PER_SECOND, P50, P99, CPU_1000, PEAK]
    }

    fn takes_turns(&self) -> bool {
        true
    }

    fn run(&self, span: Duration, server: &Process) -> io::Result<Vec<f64>> {
        let mut clients = Clients::connect(self.connections)?;
        let warm_up = clients.echo(|done, _| done < WARM_UP * self.connections)?;
        let cpu = server.cpu()?;
        let start = Instant::now();
        let mut times = clients.echo(|_, now| now - start < span)?;
        let took = start.elapsed().as_secs_f64();
        let cpu = (server.cpu()? - cpu).as_secs_f64();
        server.count(warm_up.len() + times.len());
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

/// One message on a connection of its own; no step may take longer than this.
pub(crate) fn once(limit: Duration) -> io::Result<()> {
    let mut stream = connect_within((SERVER, ECHO).into(), limit)?;
    let (message, mut answer) = ([b'#'; SIZE], [0; SIZE]);
    stream.write_all(&message)?;
    stream.read_exact(&mut answer)?;
    if answer != message {
        return Err(io::Error::other("the echo is not what was said"));
    }
    Ok(())
}

/// Connections of one thread, each of which has one message under way.
struct Clients {
    clients: Vec<Client>,
    /// Only for more than one: a single client waits for its answer at once.
    ready: Option<Epoll>,
}

impl Clients {
    fn connect(many: u64) -> io::Result<Self> {
        let clients = (0..many).map(|_| Client::connect());
        let clients: Vec<_> = clients.collect::<io::Result<_>>()?;
        let mut ready = None;
        if many > 1 {
            let epoll = Epoll::new(EpollCreateFlags::empty())?;
            for (client, number) in clients.iter().zip(0..) {
                client.stream.set_nonblocking(true)?;
                epoll.add(&client.stream, EpollEvent::new(EpollFlags::EPOLLIN, number))?;
            }
            ready = Some(epoll);
        }
        Ok(Self { clients, ready })
    }

    /// The times of all answers, until `goes_on` says no after so many of them.
    fn echo(&mut self, goes_on: impl Fn(u64, Instant) -> bool) -> io::Result<Vec<Duration>> {
        let mut times = Vec::new();
        for client in &mut self.clients {
            client.say()?;
        }
        let mut under_way = self.clients.len();
        let mut events = vec![EpollEvent::empty(); self.clients.len()];
        while under_way > 0 {
            let ready = match &self.ready {
                Some(epoll) => match epoll.wait(&mut events, EpollTimeout::from(STALL_MS))? {
                    0 => return Err(io::ErrorKind::TimedOut.into()),
                    n => &events[..n],
                },
                None => &events[..],
            };
            for event in ready {
                let client = &mut self.clients[event.data() as usize];
                if !client.hear()? {
                    continue;
                }
                let now = Instant::now();
                times.push(now - client.said);
                if goes_on(times.len() as u64, now) {
                    client.say()?;
                } else {
                    under_way -= 1;
                }
            }
        }
        Ok(times)
    }
}

struct Client {
    stream: TcpStream,
    number: u64,
    said: Instant,
    /// As far as it has come.
    answer: [u8; SIZE],
    heard: usize,
}

impl Client {
    fn connect() -> io::Result<Self> {
        Ok(Self {
            stream: connect(ECHO)?,
            number: 0,
            said: Instant::now(),
            answer: [0; SIZE],
            heard: 0,
        })
    }

    fn message(&self) -> [u8; SIZE] {
        let mut message = [0; SIZE];
        message[..8].copy_from_slice(&self.number.to_ne_bytes());
        message
    }

    fn say(&mut self) -> io::Result<()> {
        self.number += 1;
        self.heard = 0;
        self.said = Instant::now();
        self.stream.write_all(&self.message())
    }

    /// Whether the answer is complete.
    fn hear(&mut self) -> io::Result<bool> {
        match self.stream.read(&mut self.answer[self.heard..])? {
            0 => return Err(io::Error::other("echo has ended")),
            n => self.heard += n,
        }
        if self.heard < SIZE {
            return Ok(false);
        }
        if self.answer != self.message() {
            return Err(io::Error::other("the echo is not what was said"));
        }
        Ok(true)
    }
}
