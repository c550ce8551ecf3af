//! What becomes of connections whose sides end, vanish or stand still.

use super::{REMOTE, SOON, World, client, eventually, listener, within, world};
use crate::{Dial, DialRequest, Keepalive, Limits, Map, Relay, Router, Spawner, Upstream};
use async_io::Timer;
use brooklet::filter::{Direction, Verdict};
use brooklet::{Builder, Packet};
use futures_lite::future::{block_on, zip};
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, future};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

/// The address of the clients that vanish.
const VANISHING: Ipv4Addr = Ipv4Addr::new(10, 0, 9, 9);

/// A world whose connections go through `dialer`, and a switch that lets the packets of
/// [`VANISHING`] vanish.
pub(super) fn dialing(limits: Limits, map: Map, dialer: impl Dial) -> (World, Arc<AtomicBool>) {
    let vanished = Arc::new(AtomicBool::new(false));
    let (near, far) = brooklet::pipe(1024);
    let client = Builder::new().build(near).unwrap();
    let switch = vanished.clone();
    let filter = move |packet: &Packet<'_>, direction: Direction| {
        let is_lost = direction == Direction::Inbound
            && packet.headers().source() == VANISHING
            && switch.load(Ordering::Relaxed);
        if is_lost {
            Verdict::Drop
        } else {
            Verdict::Pass
        }
    };
    let far = Builder::new().filter(filter).build(far).unwrap();
    smol::spawn(client.driver).detach();
    smol::spawn(far.driver).detach();
    let spawner = Spawner::new(|task| smol::spawn(task).detach());
    let relay = Relay::new(far.stack, map, Router::default(), limits, spawner);
    relay.start_tcp(far.tcp, dialer);
    let world = World {
        client: client.stack,
        datagrams: client.udp,
        relay,
    };
    (world, vanished)
}

/// A connection whose other side does and says nothing. Counts the resets.
#[derive(Default)]
pub(super) struct Silence(Arc<AtomicUsize>);

impl AsyncRead for Silence {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Pending
    }
}

