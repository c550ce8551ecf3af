//! Further cases: the path MTU of datagrams, in both directions (RFC 1191, RFC 8201).

use super::{Case, case};
use crate::app::{ECHO, NOBODY, SEND, Setup, Udp, pattern};
use crate::backend::{BackendKind, CLIENT, SERVER, SERVER6};
use crate::cases::Known;
use crate::fragments::expect_fragments;
use crate::packet::{ICMP, ICMPV6, Packet, UDP, What, icmp, ip, ipv4, udp};
use crate::wire::{Done, SOON, Wire, check, ms};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const BOUND: Setup = Setup {
    udp: Udp::Bound,
    ..Setup::DEFAULT
};
const SERVER_MTU: Setup = Setup {
    server_mtu: Some(1300),
    ..Setup::DEFAULT
};

const HAS_NO_SET_PATH_MTU: [Known; 1] = [Known::NotRun(
    BackendKind::Linux,
    "is the host itself: no path leads on from its addresses",
)];
const TAKES_TEN_MINUTES: [Known; 2] = [
    Known::NotRun(BackendKind::Linux, "takes 10 minutes"),
    Known::NotRun(BackendKind::Tun, "takes 10 minutes"),
];

pub(super) const CASES: &[Case] = &[
    case(
        "F220",
        "fragmentation needed about a datagram: the next ones fit 1,000 bytes",
        f220,
    ),
    case(
        "F221",
        "packet too big about a datagram: the next ones fit 1,300 bytes",
        f221,
    ),
    case(
        "F222",
        "IPv4: an MTU below 552 bytes does not make fragments of less",
        f222,
    ),
    case(
        "F223",
        "IPv6: an MTU below 1,280 bytes does not make fragments of less",
        f223,
    ),
    case(
        "F224",
        "an MTU about a datagram of a socket that does not exist is ignored",
        f224,
    )
    .with(BOUND),
    case("F225", "an MTU above the present one changes nothing", f225),
    case("F226", "a learned path MTU ends after 10 minutes", f226).known(&TAKES_TEN_MINUTES),
    case(
        "F227",
        "the path MTU of one destination does not count for another",
        f227,
    ),
    case(
        "F228",
        "IPv4 to a smaller path MTU: fragmentation needed with DF, taken without",
        f228,
    )
    .with(SERVER_MTU)
    .known(&HAS_NO_SET_PATH_MTU),
    case(
        "F229",
        "IPv6 to a smaller path MTU: packet too big, also about echo requests",
        f229,
    )
    .with(SERVER_MTU)
    .known(&HAS_NO_SET_PATH_MTU),
    case(
        "F230",
        "TCP to a smaller path MTU: the MSS announced and used fits it",
        f230,
    )
    .with(SERVER_MTU)
    .known(&HAS_NO_SET_PATH_MTU),
    case(
        "F231",
        "a path MTU that a datagram has learned counts for an echo reply",
        f231,
    ),
    case(
        "F232",
        "IPv4 datagrams without DF have identifications of their own (RFC 6864)",
        f232,
    ),
    case(
        "F233",
        "the path MTU of the last of several errors, the smallest, counts",
        f233,
    ),
];

/// The echo of `len` bytes, in one packet.
fn whole_echo(
    wire: &mut Wire,
    from: SocketAddr,
    to: SocketAddr,
    len: usize,
) -> Result<Packet, String> {
    wire.tx(&ip(from.ip(), to.ip(), UDP, &udp(from, to, &pattern(len))))?;
    wire.expect("an echo in one packet", |packet| {
        packet
            .udp()
            .filter(|udp| udp.to == from && udp.data == pattern(len))
            .map(|_| packet.clone())
    })
}

