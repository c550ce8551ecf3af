//! Raw sockets, and packets that the filter diverts to them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/host.rs"]
mod host;
#[path = "support/packets.rs"]
mod packets;
mod support;

use brooklet::filter::{Direction, PassAll, Verdict};
use brooklet::{
    Builder, Checksum, DropReason, Echo, Meta, Offload, Packet, PacketBuf, PacketIo, Parts,
    Protocol, RawConfig, RawPacket, RawSocket, Unreachable,
};
use brooklet_packet::icmp::{self, IcmpErrorKind};
use futures_lite::future::{block_on, or, poll_once};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use host::Host;
use packets::{fragments, ip, ping, syn, udp};
use std::future::poll_fn;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::Duration;
use support::addr;

const ENDS: [(&str, &str); 2] = [
    ("10.0.0.2:5000", "192.0.2.1:53"),
    ("[fd00::2]:5000", "[2001:db8::1]:53"),
];
const GRE: Protocol = Protocol::Other(47);

fn ips((from, to): (&str, &str)) -> (IpAddr, IpAddr) {
    (addr(from).ip(), addr(to).ip())
}

/// What a poll returns now.
fn now<R>(future: impl Future<Output = std::io::Result<R>>) -> Option<R> {
    let mut future = Box::pin(future);
    block_on(poll_once(&mut future)).map(Result::unwrap)
}

fn received(socket: &RawSocket) -> Option<RawPacket> {
    now(socket.recv_packet())
}

fn error(packets: &[Vec<u8>]) -> icmp::IcmpError {
    assert_eq!(packets.len(), 1, "{packets:02x?}");
    icmp::parse_error(&Packet::parse(&packets[0]).unwrap()).expect("an ICMP error")
}

/// Diverts the packets in one direction.
fn diverting(direction: Direction) -> Host<impl Fn(&Packet<'_>, Direction) -> Verdict> {
    let divert = move |_: &Packet<'_>, of: Direction| match of == direction {
        true => Verdict::Divert,
        false => Verdict::Pass,
    };
    Host::new(Builder::new().filter(divert))
}

#[test]
fn a_diverted_packet_goes_to_the_raw_socket_and_nowhere_else() {
    for ends in ENDS {
        let mut host = diverting(Direction::Inbound);
        let (from, to) = (addr(ends.0), addr(ends.1));
        let socket = host.stack.bind_raw(RawConfig::new()).unwrap();
        let whole = udp(from, to, &[7; 3000]);
        let all = [
            syn(from, to, 1),
            udp(from, to, b"x"),
            ping(from.ip(), to.ip(), b"x"),
        ];
        assert!(host.give(&all).is_empty());
        assert!(host.give(fragments(&whole, &[1000, 2000])).is_empty());
        for packet in all.iter().chain([&whole]) {
            let diverted = received(&socket).unwrap();
            assert!(diverted.bytes[20..] == packet[20..] && !diverted.outbound);
        }
        assert!(received(&socket).is_none() && host.datagram().is_none());
        let stats = host.stack.stats();
        assert_eq!((stats.tcp.requested, stats.raw.raw_packets_in), (0, 4));
        assert_eq!(stats.drops().map(|(_, n)| n).sum::<u64>(), 0);

        drop(socket);
        assert!(host.give(&all).is_empty());
        assert_eq!(host.stack.stats().dropped(DropReason::RawNoSocket), 3);
    }
}

#[test]
fn a_packet_of_the_stack_is_diverted_with_its_checksum() {
    for ends in ENDS {
        let mut host = diverting(Direction::Outbound);
        let socket = host.stack.bind_raw(RawConfig::new()).unwrap();
        let (from, to) = (addr(ends.0), addr(ends.1));
        let udp = host.udp.as_ref().unwrap();
        // Longer than the MTU: the packet is diverted before it is fragmented.
        block_on(udp.send_to(&[7; 3000], to, from)).unwrap();
        assert!(host.run().is_empty());
        let diverted = received(&socket).unwrap();
        assert!(diverted.outbound);
        let packet = Packet::parse(&diverted.bytes).unwrap();
        assert!(packet.verify_checksum() && packet.payload() == [7; 3000]);

        let stack = host.stack.clone();
        let mut connect = Box::pin(stack.connect_from(to, from));
        assert!(block_on(poll_once(&mut connect)).is_none());
        assert!(host.run().is_empty());
        let diverted = received(&socket).unwrap();
        let syn = Packet::parse(&diverted.bytes).unwrap();
        assert!(syn.tcp().unwrap().flags.syn() && syn.verify_checksum());
    }
}

