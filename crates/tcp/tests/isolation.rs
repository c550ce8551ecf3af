//! Nobody gets another's bytes: many connections under a storm of SYNs that come again, resets of
//! others and of nobody, and tuples that are used over and over.
//!
//! ```sh
//! BROOKLET_FLOWS=1000000 cargo test --release -p brooklet-tcp --test isolation -- --nocapture
//! ```
//!
//! Each client says who it is in its first bytes. What must hold: a stream has the bytes of the
//! client that it names and no others; it ends where that client ended it, or with a reset where
//! that client sent one; each client is served once; and in the end nothing is left.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::disallowed_methods, reason = "it says how long it took")]

mod support;

use brooklet_packet::{FlowKey, Headers, Packet, TcpHeader};
use brooklet_tcp::{Config, TcpListener, TcpOptions, TcpRequest, Unreachable};
use futures_lite::{AsyncRead, AsyncWrite};
use std::collections::HashMap;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};
use support::*;

/// Connections at a time, and tuples that they share.
const AT_ONCE: u32 = 400;
const TUPLES: u32 = 1000;
/// A client's number and the length of what it says.
const HEAD: usize = 8;

/// What becomes of a client.
#[derive(Clone, Copy, Debug, PartialEq)]
enum LinkOutcome {
    /// It speaks, ends, and gets its answer.
    Served,
    /// It resets the connection in the middle of what it says.
    Resets,
    /// It resets the connection instead of the third packet.
    GivesUp,
    /// It takes its SYN back.
    Withdraws,
    /// It is told that it will not be had.
    Declined,
}

/// Odd ones are taken as requests, even ones come to a listener that accepts.
fn fate(id: u32) -> LinkOutcome {
    match id % 16 {
        3 | 6 => LinkOutcome::Resets,
        5 | 10 => LinkOutcome::GivesUp,
        7 => LinkOutcome::Withdraws,
        9 => LinkOutcome::Declined,
        _ => LinkOutcome::Served,
    }
}

fn length(id: u32) -> usize {
    HEAD + [0, 30, 900, 2500][id as usize / 16 % 4]
}

/// What client `id` says, and receives with `back`.
fn byte(id: u32, at: usize, back: bool) -> u8 {
    match at {
        0..4 => id.to_be_bytes()[at],
        4..8 => (length(id) as u32).to_be_bytes()[at - 4],
        _ => (u64::from(id) << 20 | at as u64 | u64::from(back) << 63)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .to_be_bytes()[0],
    }
}

/// Where connections are accepted at once; other ports are for requests.
const ACCEPTS: u16 = 81;

/// A tuple: neighbours differ in one bit of one field.
fn peer(tuple: u32) -> Peer {
    let (port, host) = (1024 + tuple % 32, tuple / 32);
    let to = ACCEPTS - tuple as u16 % 2;
    if tuple.is_multiple_of(3) {
        Peer::new(
            &format!("[fd00::{host:x}]:{port}"),
            &format!("[2001:db8::1]:{to}"),
        )
    } else {
        let from = format!("10.0.{}.{}:{port}", host / 256, host % 256 + 1);
        Peer::new(&from, &format!("192.0.2.1:{to}"))
    }
}

#[derive(Debug)]
struct Client {
    id: u32,
    tuple: u32,
    peer: Peer,
    isn: u32,
    /// The stack's initial number, once it has answered.
    theirs: Option<u32>,
    sent: usize,
    /// What the stack has acknowledged. It takes less at a time than the longest message.
    acked: usize,
    finished: bool,
    received: usize,
    done: bool,
}

impl Client {
    fn seq(&self, at: usize) -> u32 {
        self.isn.wrapping_add(1).wrapping_add(at as u32)
    }

    /// Where it is: behind what it has sent.
    fn next(&self) -> u32 {
        self.seq(self.sent + usize::from(self.finished))
    }

    fn data(&mut self, from: usize, len: usize) -> Vec<u8> {
        let end = (from + len).min(length(self.id));
        let data: Vec<u8> = (from..end).map(|at| byte(self.id, at, false)).collect();
        let fin = if end == length(self.id) { FIN } else { 0 };
        self.sent = self.sent.max(end);
        self.finished |= fin != 0;
        self.peer.at(self.seq(from), ACK | fin, &data)
    }

