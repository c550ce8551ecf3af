//! A storm: thousands of clients that do everything wrong, an application that does everything at
//! random, and what must hold all the same.
//!
//! - What is read from a stream is a prefix of what that very client sent.
//! - There are no more streams for a tuple than handshakes that were completed.
//! - The end of a stream comes only where its client put it, and a reset only if there was one.
//! - Each packet of the stack parses, has right checksums, fits the MTU and carries the bytes that
//!   the application wrote to that client.
//! - Nobody waits for ever: at the end each client that behaves is served by wake-ups alone.
//! - When all is over, nothing is kept, and nothing is left to wait for.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_packet::{FlowKey, Headers, Packet, TcpHeader};
use brooklet_tcp::{Config, Interface, TcpOptions, TcpRequest};
use futures_lite::{AsyncRead, AsyncWrite, Stream as _};
use std::collections::HashMap;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use support::*;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// What client number `id` sends: its number first, so that nobody else's bytes can pass for it.
fn upward(id: u32, at: usize) -> u8 {
    match id.to_be_bytes().get(at) {
        Some(byte) => *byte,
        None => mix(u64::from(id) << 32 | at as u64),
    }
}

/// What the application sends to `to`.
fn downward(to: SocketAddr, at: usize) -> u8 {
    mix(u64::from(to.port()) << 40 | at as u64)
}

fn mix(n: u64) -> u8 {
    (n ^ (n >> 20))
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .to_be_bytes()[0]
}

/// One connection as its client sees it. The client knows what it did; it keeps no promises.
struct Client {
    id: u32,
    peer: Peer,
    /// Sequence number of its SYN.
    isn: u32,
    /// The stack's sequence number, once there was a SYN-ACK.
    theirs: Option<u32>,
    /// It has acknowledged the SYN-ACK: the third packet.
    established: bool,
    /// Bytes it wants to send, then comes its FIN.
    total: usize,
    /// How far it has sent.
    sent: usize,
    /// What the stack has acknowledged.
    acked: usize,
    /// Up to where it may send.
    edge: u32,
    /// The stack's window scale.
    shift: u8,
    finished: bool,
    /// It got a reset, or sent one that may have been taken.
    dead: bool,
}

impl Client {
    fn new(id: u32, from: &str, to: &str, rng: &mut Rng) -> Self {
        let mut peer = Peer::new(from, to);
        // Far from every other connection of the tuple, and some wrap around.
        peer.seq = (id << 22).wrapping_sub(1000);
        peer.window = [65_535, 3000, 500][rng.below(3) as usize];
        peer.scale = [None, Some(0), Some(7)][rng.below(3) as usize];
        Self {
            id,
            isn: peer.seq,
            peer,
            theirs: None,
            established: false,
            total: [0, 5, 3000, 30_000][rng.below(4) as usize] + 8 + rng.below(500) as usize,
            sent: 0,
            acked: 0,
            edge: 0,
            shift: 0,
            finished: false,
            dead: false,
        }
    }

    /// The sequence number of byte `at`.
    fn seq(&self, at: usize) -> u32 {
        self.isn.wrapping_add(1).wrapping_add(at as u32)
    }

    /// A segment with the bytes from `at`, and the FIN if they reach the end. Now and then more
    /// than the window allows.
    fn data(&mut self, at: usize, len: usize, fin: bool) -> Vec<u8> {
        let room = match mix((at ^ (self.sent << 20)) as u64) {
            0..8 => 100_000,
            _ => self.edge.wrapping_sub(self.seq(at)) as i32,
        };
        let len = len.min(self.total - at).min(room.max(0) as usize);
        let bytes: Vec<u8> = (at..at + len).map(|at| upward(self.id, at)).collect();
        let fin = fin && at + len == self.total && room >= len as i32;
        self.sent = self.sent.max(at + len);
        self.finished |= fin;
        self.peer
            .at(self.seq(at), ACK | if fin { FIN } else { 0 }, &bytes)
    }

