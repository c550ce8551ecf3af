//! Segments whose TCP options make no sense.
//!
//! RFC 9293, 3.1, asks for options of unknown kinds to be skipped. What is malformed is read as Linux
//! reads it (`tcp_parse_options`): an option of a known kind with the wrong length is skipped, and
//! one whose length is below 2 or passes the end of the header ends the list. The segment itself,
//! and what was read before, counts in any case.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_packet::Headers;
use brooklet_tcp::TcpState;
use futures_lite::AsyncWriteExt;
use support::*;

/// `packet`, an IPv4 packet, with `options` in the place of those that it has.
fn with_options(packet: &[u8], options: &[u8]) -> Vec<u8> {
    const IP: usize = 20;
    let header = usize::from(packet[IP + 12] >> 4) * 4;
    let mut padded = options.to_vec();
    padded.resize(options.len().next_multiple_of(4), 0);
    let mut out = packet[..IP + 20].to_vec();
    out.extend(&padded);
    out.extend(&packet[IP + header..]);
    out[IP + 12] = (((20 + padded.len()) / 4) as u8) << 4;
    let len = out.len() as u16;
    out[2..4].copy_from_slice(&len.to_be_bytes());
    out[10..12].fill(0);
    let mut ip = smoltcp::wire::Ipv4Packet::new_unchecked(&mut out);
    ip.fill_checksum();
    let headers = Headers::parse(&out).unwrap();
    headers.fill_checksum(&mut out);
    out
}

/// Options of a segment on an established connection, none of which is well-formed.
const MALFORMED: [&[u8]; 15] = [
    &[1, 1, 1, 8],                          // a kind at the end of the header
    &[8, 0, 0, 0],                          // length 0
    &[8, 1, 0, 0],                          // length 1
    &[8, 2, 0, 0],                          // timestamps without any
    &[8, 9, 0, 0, 0, 1, 0, 0, 0, 0],        // one byte too few
    &[8, 11, 0, 0, 0, 1, 0, 0, 0, 0, 0],    // one byte too many
    &[8, 40, 0, 0],                         // beyond the end of the header
    &[5, 2, 1, 1],                          // a SACK option without blocks
    &[5, 9, 0, 0, 0, 1, 0, 0, 0],           // a part of a block
    &[5, 12, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0], // a block and a part of one
    &[2, 3, 5, 0],                          // an MSS of one byte
    &[3, 2, 1, 1],                          // a scale without any
    &[3, 4, 7, 7],                          // a scale of two bytes
    &[4, 3, 0, 1],                          // SACK-permitted with a byte
    &[253, 255, 0, 0],                      // unknown, beyond the end
];

/// Options that are well-formed, and unknown or out of place.
const STRANGE: [&[u8]; 5] = [
    &[253, 4, 0, 0],
    &[254, 2, 1, 1],
    &[2, 4, 0, 1],
    &[3, 3, 14, 1],
    &[4, 2, 0, 0],
];

#[test]
fn a_segment_counts_whatever_its_options() {
    for options in MALFORMED.into_iter().chain(STRANGE) {
        for written in [true, false] {
            let mut host = host();
            let mut peer = Peer::new(CLIENT, SERVER);
            let stream = peer.open(&mut host);
            if written {
                now((&stream).write_all(b"data")).unwrap();
                assert_eq!(host.one().data, b"data");
                // The acknowledgment.
                peer.ack += 4;
                host.tx(with_options(&peer.seg(ACK, &[]), options));
                assert_eq!(stream.info().in_flight, 0, "{options:?}");
            }
            host.tx(with_options(&peer.seg(ACK | PSH, b"hello"), options));
            peer.seq += 5;
            assert_eq!(host.one().ack, peer.seq, "{options:?}");
            assert_eq!(read(&stream).unwrap(), b"hello", "{options:?}");
            // Out of order, too.
            host.tx(with_options(&peer.at(peer.seq + 2, ACK, b"cd"), options));
            assert_eq!(host.one().ack, peer.seq, "{options:?}");
            host.tx(with_options(&peer.seg(ACK, b"ab"), options));
            peer.seq += 4;
            assert_eq!(host.all().pop().unwrap().ack, peer.seq);
            assert_eq!(read(&stream).unwrap(), b"abcd", "{options:?}");
            host.tx(with_options(&peer.seg(ACK | FIN, &[]), options));
            assert_eq!(stream.info().state, TcpState::CloseWait, "{options:?}");
            assert_eq!(host.one().ack, peer.seq + 1);
        }
    }
}

