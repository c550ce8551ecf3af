//! One connection: its transmission control block (RFC 9293, 3.3.1) and everything that happens
//! to it.

mod arrival;
mod calls;
mod delayed_ack;
mod ending;
mod handshake;
mod icmp;
pub(crate) mod info;
mod isn;
mod output;
mod pmtu;
mod state;
mod timeouts;

pub(crate) use self::isn::keyed_hash;
pub(crate) use self::pmtu::local_mss;
pub use self::state::TcpState;

use self::delayed_ack::DelayedAck;
use self::pmtu::PathMtu;
use crate::buffer::{Claim, Ring, Side};
use crate::error::End;
use crate::options::{TcpOptions, micros};
use crate::receive::Receiver;
use crate::send::Sender;
use crate::seq::{Micros, NEVER};
use crate::shared::{Effects, StackConfig};
use crate::syn::Syn;
use crate::syn_cookie::SynCookie;
use brooklet_cell::Flavor;
use brooklet_cell::wakers::{PollWakers, WakeList};
use brooklet_packet::{FlowKey, TrafficClass};

/// The only owner of everything that is known of a connection.
pub(crate) struct Connection<F: Flavor> {
    /// The addresses and ports of the peer's packets.
    key: FlowKey,
    /// The device queue through which the connection sends.
    queue: u8,
    state: TcpState,
    /// Our initial send sequence number.
    iss: u32,
    recv: Receiver<F>,
    send: Sender,
    /// The shift count of the peer's windows, Snd.Wind.Shift, if the peer scales them.
    snd_wscale: Option<u8>,
    /// What was written and is not acknowledged.
    send_ring: Option<Box<Ring<F>>>,
    claim: Claim<F>,
    /// Long packets are handed out, and segmented outside.
    offload: bool,
    /// A control segment that is to be sent next.
    pending_control: Option<Control>,
    /// Our SYN has been sent.
    syn_sent: bool,
    /// Our FIN has been sent.
    fin_sent: bool,
    pub(crate) reader: PollWakers,
    pub(crate) writer: PollWakers,
    /// In a box: few connections have one.
    waiters: Option<Box<Waiters>>,
    /// Streams that lead here.
    pub(crate) handles: u32,
    pub(crate) opening: Opening,
    pub(crate) handshake_done: bool,
    pub(crate) end: Option<End>,
    /// The peer's FIN has arrived, with everything before it.
    peer_closed: bool,
    pub(crate) read_shut: bool,
    pub(crate) write_shut: bool,
    /// Nagle's algorithm (RFC 9293, 3.7.4).
    pub(crate) nagle: bool,
    pub(crate) ttl: u8,
    pub(crate) traffic_class: TrafficClass,
    /// Noted in the outbound queue as having more to send.
    waiting: bool,
    /// On the engine's list of connections that the current batch touched.
    pub(crate) touched: bool,
    /// The ACK waits for the tasks that the end of the batch wakes, so that their data can carry it.
    pub(crate) ack_deferred: bool,
    delayed_ack: DelayedAck,
    /// The peer has acknowledged everything, and the FIN if there is one.
    all_acknowledged: bool,
    /// The table no longer knows the connection.
    detached: bool,
    /// What there is of a connection that the application has dropped.
    orphan: Option<Box<Orphan>>,
    pmtu: PathMtu,
    /// When the connection began.
    opened_at: Micros,
    /// The latest moment that the connection has seen. Tasks read the clock, and a batch has one
    /// moment for all of its packets: time would go backwards without this.
    latest: Micros,
    /// When the handshake times out.
    handshake_deadline: Micros,
    /// Since when the peer has not answered transmissions, or [`NEVER`] (RFC 5482).
    unanswered_since: Micros,
    /// When a segment of the peer arrived last, or a keepalive probe was sent since.
    idle_since: Micros,
    /// When idle buffers are released.
    idle_deadline: Micros,
    /// The next moment at which there is something to do.
    deadline: Micros,
    /// The moment of the timer entry that stands for this connection: `deadline` or earlier.
    armed: Micros,
    /// When the last ACK of each rate-limited kind was sent, or [`NEVER`].
    limited_ack_at: [Micros; 2],
    /// The number of the last packet in the outbound queue.
    last_packet: u64,
    pub(crate) user_timeout: Micros,
    pub(crate) keepalive: Micros,
    pub(crate) linger: Micros,
    /// Since when, and how many bytes, the application has read: receive buffer auto-tuning.
    tuned_at: Micros,
    read_since: u32,
}

