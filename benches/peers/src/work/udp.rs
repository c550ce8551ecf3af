//! Datagrams there and back, several under way, and those that do not come back.

use super::{CPU_1000, Column, LOST, P50, P99, PEAK, PER_SECOND, STALL, Work, percentile};
use crate::arena::SERVER;
use crate::contender::ECHO;
use crate::server::Process;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Datagrams that are under way, together less than any queue between client and server holds.
const WINDOW: usize = 64;

/// A datagram that has not come back by now does not come any more.
const LATE: Duration = Duration::from_secs(1);

/// How long is waited at a time, and how often is looked for those that are late.
const MOMENT: Duration = Duration::from_millis(50);

/// How long the clock does not count.
const WARM_UP: Duration = Duration::from_millis(50);

pub(crate) const SMALL: Datagrams = Datagrams {
    key: "udp-64",
    title: "UDP, echo of 64 bytes, 64 under way",
    size: 64,
};

pub(crate) const LARGE: Datagrams = Datagrams {
    key: "udp-1400",
    title: "UDP, echo of 1,400 bytes, 64 under way",
    size: 1400,
};

#[derive(Debug)]
pub(crate) struct Datagrams {
    key: &'static str,
    title: &'static str,
    size: usize,
}

impl Work for Datagrams {
    fn key(&self) -> &'static str {
        self.key
    }

    fn title(&self) -> &'static str {
        self.title
    }

    fn columns(&self) -> &'static [Column] {
        &[PER_SECOND, P50, P99, LOST, CPU_1000, PEAK]
    }

    fn run(&self, span: Duration, server: &Process) -> io::Result<Vec<f64>> {
        let mut client = Client::connect((SERVER, ECHO).into(), self.size)?;
        client.fill()?;
        client.echo(WARM_UP)?;
        server.count(client.times.len());
        client.times.clear();
        client.lost = 0;
        let cpu = server.cpu()?;
        let start = Instant::now();
        client.echo(span)?;
        let took = start.elapsed().as_secs_f64();
        let cpu = (server.cpu()? - cpu).as_secs_f64();
        client.drain()?;

        let lost = client.lost as f64;
        let mut times = client.times;
        if times.is_empty() {
            return Err(io::Error::other("no datagram came back"));
        }
        server.count(times.len());
        times.sort_unstable();
        let echoes = times.len() as f64;
        Ok(vec![
            echoes / took,
            percentile(&times, 50),
            percentile(&times, 99),
            100.0 * lost / (echoes + lost),
            cpu * 1e3 / echoes,
            server.peak()? / 1024.0,
        ])
    }
}

struct Client {
    socket: UdpSocket,
    /// The number and the time of the datagram that each place has under way.
    under_way: Vec<Option<(u64, Instant)>>,
    number: u64,
    message: Vec<u8>,
    answer: Vec<u8>,
    times: Vec<Duration>,
    lost: u64,
}

impl Client {
    fn connect(to: SocketAddr, size: usize) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect(to)?;
        socket.set_read_timeout(Some(MOMENT))?;
        socket.set_write_timeout(Some(STALL))?;
        Ok(Self {
            socket,
            under_way: vec![None; WINDOW],
            number: 0,
            message: vec![b'#'; size],
            answer: vec![0; size + 1],
            times: Vec::new(),
            lost: 0,
        })
    }

    fn fill(&mut self) -> io::Result<()> {
        (0..WINDOW).try_for_each(|place| self.say(place))
    }

    fn say(&mut self, place: usize) -> io::Result<()> {
        self.number += 1;
        self.message[..8].copy_from_slice(&self.number.to_ne_bytes());
        self.message[8..16].copy_from_slice(&(place as u64).to_ne_bytes());
        self.under_way[place] = Some((self.number, Instant::now()));
        self.socket.send(&self.message).map(drop)
    }

    /// Sends another for each that comes back, and for each that is lost.
    fn echo(&mut self, span: Duration) -> io::Result<()> {
        let start = Instant::now();
        let mut looked = start;
        let mut now = start;
        while now - start < span {
            if let Some(place) = self.hear()? {
                self.say(place)?;
            }
            now = Instant::now();
            if now - looked > MOMENT {
                looked = now;
                for place in self.given_up(now) {
                    self.say(place)?;
                }
            }
        }
        Ok(())
    }

    /// Waits until each that is under way has come back or is lost.
    fn drain(&mut self) -> io::Result<()> {
        // These came after the time that counts, but are not lost.
        let counted = self.times.len();
        while self.under_way.iter().any(Option::is_some) {
            self.hear()?;
            self.given_up(Instant::now());
        }
        self.times.truncate(counted);
        Ok(())
    }

    /// The place of the datagram that has come back, if one has within a moment.
    fn hear(&mut self) -> io::Result<Option<usize>> {
        let n = match self.socket.recv(&mut self.answer) {
            Ok(n) => n,
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(why) => return Err(why),
        };
        let found = self.place(&self.answer[..n]);
        let place = found.ok_or_else(|| io::Error::other("the echo is not what was said"))?;
        let number = &self.answer[..8];
        match self.under_way[place] {
            Some((expected, said)) if expected.to_ne_bytes() == number => {
                self.times.push(said.elapsed());
                self.under_way[place] = None;
                Ok(Some(place))
            }
            // One that was given up, or comes twice.
            _ => Ok(None),
        }
    }

    /// The place that an answer names, if it is as long as what was said.
    fn place(&self, answer: &[u8]) -> Option<usize> {
        let place: [u8; 8] = answer.get(8..16)?.try_into().ok()?;
        let place = usize::try_from(u64::from_ne_bytes(place)).ok()?;
        (answer.len() == self.message.len() && place < WINDOW).then_some(place)
    }

    /// The places whose datagrams are lost, and counted.
    fn given_up(&mut self, now: Instant) -> Vec<usize> {
        let mut places = Vec::new();
        for (place, under_way) in self.under_way.iter_mut().enumerate() {
            if under_way.is_some_and(|(_, said)| now - said > LATE) {
                *under_way = None;
                self.lost += 1;
                places.push(place);
            }
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn what_does_not_come_back_is_counted() {
        let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let to = server.local_addr().unwrap();
        // It keeps the tenth and the last of the first window, and says the eleventh twice.
        let answers = thread::spawn(move || {
            let mut buffer = [0; 100];
            for number in 1..=WINDOW {
                let (n, from) = server.recv_from(&mut buffer).unwrap();
                let times = match number {
                    10 | WINDOW => 0,
                    11 => 2,
                    _ => 1,
                };
                for _ in 0..times {
                    server.send_to(&buffer[..n], from).unwrap();
                }
            }
        });
        let mut client = Client::connect(to, 64).unwrap();
        client.fill().unwrap();
        answers.join().unwrap();
        for _ in 1..WINDOW {
            client.hear().unwrap();
        }
        assert_eq!(client.times.len(), WINDOW - 2);
        client.drain().unwrap();
        assert_eq!(client.lost, 2);
        assert!(client.under_way.iter().all(Option::is_none));
    }

    #[test]
    fn an_echo_that_is_cut_is_none() {
        let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut client = Client::connect(server.local_addr().unwrap(), 64).unwrap();
        client.say(0).unwrap();
        let mut buffer = [0; 100];
        let (n, from) = server.recv_from(&mut buffer).unwrap();
        server.send_to(&buffer[..n - 1], from).unwrap();
        assert!(client.hear().is_err());
    }
}
