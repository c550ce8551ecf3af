//! Idle connections give their buffers back, and take new ones when there is data again.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_tcp::{Config, TcpOptions, TcpState};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::io::ErrorKind;
use std::net::Shutdown;
use std::time::Duration;
use support::*;

/// Lets the connections of `host` fall asleep.
fn lull(host: &mut Host) {
    host.pass(2 * SECOND);
    assert_eq!(host.engine.stats().buffered, 0, "somebody is awake");
}

fn write(mut stream: &Stream, data: &[u8]) {
    now(stream.write_all(data)).unwrap();
}

fn awake(host: &Host) -> u64 {
    host.engine.stats().buffered
}

#[test]
fn buffers_are_there_only_while_there_is_something_in_them() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    assert_eq!((awake(&host), host.engine.stats().buffers), (0, 0));
    host.pass(20 * SECOND);
    peer.send(&mut host, b"question");
    assert_eq!(awake(&host), 1);
    host.pass(10 * SECOND);
    assert_eq!(awake(&host), 1, "the data is still there");
    assert_eq!(read(&stream).unwrap(), b"question");
    write(&stream, b"answer");
    host.pass(Duration::from_millis(900));
    assert_eq!(awake(&host), 1, "it is not acknowledged");
    assert_eq!(peer.drain(&mut host).0, b"answer");
    host.pass(Duration::from_millis(900));
    assert_eq!(awake(&host), 1, "more may come");
    host.pass(Duration::from_millis(200));
    let stats = host.engine.stats();
    assert_eq!((stats.buffered, stats.buffers), (0, 0));
    assert_eq!(stats.pooled_buffers, 256 * 1024);
    assert_eq!(stream.info().state, TcpState::Established);
    assert_eq!(host.engine.poll_timeout(host.now()), None, "it must sleep");
}

#[test]
fn what_is_told_and_asked_while_asleep_is_as_always() {
    let options = TcpOptions::new().recv_buffer(100_000).nodelay(false);
    let mut host = Host::new(Config::new().options(options));
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    assert_eq!(stream.buffer_sizes(), (100_000, 128 * 1024));
    assert!(!stream.nodelay().unwrap());
    stream.set_ttl(9).unwrap();
    now(stream.wait_acked()).unwrap();
    // An old segment, a new window and a segment from nowhere.
    host.tx(peer.at(peer.seq - 1, ACK, &[]));
    assert_eq!(host.one().ack, peer.seq);
    peer.window = 100;
    host.tx(peer.seg(ACK, &[]));
    host.silent();
    host.tx(peer.at(peer.seq + 1_000_000, ACK, b"x"));
    assert_eq!(host.one().ack, peer.seq);
    assert_eq!(awake(&host), 0);
    assert_eq!(stream.info().send_window, 12_800);
    write(&stream, &[1; 20_000]);
    let said = host.all();
    let sent: usize = said.iter().map(|seg| seg.data.len()).sum();
    assert!(sent <= 12_800 && sent > 10_000, "{sent}");
    assert!(said.iter().all(|seg| seg.ttl == 9));
}

#[test]
fn each_end_finds_a_connection_that_sleeps() {
    for case in 0..6 {
        let mut host = host();
        let mut peer = Peer::new(CLIENT, SERVER);
        let stream = peer.open(&mut host);
        peer.send(&mut host, b"x");
        read(&stream).unwrap();
        host.all();
        lull(&mut host);
        match case {
            0 => {
                host.tx(peer.seg(RST, &[]));
                let end = read(&stream).unwrap_err().kind();
                assert_eq!(end, ErrorKind::ConnectionReset);
                assert_eq!(awake(&host), 0);
            }
            1 => {
                // A reset that is only in the window is challenged.
                host.tx(peer.at(peer.seq + 1, RST, &[]));
                assert!(host.one().is_bare_ack());
                assert_eq!(stream.info().state, TcpState::Established);
                continue;
            }
            2 => {
                stream.abort();
                let reset = host.one();
                assert!(reset.flags.rst());
                assert_eq!((reset.seq, reset.ack), (peer.ack, peer.seq));
            }
            3 => {
                host.tx(peer.seg(ACK | FIN, b"end"));
                peer.seq += 4;
                assert_eq!(host.one().ack, peer.seq);
                assert_eq!(read(&stream).unwrap(), b"end");
                assert_eq!(read(&stream).unwrap(), b"");
                stream.shutdown(Shutdown::Write).unwrap();
                assert_eq!(peer.drain(&mut host), (Vec::new(), true));
            }
            4 => {
                stream.shutdown(Shutdown::Write).unwrap();
                assert_eq!(peer.drain(&mut host), (Vec::new(), true));
                host.tx(peer.seg(ACK | FIN, &[]));
                assert_eq!(host.one().ack, peer.seq + 1);
            }
            _ => {
                drop(stream);
                assert_eq!(peer.drain(&mut host), (Vec::new(), true));
                host.tx(peer.seg(ACK | FIN, &[]));
                assert_eq!(host.one().ack, peer.seq + 1);
            }
        }
        assert_eq!(host.engine.stats().connections, 0, "case {case}");
        assert_eq!(
            awake(&host),
            0,
            "case {case}: buffers of an ended connection"
        );
    }
}