#[test]
fn a_raw_socket_can_send_what_was_diverted_to_it() {
    for ends in ENDS {
        let mut host = diverting(Direction::Outbound);
        let socket = host.stack.bind_raw(RawConfig::new()).unwrap();
        let udp = host.udp.as_ref().unwrap();
        block_on(udp.send_to(b"x", addr(ends.1), addr(ends.0))).unwrap();
        assert!(host.run().is_empty());
        let diverted = received(&socket).unwrap();
        block_on(socket.send(&diverted.bytes)).unwrap();
        assert_eq!(host.run(), [diverted.bytes]);
        assert!(received(&socket).is_none());
    }
}

#[test]
fn super_packets_are_diverted_as_the_packets_that_they_stand_for() {
    let all = Offload::new().checksum(true).tso4(true).tso6(true);
    let (here, there) = brooklet::pipe(64);
    // The data of the client, on its way out and on its way in.
    let data = |packet: &Packet<'_>, _: Direction| match packet.payload().len() {
        0..=100 => Verdict::Pass,
        _ => Verdict::Divert,
    };
    let out = Builder::new()
        .filter(data)
        .build(here.with_offload(all))
        .unwrap();
    let server = Builder::new().build(there.with_offload(all)).unwrap();
    let raw = out.stack.bind_raw(RawConfig::new()).unwrap();
    let talk = async {
        let connect = out.stack.connect_from(addr(ENDS[0].0), addr(ENDS[0].1));
        let (stream, accepted) = futures_lite::future::zip(connect, server.tcp.accept()).await;
        let (mut stream, mut peer) = (stream.unwrap(), accepted.unwrap().0);
        for direction in [Direction::Outbound, Direction::Inbound] {
            let sent = [9; 10_000];
            let writer = match direction {
                Direction::Outbound => &mut stream,
                Direction::Inbound => &mut peer,
            };
            writer.write_all(&sent).await.unwrap();
            let mut diverted = 0;
            while diverted < sent.len() {
                let packet = raw.recv_packet().await.unwrap();
                assert_eq!(packet.outbound, direction == Direction::Outbound);
                let packet = Packet::parse(&packet.bytes).unwrap();
                assert!(packet.total_len() <= 1500 && packet.verify_checksum());
                diverted += packet.payload().len();
            }
        }
        let mut end = [0];
        assert!(block_on(poll_once(&mut peer.read(&mut end))).is_none());
        // One segment, whose checksum was left to the device.
        let connect = out.stack.connect_from(addr(ENDS[1].0), addr(ENDS[1].1));
        let (other, accepted) = futures_lite::future::zip(connect, server.tcp.accept()).await;
        let (mut other, _accepted) = (other.unwrap(), accepted.unwrap());
        other.write_all(&[9; 200]).await.unwrap();
        let packet = raw.recv_packet().await.unwrap();
        let packet = Packet::parse(&packet.bytes).unwrap();
        assert!(packet.payload() == [9; 200] && packet.verify_checksum());
    };
    let drivers = futures_lite::future::zip(out.driver, server.driver);
    block_on(or(talk, async { drivers.await.0.unwrap() }));
}

#[test]
fn received_batches_of_datagrams_are_diverted_one_by_one() {
    let (mut wire, device) = brooklet::pipe(8);
    let divert = |_: &Packet<'_>, _: Direction| Verdict::Divert;
    let Parts { stack, driver, .. } = Builder::new().filter(divert).build(device).unwrap();
    let raw = stack.bind_raw(RawConfig::new()).unwrap();
    let (from, to) = (addr(ENDS[0].0), addr(ENDS[0].1));
    let mut packet = PacketBuf::from(udp(from, to, &[7; 2500]));
    packet.set_meta(
        Meta::new()
            .checksum(Checksum::Partial)
            .gso_size(NonZeroU16::new(1000)),
    );
    let read = async {
        poll_fn(|cx| wire.poll_send(cx, &packet)).await.unwrap();
        for len in [1000, 1000, 500] {
            let datagram = raw.recv_packet().await.unwrap();
            let datagram = Packet::parse(&datagram.bytes).unwrap();
            assert!(datagram.verify_checksum() && datagram.payload() == vec![7; len]);
        }
        Ok(())
    };
    block_on(or(read, driver)).unwrap();
}

#[test]
fn a_raw_socket_has_the_protocols_that_it_asks_for() {
    for ends in ENDS {
        let (from, to) = ips(ends);
        let mut host = host::host();
        let packet = ip(from, to, 47, &[7; 64]);
        let unreachable = error(&host.give([&packet]));
        let protocol = IcmpErrorKind::Unreachable(Unreachable::Protocol);
        assert_eq!(unreachable.kind, protocol);

        let config = RawConfig::new().protocol(GRE);
        let socket = host.stack.bind_raw(config).unwrap();
        assert!(host.give([&packet]).is_empty());
        assert_eq!(received(&socket).unwrap().bytes, packet);
        // With the ICMP errors about packets of the protocol.
        let sent = ip(to, from, 47, &[7; 64]);
        let mut unreachable = Vec::new();
        assert!(icmp::error(
            &mut unreachable,
            &Packet::parse(&sent).unwrap(),
            Unreachable::Host
        ));
        assert!(host.give([&unreachable]).is_empty());
        assert_eq!(received(&socket).unwrap().bytes, unreachable);
        // Another protocol is still unknown.
        host.pass(Duration::from_secs(1));
        assert_eq!(host.give([ip(from, to, 132, &[7; 64])]).len(), 1);
        assert_eq!(host.stack.stats().dropped(DropReason::UnknownProtocol), 2);
    }
}

