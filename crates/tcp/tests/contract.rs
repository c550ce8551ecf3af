//! The close contract, `src/close.md`: a test for each promise, by its name.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_tcp::{Config, StackClosed, TcpOptions, TcpState};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::io::{ErrorKind, Result};
use std::net::Shutdown;
use std::time::Duration;
use support::*;

fn write(mut stream: &Stream, data: &[u8]) -> Result<usize> {
    now(stream.write(data))
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

fn opened() -> (Host, Peer, Stream) {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    (host, peer, stream)
}

fn with(options: TcpOptions) -> (Host, Peer, Stream) {
    let mut host = Host::new(Config::new().options(options));
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    (host, peer, stream)
}

fn connections(host: &Host) -> u64 {
    host.engine.stats().connections
}

// What a read and a write find out.

#[test]
fn finished() {
    let (mut host, mut peer, stream) = opened();
    peer.send(&mut host, b"last");
    host.tx(peer.seg(FIN | ACK, &[]));
    peer.seq += 1;
    assert_eq!(read(&stream).unwrap(), b"last");
    for _ in 0..3 {
        assert_eq!(read(&stream).unwrap(), b"");
    }
    assert_eq!(write(&stream, b"still").unwrap(), 5);
    host.all();
    // Also after this end has finished as well and nothing is left of the connection.
    peer.ack += 5;
    host.tx(peer.seg(ACK, &[]));
    assert!(pends((&stream).close()));
    assert_eq!(peer.drain(&mut host), (vec![], true));
    assert_eq!((connections(&host), read(&stream).unwrap()), (0, vec![]));

    // All of it has arrived, so that a later reset or the end of the driver takes nothing back.
    let ends: [fn(&mut Host, &Peer); 2] = [
        |host, peer| host.tx(peer.seg(RST | ACK, &[])),
        |host, _| host.engine.shutdown(),
    ];
    for end in ends {
        let (mut host, mut peer, stream) = opened();
        host.tx(peer.seg(FIN | ACK, b"last"));
        peer.seq += 5;
        end(&mut host, &peer);
        assert_eq!(read(&stream).unwrap(), b"last");
        assert_eq!(read(&stream).unwrap(), b"");
        write(&stream, b"x").unwrap_err();
    }
}

#[test]
fn reset() {
    let (mut host, mut peer, stream) = opened();
    peer.send(&mut host, b"last");
    host.tx(peer.seg(RST | ACK, &[]));
    assert_eq!(read(&stream).unwrap(), b"last");
    for _ in 0..3 {
        assert_eq!(kind(read(&stream)), ErrorKind::ConnectionReset);
        assert_eq!(kind(write(&stream, b"x")), ErrorKind::ConnectionReset);
    }
    assert_eq!(connections(&host), 0);
}

#[test]
fn timed_out() {
    let (mut host, mut peer, stream) = with(TcpOptions::new().user_timeout(Some(30 * SECOND)));
    peer.send(&mut host, b"last");
    write(&stream, b"anybody?").unwrap();
    host.all();
    host.pass(29 * SECOND);
    assert_eq!(stream.info().state, TcpState::Established);
    host.all();
    host.pass(2 * SECOND);
    assert!(host.all().pop().unwrap().flags.rst());
    assert_eq!(read(&stream).unwrap(), b"last");
    for _ in 0..3 {
        assert_eq!(kind(read(&stream)), ErrorKind::TimedOut);
        assert_eq!(kind(write(&stream, b"x")), ErrorKind::TimedOut);
    }
}

#[test]
fn aborted() {
    let (mut host, mut peer, stream) = opened();
    peer.send(&mut host, b"never read");
    write(&stream, b"never sent again").unwrap();
    host.all();
    stream.abort();
    assert!(host.one().flags.rst());
    for _ in 0..3 {
        assert_eq!(kind(read(&stream)), ErrorKind::ConnectionAborted);
        assert_eq!(kind(write(&stream, b"x")), ErrorKind::ConnectionAborted);
    }
    host.pass(60 * SECOND);
    host.silent();
    let stats = host.engine.stats();
    assert_eq!((stats.connections, stats.buffers), (0, 0));

    // Also if the peer had sent a FIN, or if both ends had.
    let (mut host, mut peer, stream) = opened();
    peer.send(&mut host, b"never read");
    host.tx(peer.seg(FIN | ACK, &[]));
    peer.seq += 1;
    let clone = stream.clone();
    assert!(pends((&stream).close()));
    assert_eq!(peer.drain(&mut host), (vec![], true));
    clone.abort();
    host.silent();
    assert_eq!(kind(read(&stream)), ErrorKind::ConnectionAborted);
    assert_eq!(kind(write(&stream, b"x")), ErrorKind::ConnectionAborted);

    // An earlier end of another kind stays.
    let (mut host, peer, stream) = opened();
    host.tx(peer.seg(RST | ACK, &[]));
    stream.abort();
    assert_eq!(kind(read(&stream)), ErrorKind::ConnectionReset);
}

#[test]
fn stack_gone() {
    let (mut host, mut peer, stream) = opened();
    peer.send(&mut host, b"last");
    drop(host);
    assert_eq!(read(&stream).unwrap(), b"last");
    for _ in 0..3 {
        let error = read(&stream).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NetworkDown);
        assert!(error.get_ref().unwrap().is::<StackClosed>());
        assert_eq!(kind(write(&stream, b"x")), ErrorKind::NetworkDown);
    }
    assert_eq!(
        kind(stream.shutdown(Shutdown::Write)),
        ErrorKind::NetworkDown
    );

    // The peer is not told.
    let (mut host, _, stream) = opened();
    host.engine.shutdown();
    drop(stream);
    host.silent();
}

