//! Panics of the program's functions, and of the tasks of a relay.

use super::connections::{Silence, dialing};
use super::{REMOTE, SOON, client, eventually, within};
use crate::{DialRequest, Limits, Map, Upstream};
use futures_lite::future::{self, block_on};
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

/// A connection that panics when it is written to. Counts the resets.
#[derive(Default)]
struct Panics(Silence, Arc<AtomicUsize>);

impl AsyncRead for Panics {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Panics {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        panic!("the connection panics")
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}

impl Upstream for Panics {
    fn reset(&mut self) {
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_connection_whose_task_panics_is_reset_and_the_others_go_on() {
    block_on(async {
        let resets = Arc::new(AtomicUsize::new(0));
        let counted = resets.clone();
        let dialer =
            move |_: DialRequest| future::ready(Ok(Panics(Silence::default(), counted.clone())));
        let (world, _) = dialing(Limits::default(), Map::transparent(), dialer);
        let connect = |port| world.client.connect_from(client(port), (REMOTE, 80).into());
        let (mut one, mut other) = (connect(1000).await.unwrap(), connect(1001).await.unwrap());
        one.write_all(b"panic").await.unwrap();
        let read = within(10 * SOON, one.read(&mut [0; 8])).await;
        let error = read.expect("a reset").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        eventually(|| world.relay.stats().panics == 1).await;
        eventually(|| world.relay.stats().connections == 1).await;
        assert_eq!(
            resets.load(Ordering::Relaxed),
            1,
            "the host learns of it too"
        );
        assert!(within(SOON, other.read(&mut [0; 8])).await.is_none());
        connect(1002).await.unwrap();
    });
}

#[test]
fn a_dialer_and_a_map_that_panic_cost_their_own_connection_only() {
    block_on(async {
        let dialer = |request: DialRequest| match request.to.port() {
            1 => panic!("the dialer panics"),
            _ => future::ready(Ok(Silence::default())),
        };
        let map = Map::new(|to: SocketAddr| match to.port() {
            2 => panic!("the map panics"),
            _ => Some(to),
        });
        let (world, _) = dialing(Limits::default(), map, dialer);
        let connect = |number, port| {
            let connect = world
                .client
                .connect_from(client(number), (REMOTE, port).into());
            within(10 * SOON, connect)
        };
        let refused = connect(1001, 2).await.expect("an answer").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        assert!(connect(1000, 1).await.is_none_or(|answer| answer.is_err()));
        connect(1002, 80).await.expect("an answer").unwrap();
        eventually(|| {
            let stats = world.relay.stats();
            (stats.panics, stats.connections, stats.connecting) == (2, 1, 0)
        })
        .await;
    });
}
