//! Verdicts that answer: the sender of a rejected packet is told, in both directions.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/host.rs"]
mod host;
#[path = "support/packets.rs"]
mod packets;
mod support;

use brooklet::filter::{Direction, Reject, Verdict};
use brooklet::{Builder, DropReason, Packet, Protocol, TcpFlags, TcpHeader, Unreachable};
use brooklet_packet::icmp::{self, IcmpErrorKind};
use brooklet_packet::tcp;
use futures_lite::future::{block_on, poll_once};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use host::Host;
use packets::{ping, syn, udp};
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use support::addr;

const ENDS: [(&str, &str); 2] = [
    ("10.0.0.2:5000", "192.0.2.1:443"),
    ("[fd00::2]:5000", "[2001:db8::1]:443"),
];

/// A filter with one verdict for every packet in one direction.
fn always(
    direction: Direction,
    verdict: Verdict,
) -> impl Fn(&Packet<'_>, Direction) -> Verdict + Clone {
    move |_: &Packet<'_>, of: Direction| match of == direction {
        true => verdict,
        false => Verdict::Pass,
    }
}

/// A stack whose filter rejects every packet in one direction.
fn rejecting(
    direction: Direction,
    reject: Reject,
) -> Host<impl Fn(&Packet<'_>, Direction) -> Verdict> {
    Host::new(Builder::new().filter(always(direction, Verdict::Reject(reject))))
}

fn error(packets: &[Vec<u8>]) -> icmp::IcmpError {
    assert_eq!(packets.len(), 1, "{packets:02x?}");
    icmp::parse_error(&Packet::parse(&packets[0]).unwrap()).expect("an ICMP error")
}

#[test]
fn a_rejected_syn_gets_a_rst_and_any_other_packet_port_unreachable() {
    for (from, to) in ENDS {
        let mut host = rejecting(Direction::Inbound, Reject::TcpReset);
        let (from, to) = (addr(from), addr(to));
        let sent = host.give([syn(from, to, 7)]);
        let reset = Packet::parse(&sent[0]).unwrap();
        assert!(reset.verify_checksum());
        assert_eq!(
            (reset.key().source(), reset.key().destination()),
            (to, from)
        );
        let header = reset.tcp().unwrap();
        assert_eq!(header.flags, TcpFlags::RST | TcpFlags::ACK);
        assert_eq!((header.seq, header.ack), (0, 8));

        let error_of_udp = error(&host.give([udp(from, to, b"initial")]));
        let port = IcmpErrorKind::Unreachable(Unreachable::Port);
        assert_eq!(
            (error_of_udp.kind, error_of_udp.protocol),
            (port, Protocol::Udp)
        );
        assert_eq!(error_of_udp.key.source(), from);
        assert_eq!(error_of_udp.key.destination(), to);
        let echo = error(&host.give([ping(from.ip(), to.ip(), b"ping")]));
        assert_eq!(echo.kind, port);

        let stats = host.stack.stats();
        assert_eq!(stats.dropped(DropReason::RejectedIn), 3);
        assert_eq!(stats.drops().map(|(_, n)| n).sum::<u64>(), 3);
        assert_eq!((stats.tcp.requested, stats.udp.datagrams_in), (0, 0));
    }
}

#[test]
fn a_packet_is_rejected_with_the_icmp_error_that_the_verdict_names() {
    for (from, to) in ENDS {
        for why in [
            Unreachable::Network,
            Unreachable::Host,
            Unreachable::Port,
            Unreachable::Protocol,
            Unreachable::Prohibited,
        ] {
            let mut host = rejecting(Direction::Inbound, Reject::Icmp(why));
            let (from, to) = (addr(from), addr(to));
            for packet in [syn(from, to, 7), udp(from, to, b"initial")] {
                let error = error(&host.give([packet]));
                assert_eq!(error.kind, IcmpErrorKind::Unreachable(why));
            }
        }
    }
}

#[test]
fn a_rejected_packet_that_is_damaged_or_must_not_be_answered_is_not() {
    for (from, to) in ENDS {
        let mut host = rejecting(Direction::Inbound, Reject::TcpReset);
        let (from, to) = (addr(from), addr(to));
        let mut damaged = udp(from, to, b"initial");
        *damaged.last_mut().unwrap() ^= 1;
        let group = match from.is_ipv4() {
            true => addr("224.0.0.251:443"),
            false => addr("[ff02::fb]:443"),
        };
        let reset = {
            let answers = host.give([syn(from, to, 7)]);
            // As it would look from the other end.
            let mut other = rejecting(Direction::Inbound, Reject::TcpReset);
            assert!(other.give(&answers).is_empty(), "a RST answers a RST");
            answers
        };
        let error = host.give([udp(from, to, b"initial")]);
        for packet in [damaged, udp(from, group, b"initial")]
            .into_iter()
            .chain(reset)
            .chain(error)
        {
            assert!(host.give([&packet]).is_empty(), "{packet:02x?}");
        }
        let stats = host.stack.stats();
        assert_eq!(stats.dropped(DropReason::BadChecksum), 1);
        assert_eq!(stats.dropped(DropReason::RejectedIn), 5);
    }
}