// Finishing.

#[test]
fn close_delivers_first() {
    let (mut host, mut peer, stream) = opened();
    let data = vec![7; 100_000];
    assert_eq!(write(&stream, &data).unwrap(), data.len());
    assert!(pends((&stream).close()), "nothing has been acknowledged");
    assert_eq!(peer.drain(&mut host), (data, true));
    now((&stream).close()).unwrap();
}

#[test]
fn close_waits_for_the_acknowledgement_of_the_fin_and_no_longer() {
    let (mut host, mut peer, stream) = opened();
    write(&stream, b"data").unwrap();
    assert!(pends((&stream).close()));
    assert!(host.all().pop().unwrap().flags.fin());
    peer.ack += 4;
    host.tx(peer.seg(ACK, &[]));
    assert!(
        pends((&stream).close()),
        "the FIN has not been acknowledged"
    );
    peer.ack += 1;
    host.tx(peer.seg(ACK, &[]));
    // The peer has not finished.
    assert_eq!(stream.info().state, TcpState::FinWait2);
    now((&stream).close()).unwrap();
}

#[test]
fn close_returns_the_error_of_the_connection() {
    let (mut host, peer, stream) = opened();
    write(&stream, b"data").unwrap();
    assert!(pends((&stream).close()));
    host.tx(peer.seg(RST | ACK, &[]));
    assert_eq!(kind(now((&stream).close())), ErrorKind::ConnectionReset);
    assert_eq!(kind(now(stream.wait_acked())), ErrorKind::ConnectionReset);

    let (_host, _, stream) = opened();
    stream.abort();
    let shut = stream.shutdown(Shutdown::Write);
    assert_eq!(kind(shut), ErrorKind::NotConnected);
    assert_eq!(kind(now((&stream).close())), ErrorKind::ConnectionAborted);

    let (host, _, stream) = opened();
    drop(host);
    assert_eq!(kind(now((&stream).close())), ErrorKind::NetworkDown);
}

#[test]
fn what_was_acknowledged_stays_so() {
    let (mut host, mut peer, stream) = opened();
    write(&stream, b"data").unwrap();
    assert!(pends((&stream).close()));
    assert_eq!(peer.drain(&mut host), (b"data".to_vec(), true));
    host.tx(peer.seg(RST | ACK, &[]));
    assert_eq!(kind(read(&stream)), ErrorKind::ConnectionReset);
    now((&stream).close()).unwrap();
    now(stream.wait_acked()).unwrap();
}

#[test]
fn the_other_direction_goes_on() {
    let (mut host, mut peer, stream) = opened();
    assert!(pends((&stream).close()));
    assert_eq!(peer.drain(&mut host), (vec![], true));
    peer.send(&mut host, b"after");
    assert_eq!(read(&stream).unwrap(), b"after");
    assert!(pends((&stream).read(&mut [0; 8])));
    host.tx(peer.seg(FIN | ACK, &[]));
    assert_eq!(read(&stream).unwrap(), b"");
    // What is left is a tuple that is remembered, without the buffers.
    let stats = host.engine.stats();
    assert_eq!((stats.connections, stats.time_wait), (0, 1));
}

