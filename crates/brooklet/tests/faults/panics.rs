//! Panics in the code of the program, which the stack calls or which holds its handles.

use crate::world::{Device, Node, SECOND, World, now};
use brooklet::filter::{Direction, Verdict};
use brooklet::{Builder, DropReason, Packet, PacketBuf, PacketIo};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

fn panics<T>(work: impl FnOnce() -> T) -> bool {
    catch_unwind(AssertUnwindSafe(work)).is_err()
}

#[test]
fn a_packet_over_which_the_filter_panics_is_dropped_and_the_flow_goes_on() {
    let fail = Arc::new(AtomicBool::new(false));
    let filter = {
        let fail = fail.clone();
        move |_: &Packet<'_>, direction: Direction| {
            if fail.swap(false, Ordering::Relaxed) {
                panic!("the filter panics over a packet: {direction:?}");
            }
            Verdict::Pass
        }
    };
    let mut world = World::with(Builder::new().filter(filter));
    let (stream, peer) = world.connect(1000);
    for (from, to) in [(&stream, &peer), (&peer, &stream)] {
        fail.store(true, Ordering::Relaxed);
        world.transfer(from, to, 10_000);
        assert!(!fail.load(Ordering::Relaxed));
    }
    assert_eq!(
        world.near.stack.stats().dropped(DropReason::FilterPanicked),
        2
    );
}

/// A task whose waker panics.
struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a waker panics");
    }
}

#[test]
fn a_waker_that_panics_stops_neither_the_driver_nor_the_other_tasks() {
    let mut world = World::new();
    let (stream, peer) = world.connect(1000);
    let (other, other_peer) = world.connect(1001);
    let before = brooklet::waker_panics();
    let panicking = Waker::from(Arc::new(Panics));
    let mut cx = Context::from_waker(&panicking);
    let poll = |stream: &brooklet::TcpStream, cx: &mut Context<'_>| {
        let (mut stream, mut buf) = (stream, [0; 8]);
        assert!(pin!(stream.read(&mut buf)).poll(cx).is_pending());
    };
    poll(&peer, &mut cx);
    poll(&other_peer, &mut cx);
    // A task that waits for the same stream.
    let mut buf = [0; 5];
    let (mut reader, mut writer) = (&peer, &stream);
    let both = futures_lite::future::try_zip(reader.read_exact(&mut buf), async {
        futures_lite::future::yield_now().await;
        writer.write_all(b"hello").await
    });
    world.run(SECOND, both).unwrap();
    world.transfer(&other, &other_peer, 1000);
    assert!(brooklet::waker_panics() - before >= 2);
    assert!(world.far.ended.is_none());
}

#[test]
fn the_connections_of_a_task_that_panics_are_reset_and_the_others_go_on() {
    let mut world = World::new();
    let (stream, mut peer) = world.connect(1000);
    let (other, other_peer) = world.connect(1001);
    let mut task = Box::pin(async move {
        (&stream).write_all(b"half of it").await.unwrap();
        futures_lite::future::yield_now().await;
        if stream.peer_addr().is_ok() {
            panic!("a task panics");
        }
        drop(stream);
    });
    assert!(now(task.as_mut()).is_none());
    world.pass(SECOND);
    assert!(panics(|| now(task.as_mut())));
    let mut got = Vec::new();
    let error = world.run(SECOND, peer.read_to_end(&mut got)).unwrap_err();
    assert_eq!(
        (error.kind(), &got[..]),
        (ErrorKind::ConnectionReset, &b"half of it"[..])
    );
    world.transfer(&other, &other_peer, 100_000);
    assert_eq!(world.near.stack.stats().tcp.connections, 1);
}

#[test]
fn closures_that_panic_under_the_lock_of_a_connection_leave_it_usable() {
    let mut world = World::new();
    let (stream, peer) = world.connect(1000);
    now((&stream).write_all(b"data")).unwrap().unwrap();
    world.pass(SECOND);
    assert!(panics(
        || peer.try_read_with(|_| panic!("the reader panics"))
    ));
    assert!(panics(
        || peer.try_write_with(|_| panic!("the writer panics"))
    ));
    let mut got = [0; 4];
    world.run(SECOND, (&peer).read_exact(&mut got)).unwrap();
    assert_eq!(&got, b"data");
    world.transfer(&stream, &peer, 10_000);
    world.transfer(&peer, &stream, 10_000);
}

