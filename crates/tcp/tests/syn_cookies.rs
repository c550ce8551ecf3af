//! SYN cookies (RFC 4987, 3.6): when they are sent, and what a client that brings one back gets.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_cell::Threaded;
use brooklet_tcp::{Config, TcpListener, TcpOptions, TcpRequest, Unreachable};
use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt};
use std::io::ErrorKind;
use std::time::Duration;
use support::*;

type Request = TcpRequest<Threaded>;

fn config() -> Config {
    Config::new().options(fixed_buffers(128 * 1024))
}

/// A stack whose backlog of one is taken, so that the next SYN is answered with a cookie.
fn full() -> Host {
    let mut host = Host::new(config().backlog(1));
    host.tx(Peer::new("10.9.9.9:9", SERVER).syn());
    std::mem::forget(request(&host)); // the program works on it
    host
}

fn request(host: &Host) -> Request {
    now(host.listener().requests().next()).unwrap().unwrap()
}

fn no_request(host: &Host) {
    assert!(pends(host.listener().requests().next()), "a request");
}

fn client(port: u16) -> Peer {
    let mut peer = Peer::new(&format!("10.0.0.2:{port}"), SERVER);
    peer.timestamp = Some((70_000, 0));
    peer
}

/// Sends the SYN and takes in the SYN-ACK with the cookie. The third packet is still to be sent.
fn begin(host: &mut Host, peer: &mut Peer) -> Seg {
    let sent = host.engine.stats().syn_cookies_sent;
    host.tx(peer.syn());
    let syn_ack = host.one();
    assert!(syn_ack.flags.syn() && syn_ack.flags.ack(), "{syn_ack:?}");
    assert_eq!(host.engine.stats().syn_cookies_sent, sent + 1);
    assert_eq!(syn_ack.ack, peer.seq.wrapping_add(1));
    peer.seq = peer.seq.wrapping_add(1);
    peer.ack = syn_ack.seq.wrapping_add(1);
    peer.timestamp = peer
        .timestamp
        .zip(syn_ack.timestamp)
        .map(|((tsval, _), (echo, _))| (tsval + 100, echo));
    syn_ack
}

/// Completes the handshake by a cookie.
fn complete(host: &mut Host, peer: &mut Peer) -> Seg {
    let syn_ack = begin(host, peer);
    host.tx(peer.seg(ACK, &[]));
    host.silent();
    syn_ack
}

#[test]
fn without_pressure_no_cookie_is_sent() {
    let mut host = Host::new(config());
    let mut streams = Vec::new();
    for n in 1..=500 {
        let mut peer = Peer::new(&format!("10.0.0.2:{n}"), SERVER);
        streams.push(peer.open(&mut host));
    }
    let stats = host.engine.stats();
    assert_eq!(stats.syn_cookies_sent, 0);
    assert_eq!((stats.syn_cookies_failed, stats.half_open), (0, 0));
    // Nor is one looked for.
    host.tx(Peer::new("10.0.0.3:1", SERVER).seg(ACK, &[]));
    assert!(host.one().flags.rst());
    assert_eq!(host.engine.stats().syn_cookies_failed, 0);
}

#[test]
fn a_full_backlog_answers_with_cookies_and_asks_the_program_when_one_comes_back() {
    let mut host = full();
    let mut peer = client(1);
    begin(&mut host, &mut peer);
    no_request(&host);
    host.pass(Duration::from_millis(500));
    host.silent();
    host.tx(peer.seg(ACK, &[]));
    let request = request(&host);
    assert_eq!(request.peer_addr(), peer.from);
    assert_eq!(request.mss(), Some(1460));
    let stream = now(request.accept()).unwrap();
    host.silent();
    peer.send(&mut host, b"hello");
    assert_eq!(read(&stream).unwrap(), b"hello");
    now((&stream).write_all(b"world")).unwrap();
    assert_eq!(peer.drain(&mut host).0, b"world");
    let stats = host.engine.stats();
    assert_eq!(
        (stats.syn_cookies_received, stats.syn_cookies_failed),
        (1, 0)
    );
    assert_eq!(
        (stats.half_open, stats.accepted, stats.requested),
        (0, 1, 2)
    );
}