#[test]
fn a_dropped_close_still_sends_the_fin() {
    let (mut host, mut peer, stream) = opened();
    write(&stream, b"data").unwrap();
    // The future is dropped after the first poll; close again is the same close.
    assert!(pends((&stream).close()));
    assert!(pends((&stream).close()));
    assert_eq!(peer.drain(&mut host), (b"data".to_vec(), true));
    host.silent();
}

#[test]
fn flush_returns_at_once_and_wait_acked_waits() {
    let (mut host, mut peer, stream) = opened();
    now(stream.wait_acked()).unwrap();
    write(&stream, b"data").unwrap();
    now((&stream).flush()).unwrap();
    assert!(pends(stream.wait_acked()));
    assert_eq!(peer.drain(&mut host), (b"data".to_vec(), false));
    now(stream.wait_acked()).unwrap();
}

#[test]
fn shut_for_reading() {
    let (mut host, mut peer, stream) = opened();
    peer.send(&mut host, b"unread");
    host.all();
    stream.shutdown(Shutdown::Read).unwrap();
    assert_eq!(read(&stream).unwrap(), b"");
    // The peer is not told, and is not stopped by a window that closes.
    for _ in 0..300 {
        peer.send(&mut host, &[1; 1000]);
        let answer = host.all().pop().unwrap();
        assert!(!answer.flags.rst() && answer.ack == peer.seq && answer.window > 0);
    }
    assert_eq!(read(&stream).unwrap(), b"");
    write(&stream, b"out").unwrap();
    assert_eq!(peer.drain(&mut host), (b"out".to_vec(), false));
    // Nothing is unread when the last handle is dropped.
    drop(stream);
    assert_eq!(peer.drain(&mut host), (vec![], true));

    // Whatever becomes of the connection, except after `abort`.
    type End = fn(&mut Host, &Peer, &Stream);
    let ends: [End; 4] = [
        |host, peer, _| host.tx(peer.seg(RST | ACK, &[])),
        |host, _, _| host.pass(400 * SECOND),
        |host, _, _| host.engine.shutdown(),
        |_, _, stream| stream.abort(),
    ];
    for (n, end) in ends.into_iter().enumerate() {
        let (mut host, mut peer, stream) = opened();
        peer.send(&mut host, b"unread");
        stream.shutdown(Shutdown::Read).unwrap();
        write(&stream, b"out").unwrap();
        host.all();
        end(&mut host, &peer, &stream);
        let after_abort = Some(ErrorKind::ConnectionAborted).filter(|_| n == 3);
        for _ in 0..2 {
            assert_eq!(read(&stream).err().map(|error| error.kind()), after_abort);
            let peek = now(stream.peek(&mut [0; 8]));
            assert_eq!(peek.err().map(|error| error.kind()), after_abort);
            write(&stream, b"x").unwrap_err();
        }
    }
}

/// What ends a connection, and the options that it needs.
type End = (TcpOptions, fn(&mut Host, &Peer, &Stream));

#[test]
fn an_end_of_the_stream_stays_whatever_becomes_of_the_connection() {
    let ends: [End; 5] = [
        (TcpOptions::new(), |host, peer, _| {
            host.tx(peer.seg(RST | ACK, &[]));
        }),
        // Data that nobody acknowledges.
        (TcpOptions::new(), |host, _, stream| {
            let _ = write(stream, b"out");
            host.pass(400 * SECOND);
        }),
        (
            TcpOptions::new().user_timeout(Some(5 * SECOND)),
            |host, _, stream| {
                let _ = write(stream, b"out");
                host.pass(20 * SECOND);
            },
        ),
        // Probes that nobody answers.
        (
            TcpOptions::new()
                .keepalive(Some(SECOND))
                .user_timeout(Some(5 * SECOND)),
            |host, _, _| host.pass(60 * SECOND),
        ),
        (TcpOptions::new(), |host, _, _| host.engine.shutdown()),
    ];
    for (n, (options, end)) in ends.into_iter().enumerate() {
        for shut in [Some(Shutdown::Read), Some(Shutdown::Both), None] {
            let (mut host, mut peer, mut stream) = with(options.clone());
            peer.send(&mut host, b"unread");
            match shut {
                Some(how) => stream.shutdown(how).unwrap(),
                None => {
                    host.tx(peer.seg(FIN | ACK, &[]));
                    peer.seq += 1;
                    assert_eq!(read(&stream).unwrap(), b"unread");
                    assert_eq!(read(&stream).unwrap(), b"");
                }
            }
            host.all();
            end(&mut host, &peer, &stream);
            host.all();
            for _ in 0..2 {
                let what = format!("end {n} after {shut:?}");
                assert_eq!(read(&stream).expect(&what), b"");
                assert_eq!(now(stream.peek(&mut [0; 8])).expect(&what), 0);
                let lent = now(stream.read_with(|_| panic!("nothing to read")));
                assert_eq!(lent.expect(&what), 0);
                let lent = stream.try_read_with(|_| panic!("nothing to read"));
                assert_eq!(lent.expect(&what), 0);
                let (mut half, other) = stream.split();
                assert_eq!(now(half.read(&mut [0; 8])).expect(&what), 0);
                assert_eq!(now(half.peek(&mut [0; 8])).expect(&what), 0);
                stream = half.reunite(other).unwrap();
            }
            // A write says why, also after a `shutdown` for writing.
            write(&stream, b"x").unwrap_err();
        }
    }
}

