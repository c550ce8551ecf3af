//! Honest clients under 100,000 SYNs a second, with SYN cookies: all are served, whatever their
//! round-trip time, and the flood is answered with no more than it sends.
//!
//! ```sh
//! cargo test --release -p brooklet-tcp --test syn_flood -- --nocapture
//! ```
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_cell::Threaded;
use brooklet_packet::{Headers, Packet, TcpFlags};
use brooklet_tcp::{Clock, Config, Engine, Interface, TcpListener, TcpOptions, TcpRequest};
use futures_core::Stream as _;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use smoltcp::wire::{Ipv4Address, Ipv4Packet, TcpPacket, TcpSeqNumber};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::num::NonZeroU8;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};
use support::{ACK, PSH, Peer, SERVER, Stream, poll};

/// SYNs in each millisecond.
const BETWEEN: usize = 100;

/// How long the flood lasts. A debug build is slow.
const SECONDS: usize = if cfg!(debug_assertions) { 1 } else { 10 };

const MS: Duration = Duration::from_millis(1);

/// How long a program that connects upstream first waits.
const DIAL: Duration = Duration::from_millis(200);

/// When a client sends the third packet, after the SYN-ACK.
const DELAYS: [u64; 4] = [0, 30, 100, 500];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Program {
    /// `accept`.
    Accepts,
    /// `requests`, each accepted at once.
    Answers,
    /// `requests`, each accepted after a dial.
    Dials,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

type Accepting = Pin<Box<dyn Future<Output = io::Result<Stream>>>>;

/// A client that asks, completes the handshake after its delay, says hello and expects an answer.
struct Client {
    peer: Peer,
    delay: Duration,
    asked: Instant,
    /// When it repeats its SYN or its data, or sends the third packet.
    due: Instant,
    stage: Stage,
    heard: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Asks,
    Delays,
    Talks,
    Served,
}

struct World {
    engines: Vec<Engine<Threaded>>,
    listener: TcpListener<Threaded>,
    time: Arc<Mutex<Instant>>,
    program: Program,
    dialed: VecDeque<(Instant, TcpRequest<Threaded>)>,
    accepting: Vec<(Accepting, Arc<Flag>)>,
    streams: Vec<Stream>,
    /// Streams whose client has said hello.
    answered: Vec<Stream>,
    clients: Vec<Client>,
    slowest: Duration,
    template: Vec<u8>,
    spoofed: bool,
    sent: u32,
    /// Which engine takes the next batch in.
    turn: usize,
    /// Of the flood, and in answer to it.
    bytes: (usize, usize),
}

#[expect(clippy::disallowed_methods, reason = "time begins somewhere")]
fn epoch() -> Instant {
    Instant::now()
}

impl World {
    fn new(program: Program, spoofed: bool, queues: u8, config: Config) -> Self {
        let options = TcpOptions::new().recv_buffer(8192).send_buffer(8192);
        let time = Arc::new(Mutex::new(epoch()));
        let clock = {
            let time = time.clone();
            Clock::new(move || *time.lock().unwrap())
        };
        let queues = NonZeroU8::new(queues).unwrap();
        let interface = Interface::default();
        let config = config.options(options);
        let (engines, listener, _) = Engine::with_queues(queues, interface, config, clock, [1, 2]);
        let mut peer = Peer::new("11.0.0.0:1024", SERVER);
        peer.timestamp = Some((1, 0)); // as long as Linux's
        Self {
            engines,
            listener,
            time,
            program,
            dialed: VecDeque::new(),
            accepting: Vec::new(),
            streams: Vec::new(),
            answered: Vec::new(),
            clients: Vec::new(),
            slowest: Duration::ZERO,
            template: peer.syn(),
            spoofed,
            sent: 0,
            turn: 0,
            bytes: (0, 0),
        }
    }

    fn now(&self) -> Instant {
        *self.time.lock().unwrap()
    }

    fn take_in(&mut self, packet: &[u8]) {
        let now = self.now();
        let headers = Headers::parse(packet).unwrap();
        self.engines[self.turn].handle_packet(now, packet, &headers);
    }

    fn flush(&mut self) {
        let now = self.now();
        self.engines[self.turn].flush(now);
        self.turn = (self.turn + 1) % self.engines.len();
    }

    /// The SYNs of a millisecond.
    fn rage(&mut self) {
        let mut packet = self.template.clone();
        for _ in 0..BETWEEN {
            let n = self.sent;
            self.sent += 1;
            let (host, port) = match self.spoofed {
                true => (0x0b00_0000 + n, 1024),
                false => (0x0b00_0001, 1024 + n % 60_000),
            };
            let mut ip = Ipv4Packet::new_unchecked(&mut packet[..]);
            ip.set_src_addr(Ipv4Address::from_bits(host));
            ip.fill_checksum();
            let mut tcp = TcpPacket::new_unchecked(&mut packet[20..]);
            tcp.set_src_port(port as u16);
            tcp.set_seq_number(TcpSeqNumber(n.wrapping_mul(7919) as i32));
            self.bytes.0 += packet.len();
            self.take_in(&packet);
        }
        self.flush();
    }

    /// A new client. Every other one has no timestamps.
    fn asks(&mut self) {
        let n = self.clients.len();
        let now = self.now();
        let mut peer = Peer::new(&format!("10.0.0.2:{}", 1024 + n), SERVER);
        peer.timestamp = n.is_multiple_of(2).then_some((50_000, 0));
        peer.seq = n as u32;
        self.take_in(&peer.syn());
        self.flush();
        self.clients.push(Client {
            peer,
            delay: Duration::from_millis(DELAYS[n % DELAYS.len()]),
            asked: now,
            due: now + Duration::from_secs(1),
            stage: Stage::Asks,
            heard: Vec::new(),
        });
    }

    /// The device takes what the stack sends, and the clients that it is for look at it.
    fn depart(&mut self) {
        let now = self.now();
        for queue in 0..self.engines.len() {
            while let Some(bytes) = self.engines[queue].poll_transmit() {
                let packet = Packet::parse(&bytes).unwrap();
                let tcp = packet.tcp().unwrap();
                assert!(!tcp.flags.rst(), "a RST to {}", packet.key().destination());
                let to = packet.key().destination();
                if to.ip().to_string() == "10.0.0.2" {
                    let client = &mut self.clients[usize::from(to.port()) - 1024];
                    client.hear(now, &packet);
                } else {
                    self.bytes.1 += bytes.len();
                }
                self.engines[queue].recycle(bytes);
            }
            self.engines[queue].flush(now);
        }
    }

    /// What the clients do by the clock.
    fn clients_act(&mut self) {
        let now = self.now();
        for n in 0..self.clients.len() {
            let client = &mut self.clients[n];
            if client.stage == Stage::Served || client.due > now {
                continue;
            }
            let packets = match client.stage {
                Stage::Asks => vec![client.peer.syn()],
                Stage::Delays => {
                    client.stage = Stage::Talks;
                    vec![
                        client.peer.seg(ACK, &[]),
                        client.peer.seg(ACK | PSH, b"hello"),
                    ]
                }
                _ => vec![client.peer.seg(ACK | PSH, b"hello")],
            };
            client.due = now + Duration::from_secs(1);
            for packet in packets {
                self.take_in(&packet);
                self.flush(); // each on another queue
            }
        }
        for n in 0..self.clients.len() {
            let client = &mut self.clients[n];
            if client.stage != Stage::Served && client.heard == b"world" {
                client.stage = Stage::Served;
                client.peer.seq = client.peer.seq.wrapping_add(5);
                client.peer.ack = client.peer.ack.wrapping_add(5);
                let (ack, waited) = (client.peer.seg(ACK, &[]), now - client.asked - client.delay);
                self.slowest = self.slowest.max(waited);
                self.take_in(&ack);
                self.flush();
            }
        }
    }

    fn program_acts(&mut self) {
        let now = self.now();
        let mut cx = Context::from_waker(Waker::noop());
        if self.program == Program::Accepts {
            while let Poll::Ready(accepted) = self.listener.poll_accept(&mut cx) {
                self.streams.push(accepted.unwrap().0);
            }
        } else {
            let listener = self.listener.clone();
            let mut requests = pin!(listener.requests());
            while let Poll::Ready(next) = requests.as_mut().poll_next(&mut cx) {
                let dial = match self.program {
                    Program::Dials => DIAL,
                    _ => Duration::ZERO,
                };
                self.dialed.push_back((now + dial, next.unwrap().unwrap()));
            }
        }
        while let Some((due, _)) = self.dialed.front()
            && *due <= now
        {
            let (_, request) = self.dialed.pop_front().unwrap();
            let flag = Arc::new(Flag(AtomicBool::new(true)));
            self.accepting.push((Box::pin(request.accept()), flag));
        }
        let streams = &mut self.streams;
        self.accepting.retain_mut(|(accept, flag)| {
            if !flag.0.swap(false, Ordering::SeqCst) {
                return true;
            }
            let waker = Waker::from(flag.clone());
            match accept.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Pending => true,
                Poll::Ready(result) => {
                    streams.extend(result);
                    false
                }
            }
        });
        for mut stream in std::mem::take(&mut self.streams) {
            let mut buf = [0; 100];
            let Poll::Ready(read) = poll(&mut stream.read(&mut buf)) else {
                self.streams.push(stream);
                continue;
            };
            assert_eq!(&buf[..read.unwrap()], b"hello");
            assert!(poll(&mut stream.write_all(b"world")).is_ready());
            self.answered.push(stream);
        }
    }

    fn pass(&mut self) {
        let now = self.now() + MS;
        *self.time.lock().unwrap() = now;
        for engine in &mut self.engines {
            engine.handle_timeout(now);
            engine.flush(now);
        }
    }

    fn step(&mut self, floods: bool) {
        if floods {
            self.rage();
        }
        self.program_acts();
        self.depart();
        self.clients_act();
        self.program_acts();
        self.depart();
        self.pass();
    }
}