    /// Takes in a packet of the stack; returns the answer.
    fn take(&mut self, tcp: TcpHeader, data: &[u8]) -> Option<Vec<u8>> {
        let fate = fate(self.id);
        if tcp.flags.rst() {
            // One that is for an earlier connection of the tuple is none (RFC 9293, 3.10.7).
            let meant = match self.theirs {
                None => tcp.flags.ack() && tcp.ack == self.isn.wrapping_add(1),
                Some(_) => tcp.seq == self.peer.ack,
            };
            let expected = self.done || fate == LinkOutcome::Declined;
            assert!(!meant || expected, "client {}: a reset", self.id);
            self.done |= meant;
            return None;
        }
        if self.done {
            return None;
        }
        let Some(theirs) = self.theirs else {
            if !tcp.flags.syn() || tcp.ack != self.isn.wrapping_add(1) {
                // The stack still has an earlier connection of this tuple (RFC 9293, 3.5.1).
                return Some(self.peer.at(tcp.ack, RST, &[]));
            }
            assert!(
                fate != LinkOutcome::Declined,
                "client {} was to be declined",
                self.id
            );
            self.theirs = Some(tcp.seq);
            self.peer.ack = tcp.seq.wrapping_add(1);
            if fate == LinkOutcome::GivesUp {
                self.done = true;
                return Some(self.peer.at(self.seq(0), RST, &[]));
            }
            return Some(self.peer.at(self.seq(0), ACK, &[]));
        };
        if tcp.flags.syn() {
            assert_eq!(tcp.seq, theirs, "client {}: a second connection", self.id);
            return Some(self.peer.at(self.next(), ACK, &[]));
        }
        let acked = tcp.ack.wrapping_sub(self.seq(0)) as usize;
        if acked <= self.sent + usize::from(self.finished) {
            self.acked = self.acked.max(acked);
        }
        if data.is_empty() && !tcp.flags.fin() {
            return None;
        }
        let at = tcp.seq.wrapping_sub(theirs.wrapping_add(1)) as usize;
        if at == self.received {
            for (n, &received) in data.iter().enumerate() {
                assert_eq!(
                    received,
                    byte(self.id, at + n, true),
                    "byte {} of {}",
                    at + n,
                    self.id
                );
            }
            self.received += data.len();
            self.peer.ack = self.peer.ack.wrapping_add(data.len() as u32);
            if tcp.flags.fin() {
                assert_eq!(
                    self.received,
                    length(self.id),
                    "client {} was cut off",
                    self.id
                );
                self.peer.ack = self.peer.ack.wrapping_add(1);
                self.done = self.finished;
            }
        }
        Some(self.peer.at(self.next(), ACK, &[]))
    }
}

/// Tasks that have been woken, by their numbers.
type Woken = Arc<Mutex<Vec<u64>>>;

struct Task(u64, Woken);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.1.lock().unwrap().push(self.0);
    }
}

/// A connection in the application.
enum Work {
    Accepting(Pin<Box<dyn Future<Output = io::Result<Stream>>>>),
    Talking {
        stream: Stream,
        read: usize,
        head: [u8; HEAD],
        said: Option<usize>,
    },
}

fn talking(stream: Stream) -> Work {
    Work::Talking {
        stream,
        read: 0,
        head: [0; HEAD],
        said: None,
    }
}

struct Storm {
    rng: Rng,
    host: Host,
    /// One of each family.
    accepts: Vec<TcpListener<brooklet_cell::Threaded>>,
    clients: Vec<Client>,
    by_tuple: HashMap<FlowKey, usize>,
    /// How often each tuple has been used.
    uses: Vec<u32>,
    begun: u32,
    flows: u32,
    work: HashMap<u64, Work>,
    tasks: u64,
    woken: Woken,
    listening: Waker,
    /// Clients that got all they asked for, and whom the application saw reset.
    served: u32,
    resets: u32,
    packets: u64,
}

