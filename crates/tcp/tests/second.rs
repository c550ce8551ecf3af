//! What a second look at the connections found: each of these once went wrong.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_tcp::{Config, TcpOptions};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::net::Shutdown;
use std::time::Duration;
use support::*;

const MS: Duration = Duration::from_millis(1);

fn with(options: TcpOptions) -> Host {
    Host::new(Config::new().options(options))
}

fn write(mut stream: &Stream, len: usize) {
    now(stream.write_all(&vec![7; len])).unwrap();
}

#[test]
fn the_last_bytes_are_sent_again_whatever_their_number() {
    // In LAST-ACK, with a window that was closed over them.
    for rest in 1..10 {
        let mut host = host();
        let mut peer = Peer::new(CLIENT, SERVER);
        let stream = peer.open(&mut host);
        host.tx(peer.seg(ACK | FIN, &[]));
        peer.seq += 1;
        write(&stream, 1000 + rest);
        stream.shutdown(Shutdown::Write).unwrap();
        host.all();
        peer.ack += 1000;
        peer.window = 0;
        host.tx(peer.seg(ACK, &[]));
        peer.window = 65_535;
        host.tx(peer.seg(ACK, &[]));
        host.pass(10 * SECOND);
        let (data, fin) = peer.drain(&mut host);
        assert_eq!((data.len(), fin), (rest, true), "with a rest of {rest}");
    }
}

#[test]
fn the_first_timeout_sends_again() {
    for first in 1000..1004 {
        let mut host = host();
        let mut peer = Peer::new(CLIENT, SERVER);
        peer.sack = false;
        peer.scale = Some(0);
        peer.window = 5000 + first % 4;
        let stream = peer.open(&mut host);
        write(&stream, first.into());
        write(&stream, 20_000);
        host.all();
        // The right edge of the window stays where it was.
        peer.ack += u32::from(first);
        peer.window -= first;
        host.tx(peer.seg(ACK, &[]));
        host.all();
        host.pass(250 * MS);
        let again = host.all();
        assert!(
            again
                .iter()
                .any(|seg| seg.seq == peer.ack && !seg.data.is_empty()),
            "after {first} bytes: {again:?}"
        );
    }
}

#[test]
fn nothing_comes_after_the_end() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    host.tx(peer.at(peer.seq + 4, ACK, b"xyz")); // before its time
    host.tx(peer.seg(ACK | FIN, b"abc"));
    host.tx(peer.at(peer.seq + 4, ACK, b"xyz"));
    assert_eq!(read(&stream).unwrap(), b"abc");
    host.tx(peer.at(peer.seq + 4, ACK, b"xyz"));
    assert_eq!(read(&stream).unwrap(), b"");
    assert_eq!(host.all().last().unwrap().ack, peer.seq + 4);
}

#[test]
fn the_end_is_acknowledged_by_whatever_says_so() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    host.tx(peer.seg(ACK | FIN, &[]));
    stream.shutdown(Shutdown::Write).unwrap();
    host.all();
    // The peer repeats its FIN, and with it acknowledges ours.
    peer.ack += 1;
    host.tx(peer.seg(ACK | FIN, &[]));
    now(stream.wait_acked()).unwrap();
    assert_eq!(host.connector.stats().connections, 0);
}

#[test]
fn a_probe_that_was_not_needed_costs_nothing() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    let send = |host: &mut Host, peer: &mut Peer, wait: Duration| {
        write(&stream, 3000);
        host.pass(wait);
        peer.ack += 3000;
        let said = host.all().len();
        host.tx(peer.seg(ACK, &[]));
        said
    };
    for _ in 0..40 {
        send(&mut host, &mut peer, 100 * MS);
    }
    let before = stream.info().cwnd;
    assert_eq!(send(&mut host, &mut peer, 250 * MS), 4, "no probe");
    // It may have been the first copy that came.
    assert!(stream.info().cwnd >= before, "{}", stream.info().cwnd);
    // Had it been, there would be word of the second by now.
    send(&mut host, &mut peer, 100 * MS);
    assert!(stream.info().cwnd < before, "{}", stream.info().cwnd);
}

#[test]
fn a_repetition_brings_a_window() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    peer.scale = None;
    peer.window = 3000;
    let stream = peer.open(&mut host);
    write(&stream, 9000);
    host.all();
    host.tx(peer.at(peer.seq + 100, ACK, &[2; 100]));
    host.all();
    peer.ack += 3000;
    host.tx(peer.seg(ACK, &[1; 100]));
    let sent: usize = host.all().iter().map(|seg| seg.data.len()).sum();
    assert_eq!(sent, 3000);
}

