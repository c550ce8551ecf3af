//! Further cases: what the stack sends in answer by itself. ICMP replies and errors, and the fields
//! of their IP headers.

use super::icmp::NO_UDP;
use super::{Case, case};
use crate::app::{ECHO, ECHO_ONCE, NOBODY, Setup, Udp, pattern};
use crate::backend::{BackendKind, CLIENT, CLIENT6, SERVER, SERVER6};
use crate::cases::Known;
use crate::fragments::{piece, pieces};
use crate::packet::{ICMP, ICMPV6, Packet, RST, UDP, icmp, ip, udp};
use crate::wire::{Done, Wire, check, ms};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

const BOUND: Setup = Setup {
    udp: Udp::Bound,
    ..Setup::DEFAULT
};
const SHORT_REASSEMBLY: Setup = Setup {
    udp: Udp::Nobody,
    reassembly: Some(Duration::from_secs(1)),
    ..Setup::DEFAULT
};

pub(super) const CASES: &[Case] = &[
    case("F200", "an echo reply has the DSCP of its request", f200),
    case("F201", "replies and errors have a hop limit of 64", f201).with(NO_UDP),
    case(
        "F202",
        "no time exceeded from a host, whatever the hop limit",
        f202,
    ),
    case(
        "F203",
        "a UDP socket that was closed: port unreachable from then on",
        f203,
    )
    .with(BOUND),
    case(
        "F204",
        "IPv6: no ICMP error about a multicast, a later fragment, a source of none",
        f204,
    )
    .with(NO_UDP),
    case(
        "F205",
        "no time exceeded about an ICMP error in fragments",
        f205,
    )
    .with(SHORT_REASSEMBLY),
    case(
        "F206",
        "an ICMP error quotes what fits 576 bytes (RFC 1812, 4.3.2.3)",
        f206,
    )
    .with(NO_UDP),
    case(
        "F207",
        "port unreachable about a datagram that came in fragments",
        f207,
    )
    .with(NO_UDP),
    case(
        "F208",
        "an echo request with a wrong checksum: dropped",
        f208,
    ),
    case(
        "F209",
        "an echo request to broadcast or multicast: no reply (RFC 1122, 3.2.2.6)",
        f209,
    ),
    case(
        "F210",
        "echo replies and unknown ICMP messages that nobody asked for: nothing",
        f210,
    ),
    case(
        "F211",
        "ICMP errors are limited in their rate (RFC 4443, 2.4)",
        f211,
    )
    .with(NO_UDP)
    .known(&[Known::NotRun(
        BackendKind::Linux,
        "has no limit here, so that the other cases get their errors",
    )]),
];

/// The addresses of both families, the protocol of ICMP, and the types of echo request and reply.
fn families() -> [(IpAddr, IpAddr, u8, u8, u8); 2] {
    [
        (CLIENT.into(), SERVER.into(), ICMP, 8, 0),
        (CLIENT6.into(), SERVER6.into(), ICMPV6, 128, 129),
    ]
}

/// Changes the type of service or the traffic class.
fn set_traffic_class(packet: &mut [u8], class: u8) {
    if packet[0] >> 4 == 4 {
        packet[1] = class;
        crate::packet::fill_header_checksum(packet);
    } else {
        packet[0] = packet[0] & 0xf0 | class >> 4;
        packet[1] = packet[1] & 0x0f | class << 4;
    }
}

fn traffic_class(packet: &[u8]) -> u8 {
    if packet[0] >> 4 == 4 {
        packet[1]
    } else {
        packet[0] << 4 | packet[1] >> 4
    }
}

fn set_hop_limit(packet: &mut [u8], hop_limit: u8) {
    if packet[0] >> 4 == 4 {
        packet[8] = hop_limit;
        crate::packet::fill_header_checksum(packet);
    } else {
        packet[7] = hop_limit;
    }
}

fn hop_limit(packet: &Packet) -> u8 {
    packet.bytes[if packet.from.is_ipv4() { 8 } else { 7 }]
}

/// The next ICMP message, of this type and code.
fn expect_icmp(wire: &mut Wire, kind: u8, code: u8) -> Result<Packet, String> {
    let packet = wire.expect("an ICMP message", |packet| {
        packet.icmp().map(|_| packet.clone())
    })?;
    let message = packet.icmp().ok_or("no message")?;
    check!(
        (message.kind, message.code) == (kind, code),
        "{}/{} for {kind}/{code}",
        message.kind,
        message.code
    );
    Ok(packet)
}