impl AsyncWrite for Silence {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Upstream for Silence {
    fn reset(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn clients_that_vanish_end_and_others_connect_meanwhile() {
    const CLIENTS: usize = 4096;
    block_on(async {
        let keepalive = Keepalive {
            idle: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
        };
        let limits = Limits::default()
            .connections(2 * CLIENTS)
            .keepalive(Some(keepalive));
        let resets = Arc::new(AtomicUsize::new(0));
        let counted = resets.clone();
        let dialer = move |_: DialRequest| future::ready(Ok(Silence(counted.clone())));
        let (world, vanished) = dialing(limits, Map::transparent(), dialer);
        let connect = |port: usize| {
            let from = SocketAddr::from((VANISHING, 1000 + port as u16));
            world.client.connect_from(from, (REMOTE, 80).into())
        };
        let mut streams = Vec::new();
        for port in 0..CLIENTS {
            streams.push(connect(port).await.unwrap());
        }
        eventually(|| world.relay.stats().connections == CLIENTS as u64).await;
        vanished.store(true, Ordering::Relaxed);
        let connect = world.client.connect_from(client(1000), (REMOTE, 80).into());
        let _other = within(10 * SOON, connect).await.expect("no room").unwrap();
        eventually(|| world.relay.stats().clients_vanished == CLIENTS as u64).await;
        eventually(|| world.relay.stats().connections == 1).await;
        assert_eq!(resets.load(Ordering::Relaxed), CLIENTS);
    });
}

#[test]
fn half_closed_connections_without_traffic_end() {
    block_on(async {
        let world = world(Limits::default().half_close(2 * SOON));
        let (listener, remote) = listener().await;
        let mut pairs = Vec::new();
        for number in 0..100 {
            let connect = world.client.connect_from(client(1000 + number), remote);
            let (near, far) = zip(connect, listener.accept()).await;
            let (near, mut far) = (near.unwrap(), far.unwrap().0);
            match number % 2 {
                0 => near.shutdown(std::net::Shutdown::Write).unwrap(),
                _ => far.close().await.unwrap(),
            }
            pairs.push((near, far));
        }
        // Traffic in the other direction puts the end off.
        let (near, far) = pairs.last_mut().unwrap();
        let start = Instant::now();
        while start.elapsed() < 6 * SOON {
            near.write_all(b"x").await.unwrap();
            far.read_exact(&mut [0]).await.unwrap();
            Timer::after(SOON / 3).await;
        }
        assert_eq!(world.relay.stats().half_close_timeouts, 99);
        eventually(|| world.relay.stats().half_close_timeouts == 100).await;
        assert_eq!(world.relay.stats().connections, 0);
        for (mut near, mut far) in pairs {
            near.write_all(b"x").await.unwrap_err();
            far.write_all(b"x").await.unwrap_err();
        }
    });
}

#[test]
fn idle_connections_end_if_there_is_a_limit() {
    block_on(async {
        let world = world(Limits::default().idle_connection(Some(SOON)));
        let (listener, remote) = listener().await;
        let connect = world.client.connect_from(client(1000), remote);
        let (near, far) = zip(connect, listener.accept()).await;
        let error = near.unwrap().read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let error = far.unwrap().0.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(world.relay.stats().idle_timeouts, 1);
    });
}

#[test]
fn a_reset_is_passed_on_after_half_a_close() {
    block_on(async {
        let world = world(Limits::default());
        let (listener, remote) = listener().await;
        let connect = world.client.connect_from(client(1000), remote);
        let (near, far) = zip(connect, listener.accept()).await;
        let (near, mut far) = (near.unwrap(), far.unwrap().0);
        near.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
        near.abort();
        eventually(|| world.relay.stats().client_resets == 1).await;
        Timer::after(SOON / 3).await;
        far.write_all(b"x").await.unwrap_err();
    });
}

#[test]
fn a_client_that_resets_while_the_host_does_not_read_is_noticed() {
    block_on(async {
        let world = world(Limits::default().half_close(SOON));
        let (listener, remote) = listener().await;
        let connect = world.client.connect_from(client(1000), remote);
        let (near, far) = zip(connect, listener.accept()).await;
        let (mut near, mut far) = (near.unwrap(), far.unwrap().0);
        let fill = async { while near.write_all(&[0; 65_536]).await.is_ok() {} };
        assert!(within(3 * SOON, fill).await.is_none(), "endless buffers");
        near.abort();
        eventually(|| world.relay.stats().connections == 0).await;
        let end = far.read_to_end(&mut Vec::new()).await;
        assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn what_a_client_sent_before_its_reset_reaches_the_host() {
    block_on(async {
        let world = world(Limits::default());
        let (listener, remote) = listener().await;
        let connect = world.client.connect_from(client(1000), remote);
        let (near, far) = zip(connect, listener.accept()).await;
        let (mut near, mut far) = (near.unwrap(), far.unwrap().0);
        // The client closes without reading the answer.
        far.write_all(b"answer").await.unwrap();
        near.write_all(b"question").await.unwrap();
        near.wait_acked().await.unwrap();
        near.abort();
        let mut received = Vec::new();
        let end = far.read_to_end(&mut received).await;
        assert_eq!(received, b"question");
        assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn both_directions_carry_much_at_the_same_time() {
    const LENGTH: usize = 5_000_000;
    let data: Vec<u8> = (0..LENGTH).map(|n| (n % 251) as u8).collect();
    let data = &data;
    block_on(async {
        let world = world(Limits::default());
        let (listener, remote) = listener().await;
        let connect = world.client.connect_from(client(1000), remote);
        let (near, far) = zip(connect, listener.accept()).await;
        let (near, far) = (near.unwrap(), far.unwrap().0);
        let near_up = async {
            (&near).write_all(data).await.unwrap();
            (&near).close().await.unwrap();
        };
        let far_up = async {
            far.clone().write_all(data).await.unwrap();
            far.shutdown(std::net::Shutdown::Write).unwrap();
        };
        let (mut at_near, mut at_far) = (Vec::new(), Vec::new());
        let down = async {
            let near_down = async { (&near).read_to_end(&mut at_near).await };
            let far_down = async { far.clone().read_to_end(&mut at_far).await };
            let (near_end, far_end) = zip(near_down, far_down).await;
            near_end.and(far_end).unwrap();
        };
        zip(zip(near_up, far_up), down).await;
        assert!(&at_near == data && &at_far == data);
        let stats = world.relay.stats();
        assert_eq!(
            (stats.bytes_up, stats.bytes_down),
            (LENGTH as u64, LENGTH as u64)
        );
        eventually(|| world.relay.stats().connections == 0).await;
        assert_eq!(
            world.relay.stats().host_resets + world.relay.stats().client_resets,
            0
        );
    });
}

/// The driver of the relay and all its tasks, on the reactor of one thread.
#[test]
fn one_thread_carries_everything() {
    const LENGTH: usize = 3_000_000;
    let (near, far) = brooklet::pipe(256);
    let client_parts = Builder::new().build(near).unwrap();
    let far = Builder::new().build(far).unwrap();
    let executor = Arc::new(async_executor::Executor::new());
    let tasks = executor.clone();
    let spawner = Spawner::new(move |task| tasks.spawn(task).detach());
    let map = Map::new(|to: SocketAddr| SocketAddr::from((Ipv4Addr::LOCALHOST, to.port())));
    let relay = Relay::new(
        far.stack,
        map,
        Router::default(),
        Limits::default(),
        spawner,
    );
    relay.start_tcp(far.tcp, crate::HostDialer);
    let driver = far.driver;
    thread::spawn(move || brooklet_reactor::block_on(executor.run(driver)));
    smol::spawn(client_parts.driver).detach();

    // An echo, up to the end of the client.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            thread::spawn(move || io::copy(&mut &stream, &mut &stream).unwrap());
        }
    });
    block_on(async {
        for number in 0..20 {
            let connect = client_parts
                .stack
                .connect_from(client(1000 + number), (REMOTE, port).into());
            let stream = connect.await.unwrap();
            // Single bytes, whose answers are waited for, and then much at once.
            for byte in 0..10 {
                (&stream).write_all(&[byte]).await.unwrap();
                let mut echo = [0];
                (&stream).read_exact(&mut echo).await.unwrap();
                assert_eq!(echo, [byte]);
            }
            let data: Vec<u8> = (0..LENGTH / 20).map(|n| (n % 251) as u8).collect();
            let up = async {
                (&stream).write_all(&data).await.unwrap();
                (&stream).close().await.unwrap();
            };
            let mut echo = Vec::new();
            let down = async { (&stream).read_to_end(&mut echo).await.unwrap() };
            zip(up, down).await;
            assert!(echo == data, "{} bytes", echo.len());
        }
        eventually(|| relay.stats().connections == 0).await;
        assert_eq!(relay.stats().connections_total, 20);
    });
}
