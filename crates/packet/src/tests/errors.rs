//! One packet or more for every reason not to take one.

use super::build::*;
use crate::{Headers, Packet, ParseError};

fn refused(bytes: &[u8]) -> ParseError {
    Headers::parse(bytes).expect_err("must not be taken")
}

#[test]
fn empty_input_is_truncated() {
    assert_eq!(refused(&[]), ParseError::Truncated);
}

#[test]
fn only_versions_4_and_6() {
    for version in (0..16).filter(|version| ![4, 6].contains(version)) {
        let mut packet = v4(17, &[], &udp(b""));
        packet[0] = version << 4 | 5;
        assert_eq!(refused(&packet), ParseError::Version, "version {version}");
        assert_eq!(
            refused(&packet[..1]),
            ParseError::Version,
            "version {version} alone"
        );
    }
}

#[test]
fn every_prefix_is_truncated() {
    let packets = [
        v4(6, &[1; 8], &tcp(ACK, 1, 2, &[], b"data")),
        v6(6, &tcp(ACK, 1, 2, &[], b"data")),
    ];
    for packet in packets {
        for len in 0..packet.len() {
            assert_eq!(
                refused(&packet[..len]),
                ParseError::Truncated,
                "{len} bytes"
            );
        }
        assert!(Headers::parse(&packet).is_ok());
    }
}

#[test]
fn ihl_below_five() {
    for ihl in 0..5 {
        let mut packet = v4(17, &[], &udp(b"1234"));
        packet[0] = 0x40 | ihl;
        assert_eq!(refused(&packet), ParseError::HeaderLength, "IHL {ihl}");
    }
}

#[test]
fn total_length_below_header() {
    for (options, total) in [(0, 0), (0, 19), (8, 20), (8, 27), (40, 59)] {
        let mut packet = v4(17, &vec![1; options], &udp(b"1234"));
        packet[2..4].copy_from_slice(&(total as u16).to_be_bytes());
        fix_v4(&mut packet);
        assert_eq!(
            refused(&packet),
            ParseError::TotalLength,
            "{total} of {options} options"
        );
    }
}

#[test]
fn total_length_beyond_the_bytes() {
    let mut packet = v4(17, &[], &udp(b"1234"));
    packet[3] += 1;
    fix_v4(&mut packet);
    assert_eq!(refused(&packet), ParseError::Truncated);
    let mut packet = v6(17, &udp(b"1234"));
    packet[5] += 1;
    assert_eq!(refused(&packet), ParseError::Truncated);
}

#[test]
fn jumbogram() {
    // RFC 2675: payload length 0, and the length in a hop-by-hop option.
    let mut options = vec![6, 0, 0xc2, 4, 0, 1, 0, 20];
    options.extend(tcp(ACK, 1, 2, &[], b""));
    let mut packet = v6(0, &options);
    packet[4..6].fill(0);
    assert_eq!(refused(&packet), ParseError::TotalLength);
}

#[test]
fn wrong_header_checksum() {
    for options in [0, 4, 40] {
        let good = v4(17, &vec![1; options], &udp(b"1234"));
        for byte in 12..20 + options {
            let mut packet = good.clone();
            packet[byte] ^= 0x10;
            assert_eq!(refused(&packet), ParseError::HeaderChecksum, "byte {byte}");
        }
    }
}

#[test]
fn tcp_header_too_short() {
    let segment = tcp(ACK, 1, 2, &[], b"");
    for len in 0..20 {
        assert_eq!(refused(&v4(6, &[], &segment[..len])), ParseError::TcpHeader);
        assert_eq!(refused(&v6(6, &segment[..len])), ParseError::TcpHeader);
    }
}

#[test]
fn tcp_data_offset() {
    let mut segment = tcp(ACK, 1, 2, &[], b"1234");
    for offset in (0..16).filter(|offset| ![5, 6].contains(offset)) {
        segment[12] = offset << 4;
        assert_eq!(
            refused(&v4(6, &[], &segment)),
            ParseError::TcpHeader,
            "offset {offset}"
        );
        assert_eq!(
            refused(&v6(6, &segment)),
            ParseError::TcpHeader,
            "offset {offset}"
        );
    }
    segment[12] = 6 << 4;
    let packet = v4(6, &[], &segment);
    assert_eq!(Packet::parse(&packet).unwrap().payload(), b"");
}

#[test]
fn tcp_offset_is_judged_by_the_segment_not_by_the_bytes_behind_it() {
    let mut segment = tcp(ACK, 1, 2, &[], b"");
    segment[12] = 6 << 4;
    let mut packet = v4(6, &[], &segment);
    packet.extend([0; 40]);
    assert_eq!(refused(&packet), ParseError::TcpHeader);
}

#[test]
fn udp_header_too_short() {
    for len in 0..8 {
        assert_eq!(
            refused(&v4(17, &[], &udp(b"")[..len])),
            ParseError::UdpHeader
        );
        assert_eq!(refused(&v6(17, &udp(b"")[..len])), ParseError::UdpHeader);
    }
}

#[test]
fn udp_length_below_8_or_too_long() {
    for length in [0u16, 1, 7, 13, 14, 0xffff] {
        let mut datagram = udp(b"1234");
        datagram[4..6].copy_from_slice(&length.to_be_bytes());
        assert_eq!(
            refused(&v4(17, &[], &datagram)),
            ParseError::UdpHeader,
            "length {length}"
        );
        assert_eq!(
            refused(&v6(17, &datagram)),
            ParseError::UdpHeader,
            "length {length}"
        );
    }
}

#[test]
fn icmp_too_short() {
    for len in 0..8 {
        assert_eq!(
            refused(&v4(1, &[], &icmp(8, 0, b"")[..len])),
            ParseError::IcmpHeader
        );
        assert_eq!(
            refused(&v6(58, &icmp(128, 0, b"")[..len])),
            ParseError::IcmpHeader
        );
    }
}

#[test]
fn the_list_numbers_every_error_once() {
    for (index, error) in ParseError::ALL.into_iter().enumerate() {
        assert_eq!(error.index(), index);
        assert!(!error.to_string().is_empty());
    }
    // What no other test here refuses with.
    assert_eq!(refused(&v6(60, &[6])), ParseError::ExtensionHeader);
}
