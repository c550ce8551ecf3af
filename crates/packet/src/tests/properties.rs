//! What holds for any bytes, and for any packet that is written.

use super::build::*;
use crate::icmp::{Echo, IcmpErrorKind, ParameterProblem, ParameterProblemKind, Unreachable};
use crate::{
    FlowKey, Headers, IpFields, Packet, ParseError, Segmenter, TcpFlags, TcpHeader, TrafficClass,
    icmp, strip_options, tcp, udp,
};
use proptest::prelude::*;
use std::net::SocketAddr;

/// Runs everything there is on these bytes and checks what must hold of it.
fn exercise(bytes: &[u8]) -> Result<(), ParseError> {
    let parsed = Packet::parse(bytes);
    check_malformed_reply(bytes, parsed.is_ok());
    let packet = parsed?;
    let headers = *packet.headers();
    let (transport, payload) = (headers.transport_range(), headers.payload_range());
    assert!(transport.start <= payload.start && payload.start <= payload.end);
    assert_eq!(transport.end, payload.end);
    assert!(payload.end <= headers.total_len() && headers.total_len() <= bytes.len());
    assert_eq!(packet.bytes().len(), headers.total_len());
    assert_eq!(packet.transport(), &bytes[transport]);
    assert_eq!(packet.payload(), &bytes[payload]);
    assert_eq!(
        Headers::parse(packet.bytes()),
        Ok(headers),
        "padding changes nothing"
    );
    let verified = packet.verify_checksum();
    if let Some(fragment) = headers.fragment() {
        assert!(fragment.more || fragment.offset > 0);
        assert_eq!(fragment.offset % 8, 0);
        assert_eq!((headers.tcp(), headers.key().source().port()), (None, 0));
    }

    let mut out = Vec::new();
    assert_eq!(
        strip_options(&mut out, &packet),
        headers.fragment().is_none()
    );
    if !out.is_empty() {
        let plain = Packet::parse(&out).expect("stripped packets parse");
        assert!(!plain.has_options());
        assert_eq!(plain.transport(), packet.transport());
        assert_eq!((plain.key(), plain.tcp()), (packet.key(), packet.tcp()));
        assert_eq!(plain.verify_checksum(), verified);
    }
    let mut segmenter = Segmenter::new(&headers, 3.try_into().expect("not zero"));
    let (mut part, mut whole) = (vec![0; segmenter.longest()], Vec::new());
    while let Some(len) = segmenter.next(bytes, &mut part) {
        let part = Packet::parse(&part[..len]).expect("parts parse");
        assert!(headers.checksum_offset().is_none() || part.verify_checksum());
        whole.extend_from_slice(part.payload());
    }
    assert_eq!(whole, packet.payload());

    let answers = |written: bool, out: &[u8]| {
        assert_eq!(written, !out.is_empty());
        if written {
            assert_well_formed(out);
            let answer = Packet::parse(out).expect("answers parse");
            assert_eq!(answer.source(), packet.destination());
            assert_eq!(answer.destination(), packet.source());
            assert!(answer.verify_checksum());
        }
    };
    let written = tcp::reset(&mut out, &packet);
    answers(written, &out);
    let written = icmp::echo_reply(&mut out, &packet);
    answers(written, &out);
    // One kind for each packet: the packets are many.
    let sum: usize = bytes.iter().copied().map(usize::from).sum();
    let kind = KINDS[sum % KINDS.len()];
    let written = icmp::error(&mut out, &packet, kind);
    answers(written, &out);
    if written {
        check_error(&packet, kind, &out);
    }
    let (request, reply) = (
        icmp::parse_echo_request(&packet),
        icmp::parse_echo_reply(&packet),
    );
    assert!(request.is_none() || reply.is_none());
    assert!((request.is_none() && reply.is_none()) || verified);
    let _ = icmp::parse_error(&packet);
    Ok(())
}

const KINDS: [IcmpErrorKind; 8] = [
    IcmpErrorKind::Unreachable(Unreachable::Protocol),
    IcmpErrorKind::Unreachable(Unreachable::Port),
    IcmpErrorKind::Unreachable(Unreachable::PacketTooBig { mtu: 1300 }),
    IcmpErrorKind::HopLimitExceeded,
    IcmpErrorKind::ReassemblyTimeExceeded,
    problem(200, ParameterProblemKind::HeaderField),
    problem(40, ParameterProblemKind::Option),
    problem(0, ParameterProblemKind::IncompleteHeaderChain),
];

