//! Further cases: the IPv6 extension headers and their options (RFC 8200, 4).

use super::{Case, case};
use crate::app::{ECHO, pattern};
use crate::backend::{BackendKind, CLIENT6, SERVER6};
use crate::cases::Known;
use crate::packet::{ICMPV6, UDP, icmp, ipv6, ipv6_fragment, udp};
use crate::wire::{Done, Wire, check};
use std::net::{Ipv6Addr, SocketAddr};

pub(super) const CASES: &[Case] = &[
    case("F160", "IPv6 option 00xxxxxx: skipped", f160),
    case("F161", "IPv6 option 01xxxxxx: dropped in silence", f161),
    case(
        "F162",
        "IPv6 option 10xxxxxx: parameter problem, code 2",
        f162,
    ),
    case(
        "F163",
        "IPv6 option 10xxxxxx to a multicast address: the same",
        f163,
    ),
    case(
        "F164",
        "IPv6 option 11xxxxxx: parameter problem, except to a multicast address",
        f164,
    ),
    case(
        "F165",
        "IPv6: several options with Pad1 and PadN: the pointer names the unknown one",
        f165,
    ),
    case(
        "F166",
        "IPv6: an option beyond its header, a header beyond the packet: dropped",
        f166,
    ),
    case(
        "F167",
        "IPv6: 9 options, 8 bytes of padding or padding of other bytes: dropped (RFC 8504, 5.3)",
        f167,
    ),
    case(
        "F168",
        "IPv6 routing header of an unknown type, no segments left: skipped",
        f168,
    ),
    case(
        "F169",
        "IPv6 routing header with segments left: parameter problem, code 0",
        f169,
    ),
    case(
        "F170",
        "IPv6 hop-by-hop options behind another header: parameter problem, code 1",
        f170,
    ),
    case(
        "F171",
        "IPv6: unknown next header behind extension headers: parameter problem, code 1",
        f171,
    ),
    case("F172", "IPv6: no next header: dropped in silence", f172),
    case("F173", "IPv6: 9 extension headers: dropped", f173).known(&[Known::NotRun(
        BackendKind::Linux,
        "does not limit the number of extension headers",
    )]),
    case(
        "F174",
        "IPv6: first fragment without the transport header: parameter problem, code 3 (RFC 7112)",
        f174,
    ),
    case(
        "F175",
        "IPv6: fragment not a multiple of 8 bytes long: parameter problem, code 0 (RFC 8200, 4.5)",
        f175,
    ),
    case(
        "F176",
        "IPv6: fragment beyond 65,535 bytes: parameter problem, code 0 (RFC 8200, 4.5)",
        f176,
    ),
    case(
        "F177",
        "IPv6: the extension headers before a fragment header count among the 65,535 bytes",
        f177,
    )
    .known(&[Known::NotRun(
        BackendKind::Linux,
        "counts the fragments alone, and not the extension headers before them",
    )]),
    case(
        "F178",
        "IPv6 jumbo payload option in a packet with a length: parameter problem, code 0",
        f178,
    ),
    case(
        "F179",
        "IPv6: no parameter problem about an ICMPv6 error (RFC 4443, 2.4)",
        f179,
    ),
    case(
        "F194",
        "IPv6: options behind a fragment header are looked at in the reassembled packet",
        f194,
    ),
    case(
        "F195",
        "IPv6: options before a fragment header are looked at in each fragment",
        f195,
    ),
];

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const NO_NEXT_HEADER: u8 = 59;
const DESTINATION: u8 = 60;
/// No protocol has this number (RFC 3692).
const UNKNOWN: u8 = 253;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// The kinds of header that carry options.
const WITH_OPTIONS: [u8; 2] = [HOP_BY_HOP, DESTINATION];

/// The codes of a parameter problem (RFC 4443, 3.4; RFC 7112, 6).
const HEADER_FIELD: u8 = 0;
const NEXT_HEADER: u8 = 1;
const OPTION: u8 = 2;
const INCOMPLETE_HEADER_CHAIN: u8 = 3;

/// An extension header: its type, and its bytes from the length field on.
#[derive(Clone)]
struct Header(u8, Vec<u8>);

