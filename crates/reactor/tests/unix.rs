//! Descriptors and timers in the reactor of a thread, between threads, and on async-io.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use async_executor::{Executor, LocalExecutor};
use brooklet_reactor::{Async, Timer, block_on};
use futures_lite::future::{self, or, poll_once, yield_now, zip};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::io::{self, ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);

/// Ends a test that hangs, with a message.
async fn in_time<T>(future: impl Future<Output = T>) -> T {
    or(future, async {
        Timer::after(Duration::from_secs(20)).await;
        panic!("a wake-up was lost");
    })
    .await
}

fn pair() -> (Async<UnixStream>, Async<UnixStream>) {
    let (one, other) = UnixStream::pair().unwrap();
    (Async::new(one).unwrap(), Async::new(other).unwrap())
}

fn receive(socket: &UnixDatagram) -> io::Result<usize> {
    socket.recv(&mut [0; 16])
}

async fn echo(mut stream: Async<UnixStream>) {
    let mut buffer = [0; 1000];
    loop {
        let n = stream.read(&mut buffer).await.unwrap();
        if n == 0 {
            return;
        }
        stream.write_all(&buffer[..n]).await.unwrap();
    }
}

async fn ask(stream: &Async<UnixStream>, rounds: usize) {
    let mut stream = stream;
    for n in 0..rounds {
        let sent = [n as u8; 10];
        stream.write_all(&sent).await.unwrap();
        let mut received = [0; 10];
        stream.read_exact(&mut received).await.unwrap();
        assert_eq!(received, sent);
    }
}

#[test]
fn threads_with_a_reactor_each_lose_no_wake_up() {
    for byte_stream in [false, true] {
        let (mut one, mut other) = pair();
        if byte_stream {
            (one, other) = (one.byte_stream(), other.byte_stream());
        }
        let server = thread::spawn(|| block_on(in_time(echo(other))));
        block_on(in_time(ask(&one, 5000)));
        drop(one);
        server.join().unwrap();
    }
}

#[test]
fn packets_one_at_a_time_and_in_bursts_all_arrive() {
    let (one, other) = UnixDatagram::pair().unwrap();
    let (one, other) = (
        Async::new(one).unwrap().packets(),
        Async::new(other).unwrap().packets(),
    );
    let receiver = thread::spawn(move || {
        block_on(in_time(async {
            for n in 0..3000 {
                other.read_with(receive).await.unwrap();
                if n < 1000 || n % 8 == 7 {
                    other.write_with(|other| other.send(b"ok")).await.unwrap();
                }
            }
        }));
    });
    block_on(in_time(async {
        for n in 0..3000 {
            one.write_with(|one| one.send(b"packet")).await.unwrap();
            if n < 1000 || n % 8 == 7 {
                one.read_with(receive).await.unwrap();
            }
        }
    }));
    receiver.join().unwrap();
}

#[test]
fn many_descriptors_share_a_reactor() {
    let executor = LocalExecutor::new();
    block_on(executor.run(in_time(async {
        let clients = (0..300).map(|_| {
            let (client, server) = pair();
            executor.spawn(echo(server)).detach();
            executor.spawn(async move { ask(&client, 20).await })
        });
        for client in clients.collect::<Vec<_>>() {
            client.await;
        }
    })));
}

#[test]
fn threads_that_share_an_executor_share_descriptors_and_timers() {
    let executor = Arc::new(Executor::new());
    let (stop, stopped) = async_channel::bounded::<()>(1);
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let (executor, stopped) = (executor.clone(), stopped.clone());
            thread::spawn(move || block_on(executor.run(stopped.recv())))
        })
        .collect();
    block_on(executor.run(in_time(async {
        let clients = (0..50).map(|_| {
            let (client, server) = pair();
            executor.spawn(echo(server)).detach();
            executor.spawn(async move {
                for _ in 0..20 {
                    ask(&client, 5).await;
                    Timer::after(MS).await;
                    yield_now().await;
                }
            })
        });
        for client in clients.collect::<Vec<_>>() {
            client.await;
        }
    })));
    drop(stop);
    for thread in threads {
        let _ = thread.join().unwrap();
    }
}

