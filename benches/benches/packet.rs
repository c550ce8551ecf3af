//! What it costs to look at a packet, and to verify what it carries.
//!
//! ```text
//! cargo bench -p brooklet-benches --bench packet
//! ```

use brooklet_packet::{Headers, Packet, Segmenter};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

const LEN: usize = 1500;
/// The longest packet whose length is even, as that of its parts has to be here.
const LONGEST: usize = 65_534;

fn parse(c: &mut Criterion) {
    let mut group = c.benchmark_group("packet/parse");
    let packets = [
        ("v4-tcp", v4_tcp(LEN)),
        ("v6-tcp", v6_tcp(&[], LEN)),
        (
            "v6-two-extensions-tcp",
            v6_tcp(&[HOP_BY_HOP, DESTINATION_OPTIONS], LEN),
        ),
    ];
    for (name, bytes) in packets {
        assert_eq!(bytes.len(), LEN);
        assert!(Headers::parse(&bytes).is_ok_and(|headers| headers.tcp().is_some()));
        group.bench_function(name, |b| b.iter(|| Headers::parse(black_box(&bytes))));
    }
    group.finish();
}

fn verify_checksum(c: &mut Criterion) {
    let mut group = c.benchmark_group("packet/verify_checksum");
    for len in [80, LEN, LONGEST] {
        group.throughput(Throughput::Bytes(len as u64));
        for (name, bytes) in [("v4-tcp", v4_tcp(len)), ("v6-tcp", v6_tcp(&[], len))] {
            let packet = Packet::parse(&bytes).expect("made to be one");
            assert!(packet.verify_checksum());
            group.bench_function(BenchmarkId::new(name, len), |b| {
                b.iter(|| black_box(&packet).verify_checksum());
            });
        }
    }
    group.finish();
}

/// One segment of 64 KiB into packets of a path of 1500 bytes.
fn split(c: &mut Criterion) {
    let mut group = c.benchmark_group("packet/split");
    let size = 1428.try_into().expect("not zero");
    for (name, whole) in [
        ("v4-tcp", v4_tcp(LONGEST)),
        ("v6-tcp", v6_tcp(&[], LONGEST)),
    ] {
        let headers = Headers::parse(&whole).expect("made to be one");
        group.throughput(Throughput::Bytes(headers.payload_range().len() as u64));
        let mut out = vec![0; 1500];
        group.bench_function(BenchmarkId::new(name, whole.len()), |b| {
            b.iter(|| {
                let mut segmenter = Segmenter::new(black_box(&headers), size);
                while let Some(len) = segmenter.next(&whole, &mut out) {
                    black_box(&out[..len]);
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, parse, verify_checksum, split);
criterion_main!(benches);

const HOP_BY_HOP: u8 = 0;
const DESTINATION_OPTIONS: u8 = 60;
const TCP: u8 = 6;

/// A full IPv4 packet of a TCP stream.
fn v4_tcp(len: usize) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend((len as u16).to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, TCP, 0, 0, 10, 0, 0, 1, 192, 0, 2, 7]);
    let checksum = checksum(&[&packet]);
    packet[10..12].copy_from_slice(&checksum);
    let segment = tcp(&packet[12..20], len - 20);
    packet.extend(segment);
    packet
}

/// A full IPv6 packet of a TCP stream, behind extension headers of 8 bytes each.
fn v6_tcp(chain: &[u8], len: usize) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(((len - 40) as u16).to_be_bytes());
    packet.extend([*chain.first().unwrap_or(&TCP), 64]);
    packet.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    packet.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    let segment = tcp(&packet[8..40], len - 40 - 8 * chain.len());
    for next in 1..=chain.len() {
        // Six bytes of padding, in one option.
        packet.extend([*chain.get(next).unwrap_or(&TCP), 0, 1, 4, 0, 0, 0, 0]);
    }
    packet.extend(segment);
    packet
}

/// A TCP segment with timestamps, `len` bytes long, from 4000 to 80.
fn tcp(addresses: &[u8], len: usize) -> Vec<u8> {
    let mut segment = vec![
        0x0f,
        0xa0,
        0,
        80,
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        8,
        8 << 4,
        0x10,
        4,
        0,
        0,
        0,
        0,
        0,
    ];
    segment.extend([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
    let payload = len - segment.len();
    segment.extend((0..payload).map(|at| at as u8));
    let length = (len as u16).to_be_bytes();
    let checksum = checksum(&[addresses, &[0, TCP], &length, &segment]);
    segment[16..18].copy_from_slice(&checksum);
    segment
}

/// The Internet checksum (RFC 1071) of parts of an even length.
fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let words = parts.iter().flat_map(|part| part.chunks_exact(2));
    let sum: u32 = words
        .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
        .sum();
    let sum = (sum >> 16) + (sum & 0xffff);
    (!((sum >> 16) + sum) as u16).to_be_bytes()
}
