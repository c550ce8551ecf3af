//! Segments as written, and resets rule by rule of RFC 9293, 3.10.7.1.

use super::build::*;
use crate::tcp::{self, reset};
use crate::{FlowKey, Packet, TcpFlags, TcpHeader, WriteError};

#[test]
fn a_segment_that_cannot_be_written_leaves_nothing() {
    let key: FlowKey = "10.0.0.1:1 -> 10.0.0.2:2".parse().unwrap();
    let header = TcpHeader {
        seq: 1,
        ack: 2,
        window: 3,
        flags: TcpFlags::ACK,
    };
    let mut out = Vec::new();
    let mut write = |options: usize, payload: usize| {
        let mut bytes = b"what was there".to_vec();
        let payload = vec![7; payload];
        let result = tcp::write(&mut bytes, key, header, &vec![1; options], 64, &payload);
        assert_eq!(result.is_err(), bytes.is_empty());
        out = bytes;
        result
    };
    for options in [1, 2, 3, 39, 41, 44] {
        assert_eq!(write(options, 0), Err(WriteError::Options), "{options}");
    }
    assert_eq!(write(40, 65_535 - 20 - 59), Err(WriteError::TooLong));
    assert_eq!(write(40, 65_535 - 20 - 60), Ok(()));
    assert_eq!(out.len(), 65_535);
}

/// The reset for a segment of IPv4 and of IPv6: its header, after all else was checked.
fn reset_for(segment: &[u8]) -> TcpHeader {
    let answers = [v4(6, &[], segment), v6(6, segment)].map(|bytes| {
        let offending = Packet::parse(&bytes).unwrap();
        let mut out = b"what was there".to_vec();
        assert!(reset(&mut out, &offending));
        assert_well_formed(&out);
        let answer = Packet::parse(&out).unwrap();
        assert_eq!(answer.key(), offending.key().reversed());
        assert_eq!(answer.payload(), b"");
        assert_eq!(answer.transport().len(), 20);
        assert!(answer.verify_checksum());
        answer.tcp().unwrap()
    });
    assert_eq!(answers[0], answers[1]);
    answers[0]
}

fn assert_no_reset(bytes: &[u8]) {
    let mut out = b"what was there".to_vec();
    assert!(!reset(&mut out, &Packet::parse(bytes).unwrap()));
    assert!(out.is_empty());
}

#[test]
fn without_ack_the_whole_segment_is_acknowledged() {
    for (flags, payload, length) in [
        (SYN, &b""[..], 1),
        (SYN, b"data", 5),
        (FIN, b"data", 5),
        (FIN | SYN, b"", 2),
        (0, b"data", 4),
        (0, b"", 0),
    ] {
        let answer = reset_for(&tcp(flags, 1000, 77, &[], payload));
        assert_eq!(answer.flags.bits(), RST | ACK);
        assert_eq!((answer.seq, answer.ack), (0, 1000 + length));
        assert_eq!(answer.window, 0);
    }
}

#[test]
fn sequence_numbers_wrap() {
    assert_eq!(reset_for(&tcp(SYN, u32::MAX, 0, &[], b"data")).ack, 4);
}

#[test]
fn options_are_not_counted() {
    assert_eq!(reset_for(&tcp(SYN, 5, 0, &[1; 20], b"")).ack, 6);
}

#[test]
fn with_ack_the_acknowledged_number_is_the_sequence() {
    for (flags, payload) in [(ACK, &b"data"[..]), (ACK | SYN, b""), (ACK | FIN, b"")] {
        let answer = reset_for(&tcp(flags, 1000, 77, &[], payload));
        assert_eq!(answer.flags.bits(), RST);
        assert_eq!((answer.seq, answer.ack), (77, 0));
    }
}

#[test]
fn a_reset_is_not_answered() {
    for flags in [RST, RST | ACK, RST | SYN] {
        assert_no_reset(&v4(6, &[], &tcp(flags, 1, 2, &[], b"")));
        assert_no_reset(&v6(6, &tcp(flags, 1, 2, &[], b"")));
    }
}

#[test]
fn what_is_not_a_segment_is_not_answered() {
    assert_no_reset(&v4(17, &[], &udp(b"data")));
    assert_no_reset(&v6(58, &icmp(128, 0, b"")));
    assert_no_reset(&v4(47, &[], b"data"));
    let mut first = v4(6, &[], &tcp(SYN, 1, 0, &[], b""));
    first[6] = 0x20;
    fix_v4(&mut first);
    assert_no_reset(&first);
}

#[test]
fn only_single_hosts_are_answered() {
    // RFC 9293, 3.9.2.3
    for address in [[0, 0, 0, 0], [224, 0, 0, 1], [255, 255, 255, 255]] {
        for at in [12, 16] {
            let mut bytes = v4(6, &[], &tcp(SYN, 1, 0, &[], b""));
            bytes[at..at + 4].copy_from_slice(&address);
            fix_v4(&mut bytes);
            assert_no_reset(&bytes);
        }
    }
    for at in [8, 24] {
        let mut bytes = v6(6, &tcp(SYN, 1, 0, &[], b""));
        bytes[at] = 0xff;
        assert_no_reset(&bytes);
    }
}

#[test]
fn options_and_extension_headers_do_not_matter() {
    let segment = tcp(SYN, 9, 0, &[], b"");
    for bytes in [
        v4(6, &[1; 12], &segment),
        v6(60, &[ext(6, 1), segment.clone()].concat()),
    ] {
        let mut out = Vec::new();
        assert!(reset(&mut out, &Packet::parse(&bytes).unwrap()));
        assert_well_formed(&out);
        assert_eq!(Packet::parse(&out).unwrap().tcp().unwrap().ack, 10);
    }
}
