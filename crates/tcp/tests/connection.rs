//! The life of a connection, packet by packet.

mod support;

use brooklet_tcp::{Config, Interface, TcpOptions};
use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt, future};
use std::io::ErrorKind;
use std::net::Shutdown;
use std::time::Duration;
use support::*;

#[test]
fn echo_over_both_families() {
    for (from, to) in [(CLIENT, SERVER), ("[fd00::2]:40000", "[2001:db8::1]:80")] {
        let mut host = host();
        let mut peer = Peer::new(from, to);
        let stream = peer.open(&mut host);
        assert_eq!(stream.peer_addr().unwrap(), addr(from));
        assert_eq!(stream.local_addr().unwrap(), addr(to));
        peer.send(&mut host, b"hello");
        assert_eq!(read(&stream).unwrap(), b"hello");
        now((&stream).write_all(b"world")).unwrap();
        assert_eq!(peer.drain(&mut host), (b"world".to_vec(), false));
    }
}

#[test]
fn the_syn_ack_carries_the_mss_of_its_family() {
    for (from, to, mss) in [(CLIENT, SERVER, 1460), ("[fd00::2]:1", "[fd00::1]:2", 1440)] {
        let mut host = host();
        let mut peer = Peer::new(from, to);
        host.tx(peer.syn());
        assert!(pends(host.listener().accept()));
        assert_eq!(peer.establish(&mut host).mss, Some(mss));
    }
}

#[test]
fn end_of_stream_reset_and_abort_are_different_ends() {
    let mut host = host();
    let mut peer = Peer::new("10.0.0.2:1", SERVER);
    let stream = peer.open(&mut host);
    peer.send(&mut host, b"last");
    host.tx(peer.seg(FIN | ACK, &[]));
    assert_eq!(read(&stream).unwrap(), b"last");
    assert_eq!(read(&stream).unwrap(), b"", "end of stream");
    assert_eq!(read(&stream).unwrap(), b"", "and it stays");
    host.all();

    let mut peer = Peer::new("10.0.0.2:2", SERVER);
    let stream = peer.open(&mut host);
    peer.send(&mut host, b"last");
    host.tx(peer.seg(RST | ACK, &[]));
    assert_eq!(read(&stream).unwrap(), b"last");
    assert_eq!(
        read(&stream).unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    let write = now((&stream).write_all(b"x")).unwrap_err();
    assert_eq!(write.kind(), ErrorKind::ConnectionReset);

    host.all();
    let mut peer = Peer::new("10.0.0.2:3", SERVER);
    let stream = peer.open(&mut host);
    stream.abort();
    let reset = host.rx().unwrap();
    assert!(reset.flags.rst());
    assert_eq!((reset.seq, host.all().len()), (peer.ack, 0));
    assert_eq!(
        read(&stream).unwrap_err().kind(),
        ErrorKind::ConnectionAborted
    );
    assert_eq!(
        host.listener().stats().connections,
        1,
        "only the first is left"
    );
}

#[test]
fn a_peer_that_stops_answering_times_out() {
    let mut host =
        Host::new(Config::new().options(TcpOptions::new().user_timeout(Some(30 * SECOND))));
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    now((&stream).write_all(b"anybody?")).unwrap();
    host.pass(29 * SECOND);
    assert!(pends((&stream).read(&mut [0; 8])));
    host.pass(2 * SECOND);
    assert_eq!(read(&stream).unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(host.listener().stats().connections, 0);
}

#[test]
fn an_idle_connection_lives_and_one_with_keepalive_finds_out() {
    let hour = 3600 * SECOND;
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    now((&stream).write_all(b"hello")).unwrap();
    assert_eq!(peer.drain(&mut host).0, b"hello");
    host.pass(10 * hour);
    host.silent();
    assert!(pends((&stream).read(&mut [0; 8])));
    peer.send(&mut host, b"still here");
    assert_eq!(read(&stream).unwrap(), b"still here");

    let keepalive = Some(60 * SECOND);
    let mut host = Host::new(Config::new().options(TcpOptions::new().keepalive(keepalive)));
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    host.pass(61 * SECOND);
    assert_eq!(host.all().len(), 1, "a keepalive probe");
    host.tx(peer.seg(ACK, &[]));
    host.pass(400 * SECOND);
    assert_eq!(read(&stream).unwrap_err().kind(), ErrorKind::TimedOut);
}

#[test]
fn each_direction_closes_on_its_own() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    // The peer first: it still gets what is written afterwards.
    host.tx(peer.seg(FIN | ACK, &[]));
    peer.seq += 1;
    assert_eq!(read(&stream).unwrap(), b"");
    let data = vec![7; 100_000];
    now((&stream).write_all(&data)).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(peer.drain(&mut host), (data, true));
    assert_eq!(host.listener().stats().connections, 0);

    // This side first: it still gets what the peer sends.
    let mut peer = Peer::new("10.0.0.2:2", SERVER);
    let stream = peer.open(&mut host);
    stream.shutdown(Shutdown::Write).unwrap();
    let error = now((&stream).write_all(b"x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    assert_eq!(peer.drain(&mut host), (vec![], true));
    peer.send(&mut host, b"after");
    assert_eq!(read(&stream).unwrap(), b"after");
    host.tx(peer.seg(FIN | ACK, &[]));
    assert_eq!(read(&stream).unwrap(), b"");
    assert_eq!(host.listener().stats().time_wait, 1);
}

#[test]
fn what_was_written_before_a_drop_is_delivered() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    let data: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
    now((&stream).write_all(&data)).unwrap();
    drop(stream);
    assert_eq!(peer.drain(&mut host), (data, true));
    // It waits for the peer's end, and not for ever.
    assert_eq!(host.listener().stats().connections, 1);
    host.pass(130 * SECOND);
    assert_eq!(host.listener().stats().connections, 0);
}

#[test]
fn data_for_a_dropped_stream_is_reset_but_what_was_written_comes_first() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    drop(stream);
    assert_eq!(peer.drain(&mut host), (vec![], true));
    peer.send(&mut host, b"for nobody");
    assert!(host.all().iter().any(|seg| seg.flags.rst()));
    assert_eq!(host.listener().stats().connections, 0);

    let mut peer = Peer::new("10.0.0.2:2", SERVER);
    let stream = peer.open(&mut host);
    now((&stream).write_all(&[1; 5000])).unwrap();
    drop(stream);
    let sent = host.all();
    peer.send(&mut host, b"late");
    assert!(
        host.all().iter().all(|seg| !seg.flags.rst()),
        "reset before all was delivered"
    );
    let last = sent.last().unwrap();
    peer.ack = last.seq + last.data.len() as u32 + u32::from(last.flags.fin());
    host.tx(peer.seg(ACK, &[]));
    assert!(host.all().iter().any(|seg| seg.flags.rst()));
}

#[test]
fn a_drop_with_unread_data_is_a_reset() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    peer.send(&mut host, b"unread");
    host.all();
    drop(stream);
    assert!(host.rx().unwrap().flags.rst());
    assert_eq!(host.listener().stats().connections, 0);
}

