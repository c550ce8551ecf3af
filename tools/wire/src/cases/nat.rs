//! Further cases: UDP sessions as the mappings of a NAT (RFC 4787).
//!
//! The client asks a session for datagrams from addresses of its choice ([`crate::sessions`]).

use super::{Case, case};
use crate::app::{Session, Setup, Udp};
use crate::backend::{BackendKind, CLIENT, CLIENT6};
use crate::cases::Known;
use crate::fragments::pieces;
use crate::packet::{ICMP, ICMPV6, UDP, icmp, ip, udp};
use crate::wire::{Done, QUIET, Wire, check, ms};
use brooklet::{Filtering, Mapping};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const NO_NAT: Known = Known::NotRun(
    BackendKind::Linux,
    "keeps no mappings: its sockets are the destination, and a NAT would need a second host",
);
const BROOKLET: &[Known] = &[NO_NAT];
const VIRTUAL_TIME: &[Known] = &[NO_NAT, Known::NotRun(BackendKind::Tun, "takes minutes")];

const fn mapping(mapping: Mapping) -> Setup {
    Setup {
        udp: Udp::Sessions(mapping, Filtering::EndpointIndependent),
        ..Setup::DEFAULT
    }
}

const fn filtering(filtering: Filtering) -> Setup {
    Setup {
        udp: Udp::Sessions(Mapping::EndpointIndependent, filtering),
        ..Setup::DEFAULT
    }
}

const INDEPENDENT: Setup = mapping(Mapping::EndpointIndependent);

const UNFILTERED: Setup = Setup {
    unicast_only: false,
    ..INDEPENDENT
};

pub(super) const CASES: &[Case] = &[
    case(
        "F240",
        "endpoint-independent mapping: a session for each client (REQ-1)",
        f240,
    )
    .with(INDEPENDENT)
    .known(BROOKLET),
    case(
        "F241",
        "address-dependent mapping: a session for each remote address",
        f241,
    )
    .with(mapping(Mapping::AddressDependent))
    .known(BROOKLET),
    case(
        "F242",
        "address- and port-dependent mapping: a session for each remote address and port",
        f242,
    )
    .with(mapping(Mapping::AddressAndPortDependent))
    .known(BROOKLET),
    case(
        "F243",
        "endpoint-independent filtering: every remote reaches the client (REQ-8)",
        f243,
    )
    .with(filtering(Filtering::EndpointIndependent))
    .known(BROOKLET),
    case(
        "F244",
        "address-dependent filtering: each port of a remote that was asked (REQ-8)",
        f244,
    )
    .with(filtering(Filtering::AddressDependent))
    .known(BROOKLET),
    case(
        "F245",
        "address- and port-dependent filtering: the remote that was asked",
        f245,
    )
    .with(filtering(Filtering::AddressAndPortDependent))
    .known(BROOKLET),
    case("F246", "no session of a client that is not one host", f246)
        .with(UNFILTERED)
        .known(BROOKLET),
    case(
        "F247",
        "a session ends after 120 s of silence (REQ-5)",
        f247,
    )
    .with(INDEPENDENT)
    .known(VIRTUAL_TIME),
    case(
        "F248",
        "datagrams of either direction keep a session (REQ-6)",
        f248,
    )
    .with(INDEPENDENT)
    .known(VIRTUAL_TIME),
    case("F249", "ICMP errors do not end a session (REQ-10)", f249)
        .with(INDEPENDENT)
        .known(BROOKLET),
    case("F250", "one question to port 53: 10 s", f250)
        .with(INDEPENDENT)
        .known(VIRTUAL_TIME),
    case(
        "F251",
        "fragments in any order belong to their session (REQ-14)",
        f251,
    )
    .with(INDEPENDENT)
    .known(BROOKLET),
    case(
        "F252",
        "a datagram that the filtering stops does not keep a session (RFC 4787, 4.3)",
        f252,
    )
    .with(filtering(Filtering::AddressDependent))
    .known(VIRTUAL_TIME),
    case(
        "F253",
        "a session's port is that of the client, for all remotes (REQ-3)",
        f253,
    )
    .with(INDEPENDENT)
    .known(BROOKLET),
    case(
        "F254",
        "UnicastOnly: no session to multicast and broadcast",
        f254,
    )
    .with(INDEPENDENT)
    .known(BROOKLET),
    case(
        "F255",
        "a session to a multicast group, if the filter passes it: a host of the group answers",
        f255,
    )
    .with(UNFILTERED)
    .known(BROOKLET),
];

const SECONDS: fn(u64) -> Duration = Duration::from_secs;