#[test]
fn several_tasks_wait_for_one_direction() {
    let executor = LocalExecutor::new();
    block_on(executor.run(in_time(async {
        let (socket, peer) = UnixDatagram::pair().unwrap();
        let socket = Arc::new(Async::new(socket).unwrap());
        let readers = (0..5).map(|_| {
            let socket = socket.clone();
            executor.spawn(async move { socket.read_with(receive).await.unwrap() })
        });
        let readers: Vec<_> = readers.collect();
        Timer::after(MS).await;
        for _ in 0..5 {
            peer.send(b"one each").unwrap();
        }
        for reader in readers {
            assert_eq!(reader.await, 8);
        }
    })));
}

#[test]
fn a_second_task_replaces_the_first_one_which_wakes() {
    let executor = LocalExecutor::new();
    block_on(executor.run(in_time(async {
        let (stream, _peer) = pair();
        let stream = Arc::new(stream);
        let first = executor.spawn({
            let stream = stream.clone();
            async move {
                let mut polls = 0;
                future::poll_fn(|cx| {
                    polls += 1;
                    match polls {
                        1 => stream.poll_readable(cx).map(drop),
                        _ => Poll::Ready(()),
                    }
                })
                .await;
            }
        });
        yield_now().await;
        assert!(
            poll_once(future::poll_fn(|cx| stream.poll_readable(cx)))
                .await
                .is_none()
        );
        first.await;
    })));
}

#[test]
fn the_end_and_a_hang_up_wake_readers_and_writers() {
    block_on(in_time(async {
        let (stream, peer) = pair();
        // Fills the send buffer.
        let fill = [0; 4096];
        while poll_once(stream.write_with(|mut stream| stream.write(&fill)))
            .await
            .is_some()
        {}
        let read = async {
            let mut stream = &stream;
            stream.read(&mut [0; 16]).await
        };
        let write = stream.write_with(|mut stream| stream.write(&fill));
        let close = async {
            Timer::after(5 * MS).await;
            drop(peer);
        };
        let ((read, written), ()) = zip(zip(read, write), close).await;
        assert!(
            matches!(read, Ok(0)) || read.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset)
        );
        assert_eq!(written.unwrap_err().kind(), ErrorKind::BrokenPipe);
        // And again: the end stays.
        assert!(stream.readable().await.is_ok() && stream.writable().await.is_ok());
    }));
}

#[test]
fn a_half_close_behind_data_is_found_without_another_event() {
    block_on(in_time(async {
        let (stream, peer) = pair();
        let mut stream = stream.byte_stream();
        let mut buffer = [0; 16];
        let (n, ()) = zip(stream.read(&mut buffer), async {
            yield_now().await;
            peer.get_ref().write_all(b"last").unwrap();
            peer.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
        })
        .await;
        assert_eq!(n.unwrap(), 4);
        assert_eq!(stream.read(&mut buffer).await.unwrap(), 0);
    }));
}

#[test]
fn a_connection_becomes_writable_or_fails() {
    block_on(in_time(async {
        let listener = Async::new(TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
        let to = listener.get_ref().local_addr().unwrap();
        let client = thread::spawn(move || TcpStream::connect(to).unwrap());
        let (server, _) = listener.read_with(TcpListener::accept).await.unwrap();
        let mut server = Async::new(server).unwrap().byte_stream();
        let mut client = client.join().unwrap();
        client.write_all(&[7; 100_000]).unwrap();
        let mut received = vec![0; 100_000];
        server.read_exact(&mut received).await.unwrap();
        server.writable().await.unwrap();
        drop(client);
        assert_eq!(server.read(&mut received).await.unwrap(), 0);
    }));
}

/// A task whose waker panics.
struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a waker panics");
    }
}

