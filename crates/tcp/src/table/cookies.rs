//! SYN cookies: when a SYN is answered with one, and what becomes of those that come back.

use super::{Route, Table};
use crate::options::TcpOptions;
use crate::stats::Dropped;
use crate::syn_cookie;
use crate::syn_queue::{Completed, SynEntry, SynId, Verdict};
use brooklet_cell::Flavor;
use brooklet_cell::wakers::WakeList;
use brooklet_packet::{FlowKey, Headers, TcpHeader};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long SYNs are answered with cookies after one that found no place.
const PRESSURE_TIME: Duration = Duration::from_secs(1);

/// What the stateless answer to a SYN needs of the table.
pub(crate) struct CookieSource {
    pub(crate) options: Arc<TcpOptions>,
    pub(crate) path_mtu: Option<u16>,
}

impl<F: Flavor> Table<F> {
    /// Whether a SYN for `listener` is answered with a cookie, because the program or the clients
    /// are behind: the SYN queue is full, or there are as many half-open connections as there may
    /// be, or it was so within the last second.
    pub(super) fn is_under_pressure(
        &mut self,
        now: Instant,
        listener: u32,
        wakes: &mut WakeList,
    ) -> bool {
        let is_full = self.is_half_open_full(listener) || self.is_syn_queue_full(wakes);
        if is_full {
            self.full_at = Some(now);
        }
        is_full || self.was_full(now)
    }

    /// Whether SYNs are answered with cookies, as of the last one that found no place. The places that
    /// become free in a flood are left to clients that complete the handshake.
    pub(crate) fn was_full(&self, now: Instant) -> bool {
        self.full_at.is_some_and(|at| now < at + PRESSURE_TIME)
    }

    /// Whether the SYN queue has no place for a SYN, and no entry that gives its own. Handshakes that
    /// are not completed take at most half of
    /// [`max_connections`](crate::Config::max_connections), so that the others find a place.
    fn is_syn_queue_full(&mut self, wakes: &mut WakeList) -> bool {
        let config = &self.config.config;
        let most = config.backlog.min(config.max_connections / 2).max(1);
        let half_open = self.stats.half_open as usize;
        let waiting = self.syn_queue.len() - self.syn_queue.completed();
        let held = self.syn_queue.len() + self.stats.connections as usize;
        let is_full = waiting + half_open >= most
            || held >= config.max_connections
            || !self.has_memory(self.syn_queue.len() + 1);
        if !is_full {
            return false;
        }
        let evicted = self.syn_queue.evict_unanswered(wakes);
        if evicted {
            self.count(Dropped::BacklogFull);
        }
        !evicted
    }

    /// Notes that a SYN to the destination of `key` is answered with a cookie.
    pub(super) fn send_cookie(
        &mut self,
        now: Instant,
        (key, listener): (FlowKey, u32),
    ) -> Option<CookieSource> {
        let options = self.listeners.get(listener)?.options.clone();
        self.stats.syn_cookies_sent += 1;
        self.cookies_sent_at = Some(now);
        let since_epoch = now.saturating_duration_since(self.config.epoch);
        self.summary.cookie_sent(since_epoch);
        let path_mtu = self.path_mtu(now, key);
        Some(CookieSource { options, path_mtu })
    }

    /// Takes a SYN out of the queue to answer it with a cookie: it found a place there, and there is
    /// none among the half-open connections.
    pub(crate) fn answer_with_cookie(
        &mut self,
        id: SynId,
        now: Instant,
        wakes: &mut WakeList,
    ) -> Option<(SynEntry, CookieSource)> {
        let entry = self.take_syn(id, wakes)?;
        let source = self.send_cookie(now, (entry.key, entry.listener))?;
        Some((entry, source))
    }

