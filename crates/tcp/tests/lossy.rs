//! Two stacks over a link that loses, doubles and reorders packets, in virtual time.
//!
//! Every transfer must end, every byte must be right, and the close must complete on both sides.
//! A run is replayed by its seed, which every failure names.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_tcp::{Config, Interface, TcpOptions};
use futures_lite::{AsyncRead, AsyncWrite};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use support::*;

/// However slow a transfer is, it ends in this time.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// How long both sides may take to forget a connection that both have closed.
const CLOSING: Duration = Duration::from_secs(10 * 60);

/// What befalls the packets.
#[derive(Clone, Copy, Debug)]
struct Faults {
    /// Packets lost, of a thousand.
    loss: u64,
    /// Packets that arrive twice, of a thousand.
    double: u64,
    /// A packet takes between the two; the wider apart, the more reordering.
    delay: (Duration, Duration),
}

/// A packet on its way: when it arrives, in which order it was sent, which way.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Flight {
    at: Duration,
    number: u64,
    to_server: bool,
    packet: Vec<u8>,
}

struct Link {
    client: Host,
    server: Host,
    faults: Faults,
    rng: Rng,
    time: Duration,
    on_the_way: BinaryHeap<Reverse<Flight>>,
    packets: u64,
}

impl Link {
    fn new(seed: u64, faults: Faults, interface: Interface, configs: [Config; 2]) -> Self {
        let [client, server] = configs;
        Self {
            client: Host::on(interface, client),
            server: Host::on(interface, server),
            faults,
            rng: Rng::new(seed),
            time: Duration::ZERO,
            on_the_way: BinaryHeap::new(),
            packets: 0,
        }
    }

    /// Puts on the way what both have to send.
    fn collect(&mut self) {
        for to_server in [true, false] {
            let mut packets = VecDeque::new();
            loop {
                let host = if to_server {
                    &mut self.client
                } else {
                    &mut self.server
                };
                if packets.is_empty() {
                    packets.extend(host.transmit().into_iter().flatten());
                    let now = host.now();
                    host.engine.flush(now); // room for those who wait
                }
                let Some(bytes) = packets.pop_front() else {
                    break;
                };
                let copies = match () {
                    () if self.rng.chance(self.faults.loss) => 0,
                    () if self.rng.chance(self.faults.double) => 2,
                    () => 1,
                };
                for _ in 0..copies {
                    let (least, most) = self.faults.delay;
                    let spread = (most - least).as_micros() as u64 + 1;
                    let delay = least + Duration::from_micros(self.rng.below(spread));
                    self.packets += 1;
                    self.on_the_way.push(Reverse(Flight {
                        at: self.time + delay,
                        number: self.packets,
                        to_server,
                        packet: bytes.clone(),
                    }));
                }
            }
        }
    }

    /// Lets time pass until the next thing happens, or until `wake`; `false` if nothing ever will.
    fn step(&mut self, wake: Option<Duration>) -> bool {
        self.collect();
        let arrival = self.on_the_way.peek().map(|Reverse(flight)| flight.at);
        let mut next = arrival.into_iter().chain(wake).min();
        for host in [&mut self.client, &mut self.server] {
            let now = host.now();
            if let Some(at) = host.engine.poll_timeout(now) {
                let at = self.time + at.saturating_duration_since(now);
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        }
        let Some(next) = next else { return false };
        let pause = next.saturating_sub(self.time);
        self.client.pass(pause);
        self.server.pass(pause);
        self.time += pause;
        while let Some(Reverse(flight)) = self.on_the_way.peek()
            && flight.at <= self.time
        {
            let Some(Reverse(flight)) = self.on_the_way.pop() else {
                break;
            };
            if flight.to_server {
                self.server.tx(flight.packet);
            } else {
                self.client.tx(flight.packet);
            }
        }
        true
    }
}

fn byte(at: usize) -> u8 {
    (at as u64)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .to_be_bytes()[0]
}

/// What the application at one end does.
#[derive(Clone, Copy, Debug)]
enum Task {
    /// Sends so many bytes and closes, whatever comes back.
    Send(usize),
    /// Sends back what comes, and closes after it.
    Echo,
}

/// One end of the connection and how far it has come.
struct End {
    stream: Stream,
    task: Task,
    /// The other end sends so many bytes.
    expects: usize,
    sent: usize,
    received: usize,
    closed: bool,
    ended: bool,
    /// It reads a little, ten times a second.
    lazy: bool,
    reads_at: Duration,
}

impl End {
    fn new(stream: Stream, task: Task, other: Task, lazy: bool) -> Self {
        let expects = match (task, other) {
            (_, Task::Send(total)) | (Task::Send(total), Task::Echo) => total,
            (Task::Echo, Task::Echo) => panic!("nobody begins"),
        };
        Self {
            stream,
            task,
            expects,
            sent: 0,
            received: 0,
            closed: false,
            ended: false,
            lazy,
            reads_at: Duration::ZERO,
        }
    }