#[test]
fn full_half_open_connections_answer_with_cookies_and_accept_returns_the_stream() {
    let mut host = Host::new(config().max_half_open(1));
    host.tx(Peer::new("10.9.9.9:9", SERVER).syn());
    assert!(pends(host.listener().accept()));
    assert!(host.one().flags.syn());
    assert_eq!(host.engine.stats().half_open, 1);
    let mut peer = client(1);
    complete(&mut host, &mut peer);
    let (stream, from) = now(host.listener().accept()).unwrap();
    assert_eq!(from, peer.from);
    peer.send(&mut host, b"hello");
    assert_eq!(read(&stream).unwrap(), b"hello");
    assert_eq!(host.engine.stats().half_open, 1, "the first one still is");
}

#[test]
fn syns_that_were_queued_before_the_half_open_connections_were_full_get_cookies() {
    let mut host = Host::new(config().max_half_open(1));
    let mut peers = [1, 2, 3].map(client);
    for peer in &peers {
        host.tx(peer.syn());
    }
    host.silent();
    assert!(pends(host.listener().accept()));
    let answers = host.all();
    assert_eq!(answers.len(), 3);
    assert_eq!(host.engine.stats().syn_cookies_sent, 2);
    assert_eq!(host.engine.stats().requests, 0);
    for (peer, syn_ack) in peers.iter_mut().zip(answers) {
        peer.seq += 1;
        peer.ack = syn_ack.seq.wrapping_add(1);
        peer.timestamp = syn_ack.timestamp.map(|(tsval, _)| (70_100, tsval));
        host.tx(peer.seg(ACK, &[]));
        assert_eq!(now(host.listener().accept()).unwrap().1, peer.from);
    }
}

#[test]
fn requests_that_the_program_accepts_are_half_open_connections() {
    let mut host = Host::new(config().max_half_open(2));
    let mut accepts = Vec::new();
    for n in 1..=2 {
        host.tx(client(n).syn());
        let mut accept = Box::pin(request(&host).accept());
        assert!(poll(&mut accept).is_pending());
        accepts.push(accept);
    }
    assert_eq!(host.all().len(), 2);
    assert_eq!(host.engine.stats().half_open, 2);
    let mut peer = client(3);
    complete(&mut host, &mut peer);
    let _stream = now(request(&host).accept()).unwrap();
    accepts.clear();
    let resets = host.all();
    assert_eq!(resets.len(), 2, "each was dropped: {resets:?}");
    assert_eq!(host.engine.stats().half_open, 0);
    // There is room again, a second later.
    host.pass(SECOND);
    host.tx(client(4).syn());
    host.silent();
    assert_eq!(request(&host).peer_addr(), client(4).from);
}

#[test]
fn clients_that_complete_the_handshake_come_before_syns_that_wait() {
    let mut host = Host::new(config().backlog(2));
    for n in 1..=2 {
        host.tx(client(n).syn());
    }
    let mut peers = [3, 4].map(client);
    for peer in &mut peers {
        complete(&mut host, peer);
    }
    for peer in &peers {
        assert_eq!(request(&host).peer_addr(), peer.from);
    }
    // Under pressure the program connects upstream for no SYN alone.
    no_request(&host);
    assert!(host.all().iter().all(|seg| seg.flags.syn()));
    let stats = host.engine.stats();
    assert_eq!((stats.requests, stats.syn_cookies_sent), (2, 4));
    host.pass(SECOND);
    host.tx(client(5).syn());
    host.silent();
    assert_eq!(request(&host).peer_addr(), client(5).from);
}