#[test]
fn a_waker_that_panics_stops_neither_the_thread_nor_the_other_tasks() {
    block_on(in_time(async {
        let (here, mut there) = pair();
        let panicking = Waker::from(Arc::new(Panics));
        let mut cx = Context::from_waker(&panicking);
        let mut first = pin!(here.readable());
        assert!(first.as_mut().poll(&mut cx).is_pending());
        let mut timer = Timer::after(MS);
        assert!(pin!(&mut timer).poll(&mut cx).is_pending());
        let write = async {
            Timer::after(2 * MS).await;
            there.write_all(b"x").await.unwrap();
        };
        let (readable, ()) = zip(here.readable(), write).await;
        readable.unwrap();
    }));
}

/// Readiness that an operation outside of the closures has taken is noticed.
#[test]
fn readable_asks_the_system() {
    block_on(in_time(async {
        let (socket, peer) = UnixDatagram::pair().unwrap();
        let socket = Async::new(socket).unwrap();
        for _ in 0..3 {
            peer.send(b"1").unwrap();
            peer.send(b"2").unwrap();
            // Read once after each wake-up, never until nothing is found.
            socket.readable().await.unwrap();
            receive(socket.get_ref()).unwrap();
            socket.readable().await.unwrap();
            receive(socket.get_ref()).unwrap();
            assert!(poll_once(socket.readable()).await.is_none());
        }
    }));
}

#[test]
fn descriptors_move_between_threads_and_executors() {
    let (one, other) = pair();
    let server = thread::spawn(|| block_on(in_time(echo(other))));
    let one = Arc::new(one);
    block_on(in_time(ask(&one, 10)));
    // Another thread, in a call of its own.
    let moved = one.clone();
    thread::spawn(move || block_on(in_time(ask(&moved, 10))))
        .join()
        .unwrap();
    block_on(in_time(ask(&one, 10)));
    // An executor without a reactor: async-io, and for good.
    future::block_on(in_time(ask(&one, 10)));
    block_on(in_time(ask(&one, 10)));
    async_io::block_on(in_time(ask(&one, 10)));
    drop(one);
    server.join().unwrap();
}

#[test]
fn a_task_of_another_thread_survives_the_end_of_the_reactor() {
    let (socket, peer) = UnixDatagram::pair().unwrap();
    let socket = Arc::new(Async::new(socket).unwrap());
    let registered = Arc::new(AtomicUsize::new(0));
    let (reader, timer) = block_on(in_time(async {
        // Registers with the reactor of this thread.
        let mut own = Timer::after(100 * MS);
        assert!(poll_once(&mut own).await.is_none());
        assert!(poll_once(socket.readable()).await.is_none());
        let wait = |mut timer: Timer| {
            let registered = registered.clone();
            thread::spawn(move || {
                future::block_on(future::poll_fn(|cx| {
                    let poll = std::pin::Pin::new(&mut timer).poll(cx);
                    registered.fetch_add(1, Ordering::SeqCst);
                    poll
                }))
            })
        };
        let (timer, reading) = (wait(own), socket.clone());
        let reader = thread::spawn(move || future::block_on(reading.read_with(receive)).unwrap());
        while registered.load(Ordering::SeqCst) == 0 {
            yield_now().await;
        }
        Timer::after(5 * MS).await;
        (reader, timer)
    }));
    thread::sleep(5 * MS);
    peer.send(b"hello").unwrap();
    assert_eq!(reader.join().unwrap(), 5);
    timer.join().unwrap();
}

