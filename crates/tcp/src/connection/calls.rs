//! The calls of the application: SEND, RECEIVE, CLOSE, ABORT (RFC 9293, 3.10.2 to 3.10.5).

use super::{Connection, Control, NEVER, TcpState};
use crate::buffer::{Ring, Side};
use crate::error::End;
use crate::seq::Micros;
use crate::shared::Effects;
use brooklet_cell::Flavor;
use std::io::{self, IoSlice, IoSliceMut};

/// A buffer that the peer can fill or empty in less time does not limit the throughput: 4 Gbit/s.
/// A round trip on one host is shorter, so that nothing grows there.
const BYTES_PER_MICROSECOND: u64 = 500;

impl<F: Flavor> Connection<F> {
    /// RECEIVE: fills `bufs`, which are not all empty, one after the other. `Some(0)` is the end of
    /// the stream, and `None` says that nothing is there.
    pub(crate) fn receive(
        &mut self,
        bufs: &mut [IoSliceMut<'_>],
        fx: &mut Effects<'_, F>,
    ) -> Option<usize> {
        let read = match self.recv.ring() {
            Some(ring) => bufs.iter_mut().map(|buf| ring.read(buf)).sum(),
            None => 0,
        };
        self.on_read(read, fx);
        self.received(read)
    }

    /// RECEIVE without a copy: `lend` gets the bytes that wait to be read, and returns how many of
    /// them it has taken. An error takes none. `None` says that nothing is there, and `Some(Ok(0))`
    /// without a call of `lend` is the end of the stream.
    ///
    /// # Panics
    ///
    /// If `lend` returns more than it was lent. Nothing has changed then.
    pub(crate) fn receive_with(
        &mut self,
        lend: impl FnOnce(&[IoSlice<'_>]) -> io::Result<usize>,
        fx: &mut Effects<'_, F>,
    ) -> Option<io::Result<usize>> {
        let Some(ring) = self.recv.ring().filter(|ring| !ring.is_empty()) else {
            return self.received(0).map(Ok);
        };
        let (first, second) = ring.content();
        let parts = [first, second].map(IoSlice::new);
        let lent = if second.is_empty() { 1 } else { 2 };
        let taken = lend(&parts[..lent]);
        if let Ok(read) = taken {
            check_lent(read, ring.len());
            ring.consume(read);
            self.on_read(read, fx);
        }
        Some(taken)
    }

    /// The application has taken `read` bytes out of the receive buffer.
    fn on_read(&mut self, read: usize, fx: &mut Effects<'_, F>) {
        if read > 0 {
            self.tune_receive_buffer(read, fx.now);
            self.flush(fx); // the window may have opened
        }
    }

    /// Copies the first bytes that wait to be read into `buf`, which is not empty. Returns what
    /// [`receive`](Self::receive) returns.
    pub(crate) fn peek(&mut self, buf: &mut [u8]) -> Option<usize> {
        let read = self.recv.ring().map_or(0, |ring| ring.peek(buf));
        self.received(read)
    }

    fn received(&self, read: usize) -> Option<usize> {
        (read > 0 || self.peer_closed).then_some(read)
    }

    /// SEND: writes `bufs` one after the other, as far as there is room. Says how much was taken.
    ///
    /// Everything is in the send buffer before the first segment is made: short slices share one.
    pub(crate) fn write(&mut self, bufs: &[IoSlice<'_>], fx: &mut Effects<'_, F>) -> usize {
        if self.send_ring.is_none() {
            self.send_ring = Some(self.new_send_ring());
        }
        self.tune_send_buffer(
            bufs.iter()
                .fold(0, |sum, buf| sum.saturating_add(buf.len())),
        );
        let Some(ring) = &mut self.send_ring else {
            return 0;
        };
        let written = bufs.iter().map(|buf| ring.append(buf)).sum();
        if written > 0 {
            self.flush(fx);
        }
        written
    }

    /// SEND without a copy: `lend` gets the room in the send buffer, and returns how many bytes it
    /// has written there. An error writes none. `None` says that less than a quarter of the buffer
    /// is free: `lend` is not called for the few bytes of each ACK.
    ///
    /// A buffer in which `lend` wrote nothing, because it failed or panicked, is not attached.
    ///
    /// # Panics
    ///
    /// If `lend` returns more than it was lent. Nothing is sent then.
    pub(crate) fn write_with(
        &mut self,
        lend: impl FnOnce(&mut [IoSliceMut<'_>]) -> io::Result<usize>,
        fx: &mut Effects<'_, F>,
    ) -> Option<io::Result<usize>> {
        if !self.is_writable() {
            return None;
        }
        let mut fresh = match self.send_ring {
            None => Some(self.new_send_ring()),
            Some(_) => None,
        };
        let ring = self.send_ring.as_mut().or(fresh.as_mut())?;
        let room = ring.room();
        let (first, second) = ring.room_mut();
        let lent = if second.is_empty() { 1 } else { 2 };
        let mut parts = [first, second].map(IoSliceMut::new);
        let written = match lend(&mut parts[..lent]) {
            Ok(written) => written,
            Err(error) => return Some(Err(error)),
        };
        check_lent(written, room);
        if written > 0 {
            ring.advance(written);
            if fresh.is_some() {
                self.send_ring = fresh;
            }
            // Whoever has filled the room may have more.
            self.tune_send_buffer(1);
            self.flush(fx);
        }
        Some(Ok(written))
    }

    fn new_send_ring(&self) -> Box<Ring<F>> {
        let ring = Ring::new(self.claim.attach(Side::Send), self.send.nxt());
        Box::new(ring)
    }

    /// Grows the receive buffer while the application reads, in each round trip, more than half of
    /// what fits: then the window limits the peer, and not the application.
    fn tune_receive_buffer(&mut self, read: usize, now: Micros) {
        self.read_since = self.read_since.saturating_add(read as u32);
        let Some(rtt) = self.send.min_rtt() else {
            return;
        };
        let capacity = self.recv.window.capacity();
        if now < self.tuned_at + rtt {
            return;
        }
        let wanted = 2 * self.read_since as usize;
        (self.tuned_at, self.read_since) = (now, 0);
        let maximum = self.claim.maximum(Side::Receive);
        if wanted > capacity && capacity < maximum && limits(capacity, rtt) {
            // Four times what was read: in slow start the peer sends twice as much in the next round
            // trip, and the window must not be what limits it.
            self.recv.grow(2 * wanted.max(capacity), &self.claim);
        }
    }

    /// Grows the send buffer when it has no room for `more` bytes and for two windows, as Linux does (`tcp_sndbuf_expand`).
    fn tune_send_buffer(&mut self, more: usize) {
        let Some(ring) = &mut self.send_ring else {
            return;
        };
        let capacity = ring.capacity();
        if ring.room() >= more || capacity >= self.claim.maximum(Side::Send) {
            return;
        }
        // Two windows: the next one is at hand when the peer has acknowledged the last.
        let window = self.send.window().0.min(self.send.peer_window());
        let wanted = 2 * window as usize;
        let Some(rtt) = self.send.min_rtt() else {
            return;
        };
        if wanted > capacity
            && limits(capacity, rtt)
            && let Some(buffer) = self.claim.grow(Side::Send, capacity, 2 * capacity)
        {
            ring.grow(buffer);
        }
    }

    /// Sizes of the receive buffer and the send buffer, in bytes: those that are attached, or the
    /// initial ones.
    pub(crate) fn buffer_sizes(&self) -> (usize, usize) {
        let (_, send) = self.claim.sizes();
        let ring = self.send_ring.as_ref();
        (
            self.recv.window.capacity(),
            ring.map_or(send, |ring| ring.capacity()),
        )
    }

    /// CLOSE: sends the data in the send buffer, and then a FIN.
    pub(crate) fn shut_write(&mut self) {
        if !self.write_shut {
            self.write_shut = true;
            self.state = self.state.on_close();
        }
    }

    /// The program states the MTU of the path, or takes a statement back.
    pub(crate) fn set_path_mtu(&mut self, mtu: Option<u16>, fx: &Effects<'_, F>) {
        let link = (fx.stack.mtu(), self.key.is_ipv6());
        if self.pmtu.set_stated(fx.now, mtu, link) {
            let mss = self.segment_size();
            self.send.set_mss(mss);
        }
    }

    /// Discards received data that nobody will read.
    pub(crate) fn discard(&mut self) {
        let waiting = self.recv.len();
        if waiting == 0 {
            return;
        }
        if let Some(ring) = self.recv.ring() {
            ring.consume(waiting);
        }
        if let Some(orphan) = &mut self.orphan {
            orphan.has_late_data = true;
        }
    }

    /// ABORT: closes the connection with a RST (RFC 9293, 3.10.5).
    pub(super) fn reset_connection(&mut self) {
        if self.state == TcpState::Closed {
            return;
        }
        // A peer that has never received a segment of the connection need not learn of its end.
        self.pending_control = self.syn_sent.then_some(Control::Rst);
        self.enter_closed();
    }

    /// CLOSED: nothing is sent any more but a pending RST. What has arrived can still be read.
    pub(super) fn enter_closed(&mut self) {
        self.state = TcpState::Closed;
        self.send_ring = None;
        self.unanswered_since = NEVER;
        self.handshake_deadline = NEVER;
    }

    /// Whether the peer has acknowledged everything, and the FIN if there is one.
    pub(crate) fn all_acknowledged(&self) -> bool {
        self.all_acknowledged
    }

    /// How the connection is over: with a FIN of both ends, both acknowledged, or with the error
    /// that ended it before. `None` while it lasts.
    pub(crate) fn outcome(&self) -> Option<Result<(), End>> {
        match self.end {
            // An abort after this changes nothing for the peer.
            _ if self.is_finished() => Some(Ok(())),
            Some(end) => Some(Err(end)),
            None => None,
        }
    }

    /// Whether both ends have sent a FIN, and both FINs are acknowledged.
    pub(super) fn is_finished(&self) -> bool {
        self.peer_closed && self.write_shut && self.all_acknowledged
    }
}

/// # Panics
///
/// If more than the `lent` bytes are `used`.
fn check_lent(used: usize, lent: usize) {
    assert!(
        used <= lent,
        "the closure returned {used} bytes of {lent} bytes that it was lent"
    );
}

/// Whether a buffer of `capacity` bytes limits the throughput at this round-trip time.
fn limits(capacity: usize, rtt: Micros) -> bool {
    (capacity as u64) < rtt * BYTES_PER_MICROSECOND
}