#[test]
fn an_ended_connection_keeps_what_was_not_read_and_no_more() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    peer.send(&mut host, b"last words");
    host.all();
    host.tx(peer.seg(RST, &[]));
    assert_eq!((awake(&host), host.engine.stats().connections), (1, 0));
    assert_eq!(read(&stream).unwrap(), b"last words");
    assert_eq!(awake(&host), 0);
    let end = read(&stream).unwrap_err().kind();
    assert_eq!(end, ErrorKind::ConnectionReset);
}

#[test]
fn numbers_go_on_across_the_wrap() {
    // The first connection tells where our numbers are; they grow by one in 4 us.
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    stream.abort();
    host.all();
    drop(stream);
    let left = (u32::MAX - 100).wrapping_sub(peer.ack - 1);
    host.pass(Duration::from_micros(u64::from(left) * 4) - RTT);
    let mut open = Vec::new();
    for stamps in [false, true] {
        let from = ["10.0.0.2:40000", "10.0.0.2:40001"][usize::from(stamps)];
        let mut peer = Peer::new(from, SERVER);
        peer.seq = u32::MAX - 70;
        peer.timestamp = stamps.then_some((1, 0));
        let stream = peer.open(&mut host);
        if !stamps {
            assert_eq!(peer.ack, u32::MAX - 99, "not where it was to be");
        }
        for n in 0..40_u8 {
            lull(&mut host);
            let data = [n; 7];
            peer.send(&mut host, &data);
            assert_eq!(host.one().ack, peer.seq);
            assert_eq!(read(&stream).unwrap(), data);
            lull(&mut host);
            write(&stream, &data);
            assert_eq!(peer.drain(&mut host).0, data, "{n}");
        }
        assert!(peer.seq < 1000);
        open.push(stream);
    }
}

#[test]
fn the_next_connection_finds_nothing_of_the_last_one() {
    let mut host = host();
    // The first fills both buffers, and leaves data in them when it ends.
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    for _ in 0..60 {
        peer.send(&mut host, &[0xaa; 1000]);
    }
    write(&stream, &[0xaa; 128 * 1024]);
    host.all();
    assert_eq!(awake(&host), 1);
    stream.abort();
    drop(stream);
    host.all();
    assert_eq!(host.engine.stats().pooled_buffers, 256 * 1024);

    let mut peer = Peer::new("10.0.0.3:1", SERVER);
    let stream = peer.open(&mut host);
    host.tx(peer.at(peer.seq + 3000, ACK, &[3; 1000]));
    host.tx(peer.at(peer.seq + 500, ACK, &[2; 2500]));
    assert!(pends((&stream).read(&mut [0; 9])));
    host.tx(peer.seg(ACK, &[1; 500]));
    let stats = host.engine.stats();
    assert_eq!(stats.pooled_buffers, 128 * 1024, "another one is used");
    let expected = [vec![1; 500], vec![2; 2500], vec![3; 1000]].concat();
    assert_eq!(read(&stream).unwrap(), expected);
    peer.seq += 4000;
    host.all();
    // Lost, so that it is sent again.
    write(&stream, &[4; 5000]);
    let stats = host.engine.stats();
    assert_eq!(stats.pooled_buffers, 0, "others are used");
    host.all();
    host.pass(3 * SECOND);
    let (data, _) = peer.drain(&mut host);
    assert!(!data.is_empty() && data.iter().all(|byte| *byte == 4));
}