    /// How much could be sent now.
    fn has(&self) -> usize {
        match self.task {
            Task::Send(total) => total - self.sent,
            Task::Echo => self.received - self.sent,
        }
    }

    fn done(&self) -> bool {
        self.ended && self.closed
    }

    /// Does what can be done.
    fn run(&mut self, time: Duration, what: &str) {
        let mut cx = Context::from_waker(Waker::noop());
        let mut buf = [0; 8192];
        loop {
            let mut moved = false;
            let piece: Vec<u8> = (self.sent..self.sent + self.has().min(buf.len()))
                .map(byte)
                .collect();
            if !piece.is_empty()
                && let Poll::Ready(n) = Pin::new(&mut &self.stream).poll_write(&mut cx, &piece)
            {
                self.sent += n.unwrap_or_else(|e| panic!("write: {e}; {what}; {self:?}"));
                moved = true;
            }
            let over = self.ended || matches!(self.task, Task::Send(_));
            if self.has() == 0 && over && !self.closed {
                self.closed = true;
                self.stream.shutdown(Shutdown::Write).unwrap();
            }
            let full = matches!(self.task, Task::Echo) && self.has() > buf.len();
            if !self.ended
                && !full
                && self.reads_at <= time
                && let Poll::Ready(n) = Pin::new(&mut &self.stream).poll_read(&mut cx, &mut buf)
            {
                let n = n.unwrap_or_else(|e| panic!("read: {e}; {what}; {self:?}"));
                for (at, got) in buf[..n].iter().enumerate() {
                    let at = self.received + at;
                    assert_eq!(*got, byte(at), "byte {at}; {what}; {self:?}");
                }
                self.received += n;
                if n == 0 {
                    assert_eq!(self.received, self.expects, "a false end; {what}; {self:?}");
                    self.ended = true;
                }
                if self.lazy {
                    self.reads_at = time + 100 * MS;
                }
                moved = true;
            }
            if !moved {
                return;
            }
        }
    }
}

impl std::fmt::Debug for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            sent,
            received,
            closed,
            ended,
            ..
        } = self;
        write!(f, "{:?}: sent {sent}, received {received}", self.task)?;
        write!(f, ", closed {closed}, ended {ended}")
    }
}

/// One run.
#[derive(Clone, Debug)]
struct Run {
    seed: u64,
    faults: Faults,
    client: (Task, bool, Config),
    server: (Task, bool, Config),
}

impl Run {
    /// A client sends `total` bytes to a server that sends them back.
    fn echo(seed: u64, total: usize, faults: Faults) -> Self {
        Self {
            seed,
            faults,
            client: (Task::Send(total), false, patient()),
            server: (Task::Echo, false, patient()),
        }
    }