/// The tasks that wait for more than the next read or write.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    /// Until everything is acknowledged.
    pub(crate) acknowledged: PollWakers,
    /// Until the connection is over.
    pub(crate) closed: PollWakers,
}

/// Who has opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// This side, by `connect`.
    Active,
    /// The peer. The table counts the connection as half-open until the handshake is done.
    Passive,
    /// The peer. The `accept` of the listener has answered, and nobody has accepted it yet.
    Listened,
}

/// A control segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Control {
    /// The SYN, or the SYN-ACK once the peer's SYN has arrived.
    Syn,
    /// The ACK of the peer's SYN-ACK.
    Ack,
    Rst,
}

/// A connection that the application has dropped, and which still delivers what was written.
#[derive(Debug)]
struct Orphan {
    /// When the peer acknowledged something new last.
    last_progress: Micros,
    /// When the connection is reset, progress or not (`SO_LINGER`).
    linger_deadline: Micros,
    /// The peer has sent data that nobody will read.
    has_late_data: bool,
}

impl<F: Flavor> std::fmt::Debug for Connection<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("key", &self.key)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl<F: Flavor> Connection<F> {
    /// Makes a connection in SYN-RECEIVED: the SYN-ACK is sent at the first
    /// [`flush`](Self::flush).
    pub(crate) fn passive(
        (key, queue): (FlowKey, u8),
        (syn, path_mtu): (&Syn, Option<u16>),
        options: &TcpOptions,
        stack: &StackConfig<F>,
        now: Micros,
    ) -> Self {
        let mut connection = Self::new((key, queue), options, stack, now);
        let link = (stack.mtu(), key.is_ipv6());
        connection.pmtu.set_stated(now, path_mtu, link);
        connection.on_syn(now, syn);
        connection.state = TcpState::SynReceived;
        connection
    }

    /// Makes a connection in SYN-RECEIVED whose SYN-ACK was sent statelessly, with a
    /// [SYN cookie](crate::syn_cookie): the third packet of the handshake is to be taken in next.
    pub(crate) fn from_cookie(
        (key, queue): (FlowKey, u8),
        (cookie, path_mtu): (&SynCookie, Option<u16>),
        options: &TcpOptions,
        stack: &StackConfig<F>,
        now: Micros,
    ) -> Self {
        let syn = (&cookie.syn, path_mtu);
        let mut connection = Self::passive((key, queue), syn, options, stack, now);
        connection.syn_ack_was_sent(now, cookie.iss);
        connection
    }

    /// Makes a connection in SYN-SENT: the SYN is sent from the destination of `key` to its source
    /// at the first [`flush`](Self::flush).
    pub(crate) fn active(
        (key, queue): (FlowKey, u8),
        options: &TcpOptions,
        stack: &StackConfig<F>,
        now: Micros,
    ) -> Self {
        Self::new((key, queue), options, stack, now)
    }