#[test]
fn time_wait_answers_a_late_fin_and_lets_a_new_connection_in() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    drop(stream);
    peer.drain(&mut host);
    let fin = peer.seg(FIN | ACK, &[]);
    host.tx(fin.clone());
    let first = host.rx().unwrap();
    assert_eq!((first.seq, first.ack), (peer.ack, peer.seq + 1));
    assert_eq!(
        (
            host.listener().stats().connections,
            host.listener().stats().time_wait
        ),
        (0, 1)
    );
    host.tx(fin);
    let again = host.rx().unwrap();
    assert_eq!(
        (again.seq, again.ack, again.flags),
        (first.seq, first.ack, first.flags)
    );
    // A RST below RCV.NXT does not end TIME-WAIT; a new SYN beyond the old numbers does.
    host.tx(peer.seg(RST, &[]));
    assert_eq!(host.listener().stats().time_wait, 1);
    host.silent();
    peer.seq += 50_000;
    let _stream = peer.open(&mut host);
    assert_eq!(host.listener().stats().time_wait, 0);

    let mut other = Peer::new("10.0.0.2:2", SERVER);
    drop(other.open(&mut host));
    other.drain(&mut host);
    host.tx(other.seg(FIN | ACK, &[]));
    assert_eq!(host.listener().stats().time_wait, 1);
    // A FIN that comes again has it wait anew.
    host.pass(20 * SECOND);
    host.tx(other.seg(FIN | ACK, &[]));
    host.pass(20 * SECOND);
    assert_eq!(host.listener().stats().time_wait, 1);
    host.pass(12 * SECOND);
    assert_eq!(host.listener().stats().time_wait, 0);
}