#[test]
fn a_syn_that_waits_for_the_program_and_is_repeated_under_pressure_gets_a_cookie() {
    let mut host = Host::new(config().backlog(2));
    let mut peer = client(1);
    host.tx(peer.syn());
    host.tx(client(2).syn());
    host.tx(peer.syn());
    assert_eq!(host.engine.stats().repeated_syns, 1, "there is no pressure");
    begin(&mut host, &mut client(3));
    complete(&mut host, &mut peer);
    assert_eq!(request(&host).peer_addr(), peer.from);
    // Not so if the program works on it.
    let mut host = full();
    begin(&mut host, &mut client(3));
    host.tx(Peer::new("10.9.9.9:9", SERVER).syn());
    host.silent();
}

#[test]
fn many_syns_that_wait_are_answered_as_the_driver_has_room() {
    let mut host = Host::new(config().backlog(1000).outbound_packets(64));
    for n in 1..=1000 {
        host.tx(client(n).syn());
    }
    begin(&mut host, &mut client(2000));
    let mut sent = 0;
    for _ in 0..20 {
        no_request(&host);
        sent += host.all().len();
    }
    assert_eq!(sent, 1000);
    assert_eq!(host.engine.stats().outbound_full, 0);
}

#[test]
fn the_options_of_the_syn_are_kept() {
    for scale in [None, Some(0), Some(7), Some(14)] {
        for (mss, kept) in [(Some(1460), 1460), (Some(1400), 1400), (None, 536)] {
            for timestamps in [true, false] {
                let mut host = full();
                let mut peer = client(1);
                (peer.scale, peer.mss, peer.window) = (scale, mss, 100);
                peer.timestamp = peer.timestamp.filter(|_| timestamps);
                let syn = peer.syn();
                let syn_ack = complete(&mut host, &mut peer);
                assert!(syn_ack.bytes.len() <= syn.len(), "more than came");
                assert_eq!(syn_ack.timestamp.is_some(), timestamps);
                assert_eq!(syn_ack.scale.is_some(), timestamps && scale.is_some());
                let stream = now(request(&host).accept()).unwrap();
                let options = if timestamps { 12 } else { 0 };
                assert_eq!(stream.info().mss, kept - options);
                let shift = if timestamps { scale.unwrap_or(0) } else { 0 };
                assert_eq!(stream.info().send_window, 100 << shift);
                // SACK: what comes beyond a gap is reported.
                host.tx(peer.at(peer.seq.wrapping_add(10), ACK, b"beyond"));
                let ack = host.one();
                assert_eq!(!ack.sack.is_empty(), timestamps);
                assert_eq!(
                    ack.timestamp.map(|(_, echo)| echo),
                    peer.timestamp.map(|(t, _)| t)
                );
            }
        }
    }
}

#[test]
fn our_window_has_the_scale_of_the_syn_ack_whatever_the_options_of_the_accept() {
    for size in [2048, 64 * 1024, 1 << 20, 64 << 20] {
        let mut host = full();
        let mut peer = client(1);
        let shift = complete(&mut host, &mut peer).scale.unwrap();
        let options = fixed_buffers(size);
        let stream = now(request(&host).accept_with(options)).unwrap();
        peer.send(&mut host, &[7; 1000]);
        assert_eq!(read(&stream).unwrap().len(), 1000);
        host.pass(SECOND);
        let window = usize::from(host.all().pop().unwrap().window) << shift;
        let most = size.min(usize::from(u16::MAX) << shift);
        assert!(window > 0 && window <= most.max(4096), "{window} of {size}");
    }
}

