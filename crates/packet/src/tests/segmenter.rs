//! Packets that stand for several, and checksums that were left out.

use super::build::*;
use crate::{Headers, Segmenter};
use proptest::prelude::*;

const PSH: u8 = 8;
const ECE: u8 = 0x40;
const CWR: u8 = 0x80;
const TIMESTAMPS: [u8; 12] = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];

/// The packets that come out; each place of `out` has had other bytes before.
fn split(whole: &[u8], size: u16) -> Vec<Vec<u8>> {
    let headers = Headers::parse(whole).unwrap();
    let mut segmenter = Segmenter::new(&headers, size.try_into().unwrap());
    let longest = segmenter.longest();
    let mut out = vec![0xee; longest];
    let mut packets = Vec::new();
    while let Some(len) = segmenter.next(whole, &mut out) {
        packets.push(out[..len].to_vec());
        out.fill(0xee);
    }
    assert_eq!(segmenter.next(whole, &mut out), None, "after the end");
    assert_eq!(packets.iter().map(Vec::len).max(), Some(longest));
    packets
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 251) as u8).collect()
}

/// The payload in parts; one empty part of an empty payload.
fn parts(payload: &[u8], size: u16) -> Vec<&[u8]> {
    let mut parts: Vec<_> = payload.chunks(size.into()).collect();
    if parts.is_empty() {
        parts.push(payload);
    }
    parts
}

fn numbered(mut packet: Vec<u8>, index: usize) -> Vec<u8> {
    packet[4..6].copy_from_slice(&0xabcd_u16.wrapping_add(index as u16).to_be_bytes());
    fix_v4(&mut packet);
    packet
}

/// A whole packet and what it stands for, made one by one without the code under test.
struct Case {
    v6: bool,
    tcp: bool,
    /// IPv4 options or an IPv6 extension header.
    ip_options: bool,
    flags: u8,
    seq: u32,
    tcp_options: Vec<u8>,
    payload: Vec<u8>,
    size: u16,
}

impl Case {
    fn packet(&self, flags: u8, seq: u32, payload: &[u8], index: usize) -> Vec<u8> {
        let (protocol, body) = match self.tcp {
            true => (6, tcp(flags, seq, 99, &self.tcp_options, payload)),
            false => (17, udp(payload)),
        };
        match (self.v6, self.ip_options) {
            (false, false) => numbered(v4(protocol, &[], &summed_v4(protocol, body)), index),
            (false, true) => numbered(v4(protocol, &[1; 8], &summed_v4(protocol, body)), index),
            (true, false) => v6(protocol, &summed_v6(protocol, body)),
            (true, true) => v6(60, &[ext(protocol, 1), summed_v6(protocol, body)].concat()),
        }
    }

    fn whole(&self) -> Vec<u8> {
        self.packet(self.flags, self.seq, &self.payload, 0)
    }

    fn wanted(&self) -> Vec<Vec<u8>> {
        let parts = parts(&self.payload, self.size);
        let last = parts.len() - 1;
        let packet = |(index, part): (usize, &&[u8])| {
            let mut flags = self.flags;
            if index < last {
                flags &= !(FIN | PSH);
            }
            if index > 0 {
                flags &= !CWR;
            }
            let before = index * usize::from(self.size);
            self.packet(flags, self.seq.wrapping_add(before as u32), part, index)
        };
        parts.iter().enumerate().map(packet).collect()
    }

    fn check(&self) {
        let mut whole = self.whole();
        let headers = Headers::parse(&whole).unwrap();
        // Whatever the checksum field holds.
        let at = headers.transport_range().start + headers.checksum_offset().unwrap();
        whole[at] ^= 0x5a;
        whole.extend_from_slice(b"padding");
        self.compare(&split(&whole, self.size));
    }

    fn compare(&self, got: &[Vec<u8>]) {
        let wanted = self.wanted();
        assert_eq!(got.len(), wanted.len());
        for (index, (got, wanted)) in got.iter().zip(&wanted).enumerate() {
            assert!(
                got == wanted,
                "packet {index} of {}: {:?}... instead of {:?}...",
                wanted.len(),
                &got[..got.len().min(80)],
                &wanted[..wanted.len().min(80)]
            );
        }
    }
}

fn tcp4(payload: usize, size: u16) -> Case {
    Case {
        v6: false,
        tcp: true,
        ip_options: false,
        flags: ACK | PSH,
        seq: u32::MAX - 2000,
        tcp_options: TIMESTAMPS.to_vec(),
        payload: pattern(payload),
        size,
    }
}

