//! The reactor of a thread, and threads that share its descriptors, timers and wake-ups.
//!
//! A thread of a model does not sleep in the system: it looks for events again and again, and a
//! wake-up that is lost leaves it there until shuttle gives the order up.
#![cfg(all(shuttle, target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use brooklet_models::check;
use brooklet_reactor::{Async, block_on};
use futures_lite::future::poll_once;
use shuttle::sync::Mutex;
use shuttle::thread::{self, JoinHandle};
use std::future::poll_fn;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::task::{Poll, Waker};

fn receive(socket: &UnixDatagram) -> io::Result<usize> {
    socket.recv(&mut [0; 4])
}

fn on_a_thread(future: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    thread::spawn(|| block_on(future))
}

/// Ends the wait of another thread.
#[derive(Clone, Default)]
struct Signal(Arc<Mutex<(bool, Option<Waker>)>>);

impl Signal {
    fn set(&self) {
        let waker = {
            let mut slot = self.0.lock().unwrap();
            slot.0 = true;
            slot.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    async fn wait(self) {
        poll_fn(|cx| {
            let mut slot = self.0.lock().unwrap();
            if slot.0 {
                return Poll::Ready(());
            }
            slot.1 = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

#[test]
fn a_wake_up_from_another_thread_ends_the_sleep() {
    check(|| {
        let signal = Signal::default();
        let sleeper = on_a_thread(signal.clone().wait());
        signal.set();
        sleeper.join().unwrap();
    });
}

/// The events of the task of one thread come to the reactor of another one.
#[test]
fn a_reactor_serves_the_task_of_another_thread() {
    for packets in [false, true] {
        check(move || {
            let (socket, peer) = UnixDatagram::pair().unwrap();
            let mut socket = Async::new(socket).unwrap();
            if packets {
                socket = socket.packets();
            }
            let socket = Arc::new(socket);
            let (registered, done) = (Signal::default(), Signal::default());
            let owner = on_a_thread({
                let (socket, registered, done) = (socket.clone(), registered.clone(), done.clone());
                async move {
                    // Registers, unless a packet was faster.
                    let _ = poll_once(socket.readable()).await;
                    registered.set();
                    done.wait().await;
                }
            });
            let reader = on_a_thread(async move {
                registered.wait().await;
                for _ in 0..4 {
                    socket.read_with(receive).await.unwrap();
                    socket.get_ref().send(b"1").unwrap();
                }
            });
            peer.set_nonblocking(true).unwrap();
            for _ in 0..4 {
                peer.send(b"1").unwrap();
                while receive(&peer).is_err() {
                    thread::yield_now();
                }
            }
            reader.join().unwrap();
            done.set();
            owner.join().unwrap();
        });
    }
}

#[test]
fn packets_that_arrive_while_a_reader_looks_wake_it() {
    for packets in [false, true] {
        check(move || {
            let (socket, peer) = UnixDatagram::pair().unwrap();
            let mut socket = Async::new(socket).unwrap();
            if packets {
                socket = socket.packets();
            }
            let reader = on_a_thread(async move {
                for _ in 0..3 {
                    socket.read_with(receive).await.unwrap();
                }
            });
            for _ in 0..3 {
                peer.send(b"1").unwrap();
                thread::yield_now();
            }
            reader.join().unwrap();
        });
    }
}

/// The reactor of one thread serves the task of another one, and ends while that task waits.
#[test]
fn a_reader_on_another_thread_loses_no_packet() {
    for packets in [false, true] {
        check(move || {
            let (socket, peer) = UnixDatagram::pair().unwrap();
            let mut socket = Async::new(socket).unwrap();
            if packets {
                socket = socket.packets();
            }
            let socket = Arc::new(socket);
            let reading = socket.clone();
            let owner = on_a_thread(async move {
                assert!(poll_once(reading.readable()).await.is_none());
                shuttle::future::yield_now().await;
            });
            let reader = on_a_thread(async move {
                for _ in 0..2 {
                    socket.read_with(receive).await.unwrap();
                }
            });
            owner.join().unwrap();
            for _ in 0..2 {
                peer.send(b"1").unwrap();
                thread::yield_now();
            }
            reader.join().unwrap();
        });
    }
}

#[test]
fn two_readers_of_one_descriptor_get_a_packet_each() {
    check(|| {
        let (socket, peer) = UnixDatagram::pair().unwrap();
        let socket = Arc::new(Async::new(socket).unwrap());
        let readers = [0; 2].map(|_| {
            let socket = socket.clone();
            on_a_thread(async move {
                socket.read_with(receive).await.unwrap();
            })
        });
        for _ in 0..2 {
            peer.send(b"1").unwrap();
            thread::yield_now();
        }
        for reader in readers {
            reader.join().unwrap();
        }
    });
}
