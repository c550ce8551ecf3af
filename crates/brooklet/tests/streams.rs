//! Packets, listener and datagrams as `Stream` and `Sink`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet::{Builder, Parts, Pipe};
use futures_core::Stream;
use futures_lite::{StreamExt, future, io};
use futures_sink::Sink;
use std::future::poll_fn;
use std::pin::Pin;

async fn send<T>(sink: &mut (impl Sink<T, Error = io::Error> + Unpin), item: T) -> io::Result<()> {
    poll_fn(|cx| Pin::new(&mut *sink).poll_ready(cx)).await?;
    Pin::new(&mut *sink).start_send(item)?;
    poll_fn(|cx| Pin::new(&mut *sink).poll_flush(cx)).await
}

/// Carries packets between two ends until one of them is gone.
async fn carry(a: &mut Pipe, b: &mut Pipe) -> io::Result<()> {
    enum From {
        A(Vec<u8>),
        B(Vec<u8>),
    }
    loop {
        let next = future::or(
            async { a.next().await.map(|packet| packet.map(From::A)) },
            async { b.next().await.map(|packet| packet.map(From::B)) },
        );
        match next.await {
            Some(Ok(From::A(packet))) => send(b, packet).await?,
            Some(Ok(From::B(packet))) => send(a, packet).await?,
            Some(Err(error)) => return Err(error),
            None => return Ok(()),
        }
    }
}

#[test]
fn a_program_that_has_its_packets_as_streams_and_sinks() {
    let (here, mut here_end) = brooklet::pipe(16);
    let (there, mut there_end) = brooklet::pipe(16);
    let Parts {
        stack,
        udp,
        driver: client,
        ..
    } = Builder::new().build(here).unwrap();
    let parts = Builder::new().build(there).unwrap();
    let (mut tcp, far_udp, server) = (parts.tcp, parts.udp, parts.driver);

    let accept = async {
        while let Some((stream, from, to)) = tcp.next().await {
            assert_eq!(stream.peer_addr()?, from);
            assert_eq!(stream.local_addr()?, to);
            support::echo(stream).await?;
        }
        Ok(())
    };
    let datagrams = async {
        let (mut reader, mut writer) = far_udp.split();
        while let Some((payload, from, to)) = reader.next().await {
            send(&mut writer, (payload, to, from)).await?;
        }
        Ok(())
    };
    let talk = async {
        support::check_datagrams(udp).await;
        support::check(stack, 1).await;
        Ok(())
    };
    let network = future::or(
        carry(&mut here_end, &mut there_end),
        future::or(client, server),
    );
    let services = future::or(accept, datagrams);
    future::block_on(future::or(talk, future::or(network, services))).unwrap();
}

#[test]
fn a_wire_keeps_its_bound_and_ends_for_both_sides() {
    let (mut a, mut b) = brooklet::pipe(2);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    for n in 0..2 {
        assert!(Pin::new(&mut a).poll_ready(&mut cx).is_ready());
        Pin::new(&mut a).start_send(vec![n]).unwrap();
    }
    assert!(Pin::new(&mut a).poll_ready(&mut cx).is_pending());
    let refused = Pin::new(&mut a).start_send(vec![9]).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
    assert_eq!(future::block_on(b.next()).unwrap().unwrap(), [0]);
    assert!(Pin::new(&mut a).poll_ready(&mut cx).is_ready());
    drop(a);
    assert_eq!(future::block_on(b.next()).unwrap().unwrap(), [1]);
    assert!(matches!(
        Pin::new(&mut b).poll_next(&mut cx),
        std::task::Poll::Ready(None)
    ));
    let gone = future::block_on(send(&mut b, vec![1])).unwrap_err();
    assert_eq!(gone.kind(), io::ErrorKind::UnexpectedEof);
}