fn f200(wire: &mut Wire) -> Done {
    for (from, to, protocol, request, reply) in families() {
        // Expedited forwarding, class selector 6, a low-priority class: with the ECN bits 00.
        for class in [46 << 2, 48 << 2, 8 << 2, 0] {
            let mut packet = ip(from, to, protocol, &icmp(from, to, request, 0, &[1; 20]));
            set_traffic_class(&mut packet, class);
            wire.tx(&packet)?;
            let answer = expect_icmp(wire, reply, 0)?;
            let answered = traffic_class(&answer.bytes);
            check!(answered == class, "{answered:#x} in answer to {class:#x}");
        }
    }
    Ok(())
}

fn f201(wire: &mut Wire) -> Done {
    let mut all = Vec::new();
    for (from, to, protocol, request, reply) in families() {
        let mut packet = ip(from, to, protocol, &icmp(from, to, request, 0, &[1; 20]));
        set_hop_limit(&mut packet, 200);
        wire.tx(&packet)?;
        all.push(expect_icmp(wire, reply, 0)?);
        let (client, port) = (SocketAddr::new(from, 4000), SocketAddr::new(to, NOBODY));
        let mut packet = ip(from, to, UDP, &udp(client, port, b"anybody?"));
        set_hop_limit(&mut packet, 3);
        wire.tx(&packet)?;
        let (kind, code) = if to.is_ipv4() { (3, 3) } else { (1, 4) };
        all.push(expect_icmp(wire, kind, code)?);
    }
    for peer in [wire.peer(NOBODY), wire.peer6(NOBODY)] {
        peer.syn(wire)?;
        let reset = wire.expect("a reset", |packet| {
            peer.of(packet)
                .filter(|seg| seg.has(RST))
                .map(|_| packet.clone())
        })?;
        all.push(reset);
    }
    for packet in all {
        let hop_limit = hop_limit(&packet);
        check!(hop_limit == 64, "{hop_limit} in {}", packet.show());
    }
    Ok(())
}

fn f202(wire: &mut Wire) -> Done {
    for (from, to, protocol, request, reply) in families() {
        for hop_limit in [1, 0] {
            let mut packet = ip(from, to, protocol, &icmp(from, to, request, 0, &[1; 20]));
            set_hop_limit(&mut packet, hop_limit);
            wire.tx(&packet)?;
            expect_icmp(wire, reply, 0)?;
            let (client, port) = (SocketAddr::new(from, 4000), SocketAddr::new(to, ECHO));
            let mut packet = ip(from, to, UDP, &udp(client, port, b"last hop"));
            set_hop_limit(&mut packet, hop_limit);
            wire.tx(&packet)?;
            wire.expect("the echo", |packet| packet.udp().map(drop))?;
            wire.silent("what was served")?;
        }
    }
    Ok(())
}

fn f203(wire: &mut Wire) -> Done {
    for (from, to, ..) in families() {
        let (client, port) = (SocketAddr::new(from, 4000), SocketAddr::new(to, ECHO_ONCE));
        let packet = ip(from, to, UDP, &udp(client, port, b"once"));
        wire.tx(&packet)?;
        wire.expect("the echo", |packet| packet.udp().map(drop))?;
        wire.collect(ms(50))?;
        wire.tx(&packet)?;
        let (kind, code) = if to.is_ipv4() { (3, 3) } else { (1, 4) };
        let error = expect_icmp(wire, kind, code)?;
        check!(
            error.icmp().is_some_and(|error| error.body[4..] == packet),
            "another packet is quoted"
        );
        // Another socket of the same address goes on.
        let port = SocketAddr::new(to, ECHO);
        wire.tx(&ip(from, to, UDP, &udp(client, port, b"open")))?;
        wire.expect("the echo", |packet| packet.udp().map(drop))?;
    }
    Ok(())
}

fn f204(wire: &mut Wire) -> Done {
    let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let (from, to): (IpAddr, IpAddr) = (CLIENT6.into(), SERVER6.into());
    for (from, to) in [
        (from, all_nodes.into()),
        (Ipv6Addr::UNSPECIFIED.into(), to),
        (all_nodes.into(), to),
    ] {
        let ends = (SocketAddr::new(from, 4000), SocketAddr::new(to, NOBODY));
        wire.tx(&ip(from, to, UDP, &udp(ends.0, ends.1, b"anybody?")))?;
    }
    let ends = (SocketAddr::new(from, 4000), SocketAddr::new(to, NOBODY));
    let datagram = udp(ends.0, ends.1, b"anybody?");
    wire.tx(&piece((from, to), UDP, 204, (800, false), &datagram))?;
    wire.silent("an ICMPv6 error that must not be")?;
    // About the same datagram to the server alone there is one.
    wire.tx(&ip(from, to, UDP, &datagram))?;
    expect_icmp(wire, 1, 4).map(drop)
}

