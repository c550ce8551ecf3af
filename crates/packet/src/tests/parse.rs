//! What is found in packets that are taken.

use super::build::*;
use crate::{Ecn, FlowKey, Headers, Packet, Protocol, TcpHeader, TrafficClass};
use std::net::{IpAddr, SocketAddr};

fn key(from: impl Into<IpAddr>, to: impl Into<IpAddr>, ports: (u16, u16)) -> FlowKey {
    let (from, to) = (
        SocketAddr::new(from.into(), ports.0),
        SocketAddr::new(to.into(), ports.1),
    );
    FlowKey::new(from, to).expect("one family")
}

#[test]
fn tcp_v4() {
    let bytes = v4(
        6,
        &[],
        &tcp(ACK | 8, 0x0102_0304, 0xa1b2_c3d4, &[1; 12], b"payload"),
    );
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.key(), key(A4, B4, (4000, 80)));
    assert_eq!(packet.source(), A4);
    assert_eq!(packet.destination(), B4);
    assert_eq!(packet.protocol(), Protocol::Tcp);
    assert_eq!(packet.hop_limit(), 61);
    assert_eq!(packet.fragment(), None);
    let TcpHeader {
        seq,
        ack,
        window,
        flags,
    } = packet.tcp().unwrap();
    assert_eq!(
        (seq, ack, window, flags.bits()),
        (0x0102_0304, 0xa1b2_c3d4, 1234, ACK | 8)
    );
    assert_eq!(packet.transport_range(), 20..20 + 32 + 7);
    assert_eq!(packet.payload_range(), 52..59);
    assert_eq!(packet.payload(), b"payload");
    assert!(!packet.has_options());
    assert_eq!(packet.total_len(), 59);
}

#[test]
fn tcp_v6() {
    let bytes = v6(6, &tcp(SYN, 7, 0, &[2, 4, 5, 0xb4], b""));
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.key(), key(A6, B6, (4000, 80)));
    assert_eq!(
        (packet.source(), packet.destination()),
        (A6.into(), B6.into())
    );
    assert_eq!(packet.protocol(), Protocol::Tcp);
    assert_eq!(packet.hop_limit(), 61);
    let header = packet.tcp().unwrap();
    assert_eq!((header.seq, header.flags.bits()), (7, SYN));
    assert_eq!(packet.transport_range(), 40..64);
    assert_eq!(packet.payload_range(), 64..64);
    assert!(!packet.has_options());
}

#[test]
fn udp_both() {
    for (bytes, start, ends) in [
        (v4(17, &[], &udp(b"hello")), 20, key(A4, B4, (5000, 53))),
        (v6(17, &udp(b"hello")), 40, key(A6, B6, (5000, 53))),
    ] {
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.protocol(), Protocol::Udp);
        assert_eq!(packet.key(), ends);
        assert_eq!(packet.tcp(), None);
        assert_eq!(packet.transport_range(), start..start + 13);
        assert_eq!(packet.payload(), b"hello");
    }
}

#[test]
fn udp_length_below_the_ip_payload_cuts_payload_and_transport() {
    // RFC 9868 calls what follows the surplus area.
    for (mut bytes, start) in [
        (v4(17, &[], &udp(b"hello surplus")), 20),
        (v6(17, &udp(b"hello surplus")), 40),
    ] {
        bytes[start + 4..start + 6].copy_from_slice(&13u16.to_be_bytes());
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.payload(), b"hello");
        assert_eq!(packet.transport_range(), start..start + 13);
        assert_eq!(packet.total_len(), bytes.len());
        assert_eq!(packet.bytes(), bytes);
    }
}

#[test]
fn empty_udp_datagram() {
    let bytes = v4(17, &[], &udp(b""));
    assert_eq!(Packet::parse(&bytes).unwrap().payload_range(), 28..28);
}

