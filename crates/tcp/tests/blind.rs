//! What somebody can do who does not see the packets, or sees old ones: RFC 5961 and RFC 9293, 3.10.7.4.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_tcp::TcpState;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::io::ErrorKind;
use support::*;

fn opened() -> (Host, Peer, Stream) {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    (host, peer, stream)
}

/// That `seg` says where the connection is and nothing else.
fn is_challenge(seg: &Seg, peer: &Peer) {
    assert!(seg.is_bare_ack(), "{seg:?}");
    assert_eq!((seg.seq, seg.ack), (peer.ack, peer.seq));
}

fn lives(host: &mut Host, peer: &mut Peer, mut stream: &Stream) {
    host.all();
    assert_eq!(stream.info().state, TcpState::Established);
    peer.send(host, b"ping");
    assert_eq!(read(stream).unwrap(), b"ping");
    host.all();
    now(stream.write_all(b"pong")).unwrap();
    assert_eq!(peer.drain(host).0, b"pong");
}

#[test]
fn an_exact_reset_counts() {
    // RFC 5961, 3.2: with or without an acknowledgement.
    for flags in [RST, RST | ACK] {
        let (mut host, peer, stream) = opened();
        host.tx(peer.seg(flags, &[]));
        assert_eq!(stream.info().state, TcpState::Closed);
        let error = read(&stream).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        host.silent();
    }
}

#[test]
fn a_reset_in_the_window_is_challenged() {
    // RFC 5961, 3.2.
    for off in [1, 1000, 64_000] {
        let (mut host, mut peer, stream) = opened();
        host.tx(peer.at(peer.seq + off, RST, &[]));
        is_challenge(&host.one(), &peer);
        lives(&mut host, &mut peer, &stream);
        // A peer that meant it answers the challenge with the exact number.
        host.tx(peer.seg(RST, &[]));
        assert_eq!(stream.info().state, TcpState::Closed);
    }
}

#[test]
fn a_reset_outside_of_the_window_is_not_heard() {
    // RFC 5961, 3.2.
    let (mut host, mut peer, stream) = opened();
    for off in [-1, -1000, 200_000, i32::MAX] {
        let seq = peer.seq.wrapping_add_signed(off);
        host.tx(peer.at(seq, RST, &[]));
        host.tx(peer.at(seq, RST | ACK, &[]));
        host.silent();
    }
    lives(&mut host, &mut peer, &stream);
}

#[test]
fn a_reset_behind_data_that_has_not_come_is_not_exact() {
    let (mut host, mut peer, stream) = opened();
    let start = peer.seq;
    host.tx(peer.at(start + 4, ACK, b"efgh"));
    host.all();
    host.tx(peer.at(start + 8, RST, &[]));
    is_challenge(&host.one(), &peer);
    peer.send(&mut host, b"abcd");
    assert_eq!(read(&stream).unwrap(), b"abcdefgh");
    peer.seq += 4;
    lives(&mut host, &mut peer, &stream);
}

#[test]
fn a_syn_is_challenged_wherever_it_is() {
    // RFC 5961, 4.2.
    for off in [0, -1, 100, 1_000_000] {
        for flags in [SYN, SYN | ACK] {
            let (mut host, mut peer, stream) = opened();
            host.tx(peer.at(peer.seq.wrapping_add_signed(off), flags, &[]));
            is_challenge(&host.one(), &peer);
            lives(&mut host, &mut peer, &stream);
        }
    }
}

#[test]
fn challenges_are_seldom() {
    // RFC 5961, 7.
    let (mut host, peer, _stream) = opened();
    for _ in 0..100 {
        host.tx(peer.at(peer.seq + 9, RST, &[]));
        host.tx(peer.at(peer.seq + 9, SYN, &[]));
    }
    assert_eq!(host.all().len(), 1);
    host.pass(SECOND);
    host.tx(peer.at(peer.seq + 9, RST, &[]));
    assert_eq!(host.all().len(), 1);
}