const fn problem(pointer: u32, kind: ParameterProblemKind) -> IcmpErrorKind {
    IcmpErrorKind::ParameterProblem(ParameterProblem { pointer, kind })
}

/// An error is read as it was written, if it quotes enough.
fn check_error(packet: &Packet<'_>, kind: IcmpErrorKind, error: &[u8]) {
    let is_ipv6 = packet.key().is_ipv6();
    assert!(error.len() <= if is_ipv6 { 1280 } else { 576 });
    let error = Packet::parse(error).expect("errors parse");
    assert!(packet.bytes().starts_with(error.payload()));
    assert!(
        !icmp::error(&mut Vec::new(), &error, kind),
        "no error about an error"
    );
    let Some(read) = icmp::parse_error(&error) else {
        return;
    };
    assert_eq!(read.from, packet.destination());
    assert_eq!(read.key.addresses(), packet.key().addresses());
    match kind {
        IcmpErrorKind::ParameterProblem(problem) if !is_ipv6 => {
            let kind = ParameterProblemKind::HeaderField;
            assert_eq!(read.kind, ParameterProblem { kind, ..problem }.into());
        }
        _ => assert_eq!(read.kind, kind),
    }
    if packet.fragment().is_none() {
        assert_eq!(read.protocol, packet.protocol());
        assert_eq!(read.key, packet.key());
        assert_eq!(read.seq, packet.tcp().map(|tcp| tcp.seq));
    }
}

/// The reply to a packet that is refused is a parameter problem that points into the packet.
fn check_malformed_reply(bytes: &[u8], is_good: bool) {
    let mut out = vec![1];
    let written = icmp::malformed_reply(&mut out, bytes);
    assert_eq!(written, !out.is_empty());
    if !written {
        return;
    }
    assert!(!is_good);
    assert_well_formed(&out);
    assert!(out.len() <= 1280);
    let reply = Packet::parse(&out).expect("replies parse");
    assert!(bytes.starts_with(reply.payload()));
    let header = reply.transport();
    let pointer = u32::from_be_bytes(header[4..8].try_into().expect("4 bytes"));
    assert_eq!(header[0], 4);
    assert!((pointer as usize) < bytes.len());
    assert!(!icmp::error(&mut Vec::new(), &reply, Unreachable::Port));
}

/// A good packet of every kind.
fn packets() -> Vec<Vec<u8>> {
    let segment = || tcp_segment(SYN, &[2, 4, 5, 0xb4]);
    vec![
        v4(6, &[], &summed_v4(6, segment())),
        v4(6, &[1; 8], &summed_v4(6, segment())),
        v4(17, &[], &summed_v4(17, udp(b"hello"))),
        v4(1, &[], &summed_v4(1, icmp(8, 0, b"hello"))),
        v4(47, &[], b"hello"),
        v6(6, &summed_v6(6, segment())),
        v6(17, &summed_v6(17, udp(b"hello"))),
        v6(58, &summed_v6(58, icmp(128, 0, b"hello"))),
        v6(
            0,
            &[
                ext(43, 1),
                routing(60, 2),
                ext(6, 0),
                summed_v6(6, segment()),
            ]
            .concat(),
        ),
        v6(
            44,
            &[fragment_header(17, 0, true, 1), udp(b"12345678")].concat(),
        ),
        v6(
            44,
            &[
                fragment_header(51, 0, false, 1),
                vec![6, 1, 0, 0],
                vec![0; 8],
                segment(),
            ]
            .concat(),
        ),
    ]
}

fn tcp_segment(flags: u8, options: &[u8]) -> Vec<u8> {
    tcp(flags, 1, 2, options, b"hello")
}

fn end() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        any::<([u8; 4], u16)>().prop_map(SocketAddr::from),
        any::<([u8; 16], u16)>().prop_map(SocketAddr::from),
    ]
}