impl Storm {
    fn new(flows: u32) -> Self {
        let config = Config::new()
            .options(TcpOptions::new().recv_buffer(2048).send_buffer(2048))
            .time_wait(Duration::from_millis(20));
        let woken = Woken::default();
        let host = Host::new(config);
        let bind = |ip: &str| {
            host.connector
                .bind(addr(&format!("{ip}:{ACCEPTS}")))
                .unwrap()
        };
        Self {
            rng: Rng::new(flows.into()),
            accepts: vec![bind("0.0.0.0"), bind("[::]")],
            host,
            clients: Vec::new(),
            by_tuple: HashMap::new(),
            uses: vec![0; TUPLES as usize],
            begun: 0,
            flows,
            work: HashMap::new(),
            tasks: 0,
            listening: Waker::from(Arc::new(Task(0, woken.clone()))),
            woken,
            served: 0,
            resets: 0,
            packets: 0,
        }
    }

    fn send(&mut self, packet: Vec<u8>) {
        let headers = Headers::parse(&packet).unwrap();
        let now = self.host.now();
        self.host.engine.handle_packet(now, &packet, &headers);
        self.packets += 1;
    }

    /// A client begins, in the place of one that is done.
    fn begin(&mut self, place: usize) {
        let id = self.begun;
        self.begun += 1;
        let before = self.clients.get(place).map(|before| before.tuple);
        if let Some(before) = before {
            self.by_tuple.remove(&key(&peer(before)));
        }
        // The very same again, or any other that nobody has.
        let fits = |tuple: u32| tuple % 2 == id % 2;
        let same = before.filter(|&tuple| id.is_multiple_of(8) && fits(tuple));
        let tuple = same.unwrap_or_else(|| {
            loop {
                let tuple = self.rng.below(TUPLES.into()) as u32;
                if fits(tuple) && !self.by_tuple.contains_key(&key(&peer(tuple))) {
                    break tuple;
                }
            }
        });
        let mut peer = peer(tuple);
        // Beyond the numbers of earlier connections of the tuple.
        let isn = (self.uses[tuple as usize] << 20).wrapping_sub(5000);
        self.uses[tuple as usize] += 1;
        peer.seq = isn;
        let client = Client {
            id,
            tuple,
            isn,
            theirs: None,
            sent: 0,
            acked: 0,
            finished: false,
            received: 0,
            done: false,
            peer,
        };
        self.by_tuple.insert(key(&client.peer), place);
        let syn = client.peer.syn();
        if place == self.clients.len() {
            self.clients.push(client);
        } else {
            self.clients[place] = client;
        }
        self.send(syn);
    }

    /// A client goes one step on, and somebody does harm.
    fn step(&mut self, place: usize) {
        let harm = self.rng.below(12);
        let random = self.rng.next() as u32;
        let client = &mut self.clients[place];
        let fate = fate(client.id);
        if client.done {
            if self.begun < self.flows {
                self.begin(place);
            }
            return;
        }
        let far = client
            .next()
            .wrapping_add(0x2000_0000 + random % 0x4000_0000);
        let unmatched = |bit: u16| {
            let mut peer = client.peer.clone();
            let port = peer.from.port() ^ bit;
            peer.from.set_port(port | 0x8000); // nobody's
            peer
        };
        let packet = match harm {
            0..=3 => Some(client.peer.at(client.isn, SYN, &[])),
            4 => Some(client.peer.at(far, RST, &[])),
            5 => Some(client.peer.at(far, RST | ACK, &[])),
            6 => Some(unmatched(1).at(client.next(), RST, &[])),
            7 if client.theirs.is_some() => Some(client.peer.at(far, SYN, &[])),
            // The end before the middle, and further than the stack has allowed.
            9 if client.theirs.is_some() && fate == LinkOutcome::Served => {
                let from = client.acked.min(length(client.id)) + random as usize % 1200;
                let from = from.min(length(client.id));
                Some(client.data(from, 1400))
            }
            8 => Some(unmatched(2).at(client.next(), ACK, b"who?")),
            _ => None,
        };
        let own = match client.theirs {
            None if fate == LinkOutcome::Withdraws && random.is_multiple_of(4) => {
                client.done = true;
                Some(client.peer.at(client.seq(0), RST, &[]))
            }
            None => Some(client.peer.at(client.isn, SYN, &[])),
            Some(_) if fate == LinkOutcome::Resets && client.sent > 0 => {
                client.done = true;
                Some(client.peer.at(client.next(), RST | ACK, &[]))
            }
            // Of one that resets at least one byte is left to say.
            Some(_) if fate == LinkOutcome::Resets => {
                Some(client.data(0, HEAD.min(length(client.id) - 1)))
            }
            Some(_) if !client.finished => {
                Some(client.data(client.sent, 1 + random as usize % 1400))
            }
            // What is not acknowledged again, until the answer has come.
            Some(_) => {
                let from = client.acked.min(length(client.id));
                Some(client.data(from, 1400))
            }
        };
        packet
            .into_iter()
            .chain(own)
            .for_each(|packet| self.send(packet));
    }