    /// Until both ends have read all, both have closed and both stacks have forgotten it. Says
    /// how long the transfer took.
    fn run(self) -> Duration {
        let Self {
            seed,
            faults,
            client: (task, lazy, client),
            server: (other_task, other_lazy, server),
        } = self;
        let what = format!(
            "seed {seed}, {faults:?}, {task:?} lazy {lazy} with {}, {other_task:?} lazy {other_lazy} with {}",
            client.options.recv_buffer, server.options.recv_buffer
        );
        let interface = Interface::new().offload(seed % 2 == 0);
        let mut link = Link::new(seed, faults, interface, [client, server]);
        let connector = link.client.connector.clone();
        let listener = link.server.listener().clone();
        let mut connect = Box::pin(connector.connect_from(addr(CLIENT), addr(SERVER)));
        let mut accept = Box::pin(listener.accept());
        let (mut here, mut there) = (None, None);
        while !matches!((&here, &there), (Some(a), Some(b)) if End::done(a) && End::done(b)) {
            match &mut here {
                Some(end) => end.run(link.time, &what),
                None => {
                    if let Poll::Ready(stream) = poll(&mut connect) {
                        let stream = stream.unwrap_or_else(|e| panic!("connect: {e}; {what}"));
                        here = Some(End::new(stream, task, other_task, lazy));
                        continue;
                    }
                }
            }
            match &mut there {
                Some(end) => end.run(link.time, &what),
                None => {
                    if let Poll::Ready(stream) = poll(&mut accept) {
                        let stream = stream.unwrap().0;
                        there = Some(End::new(stream, other_task, task, other_lazy));
                        continue;
                    }
                }
            }
            let reads = [&here, &there].into_iter().flatten();
            let wake = reads
                .filter(|end| !end.ended && end.reads_at > link.time)
                .map(|end| end.reads_at)
                .min();
            let moves = link.step(wake);
            assert!(
                moves && link.time < LIMIT,
                "{}; {what}; {here:?}; {there:?}",
                match moves {
                    true => "not done in 30 virtual minutes",
                    false => "nothing will ever happen again",
                }
            );
        }
        let took = link.time;
        // Both have closed; the streams may go, and the stacks forget them.
        drop((here, there, connect, accept));
        let packets = link.packets;
        while link.step(None) {
            assert!(link.time < took + CLOSING, "still awake; {what}");
            assert!(
                link.packets < packets + 1000,
                "the close makes packets without end; {what}"
            );
        }
        let (a, b) = (link.client.connector.stats(), link.server.connector.stats());
        let held = [a.connections, b.connections, a.time_wait, b.time_wait];
        assert_eq!(held, [0; 4], "kept for ever; {what}");
        took
    }
}

const MS: Duration = Duration::from_millis(1);

fn patient() -> Config {
    Config::new()
        .options(TcpOptions::new().user_timeout(None))
        .handshake_timeout(Duration::from_secs(600))
        .orphan_timeout(Duration::from_secs(600))
}

fn faults(loss: u64) -> Faults {
    Faults {
        loss,
        double: 10,
        delay: (4 * MS, 6 * MS),
    }
}

#[test]
fn one_packet_in_a_hundred_is_lost() {
    for seed in 1..=2 {
        Run::echo(seed, 1024 * 1024, faults(10)).run();
    }
}

#[test]
fn five_packets_in_a_hundred_are_lost() {
    for seed in 1..=3 {
        Run::echo(seed, 512 * 1024, faults(50)).run();
    }
}

#[test]
fn one_packet_in_five_is_lost() {
    for seed in 1..=12 {
        Run::echo(seed, 64 * 1024, faults(200)).run();
    }
}

#[test]
fn nothing_is_lost_but_everything_comes_in_any_order_and_often_twice() {
    let faults = Faults {
        loss: 0,
        double: 200,
        delay: (MS, 50 * MS),
    };
    for seed in 1..=3 {
        Run::echo(seed, 256 * 1024, faults).run();
    }
}

#[test]
fn both_send_and_close_at_once() {
    for seed in 1..=12 {
        let loss = [0, 50, 200][seed as usize % 3];
        let mut run = Run::echo(seed, 1000, faults(loss));
        let total = [0, 1, 5000, 60_000][seed as usize / 3 % 4];
        run.client.0 = Task::Send(total);
        run.server.0 = Task::Send(60_000 - total);
        run.run();
    }
}

#[test]
fn buffers_of_every_size_fill_and_empty() {
    let sizes = [1000, 4096, 65_535, 65_536, 66_001, 200_001];
    for (seed, recv_buffer) in (1..).zip(sizes) {
        let small = patient()
            .options(
                patient()
                    .options
                    .recv_buffer(recv_buffer)
                    .send_buffer(3 * recv_buffer / 4),
            )
            .outbound_packets(8);
        let total = 30_000 + 2 * recv_buffer.min(70_000);
        let loss = [0, 20, 100][seed as usize % 3];
        let mut run = Run::echo(seed, total, faults(loss));
        run.client.2 = small.clone();
        run.clone().run();
        run.server.2 = small.clone();
        run.clone().run();
        run.client.2 = patient();
        run.run();
    }
}

#[test]
fn a_reader_that_takes_its_time_gets_all() {
    for seed in 1..=9 {
        let loss = [0, 50, 200][seed as usize % 3];
        let mut run = Run::echo(seed, 40_000, faults(loss));
        let small = patient().options(
            patient()
                .options
                .recv_buffer([1000, 5000, 9001][seed as usize / 3 % 3]),
        );
        run.client.1 = true;
        run.client.2 = small.clone();
        run.clone().run();
        run.server.1 = true;
        run.server.2 = small;
        run.run();
    }
}