/// The echo of `len` bytes, in fragments; the length of the longest.
fn cut_echo(
    wire: &mut Wire,
    from: SocketAddr,
    to: SocketAddr,
    len: usize,
) -> Result<usize, String> {
    wire.tx(&ip(from.ip(), to.ip(), UDP, &udp(from, to, &pattern(len))))?;
    let answer = expect_fragments(wire)?;
    check!(
        answer.protocol == UDP && answer.bytes == udp(to, from, &pattern(len)),
        "another answer of {} bytes",
        answer.bytes.len()
    );
    for packet in answer
        .fragments
        .iter()
        .filter(|packet| packet.from.is_ipv4())
    {
        check!(packet.bytes[6] & 0x40 == 0, "don't fragment in a fragment");
    }
    Ok(answer.longest())
}

/// Tells the server that a packet of its was too big.
fn too_big(wire: &mut Wire, about: &[u8], mtu: u32) -> Done {
    let body = [&mtu.to_be_bytes(), &about[..about.len().min(1200)]].concat();
    if about[0] >> 4 == 4 {
        // From any router on the path.
        let (from, to) = (IpAddr::from([10, 77, 0, 254]), SERVER.into());
        let body = &body[..body.len().min(540)];
        return wire.tx(&ip(from, to, ICMP, &icmp(from, to, 3, 4, body)));
    }
    let (from, to) = (CLIENT_ROUTER6.into(), SERVER6.into());
    wire.tx(&ip(from, to, ICMPV6, &icmp(from, to, 2, 0, &body)))
}

const CLIENT_ROUTER6: std::net::Ipv6Addr = std::net::Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0xfe);

fn v4(wire: &mut Wire) -> (SocketAddr, SocketAddr) {
    (wire.client(), SocketAddr::from((SERVER, ECHO)))
}

fn v6(wire: &mut Wire) -> (SocketAddr, SocketAddr) {
    (wire.client6(), SocketAddr::from((SERVER6, ECHO)))
}

/// After an error with `mtu` about a datagram of 1,400 bytes, datagrams of that length come in
/// fragments of about `expected` bytes, and shorter ones whole.
fn learns(
    wire: &mut Wire,
    (from, to): (SocketAddr, SocketAddr),
    mtu: u32,
    expected: usize,
) -> Done {
    let first = whole_echo(wire, from, to, 1400)?;
    too_big(wire, &first.bytes, mtu)?;
    wire.collect(ms(20))?;
    let longest = cut_echo(wire, from, to, 1400)?;
    check!(
        longest <= expected && longest > expected - 8,
        "fragments of {longest} bytes for {expected}"
    );
    let header = if from.is_ipv4() { 28 } else { 48 };
    whole_echo(wire, from, to, expected - header).map(drop)
}

fn f220(wire: &mut Wire) -> Done {
    let ends = v4(wire);
    learns(wire, ends, 1000, 1000)
}

fn f221(wire: &mut Wire) -> Done {
    let ends = v6(wire);
    learns(wire, ends, 1300, 1300)
}

fn f222(wire: &mut Wire) -> Done {
    for mtu in [551, 68, 20, 0] {
        let (from, to) = v4(wire);
        let about = ip(to.ip(), from.ip(), UDP, &udp(to, from, &pattern(1400)));
        too_big(wire, &about, mtu)?;
        wire.collect(ms(20))?;
        wire.tx(&ip(from.ip(), to.ip(), UDP, &udp(from, to, &pattern(1400))))?;
        // Whole if the error was ignored.
        let packet = wire.rx(SOON)?.ok_or("no echo")?;
        check!(
            packet.bytes.len() > 552 - 8,
            "a fragment of {} bytes for an MTU of {mtu}",
            packet.bytes.len()
        );
        wire.collect(ms(50))?;
    }
    Ok(())
}

