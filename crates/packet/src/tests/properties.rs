//! What holds for any bytes, and for any packet that is written.

use super::build::*;
use crate::icmp::Unreachable;
use crate::{
    FlowKey, Headers, Packet, ParseError, Segmenter, TcpFlags, TcpHeader, icmp, strip_options, tcp,
    udp,
};
use proptest::prelude::*;
use std::net::SocketAddr;

/// Runs everything there is on these bytes and checks what must hold of it.
fn exercise(bytes: &[u8]) -> Result<(), ParseError> {
    let packet = Packet::parse(bytes)?;
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
    let mut in_place = segmenter.clone();
    let (mut part, mut whole) = (vec![0; segmenter.longest()], Vec::new());
    while let Some(len) = segmenter.next(bytes, &mut part) {
        let part = Packet::parse(&part[..len]).expect("parts parse");
        assert!(headers.checksum_offset().is_none() || part.verify_checksum());
        whole.extend_from_slice(part.payload());
    }
    assert_eq!(whole, packet.payload());
    let mut bytes = bytes.to_vec();
    whole.clear();
    while let Some(place) = in_place.next_in_place(&mut bytes) {
        whole.extend_from_slice(Packet::parse(&bytes[place]).expect("parts parse").payload());
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
    for why in [Unreachable::Protocol, Unreachable::Port] {
        let written = icmp::error(&mut out, &packet, why);
        answers(written, &out);
    }
    Ok(())
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
