//! Packets in pieces, and whole again.

use super::build::*;
use crate::reassembly::{Config, Reassembler};
use crate::{Packet, fragment};
use proptest::prelude::*;
use std::time::Instant;

fn pieces(bytes: &[u8], mtu: usize) -> Vec<Vec<u8>> {
    fragment(&Packet::parse(bytes).unwrap(), mtu, 0x1122_3344).collect()
}

#[test]
fn what_stands_in_a_piece() {
    let pieces_v4 = pieces(&v4(47, &[], &[5; 100]), 20 + 60);
    // 56 bytes fit: a multiple of 8.
    assert_eq!(pieces_v4.len(), 2);
    let [first, last] = [&pieces_v4[0], &pieces_v4[1]];
    assert_eq!((first.len(), last.len()), (76, 64));
    assert_eq!(first[4..10], [0x33, 0x44, 0x20, 0, 61, 47]);
    assert_eq!(last[4..10], [0x33, 0x44, 0, 7, 61, 47]);
    for piece in pieces_v4 {
        assert_eq!(internet_checksum(&[&piece[..20]]), 0);
        assert_eq!(
            usize::from(u16::from_be_bytes([piece[2], piece[3]])),
            piece.len()
        );
    }

    let pieces_v6 = pieces(&v6(47, &[5; 100]), 40 + 8 + 60);
    let header = |offset, more| fragment_header(47, offset, more, 0x1122_3344);
    assert_eq!(
        pieces_v6,
        [
            v6(44, &[header(0, true), vec![5; 56]].concat()),
            v6(44, &[header(56, false), vec![5; 44]].concat()),
        ]
    );
}

#[test]
fn what_fits_stays_whole() {
    for packet in [v4(47, &[], &[5; 100]), v6(47, &[5; 100]), v4(47, &[], b"")] {
        assert_eq!(pieces(&packet, packet.len()), [&packet[..]]);
        assert!(pieces(&packet, packet.len() - 1).len() != 1);
    }
}

#[test]
fn what_cannot_be_cut() {
    assert!(pieces(&v4(47, &[], &[5; 100]), 27).is_empty());
    assert_eq!(pieces(&v4(47, &[], &[5; 16]), 28).len(), 2);
    assert!(pieces(&v6(47, &[5; 100]), 55).is_empty());
    assert!(pieces(&v4(47, &[1; 4], &[5; 100]), 64).is_empty());
    let piece = v6(44, &[fragment_header(47, 8, true, 1), vec![0; 80]].concat());
    assert!(pieces(&piece, 64).is_empty());
}

proptest! {
    #[test]
    fn what_was_cut_is_put_together(
        len in 8usize..10_000,
        mtu in 68usize..2000,
        is_v4 in any::<bool>(),
    ) {
        let body = summed_v4(1, icmp(8, 0, &vec![5; len - 8]));
        let packet = if is_v4 { v4(1, &[], &body) } else { v6(1, &body) };
        let pieces = pieces(&packet, mtu);
        prop_assume!((2..=128).contains(&pieces.len()));
        let mut reassembler = Reassembler::new(Config::default());
        let mut whole = Vec::new();
        for piece in &pieces {
            prop_assert!(piece.len() <= mtu && whole.is_empty());
            reassembler.handle_fragment(start(), &Packet::parse(piece).unwrap(), &mut whole);
        }
        prop_assert_eq!(&whole[20..], &packet[20..]);
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the clock of the tests starts somewhere"
)]
fn start() -> Instant {
    Instant::now()
}