// Waiting for the end.

#[test]
fn closed_says_how_the_connection_ended() {
    let (mut host, mut peer, stream) = opened();
    peer.send(&mut host, b"unread");
    write(&stream, b"out").unwrap();
    let mut closed = Box::pin(stream.closed());
    assert!(poll(&mut closed).is_pending());
    host.tx(peer.seg(RST | ACK, &[]));
    assert_eq!(kind(now(closed)), ErrorKind::ConnectionReset);
    assert_eq!(read(&stream).unwrap(), b"unread");

    let (mut host, mut peer, stream) = opened();
    assert!(pends((&stream).close()));
    assert_eq!(peer.drain(&mut host), (vec![], true));
    host.tx(peer.seg(FIN | ACK, b"unread"));
    now(stream.closed()).unwrap();
    assert_eq!(read(&stream).unwrap(), b"unread");
}

#[test]
fn one_fin_is_not_the_end() {
    let (mut host, mut peer, stream) = opened();
    host.tx(peer.seg(FIN | ACK, &[]));
    peer.seq += 1;
    assert!(pends(stream.closed()));
    write(&stream, b"still").unwrap();
    peer.drain(&mut host);
    assert!(pends(stream.closed()));

    let (mut host, mut peer, stream) = opened();
    assert!(pends((&stream).close()));
    assert_eq!(peer.drain(&mut host), (vec![], true));
    assert!(pends(stream.closed()));
    host.pass(3600 * SECOND);
    assert!(pends(stream.closed()));
}

#[test]
fn what_closed_said_stays_so() {
    let (mut host, mut peer, stream) = opened();
    assert!(pends((&stream).close()));
    assert_eq!(peer.drain(&mut host), (vec![], true));
    host.tx(peer.seg(FIN | ACK, &[]));
    now(stream.closed()).unwrap();
    host.engine.shutdown();
    stream.abort();
    now(stream.closed()).unwrap();

    let (mut host, peer, stream) = opened();
    host.tx(peer.seg(RST | ACK, &[]));
    stream.abort();
    assert_eq!(kind(now(stream.closed())), ErrorKind::ConnectionReset);
}

// Letting go.

#[test]
fn a_drop_of_the_last_handle_closes_the_connection() {
    let (mut host, mut peer, stream) = opened();
    let clone = stream.clone();
    drop(stream);
    host.silent();
    let (reader, writer) = clone.split();
    drop(reader);
    host.silent();
    drop(writer);
    assert_eq!(peer.drain(&mut host), (vec![], true));
}

#[test]
fn a_dropped_writehalf_sends_a_fin() {
    let (mut host, mut peer, stream) = opened();
    let _clone = stream.clone();
    let (mut reader, mut writer) = stream.split();
    now(writer.write_all(b"out")).unwrap();
    drop(writer);
    assert_eq!(peer.drain(&mut host), (b"out".to_vec(), true));
    peer.send(&mut host, b"in");
    let mut buf = [0; 8];
    assert_eq!(now(reader.read(&mut buf)).unwrap(), 2);
}

#[test]
fn reunited_halves_go_on() {
    let (mut host, mut peer, stream) = opened();
    let (reader, writer) = stream.split();
    let stream = reader.reunite(writer).unwrap();
    host.silent();
    let (reader, writer) = stream.split();
    let stream = writer.reunite(reader).unwrap();
    host.silent();
    write(&stream, b"whole").unwrap();
    assert_eq!(peer.drain(&mut host), (b"whole".to_vec(), false));
    drop(stream);
    assert_eq!(peer.drain(&mut host), (vec![], true));
}