impl Header {
    /// A header with these options, which fill it exactly.
    fn options(kind: u8, options: &[u8]) -> Self {
        assert_eq!(options.len() % 8, 6, "the options fill the header");
        Self(kind, [&[(options.len() / 8) as u8], options].concat())
    }

    /// A routing header with a single address.
    fn routing(kind: u8, segments_left: u8) -> Self {
        let mut bytes = vec![2, kind, segments_left, 0, 0, 0, 0];
        bytes.extend(CLIENT6.octets());
        Self(ROUTING, bytes)
    }
}

/// The extension headers as bytes, with `last` behind them; and the type of the first.
fn chain(headers: &[Header], last: u8, payload: &[u8]) -> (u8, Vec<u8>) {
    let mut bytes = Vec::new();
    for (index, Header(_, header)) in headers.iter().enumerate() {
        bytes.push(headers.get(index + 1).map_or(last, |next| next.0));
        bytes.extend(header);
    }
    bytes.extend(payload);
    (headers.first().map_or(last, |first| first.0), bytes)
}

/// A datagram to the echo port of `to`, behind extension headers.
fn datagram(wire: &mut Wire, to: Ipv6Addr, headers: &[Header]) -> Vec<u8> {
    let (from, port) = (wire.client6(), SocketAddr::from((to, ECHO)));
    let (first, bytes) = chain(headers, UDP, &udp(from, port, b"behind headers"));
    ipv6(CLIENT6, to, first, &bytes)
}

/// The datagram behind these headers is answered.
fn passes(wire: &mut Wire, headers: &[Header]) -> Done {
    let packet = datagram(wire, SERVER6, headers);
    wire.tx(&packet)?;
    wire.expect("the echo", |packet| {
        packet
            .udp()
            .filter(|udp| udp.data == b"behind headers")
            .map(drop)
    })
}

/// The packet is dropped in silence.
fn dropped(wire: &mut Wire, packet: &[u8]) -> Done {
    let before = wire.datagrams().len();
    wire.tx(packet)?;
    wire.silent("a packet that is to be dropped")?;
    check!(wire.datagrams().len() == before, "it was delivered");
    Ok(())
}

/// The packet is answered with a parameter problem, and not delivered.
fn refused(wire: &mut Wire, packet: &[u8], code: u8, pointer: usize) -> Done {
    let before = wire.datagrams().len();
    wire.tx(packet)?;
    let (from, message) = wire.expect("a parameter problem", |packet| {
        Some((packet.from, packet.icmp()?.clone()))
    })?;
    check!(from == SERVER6, "the error is from {from}");
    check!(
        (message.kind, message.code) == (4, code),
        "{}/{} for 4/{code}",
        message.kind,
        message.code
    );
    let (pointed, quoted) = message.body.split_at(4);
    check!(
        pointed == (pointer as u32).to_be_bytes(),
        "the pointer is {pointed:?}, for {pointer}"
    );
    check!(
        quoted == &packet[..packet.len().min(1280 - 48)],
        "another packet is quoted"
    );
    check!(wire.datagrams().len() == before, "it was delivered");
    Ok(())
}

/// One option of this type, of 4 bytes.
fn option(kind: u8) -> [u8; 6] {
    [kind, 4, 1, 2, 3, 4]
}

fn f160(wire: &mut Wire) -> Done {
    for kind in WITH_OPTIONS {
        for option_type in [0x1e, 0x3e] {
            passes(wire, &[Header::options(kind, &option(option_type))])?;
        }
    }
    Ok(())
}

fn f161(wire: &mut Wire) -> Done {
    for kind in WITH_OPTIONS {
        for to in [SERVER6, ALL_NODES] {
            let packet = datagram(wire, to, &[Header::options(kind, &option(0x5e))]);
            dropped(wire, &packet)?;
        }
    }
    passes(wire, &[])
}

fn f162(wire: &mut Wire) -> Done {
    for kind in WITH_OPTIONS {
        let packet = datagram(wire, SERVER6, &[Header::options(kind, &option(0x9e))]);
        refused(wire, &packet, OPTION, 42)?;
    }
    Ok(())
}

fn f163(wire: &mut Wire) -> Done {
    for kind in WITH_OPTIONS {
        let packet = datagram(wire, ALL_NODES, &[Header::options(kind, &option(0x9e))]);
        refused(wire, &packet, OPTION, 42)?;
    }
    Ok(())
}