/// Remote addresses: two hosts, and two ports of the first, of a family.
struct Remotes {
    first: SocketAddr,
    other_port: SocketAddr,
    other_host: SocketAddr,
}

/// A client and remotes of each family.
fn families(wire: &mut Wire) -> [(SocketAddr, Remotes); 2] {
    let (v4, v6) = (wire.client(), wire.client6());
    let (a4, b4) = ([192, 0, 2, 1], [192, 0, 2, 2]);
    let (a6, b6) = (
        [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1],
        [0x2001, 0xdb8, 0, 0, 0, 0, 0, 2],
    );
    [
        (
            v4,
            Remotes {
                first: (a4, 3478).into(),
                other_port: (a4, 3479).into(),
                other_host: (b4, 3478).into(),
            },
        ),
        (
            v6,
            Remotes {
                first: (a6, 3478).into(),
                other_port: (a6, 3479).into(),
                other_host: (b6, 3478).into(),
            },
        ),
    ]
}

/// The client sends a text to a remote.
fn say(wire: &mut Wire, client: SocketAddr, remote: SocketAddr, text: &str) -> Done {
    let datagram = udp(client, remote, text.as_bytes());
    wire.tx(&ip(client.ip(), remote.ip(), UDP, &datagram))
}

/// The client asks by way of `remote` for a datagram from `from`.
fn ask(wire: &mut Wire, client: SocketAddr, remote: SocketAddr, from: SocketAddr) -> Done {
    say(wire, client, remote, &format!("0 {from}"))
}

/// A datagram from `from` comes to the client.
fn answered(wire: &mut Wire, client: SocketAddr, from: SocketAddr) -> Done {
    wire.expect("a datagram of the remote", |packet| {
        packet
            .udp()
            .filter(|udp| {
                (udp.from, udp.to) == (from, client) && udp.data == from.to_string().as_bytes()
            })
            .map(drop)
    })
}

/// The client asks and the answer comes.
fn exchange(wire: &mut Wire, client: SocketAddr, remote: SocketAddr) -> Done {
    ask(wire, client, remote, remote)?;
    answered(wire, client, remote)
}

/// The client asks for a datagram from `from`, which does not come.
fn filtered(wire: &mut Wire, client: SocketAddr, remote: SocketAddr, from: SocketAddr) -> Done {
    ask(wire, client, remote, from)?;
    wire.silent("a remote that may not send")?;
    let refused = wire.sessions().iter().any(|session| {
        session.client == client
            && session.sent.last() == Some(&(from, Err(ErrorKind::PermissionDenied)))
    });
    check!(refused, "the program was not told");
    Ok(())
}

/// The sessions of a client, and the destinations of their datagrams.
fn sessions_of(wire: &Wire, client: SocketAddr) -> Vec<Session> {
    let mut all = wire.sessions();
    all.retain(|session| session.client == client);
    all
}

/// A datagram to each of the remotes, the first one twice, is in a session of its own unless
/// `same` says that a session has datagrams to both.
fn maps(wire: &mut Wire, same: fn(SocketAddr, SocketAddr) -> bool) -> Done {
    for (client, remotes) in families(wire) {
        let Remotes {
            first,
            other_port,
            other_host,
        } = remotes;
        let all = [first, other_port, other_host, first];
        for remote in all {
            exchange(wire, client, remote)?;
        }
        let mut expected: Vec<Vec<SocketAddr>> = Vec::new();
        for remote in all {
            match expected.iter_mut().find(|session| same(session[0], remote)) {
                Some(session) => session.push(remote),
                None => expected.push(vec![remote]),
            }
        }
        let sessions = sessions_of(wire, client);
        let to: Vec<_> = sessions.iter().map(|session| session.to.clone()).collect();
        check!(to == expected, "{to:?} for {expected:?}");
        // Another port of the client is another client.
        let neighbor = SocketAddr::new(client.ip(), client.port() + 1000);
        exchange(wire, neighbor, first)?;
        let count = sessions_of(wire, neighbor).len();
        check!(count == 1, "{count} sessions of another client");
    }
    Ok(())
}

fn f240(wire: &mut Wire) -> Done {
    maps(wire, |_, _| true)
}

fn f241(wire: &mut Wire) -> Done {
    maps(wire, |one, other| one.ip() == other.ip())
}

fn f242(wire: &mut Wire) -> Done {
    maps(wire, |one, other| one == other)
}