#[test]
fn icmp_errors_of_rejects_are_sent_at_a_limited_rate_and_rsts_are_not() {
    let mut host = rejecting(Direction::Inbound, Reject::TcpReset);
    let (from, to) = (addr(ENDS[0].0), addr(ENDS[0].1));
    let errors = host.give((0..200).map(|_| udp(from, to, b"initial")));
    assert_eq!(errors.len(), 50);
    assert_eq!(host.stack.stats().dropped(DropReason::IcmpLimited), 150);
    assert_eq!(host.give((0..200).map(|n| syn(from, to, n))).len(), 200);
}

#[test]
fn a_source_of_rejected_packets_takes_no_icmp_error_of_another_source() {
    for (flood, client, to) in [
        ("10.0.0.66:1", "10.0.0.7:5000", ENDS[0].1),
        ("[fd00:66::1]:1", "[fd00:7::1]:5000", ENDS[1].1),
    ] {
        let mut host = rejecting(Direction::Inbound, Reject::TcpReset);
        let (flood, client, to) = (addr(flood), addr(client), addr(to));
        for ms in 0..1000 {
            host.give((0..5).map(|_| udp(flood, to, b"flood")));
            if ms % 100 == 50 {
                let refused = error(&host.give([udp(client, to, b"x")]));
                assert_eq!(refused.key.source(), client);
            }
            host.advance(Duration::from_millis(1));
        }
        assert!(host.stack.stats().dropped(DropReason::IcmpLimited) > 4000);
    }
}

#[test]
fn path_mtu_discovery_has_no_rate_limit() {
    let mut host = host::host();
    let (from, to) = (addr(ENDS[1].0), addr(ENDS[1].1));
    host.stack.set_path_mtu(to.ip(), Some(1280));
    let long = udp(from, to, &[7; 1400]);
    let too_big = IcmpErrorKind::Unreachable(Unreachable::PacketTooBig { mtu: 1280 });
    for _ in 0..600 {
        assert_eq!(error(&host.give([&long])).kind, too_big);
    }
    let long = Packet::parse(&long).unwrap();
    for _ in 0..600 {
        host.stack.send_error(&long, too_big).unwrap();
        assert_eq!(error(&host.run()).kind, too_big);
    }
    assert_eq!(host.stack.stats().dropped(DropReason::IcmpLimited), 0);
}

#[test]
fn a_connect_that_the_filter_rejects_fails_at_once() {
    for (from, to) in ENDS {
        for (reject, kind) in [
            (Reject::TcpReset, ErrorKind::ConnectionRefused),
            (Reject::Icmp(Unreachable::Host), ErrorKind::HostUnreachable),
            (
                Reject::Icmp(Unreachable::Network),
                ErrorKind::NetworkUnreachable,
            ),
        ] {
            let mut host = rejecting(Direction::Outbound, reject);
            let stack = host.stack.clone();
            let mut connect = Box::pin(stack.connect_from(addr(from), addr(to)));
            assert!(block_on(poll_once(&mut connect)).is_none());
            assert!(host.run().is_empty());
            let failed = block_on(poll_once(&mut connect)).expect("at once");
            assert_eq!(failed.unwrap_err().kind(), kind);
            let stats = host.stack.stats();
            assert_eq!(stats.dropped(DropReason::RejectedOut), 1, "the SYN alone");
            assert_eq!(stats.packets_out, 0);
            assert_eq!(stats.icmp_errors, 0, "no error was received");
        }
    }
}