#[test]
fn nobody_holds_more_than_there_is() {
    let memory = 8 << 20;
    let mut host = Host::new(Config::new().memory(memory));
    let mut open = Vec::new();
    // Half of the memory is there for so many at least.
    for n in 0..256 {
        let mut peer = Peer::new(&format!("10.0.1.{}:{}", n % 200, 1000 + n), SERVER);
        let stream = peer.open(&mut host);
        peer.send(&mut host, &[n as u8; 1400]);
        host.all();
        open.push((peer, stream));
        let stats = host.engine.stats();
        assert!(
            stats.buffers + stats.pooled_buffers <= memory as u64,
            "{stats:?}"
        );
        assert_eq!(stats.buffered, n + 1);
    }
    // Who comes when there is nothing left finds no place, and gets a SYN cookie.
    for n in 0..256 {
        host.tx(Peer::new(
            &format!("10.0.2.{}:9", 1 + n % 200),
            &format!("192.0.2.1:{}", 1 + n),
        )
        .syn());
    }
    let stats = host.engine.stats();
    assert!(
        stats.syn_cookies_sent > 0 && stats.requests < 256,
        "{stats:?}"
    );
    // With little, all goes on.
    for (n, (peer, stream)) in open.iter_mut().enumerate() {
        let mut received = read(stream).unwrap();
        while received.len() < 20_000 {
            peer.send(&mut host, &[n as u8; 1400]);
            received.extend(read(stream).unwrap());
            host.all();
        }
        assert!(received.iter().all(|byte| *byte == n as u8));
        let mut sent = 0;
        while sent < 20_000 {
            sent += now((&*stream).write(&[n as u8; 9000])).unwrap();
            let (data, _) = peer.drain(&mut host);
            assert!(data.iter().all(|byte| *byte == n as u8));
        }
    }
    lull(&mut host);
    // One connection has large ones again.
    let (peer, stream) = &mut open[0];
    peer.send(&mut host, b"x");
    assert_eq!(host.engine.stats().buffers, 128 * 1024);
    now((&*stream).write_all(b"x")).unwrap();
    assert_eq!(host.engine.stats().buffers, 256 * 1024);
}

#[test]
fn nothing_is_cut_off_that_a_smaller_buffer_has_no_room_for() {
    // What comes before its time, or all at once, is more than the least of all buffers takes.
    for (at_once, rest) in [(false, 0), (true, 0), (false, 1), (true, 1)] {
        let mut host = Host::new(Config::new().memory(0));
        let mut peer = Peer::new(CLIENT, SERVER);
        let stream = peer.open(&mut host);
        let data: Vec<u8> = (0..9000_u32).map(|n| (n / 7) as u8).collect();
        let first = usize::from(!at_once) * 100;
        let seq = peer.seq;
        let send = |host: &mut Host, from: usize, to: usize| {
            let flags = ACK | if to == data.len() { FIN } else { 0 };
            host.tx(peer.at(seq + from as u32, flags, &data[from..to]));
        };
        let middle = 4096 - rest;
        if !at_once {
            send(&mut host, middle, data.len());
            send(&mut host, first, middle);
            assert_eq!(
                awake(&host),
                1,
                "what comes early has its place in the buffer"
            );
            send(&mut host, 0, first);
        } else {
            send(&mut host, 0, data.len());
        }
        let mut received = Vec::new();
        for _ in 0..20 {
            match read(&stream) {
                Ok(more) if more.is_empty() => break,
                Ok(more) => received.extend(more),
                Err(e) => panic!("{e}"),
            }
            assert_eq!(received, data[..received.len()]);
            let acked = host.all().last().unwrap().ack.wrapping_sub(seq) as usize;
            assert_eq!(acked.min(data.len()), received.len());
            if acked > data.len() {
                continue;
            }
            send(&mut host, acked, data.len());
        }
        assert_eq!(received, data);
    }
}