fn f243(wire: &mut Wire) -> Done {
    for (client, remotes) in families(wire) {
        for from in [remotes.first, remotes.other_port, remotes.other_host] {
            ask(wire, client, remotes.first, from)?;
            answered(wire, client, from)?;
        }
    }
    Ok(())
}

fn f244(wire: &mut Wire) -> Done {
    for (client, remotes) in families(wire) {
        for from in [remotes.first, remotes.other_port] {
            ask(wire, client, remotes.first, from)?;
            answered(wire, client, from)?;
        }
        filtered(wire, client, remotes.first, remotes.other_host)?;
        // Once the client has sent there, it may.
        exchange(wire, client, remotes.other_host)?;
    }
    Ok(())
}

fn f245(wire: &mut Wire) -> Done {
    for (client, remotes) in families(wire) {
        exchange(wire, client, remotes.first)?;
        filtered(wire, client, remotes.first, remotes.other_port)?;
        filtered(wire, client, remotes.first, remotes.other_host)?;
        exchange(wire, client, remotes.other_port)?;
        exchange(wire, client, remotes.first)?;
    }
    Ok(())
}

const GROUP4: [u8; 4] = [239, 255, 255, 250];
const GROUP6: [u16; 8] = [0xff05, 0, 0, 0, 0, 0, 0, 0xc];

fn f246(wire: &mut Wire) -> Done {
    let [(v4, remotes4), (v6, remotes6)] = families(wire);
    for from in [GROUP4, [255; 4], [0; 4], [127, 0, 0, 1]] {
        no_session(wire, (from, 1900).into(), remotes4.first)?;
    }
    let loopback = [0, 0, 0, 0, 0, 0, 0, 1];
    for from in [GROUP6, [0; 8], loopback] {
        no_session(wire, (from, 1900).into(), remotes6.first)?;
    }
    exchange(wire, v4, remotes4.first)?;
    exchange(wire, v6, remotes6.first)
}

/// A datagram opens no session, and has no answer.
fn no_session(wire: &mut Wire, from: SocketAddr, to: SocketAddr) -> Done {
    ask(wire, from, to, to)?;
    wire.silent("a datagram that opens no session")?;
    let count = sessions_of(wire, from).len();
    check!(count == 0, "{count} sessions of {from} to {to}");
    Ok(())
}

fn f254(wire: &mut Wire) -> Done {
    let [(v4, remotes4), (v6, remotes6)] = families(wire);
    no_session(wire, v4, (GROUP4, 1900).into())?;
    no_session(wire, v4, ([255; 4], 1900).into())?;
    no_session(wire, v6, (GROUP6, 1900).into())?;
    exchange(wire, v4, remotes4.first)?;
    exchange(wire, v6, remotes6.first)
}

fn f255(wire: &mut Wire) -> Done {
    let [(v4, remotes4), (v6, remotes6)] = families(wire);
    ask(wire, v4, (GROUP4, 1900).into(), remotes4.first)?;
    answered(wire, v4, remotes4.first)?;
    ask(wire, v6, (GROUP6, 1900).into(), remotes6.first)?;
    answered(wire, v6, remotes6.first)
}

/// When the sessions of a client ended, after `time` of silence.
fn ends(wire: &mut Wire, client: SocketAddr, time: Duration) -> Result<Option<Duration>, String> {
    wire.collect(time)?;
    let sessions = sessions_of(wire, client);
    let last = sessions.last().ok_or("no session")?;
    Ok(last.ended)
}

fn f247(wire: &mut Wire) -> Done {
    for (client, remotes) in families(wire) {
        exchange(wire, client, remotes.first)?;
        let start = wire.now();
        check!(
            ends(wire, client, SECONDS(119))?.is_none(),
            "it ended early"
        );
        let ended = ends(wire, client, SECONDS(6))?.ok_or("it did not end")?;
        let after = ended.saturating_sub(start);
        check!(after >= SECONDS(119) + ms(900), "it ended after {after:?}");
        // The next datagram opens another one.
        exchange(wire, client, remotes.first)?;
        let count = sessions_of(wire, client).len();
        check!(count == 2, "{count} sessions");
    }
    Ok(())
}

fn f248(wire: &mut Wire) -> Done {
    for (client, remotes) in families(wire) {
        // From the client alone.
        for _ in 0..3 {
            say(wire, client, remotes.first, "unanswered")?;
            check!(ends(wire, client, SECONDS(100))?.is_none(), "it ended");
        }
        // To the client alone: after 100 s, and again 100 s later.
        let first = remotes.first;
        say(wire, client, first, &format!("100 {first}"))?;
        say(wire, client, first, &format!("200 {first}"))?;
        check!(ends(wire, client, SECONDS(310))?.is_none(), "it ended");
        check!(ends(wire, client, SECONDS(20))?.is_some(), "it did not end");
        let count = sessions_of(wire, client).len();
        check!(count == 1, "{count} sessions");
    }
    Ok(())
}