#[test]
fn a_connection_whose_data_the_filter_rejects_is_reset() {
    let (from, to) = (addr(ENDS[0].0), addr(ENDS[0].1));
    let no_data = |packet: &Packet<'_>, direction: Direction| match direction {
        Direction::Outbound if packet.payload().len() > 100 => Verdict::Reject(Reject::TcpReset),
        _ => Verdict::Pass,
    };
    let (here, there) = brooklet::pipe(64);
    let client = Builder::new().filter(no_data).build(here).unwrap();
    let server = Builder::new().build(there).unwrap();
    let talk = async {
        let connect = client.stack.connect_from(from, to);
        let (stream, accepted) = futures_lite::future::zip(connect, server.tcp.accept()).await;
        let (mut stream, (mut peer, _)) = (stream.unwrap(), accepted.unwrap());
        stream.write_all(b"short").await.unwrap();
        peer.read_exact(&mut [0; 5]).await.unwrap();
        let mut end = [0];
        // The super-packet of the whole write is rejected, and nothing of it is sent.
        stream.write_all(&[7; 10_000]).await.unwrap();
        let failed = stream.read(&mut end).await.unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::ConnectionReset);
    };
    let drivers = futures_lite::future::zip(client.driver, server.driver);
    block_on(futures_lite::future::or(talk, async {
        drivers.await.0.unwrap();
    }));
    assert_eq!(
        client.stack.stats().dropped(DropReason::RejectedOut),
        1,
        "one super-packet"
    );
}

#[test]
fn a_rejected_packet_that_waits_for_no_answer_is_one_drop() {
    for (from, to) in ENDS {
        for reject in [Reject::TcpReset, Reject::Icmp(Unreachable::Host)] {
            let mut host = rejecting(Direction::Outbound, reject);
            let (from, to) = (addr(from), addr(to));
            // An echo reply and an ICMP error of the driver, and a packet of a raw socket.
            assert!(host.give([ping(from.ip(), to.ip(), b"x")]).is_empty());
            drop(host.udp.take());
            assert!(host.give([udp(from, to, b"x")]).is_empty());
            let raw = host.stack.bind_raw(brooklet::RawConfig::new()).unwrap();
            block_on(raw.send(&packets::ip(to.ip(), from.ip(), 47, b"x"))).unwrap();
            assert!(host.run().is_empty());
            let stats = host.stack.stats();
            let drops: Vec<_> = stats.drops().filter(|(_, n)| *n > 0).collect();
            let received = (DropReason::UdpNoListener, 1);
            assert_eq!(drops, [(DropReason::RejectedOut, 3), received]);
        }
    }
}

/// Counts how often it is woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn an_answer_takes_effect_before_the_driver_sleeps() {
    let (from, to) = (addr(ENDS[0].0), addr(ENDS[0].1));
    let rejects = Arc::new(AtomicBool::new(false));
    let flag = rejects.clone();
    let mut host = Host::new(Builder::new().filter_fn(move |_, direction| {
        match direction == Direction::Outbound && flag.load(Ordering::Relaxed) {
            true => Verdict::Reject(Reject::TcpReset),
            false => Verdict::Pass,
        }
    }));
    let stack = host.stack.clone();
    let mut connect = Box::pin(stack.connect_from(from, to));
    assert!(block_on(poll_once(&mut connect)).is_none());
    let syn = host.run();
    let syn = Packet::parse(&syn[0]).unwrap();
    let ack = syn.tcp().unwrap().seq.wrapping_add(1);
    let segment = |seq, flags, payload: &[u8]| {
        let (mut out, key) = (Vec::new(), syn.key().reversed());
        let window = 60_000;
        let header = TcpHeader {
            seq,
            ack,
            flags,
            window,
        };
        tcp::write(&mut out, key, header, &[], 64, payload).unwrap();
        out
    };
    host.give([segment(7, TcpFlags::SYN | TcpFlags::ACK, b"")]);
    let mut stream = block_on(connect).unwrap();
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(wakes.clone());
    let mut cx = Context::from_waker(&waker);
    let mut buf = [0];
    let mut read = stream.read(&mut buf);
    assert!(Pin::new(&mut read).poll(&mut cx).is_pending());
    rejects.store(true, Ordering::Relaxed);
    // Data that is out of order is acknowledged at once. The ACK is rejected at the end of the poll.
    assert!(
        host.give([segment(100, TcpFlags::ACK, b"later")])
            .is_empty()
    );
    assert_eq!(host.stack.stats().dropped(DropReason::RejectedOut), 1);
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    let Poll::Ready(ended) = Pin::new(&mut read).poll(&mut cx) else {
        panic!("the connection was reset");
    };
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_rejected_syn_ack_ends_the_half_open_connection() {
    let mut host = rejecting(Direction::Outbound, Reject::TcpReset);
    let listener = host.tcp.take().unwrap();
    host.give([syn(addr(ENDS[0].0), addr(ENDS[0].1), 7)]);
    let mut accept = Box::pin(listener.accept());
    assert!(block_on(poll_once(&mut accept)).is_none());
    assert!(host.run().is_empty());
    assert_eq!(host.stack.stats().tcp.connections, 0);
    assert!(host.pass(Duration::from_secs(5)).is_empty());
    let stats = host.stack.stats();
    assert_eq!(stats.dropped(DropReason::RejectedOut), 1, "{stats}");
}