    fn new(
        (key, queue): (FlowKey, u8),
        options: &TcpOptions,
        stack: &StackConfig<F>,
        now: Micros,
    ) -> Self {
        let (recv, send) = (options.recv_buffer, options.send_buffer);
        let (recv_max, send_max) = (options.recv_buffer_max, options.send_buffer_max);
        let claim = stack.memory.claim(recv, send, recv_max, send_max);
        let offset = keyed_hash(key, stack) as u32;
        let iss = isn::initial(key, stack, now);
        let mut sender = Sender::new(options.congestion);
        sender.start(iss);
        Self {
            key,
            queue,
            state: TcpState::SynSent,
            iss,
            recv: Receiver::new(recv, claim.maximum(Side::Receive), offset),
            send: sender,
            snd_wscale: None,
            send_ring: None,
            claim,
            offload: stack.interface.offload,
            pending_control: Some(Control::Syn),
            syn_sent: false,
            fin_sent: false,
            reader: PollWakers::default(),
            writer: PollWakers::default(),
            waiters: None,
            handles: 0,
            opening: Opening::Active,
            handshake_done: false,
            end: None,
            peer_closed: false,
            read_shut: false,
            write_shut: false,
            nagle: !options.nodelay,
            ttl: options.ttl,
            traffic_class: options.traffic_class,
            waiting: false,
            touched: false,
            ack_deferred: false,
            delayed_ack: DelayedAck::new(options.delayed_ack),
            all_acknowledged: false,
            detached: false,
            orphan: None,
            pmtu: PathMtu::new(stack.mtu()),
            opened_at: now,
            latest: now,
            handshake_deadline: now + stack.handshake_timeout(),
            unanswered_since: NEVER,
            idle_since: now,
            idle_deadline: NEVER,
            deadline: NEVER,
            armed: NEVER,
            limited_ack_at: [NEVER; 2],
            last_packet: 0,
            user_timeout: micros(options.user_timeout),
            keepalive: micros(options.keepalive),
            linger: micros(options.linger),
            tuned_at: now,
            read_since: 0,
        }
    }

    pub(crate) fn key(&self) -> FlowKey {
        self.key
    }

    /// Whether its listener answered it, and nobody has accepted it yet.
    pub(crate) fn is_listened(&self) -> bool {
        self.opening == Opening::Listened
    }

    /// Notes that somebody accepts it. Returns whether nobody had before.
    pub(crate) fn take_listened(&mut self) -> bool {
        let listened = self.is_listened();
        if listened {
            self.opening = Opening::Passive;
        }
        listened
    }

    /// Whether the table counts it among the half-open connections.
    fn is_half_open(&self) -> bool {
        self.opening != Opening::Active && !self.handshake_done && !self.detached
    }

    pub(crate) fn queue(&self) -> u8 {
        self.queue
    }

    /// The present moment for this connection: `now`, or the latest that it has seen.
    pub(crate) fn observe(&mut self, now: Micros) -> Micros {
        self.latest = self.latest.max(now);
        self.latest
    }

    /// Whether the connection has left the table.
    pub(crate) fn is_detached(&self) -> bool {
        self.detached
    }

    /// Sends what is due, wakes the tasks that can go on, and arms the next deadline. Every piece
    /// of work on a connection ends with this.
    pub(crate) fn flush(&mut self, fx: &mut Effects<'_, F>) {
        if self
            .orphan
            .as_ref()
            .is_some_and(|orphan| orphan.has_late_data)
            && self.send_queue() == 0
        {
            // Data for nobody: RFC 9293, 3.6.1 asks for a reset. What was written has arrived.
            self.reset_connection();
        }
        self.output(fx);
        if !self.handshake_done && self.state.is_synchronized() {
            self.handshake_done = true;
            self.handshake_deadline = NEVER;
            if self.opening != Opening::Active {
                fx.handshake_over = Some(true);
            }
        }
        self.wake_tasks(&mut fx.wakes);
        self.leave_when_over(fx);
        if self.detached {
            self.release_read_buffers();
        } else {
            self.release_idle_buffers(fx);
            self.arm(fx);
        }
        self.account();
    }

    /// Tells the memory budget what the connection holds beside its buffers and its state.
    fn account(&mut self) {
        let ring = self.send_ring.as_ref().map_or(0, |_| size_of::<Ring<F>>());
        let waiters = self.waiters.as_ref().map_or(0, |_| size_of::<Waiters>());
        let orphan = self.orphan.as_ref().map_or(0, |_| size_of::<Orphan>());
        let lists = self.send.heap_size() + self.recv.heap_size();
        let is_short = self.claim.account(ring + waiters + orphan + lists);
        self.recv.set_short_of_memory(is_short);
        self.send.set_short_of_memory(is_short);
    }

    /// There is room in the outbound queue again.
    pub(crate) fn on_room(&mut self, fx: &mut Effects<'_, F>) {
        self.waiting = false;
        fx.turn = true;
        self.flush(fx);
    }

    /// Whether a task waits to read.
    pub(crate) fn wakes_reader(&self) -> bool {
        self.handshake_done && !self.reader.is_empty() && self.recv.len() > 0
    }

