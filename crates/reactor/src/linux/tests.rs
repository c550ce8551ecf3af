//! What the reactor does and does not do, seen from inside. The tests of the API are in `tests/`.

use super::reactor::Reactor;
use super::sync::Ordering;
use crate::{Async, Timer, block_on};
use futures_lite::future::{or, pending, poll_once, yield_now, zip};
use std::io;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::Arc;
use std::time::Duration;

fn reactor() -> Arc<Reactor> {
    Reactor::current().expect("the test is in a block_on")
}

/// Calls of `epoll_wait` while `future` runs.
async fn waits<T>(future: impl Future<Output = T>) -> usize {
    let reactor = reactor();
    let before = reactor.waits.load(Ordering::Relaxed);
    future.await;
    reactor.waits.load(Ordering::Relaxed) - before
}

fn receive(socket: &UnixDatagram) -> io::Result<usize> {
    socket.recv(&mut [0; 16])
}

#[test]
fn a_thread_that_waits_for_a_timer_sleeps_once() {
    block_on(async {
        let (stream, _peer) = UnixStream::pair().unwrap();
        let stream = Async::new(stream).unwrap();
        let silent = async {
            stream.readable().await.unwrap();
            unreachable!("nothing was sent");
        };
        let sleep = or(
            async {
                Timer::after(Duration::from_millis(30)).await;
            },
            silent,
        );
        // The registration of the stream is an event: it can be written to.
        assert!((1..=3).contains(&waits(sleep).await));
    });
}

#[test]
fn packets_that_nobody_reads_do_not_keep_the_thread_awake() {
    block_on(async {
        let (socket, peer) = UnixDatagram::pair().unwrap();
        let socket = Async::new(socket).unwrap().packets();
        // A task waits for a packet, gets one, and then does something else.
        let first = zip(socket.read_with(receive), async {
            yield_now().await;
            peer.send(b"1").unwrap();
        });
        assert_eq!(first.await.0.unwrap(), 1);
        peer.send(b"2").unwrap();
        peer.send(b"3").unwrap();
        assert!(waits(Timer::after(Duration::from_millis(30))).await <= 5);
        // And finds them when it returns, and what is sent later.
        for n in 2..4 {
            assert_eq!(socket.read_with(receive).await.unwrap(), 1, "packet {n}");
        }
        let fourth = zip(socket.read_with(receive), async {
            Timer::after(Duration::from_millis(5)).await;
            peer.send(b"4").unwrap();
        });
        assert_eq!(fourth.await.0.unwrap(), 1);
    });
}

#[test]
fn a_drop_deregisters_descriptors_and_timers() {
    block_on(async {
        let (stream, _peer) = UnixStream::pair().unwrap();
        let stream = Async::new(stream).unwrap();
        assert!(poll_once(stream.readable()).await.is_none());
        let mut timer = Timer::after(Duration::from_secs(60));
        assert!(poll_once(&mut timer).await.is_none());
        assert_eq!(reactor().registered(), (1, 1));
        drop(timer);
        let stream = stream.into_inner().unwrap();
        assert_eq!(reactor().registered(), (0, 0));
        drop(Async::new(stream).unwrap());
    });
}

#[test]
fn nothing_is_registered_before_a_task_has_to_wait() {
    block_on(async {
        let (stream, peer) = UnixStream::pair().unwrap();
        let stream = Async::new(stream).unwrap();
        io::Write::write_all(&mut &peer, b"hello").unwrap();
        let mut buffer = [0; 5];
        let read = |mut stream: &UnixStream| io::Read::read(&mut stream, &mut buffer);
        assert_eq!(stream.read_with(read).await.unwrap(), 5);
        assert_eq!(reactor().registered(), (0, 0));
    });
}

#[test]
fn the_end_of_the_outermost_call_empties_the_reactor() {
    let (stream, _peer) = UnixStream::pair().unwrap();
    let stream = Async::new(stream).unwrap();
    let outer = block_on(async {
        let reactor = reactor();
        block_on(async {
            assert!(poll_once(stream.readable()).await.is_none());
        });
        assert_eq!(reactor.registered(), (1, 0), "the inner call ends nothing");
        reactor
    });
    assert_eq!(outer.registered(), (0, 0));
    assert!(Reactor::current().is_none());
}

#[test]
fn wake_ups_of_the_same_thread_interrupt_nothing() {
    block_on(async {
        let yields = async {
            for _ in 0..1000 {
                yield_now().await;
            }
        };
        // A look at the events now and then, and no eventfd.
        assert!(waits(or(yields, pending())).await <= 1000 / 4 + 1);
    });
}

#[test]
fn a_descriptor_follows_its_task_to_another_thread() {
    let (socket, peer) = UnixDatagram::pair().unwrap();
    let socket = Arc::new(Async::new(socket).unwrap().packets());
    block_on(async {
        assert!(poll_once(socket.readable()).await.is_none());
        assert_eq!(reactor().registered(), (1, 0));
        let (moved, there) = async_channel::bounded(1);
        let reading = socket.clone();
        let reader = std::thread::spawn(move || {
            block_on(async {
                for _ in 0..100 {
                    reading.read_with(receive).await.unwrap();
                }
                moved.send(reactor().registered()).await.unwrap();
            });
        });
        for _ in 0..100 {
            // The first ones pass through this thread, which must be awake.
            Timer::after(Duration::from_millis(1)).await;
            peer.send(b"ping").unwrap();
        }
        assert_eq!(there.recv().await.unwrap(), (1, 0));
        assert_eq!(reactor().registered(), (0, 0));
        reader.join().unwrap();
    });
}