    /// Takes what the stack sends and lets the clients answer.
    fn answer(&mut self) {
        loop {
            let now = self.host.now();
            self.host.engine.flush(now);
            let Some(bytes) = self.host.engine.poll_transmit() else {
                return;
            };
            let packet = Packet::parse(&bytes).unwrap();
            let client = self.by_tuple.get(&packet.key().reversed());
            let Some(tcp) = packet.tcp() else {
                // An ICMP error: it quotes the SYN that it answers.
                let quoted = Packet::parse(packet.payload()).unwrap();
                let client = &mut self.clients[self.by_tuple[&quoted.key()]];
                assert_eq!(fate(client.id), LinkOutcome::Declined);
                client.done |= quoted.tcp().unwrap().seq == client.isn;
                self.host.engine.recycle(bytes);
                continue;
            };
            if let Some(&at) = client
                && let Some(answer) = self.clients[at].take(tcp, packet.payload())
            {
                self.send(answer);
            }
            self.host.engine.recycle(bytes);
        }
    }

    /// The application does what it was woken for.
    fn application(&mut self) {
        loop {
            let mut woken = std::mem::take(&mut *self.woken.lock().unwrap());
            if woken.is_empty() {
                return;
            }
            woken.sort_unstable();
            woken.dedup();
            for task in woken {
                match self.work.remove(&task) {
                    None if task == 0 => self.listen(),
                    None => {}
                    Some(work) => self.go_on(task, work),
                }
            }
        }
    }

    /// Takes what there is to take.
    fn listen(&mut self) {
        let waker = self.listening.clone();
        let mut cx = Context::from_waker(&waker);
        let listener = self.host.listener().clone();
        while let Poll::Ready(request) = listener.poll_request(&mut cx) {
            self.consider(request.unwrap());
        }
        for n in 0..self.accepts.len() {
            while let Poll::Ready(accepted) = self.accepts[n].poll_accept(&mut cx) {
                self.take(accepted.unwrap().0);
            }
        }
    }

    fn take(&mut self, stream: Stream) {
        assert_eq!(stream.local_addr().unwrap().port(), ACCEPTS);
        self.tasks += 1;
        self.go_on(self.tasks, talking(stream));
    }

    fn consider(&mut self, request: TcpRequest<brooklet_cell::Threaded>) {
        let key = FlowKey::new(request.peer_addr(), request.local_addr()).unwrap();
        let client = &self.clients[self.by_tuple[&key]];
        if fate(client.id) == LinkOutcome::Declined {
            match client.id / 16 % 2 {
                0 => request.refuse(),
                _ => request.reject(Unreachable::Host),
            }
            return;
        }
        if fate(client.id) == LinkOutcome::Withdraws {
            return request.drop_silently();
        }
        self.tasks += 1;
        self.go_on(self.tasks, Work::Accepting(Box::pin(request.accept())));
    }

    fn go_on(&mut self, task: u64, mut work: Work) {
        let waker = Waker::from(Arc::new(Task(task, self.woken.clone())));
        let mut cx = Context::from_waker(&waker);
        if let Work::Accepting(accept) = &mut work {
            match accept.as_mut().poll(&mut cx) {
                Poll::Ready(Ok(stream)) => work = talking(stream),
                Poll::Ready(Err(error)) => {
                    let expected = [ErrorKind::ConnectionAborted, ErrorKind::ConnectionReset];
                    assert!(expected.contains(&error.kind()), "{error}");
                    return;
                }
                Poll::Pending => {}
            }
        }
        if let Work::Talking {
            stream,
            read,
            head,
            said,
        } = &mut work
            && self.talk(stream, read, head, said, &mut cx)
        {
            return;
        }
        self.work.insert(task, work);
    }