#[test]
fn at_the_edges() {
    for (payload, size, count) in [
        (0, 1, 1),
        (1, 1, 1),
        (1448, 1448, 1),
        (1449, 1448, 2),
        (2 * 1448, 1448, 2),
        (2 * 1448 + 1, 1448, 3),
        (5, 1, 5),
        (65_535 - 52, 1448, 46),
        (65_535 - 52, u16::MAX, 1),
    ] {
        let v4 = tcp4(payload, size);
        assert_eq!(v4.wanted().len(), count);
        v4.check();
        Case {
            v6: true,
            ..tcp4(payload, size)
        }
        .check();
        Case {
            tcp: false,
            ..tcp4(payload, size)
        }
        .check();
        Case {
            tcp: false,
            v6: true,
            ..tcp4(payload, size)
        }
        .check();
    }
    // As long as IPv6 can be.
    Case {
        v6: true,
        ..tcp4(65_535 - 32, 1428)
    }
    .check();
}

#[test]
fn flags_are_where_they_belong() {
    let case = Case {
        flags: ACK | PSH | FIN | ECE | CWR,
        ..tcp4(3000, 1000)
    };
    let flags: Vec<u8> = split(&case.whole(), 1000).iter().map(|p| p[33]).collect();
    assert_eq!(flags, [ACK | ECE | CWR, ACK | ECE, ACK | ECE | FIN | PSH]);
    case.check();
}

#[test]
fn what_cannot_be_cut_comes_out_once() {
    let piece = v6(44, &[fragment_header(17, 8, true, 1), pattern(80)].concat());
    for packet in [v4(47, &[], &pattern(80)), v4(47, &[], b""), piece] {
        assert_eq!(split(&packet, 10), [&packet[..]]);
        let headers = Headers::parse(&packet).unwrap();
        assert_eq!(headers.checksum_offset(), None);
        let mut filled = packet.clone();
        headers.fill_checksum(&mut filled);
        headers.fill_partial_checksum(&mut filled);
        assert_eq!(filled, packet);
    }
    let echo = v4(1, &[], &summed_v4(1, icmp(8, 0, &pattern(80))));
    assert_eq!(split(&echo, 10), [echo]);
}

#[test]
fn a_sum_of_zero_is_sent_as_all_ones_by_udp() {
    let mut body = udp(&[0, 0]);
    // The last word makes the sum all ones, and the checksum zero.
    let rest = segment_checksum_v4(17, (A4, B4), &body);
    body[8..10].copy_from_slice(&rest.to_be_bytes());
    assert_eq!(segment_checksum_v4(17, (A4, B4), &body), 0);
    let mut packet = v4(17, &[], &body);
    let headers = Headers::parse(&packet).unwrap();
    headers.fill_checksum(&mut packet);
    assert_eq!(packet[26..28], [0xff, 0xff]);
    assert_eq!(split(&packet, 2)[0][26..28], [0xff, 0xff]);
}

proptest! {
    #[test]
    fn what_comes_out_is_what_the_whole_stands_for(
        (v6, tcp, ip_options) in any::<(bool, bool, bool)>(),
        flags in prop::sample::subsequence(vec![FIN, PSH, ACK, ECE, CWR, 32], 0..=6),
        seq: u32,
        words in 0usize..=10,
        payload in prop_oneof![0usize..20, 0usize..4000, 60_000usize..65_400],
        size in prop_oneof![1u16..20, 500u16..1500, 1u16..],
    ) {
        prop_assume!(payload / usize::from(size) < 2000);
        Case {
            v6,
            tcp,
            ip_options,
            flags: flags.into_iter().fold(0, |all, flag| all | flag),
            seq,
            tcp_options: vec![1; words * 4],
            payload: pattern(payload),
            size,
        }
        .check();
    }

    /// A device that goes on from the partial sum comes to the complete one.
    #[test]
    fn partial_and_the_rest_is_complete(
        (v6, tcp, ip_options) in any::<(bool, bool, bool)>(),
        payload in prop::collection::vec(any::<u8>(), 0..100),
        garbage: [u8; 2],
    ) {
        let case = Case { v6, tcp, ip_options, payload, ..tcp4(0, 1) };
        let complete = case.whole();
        let headers = Headers::parse(&complete).unwrap();
        let start = headers.transport_range().start;
        let at = start + headers.checksum_offset().unwrap();

        let mut packet = complete.clone();
        packet[at..at + 2].copy_from_slice(&garbage);
        headers.fill_partial_checksum(&mut packet);
        let rest = internet_checksum(&[&packet[start..]]);
        packet[at..at + 2].copy_from_slice(&rest.to_be_bytes());
        prop_assert_eq!(&packet, &complete);

        packet[at..at + 2].copy_from_slice(&garbage);
        headers.fill_checksum(&mut packet);
        prop_assert_eq!(&packet, &complete);
    }
}