#[test]
fn icmp_both() {
    for (bytes, start, protocol, ends) in [
        (
            v4(1, &[], &icmp(8, 0, b"ping")),
            20,
            Protocol::Icmpv4,
            key(A4, B4, (0, 0)),
        ),
        (
            v6(58, &icmp(128, 0, b"ping")),
            40,
            Protocol::Icmpv6,
            key(A6, B6, (0, 0)),
        ),
    ] {
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.protocol(), protocol);
        assert_eq!(packet.key(), ends, "no ports");
        assert_eq!(packet.transport_range(), start..start + 12);
        assert_eq!(packet.payload(), b"ping");
    }
}

#[test]
fn icmp_of_the_other_version_is_a_protocol_like_any() {
    for (bytes, start) in [(v4(58, &[], b"1"), 20), (v6(1, b"1"), 40)] {
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.payload_range(), start..start + 1);
        assert!(packet.verify_checksum());
    }
}

#[test]
fn other_protocols_are_all_payload() {
    for (bytes, start) in [(v4(47, &[], b"tunnel"), 20), (v6(47, b"tunnel"), 40)] {
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.protocol(), Protocol::Other(47));
        assert_eq!(packet.transport_range(), start..start + 6);
        assert_eq!(packet.payload_range(), start..start + 6);
        assert_eq!(packet.key().source().port(), 0);
        assert!(packet.verify_checksum());
    }
}

#[test]
fn headers_alone_are_packets() {
    let bytes = v4(47, &[], b"");
    assert_eq!(Headers::parse(&bytes).unwrap().payload_range(), 20..20);
    let bytes = v6(59, b""); // RFC 8200, 4.7: no next header
    let headers = Headers::parse(&bytes).unwrap();
    assert_eq!(headers.payload_range(), 40..40);
    assert_eq!(headers.protocol(), Protocol::Other(59));
    assert!(!headers.has_options());
}

#[test]
fn ipv4_options() {
    for len in (4..=40).step_by(4) {
        let bytes = v4(6, &vec![1; len], &summed_v4(6, tcp(SYN, 1, 0, &[], b"x")));
        let packet = Packet::parse(&bytes).unwrap();
        assert!(packet.has_options());
        assert_eq!(packet.transport_range(), 20 + len..20 + len + 21);
        assert_eq!(packet.payload(), b"x");
        assert_eq!(packet.key(), key(A4, B4, (4000, 80)));
        assert!(packet.verify_checksum());
    }
}

#[test]
fn padding_is_cut_off() {
    for mut bytes in [v4(17, &[], &udp(b"hello")), v6(17, &udp(b"hello"))] {
        let len = bytes.len();
        bytes.extend(b"padding");
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.total_len(), len);
        assert_eq!(packet.bytes(), &bytes[..len]);
        assert_eq!(packet.payload(), b"hello");
    }
}

#[test]
fn the_longest_packets() {
    let bytes = v4(17, &[], &summed_v4(17, udp(&[7; 65_507])));
    assert_eq!(bytes.len(), 65_535);
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.payload().len(), 65_507);
    assert!(packet.verify_checksum());

    let bytes = v6(17, &summed_v6(17, udp(&[7; 65_527])));
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.total_len(), 65_575);
    assert_eq!(packet.payload_range(), 48..65_575);
    assert!(packet.verify_checksum());
}

#[test]
fn checksums_are_verified() {
    let packets = [
        v4(6, &[], &summed_v4(6, tcp(ACK, 1, 2, &[], b"odd"))),
        v4(17, &[], &summed_v4(17, udp(b"even"))),
        v4(1, &[], &summed_v4(1, icmp(8, 0, b"odd"))),
        v6(6, &summed_v6(6, tcp(ACK, 1, 2, &[], b"odd"))),
        v6(17, &summed_v6(17, udp(b"even"))),
        v6(58, &summed_v6(58, icmp(128, 0, b"odd"))),
    ];
    for good in packets {
        let headers = Headers::parse(&good).unwrap();
        assert!(headers.verify_checksum(&good));
        for byte in headers.transport_range() {
            let mut bad = good.clone();
            bad[byte] ^= 1;
            assert!(!headers.verify_checksum(&bad), "{headers:?}, byte {byte}");
        }
    }
}