#[test]
fn a_drop_delivers_and_then_sends_a_fin() {
    let (mut host, mut peer, stream) = opened();
    let data = vec![7; 100_000];
    assert_eq!(write(&stream, &data).unwrap(), data.len());
    drop(stream);
    assert_eq!(peer.drain(&mut host), (data, true));
    host.tx(peer.seg(FIN | ACK, &[]));
    let stats = host.engine.stats();
    assert_eq!((stats.connections, stats.time_wait), (0, 1));
}

#[test]
fn dropped_with_unread_data_delivery_then_a_rst() {
    let (mut host, mut peer, stream) = opened();
    peer.send(&mut host, b"unread");
    host.all();
    drop(stream);
    assert!(host.one().flags.rst(), "nothing is left to be delivered");

    let (mut host, mut peer, stream) = opened();
    peer.send(&mut host, b"unread");
    write(&stream, b"written").unwrap();
    drop(stream);
    let sent = host.all();
    assert!(sent.iter().all(|seg| !seg.flags.rst()), "{sent:?}");
    assert!(sent.iter().any(|seg| seg.data == b"written"));
    peer.ack = sent.last().unwrap().end();
    host.tx(peer.seg(ACK, &[]));
    assert!(host.one().flags.rst());
    assert_eq!(connections(&host), 0);
}

#[test]
fn data_that_arrives_after_the_drop_delivery_then_a_rst() {
    let (mut host, mut peer, stream) = opened();
    write(&stream, b"written").unwrap();
    drop(stream);
    let sent = host.all();
    peer.send(&mut host, b"late");
    assert!(host.all().iter().all(|seg| !seg.flags.rst()));
    peer.ack = sent.last().unwrap().end();
    host.tx(peer.seg(ACK, &[]));
    assert!(host.one().flags.rst());
    assert_eq!(connections(&host), 0);
}

#[test]
fn dropped_by_a_panic_a_rst_at_once() {
    let drops: [fn(Stream); 3] = [
        |stream| {
            let _stream = stream;
            panic!("a task panics");
        },
        |stream| {
            let _halves = stream.split();
            panic!("a task panics");
        },
        |stream| {
            let _ = stream.try_write_with(|_| panic!("the closure of a task panics"));
        },
    ];
    for drop_by_panic in drops {
        let (mut host, _peer, stream) = opened();
        write(&stream, b"half of it").unwrap();
        let task = std::panic::AssertUnwindSafe(|| drop_by_panic(stream));
        assert!(std::panic::catch_unwind(task).is_err());
        let last = host.all().pop().unwrap();
        assert!(last.flags.rst() && !last.flags.fin());
        assert_eq!(connections(&host), 0);
    }
    // The handle of another task keeps the connection.
    let (mut host, mut peer, stream) = opened();
    let clone = stream.clone();
    let task = std::panic::AssertUnwindSafe(move || {
        let _clone = clone;
        panic!("a task panics");
    });
    assert!(std::panic::catch_unwind(task).is_err());
    host.silent();
    write(&stream, b"goes on").unwrap();
    assert_eq!(peer.drain(&mut host), (b"goes on".to_vec(), false));
}

#[test]
fn linger_of_0_a_rst_at_once() {
    let (mut host, _, stream) = opened();
    stream.set_linger(Some(Duration::ZERO));
    write(&stream, b"given up").unwrap();
    host.all();
    drop(stream);
    assert!(host.one().flags.rst());
    assert_eq!(connections(&host), 0);
}

#[test]
fn linger_of_a_time_a_rst_when_that_time_is_over() {
    let (mut host, mut peer, stream) = opened();
    stream.set_linger(Some(5 * SECOND));
    let data = vec![7; 100_000];
    assert_eq!(write(&stream, &data).unwrap(), data.len());
    drop(stream);
    // Progress does not prolong it.
    for _ in 0..4 {
        host.pass(SECOND);
        let seg = host.all().into_iter().find(|seg| seg.seq == peer.ack);
        peer.ack = seg.expect("the next segment").end();
        host.tx(peer.seg(ACK, &[]));
    }
    assert_eq!(connections(&host), 1);
    host.all();
    host.pass(2 * SECOND);
    assert!(host.all().iter().any(|seg| seg.flags.rst()));
    assert_eq!(connections(&host), 0);
}