    /// Reads to the end and then answers. Says whether it is over.
    fn talk(
        &mut self,
        stream: &Stream,
        read: &mut usize,
        head: &mut [u8; HEAD],
        said: &mut Option<usize>,
        cx: &mut Context<'_>,
    ) -> bool {
        let mut buf = [0; 4096];
        let from = stream.peer_addr().unwrap();
        let id = |head: &[u8; HEAD]| u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        while said.is_none() {
            match Pin::new(&mut &*stream).poll_read(cx, &mut buf) {
                Poll::Pending => return false,
                Poll::Ready(Ok(0)) => {
                    assert!(*read >= HEAD, "an end after {read} bytes");
                    let id = id(head);
                    assert_eq!(*read, length(id), "client {id}: a false end");
                    assert_ne!(
                        fate(id),
                        LinkOutcome::Resets,
                        "client {id}: an end that was a reset"
                    );
                    *said = Some(0);
                }
                Poll::Ready(Ok(n)) => {
                    for &got in &buf[..n] {
                        if let Some(place) = head.get_mut(*read) {
                            *place = got;
                        } else {
                            assert_eq!(got, byte(id(head), *read, false), "another's byte");
                        }
                        *read += 1;
                    }
                    if *read >= HEAD {
                        let id = id(head);
                        assert_eq!(head[4..], (length(id) as u32).to_be_bytes());
                        let client = self.clients.iter().find(|client| client.id == id);
                        let whose = client.map(|client| client.peer.from);
                        // One that resets may be gone.
                        assert!(whose.is_none_or(|whose| whose == from), "on {from}: {id}");
                        assert!(
                            whose.is_some() || fate(id) == LinkOutcome::Resets,
                            "{id} is gone"
                        );
                    }
                }
                Poll::Ready(Err(error)) => {
                    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
                    // Its head need not have been read.
                    assert!(
                        *read < HEAD || fate(id(head)) == LinkOutcome::Resets,
                        "{}",
                        id(head)
                    );
                    self.resets += 1;
                    return true;
                }
            }
        }
        let id = id(head);
        while let Some(at) = said
            && *at < length(id)
        {
            let rest: Vec<u8> = (*at..length(id)).map(|at| byte(id, at, true)).collect();
            match Pin::new(&mut &*stream).poll_write(cx, &rest) {
                Poll::Pending => return false,
                Poll::Ready(written) => *at += written.unwrap(),
            }
        }
        self.served += 1;
        true
    }

    fn run(&mut self) {
        self.woken.lock().unwrap().push(0);
        for place in 0..AT_ONCE.min(self.flows) as usize {
            self.begin(place);
        }
        let mut rounds = 0;
        while self.begun < self.flows || self.clients.iter().any(|client| !client.done) {
            for _ in 0..64 {
                let place = self.rng.below(self.clients.len() as u64) as usize;
                self.step(place);
            }
            self.answer();
            self.application();
            self.answer();
            self.host.pass(Duration::from_micros(500));
            rounds += 1;
            if rounds > 1000 + self.flows {
                let waits = self.clients.iter().find(|client| !client.done).unwrap();
                let (id, fate) = (waits.id, fate(waits.id));
                panic!("client {id} waits for ever: {fate:?}, {waits:?}");
            }
        }
    }
}

fn key(peer: &Peer) -> FlowKey {
    FlowKey::new(peer.from, peer.to).unwrap()
}

#[test]
fn nobody_gets_the_bytes_of_another() {
    let flows = std::env::var("BROOKLET_FLOWS").map_or(20_000, |flows| flows.parse().unwrap());
    let start = Instant::now();
    let mut storm = Storm::new(flows);
    storm.run();
    let count = |wanted| (0..flows).filter(|&id| fate(id) == wanted).count() as u32;
    assert_eq!(storm.served, count(LinkOutcome::Served), "served");
    assert!(
        storm.resets <= count(LinkOutcome::Resets) && storm.resets * 2 > count(LinkOutcome::Resets)
    );
    for _ in 0..2 {
        storm.host.pass(Duration::from_secs(400));
        storm.answer();
        storm.application();
    }
    assert!(
        storm.work.is_empty(),
        "{} connections are held",
        storm.work.len()
    );
    let stats = storm.host.listener().stats();
    assert_eq!(
        (stats.connections, stats.requests, stats.time_wait),
        (0, 0, 0)
    );
    let now = storm.host.now();
    assert_eq!(storm.host.engine.poll_timeout(now), None);
    println!(
        "{flows} connections, {} packets in, {:?}",
        storm.packets,
        start.elapsed()
    );
}
