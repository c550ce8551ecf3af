//! How often a filter judges a packet, and how it is replaced.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/packets.rs"]
mod packets;
mod support;

use brooklet::filter::{Direction, Filter, Ruleset, UnicastOnly, Verdict};
use brooklet::{
    Builder, Offload, Packet, PacketBuf, PacketIo, Parts, QueueParts, SharedFilter, UdpConfig,
};
use futures_lite::future::{block_on, poll_once};
use packets::ping;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use support::addr;

/// A device that takes a packet only when it is offered the 11th time.
struct Slow {
    inbound: Vec<Vec<u8>>,
    offered: usize,
    sent: Vec<Vec<u8>>,
}

impl Slow {
    fn new() -> Self {
        Self {
            inbound: Vec::new(),
            offered: 0,
            sent: Vec::new(),
        }
    }
}

impl PacketIo for Slow {
    fn offload(&self) -> Offload {
        Offload::default()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<()>> {
        let Some(bytes) = self.inbound.pop() else {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        };
        packet.copy_from_slice(&bytes);
        Poll::Ready(Ok(()))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>> {
        self.offered += 1;
        if !self.offered.is_multiple_of(11) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.sent.push(packet.to_vec());
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_packet_that_waits_for_the_device_is_judged_once() {
    let verdicts = Arc::new(AtomicUsize::new(0));
    let counter = verdicts.clone();
    let count = move |_: &Packet<'_>, direction: Direction| {
        counter.fetch_add(
            usize::from(direction == Direction::Outbound),
            Ordering::Relaxed,
        );
        Verdict::Pass
    };
    let Parts {
        mut driver,
        udp,
        tcp: _tcp,
        ..
    } = Builder::new().filter(count).build(Slow::new()).unwrap();
    let request = ping(addr("10.0.0.2:0").ip(), addr("192.0.2.1:0").ip(), b"ping");
    driver.device_mut().inbound.push(request);
    let (from, to) = (addr("192.0.2.1:53"), addr("10.0.0.2:5000"));
    block_on(udp.send_to(b"answer", from, to)).unwrap();
    for _ in 0..30 {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut driver).poll(&mut cx).is_pending());
    }
    let device = driver.device();
    assert_eq!((device.sent.len(), device.offered), (2, 22));
    assert_eq!(verdicts.load(Ordering::Relaxed), 2);
}

#[test]
fn a_super_packet_is_judged_once_while_its_segments_wait() {
    let verdicts = Arc::new(AtomicUsize::new(0));
    let counter = verdicts.clone();
    let count = move |packet: &Packet<'_>, direction: Direction| {
        let data = direction == Direction::Outbound && packet.payload().len() > 1460;
        counter.fetch_add(usize::from(data), Ordering::Relaxed);
        Verdict::Pass
    };
    let (here, there) = brooklet::pipe(1); // a wire that is full most of the time
    let a = Builder::new().filter(count).build(here).unwrap();
    let b = Builder::new().build(there).unwrap();
    let Parts {
        stack, mut driver, ..
    } = a;
    let Parts {
        tcp,
        driver: mut peer,
        udp: _udp,
        ..
    } = b;
    use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
    let talk = async {
        let connect = stack.connect_from(addr("10.0.0.1:1"), addr("192.0.2.1:2"));
        let (client, server) = future::zip(connect, tcp.accept()).await;
        let (mut client, mut server) = (client.unwrap(), server.unwrap().0);
        client.write_all(&[7; 14_000]).await.unwrap();
        server.read_exact(&mut vec![0; 14_000]).await.unwrap();
    };
    let drivers = future::or(&mut driver, &mut peer);
    let drivers = async {
        drivers.await.unwrap_err();
        unreachable!("a driver ended");
    };
    block_on(future::or(talk, drivers));
    // Ten segments are in no more than a few super-packets.
    let judged = verdicts.load(Ordering::Relaxed);
    assert!((1..=4).contains(&judged), "{judged} verdicts");
    assert!(block_on(poll_once(&mut driver)).is_none());
}

