//! The tasks that make the traffic of one place.

mod datagrams;
mod streams;

use crate::gate::Gate;
use crate::host::Host;
use crate::random::Random;
use crate::tally::Tally;
use smol::Timer;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

/// Anything that takes longer is an error, except for connections that are kept open.
const LIMIT: Duration = Duration::from_secs(90);

/// Connections that stay open, idle most of the time, of each place.
const KEPT_OPEN: u64 = 6;

/// Where traffic goes, and from where.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    /// The name of the place, for messages.
    pub(crate) place: &'static str,
    /// IPv4 and IPv6 networks of the servers: every address up to the last byte 250 is one.
    pub(crate) servers: [IpAddr; 2],
    /// How many addresses of the networks are servers.
    pub(crate) server_addresses: u64,
    /// IPv4 and IPv6 addresses of the client.
    pub(crate) client: [IpAddr; 2],
    /// The client's further IPv4 addresses have these first two bytes.
    pub(crate) sources: [u8; 2],
    /// Whether the servers are a stack, which rejects requests and lets them wait.
    pub(crate) requests: bool,
    /// The flows in the tables of stacks that a connection is.
    pub(crate) flows: i64,
    /// The part of the bulk that this path carries: 1 of so many.
    pub(crate) divisor: u64,
}

impl Path {
    /// Returns the address of a server.
    pub(crate) fn server(&self, random: &mut Random) -> IpAddr {
        let last = random.within(0..self.server_addresses) as u8;
        let server = self.servers[usize::from(random.one_in(3))];
        match server {
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                [a, b, c, d + last].into()
            }
            IpAddr::V6(address) => {
                let mut octets = address.octets();
                octets[15] += last;
                octets.into()
            }
        }
    }

    /// Returns an address of the client, of the family of `server`.
    fn source(&self, server: IpAddr, random: &mut Random) -> IpAddr {
        let [a, b] = self.sources;
        match server {
            IpAddr::V4(_) => [a, b, random.next() as u8, random.within(1..255) as u8].into(),
            IpAddr::V6(_) => self.client[1],
        }
    }
}

/// Starts the tasks of a path.
pub(crate) fn start<H: Host>(host: &H, path: &Path, gate: &Gate, tally: &Tally, seed: u64) {
    let mut random = Random::new(seed);
    let mut worker = |pause: Duration, work| {
        Worker {
            host: host.clone(),
            path: path.clone(),
            tally: tally.clone(),
            random: Random::new(random.next()),
        }
        .start(gate, pause, work);
    };
    let millis = Duration::from_millis;
    for _ in 0..8 {
        worker(millis(60), Work::Short);
        worker(millis(60), Work::Datagrams);
    }
    for _ in 0..3 {
        worker(millis(400), Work::Bulk);
        worker(millis(400), Work::Slow);
        worker(millis(100), Work::Ending);
        worker(millis(250), Work::Ping);
    }
    for _ in 0..KEPT_OPEN {
        worker(millis(5_000), Work::KeptOpen);
    }
}

/// What a task does again and again.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Work {
    /// A connection with a few kilobytes.
    Short,
    /// A connection with up to some megabytes, in either direction or both.
    Bulk,
    /// A connection of which one end reads slowly.
    Slow,
    /// A connection that ends in another way than by two FINs, or that is not made at all.
    Ending,
    /// A connection that stays open, with an exchange from time to time.
    KeptOpen,
    /// Datagrams and their answers, from a new address and port.
    Datagrams,
    /// An echo request.
    Ping,
}

struct Worker<H> {
    host: H,
    path: Path,
    tally: Tally,
    random: Random,
}

impl<H: Host> Worker<H> {
    /// Starts a task that does the work again and again, with a pause of up to twice `pause`
    /// between.
    fn start(mut self, gate: &Gate, pause: Duration, work: Work) {
        let mut pass = gate.enter();
        smol::spawn(async move {
            let mut open = None;
            while pass.wait(self.pause(pause)).await {
                let done = self.work(work, &mut open);
                if let Err(error) = limited(done).await {
                    let place = self.path.place;
                    self.tally.error(format!("{place}: {work:?}: {error}"));
                    self.forget(&mut open);
                }
            }
            if let Err(error) = limited(self.finish(open)).await {
                let place = self.path.place;
                self.tally
                    .error(format!("{place}: {work:?}, the end: {error}"));
            }
        })
        .detach();
    }

    fn pause(&mut self, mean: Duration) -> Duration {
        Duration::from_millis(self.random.within(0..2 * mean.as_millis() as u64))
    }

    async fn work(&mut self, work: Work, open: &mut Option<H::Stream>) -> io::Result<()> {
        match work {
            Work::Short => self.short().await,
            Work::Bulk => self.bulk().await,
            Work::Slow => self.slow().await,
            Work::Ending => self.ending().await,
            Work::KeptOpen => self.exchange(open).await,
            Work::Datagrams => self.datagrams().await,
            Work::Ping => self.ping().await,
        }
    }
}

async fn limited<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let limit = async {
        Timer::after(LIMIT).await;
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("not done in {LIMIT:?}"),
        ))
    };
    futures_lite::future::or(work, limit).await
}
