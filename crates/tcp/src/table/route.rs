//! The way of a segment to its connection, to the SYN queue or to its answer.

use super::{Entry, Table};
use crate::address::is_endpoint;
use crate::connection::Connection;
use crate::stats::Dropped;
use crate::time_wait::{Arrival, TimeWait};
use brooklet_cell::wakers::WakeList;
use brooklet_cell::{Flavor, Shared};
use brooklet_packet::{FlowKey, Headers, TcpHeader};
use std::time::{Duration, Instant};

/// Where a segment goes.
pub(crate) enum Route<F: Flavor> {
    Connection(Shared<F, Connection<F>>),
    /// To the SYN queue: keep the SYN with [`Table::enqueue_syn`].
    SynQueue,
    /// TIME-WAIT acknowledges it.
    Acknowledge(TimeWait),
    /// Answer it with a RST.
    Reset,
    /// Answer it with this packet.
    Reply(Vec<u8>),
    Drop,
}

/// Whether a connection can have these two ends. A segment of others is not even answered with a
/// RST (RFC 1122, 3.2.1.3; RFC 4291, 2.5.3).
fn is_link_key(key: FlowKey) -> bool {
    let (peer, local) = (key.source(), key.destination());
    is_endpoint(peer) && is_endpoint(local) && peer != local
}

impl<F: Flavor> Table<F> {
    /// Decides where a segment goes whose checksum and flags are good. It arrived on `queue`.
    pub(crate) fn route(
        &mut self,
        (now, queue): (Instant, u8),
        packet: &[u8],
        headers: &Headers,
        tcp: TcpHeader,
        wakes: &mut WakeList,
    ) -> Route<F> {
        if self.gone {
            self.count(Dropped::Closed); // another engine has ended the stack
            return Route::Drop;
        }
        let key = headers.key();
        let opens = tcp.flags.syn() && !tcp.flags.ack();
        match self.entries.get(&key) {
            Some(Entry::Connection { connection, .. }) => Route::Connection(connection.clone()),
            Some(Entry::TimeWait(_)) => {
                self.arrives_in_time_wait(now, key, Arrival::new(packet, headers, tcp))
            }
            None => match self.syn_queue.isn(key) {
                Some(_) if self.syn_queue.completed_of(key).is_some() => {
                    self.arrives_for_completed(now, (packet, headers, tcp), wakes)
                }
                Some(isn) => self.arrives_for_queued_syn(now, (key, isn), tcp, wakes),
                None if !is_link_key(key) => {
                    self.count(Dropped::BadAddress);
                    Route::Drop
                }
                None if opens => self.listen(key),
                None => self.unmatched_arrives(now, queue, (packet, headers, tcp), wakes),
            },
        }
    }

    /// Decides on a segment of a client whose SYN with the number `isn` waits for an answer.
    fn arrives_for_queued_syn(
        &mut self,
        now: Instant,
        (key, isn): (FlowKey, u32),
        tcp: TcpHeader,
        wakes: &mut WakeList,
    ) -> Route<F> {
        if tcp.flags.rst() {
            // No window was advertised yet: only a RST at exactly RCV.NXT counts (RFC 9293,
            // 3.10.7.4; RFC 5961, 3.2).
            if tcp.seq == isn.wrapping_add(1) {
                self.syn_queue.remove(key, wakes);
                self.stats.withdrawn += 1;
                self.publish();
            } else {
                self.count(Dropped::BadRst);
            }
            Route::Drop
        } else if !tcp.flags.syn() || tcp.flags.ack() {
            Route::Reset // it acknowledges nothing that was sent
        } else if tcp.seq == isn && self.was_full(now) && self.syn_queue.is_pending(key) {
            Route::SynQueue // the client is not to wait for the program
        } else if tcp.seq == isn {
            self.count(Dropped::RepeatedSyn);
            self.syn_queue.extend(key, now);
            self.publish();
            Route::Drop
        } else {
            Route::SynQueue // the client has started anew
        }
    }

    /// Whether one more RST may answer a segment without a connection. Counts the RST, or the segment
    /// that is dropped.
    pub(crate) fn may_reset(&mut self, now: Instant) -> bool {
        let rate = self.config.config.resets_per_second;
        let interval = Duration::from_secs(1).checked_div(rate).unwrap_or_default();
        let allowed = self.resets.take(rate, interval, now);
        match allowed {
            true => self.stats.resets += 1,
            false => self.count(Dropped::ResetLimit),
        }
        allowed
    }

    /// Decides on a SYN to a 4-tuple without an entry: the LISTEN state (RFC 9293, 3.10.7.2).
    pub(super) fn listen(&mut self, key: FlowKey) -> Route<F> {
        match self.listeners.of(key.destination()) {
            Some(_) if !self.closing => Route::SynQueue,
            _ => Route::Reset,
        }
    }
}
