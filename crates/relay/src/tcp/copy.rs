//! Both directions of a connection.
//!
//! A connection through the relay ends as it would end without the relay:
//!
//! - The end of one direction (FIN) is passed on, and the other direction goes on.
//! - An error of one side is passed on to the other side as a reset, after everything that arrived
//!   before the error. A server may answer before it has read the whole request, and close: its
//!   system sends the answer and then a RST, because data was not read. The client's system lets
//!   the client read the answer first.
//!
//! The relay has no buffer of its own: the host's socket reads into the send buffer of the stack,
//! and writes from the receive buffer.

use super::Upstream;
use super::idle::Idle;
use crate::Limits;
use crate::stats::{Counters, Entry};
use crate::workers::moved;
use brooklet::TcpStream;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

/// The most bytes of each direction that a poll moves before other tasks have their turn.
const BUDGET: usize = 256 * 1024;

/// How a connection has ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Both sides have closed.
    Closed,
    /// The client has reset the connection, or is gone.
    Client(io::Error),
    /// The host has reset the connection, or is gone.
    Host(io::Error),
    /// One direction has ended, and the other one was idle for too long.
    HalfClosed,
    /// Both directions were idle for too long.
    Idle,
}

/// Copies both directions until both have ended, and ends both sides. Drops `upload` when the
/// upstream has everything that the client sent.
pub(super) async fn copy<S: Upstream>(
    client: TcpStream,
    upstream: S,
    limits: &Limits,
    counters: &Counters,
    upload: Entry,
) -> Outcome {
    let mut upstream = ResetByPanic(upstream);
    let outcome = {
        let mut copying = Copying {
            client: &client,
            upstream: &mut upstream.0,
            limits,
            counters,
            up: Up::Open(upload),
            is_unflushed: false,
            is_down_open: true,
            client_error: None,
            host_error: None,
            idle: Idle::new(),
            is_closed: false,
        };
        let mut closed = pin!(client.closed());
        poll_fn(|cx| copying.poll(cx, closed.as_mut())).await
    };
    match outcome {
        Outcome::Closed => {}
        Outcome::Client(_) => upstream.0.reset(),
        Outcome::Host(_) => {
            drop(upstream);
            delivered(&client, limits.half_close).await;
            client.abort();
        }
        Outcome::HalfClosed | Outcome::Idle => {
            upstream.0.reset();
            client.abort();
        }
    }
    outcome
}

/// A connection that is reset if its task panics: its peer must not take the rest for the end. The
/// drop of the client's connection does the same by itself.
struct ResetByPanic<S: Upstream>(S);

impl<S: Upstream> Drop for ResetByPanic<S> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A second panic would abort the process.
            let _ = catch_unwind(AssertUnwindSafe(|| self.0.reset()));
        }
    }
}

/// Waits until the client has acknowledged everything, or has acknowledged nothing for the time of
/// the limit. A RST would overtake the rest.
async fn delivered(client: &TcpStream, limit: Duration) {
    let mut idle = Idle::new();
    idle.set_limit(Some(limit));
    let mut queued = usize::MAX;
    let mut acked = pin!(client.wait_acked());
    poll_fn(|cx| {
        // An error is the end of the client.
        if acked.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let now = client.info().send_queue;
        if now < queued {
            queued = now;
            idle.on_traffic();
        }
        idle.poll(cx)
    })
    .await;
}

struct Copying<'a, S> {
    client: &'a TcpStream,
    upstream: &'a mut S,
    limits: &'a Limits,
    counters: &'a Counters,
    up: Up,
    /// Whether the upstream may keep back data that was written.
    is_unflushed: bool,
    is_down_open: bool,
    client_error: Option<io::Error>,
    host_error: Option<io::Error>,
    idle: Idle,
    /// Whether the client's `closed` has completed.
    is_closed: bool,
}

/// The direction from the client.
enum Up {
    Open(Entry),
    /// The client has closed, and the upstream has not yet.
    Closing(#[expect(dead_code, reason = "its drop counts")] Entry),
    Ended,
}

/// Why a direction stands still. The task is registered there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    Client,
    Host,
    /// For its next turn.
    Turn,
    /// The direction has ended in this poll.
    Changed,
    Ended,
}

/// Which side has returned a result.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Host,
    /// The host's side has registered the task.
    HostPending,
}