impl Client {
    fn hear(&mut self, now: Instant, packet: &Packet<'_>) {
        let tcp = packet.tcp().unwrap();
        if tcp.flags.contains(TcpFlags::SYN) {
            if self.stage == Stage::Asks {
                self.peer.seq = self.peer.seq.wrapping_add(1);
                self.peer.ack = tcp.seq.wrapping_add(1);
                self.peer.timestamp = timestamp(packet).map(|(tsval, _)| (50_001, tsval));
                self.due = now + self.delay;
                self.stage = Stage::Delays;
            }
        } else if tcp.seq == self.peer.ack && self.heard.is_empty() {
            self.heard.extend(packet.payload());
        }
    }
}

/// TSval and TSecr of a packet of the stack.
fn timestamp(packet: &Packet<'_>) -> Option<(u32, u32)> {
    let repr = smoltcp::wire::TcpRepr::parse(
        &TcpPacket::new_unchecked(packet.transport()),
        &packet.source().into(),
        &packet.destination().into(),
        &smoltcp::phy::ChecksumCapabilities::ignored(),
    );
    repr.unwrap().timestamp.map(|t| (t.tsval, t.tsecr))
}

/// Runs a flood with honest clients in it, and checks what must hold.
fn rages(program: Program, spoofed: bool, queues: u8) {
    let what = format!("{program:?}, spoofed: {spoofed}, {queues} queues");
    let mut world = World::new(program, spoofed, queues, Config::new());
    for ms in 0..SECONDS * 1000 {
        if ms >= 200 && ms % 10 == 0 {
            world.asks();
        }
        world.step(true);
        if ms % 100 == 99 {
            let stats = world.listener.stats();
            let honest = world.clients.len() as u64;
            let most = if program == Program::Accepts {
                1024
            } else {
                4096
            };
            assert!(stats.half_open <= most, "{what}: {stats:?}");
            assert!(stats.requests <= 4096 + honest, "{what}: {stats:?}");
            assert!(stats.connections <= most + honest, "{what}: {stats:?}");
            assert_eq!(stats.outbound_full, 0);
        }
    }
    // The last ones are served while nothing rages any more.
    for _ in 0..1000 {
        world.step(false);
    }
    let stats = world.listener.stats();
    println!(
        "{what}: {:?} at most, {:?} bytes",
        world.slowest, world.bytes
    );
    for client in &world.clients {
        let (stage, delay) = (client.stage, client.delay);
        assert_eq!(
            stage,
            Stage::Served,
            "{what}: {} {delay:?}",
            client.peer.from
        );
    }
    let dial = if program == Program::Dials {
        DIAL
    } else {
        Duration::ZERO
    };
    assert!(
        world.slowest <= dial + 10 * MS,
        "{what}: {:?}",
        world.slowest
    );
    assert!(world.bytes.1 <= world.bytes.0, "{what}: {:?}", world.bytes);
    assert!(
        stats.syn_cookies_sent > stats.requested,
        "{what}: {stats:?}"
    );
    assert_eq!((stats.syn_cookies_failed, stats.resets), (0, 0), "{what}");
    // Nothing is left of the flood after its time-outs.
    world.accepting.clear();
    world.dialed.clear();
    for _ in 0..140 {
        *world.time.lock().unwrap() += Duration::from_secs(1);
        world.pass();
        while let Some(packet) = world.engines[0].poll_transmit() {
            world.engines[0].recycle(packet);
        }
    }
    let stats = world.listener.stats();
    assert_eq!(
        (stats.half_open, stats.requests),
        (0, 0),
        "{what}: {stats:?}"
    );
}