#[test]
fn a_reader_that_stalls_closes_the_window_and_loses_nothing() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    let data: Vec<u8> = (0..300_000u32).map(|n| (n / 7) as u8).collect();
    let mut sent = 0;
    let mut edge = peer.seq + 65_535;
    let mut got = Vec::new();
    let start = peer.seq;
    let mut window = 1;
    while window > 0 {
        let room = (edge - peer.seq) as usize;
        let n = room.min(1460).min(data.len() - sent);
        if n == 0 {
            break;
        }
        peer.send(&mut host, &data[sent..sent + n]);
        sent += n;
        for seg in host.all() {
            window = u32::from(seg.window) << 2;
            edge = seg.ack + window;
        }
    }
    assert!(sent > 100_000, "the window closed after {sent}");
    // Probes are answered; the last few bytes of room may take what they carry, no more.
    for probe in 0.. {
        host.tx(peer.seg(ACK, &data[sent..sent + 1]));
        let answer = host.all().pop().expect("an answer to the probe");
        if answer.ack == start + sent as u32 {
            break;
        }
        assert!(
            probe < 8,
            "the window is closed, and still the byte was taken"
        );
        assert_eq!(answer.ack, start + sent as u32 + 1);
        sent += 1;
        peer.seq += 1;
    }
    while got.len() < sent {
        got.extend(read(&stream).unwrap());
    }
    assert!(
        host.all().iter().any(|seg| seg.window > 0),
        "the window was not opened again"
    );
    peer.send(&mut host, &data[sent..sent + 1000]);
    got.extend(read(&stream).unwrap());
    assert_eq!(got, data[..sent + 1000]);
}

#[test]
fn segments_out_of_order_and_twice_are_read_once_in_order() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    let start = peer.seq;
    for (at, data) in [(3, "def"), (6, "ghi"), (6, "ghi"), (0, "abcd"), (0, "abc")] {
        host.tx(peer.at(start + at, ACK, data.as_bytes()));
    }
    assert_eq!(read(&stream).unwrap(), b"abcdefghi");
    assert_eq!(host.all().last().unwrap().ack, start + 9);
}

#[test]
fn unacknowledged_data_is_sent_again() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    now((&stream).write_all(b"lost")).unwrap();
    assert_eq!(host.rx().unwrap().data, b"lost");
    host.pass(3 * SECOND);
    assert_eq!(host.rx().unwrap().data, b"lost");
    peer.ack += 4;
    host.tx(peer.seg(ACK, &[]));
    host.all();
    host.pass(60 * SECOND);
    host.silent();
    assert_eq!(
        host.engine.poll_timeout(host.now()),
        None,
        "an idle connection still wants to be called"
    );
}

#[test]
fn ip_options_and_extension_headers_change_nothing() {
    let mut host = host();
    let mut peer = Peer::new("[fd00::2]:40000", "[2001:db8::1]:80");
    let with_destination_options = |packet: Vec<u8>| {
        let mut out = packet[..40].to_vec();
        out[5] += 8;
        out[6] = 60;
        out.extend([6, 0, 1, 4, 0, 0, 0, 0]); // next header TCP, PadN
        out.extend(&packet[40..]);
        out
    };
    host.tx(with_destination_options(peer.syn()));
    assert!(pends(host.listener().accept()));
    peer.establish(&mut host);
    let (stream, _) = now(host.listener().accept()).unwrap();
    host.tx(with_destination_options(peer.seg(ACK | PSH, b"hello")));
    assert_eq!(read(&stream).unwrap(), b"hello");
}

#[test]
fn two_stacks_connect_refuse_and_tell_used_tuples_apart() {
    let (mut a, mut b) = (host(), host());
    let (from, to) = (addr(CLIENT), addr(SERVER));
    fn carry(from: &mut Host, to: &mut Host) -> bool {
        let mut moved = false;
        while let Some(packet) = from.engine.poll_transmit() {
            to.tx(packet.to_vec());
            moved = true;
        }
        moved
    }
    let exchange = |a: &mut Host, b: &mut Host| while carry(a, b) | carry(b, a) {};
    let connector = a.connector.clone();
    let mut connect = Box::pin(connector.connect_from(from, to));
    assert!(poll(&mut connect).is_pending());
    exchange(&mut a, &mut b);
    assert!(pends(b.listener().accept()));
    exchange(&mut a, &mut b);
    let (there, _) = now(b.listener().accept()).unwrap();
    let here = now(connect).unwrap();
    assert_eq!(
        now(connector.connect_from(from, to)).unwrap_err().kind(),
        ErrorKind::AddrInUse
    );
    now((&here).write_all(b"across")).unwrap();
    exchange(&mut a, &mut b);
    assert_eq!(read(&there).unwrap(), b"across");

    b.listener = None;
    let mut refused = Box::pin(connector.connect_from(addr("10.0.0.2:5"), to));
    assert!(poll(&mut refused).is_pending());
    exchange(&mut a, &mut b);
    assert_eq!(
        now(refused).unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );

    let mixed = now(connector.connect_from(from, addr("[fd00::1]:1"))).unwrap_err();
    assert_eq!(mixed.kind(), ErrorKind::InvalidInput);
    let silent = Box::pin(connector.connect_from(addr("10.0.0.2:6"), addr("192.0.2.9:1")));
    let mut silent = silent;
    assert!(poll(&mut silent).is_pending());
    a.pass(16 * SECOND);
    assert_eq!(now(silent).unwrap_err().kind(), ErrorKind::TimedOut);
}

