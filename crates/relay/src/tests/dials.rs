//! Dials, and the requests that are not dialed.

use super::connections::{Silence, dialing};
use super::{REMOTE, SOON, client, eventually, within};
use crate::host::DialError;
use crate::{Destination, DialRequest, Limits, Map};
use async_io::Timer;
use brooklet::{Builder, Unreachable};
use futures_lite::future::{block_on, zip};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[test]
fn hosts_that_answer_late_are_dialed_at_the_same_time() {
    const CLIENTS: u16 = 600;
    block_on(async {
        let dialer = |_: DialRequest| async {
            Timer::after(Duration::from_secs(2)).await;
            Ok(Silence::default())
        };
        let (world, _) = dialing(Limits::default(), Map::transparent(), dialer);
        let start = Instant::now();
        let connects = (0..CLIENTS).map(|number| {
            let connect = world
                .client
                .connect_from(client(1000 + number), (REMOTE, 80).into());
            let mut connect = Box::pin(connect);
            // Sends the SYN.
            assert!(block_on(future::poll_once(&mut connect)).is_none());
            connect
        });
        let connects: Vec<_> = connects.collect();
        for connect in connects {
            connect.await.unwrap();
        }
        let took = start.elapsed();
        assert!(took < Duration::from_secs(6), "{took:?}");
    });
}

#[test]
fn a_host_that_does_not_answer_is_silence() {
    block_on(async {
        let dialer = |_: DialRequest| future::pending::<Result<Silence, DialError>>();
        let limits = Limits::default().dial(SOON / 10);
        let (world, _) = dialing(limits, Map::transparent(), dialer);
        let connect = world.client.connect_from(client(1000), (REMOTE, 80).into());
        let answer = within(SOON, connect).await;
        assert!(answer.is_none(), "an answer from nowhere");
        let stats = world.relay.stats();
        assert_eq!((stats.dials_timed_out, stats.connecting), (1, 0));
    });
}

#[test]
fn dials_without_an_answer_keep_no_place_of_a_connection() {
    block_on(async {
        let dialer = |request: DialRequest| async move {
            match request.to.port() {
                1 => future::pending().await,
                _ => Ok(Silence::default()),
            }
        };
        let limits = Limits::default().connections(1).dials(9);
        let (world, _) = dialing(limits, Map::transparent(), dialer);
        let connect = |number: u16, port: u16| {
            let stack = world.client.clone();
            let to = (REMOTE, port).into();
            smol::spawn(async move { stack.connect_from(client(1000 + number), to).await })
        };
        let _silent: Vec<_> = (0..8).map(|number| connect(number, 1)).collect();
        eventually(|| world.relay.stats().connecting == 8).await;
        let open = within(10 * SOON, connect(8, 80)).await.expect("no place");
        let open = open.unwrap();
        // The place is taken now: a dial that is done waits, and the others stay in the backlog.
        let mut second = connect(9, 80);
        assert!(within(SOON, &mut second).await.is_none());
        open.abort();
        within(10 * SOON, second).await.expect("no place").unwrap();
    });
}

#[test]
fn a_dial_ends_when_the_client_gives_up() {
    struct Guard(Arc<AtomicBool>);
    impl Drop for Guard {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    block_on(async {
        let ended = Arc::new(AtomicBool::new(false));
        let flag = ended.clone();
        let dialer = move |_: DialRequest| {
            let guard = Guard(flag.clone());
            async move {
                let _guard = guard;
                future::pending::<Result<Silence, DialError>>().await
            }
        };
        let (world, _) = dialing(Limits::default(), Map::transparent(), dialer);
        let connect = world.client.connect_from(client(1000), (REMOTE, 80).into());
        assert!(within(SOON, connect).await.is_none());
        eventually(|| ended.load(Ordering::Relaxed)).await;
        let stats = world.relay.stats();
        assert_eq!((stats.withdrawn, stats.connecting), (1, 0));
    });
}

#[cfg(unix)]
#[test]
fn a_dial_without_a_file_is_no_refusal() {
    block_on(async {
        let dialer = |_: DialRequest| async {
            let errno = rustix::io::Errno::MFILE.raw_os_error();
            Err::<Silence, DialError>(io::Error::from_raw_os_error(errno).into())
        };
        let (world, _) = dialing(Limits::default(), Map::transparent(), dialer);
        let connect = world.client.connect_from(client(1000), (REMOTE, 80).into());
        let error = connect.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HostUnreachable);
        assert_eq!(world.relay.stats().dials_out_of_files, 1);
    });
}

#[test]
fn the_map_refuses_rejects_and_drops() {
    block_on(async {
        let map = Map::new(|to: SocketAddr| match to.port() {
            1 => Destination::Refuse,
            2 => Unreachable::Network.into(),
            3 => Destination::Drop,
            _ => to.into(),
        });
        let dialer = |_: DialRequest| future::ready(Ok(Silence::default()));
        let (world, _) = dialing(Limits::default(), map, dialer);
        for (port, expected) in [
            (1, ErrorKind::ConnectionRefused),
            (2, ErrorKind::NetworkUnreachable),
        ] {
            let connect = world
                .client
                .connect_from(client(1000), (REMOTE, port).into());
            assert_eq!(connect.await.unwrap_err().kind(), expected, "port {port}");
        }
        let connect = world.client.connect_from(client(1000), (REMOTE, 3).into());
        assert!(within(SOON, connect).await.is_none());
        let connect = world.client.connect_from(client(1000), (REMOTE, 4).into());
        connect.await.unwrap();
        assert_eq!(world.relay.stats().unmapped, 3);
    });
}

#[test]
fn another_stack_is_an_upstream() {
    block_on(async {
        let (near, far) = brooklet::pipe(256);
        let servers = Builder::new().build(near).unwrap();
        let proxy = Builder::new().address([10, 7, 0, 1]).build(far).unwrap();
        smol::spawn(servers.driver).detach();
        smol::spawn(proxy.driver).detach();
        let server = servers.tcp;
        let dialer = move |request: DialRequest| {
            let stack = proxy.stack.clone();
            async move { Ok::<_, DialError>(stack.connect(request.to).await?) }
        };
        let (world, _) = dialing(Limits::default(), Map::transparent(), dialer);
        let connect = world.client.connect_from(client(1000), (REMOTE, 80).into());
        let (near, far) = zip(connect, server.accept()).await;
        let (mut near, mut far) = (near.unwrap(), far.unwrap().0);
        near.write_all(b"question").await.unwrap();
        near.shutdown(std::net::Shutdown::Write).unwrap();
        let mut question = String::new();
        far.read_to_string(&mut question).await.unwrap();
        assert_eq!(question, "question");
        far.abort();
        let error = near.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}