#[test]
fn an_acknowledgement_is_inside_of_a_window_that_shrank() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    peer.scale = None;
    peer.window = 3000;
    let stream = peer.open(&mut host);
    write(&stream, 3000);
    host.all();
    peer.ack += 1000;
    peer.window = 0;
    peer.send(&mut host, b"hello");
    peer.send(&mut host, b"world");
    // Out of order as well, which is answered in another way.
    host.tx(peer.at(peer.seq + 10, ACK, b"!"));
    let said = host.all();
    assert!(said.len() >= 3);
    for seg in said {
        assert_eq!(seg.seq, peer.ack, "{seg:?}");
    }
}

#[test]
fn a_large_buffer_does_not_go_beyond_a_small_window() {
    let mut host = with(TcpOptions::new().send_buffer(1 << 26));
    let mut peer = Peer::new(CLIENT, SERVER);
    peer.scale = Some(0);
    peer.window = 1000;
    let stream = peer.open(&mut host);
    write(&stream, 5000);
    let sent: usize = host.all().iter().map(|seg| seg.data.len()).sum();
    assert!((1..=1000).contains(&sent), "{sent} bytes");
}

#[test]
fn what_waited_for_a_repetition_measures_no_round_trip() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    peer.sack = false;
    let stream = peer.open(&mut host);
    write(&stream, 3000);
    // The first segment is lost, and so is each repetition for a while.
    host.tx(peer.seg(ACK, &[]));
    host.pass(10 * SECOND);
    host.all();
    peer.ack += 3000;
    host.tx(peer.seg(ACK, &[]));
    let rtt = stream.info().rtt;
    assert!(rtt.is_none_or(|rtt| rtt < SECOND), "{rtt:?}");
}

#[test]
fn everything_is_sent_again_although_small_segments_wait() {
    let mut host = with(TcpOptions::new().nodelay(false).send_buffer(2048));
    let mut peer = Peer::new(CLIENT, SERVER);
    peer.sack = false;
    let stream = peer.open(&mut host);
    for _ in 0..3 {
        write(&stream, 1000);
        let (data, _) = peer.drain(&mut host);
        assert_eq!(data.len() % 1000, 0);
    }
    write(&stream, 1000);
    host.all();
    write(&stream, 1000);
    peer.ack += 1000;
    host.tx(peer.seg(ACK, &[]));
    host.all();
    // What waits behind a small segment in flight goes out with its ACK.
    write(&stream, 1000);
    peer.ack += 1000;
    host.tx(peer.seg(ACK, &[]));
    peer.send(&mut host, b"hello");
    let sent = host.all();
    assert_eq!(sent.iter().map(|seg| seg.data.len()).sum::<usize>(), 1000);
    assert!(sent.len() > 1);
    host.pass(10 * SECOND);
    assert_eq!(peer.drain(&mut host).0.len(), 1000);
}

#[test]
fn a_window_is_told_of_once_there_is_room() {
    let mut host = Host::new(
        Config::new()
            .options(TcpOptions::new().recv_buffer(9000).recv_buffer_max(9000))
            .outbound_packets(2),
    );
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    let mut other = Peer::new("10.0.0.3:40000", SERVER);
    let full = other.open(&mut host);
    peer.send(&mut host, &[1; 1000]);
    peer.send(&mut host, &[1; 1000]);
    host.all();
    for _ in 0..3 {
        peer.send(&mut host, &[1; 1000]);
        host.all();
    }
    write(&full, 10_000);
    // 4000 bytes were left; now there are 7500, which is not twice as much.
    now((&stream).read_exact(&mut [0; 3500])).unwrap();
    let windows = host
        .all()
        .into_iter()
        .filter(|seg| seg.key.destination() == peer.from);
    assert_eq!(windows.map(|seg| seg.window).max(), Some(7500));
}

#[test]
fn one_acknowledgement_is_enough_for_a_peer_that_knows_no_large_windows() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    peer.scale = None;
    let stream = peer.open(&mut host);
    host.all();
    peer.send(&mut host, b"hello");
    assert_eq!(host.all().len(), 1);
    assert_eq!(read(&stream).unwrap(), b"hello");
    host.silent();
}

#[test]
fn nobody_is_sent_segments_of_one_byte() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    peer.sack = false;
    let mut syn = peer.syn();
    let at = syn
        .windows(4)
        .position(|bytes| bytes == [2, 4, 5, 180])
        .unwrap();
    syn[at + 2..at + 4].copy_from_slice(&[0, 1]);
    let mut tcp = smoltcp::wire::TcpPacket::new_unchecked(&mut syn[20..]);
    tcp.fill_checksum(&peer.from.ip().into(), &peer.to.ip().into());
    host.tx(syn);
    assert!(pends(host.listener().accept()));
    peer.establish(&mut host);
    let stream = now(host.listener().accept()).unwrap().0;
    write(&stream, 480);
    assert_eq!(host.all().len(), 10);
    host.pass(10 * SECOND);
    for seg in host.all() {
        assert_eq!(seg.data.len(), 48, "{seg:?}");
    }
}