fn f164(wire: &mut Wire) -> Done {
    for kind in WITH_OPTIONS {
        let headers = [Header::options(kind, &option(0xde))];
        let packet = datagram(wire, SERVER6, &headers);
        refused(wire, &packet, OPTION, 42)?;
        let packet = datagram(wire, ALL_NODES, &headers);
        dropped(wire, &packet)?;
    }
    Ok(())
}

fn f165(wire: &mut Wire) -> Done {
    for kind in WITH_OPTIONS {
        // Pad1, an option to skip, PadN of 3 bytes, Pad1 twice, an option without data.
        let skipped = [0, 0x1e, 2, 7, 7, 1, 1, 0, 0, 0, 0x3e, 0, 1, 0];
        passes(wire, &[Header::options(kind, &skipped)])?;
        let mut unknown = skipped;
        unknown[10] = 0xbe;
        let packet = datagram(wire, SERVER6, &[Header::options(kind, &unknown)]);
        refused(wire, &packet, OPTION, 42 + 10)?;
        // The same in the second header of the chain.
        let headers = [
            Header::options(kind, &skipped),
            Header::options(DESTINATION, &unknown),
        ];
        let packet = datagram(wire, SERVER6, &headers);
        refused(wire, &packet, OPTION, 42 + 16 + 10)?;
        // The first unknown option decides.
        let both = [0x1e, 0, 0x5e, 0, 0x9e, 0];
        let packet = datagram(wire, SERVER6, &[Header::options(kind, &both)]);
        dropped(wire, &packet)?;
    }
    passes(wire, &[])
}

fn f166(wire: &mut Wire) -> Done {
    for kind in WITH_OPTIONS {
        for broken in [
            [0x1e, 5, 0, 0, 0, 0],
            [1, 255, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 1],
        ] {
            let packet = datagram(wire, SERVER6, &[Header::options(kind, &broken)]);
            dropped(wire, &packet)?;
        }
        let mut header = Header::options(kind, &option(0x1e));
        header.1[0] = 20;
        let packet = datagram(wire, SERVER6, &[header]);
        dropped(wire, &packet)?;
    }
    passes(wire, &[])
}

fn f167(wire: &mut Wire) -> Done {
    for kind in WITH_OPTIONS {
        let options: Vec<u8> = [0x1e, 0].repeat(11);
        let (most, above) = ([&options[..16], &[1, 4, 0, 0, 0, 0]].concat(), options);
        passes(wire, &[Header::options(kind, &most)])?;
        let packet = datagram(wire, SERVER6, &[Header::options(kind, &above)]);
        dropped(wire, &packet)?;
        let padded = [0x1e, 4, 0, 0, 0, 0, 1, 6, 0, 0, 0, 0, 0, 0];
        let packet = datagram(wire, SERVER6, &[Header::options(kind, &padded)]);
        dropped(wire, &packet)?;
        let covert = [1, 4, 0, 0, 7, 0];
        let packet = datagram(wire, SERVER6, &[Header::options(kind, &covert)]);
        dropped(wire, &packet)?;
    }
    Ok(())
}

fn f168(wire: &mut Wire) -> Done {
    for kind in [0, UNKNOWN] {
        passes(wire, &[Header::routing(kind, 0)])?;
    }
    let before = Header::options(HOP_BY_HOP, &option(0x1e));
    passes(wire, &[before, Header::routing(UNKNOWN, 0)])
}

fn f169(wire: &mut Wire) -> Done {
    for kind in [0, UNKNOWN] {
        let packet = datagram(wire, SERVER6, &[Header::routing(kind, 1)]);
        refused(wire, &packet, HEADER_FIELD, 42)?;
    }
    let before = Header::options(HOP_BY_HOP, &option(0x1e));
    let packet = datagram(wire, SERVER6, &[before, Header::routing(UNKNOWN, 1)]);
    refused(wire, &packet, HEADER_FIELD, 42 + 8)
}