#[test]
fn when_the_engine_goes_every_call_ends_with_an_error() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    peer.send(&mut host, b"read me");
    let listener = host.listener.take().unwrap();
    let connector = host.connector.clone();
    let mut connect = Box::pin(connector.connect_from(addr("10.0.0.2:7"), addr(SERVER)));
    assert!(poll(&mut connect).is_pending());
    drop(host);
    assert_eq!(read(&stream).unwrap(), b"read me");
    assert_eq!(read(&stream).unwrap_err().kind(), ErrorKind::NetworkDown);
    let write = now((&stream).write_all(b"x")).unwrap_err();
    assert_eq!(write.kind(), ErrorKind::NetworkDown);
    assert_eq!(
        now(listener.accept()).unwrap_err().kind(),
        ErrorKind::NetworkDown
    );
    assert_eq!(now(connect).unwrap_err().kind(), ErrorKind::NetworkDown);
    let late = connector.connect_from(addr("10.0.0.2:8"), addr(SERVER));
    assert_eq!(now(late).unwrap_err().kind(), ErrorKind::NetworkDown);
    let ends: Vec<_> = future::block_on(listener.requests().collect());
    assert_eq!(ends.len(), 1);
    drop(stream);
}

#[test]
fn a_window_that_closes_over_unacknowledged_data_is_probed() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    now((&stream).write_all(&[1; 1000])).unwrap();
    assert_eq!(host.rx().unwrap().data.len(), 1000);
    peer.window = 0;
    host.tx(peer.seg(ACK, &[]));
    // The peer's next acknowledgement is lost on the way: without a probe nobody would speak.
    host.pass(20 * SECOND);
    let probes = host.all();
    assert!(!probes.is_empty(), "neither data nor a probe in 20 s");
}

#[test]
fn a_lost_fin_is_sent_again_even_when_acknowledgements_repeat() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    now((&stream).write_all(b"all")).unwrap();
    assert!(pends((&stream).close()), "the FIN is not acknowledged");
    let fin = host.all().pop().unwrap();
    assert!(fin.flags.fin());
    // The data arrives, the FIN does not, and the peer repeats itself.
    peer.ack += 3;
    for _ in 0..5 {
        host.tx(peer.seg(ACK, &[]));
    }
    host.pass(5 * SECOND);
    let again = host.all();
    assert!(!again.is_empty(), "the FIN was forgotten");
    for seg in again {
        assert!(seg.flags.fin());
        assert_eq!(seg.seq.wrapping_add(seg.data.len() as u32), peer.ack);
    }
    peer.ack += 1;
    host.tx(peer.seg(ACK, &[]));
    host.pass(60 * SECOND);
    host.silent();
}

#[test]
fn limits_that_cannot_work_are_mended() {
    let mut host = Host::on(
        Interface::new().mtu(0),
        Config::new()
            .options(
                TcpOptions::new()
                    .recv_buffer(0)
                    .send_buffer(0)
                    .user_timeout(Some(Duration::MAX))
                    .keepalive(Some(Duration::ZERO)),
            )
            .max_connections(0)
            .backlog(0)
            .max_half_open(0)
            .outbound_packets(0)
            .handshake_timeout(Duration::MAX)
            .orphan_timeout(Duration::MAX)
            .time_wait(Duration::MAX),
    );
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    peer.send(&mut host, b"small");
    assert_eq!(read(&stream).unwrap(), b"small");
    drop(stream);
    host.pass(SECOND);
}