#[test]
fn a_filter_replaces_itself_from_within_a_verdict() {
    type Any = Box<dyn Filter + Send + Sync>;
    let shared = SharedFilter::<Any>::new(Box::new(UnicastOnly));
    let handle = shared.clone();
    // A one-time pass: the packet that the verdict is about passes, and no other packet after it.
    let once = move |_: &Packet<'_>, _: Direction| {
        handle.replace(Box::new(|_: &Packet<'_>, _: Direction| Verdict::Drop));
        Verdict::Pass
    };
    shared.replace(Box::new(once));
    let (from, to) = (addr("10.0.0.2:1"), addr("192.0.2.1:2"));
    let bytes = packets::udp(from, to, b"x");
    let packet = Packet::parse(&bytes).unwrap();
    let verdicts = [0; 3].map(|_| shared.verdict(&packet, Direction::Inbound));
    assert_eq!(verdicts, [Verdict::Pass, Verdict::Drop, Verdict::Drop]);
}

#[test]
fn replacing_a_filter_loses_no_packet_that_both_filters_pass() {
    const PACKETS: usize = 20_000;
    // Both pass the packets of the test, and have other rules around that.
    let rules = |text: &str| Arc::new(text.parse::<Ruleset>().unwrap());
    let first = rules("udp dport 3 drop");
    let second = rules("udp dport { 3, 4 } reject\nudp dport 2 pass\npolicy drop");
    let filter = SharedFilter::new(first.clone());
    let (devices, wires): (Vec<_>, Vec<_>) = (0..2).map(|_| brooklet::pipe(64)).unzip();
    let QueueParts {
        stack,
        drivers,
        udp,
        ..
    } = Builder::new()
        .filter(filter.clone())
        .udp_config(
            UdpConfig::new()
                // The packets have one source, which may take three quarters of the queue.
                .inbound_packets(4 * PACKETS)
                .inbound_bytes(1 << 30),
        )
        .build_queues(devices)
        .unwrap();
    std::thread::scope(|scope| {
        for driver in drivers {
            scope.spawn(|| assert!(block_on(driver).is_err(), "the wire ends"));
        }
        let senders = wires.into_iter().map(|mut wire| {
            scope.spawn(move || {
                let packet = packets::udp(addr("10.0.0.2:1"), addr("192.0.2.1:2"), b"x");
                let packet = PacketBuf::from(packet);
                for _ in 0..PACKETS {
                    block_on(poll_fn(|cx| wire.poll_send(cx, &packet))).unwrap();
                }
                wire
            })
        });
        let senders: Vec<_> = senders.collect();
        while !senders.iter().all(|sender| sender.is_finished()) {
            filter.replace(second.clone());
            filter.replace(first.clone());
        }
        // The drivers publish their counters at the end of a turn.
        let stats = || stack.stats();
        let handled = || stats().udp.datagrams_in + stats().drops().map(|(_, n)| n).sum::<u64>();
        while handled() < 2 * PACKETS as u64 {
            std::thread::yield_now();
        }
        drop(udp);
        drop(senders); // and the wires with them
    });
    assert_eq!(stack.stats().udp.datagrams_in, 2 * PACKETS as u64);
}

#[test]
fn a_packet_that_old_and_new_rules_pass_passes_while_they_are_replaced() {
    let texts = [
        "policy drop\nudp dport 53 pass",
        "udp dport 443 reject\nudp dport { 53, 123 } pass\npolicy drop",
    ];
    let rules = texts.map(|text| Arc::new(text.parse::<Ruleset>().unwrap()));
    let shared = SharedFilter::new(rules[0].clone());
    let bytes = packets::udp(addr("10.0.0.2:1"), addr("192.0.2.1:53"), b"x");
    let packet = Packet::parse(&bytes).unwrap();
    let (judged, passed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let replaced = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while replaced.load(Ordering::Relaxed) < 100 {
                let verdict = shared.verdict(&packet, Direction::Inbound);
                passed.fetch_add(usize::from(verdict == Verdict::Pass), Ordering::Relaxed);
                judged.fetch_add(1, Ordering::Relaxed);
            }
        });
        for number in 1..=100 {
            // A verdict or more from each ruleset.
            let before = judged.load(Ordering::Relaxed);
            while judged.load(Ordering::Relaxed) == before {
                std::thread::yield_now();
            }
            shared.replace(rules[number % 2].clone());
            replaced.store(number, Ordering::Relaxed);
        }
    });
    let judged = judged.into_inner();
    assert_eq!(passed.into_inner(), judged);
    let counters = rules.iter().flat_map(|rules| rules.counters());
    let counted: u64 = counters.map(|counters| counters.packets).sum();
    assert_eq!(counted, judged as u64);
}