#[test]
fn timers_fire_in_order_and_never_early() {
    let executor = LocalExecutor::new();
    block_on(executor.run(in_time(async {
        let start = Instant::now();
        let (fired, order) = async_channel::unbounded();
        for ms in [30, 10, 20, 10, 40] {
            let fired = fired.clone();
            let task = async move {
                Timer::at(start + ms * MS).await;
                fired.send((ms, start.elapsed())).await.unwrap();
            };
            executor.spawn(task).detach();
        }
        let mut last = 0;
        for _ in 0..5 {
            let (ms, at) = order.recv().await.unwrap();
            assert!(at >= ms * MS && last <= ms);
            last = ms;
        }
    })));
}

#[test]
fn a_timer_is_set_earlier_and_later() {
    block_on(in_time(async {
        let start = Instant::now();
        let mut timer = Timer::after(Duration::from_secs(3600));
        assert!(poll_once(&mut timer).await.is_none());
        timer.set_after(10 * MS);
        (&mut timer).await;
        assert!(start.elapsed() < Duration::from_secs(10));
        // It has been ready: not set any more.
        assert!(poll_once(&mut timer).await.is_none());
        let mut timer = Timer::after(5 * MS);
        assert!(poll_once(&mut timer).await.is_none());
        let later = Instant::now() + 30 * MS;
        timer.set_at(later);
        assert_eq!(timer.await, later);
        assert!(Instant::now() >= later);
        assert!(poll_once(Timer::never()).await.is_none());
    }));
}

#[test]
fn another_thread_sets_a_timer_earlier_while_the_reactor_sleeps() {
    block_on(in_time(async {
        let mut timer = Timer::after(Duration::from_secs(3600));
        let (woken, wakes) = async_channel::bounded(1);
        // Registered here, with a waker that is woken by this thread's reactor.
        let task = async_task(&mut timer, woken).await;
        thread::spawn(move || {
            thread::sleep(10 * MS);
            timer.set_after(10 * MS);
            thread::sleep(Duration::from_secs(1));
        });
        wakes.recv().await.unwrap();
        drop(task);
    }));
}

/// Polls `timer` with a waker that sends to a channel.
async fn async_task(timer: &mut Timer, woken: async_channel::Sender<()>) -> Waker {
    struct Send(async_channel::Sender<()>);
    impl Wake for Send {
        fn wake(self: Arc<Self>) {
            let _ = self.0.try_send(());
        }
    }
    let waker = Waker::from(Arc::new(Send(woken)));
    let mut cx = Context::from_waker(&waker);
    assert!(std::pin::Pin::new(timer).poll(&mut cx).is_pending());
    waker
}

#[test]
fn another_thread_wakes_a_sleeping_thread() {
    let (to, from) = async_channel::bounded::<u32>(1);
    let (back, answers) = async_channel::bounded::<u32>(1);
    let other = thread::spawn(move || {
        block_on(async {
            while let Ok(n) = from.recv().await {
                back.send(n).await.unwrap();
            }
        });
    });
    block_on(in_time(async {
        for n in 0..5000 {
            to.send(n).await.unwrap();
            assert_eq!(answers.recv().await.unwrap(), n);
        }
        to.close();
    }));
    other.join().unwrap();
}

#[test]
fn calls_are_nested() {
    block_on(in_time(async {
        let (stream, peer) = pair();
        assert!(poll_once(stream.readable()).await.is_none());
        block_on(Timer::after(2 * MS));
        let inner = block_on(async {
            let (mut to, mut from) = (&peer, &stream);
            to.write_all(b"inner").await.unwrap();
            let mut buffer = [0; 5];
            from.read_exact(&mut buffer).await.unwrap();
            buffer
        });
        assert_eq!(&inner, b"inner");
        ask_both(&stream, &peer).await;
    }));
}

async fn ask_both(mut one: &Async<UnixStream>, mut other: &Async<UnixStream>) {
    one.write_all(b"outer").await.unwrap();
    let mut buffer = [0; 5];
    other.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"outer");
}

#[test]
fn what_may_move_between_threads() {
    fn send_sync<T: Send + Sync + Unpin>() {}
    send_sync::<Async<TcpStream>>();
    send_sync::<Timer>();
}