fn f205(wire: &mut Wire) -> Done {
    for (from, to, protocol, request, _) in families() {
        let unreachable = if from.is_ipv4() { (3, 3) } else { (1, 4) };
        let expired = if from.is_ipv4() { (11, 1) } else { (3, 1) };
        let error = icmp(from, to, unreachable.0, unreachable.1, &pattern(600));
        wire.tx(&pieces((from, to), protocol, 205, &error, 400)[0])?;
        check!(
            wire.collect(ms(2500))?.is_empty(),
            "an error about an ICMP error"
        );
        // An echo request is due one.
        let request = icmp(from, to, request, 0, &pattern(600));
        wire.tx(&pieces((from, to), protocol, 206, &request, 400)[0])?;
        wire.find(ms(2500), |packet| {
            packet
                .icmp()
                .filter(|message| (message.kind, message.code) == expired)
                .map(drop)
        })?
        .ok_or("no error about an echo request")?;
    }
    Ok(())
}

fn f206(wire: &mut Wire) -> Done {
    let (from, to) = (wire.client(), SocketAddr::from((SERVER, NOBODY)));
    let packet = ip(from.ip(), to.ip(), UDP, &udp(from, to, &pattern(1400)));
    wire.tx(&packet)?;
    let error = expect_icmp(wire, 3, 3)?;
    check!(
        error.bytes.len() == 576,
        "an error of {} bytes",
        error.bytes.len()
    );
    check!(
        error.bytes[28..] == packet[..548],
        "another packet is quoted"
    );
    Ok(())
}

fn f207(wire: &mut Wire) -> Done {
    for (from, to, ..) in families() {
        let (client, port) = (SocketAddr::new(from, 4000), SocketAddr::new(to, NOBODY));
        let datagram = udp(client, port, &pattern(3000));
        for part in pieces((from, to), UDP, 207, &datagram, 1000) {
            wire.tx(&part)?;
        }
        let (kind, code, header) = if to.is_ipv4() { (3, 3, 20) } else { (1, 4, 40) };
        let error = expect_icmp(wire, kind, code)?;
        let quoted = &error.icmp().ok_or("no error")?.body[4 + header..];
        // The transport header is the part that the sender needs.
        check!(
            quoted.len() >= 500 && quoted[..500] == datagram[..500],
            "{} bytes are quoted, or others",
            quoted.len()
        );
    }
    Ok(())
}

fn f208(wire: &mut Wire) -> Done {
    for (from, to, protocol, request, reply) in families() {
        let mut message = icmp(from, to, request, 0, &pattern(20));
        message[10] ^= 1;
        wire.tx(&ip(from, to, protocol, &message))?;
        wire.silent("a wrong checksum")?;
        message[10] ^= 1;
        wire.tx(&ip(from, to, protocol, &message))?;
        expect_icmp(wire, reply, 0)?;
    }
    Ok(())
}

fn f209(wire: &mut Wire) -> Done {
    let from = CLIENT.into();
    for to in [Ipv4Addr::BROADCAST, Ipv4Addr::new(224, 0, 0, 1)] {
        let message = icmp(from, to.into(), 8, 0, &pattern(20));
        wire.tx(&ip(from, to.into(), ICMP, &message))?;
    }
    wire.silent("an echo request to many")?;
    let to = SERVER.into();
    wire.tx(&ip(from, to, ICMP, &icmp(from, to, 8, 0, &pattern(20))))?;
    expect_icmp(wire, 0, 0).map(drop)
}

fn f210(wire: &mut Wire) -> Done {
    for (from, to, protocol, request, reply) in families() {
        // An information message of a type that nobody knows.
        for kind in [reply, if from.is_ipv4() { 41 } else { 200 }] {
            wire.tx(&ip(
                from,
                to,
                protocol,
                &icmp(from, to, kind, 0, &pattern(20)),
            ))?;
        }
        wire.silent("a message that is no request")?;
        wire.tx(&ip(
            from,
            to,
            protocol,
            &icmp(from, to, request, 0, &pattern(20)),
        ))?;
        expect_icmp(wire, reply, 0)?;
    }
    Ok(())
}

fn f211(wire: &mut Wire) -> Done {
    let (from, to) = (wire.client(), SocketAddr::from((SERVER, NOBODY)));
    let packet = ip(from.ip(), to.ip(), UDP, &udp(from, to, b"anybody?"));
    for _ in 0..500 {
        wire.tx(&packet)?;
    }
    let errors = wire.collect(ms(100))?.len();
    check!((10..=100).contains(&errors), "{errors} errors");
    // Later there are some again.
    wire.collect(Duration::from_secs(1))?;
    wire.tx(&packet)?;
    expect_icmp(wire, 3, 3).map(drop)
}
