//! What went wrong once, packet by packet.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_tcp::{Config, TcpOptions};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::future::Future;
use std::io::ErrorKind;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;
use support::*;

/// A queue of two packets, filled by answers to unmatched segments.
fn fill_the_queue(host: &mut Host) {
    for n in 1..=2 {
        let mut unmatched = Peer::new(&format!("10.0.0.9:{n}"), SERVER);
        unmatched.ack = 1;
        host.tx(unmatched.seg(ACK, &[]));
    }
}

fn narrow() -> Host {
    Host::new(Config::new().outbound_packets(2))
}

#[test]
fn a_handshake_that_times_out_while_the_device_takes_nothing_waits_its_turn() {
    let mut host = narrow();
    host.tx(Peer::new(CLIENT, SERVER).syn());
    assert!(pends(host.listener().accept()));
    host.rx().unwrap();
    fill_the_queue(&mut host);
    host.pass(20 * SECOND);
    host.all();
    assert_eq!(host.listener().stats().connections, 0);
}

#[test]
fn a_peer_that_times_out_while_the_device_takes_nothing_waits_its_turn() {
    let mut host = narrow();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    now((&stream).write_all(&[1; 1000])).unwrap();
    fill_the_queue(&mut host);
    host.pass(400 * SECOND);
    host.all();
    let error = now((&stream).read(&mut [0; 8])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(host.listener().stats().connections, 0);
}

#[test]
fn an_orphan_that_times_out_while_the_device_takes_nothing_waits_its_turn() {
    let mut host = narrow();
    let mut peer = Peer::new(CLIENT, SERVER);
    drop(peer.open(&mut host));
    fill_the_queue(&mut host);
    host.pass(200 * SECOND);
    host.all();
    assert_eq!(host.listener().stats().connections, 0);
}

#[test]
fn data_for_which_there_is_no_buffer_is_not_taken_in_the_handshake() {
    let mut host = Host::new(Config::default());
    let mut peer = Peer::new(CLIENT, SERVER);
    host.tx(peer.syn());
    assert!(pends(host.listener().accept()));
    let syn_ack = host.rx().unwrap();
    peer.seq += 1;
    peer.ack = syn_ack.seq.wrapping_add(1);
    let start = peer.seq;
    // Within the window of the SYN-ACK, were that scaled; and across the end of the buffer.
    host.tx(peer.at(start + 131_000, ACK, &[9; 1000]));
    for at in (0..131_000).step_by(1000) {
        host.tx(peer.at(start + at, ACK, &[1; 1000]));
        host.all();
    }
    let (stream, _) = now(host.listener().accept()).unwrap();
    let mut buf = vec![0; 300_000];
    let n = now((&stream).read(&mut buf)).unwrap();
    assert!(buf[..n].iter().all(|byte| *byte == 1), "{n} bytes");
}

#[test]
fn two_ends_in_time_wait_fall_silent() {
    let mut hosts = [Host::new(Config::default()), Host::new(Config::default())];
    // Moves one packet to the other end.
    fn carry(hosts: &mut [Host; 2], from: usize) -> Option<Vec<u8>> {
        let packet = hosts[from].engine.poll_transmit()?.to_vec();
        hosts[1 - from].tx(packet.clone());
        Some(packet)
    }
    fn exchange(hosts: &mut [Host; 2]) {
        for _ in 0..100 {
            if carry(hosts, 0).is_none() & carry(hosts, 1).is_none() {
                return;
            }
        }
        panic!("they never fall silent");
    }
    let connector = hosts[0].connector.clone();
    let mut connect = Box::pin(connector.connect_from(addr(CLIENT), addr(SERVER)));
    assert!(poll(&mut connect).is_pending());
    exchange(&mut hosts);
    assert!(pends(hosts[1].listener().accept()));
    exchange(&mut hosts);
    let (there, _) = now(hosts[1].listener().accept()).unwrap();
    let here = now(connect).unwrap();
    // Both close at once, and one acknowledgement comes twice.
    here.shutdown(Shutdown::Write).unwrap();
    there.shutdown(Shutdown::Write).unwrap();
    let fins = [0, 1].map(|n| hosts[n].engine.poll_transmit().unwrap().to_vec());
    let [first, second] = fins;
    hosts[1].tx(first);
    hosts[0].tx(second);
    let double = carry(&mut hosts, 0).unwrap();
    carry(&mut hosts, 1).unwrap();
    assert_eq!(connector.stats().time_wait, 1);
    assert_eq!(hosts[1].connector.stats().time_wait, 1);
    hosts[1].tx(double);
    exchange(&mut hosts);
}

#[test]
fn an_idle_connection_is_asked_before_it_is_given_up() {
    let mut host =
        Host::new(Config::new().options(TcpOptions::new().keepalive(Some(7200 * SECOND))));
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    host.pass(7100 * SECOND);
    assert!(pends((&stream).read(&mut [0; 8])));
    host.all();
    host.pass(200 * SECOND);
    assert_eq!(host.all().len(), 1, "a probe");
    host.tx(peer.seg(ACK, &[]));
    host.pass(7100 * SECOND);
    assert!(pends((&stream).read(&mut [0; 8])), "it had answered");
}

#[test]
fn a_peek_sees_the_end() {
    let mut host = Host::new(Config::default());
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    peer.send(&mut host, b"last");
    host.tx(peer.seg(FIN | ACK, &[]));
    let mut buf = [0; 8];
    assert_eq!(now(stream.peek(&mut buf)).unwrap(), 4);
    assert_eq!(now((&stream).read(&mut buf)).unwrap(), 4);
    assert_eq!(now(stream.peek(&mut buf)).unwrap(), 0);
}

#[test]
fn acknowledgements_behind_a_fin_that_filled_the_window_count() {
    let mut host = Host::new(Config::new().options(TcpOptions::new().recv_buffer(8192)));
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    for _ in 0..7 {
        peer.send(&mut host, &[1; 1024]);
    }
    host.tx(peer.seg(ACK | FIN, &[1; 1024]));
    peer.seq += 1025;
    assert_eq!(host.all().pop().unwrap().ack, peer.seq, "the FIN was taken");
    // Nobody reads, so the window stays closed.
    now((&stream).write_all(&[9; 1000])).unwrap();
    assert_eq!(host.rx().unwrap().data.len(), 1000);
    peer.ack += 1000;
    host.tx(peer.seg(ACK, &[]));
    host.pass(120 * SECOND);
    host.silent();
}

/// The peer has finished, data is in flight, and the peer says that its window is closed.
fn closed_window_over_data(close: bool) {
    let mut host = Host::new(Config::new().options(TcpOptions::new().user_timeout(None)));
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    host.tx(peer.seg(FIN | ACK, &[]));
    peer.seq += 1;
    host.all();
    now((&stream).write_all(&[1; 1000])).unwrap();
    assert_eq!(host.rx().unwrap().data.len(), 1000);
    let window = std::mem::take(&mut peer.window);
    host.tx(peer.seg(ACK, &[]));
    if close {
        assert!(pends((&stream).close()));
    }
    host.pass(100 * SECOND);
    let probes = host.all();
    assert!(!probes.is_empty(), "neither data nor a probe");
    peer.window = window;
    let mut got = 0;
    for _ in 0..10 {
        host.pass(100 * SECOND);
        let sent = host.all();
        if let Some(seg) = sent
            .iter()
            .find(|s| s.seq == peer.ack && !s.data.is_empty())
        {
            got += seg.data.len();
            peer.ack += seg.data.len() as u32;
        }
        host.tx(peer.seg(ACK, &[]));
    }
    assert_eq!(got, 1000, "with close {close}");
}

#[test]
fn a_window_that_closes_over_data_is_probed_after_the_peers_end() {
    closed_window_over_data(false);
}

#[test]
fn a_window_that_closes_over_data_is_probed_after_both_ends() {
    closed_window_over_data(true);
}

#[test]
fn data_with_an_acknowledgement_that_was_overtaken_is_taken() {
    let mut host = Host::new(Config::default());
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    now((&stream).write_all(&[1; 100])).unwrap();
    host.all();
    let before = peer.seg(ACK, b"data");
    peer.ack += 100;
    host.tx(peer.seg(ACK, &[]));
    host.tx(before);
    let mut buf = [0; 8];
    assert_eq!(now((&stream).read(&mut buf)).unwrap(), 4);
    // It took nothing back.
    host.all();
    host.pass(100 * SECOND);
    host.silent();
}

#[test]
fn acknowledgements_that_nobody_meant_do_not_count() {
    for (off, ack) in [(0, 1_000_000), (1_000_000, 600)] {
        let mut host = Host::new(Config::default());
        let mut peer = Peer::new(CLIENT, SERVER);
        let stream = peer.open(&mut host);
        now((&stream).write_all(&[1; 1000])).unwrap();
        host.all();
        let good = peer.ack;
        peer.ack = good + ack;
        host.tx(peer.at(peer.seq.wrapping_sub(off), ACK, &[]));
        host.all();
        peer.ack = good;
        peer.window = 0;
        host.tx(peer.seg(ACK, &[]));
        host.pass(100 * SECOND);
        let sent = host.all();
        assert!(!sent.is_empty(), "neither data nor a probe");
        let mut data = sent.iter().filter(|seg| !seg.data.is_empty());
        assert!(data.all(|seg| seg.seq == good), "data was skipped");
    }
}

#[test]
fn a_syn_ack_for_another_syn_is_not_remembered() {
    let mut host = Host::new(Config::default());
    let connector = host.connector.clone();
    let mut connect = Box::pin(connector.connect_from(addr(CLIENT), addr(SERVER)));
    assert!(poll(&mut connect).is_pending());
    let syn = host.rx().unwrap();
    let mut peer = Peer::new(SERVER, CLIENT);
    peer.ack = syn.seq.wrapping_add(77);
    host.tx(peer.at(5_000_000, SYN | ACK, &[]));
    peer.ack = syn.seq.wrapping_add(1);
    host.tx(peer.seg(SYN | ACK, &[]));
    peer.seq += 1;
    let stream = now(connect).unwrap();
    host.all();
    now((&stream).write_all(&[1; 1000])).unwrap();
    host.all();
    peer.window = 0;
    host.tx(peer.seg(ACK, &[]));
    host.pass(200 * SECOND);
    assert!(!host.all().is_empty(), "neither data nor a probe");
}

#[test]
fn a_client_that_started_anew_is_told_where_the_old_connection_is() {
    let mut host = Host::new(Config::default());
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    let expected = peer.seq;
    peer.seq += 100_000_000;
    host.tx(peer.syn());
    let told = host.rx().expect("a challenge (RFC 5961, 4)");
    assert_eq!((told.ack, told.flags.syn()), (expected, false));
    // It knows of no such connection, and its next SYN is a new one.
    host.tx(peer.at(told.ack, RST, &[]));
    let error = now((&stream).read(&mut [0; 8])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let _stream = peer.open(&mut host);
}

#[test]
fn only_single_hosts_are_connected() {
    let host = Host::new(Config::default());
    let good = [addr("10.0.0.1:7"), addr("[fd00::1]:7")];
    for bad in [
        "224.0.0.1:80",
        "255.255.255.255:80",
        "0.0.0.0:80",
        "[ff02::1]:80",
    ] {
        let bad = addr(bad);
        let good = good[usize::from(bad.is_ipv6())];
        for (from, to) in [(good, bad), (bad, good)] {
            let error = now(host.connector.connect_from(from, to)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AddrNotAvailable, "{from} to {to}");
        }
    }
    let no_port = addr("10.0.0.2:0");
    let error = now(host.connector.connect_from(good[0], no_port)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
}

#[test]
fn accepted_connections_are_not_more_than_the_limit() {
    // With SYN cookies, half of the places are for clients that complete the handshake.
    for (syn_cookies, half_open) in [(false, 2), (true, 1)] {
        let config = Config::new().max_connections(2).syn_cookies(syn_cookies);
        let mut host = Host::new(config);
        for n in 1..=5 {
            host.tx(Peer::new(&format!("10.0.0.2:{n}"), SERVER).syn());
        }
        assert!(pends(host.listener().accept()));
        assert_eq!(host.listener().stats().connections, half_open);
    }
}

#[test]
fn for_ever_is_a_duration() {
    let most = Duration::MAX;
    let mut host = Host::new(
        Config::new()
            .options(
                TcpOptions::new()
                    .user_timeout(Some(most))
                    .keepalive(Some(most)),
            )
            .handshake_timeout(most)
            .orphan_timeout(most)
            .time_wait(most),
    );
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    now((&stream).write_all(b"x")).unwrap();
    drop(stream);
    peer.drain(&mut host);
    host.tx(peer.seg(FIN | ACK, &[]));
    host.pass(SECOND);
}

#[test]
fn a_connection_that_ended_before_it_was_closed_does_not_close_well() {
    let mut host = Host::new(Config::default());
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    host.tx(peer.seg(RST | ACK, &[]));
    let error = now((&stream).close()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    // All that was written, which is nothing, has been acknowledged.
    now(stream.wait_acked()).unwrap();
}

/// Sends ten segments of which the last is sent again as a probe, and acknowledges them. Says what
/// the congestion window was before and is now.
fn probe(host: &mut Host, peer: &mut Peer, stream: &Stream) -> (usize, usize) {
    let mut stream = stream;
    now(stream.write_all(&[1; 14_600])).unwrap();
    host.pass(Duration::from_millis(10));
    let sent = host.all();
    assert_eq!(sent.len(), 11);
    assert_eq!(sent[9].seq, sent[10].seq);
    let before = stream.info().cwnd;
    peer.ack = sent[10].end();
    host.tx(peer.seg(ACK, &[]));
    (before, stream.info().cwnd)
}

#[test]
fn a_probe_that_was_overtaken_by_the_acknowledgement_is_no_loss() {
    let mut host = Host::new(Config::default());
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    let (before, after) = probe(&mut host, &mut peer, &stream);
    assert!(after > before, "from {before} to {after}");
    // The peer had it twice.
    peer.blocks[0] = Some((peer.ack - 1460, peer.ack));
    host.tx(peer.seg(ACK, &[]));
    peer.blocks[0] = None;
    now((&stream).write_all(&[1; 1460])).unwrap();
    peer.drain(&mut host);
    assert!(stream.info().cwnd >= after);
}

#[test]
fn a_probe_that_was_needed_is_a_loss() {
    let mut host = Host::new(Config::default());
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    let (_, after) = probe(&mut host, &mut peer, &stream);
    // No word of a second copy comes, and then what was sent later is acknowledged.
    now((&stream).write_all(&[1; 1460])).unwrap();
    peer.drain(&mut host);
    let now = stream.info().cwnd;
    assert!(now < after, "from {after} to {now}");
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn two_tasks_that_wait_for_data_sleep() {
    let mut host = Host::new(Config::default());
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    let tasks = [Arc::new(Count::default()), Arc::new(Count::default())];
    let mut reads: Vec<_> = tasks
        .iter()
        .map(|task| {
            let stream = stream.clone();
            let read = Box::pin(async move { (&stream).read(&mut [0; 8]).await });
            (read, Waker::from(task.clone()))
        })
        .collect();
    for (read, waker) in &mut reads {
        assert!(
            read.as_mut()
                .poll(&mut Context::from_waker(waker))
                .is_pending()
        );
    }
    for _ in 0..100 {
        for (task, (read, waker)) in tasks.iter().zip(&mut reads) {
            if task.0.swap(0, Ordering::SeqCst) > 0 {
                let poll = read.as_mut().poll(&mut Context::from_waker(waker));
                assert!(poll.is_pending());
            }
        }
    }
    let woken: usize = tasks.iter().map(|task| task.0.load(Ordering::SeqCst)).sum();
    assert_eq!(woken, 0, "they keep each other awake");
}

/// What remains of a connection that was reset refused the next one, if its SYN came in the same
/// batch.
#[test]
fn a_client_may_begin_anew_right_behind_its_reset() {
    let mut host = Host::new(Config::default());
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    host.all();
    let mut again = Peer::new(CLIENT, SERVER);
    again.seq = 500_000;
    let now = host.now();
    for packet in [peer.seg(RST | ACK, &[]), again.syn()] {
        let headers = brooklet_packet::Headers::parse(&packet).unwrap();
        host.engine.handle_packet(now, &packet, &headers);
    }
    host.engine.flush(now);
    host.silent();
    assert_eq!(
        read(&stream).unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    assert_eq!(host.listener().stats().requests, 1);
}