#[test]
fn no_linger_delivery_while_the_peer_acknowledges() {
    let (mut host, mut peer, stream) = opened();
    let data = vec![7; 30_000];
    assert_eq!(write(&stream, &data).unwrap(), data.len());
    drop(stream);
    // A segment every 50 seconds, for longer than any one timeout.
    for _ in 0..10 {
        host.pass(50 * SECOND);
        let seg = host.all().into_iter().find(|seg| seg.seq == peer.ack);
        peer.ack = seg.expect("the next segment").end();
        host.tx(peer.seg(ACK, &[]));
        assert_eq!(connections(&host), 1);
    }
    host.all();
    host.pass(125 * SECOND);
    assert!(host.all().iter().any(|seg| seg.flags.rst()));
    assert_eq!(connections(&host), 0);
}

#[test]
fn a_peer_that_never_sends_a_fin_is_given_up() {
    let (mut host, mut peer, stream) = opened();
    drop(stream);
    assert_eq!(peer.drain(&mut host), (vec![], true));
    host.pass(59 * SECOND);
    assert_eq!(connections(&host), 1);
    host.silent();
    host.pass(2 * SECOND);
    assert_eq!(connections(&host), 0);

    // A handle that is still held is the program's own affair.
    let (mut host, mut peer, stream) = opened();
    assert!(pends((&stream).close()));
    assert_eq!(peer.drain(&mut host), (vec![], true));
    host.pass(3600 * SECOND);
    peer.send(&mut host, b"at last");
    assert_eq!(read(&stream).unwrap(), b"at last");
}

#[test]
fn a_slow_reader_loses_nothing() {
    let (mut host, mut peer, stream) = with(TcpOptions::new().recv_buffer(8192));
    let data: Vec<u8> = (0..100_000u32).map(|n| (n / 7) as u8).collect();
    let (mut sent, mut got, mut window) = (0, Vec::<u8>::new(), 8000);
    while got.len() < data.len() {
        // Fills the window, then waits, then the reader takes a little.
        while window > 0 && sent < data.len() {
            let n = window.min(1000).min(data.len() - sent);
            peer.send(&mut host, &data[sent..sent + n]);
            sent += n;
            window = host.all().pop().map_or(0, |seg| usize::from(seg.window));
        }
        host.pass(60 * SECOND);
        let mut buf = [0; 3000];
        let n = now((&stream).read(&mut buf)).unwrap();
        got.extend(&buf[..n]);
        if let Some(seg) = host.all().pop() {
            window = usize::from(seg.window);
        }
        if window == 0 && sent < data.len() && got.len() == sent {
            panic!("the window does not open again after {sent}");
        }
    }
    assert!(got == data);
    host.tx(peer.seg(FIN | ACK, &[]));
    assert_eq!(read(&stream).unwrap(), b"");
}

#[test]
fn a_dropped_connect_leaves_no_connection() {
    let mut host = host();
    let connector = host.connector.clone();
    let mut connection = Box::pin(connect(&connector, addr(CLIENT), addr(SERVER)));
    assert!(poll(&mut connection).is_pending());
    host.one();
    drop(connection);
    assert_eq!(connections(&host), 0);
    host.pass(60 * SECOND);
    host.all();

    use futures_lite::StreamExt;
    let listener = host.listener.take().unwrap();
    let peer = Peer::new(CLIENT, SERVER);
    host.tx(peer.syn());
    let request = now(listener.requests().next()).unwrap().unwrap();
    let mut accept = Box::pin(request.accept());
    assert!(poll(&mut accept).is_pending());
    host.one();
    drop(accept);
    assert!(host.one().flags.rst());
    assert_eq!(connections(&host), 0);

    // The next `accept` returns the connection.
    let mut peer = Peer::new("10.0.0.1:2345", SERVER);
    host.tx(peer.syn());
    assert!(pends(listener.accept()));
    peer.establish(&mut host);
    let (_, client) = now(listener.accept()).unwrap();
    assert_eq!(client, addr("10.0.0.1:2345"));
}

#[test]
fn each_promise_has_its_test() {
    let promises = include_str!("../src/close.md")
        .split("\n- **")
        .skip(1)
        .map(|line| line.split(".**").next().unwrap());
    let mut count = 0;
    for promise in promises {
        let name = promise.replace(['`', ',', ':'], "").to_lowercase();
        let words: Vec<_> = name.split_whitespace().collect();
        let test = format!("#[test]\nfn {}()", words.join("_"));
        assert!(include_str!("contract.rs").contains(&test), "{promise}");
        count += 1;
    }
    assert_eq!(count, 29);
}