impl<S: Upstream> Copying<'_, S> {
    fn poll<C>(&mut self, cx: &mut Context<'_>, mut closed: Pin<&mut C>) -> Poll<Outcome>
    where
        C: Future<Output = io::Result<()>>,
    {
        loop {
            let down = self.download(cx);
            let up = self.upload(cx);
            if let Some(outcome) = self.outcome() {
                return Poll::Ready(outcome);
            }
            if down == Wait::Changed || up == Wait::Changed {
                continue; // the other direction may go on otherwise now
            }
            // A client that nobody reads from can reset the connection, or vanish, unnoticed.
            if up != Wait::Client
                && !self.is_closed
                && let Poll::Ready(end) = closed.as_mut().poll(cx)
            {
                self.is_closed = true;
                if let Err(error) = end {
                    self.on_client_error(error);
                    continue;
                }
            }
            if down == Wait::Turn || up == Wait::Turn {
                cx.waker().wake_by_ref();
            }
            return self.poll_idle(cx);
        }
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let is_half_closed = !self.is_down_open || !matches!(self.up, Up::Open(_));
        self.idle.set_limit(match is_half_closed {
            true => Some(self.limits.half_close),
            false => self.limits.idle_connection,
        });
        self.idle.poll(cx).map(|()| match is_half_closed {
            true => Outcome::HalfClosed,
            false => Outcome::Idle,
        })
    }

    /// Returns how the connection has ended, if nothing is left to deliver.
    fn outcome(&mut self) -> Option<Outcome> {
        let is_up_ended = matches!(self.up, Up::Ended);
        if is_up_ended && let Some(error) = self.client_error.take() {
            return Some(Outcome::Client(error));
        }
        if !self.is_down_open
            && let Some(error) = self.host_error.take()
        {
            return Some(Outcome::Host(error));
        }
        (is_up_ended && !self.is_down_open).then_some(Outcome::Closed)
    }

    /// Nothing can be delivered to the client. What it sent before is still there.
    fn on_client_error(&mut self, error: io::Error) {
        self.client_error.get_or_insert(error);
        self.is_down_open = false;
    }

    /// Nothing can be delivered to the host. What it sent before is still there.
    fn on_host_error(&mut self, error: io::Error) {
        self.host_error.get_or_insert(error);
        self.up = Up::Ended;
    }

    /// Copies from the host to the client.
    fn download(&mut self, cx: &mut Context<'_>) -> Wait {
        if !self.is_down_open {
            return Wait::Ended;
        }
        let mut budget = BUDGET;
        while budget > 0 {
            if self.upstream.poll_read_ready(cx).is_pending() {
                return Wait::Host;
            }
            let (upstream, waker) = (&mut *self.upstream, cx.waker());
            let mut side = Side::Client;
            let copied = self.client.poll_write_with(cx, |room| {
                let mut cx = Context::from_waker(waker);
                let mut room = first_mut(room, budget);
                let read = Pin::new(&mut *upstream).poll_read_vectored(&mut cx, &mut room);
                host_result(read, &mut side)
            });
            match (copied, side) {
                (Poll::Pending, _) => return Wait::Client,
                (_, Side::HostPending) => return Wait::Host,
                (Poll::Ready(Ok(0)), _) => {
                    self.on_host_end();
                    return Wait::Changed;
                }
                (Poll::Ready(Ok(n)), _) => {
                    budget = budget.saturating_sub(n);
                    self.counters.bytes_down.add(n as u64);
                    moved(n);
                    self.idle.on_traffic();
                }
                (Poll::Ready(Err(error)), _) if error.kind() == ErrorKind::Interrupted => {}
                (Poll::Ready(Err(error)), Side::Host) => {
                    self.is_down_open = false;
                    self.on_host_error(error);
                    return Wait::Changed;
                }
                (Poll::Ready(Err(error)), Side::Client) => {
                    self.on_client_error(error);
                    return Wait::Changed;
                }
            }
        }
        Wait::Turn
    }

    /// The host's data is all read.
    fn on_host_end(&mut self) {
        self.is_down_open = false;
        // A write that fails takes the error of a RST away, and reads end without it. The error is
        // `BrokenPipe` if the host had sent a FIN before the RST.
        let is_fin = match &self.host_error {
            Some(error) => error.kind() == ErrorKind::BrokenPipe,
            None => true,
        };
        if is_fin {
            // An error is the end of the client, which the other direction or `closed` reports.
            let _ = self.client.shutdown(Shutdown::Write);
        }
    }

    /// Copies from the client to the host.
    fn upload(&mut self, cx: &mut Context<'_>) -> Wait {
        match self.up {
            Up::Open(_) => {}
            Up::Closing(_) => return self.close_upstream(cx),
            Up::Ended => return Wait::Ended,
        }
        let mut budget = BUDGET;
        while budget > 0 {
            let (upstream, waker) = (&mut *self.upstream, cx.waker());
            let mut side = Side::Client;
            let copied = self.client.poll_read_with(cx, |data| {
                let mut cx = Context::from_waker(waker);
                let data = first(data, budget);
                let written = match Pin::new(&mut *upstream).poll_write_vectored(&mut cx, &data) {
                    Poll::Ready(Ok(0)) => Poll::Ready(Err(ErrorKind::WriteZero.into())),
                    written => written,
                };
                host_result(written, &mut side)
            });
            match (copied, side) {
                (Poll::Pending, _) => return self.flush_upstream(cx),
                (_, Side::HostPending) => return Wait::Host,
                (Poll::Ready(Ok(0)), _) => {
                    if let Up::Open(entry) = std::mem::replace(&mut self.up, Up::Ended) {
                        self.up = Up::Closing(entry);
                    }
                    return self.close_upstream(cx);
                }
                (Poll::Ready(Ok(n)), _) => {
                    budget = budget.saturating_sub(n);
                    self.counters.bytes_up.add(n as u64);
                    moved(n);
                    self.idle.on_traffic();
                    self.is_unflushed = true;
                }
                (Poll::Ready(Err(error)), _) if error.kind() == ErrorKind::Interrupted => {}
                (Poll::Ready(Err(error)), Side::Host) => {
                    self.on_host_error(error);
                    return Wait::Changed;
                }
                (Poll::Ready(Err(error)), Side::Client) => {
                    self.up = Up::Ended;
                    self.on_client_error(error);
                    return Wait::Changed;
                }
            }
        }
        Wait::Turn
    }

    /// Has the upstream send what it keeps back, while the client sends nothing more.
    fn flush_upstream(&mut self, cx: &mut Context<'_>) -> Wait {
        if self.is_unflushed
            && let Poll::Ready(flushed) = Pin::new(&mut *self.upstream).poll_flush(cx)
        {
            self.is_unflushed = false;
            if let Err(error) = flushed {
                self.on_host_error(error);
                return Wait::Changed;
            }
        }
        Wait::Client
    }

    fn close_upstream(&mut self, cx: &mut Context<'_>) -> Wait {
        let Poll::Ready(closed) = Pin::new(&mut *self.upstream).poll_close(cx) else {
            return Wait::Host;
        };
        self.up = Up::Ended;
        match closed {
            // The host has reset the connection: what it sent before is read first.
            Err(error) if error.kind() != ErrorKind::NotConnected => self.on_host_error(error),
            _ => {}
        }
        Wait::Changed
    }
}

