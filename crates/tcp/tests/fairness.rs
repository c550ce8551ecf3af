//! One connection with endless data beside a thousand that say little, over a device that takes
//! few packets at a time: how long the little ones wait for their turn, in packets of the busy one.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_packet::Packet;
use brooklet_tcp::{Config, Congestion, Interface, TcpOptions};
use futures_lite::{AsyncRead, AsyncWrite, StreamExt};
use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use support::{Host, SERVER, Stream, addr, now, poll};

const FLOWS: usize = 1000;

/// How often each of them is answered.
const ANSWERS: usize = 4;

/// What the outbound queue holds, in packets of the MTU.
const QUEUE: usize = 512;

/// What a connection may send in one turn, in packets (`QUOTA` of `connection/output.rs`).
const QUOTA: usize = 64;

/// The same of packets that stand for many: 128 KiB and one more (`QUOTA_BYTES`).
const LONG_QUOTA: usize = 3 * (64 * 1024) / 1448;

/// Packets that the device takes before the applications have their turn.
const ROUND: usize = 50;

/// More than the busy one may ever have in the queue.
const WINDOW: usize = 1 << 20;

const BULK_PORT: u16 = 60_000;

/// A connection that asks again once it has been answered.
struct Echo {
    client: Stream,
    server: Stream,
    /// The busy one's packets that had left when the question came, if there is no answer yet.
    asked_at: Option<usize>,
    answers: usize,
}

struct Bench {
    server: Host,
    client: Host,
    /// Pieces of the packet that the device is sending.
    device: VecDeque<Vec<u8>>,
    echoes: Vec<Echo>,
    /// Packets with data of the busy one that have left.
    bulk: usize,
    /// The most of them that left between a question and its answer.
    longest: usize,
}

fn options(buffer: usize) -> TcpOptions {
    TcpOptions::new()
        .recv_buffer(buffer)
        .send_buffer(buffer)
        .congestion(Congestion::None)
}

fn read(mut stream: &Stream, buf: &mut [u8]) -> usize {
    let mut cx = Context::from_waker(Waker::noop());
    match Pin::new(&mut stream).poll_read(&mut cx, buf) {
        Poll::Ready(n) => n.unwrap(),
        Poll::Pending => 0,
    }
}

fn write(mut stream: &Stream, bytes: &[u8]) -> usize {
    let mut cx = Context::from_waker(Waker::noop());
    match Pin::new(&mut stream).poll_write(&mut cx, bytes) {
        Poll::Ready(n) => n.unwrap(),
        Poll::Pending => 0,
    }
}

impl Bench {
    fn new(offload: bool) -> Self {
        let host = |buffer, offload| {
            Host::on(
                Interface::new().offload(offload),
                Config::new()
                    .options(options(buffer))
                    .outbound_packets(QUEUE)
                    .backlog_per_source(Some(2 * FLOWS)),
            )
        };
        Self {
            server: host(4096, offload),
            client: host(WINDOW, false),
            device: VecDeque::new(),
            echoes: Vec::new(),
            bulk: 0,
            longest: 0,
        }
    }

    /// Connects. Returns the client's end and the server's.
    fn connect(&mut self, port: u16, options: TcpOptions) -> (Stream, Stream) {
        let connector = self.client.connector.clone();
        let from = ([10, 0, 0, 2], port).into();
        let mut connect = pin!(connector.connect_from(from, addr(SERVER)));
        assert!(poll(&mut connect).is_pending());
        self.serve();
        let listener = self.server.listener().clone();
        let request = now(listener.requests().next()).unwrap().unwrap();
        let mut accept = pin!(request.accept_with(options));
        assert!(poll(&mut accept).is_pending());
        self.deliver();
        let Poll::Ready(Ok(client)) = poll(&mut connect) else {
            panic!("no answer");
        };
        self.serve();
        (client, now(accept).unwrap())
    }