#[test]
fn acknowledgements_of_what_was_never_sent_change_nothing() {
    // RFC 9293, 3.10.7.4; RFC 5961, 5.2.
    let (mut host, mut peer, stream) = opened();
    now((&stream).write_all(&[1; 1000])).unwrap();
    host.all();
    let before = stream.info();
    for ahead in [1001, 1_000_000, 0x7fff_ffff] {
        let mut liar = peer.clone();
        liar.ack = peer.ack.wrapping_add(ahead);
        liar.window = 9;
        host.tx(liar.seg(ACK, b"with data"));
        assert_eq!(stream.info(), before, "{ahead} ahead");
        assert!(pends((&stream).read(&mut [0; 8])));
    }
    let told = host.all();
    assert_eq!(told.len(), 1, "it is answered, once: {told:?}");
    assert!(told[0].is_bare_ack() && told[0].ack == peer.seq);
    // And the honest acknowledgement still counts.
    assert_eq!(before.send_queue, 1000);
    peer.ack += 1000;
    host.tx(peer.seg(ACK, &[]));
    assert_eq!(stream.info().send_queue, 0);
    lives(&mut host, &mut peer, &stream);
}

#[test]
fn acknowledgements_that_are_too_old_are_answered_and_their_data_not_taken() {
    // RFC 5961, 5.2: older than the largest window that was ever open.
    let scaled = 65_535 << 7;
    for (scale, behind) in [
        (None, 65_536),
        (Some(7), scaled + 1),
        (Some(7), 1 << 24),
        (None, 1 << 30),
    ] {
        let mut host = host();
        let mut peer = Peer::new(CLIENT, SERVER);
        peer.scale = scale;
        let stream = peer.open(&mut host);
        let mut liar = peer.clone();
        liar.ack = peer.ack.wrapping_sub(behind);
        host.tx(liar.seg(ACK, b"forged"));
        is_challenge(&host.one(), &peer);
        assert!(pends((&stream).read(&mut [0; 8])));
        lives(&mut host, &mut peer, &stream);
    }
}

#[test]
fn data_with_an_acknowledgement_that_is_only_late_is_taken() {
    // RFC 5961, 5.2: within the largest window. It takes nothing back.
    let (mut host, mut peer, stream) = opened();
    now((&stream).write_all(&[1; 5000])).unwrap();
    let late = peer.clone();
    peer.drain(&mut host);
    let before = stream.info();
    host.tx(late.seg(ACK, b"late"));
    assert_eq!(read(&stream).unwrap(), b"late");
    let after = stream.info();
    assert_eq!(
        (after.send_queue, after.in_flight, after.state),
        (before.send_queue, before.in_flight, before.state)
    );
    peer.seq += 4;
    lives(&mut host, &mut peer, &stream);
}

#[test]
fn data_without_an_acknowledgement_is_not_taken() {
    // RFC 9293, 3.10.7.4: "if the ACK bit is off, drop the segment".
    let (mut host, mut peer, stream) = opened();
    host.tx(peer.seg(PSH, b"forged"));
    host.tx(peer.seg(FIN, b"forged"));
    host.silent();
    assert!(pends((&stream).read(&mut [0; 8])));
    lives(&mut host, &mut peer, &stream);
}

#[test]
fn what_lies_outside_of_the_window_is_acknowledged_and_not_taken() {
    // RFC 9293, 3.10.7.4.
    let (mut host, mut peer, stream) = opened();
    for off in [-100_000, 200_000] {
        let seq = peer.seq.wrapping_add_signed(off);
        host.tx(peer.at(seq, ACK, b"forged"));
        is_challenge(&host.one(), &peer);
        host.tx(peer.at(seq, ACK | FIN, &[]));
        is_challenge(&host.one(), &peer);
    }
    assert!(pends((&stream).read(&mut [0; 8])));
    lives(&mut host, &mut peer, &stream);
}

#[test]
fn a_window_is_taken_from_the_latest_segment_only() {
    // RFC 9293, 3.10.7.4: SND.WL1 and SND.WL2.
    let (mut host, mut peer, stream) = opened();
    let old = peer.seg(ACK, &[]);
    peer.send(&mut host, b"data");
    peer.window = 0;
    host.tx(peer.seg(ACK, &[]));
    assert_eq!(stream.info().send_window, 0);
    host.tx(old);
    assert_eq!(stream.info().send_window, 0);
}

#[test]
fn what_strangers_send_does_not_use_up_the_answers_to_the_peer() {
    // RFC 5961, 7, and RFC 9293, 3.8.4.
    let (mut host, peer, _stream) = opened();
    host.tx(peer.at(peer.seq.wrapping_add(5), SYN, &[]));
    assert!(host.one().is_bare_ack());
    host.tx(peer.at(peer.seq.wrapping_add(5), SYN, &[]));
    host.silent();
    host.tx(peer.at(peer.seq.wrapping_sub(1), ACK, &[]));
    assert!(
        host.one().is_bare_ack(),
        "the peer asks and is not answered"
    );
}
