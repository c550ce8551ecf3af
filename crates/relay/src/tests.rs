//! The relay between a client stack in memory and real sockets on the loopback.

mod connections;
mod dials;
mod early_answers;
mod panics;

use super::*;
use async_io::Timer;
use brooklet::{Builder, Pipe, Stack, TransparentUdpSocket};
use futures_lite::future::{block_on, or, zip};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use socket2::SockRef;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::time::Duration;

/// What the client knows the loopback as.
pub(super) const REMOTE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SOON: Duration = Duration::from_millis(300);

pub(super) struct World {
    pub(super) client: Stack,
    datagrams: TransparentUdpSocket,
    pub(super) relay: Relay,
}

pub(super) fn world(limits: Limits) -> World {
    world_on(limits, |task| smol::spawn(task).detach())
}

/// A world whose tasks run where `spawn` starts them.
pub(super) fn world_on(limits: Limits, spawn: impl Fn(Task) + Send + Sync + 'static) -> World {
    world_over(brooklet::pipe(256), limits, spawn)
}

/// A world whose client and relay are at the ends of this pipe.
pub(super) fn world_over(
    (near, far): (Pipe, Pipe),
    limits: Limits,
    spawn: impl Fn(Task) + Send + Sync + 'static,
) -> World {
    let client = Builder::new().build(near).unwrap();
    let relay = Builder::new().build(far).unwrap();
    let map = Map::new(|to| {
        (to.ip() == REMOTE).then_some(SocketAddr::from((Ipv4Addr::LOCALHOST, to.port())))
    });
    for driver in [client.driver, relay.driver] {
        spawn(Box::pin(async move { _ = driver.await }));
    }
    let router = Router::default();
    let spawner = Spawner::new(spawn);
    let tasks = Relay::new(relay.stack, map, router, limits, spawner);
    tasks.start(relay.tcp, relay.udp, true).unwrap();
    World {
        client: client.stack,
        datagrams: client.udp,
        relay: tasks,
    }
}

pub(super) fn client(port: u16) -> SocketAddr {
    (Ipv4Addr::new(10, 0, 0, 1), port).into()
}

async fn listener() -> (async_net::TcpListener, SocketAddr) {
    let listener = async_net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, (REMOTE, port).into())
}

pub(super) async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    let late = async {
        Timer::after(limit).await;
        None
    };
    or(async { Some(future.await) }, late).await
}

/// Waits until what another task does is done.
async fn eventually(is_done: impl Fn() -> bool) {
    for _ in 0..1000 {
        if is_done() {
            return;
        }
        Timer::after(Duration::from_millis(10)).await;
    }
    panic!("not done after 10 s");
}

#[test]
fn each_direction_ends_by_itself() {
    block_on(async {
        let world = world(Limits::default());
        let (listener, remote) = listener().await;
        let sent: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();

        // The client ends first, and the answer still comes.
        let near = async {
            let mut near = world
                .client
                .connect_from(client(1000), remote)
                .await
                .unwrap();
            assert_eq!(world.relay.stats().uploads, 1);
            near.write_all(&sent).await.unwrap();
            near.close().await.unwrap();
            let mut answer = String::new();
            near.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let far = async {
            let (mut far, _) = listener.accept().await.unwrap();
            let mut received = Vec::new();
            far.read_to_end(&mut received).await.unwrap();
            eventually(|| world.relay.stats().uploads == 0).await;
            far.write_all(b"all of it").await.unwrap();
            received
        };
        let (answer, received) = zip(near, far).await;
        assert!(received == sent, "{} bytes came", received.len());
        assert_eq!(answer, "all of it");

        // The host ends first, and the client can still send.
        let near = async {
            let mut near = world
                .client
                .connect_from(client(1001), remote)
                .await
                .unwrap();
            let mut answer = String::new();
            near.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer, "first");
            near.write_all(b"last").await.unwrap();
        };
        let far = async {
            let (mut far, _) = listener.accept().await.unwrap();
            far.write_all(b"first").await.unwrap();
            far.close().await.unwrap();
            let mut received = String::new();
            far.read_to_string(&mut received).await.unwrap();
            received
        };
        assert_eq!(zip(near, far).await.1, "last");
    });
}

#[test]
fn a_refusal_is_passed_on() {
    block_on(async {
        let world = world(Limits::default());
        let (listener, closed) = listener().await;
        drop(listener);
        let unmapped = (Ipv4Addr::new(192, 0, 2, 2), 80).into();
        for remote in [closed, unmapped] {
            let error = world
                .client
                .connect_from(client(1000), remote)
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{remote}");
        }
    });
}