/// Notes who returned the result of a closure that the client's stream lends its buffer to.
fn host_result(polled: Poll<io::Result<usize>>, side: &mut Side) -> io::Result<usize> {
    match polled {
        Poll::Ready(result) => {
            *side = Side::Host;
            result
        }
        Poll::Pending => {
            *side = Side::HostPending;
            Err(ErrorKind::WouldBlock.into())
        }
    }
}

/// The first bytes of the slices, of which there are two at most.
fn first<'a>(slices: &'a [IoSlice<'_>], most: usize) -> [IoSlice<'a>; 2] {
    let mut left = most;
    let mut slices = slices.iter();
    [(); 2].map(|()| match slices.next() {
        Some(slice) => {
            let n = slice.len().min(left);
            left -= n;
            IoSlice::new(&slice[..n])
        }
        None => IoSlice::new(&[]),
    })
}

/// The same for slices to write to.
fn first_mut<'a>(slices: &'a mut [IoSliceMut<'_>], most: usize) -> [IoSliceMut<'a>; 2] {
    let mut left = most;
    let mut slices = slices.iter_mut();
    [(); 2].map(|()| match slices.next() {
        Some(slice) => {
            let n = slice.len().min(left);
            left -= n;
            IoSliceMut::new(&mut slice[..n])
        }
        None => IoSliceMut::new(&mut []),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_limits_the_slices() {
        let slices = [IoSlice::new(b"hello "), IoSlice::new(b"world")];
        for (most, expected) in [
            (3, ["hel", ""]),
            (8, ["hello ", "wo"]),
            (99, ["hello ", "world"]),
        ] {
            let limited = first(&slices, most);
            assert_eq!(
                limited.map(|slice| slice.to_vec()),
                expected.map(|s| s.as_bytes().to_vec())
            );
        }
        let limited = first(&slices[..1], 99).map(|slice| slice.len());
        assert_eq!(limited, [6, 0]);
    }
}
