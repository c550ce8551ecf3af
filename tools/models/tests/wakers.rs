//! Wakers that panic when they are woken: nobody else stays asleep.
#![cfg(shuttle)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use brooklet_models::{Options, addr, all, check, net, run, task};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        // Not the hook: its message for every order would hide the others.
        std::panic::resume_unwind(Box::new("a waker panics"));
    }
}

/// Polls a future once, with a waker that panics, and keeps it waiting.
fn leave_waiting<F: Future>(future: F) {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Panics));
    // Ready or not: its order decides.
    let _ = future.as_mut().poll(&mut Context::from_waker(&waker));
}

#[test]
fn a_reader_wakes_beside_one_whose_waker_panics() {
    check(|| {
        let net = net(Options::default());
        let tcp = net.tcp;
        let server = task(async move { tcp.accept().await.unwrap().0 });
        let stream = run(net.here.connect_from(addr(1, 1), addr(2, 2))).unwrap();
        let server = all([server]).remove(0);
        // Both kinds of waiting: by `poll_read`, whose waker stays, and by a future.
        let panics = stream.clone();
        let panics = task(async move {
            let mut byte = [0];
            leave_waiting(panics.peek(&mut byte));
            let mut cx = Context::from_waker(Waker::noop());
            let _ = pin!(panics.wait_acked()).poll(&mut cx);
            let waker = Waker::from(Arc::new(Panics));
            let mut reader = &panics;
            let polled = futures_lite::AsyncRead::poll_read(
                std::pin::Pin::new(&mut reader),
                &mut Context::from_waker(&waker),
                &mut byte,
            );
            match polled {
                Poll::Ready(got) => got.unwrap(),
                Poll::Pending => 0,
            }
        });
        let reader = stream.clone();
        let reader = task(async move {
            let mut got = 0;
            let mut buf = [0; 8];
            loop {
                match (&reader).read(&mut buf).await.unwrap() {
                    0 => return got,
                    n => got += n,
                }
            }
        });
        let write = task(async move {
            (&server).write_all(b"xy").await.unwrap();
            (&server).close().await.unwrap();
        });
        let got = all([panics]).remove(0) + all([reader]).remove(0);
        assert_eq!(got, 2);
        all([write]);
        drop(stream);
        net.drivers.end();
    });
}

#[test]
fn acceptors_and_receivers_wake_beside_those_whose_wakers_panic() {
    check(|| {
        let net = net(Options::default());
        let (tcp, udp) = (net.tcp.clone(), net.there_udp.clone());
        let panics = task(async move {
            let waker = Waker::from(Arc::new(Panics));
            let mut cx = Context::from_waker(&waker);
            let accepted = tcp.poll_accept(&mut cx).is_ready();
            let received = udp.poll_recv_from(&mut cx, &mut [0; 8]).is_ready();
            (accepted, received)
        });
        let tcp = net.tcp.clone();
        let accept = task(async move {
            tcp.accept().await.unwrap();
        });
        let udp = net.there_udp.clone();
        let receive = task(async move {
            udp.recv_datagram().await.unwrap();
        });
        let client = |port| {
            let here = net.here.clone();
            task(async move { here.connect_from(addr(1, port), addr(2, 2)).await.map(drop) })
        };
        let first = client(1);
        let sender = net.here_udp.clone();
        let send = |n: u8| {
            let sender = sender.clone();
            task(async move {
                sender.send_to(&[n], addr(1, 1), addr(2, 2)).await.unwrap();
            })
        };
        let sent = send(1);
        let (accepted, received) = all([panics]).remove(0);
        // What the task with the waker that panics has got is lost to the others.
        let second = accepted.then(|| client(2));
        let again = received.then(|| send(2));
        all([accept, receive, sent]);
        all(again);
        let _ = all([first]);
        let _ = all(second);
        net.drivers.end();
    });
}
