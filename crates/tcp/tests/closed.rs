//! Waiting for the end of a connection.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_tcp::TcpOptions;
use brooklet_tcp::{Config, StackClosed};
use futures_lite::{AsyncWriteExt, future};
use std::future::Future;
use std::io::{ErrorKind, Result};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use support::*;

fn opened() -> (Host, Peer, Stream) {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    (host, peer, stream)
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A task that waits for the end of a connection.
struct Waiting<'a> {
    closed: Pin<Box<dyn Future<Output = Result<()>> + 'a>>,
    count: Arc<Count>,
}

impl<'a> Waiting<'a> {
    fn new(stream: &'a Stream) -> Self {
        let mut task = Self {
            closed: Box::pin(stream.closed()),
            count: Arc::default(),
        };
        assert!(task.poll().is_pending());
        task
    }

    fn poll(&mut self) -> std::task::Poll<Result<()>> {
        let waker = Waker::from(self.count.clone());
        self.closed.as_mut().poll(&mut Context::from_waker(&waker))
    }

    fn wakes(&self) -> usize {
        self.count.0.load(Ordering::SeqCst)
    }

    /// The outcome, of which the task was told by one wake.
    fn outcome(mut self) -> Result<()> {
        assert_eq!(self.wakes(), 1);
        match self.poll() {
            std::task::Poll::Ready(outcome) => outcome,
            std::task::Poll::Pending => panic!("woken in vain"),
        }
    }
}

#[test]
fn each_end_wakes_every_task_once_with_data_unread_and_data_unsent() {
    type End = fn(&mut Host, &Peer, &Stream);
    let ends: [(ErrorKind, End); 4] = [
        (ErrorKind::ConnectionReset, |host, peer, _| {
            host.tx(peer.seg(RST | ACK, &[]));
        }),
        (ErrorKind::TimedOut, |host, _, _| {
            host.pass(400 * SECOND);
        }),
        (ErrorKind::ConnectionAborted, |_, _, stream| stream.abort()),
        (ErrorKind::NetworkDown, |host, _, _| host.engine.shutdown()),
    ];
    for (kind, end) in ends {
        let (mut host, mut peer, stream) = opened();
        let tasks = [(); 3].map(|()| Waiting::new(&stream));
        peer.send(&mut host, b"unread");
        now((&stream).write_all(b"unacknowledged")).unwrap();
        host.all();
        end(&mut host, &peer, &stream);
        for task in tasks {
            let error = task.outcome().unwrap_err();
            assert_eq!(error.kind(), kind);
            let is_down = kind == ErrorKind::NetworkDown;
            assert_eq!(error.get_ref().unwrap().is::<StackClosed>(), is_down);
        }
        // Who comes later is told at once.
        assert_eq!(now(stream.closed()).unwrap_err().kind(), kind);
    }
}

#[test]
fn fins_of_both_ends_are_the_end_whoever_sends_the_first() {
    // This end first, then the peer: TIME-WAIT.
    let (mut host, mut peer, stream) = opened();
    let task = Waiting::new(&stream);
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(peer.drain(&mut host), (vec![], true));
    assert_eq!(task.wakes(), 0);
    host.tx(peer.seg(FIN | ACK, &[]));
    task.outcome().unwrap();

    // The peer first: LAST-ACK.
    let (mut host, mut peer, stream) = opened();
    let task = Waiting::new(&stream);
    host.tx(peer.seg(FIN | ACK, b"unread"));
    peer.seq += 7;
    host.all();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(task.wakes(), 0, "the FIN is not acknowledged");
    assert_eq!(peer.drain(&mut host), (vec![], true));
    task.outcome().unwrap();
    assert_eq!(read(&stream).unwrap(), b"unread");

    // Both at once: CLOSING.
    let (mut host, mut peer, stream) = opened();
    let task = Waiting::new(&stream);
    stream.shutdown(Shutdown::Write).unwrap();
    host.tx(peer.seg(FIN | ACK, &[]));
    peer.seq += 1;
    assert_eq!(task.wakes(), 0);
    peer.drain(&mut host);
    task.outcome().unwrap();
}

#[test]
fn traffic_and_acknowledgments_wake_nobody_who_waits_for_the_end() {
    let (mut host, mut peer, stream) = opened();
    let mut task = Waiting::new(&stream);
    for _ in 0..10 {
        peer.send(&mut host, b"in");
        read(&stream).unwrap();
        now((&stream).write_all(b"out")).unwrap();
        assert!(pends(stream.wait_acked()));
        peer.drain(&mut host);
        now(stream.wait_acked()).unwrap();
    }
    host.pass(60 * SECOND);
    assert_eq!(task.wakes(), 0);
    assert!(task.poll().is_pending());
    host.tx(peer.seg(RST | ACK, &[]));
    assert!(task.outcome().is_err());
}

#[test]
fn who_waits_for_an_acknowledgment_is_woken_beside_who_waits_for_the_end() {
    let (mut host, mut peer, stream) = opened();
    let end = Waiting::new(&stream);
    now((&stream).write_all(b"out")).unwrap();
    let acked = Arc::<Count>::default();
    let waker = Waker::from(acked.clone());
    let mut wait = Box::pin(stream.wait_acked());
    let cx = &mut Context::from_waker(&waker);
    assert!(wait.as_mut().poll(cx).is_pending());
    peer.drain(&mut host);
    assert_eq!((acked.0.load(Ordering::SeqCst), end.wakes()), (1, 0));
    assert!(wait.as_mut().poll(cx).is_ready());
    host.tx(peer.seg(RST | ACK, &[]));
    assert!(end.outcome().is_err());
}

#[test]
fn a_dropped_wait_loses_nothing() {
    let (mut host, peer, stream) = opened();
    for _ in 0..3_000 {
        // Each task has a waker of its own; those of tasks that are gone are bounded.
        drop(Waiting::new(&stream));
    }
    let task = Waiting::new(&stream);
    host.tx(peer.seg(RST | ACK, &[]));
    assert!(task.outcome().is_err());
}

#[test]
fn a_task_that_only_waits_for_something_else_learns_of_a_reset() {
    let (mut host, peer, stream) = opened();
    let mut request = Box::pin(future::or(
        async { stream.closed().await.map(|()| "closed") },
        future::pending::<Result<&str>>(),
    ));
    assert!(poll(&mut request).is_pending());
    host.tx(peer.seg(RST | ACK, &[]));
    let std::task::Poll::Ready(outcome) = poll(&mut request) else {
        panic!("still pending");
    };
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn an_idle_peer_that_is_gone_ends_the_wait_by_keepalive() {
    let options = TcpOptions::new()
        .keepalive(Some(10 * SECOND))
        .user_timeout(Some(30 * SECOND));
    let mut host = Host::new(Config::new().options(options));
    let stream = Peer::new(CLIENT, SERVER).open(&mut host);
    let task = Waiting::new(&stream);
    host.pass(20 * SECOND);
    assert_eq!(task.wakes(), 0);
    host.pass(60 * SECOND);
    assert_eq!(task.outcome().unwrap_err().kind(), ErrorKind::TimedOut);
}