fn f223(wire: &mut Wire) -> Done {
    for mtu in [1279, 1000, 68, 0] {
        let (from, to) = v6(wire);
        let about = ip(to.ip(), from.ip(), UDP, &udp(to, from, &pattern(1400)));
        too_big(wire, &about, mtu)?;
        wire.collect(ms(20))?;
        wire.tx(&ip(from.ip(), to.ip(), UDP, &udp(from, to, &pattern(1400))))?;
        let packet = wire.rx(SOON)?.ok_or("no echo")?;
        check!(
            packet.bytes.len() > 1280 - 8,
            "a fragment of {} bytes for an MTU of {mtu}",
            packet.bytes.len()
        );
        wire.collect(ms(50))?;
        // What fits 1,280 bytes is not fragmented (RFC 8021).
        let small = whole_echo(wire, from, to, 1280 - 48)?;
        check!(small.bytes.len() == 1280, "{} bytes", small.bytes.len());
    }
    Ok(())
}

fn f224(wire: &mut Wire) -> Done {
    for (from, to) in [v4(wire), v6(wire)] {
        whole_echo(wire, from, to, 1400)?;
        // Nobody has this port; the packet was never sent.
        let nobody = SocketAddr::new(to.ip(), NOBODY);
        let about = ip(to.ip(), from.ip(), UDP, &udp(nobody, from, &pattern(1400)));
        too_big(wire, &about, 1290)?;
        wire.silent("an error about nothing")?;
        whole_echo(wire, from, to, 1400)?;
    }
    Ok(())
}

fn f225(wire: &mut Wire) -> Done {
    for (from, to) in [v4(wire), v6(wire)] {
        learns(wire, (from, to), 1290, 1290)?;
        let about = ip(to.ip(), from.ip(), UDP, &udp(to, from, &pattern(1400)));
        for mtu in [1400, 1500, 9000, u32::from(u16::MAX)] {
            too_big(wire, &about, mtu)?;
            wire.collect(ms(20))?;
            let longest = cut_echo(wire, from, to, 1400)?;
            check!(
                longest <= 1290,
                "fragments of {longest} bytes after an MTU of {mtu}"
            );
        }
    }
    Ok(())
}

fn f226(wire: &mut Wire) -> Done {
    for (from, to) in [v4(wire), v6(wire)] {
        learns(wire, (from, to), 1290, 1290)?;
        wire.collect(Duration::from_secs(590))?;
        cut_echo(wire, from, to, 1400)?;
        wire.collect(Duration::from_secs(20))?;
        whole_echo(wire, from, to, 1400)?;
    }
    Ok(())
}

fn f227(wire: &mut Wire) -> Done {
    let (from, to) = v4(wire);
    learns(wire, (from, to), 1000, 1000)?;
    let other = SocketAddr::from(([10, 77, 0, 3], from.port()));
    whole_echo(wire, other, to, 1400)?;
    let (from, to) = v6(wire);
    whole_echo(wire, from, to, 1400).map(drop)
}

fn f228(wire: &mut Wire) -> Done {
    let (from, to) = v4(wire);
    let data = pattern(1400);
    let datagram = udp(from, to, &data);
    let with = ipv4(CLIENT, SERVER, UDP, &datagram, |header| {
        header.dont_fragment = true;
    });
    wire.tx(&with)?;
    let error = wire.expect("an ICMP error", |packet| packet.icmp().cloned())?;
    check!(
        (error.kind, error.code) == (3, 4),
        "{}/{}",
        error.kind,
        error.code
    );
    check!(
        error.body[..4] == 1300_u32.to_be_bytes(),
        "an MTU of {:?}",
        &error.body[..4]
    );
    check!(error.body[4..] == with[..548], "another packet is quoted");
    check!(wire.datagrams().is_empty(), "it was delivered");
    // A router would fragment it.
    let without = ipv4(CLIENT, SERVER, UDP, &datagram, |header| {
        header.dont_fragment = false;
    });
    wire.tx(&without)?;
    wire.expect("the echo", |packet| {
        packet.udp().filter(|udp| udp.data == data).map(drop)
    })?;
    // The path takes 1,300 bytes.
    let fits = udp(from, to, &pattern(1300 - 28));
    wire.tx(&ipv4(CLIENT, SERVER, UDP, &fits, |header| {
        header.dont_fragment = true;
    }))?;
    wire.expect("the echo", |packet| {
        packet
            .udp()
            .filter(|udp| udp.data == pattern(1300 - 28))
            .map(drop)
    })
}

