//! Further cases: a connected UDP socket of the application, and the ICMP errors about it.
//!
//! The application has a socket of each family that is connected to [`OUTWARD`] of the client. It
//! sends a datagram at once, and again whenever one arrives or a call has failed.

use super::{Case, case};
use crate::app::{OUTWARD, Setup, Udp};
use crate::backend::{CLIENT, CLIENT6, SERVER, SERVER6};
use crate::packet::{ICMP, ICMPV6, Packet, UDP, icmp, ip, udp};
use crate::wire::{Done, Wire, check, ms};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

const CONNECTED: Setup = Setup {
    udp: Udp::Connected,
    ..Setup::DEFAULT
};

pub(super) const CASES: &[Case] = &[
    case("F260", "a connected UDP socket receives of its peer", f260).with(CONNECTED),
    case(
        "F261",
        "a datagram of another for a connected socket: port unreachable",
        f261,
    )
    .with(CONNECTED),
    case(
        "F262",
        "port unreachable about a connected socket: connection refused, once",
        f262,
    )
    .with(CONNECTED),
    case(
        "F263",
        "an ICMP error that quotes another flow does not reach a connected socket",
        f263,
    )
    .with(CONNECTED),
    case(
        "F264",
        "administratively prohibited about a connected socket: an error, once",
        f264,
    )
    .with(CONNECTED),
];

/// The datagrams of the application, of either family: the first of each.
fn greetings(wire: &mut Wire) -> Result<[Packet; 2], String> {
    let mut next = |v4: bool| {
        wire.expect("a datagram of the application", |packet| {
            packet
                .udp()
                .filter(|udp| udp.to.port() == OUTWARD && udp.to.is_ipv4() == v4)
                .map(|_| packet.clone())
        })
    };
    Ok([next(true)?, next(false)?])
}

/// The ends of a datagram: the application's and the client's.
fn ends(packet: &Packet) -> Result<(SocketAddr, SocketAddr), String> {
    let udp = packet.udp().ok_or("no datagram")?;
    Ok((udp.from, udp.to))
}

/// An ICMP error of the client about a packet.
fn error(wire: &mut Wire, about: &[u8], v4: (u8, u8), v6: (u8, u8)) -> Done {
    let body = [&[0; 4], about].concat();
    if about[0] >> 4 == 4 {
        let (from, to): (IpAddr, IpAddr) = (CLIENT.into(), SERVER.into());
        return wire.tx(&ip(from, to, ICMP, &icmp(from, to, v4.0, v4.1, &body)));
    }
    let (from, to): (IpAddr, IpAddr) = (CLIENT6.into(), SERVER6.into());
    wire.tx(&ip(from, to, ICMPV6, &icmp(from, to, v6.0, v6.1, &body)))
}

/// What the application's calls on the socket with this address have returned.
fn results(wire: &mut Wire, socket: SocketAddr) -> Result<Vec<Result<Vec<u8>, ErrorKind>>, String> {
    wire.collect(ms(50))?;
    Ok(wire.udp_results(socket))
}

/// The peer sends, and the application answers.
fn exchange(wire: &mut Wire, socket: SocketAddr, peer: SocketAddr) -> Done {
    wire.tx(&ip(
        peer.ip(),
        socket.ip(),
        UDP,
        &udp(peer, socket, b"go on"),
    ))?;
    wire.expect("a datagram of the application", |packet| {
        packet
            .udp()
            .filter(|udp| (udp.from, udp.to) == (socket, peer))
            .map(drop)
    })
}

fn f260(wire: &mut Wire) -> Done {
    for packet in greetings(wire)? {
        let (socket, peer) = ends(&packet)?;
        check!(peer.port() == OUTWARD, "to {peer}");
        exchange(wire, socket, peer)?;
        let results = results(wire, socket)?;
        check!(results == [Ok(b"go on".to_vec())], "{results:?}");
    }
    Ok(())
}

fn f261(wire: &mut Wire) -> Done {
    for packet in greetings(wire)? {
        let (socket, peer) = ends(&packet)?;
        let other = SocketAddr::new(peer.ip(), peer.port() + 1);
        let packet = ip(other.ip(), socket.ip(), UDP, &udp(other, socket, b"me too"));
        wire.tx(&packet)?;
        let message = wire.expect("an ICMP error", |packet| packet.icmp().cloned())?;
        let expected = if socket.is_ipv4() { (3, 3) } else { (1, 4) };
        check!(
            (message.kind, message.code) == expected,
            "{}/{}",
            message.kind,
            message.code
        );
        exchange(wire, socket, peer)?;
        let results = results(wire, socket)?;
        check!(results == [Ok(b"go on".to_vec())], "{results:?}");
    }
    Ok(())
}

fn f262(wire: &mut Wire) -> Done {
    for packet in greetings(wire)? {
        let (socket, peer) = ends(&packet)?;
        error(wire, &packet.bytes, (3, 3), (1, 4))?;
        let refused = results(wire, socket)?;
        check!(
            refused == [Err(ErrorKind::ConnectionRefused)],
            "{refused:?}"
        );
        exchange(wire, socket, peer)?;
        let all = results(wire, socket)?;
        check!(all.len() == 2 && all[1].is_ok(), "{all:?}");
    }
    Ok(())
}

fn f263(wire: &mut Wire) -> Done {
    for packet in greetings(wire)? {
        let (socket, peer) = ends(&packet)?;
        let at = if socket.is_ipv4() { 20 } else { 40 };
        // The source port, the destination port.
        for port in [at + 1, at + 3] {
            let mut forged = packet.bytes.clone();
            forged[port] ^= 1;
            error(wire, &forged, (3, 3), (1, 4))?;
        }
        let none = results(wire, socket)?;
        check!(none.is_empty(), "{none:?}");
        exchange(wire, socket, peer)?;
    }
    Ok(())
}

fn f264(wire: &mut Wire) -> Done {
    for packet in greetings(wire)? {
        let (socket, peer) = ends(&packet)?;
        error(wire, &packet.bytes, (3, 13), (1, 1))?;
        let prohibited = results(wire, socket)?;
        check!(
            prohibited.len() == 1 && prohibited[0].is_err(),
            "{prohibited:?}"
        );
        exchange(wire, socket, peer)?;
        let all = results(wire, socket)?;
        check!(all.len() == 2 && all[1].is_ok(), "{all:?}");
    }
    Ok(())
}