fn fields() -> impl Strategy<Value = IpFields> {
    any::<(u8, u8, bool, u16)>().prop_map(|(hop_limit, class, dont_fragment, identification)| {
        IpFields::new()
            .hop_limit(hop_limit)
            .traffic_class(TrafficClass::from_bits(class))
            .dont_fragment(dont_fragment)
            .identification(identification)
    })
}

/// A packet that was written has these fields.
fn check_fields(bytes: &[u8], fields: IpFields) {
    assert_well_formed(bytes);
    let packet = Packet::parse(bytes).expect("written packets parse");
    assert_eq!(packet.hop_limit(), fields.hop_limit);
    assert_eq!(packet.traffic_class(), fields.traffic_class);
    let is_ipv6 = packet.key().is_ipv6();
    assert_eq!(packet.dont_fragment(), is_ipv6 || fields.dont_fragment);
    if !is_ipv6 {
        // RFC 6864, 4.1: zero with "don't fragment".
        let identification = u16::from_be_bytes([bytes[4], bytes[5]]);
        let expected = if fields.dont_fragment {
            0
        } else {
            fields.identification
        };
        assert_eq!(identification, expected);
    }
}

#[test]
fn every_kind_of_packet() {
    for packet in packets() {
        assert_eq!(exercise(&packet), Ok(()));
    }
}