#[test]
fn data_in_or_behind_the_third_packet_is_there_at_once() {
    for behind in [false, true] {
        let mut host = full();
        let mut peer = client(1);
        begin(&mut host, &mut peer);
        if behind {
            host.tx(peer.seg(ACK, &[]));
        }
        host.tx(peer.seg(ACK | PSH, b"first"));
        // The program is slow, and the client sends more and repeats it.
        host.tx(peer.at(peer.seq + 5, ACK | PSH, b"second"));
        host.pass(SECOND);
        host.tx(peer.seg(ACK | PSH, b"firstsecond"));
        host.silent();
        assert_eq!(host.engine.stats().unaccepted, 2);
        let stream = now(request(&host).accept()).unwrap();
        let ack = host.one();
        assert_eq!((ack.ack, ack.seq), (peer.seq + 5, peer.ack));
        assert_eq!(read(&stream).unwrap(), b"first");
        host.tx(peer.at(peer.seq + 5, ACK | PSH, b"second"));
        assert_eq!(read(&stream).unwrap(), b"second");
        // The wait for the program is no round trip.
        assert!(stream.info().rtt.is_none_or(|rtt| rtt < SECOND / 2));
    }
}

#[test]
fn a_half_close_behind_data_is_kept() {
    let mut host = full();
    let mut peer = client(1);
    begin(&mut host, &mut peer);
    host.tx(peer.seg(ACK | FIN, b"all of it"));
    let stream = now(request(&host).accept()).unwrap();
    assert_eq!(host.one().ack, peer.seq + 10);
    assert_eq!(read(&stream).unwrap(), b"all of it");
    assert_eq!(read(&stream).unwrap(), b"");
    now((&stream).write_all(b"answer")).unwrap();
    peer.seq += 10;
    assert_eq!(peer.drain(&mut host).0, b"answer");
}

#[test]
fn a_segment_that_is_too_long_to_be_kept_is_sent_again() {
    let mut host = full();
    let mut peer = client(1);
    begin(&mut host, &mut peer);
    let data = vec![5; 20_000];
    host.tx(peer.seg(ACK | FIN, &data));
    assert_eq!(host.engine.stats().unaccepted, 1);
    let stream = now(request(&host).accept()).unwrap();
    assert!(pends((&stream).read(&mut [0])), "data or an end of nothing");
    host.tx(peer.seg(ACK | FIN, &data));
    assert_eq!(read(&stream).unwrap(), data);
    assert_eq!(read(&stream).unwrap(), b"");
}

#[test]
fn the_program_refuses_rejects_and_ignores_a_connected_client() {
    let mut host = full();
    for (port, refuses) in [(1, true), (2, false)] {
        let mut peer = client(port);
        complete(&mut host, &mut peer);
        match refuses {
            true => request(&host).refuse(),
            false => request(&host).reject(Unreachable::Host),
        }
        let reset = host.one();
        assert!(reset.flags.rst() && reset.seq == peer.ack, "{reset:?}");
        assert_eq!(reset.key.destination(), peer.from);
    }
    let mut peer = client(3);
    complete(&mut host, &mut peer);
    request(&host).drop_silently();
    host.tx(peer.seg(ACK | PSH, b"anybody?"));
    host.tx(peer.seg(ACK | PSH, b"anybody?"));
    host.silent();
    no_request(&host);
    let stats = host.engine.stats();
    assert_eq!((stats.refused, stats.rejected), (1, 1));
    assert_eq!(stats.dropped_silently, 1);
}