#[test]
fn the_pseudo_header_counts() {
    let segment = summed_v6(6, tcp(ACK, 1, 2, &[], b"data"));
    for byte in 8..40 {
        let mut packet = v6(6, &segment);
        packet[byte] ^= 1;
        assert!(
            !Packet::parse(&packet).unwrap().verify_checksum(),
            "address byte {byte}"
        );
    }
    let segment = summed_v4(17, udp(b"data"));
    for byte in 12..20 {
        let mut packet = v4(17, &[], &segment);
        packet[byte] ^= 1;
        fix_v4(&mut packet);
        assert!(
            !Packet::parse(&packet).unwrap().verify_checksum(),
            "address byte {byte}"
        );
    }
}

#[test]
fn udp_without_checksum_is_right_with_ipv4_only() {
    let bytes = v4(17, &[], &udp(b"data"));
    assert!(Packet::parse(&bytes).unwrap().verify_checksum());
    let bytes = v6(17, &udp(b"data"));
    assert!(!Packet::parse(&bytes).unwrap().verify_checksum());
}

#[test]
fn udp_checksum_ends_where_the_datagram_does() {
    let mut datagram = summed_v4(17, udp(b"hello"));
    datagram.extend(b"surplus");
    let bytes = v4(17, &[], &datagram);
    assert!(Packet::parse(&bytes).unwrap().verify_checksum());
}

#[test]
fn verifying_other_bytes_does_not_panic() {
    let bytes = v4(17, &[], &udp(b"data"));
    let headers = Headers::parse(&bytes).unwrap();
    for len in 0..bytes.len() {
        assert!(!headers.verify_checksum(&bytes[..len]));
    }
    assert!(!headers.verify_checksum(&[0xff; 100]));
}

#[test]
fn bytes_and_headers_put_together_again() {
    let mut bytes = v4(17, &[], &udp(b"data"));
    let headers = Headers::parse(&bytes).unwrap();
    bytes.extend([0; 9]);
    assert_eq!(Packet::new(&bytes, headers), Packet::parse(&bytes).unwrap());
}

#[test]
#[should_panic(expected = "31 bytes of a packet of 32")]
fn too_few_bytes_for_the_headers() {
    let bytes = v4(17, &[], &udp(b"data"));
    let headers = Headers::parse(&bytes).unwrap();
    Packet::new(&bytes[..31], headers);
}

#[test]
fn headers_stay_small() {
    assert!(size_of::<Headers>() <= 80, "{} bytes", size_of::<Headers>());
    assert!(size_of::<FlowKey>() <= 40, "{} bytes", size_of::<FlowKey>());
}

#[test]
fn the_traffic_class_and_dont_fragment_are_read() {
    for (flags, expected) in [(0x00, false), (0x40, true), (0x80, false)] {
        let mut bytes = v4(17, &[], &udp(b"data"));
        (bytes[1], bytes[6]) = (0xb9, flags);
        fix_v4(&mut bytes);
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.traffic_class().bits(), 0xb9);
        assert_eq!(packet.dont_fragment(), expected);
    }
    let mut bytes = v6(17, &udp(b"data"));
    // The flow label is behind the traffic class.
    bytes[..4].copy_from_slice(&[0x6b, 0x9f, 0xff, 0xff]);
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.traffic_class().bits(), 0xb9);
    assert!(packet.dont_fragment());
}

#[test]
fn the_two_fields_of_a_traffic_class_do_not_touch_each_other() {
    for bits in 0..=255 {
        let class = TrafficClass::from_bits(bits);
        assert_eq!((class.bits(), class.dscp()), (bits, bits >> 2));
        let ecn = [Ecn::NotEct, Ecn::Ect1, Ecn::Ect0, Ecn::Ce][usize::from(bits & 3)];
        assert_eq!(class.ecn(), ecn);
        let made = TrafficClass::default().with_ecn(ecn).with_dscp(bits >> 2);
        assert_eq!(made, class);
        assert_eq!(class.with_dscp(0xff).ecn(), ecn);
        assert_eq!(class.with_ecn(Ecn::Ce).dscp(), bits >> 2);
    }
}