#[test]
fn a_rst_counts_whatever_its_options() {
    for options in MALFORMED.into_iter().chain(STRANGE) {
        let mut host = host();
        let mut peer = Peer::new(CLIENT, SERVER);
        let stream = peer.open(&mut host);
        peer.send(&mut host, b"data");
        host.all();
        host.tx(with_options(&peer.seg(RST, &[]), options));
        assert_eq!(stream.info().state, TcpState::Closed, "{options:?}");
    }
}

#[test]
fn a_handshake_ends_whatever_the_options_of_its_ack() {
    for options in MALFORMED.into_iter().chain(STRANGE) {
        let mut host = host();
        let mut peer = Peer::new(CLIENT, SERVER);
        host.tx(peer.syn());
        assert!(pends(host.listener().accept()));
        peer.ack = host.one().seq + 1;
        peer.seq += 1;
        host.tx(with_options(&peer.seg(ACK, b"hello"), options));
        let (stream, _) = now(host.listener().accept()).unwrap();
        assert_eq!(read(&stream).unwrap(), b"hello", "{options:?}");
    }
}

#[test]
fn a_segment_without_usable_timestamps_is_taken_on_a_connection_with_them() {
    // RFC 7323, 3.2, would have it dropped. Linux takes it.
    for options in MALFORMED {
        let mut host = host();
        let mut peer = Peer::new(CLIENT, SERVER);
        peer.timestamp = Some((1000, 0));
        let stream = peer.open(&mut host);
        host.tx(with_options(&peer.seg(ACK | PSH, b"hello"), options));
        assert_eq!(read(&stream).unwrap(), b"hello", "{options:?}");
        assert_eq!(host.one().timestamp.unwrap().1, 1000);
    }
}

#[test]
fn well_formed_timestamps_behind_a_malformed_option_are_read() {
    let timestamp = [1, 1, 8, 10, 0, 0, 3, 242, 0, 0, 0, 0]; // TSval 1010
    for (before, read) in [
        (&[3, 4, 7, 7][..], true),
        (&[2, 3, 5, 1], true),
        (&[5, 3, 0, 1], true),
        (&[253, 4, 0, 0], true),
        (&[253, 1, 0, 0], false),
        (&[8, 0, 0, 0], false),
        (&[0, 0, 0, 0], false),
    ] {
        let mut host = host();
        let mut peer = Peer::new(CLIENT, SERVER);
        peer.timestamp = Some((1000, 0));
        let _stream = peer.open(&mut host);
        let options = [before, &timestamp].concat();
        host.tx(with_options(&peer.seg(ACK | PSH, b"hello"), &options));
        let echoed = host.one().timestamp.unwrap().1;
        assert_eq!(echoed, if read { 1010 } else { 1000 }, "{before:?}");
    }
}

#[test]
fn well_formed_blocks_behind_a_malformed_option_are_read() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    now((&stream).write_all(&[1; 14_600])).unwrap();
    let sent = host.all();
    let mut options = vec![3, 4, 7, 7, 1, 1, 5, 10];
    options.extend(sent[1].seq.to_be_bytes());
    options.extend(sent[9].end().to_be_bytes());
    host.tx(with_options(&peer.seg(ACK, &[]), &options));
    // All but the first have come, so that the first is lost.
    assert_eq!(stream.info().retransmits, 1);
}

#[test]
fn the_options_of_a_syn_around_a_malformed_one_are_read() {
    let (mss, scale, sack) = ([2, 4, 3, 232], [1, 3, 3, 7], [1, 1, 4, 2]);
    let join = |parts: [&[u8]; 3]| parts.concat();
    // Whether what stands behind is read.
    for (malformed, behind) in [
        (&[3, 4, 9, 9][..], true),
        (&[4, 4, 0, 0], true),
        (&[8, 4, 0, 0], true),
        (&[2, 3, 9, 1], true),
        (&[253, 4, 0, 0], true),
        (&[253, 0, 0, 0], false),
        (&[253, 1, 0, 0], false),
        (&[253, 200, 0, 0], false),
        (&[0, 0, 0, 0], false),
    ] {
        let mut host = host();
        let mut peer = Peer::new(CLIENT, SERVER);
        let options = join([&mss, malformed, &[scale, sack].concat()]);
        host.tx(with_options(&peer.syn(), &options));
        assert!(pends(host.listener().accept()));
        let syn_ack = peer.establish(&mut host);
        assert_eq!(syn_ack.scale.is_some(), behind, "{malformed:?}");
        let (stream, _) = now(host.listener().accept()).unwrap();
        assert_eq!(stream.info().mss, 1000, "{malformed:?}");
        // SACK-permitted.
        host.tx(peer.at(peer.seq + 10, ACK, b"early"));
        assert_eq!(!host.one().sack.is_empty(), behind, "{malformed:?}");
    }
}
