//! What arrives next at a listener.

use super::TcpListener;
use crate::connection::Connection;
use crate::options::TcpOptions;
use crate::request::TcpRequest;
use crate::stream::TcpStream;
use crate::syn_queue::SynId;
use crate::table::Table;
use brooklet_cell::wakers::{WaitKey, WakeList};
use brooklet_cell::{Flavor, Shared};
use brooklet_io::StackClosed;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

/// The next step of `accept`.
enum Next<F: Flavor> {
    Accepted(Shared<F, Connection<F>>),
    Syn(SynId, Arc<TcpOptions>),
    /// A SYN that is answered with a cookie.
    Cookie(SynId),
    /// A half-open connection that gives its place to a SYN.
    Stale(Shared<F, Connection<F>>),
}

/// How many SYNs a listener answers with cookies before the driver has its turn: the outbound queue
/// has no room for all that may wait.
const COOKIES_PER_POLL: usize = 64;

/// How long a client may take to acknowledge the SYN-ACK while SYNs wait for its place. On a TUN
/// it takes less than a millisecond.
const HANDSHAKE_GRACE: Duration = Duration::from_millis(5);

impl<F: Flavor> TcpListener<F> {
    pub(super) fn poll_accept_with(
        &self,
        cx: &mut TaskContext<'_>,
        mut key: Option<&mut WaitKey>,
    ) -> Poll<io::Result<(TcpStream<F>, SocketAddr)>> {
        let cookies = self.stack.config.config.syn_cookies;
        let mut sent = 0;
        loop {
            let now = self.stack.now();
            let next = self.wait(cx, key.as_deref_mut(), |table, id| {
                if let Some(connection) = table.next_accepted(id) {
                    return Some(Next::Accepted(connection));
                }
                let is_full = table.is_half_open_full(id);
                if is_full && !cookies {
                    return table
                        .stale_half_open(id, now, HANDSHAKE_GRACE)
                        .map(Next::Stale);
                }
                let (syn, entry, options) = table.next_syn(id)?;
                Some(match is_full && entry.completed().is_none() {
                    true => Next::Cookie(syn),
                    false => Next::Syn(syn, options),
                })
            });
            match std::task::ready!(next)? {
                Next::Accepted(connection) => {
                    let key = connection.with(|connection| {
                        // The connection may be a later one of the same 4-tuple.
                        let accepted = connection.handshake_done && connection.take_listened();
                        connection.handles += u32::from(accepted);
                        accepted.then(|| connection.key())
                    });
                    if let Some(key) = key {
                        let stream = TcpStream::new(self.stack.clone(), connection, key);
                        return Poll::Ready(Ok((stream, key.source())));
                    }
                }
                Next::Stale(connection) => {
                    let moment = self.stack.config.micros(now);
                    self.stack.enter(&connection, moment, Connection::evict);
                }
                Next::Cookie(syn) => {
                    self.answer_with_cookie(syn, now);
                    sent += 1;
                    if sent == COOKIES_PER_POLL {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
                // A SYN that is gone meanwhile is no error of the listener.
                Next::Syn(syn, options) => {
                    drop(self.stack.answer(syn, &options, true));
                }
            }
        }
    }

    /// Returns what `look` finds in the table. If `look` finds nothing, registers the task.
    fn wait<R>(
        &self,
        cx: &TaskContext<'_>,
        key: Option<&mut WaitKey>,
        look: impl FnOnce(&mut Table<F>, u32) -> Option<R>,
    ) -> Poll<io::Result<R>> {
        let mut wakes = WakeList::default();
        let (found, _old) = self.stack.table.with(|table| {
            if table.is_closed() {
                return (Poll::Ready(Err(StackClosed.into())), None);
            }
            if let Some(found) = look(table, self.id) {
                return (Poll::Ready(Ok(found)), None);
            }
            let listening = table.listeners.get_mut(self.id);
            let old = listening.and_then(|listening| match key {
                Some(key) => listening.acceptors.register(key, cx.waker()),
                None => {
                    listening.acceptors.register_poll(cx.waker(), &mut wakes);
                    None
                }
            });
            (Poll::Pending, old)
        });
        wakes.wake_all();
        found
    }

    pub(super) fn poll_request_with(
        &self,
        cx: &mut TaskContext<'_>,
        mut key: Option<&mut WaitKey>,
    ) -> Poll<io::Result<TcpRequest<F>>> {
        let mut cookies = 0;
        loop {
            let now = self.stack.now();
            let next = self.wait(cx, key.as_deref_mut(), |table, id| {
                let was_full = table.was_full(now);
                let (syn, entry, options) = table.next_syn(id)?;
                if was_full && entry.completed().is_none() {
                    return Some(Err(syn));
                }
                Some(Ok(((syn, entry.queue), entry.parse()?, options)))
            });
            match std::task::ready!(next)? {
                Ok(syn) => return Poll::Ready(Ok(TcpRequest::new(self.stack.clone(), syn))),
                Err(syn) => self.answer_with_cookie(syn, now),
            }
            cookies += 1;
            if cookies == COOKIES_PER_POLL {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    /// Answers a SYN with a cookie, after it has waited in the queue.
    fn answer_with_cookie(&self, syn: SynId, now: Instant) {
        let mut wakes = WakeList::default();
        let table = &self.stack.table;
        let taken = table.with(|table| table.answer_with_cookie(syn, now, &mut wakes));
        wakes.wake_all();
        if let Some((entry, source)) = taken {
            self.stack.answer_with_cookie(&entry, &source);
        }
    }
}