fn f170(wire: &mut Wire) -> Done {
    let options = |kind| Header::options(kind, &option(0x1e));
    let packet = datagram(wire, SERVER6, &[options(DESTINATION), options(HOP_BY_HOP)]);
    refused(wire, &packet, NEXT_HEADER, 40)?;
    let packet = datagram(wire, SERVER6, &[options(HOP_BY_HOP), options(HOP_BY_HOP)]);
    refused(wire, &packet, NEXT_HEADER, 40)
}

fn f171(wire: &mut Wire) -> Done {
    let headers = [
        Header::options(HOP_BY_HOP, &option(0x1e)),
        Header::options(DESTINATION, &option(0x1e)),
    ];
    for (count, pointer) in [(1, 40), (2, 48)] {
        let (first, bytes) = chain(&headers[..count], UNKNOWN, &pattern(16));
        refused(
            wire,
            &ipv6(CLIENT6, SERVER6, first, &bytes),
            NEXT_HEADER,
            pointer,
        )?;
    }
    Ok(())
}

fn f172(wire: &mut Wire) -> Done {
    for headers in [&[][..], &[Header::options(DESTINATION, &option(0x1e))]] {
        for payload in [&[][..], &pattern(16)] {
            let (first, bytes) = chain(headers, NO_NEXT_HEADER, payload);
            dropped(wire, &ipv6(CLIENT6, SERVER6, first, &bytes))?;
        }
    }
    passes(wire, &[])
}

fn f173(wire: &mut Wire) -> Done {
    let header = Header::options(DESTINATION, &option(0x1e));
    passes(wire, &vec![header.clone(); 8])?;
    let packet = datagram(wire, SERVER6, &vec![header; 9]);
    dropped(wire, &packet)
}

/// A fragment for the server. `offset` is in bytes.
fn fragment(next: u8, id: u32, offset: usize, more: bool, payload: &[u8]) -> Vec<u8> {
    let bytes = ipv6_fragment(next, id, offset, more, payload);
    ipv6(CLIENT6, SERVER6, FRAGMENT, &bytes)
}

fn f174(wire: &mut Wire) -> Done {
    let (from, to) = (wire.client6(), SocketAddr::from((SERVER6, ECHO)));
    let datagram = udp(from, to, &pattern(40));
    let options = Header::options(DESTINATION, &option(0x1e));
    let (_, behind) = chain(std::slice::from_ref(&options), UDP, &datagram);
    let packet = fragment(DESTINATION, 174, 0, true, &behind[..8]);
    refused(wire, &packet, INCOMPLETE_HEADER_CHAIN, 0)?;
    // With the transport header the same is a fragment like others.
    for (offset, end) in [(0, 16), (16, behind.len())] {
        let more = end < behind.len();
        let part = &behind[offset..end];
        wire.tx(&fragment(DESTINATION, 1174, offset, more, part))?;
    }
    wire.expect("the echo", |packet| {
        packet.udp().filter(|udp| udp.data == pattern(40)).map(drop)
    })
}

fn f175(wire: &mut Wire) -> Done {
    let (from, to) = (wire.client6(), SocketAddr::from((SERVER6, ECHO)));
    let datagram = udp(from, to, &pattern(100));
    for (id, offset, len) in [(175, 0, 33), (1175, 32, 31)] {
        let packet = fragment(UDP, id, offset, true, &datagram[offset..offset + len]);
        refused(wire, &packet, HEADER_FIELD, 4)?;
    }
    Ok(())
}

fn f176(wire: &mut Wire) -> Done {
    for more in [true, false] {
        let packet = fragment(UDP, 176, 65_528, more, &pattern(80));
        refused(wire, &packet, HEADER_FIELD, 42)?;
    }
    Ok(())
}

fn f177(wire: &mut Wire) -> Done {
    let options = Header::options(DESTINATION, &option(0x1e));
    let last = ipv6_fragment(UDP, 177, 65_512, false, &pattern(23));
    let (first, bytes) = chain(&[options], FRAGMENT, &last);
    let packet = ipv6(CLIENT6, SERVER6, first, &bytes);
    refused(wire, &packet, HEADER_FIELD, 42 + 8)
}

fn f178(wire: &mut Wire) -> Done {
    let jumbo = [0xc2, 4, 0, 1, 0, 0];
    let packet = datagram(wire, SERVER6, &[Header::options(HOP_BY_HOP, &jumbo)]);
    refused(wire, &packet, HEADER_FIELD, 42)
}

