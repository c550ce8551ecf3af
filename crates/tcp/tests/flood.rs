//! SYNs without end, from everywhere and from one place, without SYN cookies.
//!
//! ```sh
//! cargo test --release -p brooklet-tcp --test flood -- --nocapture
//! ```
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::disallowed_methods, reason = "it says what a SYN costs")]

mod support;

use brooklet_packet::Headers;
use brooklet_tcp::{Config, TcpOptions};
use futures_lite::StreamExt;
use std::time::{Duration, Instant};
use support::*;

/// SYNs that come between two packets of an honest client: 100,000 a second, a TUN's round trip.
const BETWEEN: usize = 100;

/// A SYN of which each has another source, or each the same.
fn flood(n: usize, spoofed: bool) -> Vec<u8> {
    let (host, port) = if spoofed {
        (n, 1024)
    } else {
        (0, 1024 + n % 60_000)
    };
    let from = format!(
        "11.{}.{}.{}:{port}",
        host >> 16 & 255,
        host >> 8 & 255,
        host & 255
    );
    Peer::new(&from, SERVER).syn()
}

struct Flood {
    host: Host,
    spoofed: bool,
    sent: usize,
    spent: Duration,
}

impl Flood {
    fn new(spoofed: bool) -> Self {
        let options = TcpOptions::new().recv_buffer(2048).send_buffer(2048);
        let config = Config::new().options(options).syn_cookies(false);
        Self {
            host: Host::new(config),
            spoofed,
            sent: 0,
            spent: Duration::ZERO,
        }
    }

    /// `count` SYNs, 10 us apart.
    fn rages(&mut self, count: usize) {
        for _ in 0..count.div_ceil(BETWEEN) {
            let (spoofed, sent) = (self.spoofed, self.sent);
            let packets: Vec<_> = (sent..sent + BETWEEN).map(|n| flood(n, spoofed)).collect();
            self.sent += BETWEEN;
            let now = self.host.now();
            let start = Instant::now();
            for packet in packets {
                let headers = Headers::parse(&packet).unwrap();
                self.host.engine.handle_packet(now, &packet, &headers);
            }
            self.host.engine.flush(now);
            self.spent += start.elapsed();
            self.host.pass(Duration::from_millis(1));
        }
    }

    fn report(&self, what: &str) {
        let each = self.spent / self.sent as u32;
        println!("{what}: {} SYNs, {each:?} each", self.sent);
    }
}

#[test]
fn a_flood_that_nobody_answers_is_bounded() {
    for spoofed in [true, false] {
        let mut flood = Flood::new(spoofed);
        flood.rages(200_000);
        flood.report(if spoofed {
            "every source"
        } else {
            "one source"
        });
        let stats = flood.host.listener().stats();
        let most = 4096;
        assert_eq!(stats.requests, most);
        // One source sends some of its SYNs again.
        let new = 200_000 - stats.repeated_syns;
        assert_eq!(stats.requested, new);
        assert_eq!(stats.requested, stats.backlog_full + most + stats.expired);
        flood.host.pass(Duration::from_secs(17));
        assert_eq!(flood.host.listener().stats().requests, 0);
        flood.host.silent();
    }
}

/// The program takes every request and answers none: what it works on keeps its place.
#[test]
fn a_flood_of_requests_that_the_program_works_on_is_over_when_they_expire() {
    for spoofed in [true, false] {
        let mut flood = Flood::new(spoofed);
        let mut held = Vec::new();
        for _ in 0..100 {
            flood.rages(BETWEEN);
            let listener = flood.host.listener();
            let mut requests = listener.requests();
            while let std::task::Poll::Ready(next) = poll(&mut requests.next()) {
                held.push(next.unwrap().unwrap());
            }
        }
        assert_eq!(held.len(), 4096);
        let stats = flood.host.listener().stats();
        assert_eq!((stats.requests, stats.backlog_full), (4096, 10_000 - 4096));
        let honest = Peer::new("10.0.0.2:1", SERVER);
        flood.host.tx(honest.syn());
        assert!(pends(flood.host.listener().requests().next()));
        // Nobody has repeated a SYN of the flood.
        flood.host.pass(Duration::from_secs(16));
        flood.host.tx(honest.syn());
        let request = now(flood.host.listener().requests().next())
            .unwrap()
            .unwrap();
        assert_eq!(request.peer_addr(), honest.from);
    }
}

#[test]
fn an_honest_client_gets_through_a_flood() {
    for spoofed in [true, false] {
        let mut flood = Flood::new(spoofed);
        let mut slowest = Duration::ZERO;
        for n in 0..200 {
            let mut peer = Peer::new(&format!("10.0.0.2:{}", 1000 + n), SERVER);
            let asked = flood.host.now();
            flood.host.tx(peer.syn());
            let stream = loop {
                // The application is there each millisecond; so is the device.
                if let std::task::Poll::Ready(accepted) =
                    poll(&mut Box::pin(flood.host.listener().accept()))
                {
                    break accepted.unwrap().0;
                }
                for seg in flood.host.all() {
                    if seg.key.destination() == peer.from {
                        assert!(seg.flags.syn(), "client {n}: {seg:?}");
                        peer.seq = seg.ack;
                        peer.ack = seg.seq.wrapping_add(1);
                        flood.host.tx(peer.seg(ACK, &[]));
                    }
                }
                flood.rages(BETWEEN);
                assert!(flood.host.now() < asked + SECOND, "client {n} is shut out");
            };
            assert_eq!(stream.peer_addr().unwrap(), peer.from);
            slowest = slowest.max(flood.host.now() - asked);
            stream.abort();
        }
        let stats = flood.host.listener().stats();
        println!("{} SYNs, {slowest:?} at most, {stats:?}", flood.sent);
        assert!(slowest <= Duration::from_millis(100), "{slowest:?}");
    }
}