    /// Takes in a packet of the stack; the answer that the standard asks for.
    fn take(&mut self, tcp: TcpHeader, scale: Option<u8>, data: &[u8]) -> Option<Vec<u8>> {
        if tcp.flags.rst() {
            self.dead = true;
            return None;
        }
        if tcp.flags.syn() {
            if tcp.ack != self.isn.wrapping_add(1) || self.dead {
                return Some(self.peer.at(tcp.ack, RST, &[]));
            }
            if *self.theirs.get_or_insert(tcp.seq) != tcp.seq {
                // An old SYN of this client has come to life: it says where it is.
                return Some(self.peer.at(self.seq(self.sent), ACK, &[]));
            }
            if !self.established {
                self.established = true;
                self.peer.ack = tcp.seq.wrapping_add(1);
                self.edge = self.seq(0).wrapping_add(tcp.window.into());
                self.shift = scale.unwrap_or(0);
            }
            return Some(self.peer.at(self.seq(self.sent), ACK, &[]));
        }
        let theirs = self.theirs?;
        let acked = tcp.ack.wrapping_sub(self.seq(0)) as usize;
        if acked <= self.total + 1 {
            self.acked = self.acked.max(acked);
            let most = self.sent + usize::from(self.finished);
            assert!(acked <= most, "{acked} acknowledged of {most}");
        }
        let edge = tcp.ack.wrapping_add(u32::from(tcp.window) << self.shift);
        if (edge.wrapping_sub(self.edge) as i32) > 0 {
            self.edge = edge;
        }
        let at = tcp.seq.wrapping_sub(theirs.wrapping_add(1)) as usize;
        for (n, byte) in data.iter().enumerate() {
            // A keepalive probe is not there to be read; none is configured.
            assert_eq!(*byte, downward(self.peer.from, at + n), "byte {}", at + n);
        }
        if data.is_empty() && !tcp.flags.fin() {
            return None;
        }
        if tcp.seq == self.peer.ack {
            let len = data.len() as u32 + u32::from(tcp.flags.fin());
            self.peer.ack = self.peer.ack.wrapping_add(len);
        }
        Some(self.peer.at(self.seq(self.sent), ACK, &[]))
    }
}

/// A task of the application that remembers being woken.
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn flag() -> (Arc<Flag>, Waker) {
    let flag = Arc::new(Flag(AtomicBool::new(true)));
    (flag.clone(), Waker::from(flag))
}

/// A stream that the application holds.
struct Held {
    stream: Stream,
    woken: Arc<Flag>,
    waker: Waker,
    read: usize,
    head: [u8; 4],
    wrote: usize,
    /// It has been read to the end, or failed.
    over: bool,
    shut: bool,
}

type Accepting = Pin<Box<dyn Future<Output = io::Result<Stream>>>>;

struct Storm {
    rng: Rng,
    host: Host,
    mtu: usize,
    clients: Vec<Client>,
    /// The latest client of each tuple.
    latest: HashMap<FlowKey, usize>,
    /// Handshakes completed and streams given, of each tuple.
    counts: HashMap<FlowKey, (u32, u32)>,
    /// Tuples for which a reset may have been taken.
    reset: HashMap<FlowKey, bool>,
    /// Packets on their way to the stack.
    wire: Vec<Vec<u8>>,
    held: Vec<Held>,
    requests: Vec<TcpRequest<brooklet_cell::Threaded>>,
    accepting: Vec<(Accepting, Arc<Flag>, Waker)>,
    by_request: bool,
    listening: (Arc<Flag>, Waker),
}

