//! Invariants of the parser and of the writers that answer a packet.

use crate::bytes::{fold, repair, words};
use crate::fragments::again;
use brooklet_packet::icmp::{
    self, IcmpErrorKind, ParameterProblem, ParameterProblemKind, Unreachable,
};
use brooklet_packet::reassembly::{Config, Reassembler};
use brooklet_packet::{Coalescer, Headers, Packet, Protocol, Segmenter, strip_options, tcp, udp};
use std::time::Instant;

/// Parses `data` as it is and with its IPv4 header checksum made right, runs everything that
/// takes a packet, and panics when something does not hold.
pub fn parse(data: &[u8]) {
    exercise(data);
    let mut repaired = data.to_vec();
    repair(&mut repaired);
    if repaired != data {
        exercise(&repaired);
    }
}

fn exercise(bytes: &[u8]) {
    let parsed = Packet::parse(bytes);
    malformed(bytes, parsed.is_ok());
    let Ok(packet) = parsed else {
        return;
    };
    ranges(bytes, &packet);
    stripped(&packet);
    if let Some(error) = icmp::parse_error(&packet) {
        assert_eq!(error.key.source().ip(), packet.destination());
        assert!(packet.verify_checksum());
    }
    reassembled(&packet);
    answers(&packet);
    datagram(&packet);
    segment(&packet);
    with_right_checksum(&packet);
    apart(&packet);
}

/// A parameter problem points into the packet that it is about.
fn malformed(bytes: &[u8], is_good: bool) {
    let mut out = vec![1];
    let written = icmp::malformed_reply(&mut out, bytes);
    assert_eq!(written, !out.is_empty());
    if written {
        assert!(!is_good && out.len() <= 1280);
        let reply = Packet::parse(&out).expect("a reply is a packet");
        assert!(reply.verify_checksum() && bytes.starts_with(reply.payload()));
        let pointer = reply.transport()[4..8].first_chunk().expect("four bytes");
        assert!((u32::from_be_bytes(*pointer) as usize) < bytes.len());
    }
}

fn ranges(bytes: &[u8], packet: &Packet<'_>) {
    let (transport, payload) = (packet.transport_range(), packet.payload_range());
    assert!(transport.start <= payload.start && payload.start <= payload.end);
    assert_eq!(transport.end, payload.end);
    assert!(payload.end <= packet.total_len() && packet.total_len() <= bytes.len());
    assert_eq!(packet.transport(), &bytes[transport]);
    assert_eq!(packet.payload(), &bytes[payload]);
    assert_eq!(
        Headers::parse(packet.bytes()).as_ref(),
        Ok(packet.headers()),
        "without padding"
    );
    let whole_segment = packet.fragment().is_none() && packet.protocol() == Protocol::Tcp;
    assert_eq!(packet.tcp().is_some(), whole_segment);
    if let Some(fragment) = packet.fragment() {
        assert!(fragment.more || fragment.offset > 0);
        assert_eq!(fragment.offset % 8, 0);
        assert!(packet.verify_checksum(), "nothing is known of a fragment's");
    }
}

fn stripped(packet: &Packet<'_>) {
    let mut out = Vec::new();
    if !strip_options(&mut out, packet) {
        assert!(packet.fragment().is_some() && out.is_empty());
        return;
    }
    let plain = Packet::parse(&out).expect("a packet without options is one");
    assert!(!plain.has_options());
    assert_eq!(plain.total_len(), out.len());
    assert_eq!((plain.key(), plain.tcp()), (packet.key(), packet.tcp()));
    assert_eq!(
        (plain.protocol(), plain.hop_limit()),
        (packet.protocol(), packet.hop_limit())
    );
    assert_eq!(plain.transport(), packet.transport());
    assert_eq!(plain.payload(), packet.payload());
    assert_eq!(plain.verify_checksum(), packet.verify_checksum());
}