#[test]
fn an_icmp_error_about_a_raw_packet_teaches_no_path_mtu() {
    // The stack does not know what a raw socket has sent, so it cannot tell a forged error.
    let packet_too_big = |sent: &[u8]| {
        let (mut error, mut packet) = (Vec::new(), sent.to_vec());
        if packet[0] >> 4 == 4 {
            packet[6] |= 0x40; // "don't fragment"
            packets::fix(&mut packet);
        }
        let packet = Packet::parse(&packet).unwrap();
        let mtu = 1300;
        assert!(icmp::error(
            &mut error,
            &packet,
            Unreachable::PacketTooBig { mtu }
        ));
        error
    };
    for ends in ENDS {
        let (client, here) = ips(ends);
        let mut host = host::host();
        let config = RawConfig::new().protocol(GRE);
        let socket = host.stack.bind_raw(config).unwrap();
        let sent = ip(here, client, 47, &[7; 1400]);
        block_on(socket.send(&sent)).unwrap();
        assert_eq!(host.run(), [&sent[..]]);
        let error = packet_too_big(&sent);
        assert!(host.give([&error]).is_empty());
        assert_eq!(received(&socket).unwrap().bytes, error);
        assert_eq!(host.stack.path_mtu(client), 1500);
        // An error about an echo request of the stack does.
        let icmp = host.stack.bind_icmp().unwrap();
        let echo = Echo {
            identifier: 1,
            sequence: 1,
        };
        block_on(icmp.send_echo_request(here, client, echo, &[7; 1400])).unwrap();
        let sent = host.run();
        assert!(host.give([packet_too_big(&sent[0])]).is_empty());
        assert_eq!(host.stack.path_mtu(client), 1300);
    }
}

#[test]
fn multicast_and_igmp_reach_a_raw_socket_that_asks_for_them_if_the_filter_passes_them() {
    let igmp = ip(
        addr("10.0.0.2:0").ip(),
        addr("224.0.0.22:0").ip(),
        2,
        &[0x22, 0, 0, 0, 0, 0, 0, 0],
    );
    let mdns = udp(addr("10.0.0.2:5353"), addr("224.0.0.251:5353"), b"who?");
    let mdns_v6 = udp(addr("[fe80::2]:5353"), addr("[ff02::fb]:5353"), b"who?");
    let config = || RawConfig::new().multicast(true);
    let mut host = Host::new(Builder::new().filter(PassAll));
    let socket = host.stack.bind_raw(config()).unwrap();
    for packet in [&igmp, &mdns, &mdns_v6] {
        assert!(host.give([packet]).is_empty());
        assert_eq!(&received(&socket).unwrap().bytes, packet);
    }
    // Datagrams go to the socket for all addresses too.
    assert_eq!(host.datagram().unwrap().to, addr("224.0.0.251:5353"));
    assert_eq!(host.datagram().unwrap().to, addr("[ff02::fb]:5353"));
    assert_eq!(host.stack.stats().drops().map(|(_, n)| n).sum::<u64>(), 0);
    // Unicast does not.
    host.give([udp(addr("10.0.0.2:5353"), addr("192.0.2.1:5353"), b"x")]);
    assert!(received(&socket).is_none());

    let mut host = host::host();
    let socket = host.stack.bind_raw(config()).unwrap();
    assert!(host.give([&igmp, &mdns, &mdns_v6]).is_empty());
    assert!(received(&socket).is_none());
    assert_eq!(host.stack.stats().dropped(DropReason::FilteredIn), 3);
}