#[test]
fn every_byte_changed_to_every_value() {
    for packet in packets() {
        for at in 0..packet.len() {
            for value in 0..=255 {
                let mut packet = packet.clone();
                packet[at] = value;
                let _ = exercise(&packet);
                if packet[0] >> 4 == 4 && packet[0] & 0xf >= 5 && packet.len() >= 60 {
                    fix_v4(&mut packet);
                    let _ = exercise(&packet);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = exercise(&bytes);
    }

    /// Bytes that get past the first checks.
    #[test]
    fn any_bytes_behind_a_good_header(
        body in proptest::collection::vec(any::<u8>(), 0..300),
        protocol in prop_oneof![Just(6), Just(17), Just(1), Just(58), any::<u8>()],
        next in prop_oneof![
            Just(0), Just(6), Just(17), Just(43), Just(44), Just(51), Just(58), Just(60), any::<u8>()
        ],
        words in 0usize..=10,
        fragment: Option<u16>,
    ) {
        let mut packet = v4(protocol, &vec![1; words * 4], &body);
        if let Some(field) = fragment {
            packet[6..8].copy_from_slice(&field.to_be_bytes());
            fix_v4(&mut packet);
        }
        let _ = exercise(&packet);
        let _ = exercise(&v6(next, &body));
    }

    #[test]
    fn several_bytes_changed(
        which in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        len in any::<prop::sample::Index>(),
    ) {
        let packets = packets();
        let mut packet = which.get(&packets).clone();
        for (at, value) in changes {
            let at = at.index(packet.len());
            packet[at] = value;
        }
        let _ = exercise(&packet);
        let _ = exercise(&packet[..len.index(packet.len())]);
    }

    #[test]
    fn datagrams_read_as_written(
        from in end(),
        to in end(),
        hop_limit: u8,
        payload in proptest::collection::vec(any::<u8>(), 0..2000),
    ) {
        let mut out = Vec::new();
        let written = udp::write(&mut out, from, to, hop_limit, &payload);
        prop_assert_eq!(written.is_ok(), from.is_ipv4() == to.is_ipv4());
        if written.is_ok() {
            assert_well_formed(&out);
            let packet = Packet::parse(&out).unwrap();
            prop_assert_eq!((packet.key().source(), packet.key().destination()), (from, to));
            prop_assert_eq!(packet.hop_limit(), hop_limit);
            prop_assert_eq!(packet.payload(), &payload);
            prop_assert!(packet.verify_checksum());
            let _ = exercise(&out);
        } else {
            prop_assert!(out.is_empty());
        }
    }

    #[test]
    fn datagrams_have_the_fields_that_were_written(
        from in end(),
        to in end(),
        fields in fields(),
        payload in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut out = b"what was there".to_vec();
        let written = udp::write_with(&mut out, from, to, fields, &payload);
        prop_assert_eq!(written.is_ok(), from.is_ipv4() == to.is_ipv4());
        if written.is_ok() {
            check_fields(&out, fields);
            let packet = Packet::parse(&out).unwrap();
            prop_assert_eq!((packet.key().source(), packet.key().destination()), (from, to));
            prop_assert_eq!(packet.payload(), &payload);
        }
    }

    #[test]
    fn echo_messages_read_as_written(
        from in end(),
        to in end(),
        fields in fields(),
        (identifier, sequence, is_request) in any::<(u16, u16, bool)>(),
        payload in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let echo = Echo { identifier, sequence };
        let mut out = b"what was there".to_vec();
        let write = if is_request { icmp::write_echo_request } else { icmp::write_echo_reply };
        let written = write(&mut out, from.ip(), to.ip(), fields, echo, &payload);
        prop_assert_eq!(written.is_ok(), from.is_ipv4() == to.is_ipv4());
        if written.is_ok() {
            check_fields(&out, fields);
            let packet = Packet::parse(&out).unwrap();
            let read = (icmp::parse_echo_request(&packet), icmp::parse_echo_reply(&packet));
            prop_assert_eq!(read, if is_request { (Some(echo), None) } else { (None, Some(echo)) });
            prop_assert_eq!(packet.payload(), &payload);
            let _ = exercise(&out);
        } else {
            prop_assert!(out.is_empty());
        }
    }

    /// IPv6 packets whose chains are mostly good, with options of every type.
    #[test]
    fn any_options(
        headers in proptest::collection::vec(
            (prop_oneof![Just(0u8), Just(43), Just(44), Just(60)], any::<u8>(), any::<[u8; 6]>()),
            1..4,
        ),
        protocol in prop_oneof![Just(6u8), Just(17), Just(58), Just(59)],
        body in proptest::collection::vec(any::<u8>(), 0..40),
        to_group: bool,
    ) {
        let mut chain = Vec::new();
        for (index, (kind, option, fields)) in headers.iter().enumerate() {
            chain.push(headers.get(index + 1).map_or(protocol, |(kind, ..)| *kind));
            if matches!(kind, 43 | 44) {
                chain.push(0);
                chain.extend(fields);
            } else {
                // Three bytes of padding, the option, and an option that a host skips.
                chain.extend([1, 0, 0, 0, *option, 2, fields[0], fields[1], 0x1e, 5]);
                chain.extend([0; 5]);
            }
        }
        chain.extend(body);
        let mut packet = v6(headers[0].0, &chain);
        if to_group {
            packet[24] = 0xff;
        }
        let _ = exercise(&packet);
        let mut out = Vec::new();
        icmp::malformed_reply_from(&mut out, A6.into(), &packet);
    }

    #[test]
    fn segments_read_as_written(
        from in end(),
        to in end(),
        (seq, ack, window, bits) in any::<(u32, u32, u16, u8)>(),
        options in proptest::collection::vec(any::<[u8; 4]>(), 0..=10),
        hop_limit in any::<u8>(),
        payload in proptest::collection::vec(any::<u8>(), 0..2000),
    ) {
        let Some(key) = FlowKey::new(from, to) else {
            return Ok(());
        };
        let header = TcpHeader { seq, ack, window, flags: TcpFlags::from_bits(bits) };
        let mut out = b"what was there".to_vec();
        prop_assert_eq!(
            tcp::write(&mut out, key, header, options.as_flattened(), hop_limit, &payload),
            Ok(())
        );
        assert_well_formed(&out);
        let packet = Packet::parse(&out).unwrap();
        prop_assert_eq!((packet.key(), packet.tcp()), (key, Some(header)));
        prop_assert_eq!(packet.hop_limit(), hop_limit);
        let options_range = 20..packet.transport().len() - payload.len();
        prop_assert_eq!(&packet.transport()[options_range], options.as_flattened());
        prop_assert_eq!(packet.payload(), &payload);
        prop_assert!(packet.verify_checksum());
    }

    #[test]
    fn keys_hold_what_they_are_made_of(from in end(), to in end()) {
        let key = FlowKey::new(from, to);
        prop_assert_eq!(key.is_some(), from.is_ipv4() == to.is_ipv4());
        if let Some(key) = key {
            prop_assert_eq!((key.source(), key.destination()), (from, to));
            prop_assert_eq!(key.reversed().reversed(), key);
            prop_assert_eq!(key.is_ipv6(), from.is_ipv6());
            prop_assert_eq!(key == key.reversed(), from == to);
        }
    }
}