    /// The way to the server is fast.
    fn serve(&mut self) {
        let at = self.client.now();
        self.client.engine.flush(at);
        while let Some(packets) = self.client.transmit() {
            for packet in packets {
                let parsed = Packet::parse(&packet).unwrap();
                let flow = usize::from(parsed.key().source().port() - 1);
                if !parsed.payload().is_empty() {
                    self.echoes[flow].asked_at.get_or_insert(self.bulk);
                }
                self.server.take_in(packet);
            }
        }
        self.server.engine.flush(at);
    }

    /// The device takes what it can.
    fn deliver(&mut self) {
        for _ in 0..ROUND {
            if self.device.is_empty() {
                let packets = self.server.transmit();
                self.device.extend(packets.into_iter().flatten());
            }
            let Some(packet) = self.device.pop_front() else {
                break;
            };
            let parsed = Packet::parse(&packet).unwrap();
            let flow = parsed.key().destination().port();
            if flow == BULK_PORT {
                self.bulk += usize::from(!parsed.payload().is_empty());
            } else if !parsed.payload().is_empty() {
                let echo = &mut self.echoes[usize::from(flow - 1)];
                let asked_at = echo.asked_at.take().expect("a question");
                self.longest = self.longest.max(self.bulk - asked_at);
                echo.answers += 1;
            }
            self.client.take_in(packet);
        }
        let at = self.server.now();
        self.client.engine.flush(at);
        self.server.engine.flush(at);
    }

    /// Lets every application do what it can: the busy one first.
    fn applications(&mut self, (client, server): &(Stream, Stream)) {
        let mut buf = vec![0; WINDOW];
        while write(server, &buf) > 0 {}
        while read(client, &mut buf) > 0 {}
        for echo in &self.echoes {
            if read(&echo.server, &mut buf[..8]) > 0 {
                assert_eq!(write(&echo.server, b"answered"), 8);
            }
            if read(&echo.client, &mut buf[..8]) > 0 {
                assert_eq!(write(&echo.client, b"question"), 8);
            }
        }
    }
}

/// Runs it until every little connection has been answered so often. Returns the longest wait.
fn longest_wait(offload: bool) -> usize {
    let mut bench = Bench::new(offload);
    for port in 1..=FLOWS as u16 {
        let (client, server) = bench.connect(port, options(4096));
        bench.echoes.push(Echo {
            client,
            server,
            asked_at: None,
            answers: 0,
        });
    }
    let busy = bench.connect(BULK_PORT, options(WINDOW));
    let round = |bench: &mut Bench| {
        bench.applications(&busy);
        bench.serve();
        bench.deliver();
        bench.server.pass(Duration::from_millis(1));
        bench.client.pass(Duration::from_millis(1));
    };
    // The busy one gets going, and fills the queue.
    for _ in 0..50 {
        round(&mut bench);
    }
    for echo in &bench.echoes {
        assert_eq!(write(&echo.client, b"question"), 8);
    }
    let before = bench.bulk;
    let mut rounds = 0;
    while bench.echoes.iter().any(|echo| echo.answers < ANSWERS) {
        round(&mut bench);
        rounds += 1;
        assert!(rounds < 2_000, "somebody starves");
    }
    let bulk = bench.bulk - before;
    let most = bench.echoes.iter().map(|echo| echo.answers).max();
    println!(
        "offload {offload}: the longest wait was for {} packets of the busy connection; in {rounds} \
         rounds of {ROUND} packets it sent {bulk}, and each other between {ANSWERS} and {most:?}",
        bench.longest,
    );
    assert!(most < Some(2 * ANSWERS), "some are answered far more often");
    // The busy one does not starve either.
    assert!(
        bulk >= ANSWERS * QUOTA,
        "{bulk} packets while each had {ANSWERS} answers"
    );
    bench.longest
}

#[test]
fn nobody_waits_for_more_than_the_queue_and_one_turn() {
    let longest = longest_wait(false);
    assert!(longest <= QUEUE + QUOTA, "{longest} packets");
    // The busy one did fill it.
    assert!(longest > QUEUE / 2, "{longest} packets");
}

#[test]
fn nor_with_packets_that_stand_for_many() {
    let longest = longest_wait(true);
    // The queue may be over its bound by one of the long ones.
    assert!(longest <= QUEUE + LONG_QUOTA, "{longest} packets");
}