    fn wake_tasks(&mut self, wakes: &mut WakeList) {
        let over = self.end.is_some();
        if !self.handshake_done && !over {
            return;
        }
        if !over {
            self.note_acknowledged();
        }
        if !self.reader.is_empty() && (over || self.is_readable()) {
            self.reader.drain_into(wakes);
        }
        if !self.writer.is_empty() && (over || self.is_writable()) {
            self.writer.drain_into(wakes);
        }
        self.wake_waiters(wakes);
    }

    fn wake_waiters(&mut self, wakes: &mut WakeList) {
        let (over, finished) = (self.end.is_some(), self.is_finished());
        let Some(waiters) = &mut self.waiters else {
            return;
        };
        if over || self.all_acknowledged {
            waiters.acknowledged.drain_into(wakes);
        }
        if over || finished {
            waiters.closed.drain_into(wakes);
        }
        if waiters.acknowledged.is_empty() && waiters.closed.is_empty() {
            self.waiters = None;
        }
    }

    /// The tasks that wait for more than the next read or write.
    pub(crate) fn waiters(&mut self) -> &mut Waiters {
        self.waiters.get_or_insert_default()
    }

    /// Notes whether the peer has acknowledged everything: a connection that ends later with an
    /// error has still delivered it.
    fn note_acknowledged(&mut self) {
        let closed = matches!(
            self.state,
            TcpState::FinWait2 | TcpState::TimeWait | TcpState::Closed
        );
        self.all_acknowledged = (closed || !self.write_shut) && self.send_queue() == 0;
    }

    fn is_readable(&self) -> bool {
        self.recv.len() > 0 || !self.state.receives()
    }

    /// A writer is woken for a good part of the buffer, not for every ACK.
    fn is_writable(&self) -> bool {
        match &self.send_ring {
            Some(ring) => self.write_shut || ring.room() * 4 >= ring.capacity(),
            None => true,
        }
    }

    /// Bytes written and not acknowledged.
    fn send_queue(&self) -> usize {
        self.send_ring.as_ref().map_or(0, |ring| ring.len())
    }

    /// Bytes written and never sent.
    fn unsent(&self) -> usize {
        match &self.send_ring {
            Some(ring) if !self.fin_sent => ring.end().wrapping_sub(self.send.nxt()) as usize,
            _ => 0,
        }
    }

    /// Releases the buffers of a connection in which nothing has happened for a while, at once if
    /// memory is short.
    fn release_idle_buffers(&mut self, fx: &Effects<'_, F>) {
        if self.send_ring.is_none() && !self.recv.has_buffer() {
            self.idle_deadline = NEVER;
            return;
        }
        let idle = !self.waiting
            && self.end.is_none()
            && self.state.can_be_idle()
            && self.send.flight() == 0
            && self.send_queue() == 0
            && self.recv.is_idle();
        if !idle {
            self.idle_deadline = NEVER;
            return;
        }
        if self.idle_deadline == NEVER {
            self.idle_deadline = fx.now + fx.stack.idle_buffer_timeout();
        }
        let scarce =
            self.recv.is_scarce() || self.send_ring.as_ref().is_some_and(|ring| ring.is_scarce());
        if self.idle_deadline <= fx.now || scarce {
            self.send_ring = None;
            self.recv.release(self.claim.sizes().0);
            self.send.release();
            self.idle_deadline = NEVER;
        }
    }

    /// Releases the buffers of a connection that is over, except for what waits to be read.
    fn release_read_buffers(&mut self) {
        self.send_ring = None;
        self.send.release();
        if self.recv.len() == 0 {
            self.recv.release(self.claim.sizes().0);
        }
    }
}

#[cfg(test)]
#[cfg(feature = "sync")]
mod tests {
    use super::Connection;
    use brooklet_cell::Threaded;

    #[test]
    fn an_idle_connection_is_small() {
        let size = size_of::<Connection<Threaded>>();
        assert!(size <= 640, "{size} bytes");
        let size = size_of::<crate::send::Sender>();
        assert!(size <= 208, "{size} bytes of the sender");
    }
}