fn f249(wire: &mut Wire) -> Done {
    for (client, remotes) in families(wire) {
        let remote = remotes.first;
        exchange(wire, client, remote)?;
        // Every hard and soft error about the datagram that the client got.
        let about = udp(remote, client, remote.to_string().as_bytes());
        let about = ip(remote.ip(), client.ip(), UDP, &about);
        let body = [&[0; 4], &about[..]].concat();
        let (protocol, errors) = match client.ip() {
            IpAddr::V4(_) => (ICMP, [(3, 3), (3, 1), (3, 0), (3, 13), (11, 0)]),
            IpAddr::V6(_) => (ICMPV6, [(1, 4), (1, 3), (1, 0), (1, 1), (3, 0)]),
        };
        let (from, to) = (client.ip(), remote.ip());
        for (kind, code) in errors {
            wire.tx(&ip(from, to, protocol, &icmp(from, to, kind, code, &body)))?;
            wire.collect(ms(10))?;
        }
        exchange(wire, client, remote)?;
        let sessions = sessions_of(wire, client);
        check!(
            sessions.len() == 1 && sessions[0].ended.is_none(),
            "{sessions:?}"
        );
    }
    Ok(())
}

fn f250(wire: &mut Wire) -> Done {
    for (client, remotes) in families(wire) {
        let resolver = SocketAddr::new(remotes.first.ip(), 53);
        exchange(wire, client, resolver)?;
        check!(ends(wire, client, SECONDS(9))?.is_none(), "it ended early");
        check!(ends(wire, client, SECONDS(3))?.is_some(), "it did not end");
        // A question without an answer waits as long as other datagrams.
        let client = SocketAddr::new(client.ip(), client.port() + 1000);
        say(wire, client, resolver, "unanswered")?;
        check!(
            ends(wire, client, SECONDS(110))?.is_none(),
            "it ended early"
        );
        check!(ends(wire, client, SECONDS(15))?.is_some(), "it did not end");
        // As soon as another port is asked, it is no question alone.
        let client = SocketAddr::new(client.ip(), client.port() + 1000);
        exchange(wire, client, resolver)?;
        exchange(wire, client, remotes.first)?;
        check!(
            ends(wire, client, SECONDS(110))?.is_none(),
            "it ended early"
        );
    }
    Ok(())
}

fn f251(wire: &mut Wire) -> Done {
    for (client, remotes) in families(wire) {
        exchange(wire, client, remotes.first)?;
        // The question, and blanks that make it long.
        let text = format!("0 {}{}", remotes.first, " ".repeat(3000));
        let datagram = udp(client, remotes.first, text.as_bytes());
        let ends = (client.ip(), remotes.first.ip());
        let mut parts = pieces(ends, UDP, 251, &datagram, 1000);
        parts.reverse();
        for part in parts {
            wire.tx(&part)?;
        }
        answered(wire, client, remotes.first)?;
        let count = sessions_of(wire, client).len();
        check!(count == 1, "{count} sessions");
    }
    Ok(())
}

fn f252(wire: &mut Wire) -> Done {
    for (client, remotes) in families(wire) {
        let (first, other) = (remotes.first, remotes.other_host);
        exchange(wire, client, first)?;
        say(wire, client, first, &format!("100 {other}"))?;
        let start = wire.now();
        wire.collect(SECONDS(100) + QUIET)?;
        let ended = ends(wire, client, SECONDS(30))?.ok_or("it did not end")?;
        let after = ended.saturating_sub(start);
        check!(after < SECONDS(127), "it ended after {after:?}");
    }
    Ok(())
}

fn f253(wire: &mut Wire) -> Done {
    for client in [
        SocketAddr::from((CLIENT, 1)),
        SocketAddr::from((CLIENT, 65_535)),
        SocketAddr::from((CLIENT6, 1)),
        SocketAddr::from((CLIENT6, 65_535)),
    ] {
        let [(_, v4), (_, v6)] = families(wire);
        let remotes = if client.is_ipv4() { v4 } else { v6 };
        for remote in [remotes.first, remotes.other_host] {
            exchange(wire, client, remote)?;
        }
        let sessions = sessions_of(wire, client);
        check!(sessions.len() == 1, "{} sessions", sessions.len());
    }
    Ok(())
}