impl Storm {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mtu = [576, 1280, 1500][rng.below(3) as usize];
        let config = Config::new()
            .options(
                TcpOptions::new()
                    .recv_buffer([2000, 8192, 70_000][rng.below(3) as usize])
                    .send_buffer([1500, 20_000][rng.below(2) as usize])
                    .user_timeout(Some(40 * SECOND)),
            )
            .max_connections(300)
            .backlog(40)
            .backlog_per_source(Some(25))
            .max_half_open(20)
            .handshake_timeout(5 * SECOND)
            .orphan_timeout(10 * SECOND)
            .time_wait(5 * SECOND)
            .max_time_wait(30)
            .outbound_packets([2, 16, 512][rng.below(3) as usize]);
        Self {
            by_request: rng.chance(500),
            rng,
            host: Host::on(Interface::new().mtu(mtu), config),
            mtu,
            clients: Vec::new(),
            latest: HashMap::new(),
            counts: HashMap::new(),
            reset: HashMap::new(),
            wire: Vec::new(),
            held: Vec::new(),
            requests: Vec::new(),
            accepting: Vec::new(),
            listening: flag(),
        }
    }

    fn send(&mut self, packet: Vec<u8>) {
        if self.rng.chance(50) {
            self.wire.push(packet.clone());
        }
        if !self.rng.chance(50) {
            self.wire.push(packet);
        }
    }

    fn client(&mut self) -> Option<usize> {
        let last = self.clients.len() as u64;
        // Of the latest mostly: the others are done.
        let n = self.rng.below(last.min(60));
        (last > 0).then(|| (last - 1 - n) as usize)
    }

    /// Somebody out there does something.
    fn outside(&mut self) {
        if self.rng.chance(120) {
            return self.connect();
        }
        let Some(n) = self.client() else { return };
        let rng = &mut self.rng;
        let client = &mut self.clients[n];
        let key = key(client);
        let flags = [SYN | FIN, SYN | RST, 0, FIN | PSH | URG, SYN | ACK, FIN];
        let packet = match rng.below(20) {
            0 => client.peer.at(client.isn, SYN, &[]),
            1 => {
                self.reset.insert(key, true);
                client.dead = true;
                client.peer.at(client.seq(client.sent), RST, &[])
            }
            2 if client.established => {
                // Anywhere in the window.
                let somewhere = rng.below(2000) as u32;
                self.reset.insert(key, true);
                client
                    .peer
                    .at(client.seq(client.acked).wrapping_add(somewhere), RST, &[])
            }
            3 | 4 => {
                let far = 0x1000_0000 + rng.below(0x4000_0000) as u32;
                client
                    .peer
                    .at(client.seq(client.sent).wrapping_add(far), RST, &[])
            }
            5 => {
                let flags = flags[rng.below(flags.len() as u64) as usize];
                let seq = [client.seq(client.sent), rng.next() as u32][rng.below(2) as usize];
                if flags & SYN == 0 {
                    client.peer.at(seq, flags, b"garbage")
                } else {
                    client.peer.at(client.isn, flags, &[])
                }
            }
            6 => {
                let mut unmatched = client.peer.clone();
                unmatched.from.set_port(60_000 + rng.below(1000) as u16);
                unmatched.seg(ACK, b"who are you?")
            }
            7 if client.established => {
                let peer = Peer {
                    ack: rng.next() as u32,
                    ..client.peer.clone()
                };
                peer.at(client.seq(client.sent).wrapping_add(0x2000_0000), ACK, &[])
            }
            8 if client.established => client.data(client.total, 0, true),
            _ if !client.established || client.dead => return,
            9 | 10 => {
                let at = rng.below(client.sent as u64 + 1) as usize;
                client.data(at, rng.below(1400) as usize, true)
            }
            11 | 12 => {
                let ahead = client.sent + rng.below(3000) as usize;
                client.data(ahead.min(client.total), rng.below(1400) as usize, true)
            }
            _ => client.data(client.sent, 1 + rng.below(1400) as usize, rng.chance(500)),
        };
        self.send(packet);
    }

    fn connect(&mut self) {
        let id = self.clients.len() as u32;
        let port = 1024 + self.rng.below(700);
        let (from, to) = if self.rng.chance(700) {
            (format!("10.0.0.2:{port}"), SERVER)
        } else {
            (format!("[fd00::2]:{port}"), "[2001:db8::1]:80")
        };
        let client = Client::new(id, &from, to, &mut self.rng);
        let key = key(&client);
        if let Some(&before) = self.latest.get(&key) {
            // The client forgets an earlier connection; what that left behind may be reset.
            self.clients[before].dead = true;
            self.reset.insert(key, true);
        }
        self.latest.insert(key, id as usize);
        let syn = client.peer.syn();
        self.clients.push(client);
        self.send(syn);
    }

    /// Some of what is on the wire arrives, in any order.
    fn arrive(&mut self) {
        let now = self.host.now();
        for _ in 0..self.rng.below(8) {
            if self.wire.is_empty() {
                break;
            }
            let n = self.rng.below(self.wire.len() as u64) as usize;
            let packet = self.wire.swap_remove(n);
            let headers = Headers::parse(&packet).unwrap();
            assert!(headers.verify_checksum(&packet));
            self.host.engine.handle_packet(now, &packet, &headers);
        }
        self.host.engine.flush(now);
    }

    /// Takes what the stack sends, looks at it and lets the clients answer.
    fn depart(&mut self, limit: usize) {
        for _ in 0..limit {
            let Some(bytes) = self.host.engine.poll_transmit() else {
                return;
            };
            assert!(bytes.len() <= self.mtu, "a packet of {}", bytes.len());
            let packet = Packet::parse(&bytes).unwrap();
            assert!(packet.verify_checksum());
            let tcp = packet.tcp().unwrap();
            let key = packet.key().reversed();
            if let Some(&n) = self.latest.get(&key) {
                let client = &mut self.clients[n];
                let was = client.established;
                let answer = client.take(tcp, scale(packet.transport()), packet.payload());
                if client.established && !was {
                    self.counts.entry(key).or_default().0 += 1;
                }
                if let Some(answer) = answer {
                    let reset = answer[if key.is_ipv6() { 53 } else { 33 }] & RST != 0;
                    if reset {
                        self.reset.insert(key, true);
                    }
                    self.send(answer);
                }
            }
            self.host.engine.recycle(bytes);
            let now = self.host.now();
            self.host.engine.flush(now);
        }
    }

    /// The application takes connections.
    fn accept(&mut self) {
        let waker = self.listening.1.clone();
        let mut cx = Context::from_waker(&waker);
        self.listening.0.0.store(false, Ordering::SeqCst);
        if self.by_request {
            let listener = self.host.listener().clone();
            let mut requests = listener.requests();
            while let Poll::Ready(request) = Pin::new(&mut requests).poll_next(&mut cx) {
                self.requests.push(request.unwrap().unwrap());
            }
        } else {
            while let Poll::Ready(accepted) = self.host.listener().poll_accept(&mut cx) {
                let (stream, peer) = accepted.unwrap();
                assert_eq!(stream.peer_addr().unwrap(), peer);
                self.hold(stream);
            }
        }
    }

    fn hold(&mut self, stream: Stream) {
        let (from, to) = (stream.peer_addr().unwrap(), stream.local_addr().unwrap());
        let key = FlowKey::new(from, to).unwrap();
        let counts = self.counts.entry(key).or_default();
        counts.1 += 1;
        assert!(
            counts.1 <= counts.0,
            "{key:?}: {} streams of {} handshakes",
            counts.1,
            counts.0
        );
        let (woken, waker) = flag();
        self.held.push(Held {
            stream,
            woken,
            waker,
            read: 0,
            head: [0; 4],
            wrote: 0,
            over: false,
            shut: false,
        });
    }

    /// The application answers some of the requests that it was given.
    fn answer(&mut self) {
        while !self.requests.is_empty() && self.rng.chance(600) {
            let n = self.rng.below(self.requests.len() as u64) as usize;
            let request = self.requests.swap_remove(n);
            match self.rng.below(8) {
                0 => request.refuse(),
                1 => request.drop_silently(),
                2 => drop(request),
                _ => {
                    let (woken, waker) = flag();
                    self.accepting
                        .push((Box::pin(request.accept()), woken, waker));
                }
            }
        }
        if !self.accepting.is_empty() && self.rng.chance(20) {
            let n = self.rng.below(self.accepting.len() as u64) as usize;
            drop(self.accepting.swap_remove(n));
        }
        self.await_handshakes();
    }

    /// Goes on with those that were woken.
    fn await_handshakes(&mut self) {
        for (mut accept, woken, waker) in std::mem::take(&mut self.accepting) {
            if !woken.0.swap(false, Ordering::SeqCst) {
                self.accepting.push((accept, woken, waker));
                continue;
            }
            match accept.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Pending => self.accepting.push((accept, woken, waker)),
                Poll::Ready(Ok(stream)) => self.hold(stream),
                Poll::Ready(Err(error)) => assert!(
                    matches!(
                        error.kind(),
                        ErrorKind::ConnectionAborted
                            | ErrorKind::ConnectionReset
                            | ErrorKind::TimedOut
                    ),
                    "{error}"
                ),
            }
        }
    }

    /// The application does something with one of its streams.
    fn inside(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let n = self.rng.below(self.held.len() as u64) as usize;
        match self.rng.below(24) {
            0 => drop(self.held.swap_remove(n)),
            1 if self.rng.chance(300) => self.held[n].stream.abort(),
            1 => drop(self.held[n].stream.clone()),
            2 => {
                let held = &mut self.held[n];
                held.shut = true;
                let _ = held.stream.shutdown(Shutdown::Write);
            }
            3..=9 => {
                let len = 1 + self.rng.below(6000) as usize;
                self.write(n, len);
            }
            _ => {
                let len = 1 + self.rng.below(5000) as usize;
                self.read(n, len);
            }
        }
    }

    fn write(&mut self, n: usize, len: usize) {
        let held = &mut self.held[n];
        let to = held.stream.peer_addr().unwrap();
        let bytes: Vec<u8> = (held.wrote..held.wrote + len)
            .map(|at| downward(to, at))
            .collect();
        let mut cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(Ok(written)) = Pin::new(&mut &held.stream).poll_write(&mut cx, &bytes) {
            assert!(!held.shut, "written after the shutdown");
            held.wrote += written;
        }
    }

    /// Reads once.
    fn read(&mut self, n: usize, len: usize) {
        let held = &mut self.held[n];
        let (from, to) = (
            held.stream.peer_addr().unwrap(),
            held.stream.local_addr().unwrap(),
        );
        let key = FlowKey::new(from, to).unwrap();
        let mut buf = vec![0; len];
        let mut cx = Context::from_waker(&held.waker);
        held.woken.0.store(false, Ordering::SeqCst);
        let Poll::Ready(result) = Pin::new(&mut &held.stream).poll_read(&mut cx, &mut buf) else {
            return;
        };
        let ended = std::mem::replace(&mut held.over, true);
        match result {
            Ok(0) => {
                if held.read < 4 {
                    panic!("an end after {} bytes: every client has more", held.read);
                }
                let client = &self.clients[u32::from_be_bytes(held.head) as usize];
                assert!(
                    client.finished && held.read == client.total,
                    "an end at {} of {} bytes",
                    held.read,
                    client.total
                );
            }
            Ok(count) => {
                assert!(!ended, "data after the end");
                held.over = false;
                held.woken.0.store(true, Ordering::SeqCst); // until it waits
                for (at, byte) in (held.read..).zip(&buf[..count]) {
                    if let Some(head) = held.head.get_mut(at) {
                        *head = *byte;
                        continue;
                    }
                    let id = u32::from_be_bytes(held.head);
                    let client = &self.clients[id as usize];
                    assert_eq!(client.peer.from, from, "another's bytes");
                    assert_eq!(client.peer.to, to, "another's bytes");
                    assert!(at < client.sent, "byte {at} was never sent");
                    assert_eq!(*byte, upward(id, at), "byte {at}");
                }
                held.read += count;
            }
            Err(error) => match error.kind() {
                ErrorKind::ConnectionReset => {
                    assert!(self.reset.contains_key(&key), "a reset that nobody sent");
                }
                ErrorKind::TimedOut | ErrorKind::ConnectionAborted => {}
                _ => panic!("{error}"),
            },
        }
    }

    /// Time passes, and the device takes what there is, sometimes all at the end.
    fn pass(&mut self, time: Duration) {
        if self.rng.chance(300) {
            self.host.pass(time);
            return self.depart(usize::MAX);
        }
        let end = self.host.now() + time;
        loop {
            self.depart(usize::MAX);
            let now = self.host.now();
            if now >= end {
                return;
            }
            let next = self.host.engine.poll_timeout(now).unwrap_or(end).min(end);
            self.host.pass(next.saturating_duration_since(now));
        }
    }

    fn rage(&mut self, steps: usize) {
        for _ in 0..steps {
            // No two connections of a tuple begin within one tick of the clock.
            self.host.pass(Duration::from_micros(10));
            self.outside();
            self.arrive();
            if self.rng.chance(900) {
                self.depart(6);
            }
            if self.listening.0.0.load(Ordering::SeqCst) && self.rng.chance(500) {
                self.accept();
            }
            self.answer();
            self.inside();
            match self.rng.below(600) {
                0 => self.pass(20 * SECOND),
                1..=5 => self.pass(SECOND),
                6..=60 => self.pass(20 * MS),
                _ => {}
            }
        }
    }

    /// The weather clears up: clients send the rest in order and the application reads, each time
    /// it is woken and only then. Says how many were served to the end.
    fn clear(&mut self) -> usize {
        self.wire.clear();
        let mut live: Vec<usize> = self.latest.values().copied().collect();
        live.sort_unstable();
        live.retain(|&n| self.clients[n].established && !self.clients[n].dead);
        for _ in 0..400 {
            for &n in &live {
                let client = &mut self.clients[n];
                if client.dead || client.acked > client.total {
                    continue;
                }
                let at = client.acked.min(client.total);
                let packet = client.data(at, 1000, true);
                self.wire.push(packet);
            }
            while !self.wire.is_empty() {
                self.arrive();
                self.depart(usize::MAX);
            }
            if self.listening.0.0.load(Ordering::SeqCst) {
                self.accept();
            }
            self.answer();
            for n in 0..self.held.len() {
                while self.held[n].woken.0.load(Ordering::SeqCst) && !self.held[n].over {
                    self.read(n, 4000);
                }
            }
            self.pass(100 * MS);
        }
        let mut served = 0;
        for held in &self.held {
            let id = u32::from_be_bytes(held.head) as usize;
            let served_to_the_end = held.over && held.read == self.clients[id].total;
            served += usize::from(served_to_the_end);
            if live.contains(&id) && held.read >= 4 && !self.clients[id].dead {
                assert!(
                    held.over,
                    "client {id} waits: {} of {} read, {} acknowledged",
                    held.read, self.clients[id].total, self.clients[id].acked
                );
            }
        }
        served
    }

    /// Everybody lets go.
    fn end(mut self) {
        self.wire.clear();
        self.held.clear();
        self.requests.clear();
        self.accepting.clear();
        // What the listener has answered and nobody has collected is collected and dropped.
        if !self.by_request {
            for _ in 0..40 {
                self.accept();
                self.held.clear();
                self.pass(SECOND);
            }
        }
        self.pass(300 * SECOND);
        self.depart(usize::MAX);
        self.pass(300 * SECOND);
        let stats = self.host.listener().stats();
        assert_eq!(
            (stats.connections, stats.requests, stats.time_wait),
            (0, 0, 0)
        );
        let now = self.host.now();
        assert_eq!(self.host.engine.poll_timeout(now), None);
        if !self.by_request {
            // No handshake that failed is still counted.
            for n in 1..=20 {
                self.host
                    .tx(Peer::new(&format!("10.9.9.9:{n}"), SERVER).syn());
            }
            self.accept();
            assert_eq!(self.host.listener().stats().connections, 20);
        }
    }
}