/// One fragment is not a packet, and a packet survives fragmentation.
fn reassembled(packet: &Packet<'_>) {
    let mut reassembler = Reassembler::new(Config::default());
    let mut out = vec![1];
    assert!(!reassembler.handle_fragment(Instant::now(), packet, &mut out));
    assert!(out.is_empty());
    let taken = reassembler.stats().fragments;
    assert_eq!(taken, u64::from(packet.fragment().is_some()));
    again(packet.bytes());
}

fn answers(packet: &Packet<'_>) {
    let mut out = vec![1];
    let check = |written: bool, out: &[u8], longest: usize| {
        assert_eq!(written, !out.is_empty());
        if written {
            let answer = Packet::parse(out).expect("an answer is a packet");
            assert_eq!(answer.total_len(), out.len());
            assert!(out.len() <= longest && answer.verify_checksum());
            assert_eq!(answer.source(), packet.destination());
            assert_eq!(answer.destination(), packet.source());
        }
    };
    let written = tcp::reset(&mut out, packet);
    check(written, &out, 60);
    if written {
        let reset = Packet::parse(&out).expect("checked above");
        assert_eq!(reset.key(), packet.key().reversed());
        assert!(
            !tcp::reset(&mut Vec::new(), &reset),
            "resets do not answer resets"
        );
    }
    let written = icmp::echo_reply(&mut out, packet);
    check(written, &out, packet.total_len());
    for kind in [
        Unreachable::Network.into(),
        Unreachable::Host.into(),
        Unreachable::Protocol.into(),
        Unreachable::Port.into(),
        Unreachable::Prohibited.into(),
        Unreachable::PacketTooBig { mtu: 1400 }.into(),
        IcmpErrorKind::HopLimitExceeded,
        IcmpErrorKind::ReassemblyTimeExceeded,
        ParameterProblem {
            pointer: 40,
            kind: ParameterProblemKind::HeaderField,
        }
        .into(),
    ] {
        let written = icmp::error(&mut out, packet, kind);
        check(
            written,
            &out,
            if packet.key().is_ipv6() { 1280 } else { 576 },
        );
        if written {
            let error = Packet::parse(&out).expect("checked above");
            assert!(packet.bytes().starts_with(error.payload()));
            understood(packet, kind, &error);
            assert!(
                !icmp::error(&mut Vec::new(), &error, kind),
                "errors answer no errors"
            );
        }
    }
}

/// Who reads an error finds in it what was written, if enough of the packet was there.
fn understood(packet: &Packet<'_>, kind: IcmpErrorKind, error: &Packet<'_>) {
    let Some(read) = icmp::parse_error(error) else {
        // Eight bytes of the transport tell the flow (RFC 792). They may not be there, or lie
        // behind a chain of extension headers too long to be quoted.
        let is_first = packet
            .fragment()
            .is_none_or(|fragment| fragment.offset == 0);
        assert!(!is_first || error.payload().len() < packet.transport_range().start + 8);
        return;
    };
    assert_eq!(read.kind, kind);
    assert_eq!(read.from, packet.destination());
    assert_eq!(read.protocol, packet.protocol());
    assert_eq!(read.key.source().ip(), packet.source());
    assert_eq!(read.key.destination().ip(), packet.destination());
    if packet.fragment().is_none() {
        assert_eq!(read.key, packet.key());
        assert_eq!(read.seq, packet.tcp().map(|tcp| tcp.seq));
    }
}