#[test]
fn accept_serves_everybody() {
    rages(Program::Accepts, true, 1);
    rages(Program::Accepts, false, 1);
}

#[test]
fn requests_that_are_accepted_at_once_serve_everybody() {
    rages(Program::Answers, true, 1);
    rages(Program::Answers, false, 1);
}

#[test]
fn requests_that_are_dialed_first_serve_everybody() {
    rages(Program::Dials, true, 1);
    rages(Program::Dials, false, 1);
}

#[test]
fn several_queues_serve_everybody() {
    rages(Program::Accepts, true, 3);
    rages(Program::Answers, false, 3);
}

#[test]
fn without_cookies_the_bounds_hold_and_nothing_is_reset() {
    for program in [Program::Accepts, Program::Answers, Program::Dials] {
        for spoofed in [true, false] {
            let config = Config::new().syn_cookies(false);
            let mut world = World::new(program, spoofed, 1, config);
            for _ in 0..1000 {
                world.step(true);
                let stats = world.listener.stats();
                assert!(stats.half_open <= 1024, "{program:?}: {stats:?}");
                assert!(stats.requests <= 4096, "{program:?}: {stats:?}");
            }
            let stats = world.listener.stats();
            assert_eq!(stats.syn_cookies_sent, 0);
            assert!(stats.half_open_full > 0, "{program:?}: {stats:?}");
        }
    }
}