#[test]
fn a_packet_of_a_raw_socket_is_judged_once_and_leaves_in_fragments() {
    for ends in ENDS {
        let (here, client) = ips(ends);
        let no_sctp = |packet: &Packet<'_>, _: Direction| match packet.protocol() {
            Protocol::Other(132) => Verdict::Drop,
            _ => Verdict::Pass,
        };
        let mut host = Host::new(Builder::new().filter(no_sctp));
        let socket = host.stack.bind_raw(RawConfig::new()).unwrap();
        let long = ip(here, client, 47, &[7; 4000]);
        let mut dont_fragment = long.clone();
        if here.is_ipv4() {
            dont_fragment[6] = 0x40;
            packets::fix(&mut dont_fragment);
        }
        for packet in [&long, &ip(here, client, 132, &[7; 4000])] {
            block_on(socket.send(packet)).unwrap();
        }
        // The sender of an IPv6 packet may always fragment it.
        let refused = block_on(socket.send(&dont_fragment));
        assert_eq!(refused.is_err(), here.is_ipv4());
        let sent = host.run();
        assert_eq!(sent.len(), if here.is_ipv4() { 3 } else { 6 });
        assert!(sent.iter().all(|fragment| fragment.len() <= 1500));
        let stats = host.stack.stats();
        assert_eq!(stats.dropped(DropReason::TooLong), 0);
        assert_eq!(stats.dropped(DropReason::FilteredOut), 1);
        // Another host puts the packet together again.
        let mut other = host::host();
        let receiver = other
            .stack
            .bind_raw(RawConfig::new().protocol(GRE))
            .unwrap();
        other.give(&sent);
        assert!(received(&receiver).unwrap().bytes[40..] == long[40..]);
    }
}

#[test]
fn the_fragments_of_a_raw_packet_have_its_identification() {
    let (here, client) = ips(ENDS[0]);
    let mut host = host::host();
    let socket = host.stack.bind_raw(RawConfig::new()).unwrap();
    let mut packet = ip(here, client, 47, &[7; 4000]);
    for (id, kept) in [(0x1234, true), (0, false)] {
        packet[4..6].copy_from_slice(&u16::to_be_bytes(id));
        packets::fix(&mut packet);
        block_on(socket.send(&packet)).unwrap();
        let sent = host.run();
        assert_eq!(sent.len(), 3);
        let same = |fragment: &Vec<u8>| fragment[4..6] == id.to_be_bytes();
        assert_eq!(sent.iter().all(same), kept);
    }
}

#[test]
fn the_queues_of_udp_and_of_raw_sockets_take_turns() {
    let mut host = host::host();
    let (here, client) = (addr(ENDS[0].1), addr(ENDS[0].0));
    let socket = host.stack.bind_raw(RawConfig::new()).unwrap();
    let udp = host.udp.as_ref().unwrap();
    for _ in 0..20 {
        block_on(udp.send_to(b"x", here, client)).unwrap();
        let packet = ip(here.ip(), client.ip(), 47, b"x");
        block_on(socket.send(&packet)).unwrap();
    }
    let protocols = host.run().into_iter().map(|packet| packet[9]);
    assert_eq!(protocols.collect::<Vec<_>>(), [17, 47].repeat(20));
}

#[test]
fn a_packet_of_a_raw_or_an_icmp_socket_wakes_the_driver() {
    let (device, mut wire) = brooklet::pipe(8);
    let Parts { stack, driver, .. } = Builder::new().build(device).unwrap();
    let driver = std::thread::spawn(|| block_on(driver));
    let raw = stack.bind_raw(RawConfig::new()).unwrap();
    let icmp = stack.bind_icmp().unwrap();
    let (here, there) = ips(ENDS[0]);
    let echo = Echo {
        identifier: 1,
        sequence: 1,
    };
    let mut packet = PacketBuf::default();
    for nth in 0..4 {
        std::thread::sleep(Duration::from_millis(20)); // the driver falls asleep
        match nth % 2 {
            0 => assert!(block_on(raw.send(&ip(here, there, 47, b"x"))).unwrap() > 0),
            _ => block_on(icmp.send_echo_request(here, there, echo, b"x")).unwrap(),
        }
        let receive = async {
            poll_fn(|cx| wire.poll_recv(cx, &mut packet)).await.unwrap();
            true
        };
        let late = async {
            smol::Timer::after(Duration::from_secs(5)).await;
            false
        };
        assert!(smol::block_on(or(receive, late)), "packet {nth}");
    }
    drop(wire);
    assert!(driver.join().unwrap().is_err());
}

#[test]
fn the_end_of_the_driver_ends_the_sockets() {
    let (device, wire) = brooklet::pipe(1);
    let Parts {
        stack, mut driver, ..
    } = Builder::new().build(device).unwrap();
    let raw = stack.bind_raw(RawConfig::new()).unwrap();
    let icmp = stack.bind_icmp().unwrap();
    let socket = stack.bind_udp(addr("10.0.0.2:53")).unwrap();
    drop(wire);
    // The driver has ended, and is kept.
    assert!(block_on(&mut driver).is_err());
    let down = std::io::ErrorKind::NetworkDown;
    assert_eq!(block_on(raw.recv_packet()).unwrap_err().kind(), down);
    assert_eq!(block_on(icmp.recv()).unwrap_err().kind(), down);
    assert_eq!(block_on(socket.recv(&mut [0])).unwrap_err().kind(), down);
    assert_eq!(stack.bind_raw(RawConfig::new()).unwrap_err().kind(), down);
}
