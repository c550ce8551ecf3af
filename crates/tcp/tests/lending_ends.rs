//! Lent reads and writes that fail, and those after the end.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/pair.rs"]
mod pair;
mod support;

use brooklet_cell::Flavor;
use brooklet_tcp::TcpStream;
use futures_lite::AsyncWriteExt;
use pair::*;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Waker};
use support::now;

in_every_flavor! {
    the_end_of_the_stream_is_0_without_a_call
    a_reset_comes_after_the_data_before_it
    shutdown_and_abort_are_those_of_read_and_write
    the_end_of_the_stack_ends_both_directions
    after_a_panic_of_the_closure_the_stream_goes_on
    a_closure_that_returns_more_than_it_was_lent_panics_and_the_stream_goes_on
    an_error_of_the_closure_removes_nothing_and_is_returned
    an_error_of_the_closure_sends_nothing_and_leaves_no_buffer
    what_the_closure_owns_is_dropped_while_nothing_is_locked
}

fn kind<T: std::fmt::Debug>(result: io::Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

/// The kinds of error of a lent read and a lent write, whose closures must not be called.
fn kinds<F: Flavor>(stream: &TcpStream<F>) -> [ErrorKind; 2] {
    let read = kind(stream.try_read_with(|_| panic!("nothing to read")));
    assert_eq!(
        kind(now(stream.read_with(|_| panic!("nothing to read")))),
        read
    );
    let write = kind(stream.try_write_with(|_| panic!("nowhere to write")));
    assert_eq!(
        kind(now(stream.write_with(|_| panic!("nowhere to write")))),
        write
    );
    [read, write]
}

/// Whether `f` panics.
fn panics<T>(f: impl FnOnce() -> T) -> Option<String> {
    let payload = catch_unwind(AssertUnwindSafe(f)).err()?;
    let text = payload.downcast_ref::<String>().cloned();
    Some(
        text.or_else(|| Some((*payload.downcast_ref::<&str>()?).into()))
            .unwrap(),
    )
}

fn the_end_of_the_stream_is_0_without_a_call<F: Flavor>() {
    let mut pair = Pair::<F>::new();
    pair.send(b"the end");
    pair.streams[1].shutdown(Shutdown::Write).unwrap();
    pair.carry();
    let near = &pair.streams[0];
    assert_eq!(now(near.read_with(|data| Ok(data[0].len()))).unwrap(), 7);
    for _ in 0..2 {
        assert_eq!(near.try_read_with(|_| panic!("the end")).unwrap(), 0);
        assert_eq!(now(near.read_with(|_| panic!("the end"))).unwrap(), 0);
    }
    // The other direction goes on.
    near.try_write_with(|room| fill(room, b"more")).unwrap();
    pair.carry();
    assert_eq!(read_all(&pair.streams[1]), b"more");
}

fn a_reset_comes_after_the_data_before_it<F: Flavor>() {
    let mut pair = Pair::<F>::new();
    pair.send(b"before");
    pair.streams[1].abort();
    let sent = pair.carry();
    assert!(sent.iter().any(|sent| sent.flags.rst()), "{sent:?}");
    let near = &pair.streams[0];
    let write = near.try_write_with(|_| panic!("nowhere to write"));
    assert_eq!(kind(write), ErrorKind::ConnectionReset);
    assert_eq!(read_all(near), b"before");
    assert_eq!(kinds(near), [ErrorKind::ConnectionReset; 2]);
}

fn shutdown_and_abort_are_those_of_read_and_write<F: Flavor>() {
    let mut pair = Pair::<F>::new();
    pair.send(b"discarded");
    let near = pair.streams[0].clone();
    near.shutdown(Shutdown::Both).unwrap();
    assert_eq!(near.try_read_with(|_| panic!("shut down")).unwrap(), 0);
    let write = now(near.write_with(|_| panic!("shut down")));
    assert_eq!(kind(write), ErrorKind::BrokenPipe);
    near.abort();
    assert_eq!(kinds(&near), [ErrorKind::ConnectionAborted; 2]);
}

fn the_end_of_the_stack_ends_both_directions<F: Flavor>() {
    let Pair {
        engines, streams, ..
    } = Pair::<F>::new();
    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    let read = streams[0].poll_read_with(&mut Context::from_waker(&waker), |_| Ok(0));
    assert!(read.is_pending());
    drop(engines);
    assert_eq!(count.get(), 1);
    assert_eq!(kinds(&streams[0]), [ErrorKind::NetworkDown; 2]);
}

fn after_a_panic_of_the_closure_the_stream_goes_on<F: Flavor>() {
    let mut pair = Pair::<F>::new();
    pair.send(b"still there");
    let near = pair.streams[0].clone();
    let buffers = pair.buffers();
    for _ in 0..3 {
        let message = panics(|| near.try_read_with(|_| panic!("in f")));
        assert_eq!(message.as_deref(), Some("in f"));
        let message = panics(|| now(near.write_with(|_| panic!("in f"))));
        assert_eq!(message.as_deref(), Some("in f"));
    }
    assert_eq!(pair.buffers(), buffers, "no send buffer stays attached");
    assert!(pair.carry().is_empty());
    assert_eq!(read_all(&near), b"still there");
    near.try_write_with(|room| fill(room, b"and more")).unwrap();
    pair.carry();
    assert_eq!(read_all(&pair.streams[1]), b"and more");
    now((&mut &near).write_all(b"!")).unwrap();
    assert_eq!(pair.carry().iter().map(|sent| sent.len).sum::<usize>(), 1);
}

fn a_closure_that_returns_more_than_it_was_lent_panics_and_the_stream_goes_on<F: Flavor>() {
    let mut pair = Pair::<F>::new();
    pair.send(b"data");
    let near = pair.streams[0].clone();
    let message = panics(|| near.try_read_with(|_| Ok(5))).unwrap();
    assert_eq!(
        message,
        "the closure returned 5 bytes of 4 bytes that it was lent"
    );
    let message = panics(|| near.try_write_with(|_| Ok(64 * 1024 + 1))).unwrap();
    assert_eq!(
        message,
        "the closure returned 65537 bytes of 65536 bytes that it was lent"
    );
    assert!(pair.carry().is_empty());
    assert_eq!(read_all(&near), b"data");
    near.try_write_with(|room| fill(room, b"data")).unwrap();
    pair.carry();
    assert_eq!(read_all(&pair.streams[1]), b"data");
}

fn an_error_of_the_closure_removes_nothing_and_is_returned<F: Flavor>() {
    let mut pair = Pair::<F>::new();
    pair.send(b"stays");
    let near = &pair.streams[0];
    let error = near
        .try_read_with(|_| Err(io::Error::other("of the closure")))
        .unwrap_err();
    assert_eq!(error.to_string(), "of the closure");
    for _ in 0..2 {
        // No future waits for what the closure waits for.
        let would_block = now(near.read_with(|_| Err(ErrorKind::WouldBlock.into())));
        assert_eq!(kind(would_block), ErrorKind::WouldBlock);
    }
    assert_eq!(read_all(near), b"stays");
}

fn an_error_of_the_closure_sends_nothing_and_leaves_no_buffer<F: Flavor>() {
    let mut pair = Pair::<F>::new();
    let near = pair.streams[0].clone();
    for nothing in [Err(ErrorKind::WouldBlock), Err(ErrorKind::Other), Ok(0)] {
        let result = now(near.write_with(|room| {
            fill(room, b"not counted")?;
            nothing.map_err(Into::into)
        }));
        assert_eq!(result.map_err(|error| error.kind()), nothing);
        assert_eq!(
            pair.buffers(),
            0,
            "of a connection that has nothing to send"
        );
        assert!(pair.carry().is_empty());
    }
    // A buffer with data stays, and so does the data.
    near.try_write_with(|room| fill(room, b"one")).unwrap();
    let nothing = near.try_write_with(|_| Err(ErrorKind::WouldBlock.into()));
    assert_eq!(kind(nothing), ErrorKind::WouldBlock);
    assert_eq!(near.info().send_queue, 3);
    pair.carry();
    assert_eq!(read_all(&pair.streams[1]), b"one");
}

fn what_the_closure_owns_is_dropped_while_nothing_is_locked<F: Flavor>() {
    let mut pair = Pair::<F>::new();
    let near = pair.streams[0].clone();
    for _ in 0..2 {
        // The drop of a handle enters the connection.
        let own = near.clone();
        let _ = near.try_read_with(move |data| {
            let _own = &own;
            Ok(data[0].len())
        });
        let own = near.clone();
        let written = near.try_write_with(move |room| {
            let _own = &own;
            fill(room, b"x")
        });
        assert_eq!(written.unwrap(), 1);
        pair.send(b"now there is something to read");
    }
}