fn f179(wire: &mut Wire) -> Done {
    let (from, to) = (CLIENT6.into(), SERVER6.into());
    let client = wire.client6();
    let about = udp(SocketAddr::new(to, ECHO), client, b"never sent");
    let about = [vec![0; 4], ipv6(SERVER6, CLIENT6, UDP, &about)].concat();
    for headers in [
        [Header::options(DESTINATION, &option(0x9e))],
        [Header::options(HOP_BY_HOP, &option(0x9e))],
        [Header::routing(UNKNOWN, 1)],
    ] {
        let error = icmp(from, to, 1, 4, &about);
        let (first, bytes) = chain(&headers, ICMPV6, &error);
        dropped(wire, &ipv6(CLIENT6, SERVER6, first, &bytes))?;
        // About an echo request there is one.
        let request = icmp(from, to, 128, 0, &pattern(20));
        let (first, bytes) = chain(&headers, ICMPV6, &request);
        let code = if first == ROUTING {
            HEADER_FIELD
        } else {
            OPTION
        };
        refused(wire, &ipv6(CLIENT6, SERVER6, first, &bytes), code, 42)?;
    }
    Ok(())
}

/// Sends a datagram in two fragments, with extension headers before and behind the fragment header.
fn cut(wire: &mut Wire, id: u32, before: &[Header], behind: &[Header]) -> Done {
    let (from, to) = (wire.client6(), SocketAddr::from((SERVER6, ECHO)));
    let datagram = udp(from, to, b"behind headers");
    let (next, bytes) = chain(behind, UDP, &datagram);
    for (offset, end) in [(0, 16), (16, bytes.len())] {
        let more = end < bytes.len();
        let part = ipv6_fragment(next, id, offset, more, &bytes[offset..end]);
        let (first, bytes) = chain(before, FRAGMENT, &part);
        wire.tx(&ipv6(CLIENT6, SERVER6, first, &bytes))?;
    }
    Ok(())
}

/// The next ICMPv6 message is a parameter problem.
fn problem(wire: &mut Wire, code: u8, pointer: u32) -> Done {
    let message = wire.expect("a parameter problem", |packet| packet.icmp().cloned())?;
    check!(
        (message.kind, message.code) == (4, code) && message.body[..4] == pointer.to_be_bytes(),
        "{}/{} with pointer {:?}",
        message.kind,
        message.code,
        &message.body[..4]
    );
    Ok(())
}

/// The echo of a datagram that [`cut`] has sent.
fn echoed(wire: &mut Wire) -> Done {
    wire.expect("the echo", |packet| {
        packet
            .udp()
            .filter(|udp| udp.data == b"behind headers")
            .map(drop)
    })
}

fn f194(wire: &mut Wire) -> Done {
    let behind = |option_type| [Header::options(DESTINATION, &option(option_type))];
    cut(wire, 194, &[], &behind(0x1e))?;
    echoed(wire)?;
    cut(wire, 195, &[], &behind(0x5e))?;
    wire.silent("an option that asks to drop the packet")?;
    // The fragment header is gone.
    cut(wire, 196, &[], &behind(0x9e))?;
    problem(wire, OPTION, 42)?;
    check!(wire.datagrams().len() == 1, "it was delivered");
    Ok(())
}

fn f195(wire: &mut Wire) -> Done {
    for kind in WITH_OPTIONS {
        wire.forget_datagrams();
        let before = |option_type| [Header::options(kind, &option(option_type))];
        cut(wire, 194, &before(0x1e), &[])?;
        echoed(wire)?;
        cut(wire, 195, &before(0x5e), &[])?;
        wire.silent("an option that asks to drop the packet")?;
        // An error for each of the two fragments.
        cut(wire, 196, &before(0x9e), &[])?;
        problem(wire, OPTION, 42)?;
        problem(wire, OPTION, 42)?;
        // Behind the first options, which remain.
        let behind = [Header::options(DESTINATION, &option(0x9e))];
        cut(wire, 197, &before(0x1e), &behind)?;
        problem(wire, OPTION, 42 + 8)?;
        check!(wire.datagrams().len() == 1, "it was delivered");
    }
    Ok(())
}
