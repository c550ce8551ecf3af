//! The stream lends its buffers: `read_with`, `write_with` and their variants, in every flavor.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/pair.rs"]
mod pair;
mod support;

use brooklet_cell::Flavor;
use brooklet_packet::Headers;
use futures_lite::AsyncWriteExt;
use pair::*;
use std::io::{self, ErrorKind, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use support::{fixed_buffers, now, pends};

in_every_flavor! {
    received_bytes_are_lent_in_order_and_what_is_not_taken_stays
    a_receive_buffer_that_wraps_is_lent_in_two_slices
    a_send_buffer_that_wraps_is_lent_in_two_slices
    a_lent_read_opens_a_closed_window_at_once
    a_lent_write_is_sent_at_once_in_full_segments
    a_lent_write_carries_the_deferred_ack_of_a_lent_read
    pending_has_the_task_woken
    a_writer_is_lent_a_quarter_of_the_buffer_at_least
    a_task_that_is_polled_inside_its_wake_finds_nothing_locked
    the_halves_lend_too
    two_streams_echo_by_lending_alone
}

fn lengths(data: &[IoSlice<'_>]) -> Vec<usize> {
    data.iter().map(|slice| slice.len()).collect()
}

fn kind<T: std::fmt::Debug>(result: io::Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

fn received_bytes_are_lent_in_order_and_what_is_not_taken_stays<F: Flavor>() {
    let mut pair = Pair::<F>::new();
    pair.send(b"hello, ");
    pair.send(b"world");
    let near = &pair.streams[0];
    let mut got = Vec::new();
    let none = near.try_read_with(|data| {
        assert_eq!(lengths(data), [12]);
        Ok(0)
    });
    assert_eq!(none.unwrap(), 0, "the closure took nothing");
    assert_eq!(
        now(near.read_with(|data| take(data, 8, &mut got))).unwrap(),
        8
    );
    assert_eq!(near.info().recv_queue, 4);
    assert_eq!(
        near.try_read_with(|data| take(data, 9, &mut got)).unwrap(),
        4
    );
    assert_eq!(got, b"hello, world");
    let nothing = near.try_read_with(|_| panic!("nothing to read"));
    assert_eq!(kind(nothing), ErrorKind::WouldBlock);
}

fn a_receive_buffer_that_wraps_is_lent_in_two_slices<F: Flavor>() {
    let mut pair = Pair::<F>::with(fixed_buffers(8192));
    let data = pattern(11_000);
    assert_eq!(pair.send(&data[..6000]), 6000);
    let mut got = Vec::new();
    pair.streams[0]
        .try_read_with(|lent| take(lent, 5000, &mut got))
        .unwrap();
    pair.carry();
    assert_eq!(pair.send(&data[6000..]), 5000);
    let near = &pair.streams[0];
    let read = near.try_read_with(|lent| {
        assert_eq!(lengths(lent), [8192 - 5000, 6000 - 3192]);
        // Into the second slice.
        take(lent, 4000, &mut got)
    });
    assert_eq!(read.unwrap(), 4000);
    let read = near.try_read_with(|lent| {
        assert_eq!(lengths(lent), [2000], "what is left no longer wraps");
        take(lent, 4000, &mut got)
    });
    assert_eq!(read.unwrap(), 2000);
    assert!(got == data);
}

fn a_send_buffer_that_wraps_is_lent_in_two_slices<F: Flavor>() {
    // The far end takes 4 KiB, so that a part of what is written stays in the send buffer.
    let options = fixed_buffers(8192).recv_buffer(4096).recv_buffer_max(4096);
    let mut pair = Pair::<F>::with(options);
    let data = pattern(20_000);
    let mut written = 0;
    let [near, far] = &pair.streams.clone();
    let mut write = |expected: &[usize], most: usize| {
        let n = near.try_write_with(|room| {
            let lent: Vec<_> = room.iter().map(|slice| slice.len()).collect();
            assert_eq!(lent, expected);
            fill(room, &data[written..written + most])
        });
        written += n.unwrap();
    };
    write(&[8192], 6000);
    pair.carry();
    assert_eq!(near.info().send_queue, 6000 - 4096);
    write(&[8192 - 6000, 4096], 5000);
    pair.carry();
    let mut got = Vec::new();
    while got.len() < 11_000 {
        let read = read_all(far);
        assert!(!read.is_empty(), "after {} bytes", got.len());
        got.extend(read);
        pair.carry();
    }
    write(&[8192], 8192);
    while got.len() < 11_000 + 8192 {
        pair.carry();
        got.extend(read_all(far));
    }
    assert!(got == data[..11_000 + 8192]);
}

fn a_lent_read_opens_a_closed_window_at_once<F: Flavor>() {
    let mut pair = Pair::<F>::with(fixed_buffers(8192));
    let data = pattern(16_384);
    let mut sent = pair.send(&data);
    sent += pair.send(&data[sent..]);
    assert_eq!(sent, 16_384, "what fits both buffers");
    assert_eq!(pair.streams[0].info().recv_queue, 8192);
    // The clock stands still, so no probe asks for the window.
    let mut got = read_all(&pair.streams[0]);
    let update = pair.engines[0].poll_transmit().expect("a window update");
    let headers = Headers::parse(&update).unwrap();
    assert!(headers.tcp().unwrap().window > 0 && headers.payload_range().is_empty());
    assert!(
        pair.engines[0].poll_transmit().is_none(),
        "one update for the read"
    );
    pair.engines[1].handle_packet(pair.at, &update, &headers);
    pair.carry();
    got.extend(read_all(&pair.streams[0]));
    assert!(got == data);
}

fn a_lent_write_is_sent_at_once_in_full_segments<F: Flavor>() {
    let mut pair = Pair::<F>::new();
    let data = pattern(5000);
    let written = pair.streams[0].try_write_with(|room| fill(room, &data));
    assert_eq!(written.unwrap(), 5000);
    let sent = pair.carry();
    let segments: Vec<_> = sent
        .iter()
        .filter(|sent| sent.len > 0)
        .map(|sent| sent.len)
        .collect();
    assert_eq!(segments.len(), 4, "{segments:?}");
    assert!(
        segments[..3]
            .iter()
            .all(|len| *len == segments[0] && *len > 1400)
    );
    assert!(read_all(&pair.streams[1]) == data);
}

fn a_lent_write_carries_the_deferred_ack_of_a_lent_read<F: Flavor>() {
    let mut pair = Pair::<F>::new();
    let [near, far] = &pair.streams.clone();
    assert!(pends(near.read_with(|_| Ok(0))), "a reader waits");
    now((&mut &*far).write_all(b"ping")).unwrap();
    let packet = pair.engines[1].poll_transmit().unwrap();
    let headers = Headers::parse(&packet).unwrap();
    pair.engines[0].handle_packet(pair.at, &packet, &headers);
    assert!(
        pair.engines[0].defer(pair.at),
        "the ACK waits for the application"
    );
    assert_eq!(read_all(near), b"ping");
    assert!(
        pair.engines[0].poll_transmit().is_none(),
        "an ACK without data"
    );
    near.try_write_with(|room| fill(room, b"pong")).unwrap();
    pair.engines[0].flush(pair.at);
    let sent = pair.carry();
    assert_eq!((sent[0].from, sent[0].len), (0, 4), "{sent:?}");
    assert_eq!(
        sent.iter().filter(|sent| sent.from == 0).count(),
        1,
        "{sent:?}"
    );
    assert_eq!(read_all(far), b"pong");
}

fn pending_has_the_task_woken<F: Flavor>() {
    let mut pair = Pair::<F>::with(fixed_buffers(8192));
    let [near, far] = &pair.streams.clone();
    let (reads, writes) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let wakers = [&reads, &writes].map(|count| Waker::from(count.clone()));
    let read = || near.poll_read_with(&mut Context::from_waker(&wakers[0]), |_| Ok(1));
    let write = || {
        let mut cx = Context::from_waker(&wakers[1]);
        near.poll_write_with(&mut cx, |room| fill(room, &[1; 8192]))
    };
    assert!(read().is_pending());
    pair.send(b"x");
    assert_eq!(reads.get(), 1);
    assert!(matches!(read(), Poll::Ready(Ok(1))));
    // Until both buffers of the direction are full.
    while write().is_ready() {
        pair.carry();
    }
    assert_eq!(writes.get(), 0);
    assert_eq!(read_all(far).len(), 8192);
    pair.carry();
    assert_eq!(writes.get(), 1);
    assert!(write().is_ready());
    // What does not wait registers nobody.
    assert_eq!(kind(near.try_read_with(|_| Ok(0))), ErrorKind::WouldBlock);
    pair.send(b"y");
    assert_eq!(reads.get(), 1);
}

fn a_writer_is_lent_a_quarter_of_the_buffer_at_least<F: Flavor>() {
    let options = fixed_buffers(8192).recv_buffer(4096).recv_buffer_max(4096);
    let mut pair = Pair::<F>::with(options);
    let [near, far] = &pair.streams.clone();
    let mut lent = Vec::new();
    let mut write = || {
        near.try_write_with(|room| {
            lent.push(room.iter().map(|slice| slice.len()).sum::<usize>());
            fill(room, &[1; 8192])
        })
    };
    assert_eq!(write().unwrap(), 8192);
    assert_eq!(kind(write()), ErrorKind::WouldBlock);
    // The far end takes 4 KiB, in segments that are acknowledged one by one.
    while let Some(packet) = pair.engines[0].poll_transmit() {
        let headers = Headers::parse(&packet).unwrap();
        pair.engines[1].handle_packet(pair.at, &packet, &headers);
        pair.engines[1].flush(pair.at);
        let ack = pair.engines[1].poll_transmit().unwrap();
        pair.engines[0].handle_packet(pair.at, &ack, &Headers::parse(&ack).unwrap());
        pair.engines[0].flush(pair.at);
        let room = 8192 - near.info().send_queue;
        assert_eq!(write().is_ok(), room >= 2048, "{room} bytes of room");
    }
    assert!(lent[1..].iter().all(|lent| *lent >= 2048), "{lent:?}");
    assert_eq!(lent.len(), 2);
    let mut got = 0;
    while got < 8192 + lent[1] {
        let read = read_all(far);
        assert!(!read.is_empty());
        got += read.len();
        pair.carry();
    }
}

fn a_task_that_is_polled_inside_its_wake_finds_nothing_locked<F: Flavor>() {
    thread_local! {
        static POLL: std::cell::RefCell<Option<Box<dyn Fn()>>> = const { std::cell::RefCell::new(None) };
    }
    struct Reenter;
    impl Wake for Reenter {
        fn wake(self: Arc<Self>) {
            let poll = POLL.take().expect("woken once");
            poll();
        }
    }
    let mut pair = Pair::<F>::new();
    let near = pair.streams[0].clone();
    let waker = Waker::from(Arc::new(Reenter));
    let read = near.poll_read_with(&mut Context::from_waker(&waker), |_| Ok(1));
    assert!(read.is_pending());
    let stream = near.clone();
    POLL.set(Some(Box::new(move || {
        assert_eq!(stream.try_read_with(|data| Ok(data[0].len())).unwrap(), 1);
        assert_eq!(
            stream.try_write_with(|room| fill(room, b"reply")).unwrap(),
            5
        );
    })));
    pair.send(b"x");
    assert!(POLL.take().is_none(), "the task was woken");
    assert_eq!(read_all(&pair.streams[1]), b"reply");
}

fn the_halves_lend_too<F: Flavor>() {
    let mut pair = Pair::<F>::new();
    let (read, write) = pair.streams[0].clone().split();
    assert!(pends(read.read_with(|_| Ok(0))));
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(matches!(
        write.poll_write_with(cx, |room| fill(room, b"a")),
        Poll::Ready(Ok(1))
    ));
    assert_eq!(write.try_write_with(|room| fill(room, b"b")).unwrap(), 1);
    assert_eq!(now(write.write_with(|room| fill(room, b"c"))).unwrap(), 1);
    pair.carry();
    assert_eq!(read_all(&pair.streams[1]), b"abc");
    pair.send(b"xyz");
    let mut got = Vec::new();
    assert!(matches!(
        read.poll_read_with(cx, |data| take(data, 1, &mut got)),
        Poll::Ready(Ok(1))
    ));
    read.try_read_with(|data| take(data, 1, &mut got)).unwrap();
    now(read.read_with(|data| take(data, 1, &mut got))).unwrap();
    assert_eq!(got, b"xyz");
}

fn two_streams_echo_by_lending_alone<F: Flavor>() {
    let mut pair = Pair::<F>::with(fixed_buffers(4096));
    let [near, far] = &pair.streams.clone();
    let data = pattern(300_000);
    let (mut written, mut got) = (0, Vec::new());
    // What the far end has read and not written back.
    let mut between = Vec::new();
    for step in 1.. {
        let _ = near.try_write_with(|room| {
            // Of every length, so that the rings wrap everywhere.
            let end = data.len().min(written + step * 37 % 1999);
            let n = fill(room, &data[written..end])?;
            written += n;
            Ok(n)
        });
        pair.carry();
        if between.len() < 4096 {
            let _ = far.try_read_with(|lent| take(lent, step * 53 % 3001, &mut between));
        }
        if !between.is_empty() {
            let echoed = far.try_write_with(|room| fill(room, &between));
            between.drain(..echoed.unwrap_or(0));
        }
        pair.carry();
        let _ = near.try_read_with(|lent| take(lent, step * 71 % 2503, &mut got));
        if got.len() == data.len() {
            break;
        }
        assert!(
            step < 10_000,
            "{} of {} bytes came back",
            got.len(),
            data.len()
        );
    }
    assert!(got == data);
}

#[test]
fn the_futures_of_the_threaded_flavor_are_send() {
    fn is_send<T: Send>(_: &T) {}
    let pair = Pair::<brooklet_cell::Threaded>::new();
    is_send(&pair.streams[0].read_with(|data| Ok(data[0].len())));
    is_send(&pair.streams[0].write_with(|room| fill(room, b"x")));
}