    /// Decides on a segment that belongs to nothing, on `queue`. One that brings a cookie back
    /// becomes a request, or a connection of `accept`.
    pub(super) fn unmatched_arrives(
        &mut self,
        now: Instant,
        queue: u8,
        packet: (&[u8], &Headers, TcpHeader),
        wakes: &mut WakeList,
    ) -> Route<F> {
        let (bytes, headers, tcp) = packet;
        let may_be_cookie = tcp.flags.ack() && !tcp.flags.syn() && !tcp.flags.rst();
        let is_recent = self
            .cookies_sent_at
            .is_some_and(|at| now < at + syn_cookie::LIFETIME);
        if !may_be_cookie || !is_recent || self.is_closed() {
            return Route::Reset;
        }
        let key = headers.key();
        let Some(listener) = self.listeners.of(key.destination()) else {
            return Route::Reset;
        };
        let micros = self.config.micros(now);
        let Some(cookie) = syn_cookie::check(bytes, headers, tcp, &self.config, micros) else {
            self.stats.syn_cookies_failed += 1;
            return Route::Reset;
        };
        if let Some(full) = self.has_no_place_for_completed(wakes) {
            // The client sends its data again, with the same cookie.
            self.count(full);
            return Route::Drop;
        }
        let shift = self.listeners.get(listener).map_or(0, |listening| {
            listening.options.window_scale() // for a client that scales windows
        });
        let completed = Completed::new(key, cookie, shift, micros);
        self.syn_queue
            .insert_completed((key, listener, queue), completed, now);
        match self
            .syn_queue
            .completed_arrives(bytes, headers, tcp, micros)
        {
            Verdict::Closed => {
                // The client has closed what nobody has seen yet.
                self.syn_queue.remove(key, wakes);
                return Route::Reset;
            }
            Verdict::Dropped => self.count(Dropped::Unaccepted), // its data
            _ => {}
        }
        self.stats.syn_cookies_received += 1;
        self.stats.requested += 1;
        if let Some(listening) = self.listeners.get_mut(listener) {
            listening.acceptors.drain_into(wakes);
        }
        self.publish();
        Route::Drop
    }

    /// Makes room for one more request whose handshake is completed. Returns why there is none.
    fn has_no_place_for_completed(&mut self, wakes: &mut WakeList) -> Option<Dropped> {
        let config = &self.config.config;
        let (backlog, most) = (config.backlog, config.max_connections);
        if self.syn_queue.completed() >= backlog {
            return Some(Dropped::BacklogFull);
        }
        let connections = self.stats.connections as usize;
        loop {
            let held = self.syn_queue.len();
            if connections + held < most && self.has_memory(held + 1) {
                return None;
            }
            // A SYN that may come from a spoofed source gives its place.
            if !self.syn_queue.evict(wakes) {
                return Some(Dropped::TableFull);
            }
            self.stats.count(Dropped::BacklogFull);
        }
    }

    /// Decides on a segment of a client that has completed the handshake, and whose connection the
    /// program has not accepted yet.
    pub(super) fn arrives_for_completed(
        &mut self,
        now: Instant,
        (packet, headers, tcp): (&[u8], &Headers, TcpHeader),
        wakes: &mut WakeList,
    ) -> Route<F> {
        let (key, micros) = (headers.key(), self.config.micros(now));
        let verdict = self
            .syn_queue
            .completed_arrives(packet, headers, tcp, micros);
        match verdict {
            Verdict::Taken => Route::Drop,
            Verdict::Reset | Verdict::Closed => {
                self.syn_queue.remove(key, wakes);
                self.stats.withdrawn += 1;
                self.publish();
                match verdict {
                    Verdict::Closed => Route::Reset,
                    _ => Route::Drop,
                }
            }
            Verdict::BadAck => Route::Reset,
            Verdict::Dropped => self.drop_segment(Dropped::Unaccepted),
            Verdict::BadRst => self.drop_segment(Dropped::BadRst),
            Verdict::NoAck => self.drop_segment(Dropped::NoAck),
            Verdict::Syn => self.challenge(key, tcp, micros),
        }
    }

    fn drop_segment(&mut self, reason: Dropped) -> Route<F> {
        self.count(reason);
        Route::Drop
    }

    /// Answers a SYN to a request whose handshake is completed: a copy of the first SYN is dropped,
    /// another one challenged. A client that has lost the connection then resets it, and its next
    /// SYN is a new request (RFC 5961, 4.2).
    fn challenge(&mut self, key: FlowKey, tcp: TcpHeader, now: u64) -> Route<F> {
        if self.syn_queue.isn(key) == Some(tcp.seq) {
            return self.drop_segment(Dropped::RepeatedSyn);
        }
        self.count(Dropped::UnexpectedSyn);
        let listener = self.listeners.of(key.destination());
        let options = listener.and_then(|listener| self.listeners.get(listener));
        let completed = self.syn_queue.completed_of(key);
        let (Some(listening), Some(completed)) = (options, completed) else {
            return Route::Drop;
        };
        let ack = completed.challenge(key, &listening.options, &self.config, now);
        Route::Reply(ack)
    }
}