#[test]
fn a_client_withdraws_by_a_rst_or_by_a_fin_without_data() {
    let mut host = full();
    for (flags, sent) in [(RST, 0), (RST | ACK, 0), (RST, 5), (FIN | ACK, 0)] {
        let mut peer = client(1);
        complete(&mut host, &mut peer);
        let request = request(&host);
        let mut withdrawn = Box::pin(request.withdrawn());
        assert!(poll(&mut withdrawn).is_pending());
        if sent > 0 {
            host.tx(peer.seg(ACK | PSH, &vec![1; sent]));
            peer.seq += sent as u32;
        }
        host.tx(peer.at(peer.seq.wrapping_add(9), RST, &[]));
        assert!(
            poll(&mut withdrawn).is_pending(),
            "a RST of nobody's number"
        );
        host.tx(peer.seg(flags, &[]));
        assert!(poll(&mut withdrawn).is_ready(), "flags {flags}");
        drop(withdrawn);
        let error = now(request.accept()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
        let answers = host.all();
        assert_eq!(answers.len(), usize::from(flags & FIN != 0));
        assert!(answers.iter().all(|seg| seg.flags.rst()));
    }
    let stats = host.engine.stats();
    assert_eq!((stats.withdrawn, stats.bad_rst), (4, 4));
    assert_eq!(stats.requests, 1);
}

#[test]
fn a_syn_of_a_connected_client_is_challenged() {
    let mut host = full();
    let mut peer = client(1);
    complete(&mut host, &mut peer);
    let request = request(&host);
    host.tx(peer.at(peer.seq.wrapping_sub(1), SYN, &[]));
    host.silent();
    host.tx(peer.at(peer.seq.wrapping_add(70_000), SYN, &[]));
    let challenge = host.one();
    assert!(challenge.is_bare_ack() && challenge.ack == peer.seq && challenge.seq == peer.ack);
    let stats = host.engine.stats();
    assert_eq!((stats.repeated_syns, stats.unexpected_syn), (1, 1));
    // The client has lost the connection.
    host.tx(peer.seg(RST, &[]));
    now(request.withdrawn());
}

#[test]
fn a_request_of_a_connected_client_lives_for_the_request_timeout() {
    let mut host = full();
    complete(&mut host, &mut client(1));
    host.pass(Duration::from_secs(110));
    let stats = host.engine.stats();
    assert_eq!((stats.requests, stats.expired), (1, 1));
    host.pass(Duration::from_secs(12));
    assert_eq!(host.engine.stats().requests, 0);
    let at = host.now();
    assert_eq!(host.engine.poll_timeout(at), None);
}

#[test]
fn a_forged_ack_is_no_connection() {
    let mut host = full();
    begin(&mut host, &mut client(1));
    let mut rng = Rng::new(1);
    for n in 0..900 {
        let mut forger = client(1);
        forger.seq = 1001;
        forger.ack = rng.next() as u32;
        if n % 2 == 0 {
            forger.timestamp = None;
        }
        host.tx(forger.seg(ACK, b"data"));
        assert!(host.one().flags.rst());
    }
    no_request(&host);
    let stats = host.engine.stats();
    assert_eq!(
        (stats.syn_cookies_failed, stats.syn_cookies_received),
        (900, 0)
    );
    assert_eq!(stats.resets, 900);
}

#[test]
fn a_cookie_is_no_good_after_two_periods() {
    for (seconds, good) in [(60, true), (130, false)] {
        let mut host = full();
        let mut peer = client(1);
        begin(&mut host, &mut peer);
        host.pass(Duration::from_secs(seconds - 1));
        // Cookies are still looked for.
        let stats = host.engine.stats();
        assert_eq!(stats.expired, 1);
        host.tx(Peer::new("10.9.9.9:9", SERVER).syn());
        std::mem::forget(request(&host));
        begin(&mut host, &mut client(2));
        host.pass(SECOND);
        host.tx(peer.seg(ACK, &[]));
        match good {
            true => assert_eq!(request(&host).peer_addr(), peer.from),
            false => {
                assert!(host.one().flags.rst());
                no_request(&host);
                assert_eq!(host.engine.stats().syn_cookies_failed, 1);
            }
        }
    }
}

#[test]
fn two_minutes_after_the_last_cookie_none_is_looked_for() {
    let mut host = full();
    begin(&mut host, &mut client(1));
    host.pass(Duration::from_secs(129));
    host.tx(client(2).seg(ACK, &[]));
    assert!(host.one().flags.rst());
    assert_eq!(host.engine.stats().syn_cookies_failed, 0);
}

#[test]
fn a_client_whose_syn_ack_was_lost_gets_another_one() {
    let mut host = full();
    let mut peer = client(1);
    host.tx(peer.syn());
    host.one();
    host.pass(4 * SECOND);
    host.silent();
    complete(&mut host, &mut peer);
    now(request(&host).accept()).unwrap();
}

#[test]
fn under_pressure_a_syn_ack_is_sent_again_only_in_answer_to_a_syn() {
    let mut host = Host::new(config().max_half_open(1));
    let mut first = client(1);
    host.tx(first.syn());
    assert!(pends(host.listener().accept()));
    host.one();
    begin(&mut host, &mut client(2));
    host.pass(10 * SECOND);
    host.silent();
    host.tx(first.syn());
    first.establish(&mut host);
    let (_stream, from) = now(host.listener().accept()).unwrap();
    assert_eq!(from, first.from);
    // Without pressure the timer sends it again.
    let later = client(3);
    host.tx(later.syn());
    assert!(pends(host.listener().accept()));
    host.one();
    host.pass(2 * SECOND);
    assert!(host.one().flags.syn());
}

#[test]
fn a_handshake_that_times_out_sends_nothing_and_a_late_client_is_reset() {
    let mut host = Host::new(config().max_half_open(1));
    let peer = client(1);
    host.tx(peer.syn());
    let mut accept = Box::pin(request(&host).accept());
    assert!(poll(&mut accept).is_pending());
    let syn_ack = host.one();
    host.pass(16 * SECOND);
    assert_eq!(now(accept).unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(
        host.all().iter().all(|seg| seg.flags.syn()),
        "its repetitions"
    );
    let mut late = peer;
    late.seq += 1;
    late.ack = syn_ack.seq.wrapping_add(1);
    host.tx(late.seg(ACK, &[]));
    assert!(host.one().flags.rst());
    assert_eq!(host.engine.stats().half_open, 0);
}

#[test]
fn without_cookies_the_oldest_half_open_connection_gives_its_place_in_silence() {
    let mut host = Host::new(config().max_half_open(2).syn_cookies(false));
    let mut accepts = Vec::new();
    for n in 1..=3 {
        host.tx(client(n).syn());
        let mut accept = Box::pin(request(&host).accept());
        assert!(poll(&mut accept).is_pending());
        accepts.push(accept);
        assert!(host.one().flags.syn());
    }
    let stats = host.engine.stats();
    assert_eq!((stats.half_open, stats.connections), (2, 2));
    assert_eq!((stats.half_open_full, stats.syn_cookies_sent), (1, 0));
    let error = now(accepts.remove(0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
    drop(accepts);
    assert_eq!(
        host.all().len(),
        2,
        "those are reset that the program has dropped"
    );
}

#[test]
fn without_cookies_accept_evicts_in_silence() {
    let mut host = Host::new(config().max_half_open(1).syn_cookies(false));
    host.tx(client(1).syn());
    assert!(pends(host.listener().accept()));
    host.one();
    host.pass(Duration::from_millis(6));
    let mut peer = client(2);
    host.tx(peer.syn());
    assert!(pends(host.listener().accept()));
    peer.timestamp = None;
    let syn_ack = host.one();
    assert_eq!(syn_ack.key.destination(), peer.from);
    let stats = host.engine.stats();
    assert_eq!((stats.half_open, stats.half_open_full), (1, 1));
}

#[test]
fn half_of_the_connections_are_kept_from_handshakes() {
    let mut host = Host::new(config().max_connections(4));
    for n in 1..=4 {
        host.tx(Peer::new(&format!("10.9.9.9:{n}"), SERVER).syn());
    }
    assert!(pends(host.listener().accept()));
    host.all();
    assert_eq!(host.engine.stats().connections, 2);
    let mut streams = Vec::new();
    for n in 1..=2 {
        let mut peer = client(n);
        complete(&mut host, &mut peer);
        streams.push(now(host.listener().accept()).unwrap());
    }
    // There is no place for one more, and no cookie that could not be honoured.
    host.tx(client(3).syn());
    host.silent();
    assert_eq!(host.engine.stats().table_full, 1);
}

#[test]
fn a_completed_handshake_takes_the_place_of_a_syn_that_nobody_was_given() {
    let mut host = Host::new(config().max_connections(2));
    let stream = client(1).open(&mut host);
    host.tx(Peer::new("10.9.9.9:1", SERVER).syn());
    let mut peer = client(2);
    complete(&mut host, &mut peer);
    assert_eq!(host.engine.stats().backlog_full, 1);
    assert_eq!(request(&host).peer_addr(), peer.from);
    no_request(&host);
    drop(stream);
}

#[test]
fn as_many_completed_requests_wait_as_the_backlog_says() {
    let mut host = full();
    complete(&mut host, &mut client(1));
    let mut second = client(2);
    begin(&mut host, &mut second);
    host.tx(second.seg(ACK | PSH, b"data"));
    host.silent();
    assert_eq!(host.engine.stats().backlog_full, 1);
    now(request(&host).accept()).unwrap();
    no_request(&host);
    // The cookie is still good when the client repeats its data.
    host.pass(SECOND);
    host.tx(second.seg(ACK | PSH, b"data"));
    let stream = now(request(&host).accept()).unwrap();
    assert_eq!(read(&stream).unwrap(), b"data");
}

#[test]
fn the_last_listener_resets_connected_clients_that_it_was_not_given() {
    let mut host = full();
    let mut peer = client(1);
    complete(&mut host, &mut peer);
    let listener: TcpListener<Threaded> = host.listener.take().unwrap();
    drop(listener);
    let reset = host.one();
    assert!(reset.flags.rst() && reset.seq == peer.ack);
}

#[test]
fn ipv6_clients_have_cookies() {
    let mut host = full();
    let mut peer = Peer::new("[fd00::2]:40000", "[fd00::1]:80");
    peer.mss = Some(1440);
    peer.timestamp = Some((70_000, 0));
    complete(&mut host, &mut peer);
    let request = request(&host);
    assert_eq!(
        (request.peer_addr(), request.mss()),
        (peer.from, Some(1440))
    );
    let stream = now(request.accept()).unwrap();
    peer.send(&mut host, b"six");
    assert_eq!(read(&stream).unwrap(), b"six");
}

#[test]
fn resets_of_unmatched_segments_are_limited_and_those_of_the_program_are_not() {
    let mut host = Host::new(config().resets_per_second(10));
    let stray = |n: u16| Peer::new(&format!("10.0.0.3:{n}"), SERVER).seg(ACK, b"stray");
    for n in 1..=50 {
        host.tx(stray(n));
    }
    assert_eq!(host.all().len(), 10);
    let stats = host.engine.stats();
    assert_eq!((stats.resets, stats.reset_limit), (10, 40));
    for n in 1..=20 {
        host.tx(client(n).syn());
        request(&host).refuse();
        assert!(host.one().flags.rst());
    }
    host.pass(SECOND / 2);
    for n in 1..=50 {
        host.tx(stray(n));
    }
    assert_eq!(host.all().len(), 5);
    let mut silent = Host::new(config().resets_per_second(0));
    silent.tx(stray(1));
    silent.silent();
    assert_eq!(silent.engine.stats().reset_limit, 1);
}

#[test]
fn listeners_with_options_of_their_own_have_their_own_window() {
    let mut host = full();
    host.listener().set_options(
        TcpOptions::new()
            .recv_buffer(8192)
            .recv_buffer_max(8192)
            .ttl(99),
    );
    let mut peer = client(1);
    let syn_ack = complete(&mut host, &mut peer);
    assert_eq!(
        (syn_ack.window, syn_ack.scale, syn_ack.ttl),
        (8192, Some(0), 99)
    );
    let stream = now(request(&host).accept()).unwrap();
    assert_eq!(stream.ttl().unwrap(), 99);
}