/// What is taken apart is all there, and datagrams can be joined again.
fn apart(packet: &Packet<'_>) {
    let len = packet.payload().len();
    let size = u16::try_from(len / 3 + 1).expect("a third of a packet");
    let size = size.try_into().expect("not zero");
    let mut segmenter = Segmenter::new(packet.headers(), size);
    let mut out = vec![0; segmenter.longest()];
    let (mut payload, mut joined) = (Vec::new(), None::<(Coalescer, Vec<u8>)>);
    while let Some(part) = segmenter.next(packet.bytes(), &mut out) {
        let part = Packet::parse(&out[..part]).expect("a part is a packet");
        assert!(part.verify_checksum() || packet.headers().checksum_offset().is_none());
        payload.extend_from_slice(part.payload());
        match &mut joined {
            Some((coalescer, whole)) => assert!(coalescer.push(whole, part.bytes())),
            None => joined = Coalescer::new(part.bytes()).map(|one| (one, part.bytes().to_vec())),
        }
    }
    assert_eq!(payload, packet.payload());
    if let Some((coalescer, mut whole)) = joined {
        coalescer.finish(&mut whole);
        let whole = Packet::parse(&whole).expect("what is joined is a packet");
        assert_eq!(whole.payload(), packet.payload());
        assert_eq!(whole.key(), packet.key());
    }
}

fn datagram(packet: &Packet<'_>) {
    let key = packet.key();
    let mut out = vec![1];
    let limit = packet.hop_limit();
    match udp::write(
        &mut out,
        key.source(),
        key.destination(),
        limit,
        packet.payload(),
    ) {
        Ok(()) => {
            let datagram = Packet::parse(&out).expect("a datagram is a packet");
            assert_eq!(
                (datagram.key(), datagram.payload()),
                (key, packet.payload())
            );
            assert_eq!(
                (datagram.protocol(), datagram.hop_limit()),
                (Protocol::Udp, limit)
            );
            assert!(datagram.verify_checksum());
        }
        Err(_) => {
            assert!(packet.payload().len() > udp::max_payload(usize::MAX, key.is_ipv6()));
            assert!(out.is_empty());
        }
    }
}

/// Writes a right checksum into a whole packet and expects it to be found right, and wrong again
/// when one bit of it changes.
/// A segment that is written from the fields of another has the same fields.
fn segment(packet: &Packet<'_>) {
    let Some(header) = packet.tcp() else {
        return;
    };
    let options = &packet.transport()[20..packet.transport().len() - packet.payload().len()];
    let (key, hop_limit, payload) = (packet.key(), packet.hop_limit(), packet.payload());
    let mut out = vec![1];
    // Both packets have the same limit, and extension headers only make the first one longer.
    tcp::write(&mut out, key, header, options, hop_limit, payload).expect("it fits");
    let written = Packet::parse(&out).expect("a segment is a packet");
    assert_eq!((written.key(), written.tcp()), (key, Some(header)));
    assert_eq!(written.hop_limit(), hop_limit);
    assert_eq!(written.transport()[20..], packet.transport()[20..]);
    assert!(written.verify_checksum());
}

fn with_right_checksum(packet: &Packet<'_>) {
    let at = match packet.protocol() {
        _ if packet.fragment().is_some() => return,
        Protocol::Tcp => 16,
        Protocol::Udp => 6,
        Protocol::Icmpv4 if !packet.key().is_ipv6() => 2,
        Protocol::Icmpv6 if packet.key().is_ipv6() => 2,
        _ => return,
    };
    let transport = packet.transport_range();
    let at = transport.start + at;
    let mut bytes = packet.bytes().to_vec();
    bytes[at..at + 2].fill(0);
    let pseudo = if packet.protocol() == Protocol::Icmpv4 {
        0
    } else {
        pseudo_header(packet)
    };
    let checksum = match !fold(pseudo + words(&bytes[transport.clone()])) {
        0 if packet.protocol() == Protocol::Udp => 0xffff,
        checksum => checksum,
    };
    bytes[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
    assert!(packet.headers().verify_checksum(&bytes));
    bytes[transport.start] ^= 1;
    assert!(!packet.headers().verify_checksum(&bytes));
}

fn pseudo_header(packet: &Packet<'_>) -> u64 {
    let mut bytes = Vec::new();
    for address in [packet.source(), packet.destination()] {
        match address {
            std::net::IpAddr::V4(address) => bytes.extend(address.octets()),
            std::net::IpAddr::V6(address) => bytes.extend(address.octets()),
        }
    }
    words(&bytes) + u64::from(u8::from(packet.protocol())) + packet.transport().len() as u64
}