#[test]
fn an_echo_request_over_which_the_policy_panics_is_ignored() {
    let (here, mut wire) = brooklet::pipe(64);
    let mut node = Node::new(Builder::new(), Device::new(here));
    node.stack.set_echo_policy(|_| panic!("the policy panics"));
    let mut cx = Context::from_waker(Waker::noop());
    let ping = [
        0x45, 0, 0, 28, 0, 7, 0, 0, 64, 1, 0xae, 0xd6, 10, 0, 0, 2, 192, 0, 2, 1, // IPv4
        8, 0, 0xf7, 0xfd, 0, 1, 0, 1, // ICMP
    ];
    let mut ping = PacketBuf::from(ping.to_vec());
    let sum = ping[..20]
        .chunks(2)
        .enumerate()
        .filter(|(n, _)| *n != 5)
        .map(|(_, pair)| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum::<u32>();
    let sum = !((sum >> 16) + (sum & 0xffff)) as u16;
    ping[10..12].copy_from_slice(&sum.to_be_bytes());
    assert!(wire.poll_send(&mut cx, &ping).is_ready());
    node.run();
    assert!(node.ended.is_none());
    assert_eq!(node.stack.stats().dropped(DropReason::EchoIgnored), 1);
    node.stack.clear_echo_policy();
    assert!(wire.poll_send(&mut cx, &ping).is_ready());
    node.run();
    assert_eq!(node.stack.stats().echo_replies, 1);
}

#[test]
fn a_driver_whose_device_or_timer_has_panicked_goes_on_if_it_is_polled_again() {
    let mut world = World::new();
    let (stream, peer) = world.connect(1000);
    for n in 0..20 {
        let mut node = AssertUnwindSafe(&mut world.near);
        let panicked = match n % 2 {
            0 => {
                node.script().panics = true;
                panics(|| node.poll())
            }
            _ => {
                node.timer.panics.store(true, Ordering::Relaxed);
                panics(|| node.poll())
            }
        };
        assert!(panicked);
        world.transfer(&stream, &peer, 10_000);
        world.transfer(&peer, &stream, 10_000);
    }
    assert_eq!(world.near.stack.stats().tcp.connections, 1);
}

#[test]
fn a_driver_that_panics_and_is_dropped_ends_the_stack() {
    let mut world = World::new();
    let (mut stream, _peer) = world.connect(1000);
    world.near.script().panics = true;
    let driver = world.near.driver.take();
    let dropped = panics(|| {
        let mut driver = driver.unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        std::pin::Pin::new(&mut driver).poll(&mut cx)
    });
    assert!(dropped);
    let error = now(stream.read(&mut [0; 8])).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NetworkDown);
}

#[cfg(feature = "capture")]
#[test]
fn a_capture_whose_writer_panics_ends_and_the_stack_goes_on() {
    use futures_lite::AsyncWrite;
    use std::io;
    use std::pin::Pin;
    use std::task::Poll;

    struct Writer;

    impl AsyncWrite for Writer {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &[u8],
        ) -> Poll<io::Result<usize>> {
            panic!("the writer panics")
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    let mut world = World::new();
    let mut capture = world.near.stack.capture(brooklet::CaptureConfig::new());
    let (stream, peer) = world.connect(1000);
    assert!(panics(move || now(capture.write_to(Writer))));
    world.transfer(&stream, &peer, 10_000);
}

#[cfg(feature = "log")]
#[test]
fn a_logger_that_panics_in_the_driver_costs_one_poll() {
    use std::cell::Cell;

    thread_local! {
        static FAILS: Cell<bool> = const { Cell::new(false) };
    }

    /// Panics over the next event of a thread that asks for it.
    struct Logger;

    impl log::Log for Logger {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }
        fn log(&self, record: &log::Record<'_>) {
            assert!(
                !FAILS.replace(false),
                "the logger panics: {}",
                record.args()
            );
        }
        fn flush(&self) {}
    }

    log::set_logger(&Logger).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let mut world = World::new();
    let (stream, peer) = world.connect(1000);
    for port in 1001..1010 {
        let (short, short_peer) = world.connect(port);
        drop((short, short_peer));
        FAILS.set(true);
        // The end of the connection is logged while a driver handles a segment.
        for _ in 0..10 {
            if panics(|| world.pass(SECOND)) {
                break;
            }
        }
        FAILS.set(false);
        world.near.woken.clone().wake();
        world.far.woken.clone().wake();
        world.transfer(&stream, &peer, 100_000);
        world.transfer(&peer, &stream, 100_000);
    }
}