fn f229(wire: &mut Wire) -> Done {
    let (from, to) = v6(wire);
    let (client, server) = (from.ip(), to.ip());
    let request = icmp(client, server, 128, 0, &pattern(1400));
    for packet in [
        ip(client, server, UDP, &udp(from, to, &pattern(1400))),
        ip(client, server, ICMPV6, &request),
    ] {
        wire.tx(&packet)?;
        let error = wire.expect("an ICMPv6 message", |packet| packet.icmp().cloned())?;
        check!(
            (error.kind, error.code) == (2, 0),
            "{}/{}",
            error.kind,
            error.code
        );
        check!(
            error.body[..4] == 1300_u32.to_be_bytes(),
            "an MTU of {:?}",
            &error.body[..4]
        );
        check!(
            error.body[4..] == packet[..1232],
            "another packet is quoted"
        );
    }
    check!(wire.datagrams().is_empty(), "it was delivered");
    whole_echo(wire, from, to, 1300 - 48).map(drop)
}

fn f230(wire: &mut Wire) -> Done {
    for (mut peer, headers) in [(wire.peer(SEND), 40), (wire.peer6(SEND), 60)] {
        let syn_ack = peer.half_open(wire)?;
        let mss = syn_ack.options.mss.ok_or("no MSS")?;
        check!(usize::from(mss) == 1300 - headers, "an MSS of {mss}");
        peer.ack(wire)?;
        let mut longest = 0;
        for packet in wire.collect(ms(50))? {
            longest = longest.max(packet.bytes.len());
        }
        check!(
            longest <= 1300 && longest > 1200,
            "segments of {longest} bytes"
        );
        peer.read(wire, 100_000)?;
    }
    Ok(())
}

fn f231(wire: &mut Wire) -> Done {
    for (ends, protocol, request) in [(v4(wire), ICMP, 8), (v6(wire), ICMPV6, 128)] {
        learns(wire, ends, 1290, 1290)?;
        let (from, to) = (ends.0.ip(), ends.1.ip());
        let message = icmp(from, to, request, 0, &pattern(1400));
        wire.tx(&ip(from, to, protocol, &message))?;
        let packet = wire.rx(SOON)?.ok_or("no reply")?;
        check!(
            matches!(packet.what, What::Fragment(_)) && packet.bytes.len() <= 1290,
            "{}",
            packet.show()
        );
        wire.collect(ms(20))?;
    }
    Ok(())
}

fn f232(wire: &mut Wire) -> Done {
    let (from, to) = v4(wire);
    let mut ids = Vec::new();
    for _ in 0..50 {
        let bytes = whole_echo(wire, from, to, 100)?.bytes;
        // With DF the identification says nothing.
        if bytes[6] & 0x40 == 0 {
            ids.push([bytes[4], bytes[5]]);
        }
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    check!(
        ids.len() == count,
        "{} identifications of {count} datagrams",
        ids.len()
    );
    Ok(())
}

fn f233(wire: &mut Wire) -> Done {
    for (from, to) in [v4(wire), v6(wire)] {
        whole_echo(wire, from, to, 1450)?;
        for mtu in [1400, 1350, 1300] {
            let about = ip(to.ip(), from.ip(), UDP, &udp(to, from, &pattern(1450)));
            too_big(wire, &about, mtu)?;
            wire.collect(ms(20))?;
            let longest = cut_echo(wire, from, to, 1450)?;
            check!(
                longest <= mtu as usize && longest > mtu as usize - 8,
                "fragments of {longest} bytes for {mtu}"
            );
        }
    }
    Ok(())
}