#[test]
fn resets_are_passed_on_in_both_directions() {
    block_on(async {
        let world = world(Limits::default());
        let (listener, remote) = listener().await;
        let mut near = world
            .client
            .connect_from(client(1000), remote)
            .await
            .unwrap();
        let (far, _) = listener.accept().await.unwrap();
        SockRef::from(&far)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(far);
        let error = near.read(&mut [0; 10]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);

        let near = world
            .client
            .connect_from(client(1001), remote)
            .await
            .unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        near.abort();
        let error = far.read(&mut [0; 10]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_client_beyond_the_limit_waits_for_room() {
    block_on(async {
        let world = world(Limits::default().connections(1));
        let (listener, remote) = listener().await;
        let first = world
            .client
            .connect_from(client(1000), remote)
            .await
            .unwrap();
        let (far, _) = listener.accept().await.unwrap();
        let second = world.client.connect_from(client(1001), remote);
        let mut second = std::pin::pin!(second);
        assert!(
            within(SOON, &mut second).await.is_none(),
            "beyond the limit"
        );
        assert_eq!(world.relay.stats().connections, 1);
        drop((first, far));
        within(10 * SOON, second).await.expect("no room").unwrap();
    });
}

/// A host socket that tells from which port each datagram came, and echoes it.
struct Echo(async_net::UdpSocket);

impl Echo {
    async fn new() -> (Self, SocketAddr) {
        let socket = async_net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .unwrap();
        let port = socket.local_addr().unwrap().port();
        (Self(socket), (REMOTE, port).into())
    }

    /// Sends a datagram through the relay and waits for its echo.
    async fn exchange(&self, world: &World, from: SocketAddr, to: SocketAddr) -> SocketAddr {
        world.datagrams.send_to(b"hello", from, to).await.unwrap();
        let mut buffer = [0; 100];
        let (n, session) = self.0.recv_from(&mut buffer).await.unwrap();
        self.0.send_to(&buffer[..n], session).await.unwrap();
        let answer = world.datagrams.recv_from(&mut buffer);
        let (n, source, target) = answer.await.unwrap();
        assert_eq!((&buffer[..n], source, target), (&b"hello"[..], to, from));
        session
    }
}

#[test]
fn answers_come_in_the_name_of_the_remote() {
    block_on(async {
        let world = world(Limits::default());
        let (echo, remote) = Echo::new().await;
        let first = echo.exchange(&world, client(1000), remote).await;
        assert_eq!(
            echo.exchange(&world, client(1000), remote).await,
            first,
            "one session"
        );
        assert_ne!(
            echo.exchange(&world, client(1001), remote).await,
            first,
            "two clients"
        );
    });
}

#[test]
fn a_client_has_one_port_for_all_hosts() {
    block_on(async {
        let world = world(Limits::default());
        let ((one, first), (two, second)) = (Echo::new().await, Echo::new().await);
        let session = one.exchange(&world, client(1000), first).await;
        assert_eq!(two.exchange(&world, client(1000), second).await, session);

        // A process of the host itself: the client has no name for a loopback address.
        let (three, _) = Echo::new().await;
        let session = (Ipv4Addr::LOCALHOST, session.port());
        three.0.send_to(b"unasked", session).await.unwrap();
        let mut buffer = [0; 100];
        let unasked = world.datagrams.recv_from(&mut buffer);
        assert!(within(SOON, unasked).await.is_none());
    });
}

#[test]
fn the_session_that_was_silent_longest_makes_room() {
    block_on(async {
        let world = world(Limits::default().sessions(2));
        let (echo, remote) = Echo::new().await;
        let first = echo.exchange(&world, client(1000), remote).await;
        let second = echo.exchange(&world, client(1001), remote).await;
        assert_eq!(echo.exchange(&world, client(1000), remote).await, first);
        echo.exchange(&world, client(1002), remote).await; // in the place of the second
        assert_eq!(echo.exchange(&world, client(1000), remote).await, first);
        assert!(is_closed(second), "the session is still open");
    });
}

#[test]
fn an_idle_session_ends_and_a_busy_one_does_not() {
    block_on(async {
        let idle = Duration::from_millis(500);
        let world = world(Limits::default().idle(idle));
        let (echo, remote) = Echo::new().await;
        let first = echo.exchange(&world, client(1000), remote).await;
        for _ in 0..6 {
            Timer::after(idle / 4).await;
            assert_eq!(echo.exchange(&world, client(1000), remote).await, first);
        }
        Timer::after(2 * idle).await;
        assert!(is_closed(first), "the session is still open");
        echo.exchange(&world, client(1000), remote).await; // in a new one
    });
}

#[test]
fn a_session_outlives_a_refusal() {
    block_on(async {
        let world = world(Limits::default());
        let (echo, remote) = Echo::new().await;
        let from = client(1000);
        let session = echo.exchange(&world, from, remote).await;
        let address = echo.0.local_addr().unwrap();
        drop(echo);
        world
            .datagrams
            .send_to(b"refused", from, remote)
            .await
            .unwrap();
        Timer::after(SOON / 3).await;
        let echo = Echo(async_net::UdpSocket::bind(address).await.unwrap());
        assert_eq!(echo.exchange(&world, from, remote).await, session);
    });
}

/// Whether nobody has the port of a session any more.
fn is_closed(session: SocketAddr) -> bool {
    let any = (Ipv4Addr::UNSPECIFIED, session.port());
    match std::net::UdpSocket::bind(any) {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::AddrInUse);
            false
        }
    }
}