fn key(client: &Client) -> FlowKey {
    FlowKey::new(client.peer.from, client.peer.to).unwrap()
}

fn scale(segment: &[u8]) -> Option<u8> {
    let mut options = segment.get(20..usize::from(segment[12] >> 4) * 4)?;
    loop {
        match *options {
            [3, 3, shift, ..] => return Some(shift),
            [1, ref rest @ ..] => options = rest,
            [2 | 4 | 8, len, ..] if len > 1 => options = options.get(usize::from(len)..)?,
            _ => return None,
        }
    }
}

#[test]
fn what_must_hold_holds() {
    let mut total = brooklet_tcp::Stats::default();
    let mut served = 0;
    for seed in 1..=8 {
        let mut storm = Storm::new(seed);
        storm.rage(6000);
        served += storm.clear();
        let stats = storm.host.listener().stats();
        total.requested += stats.requested;
        total.accepted += stats.accepted;
        total.resets += stats.resets;
        total.expired += stats.expired;
        total.bad_flags += stats.bad_flags;
        storm.end();
    }
    // The storm was one: it got everywhere.
    assert!(
        total.requested > 2000 && total.accepted > 1000 && total.resets > 500,
        "{total:?}"
    );
    assert!(total.bad_flags > 100, "{total:?}");
    assert!(served > 20, "only {served} were served to the end");
}
