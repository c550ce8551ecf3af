//! Datagrams for the application, from every queue of the device: the demultiplexer, and what it
//! delivers to.
//!
//! Nothing here wakes a task. Wakers and values of the application leave in a [`WakeList`] or as
//! return values; the caller wakes and drops them once the cell is released.

mod list;
mod queue;
mod sessions;
mod sockets;

use self::queue::{Incoming, Queue, Queued, Room, SharedQueue};
pub(crate) use self::sessions::Accepted;
pub(crate) use self::sessions::SentDatagrams;
use self::sessions::Sessions;
use self::sockets::Sockets;
pub(crate) use self::sockets::{Options, Sender};
use crate::{
    arrival::Arrival,
    config::Config,
    datagram::Datagram,
    flow_error::FlowError,
    interface::Interface,
    ledger::Ledger,
    memory_stats::MemoryStats,
    received::Received,
    shares::{POOL_CAPACITY, Shares},
    stats::Stats,
};
use brooklet_cell::wakers::{Awaited, WaitQueue, WakeList};
use brooklet_io::{BufferPool, StackClosed};
use brooklet_packet::icmp::IcmpError;
use brooklet_packet::{Packet, Protocol};
use std::{collections::VecDeque, io, net::SocketAddr, time::Instant};

/// A slot of a slab that holds a box, in bytes.
const SLOT: usize = 2 * size_of::<usize>();

pub(crate) struct Inbound {
    transparent: SharedQueue,
    /// Handles that read from the transparent queue.
    transparent_handles: usize,
    pub(crate) sockets: Sockets,
    pub(crate) sessions: Sessions,
    pub(crate) pool: BufferPool,
    pub(crate) closed: bool,
    pub(crate) stats: Stats,
    ledger: Ledger,
}

/// One queue of datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receiver {
    /// That of the sockets for all addresses.
    Transparent,
    /// That of a bound socket.
    Socket(usize),
    /// That of a session.
    Session(usize),
}

/// What a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A datagram.
    Datagram(Receiver),
    /// A session.
    Session,
}

/// Whether a read removes the datagram.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Take {
    Yes,
    No,
}

impl Inbound {
    pub(crate) fn new(
        interface: Interface,
        config: Config,
        shares: Shares,
        secret: [u64; 2],
    ) -> Self {
        let ledger = Ledger::new(shares.inbound_bytes);
        let limit = Room {
            packets: config.inbound_packets,
            bytes: config.inbound_bytes,
        };
        Self {
            transparent: SharedQueue::new(limit, &ledger),
            transparent_handles: 0,
            sockets: Sockets::new(interface, config, secret, &ledger),
            sessions: Sessions::new(&ledger),
            pool: BufferPool::new(shares.pool, POOL_CAPACITY),
            closed: false,
            stats: Stats::default(),
            ledger,
        }
    }

    /// What the inbound side holds now.
    pub(crate) fn memory(&self) -> MemoryStats {
        let sessions = self.sessions.held();
        let queues = self.ledger.bytes() - sessions;
        MemoryStats {
            inbound: (queues + self.pool.allocated()) as u64,
            sessions: sessions as u64,
            ..MemoryStats::default()
        }
    }

    /// Queues the datagrams in `packet`, which has come on a queue of the device, and moves the
    /// waiting readers into `wakes`.
    ///
    /// `mtu` is the path MTU of the destination if the packet exceeds it.
    pub(crate) fn receive(
        &mut self,
        (now, device_queue): (Instant, usize),
        packet: &Packet<'_>,
        arrival: Arrival,
        mtu: Option<usize>,
        wakes: &mut WakeList,
    ) -> Received {
        let whole = packet.protocol() == Protocol::Udp && packet.fragment().is_none();
        if !whole || self.closed {
            self.stats.dropped_other += 1;
            return Received::Dropped;
        }
        let (from, to) = (packet.key().source(), packet.key().destination());
        let incoming = Incoming {
            payload: packet.payload(),
            from,
            to,
            hop_limit: packet.hop_limit(),
            traffic_class: packet.traffic_class(),
            // The sender of a packet that came in fragments lets it be fragmented, of IPv6 too.
            dont_fragment: packet.dont_fragment() && !arrival.reassembled,
            gso_size: arrival.gso_size,
        };
        let Self {
            sockets,
            sessions,
            pool,
            stats,
            ..
        } = self;
        if !sockets.is_empty()
            && let Some(id) = sockets.find(from, to)
            && let Some(socket) = sockets.get_mut(id)
        {
            let queued = socket.queue.receive(&incoming, pool, stats);
            return received(queued, &mut socket.queue.queue.readers, wakes);
        }
        let session = match sessions.in_use() {
            true => sessions.find(from, to),
            false => None,
        };
        let listens = session.is_some() || sessions.listeners > 0 || self.transparent_handles > 0;
        if !listens {
            stats.no_listener += 1;
            return Received::NoListener;
        }
        if let Some(mtu) = mtu {
            stats.dropped_too_big += 1;
            return Received::TooBig { mtu };
        }
        if session.is_none() && sessions.listeners == 0 {
            let queued = self.transparent.receive(&incoming, pool, stats);
            return received(queued, &mut self.transparent.queue.readers, wakes);
        }
        let opened = session.is_none();
        let Some(id) =
            session.or_else(|| sessions.open((now, device_queue), &incoming, stats, wakes))
        else {
            return Received::Dropped;
        };
        let mut queued = sessions.receive(now, id, &incoming, pool, stats);
        queued.congested |= opened && sessions.is_backlogged();
        match sessions.get_mut(id) {
            Some(session) => received(queued, &mut session.queue.readers, wakes),
            None => Received::Dropped,
        }
    }

    /// Delivers the ICMP error to the socket or session that has sent the datagram. Returns whether
    /// one has, and moves its readers into `wakes`.
    ///
    /// `sent` says whether one of the latest datagrams has the flow that the error quotes.
    pub(crate) fn handle_icmp_error(
        &mut self,
        error: &IcmpError,
        sent: bool,
        wakes: &mut WakeList,
    ) -> bool {
        if error.protocol != Protocol::Udp || self.closed {
            return false;
        }
        // The flow is that of the datagram: its source is this host.
        let (local, peer) = (error.key.source(), error.key.destination());
        let flow_error = FlowError::new(error);
        let (queue, report) = if let Some(id) = self.sockets.find(peer, local)
            && let Some(socket) = self.sockets.get_mut(id)
        {
            let connected = socket.peer().is_some();
            if !connected && !sent {
                return false;
            }
            let report = (connected && flow_error.is_unreachable()) || socket.options.recv_errors;
            (&mut socket.queue.queue, report)
        } else if let Some(id) = self.sessions.find(peer, local)
            && let Some(session) = self.sessions.get_mut(id)
        {
            if !session.has_sent_from(local) {
                return false;
            }
            (&mut session.queue, flow_error.is_unreachable())
        } else {
            // The transparent sockets report no errors: of these only the path MTU is used.
            return sent && flow_error.is_too_big() && self.transparent_handles > 0;
        };
        self.stats.icmp_errors += 1;
        if report && !flow_error.is_too_big() {
            queue.error = Some(Box::new(flow_error));
            queue.readers.drain_into(wakes);
        }
        true
    }

    #[inline]
    fn queue(&mut self, receiver: Receiver) -> Option<&mut Queue> {
        match receiver {
            Receiver::Transparent => Some(&mut self.transparent.queue),
            Receiver::Socket(id) => Some(&mut self.sockets.get_mut(id)?.queue.queue),
            Receiver::Session(id) => Some(&mut self.sessions.get_mut(id)?.queue),
        }
    }

    /// Sets whether batches stay whole.
    pub(crate) fn set_gro(&mut self, receiver: Receiver, gro: bool) {
        if let Some(queue) = self.queue(receiver) {
            queue.gro = gro;
        }
    }

    /// Takes the ICMP error that the next call reports.
    pub(crate) fn take_error(&mut self, receiver: Receiver) -> Option<Box<FlowError>> {
        self.queue(receiver)?.error.take()
    }

    /// Returns what `read` reads, or why there will be no datagram, or `None` if there is none yet.
    #[inline]
    pub(crate) fn poll<R>(
        &mut self,
        receiver: Receiver,
        read: impl FnOnce(&mut Self) -> Option<R>,
    ) -> Option<io::Result<R>> {
        if let Some(error) = self.take_error(receiver) {
            return Some(Err((*error).into()));
        }
        if let Some(read) = read(self) {
            return Some(Ok(read));
        }
        if let Receiver::Session(id) = receiver
            && let Some(end) = self.sessions.get_mut(id).and_then(|session| session.end)
        {
            return Some(Err(end.into()));
        }
        self.closed.then(|| Err(StackClosed.into()))
    }

    /// Copies the oldest datagram into `buf`, as much of it as fits.
    pub(crate) fn read_into(
        &mut self,
        receiver: Receiver,
        buf: &mut [u8],
        take: Take,
    ) -> Option<(usize, SocketAddr, SocketAddr)> {
        let datagram = self.queue(receiver)?.front()?;
        let len = datagram.payload.len().min(buf.len());
        buf[..len].copy_from_slice(&datagram.payload[..len]);
        let read = (len, datagram.from, datagram.to);
        if take == Take::Yes
            && let Some(datagram) = self.read(receiver)
        {
            self.recycle(datagram.payload);
        }
        Some(read)
    }

    /// Takes the oldest datagram.
    #[inline]
    pub(crate) fn read(&mut self, receiver: Receiver) -> Option<Datagram> {
        match receiver {
            Receiver::Transparent => self.transparent.pop(),
            Receiver::Socket(id) => self.sockets.get_mut(id)?.queue.pop(),
            Receiver::Session(id) => self.sessions.pop(id),
        }
    }

    /// Replaces the datagrams in `datagrams` by up to `most` datagrams, if there is one.
    pub(crate) fn read_batch(
        &mut self,
        receiver: Receiver,
        datagrams: &mut Vec<Datagram>,
        most: usize,
    ) -> Option<usize> {
        if most > 0 {
            self.queue(receiver)?.front()?;
        }
        for datagram in datagrams.drain(..) {
            self.recycle(datagram.payload);
        }
        while datagrams.len() < most
            && let Some(datagram) = self.read(receiver)
        {
            datagrams.push(datagram);
        }
        Some(datagrams.len())
    }

    fn recycle(&mut self, buffer: Vec<u8>) {
        if !self.closed {
            self.pool.recycle(buffer);
        }
    }

    /// Ends all queues; the datagrams in them can still be read. Moves all readers into `wakes`.
    pub(crate) fn end(&mut self, wakes: &mut WakeList) {
        if !std::mem::replace(&mut self.closed, true) {
            self.sessions.log_stack_end();
        }
        self.pool.clear();
        self.transparent.queue.readers.drain_into(wakes);
        for socket in self.sockets.iter_mut() {
            socket.queue.queue.readers.drain_into(wakes);
        }
        for session in self.sessions.iter_mut() {
            session.queue.readers.drain_into(wakes);
        }
        self.sessions.acceptors.drain_into(wakes);
    }

    /// Counts one more handle that reads.
    pub(crate) fn add_handle(&mut self, receiver: Receiver) {
        match receiver {
            Receiver::Transparent => self.transparent_handles += 1,
            Receiver::Socket(id) => {
                if let Some(socket) = self.sockets.get_mut(id) {
                    socket.handles += 1;
                }
            }
            Receiver::Session(id) => self.sessions.add_handle(id),
        }
    }

    /// Drops a handle that reads. With the last of them go the datagrams, which are returned.
    pub(crate) fn remove_handle(&mut self, receiver: Receiver) -> VecDeque<Datagram> {
        match receiver {
            Receiver::Transparent => {
                self.transparent_handles -= 1;
                if self.transparent_handles == 0 {
                    return self.transparent.clear();
                }
            }
            Receiver::Socket(id) => {
                if let Some(socket) = self.sockets.get_mut(id) {
                    socket.handles -= 1;
                    if socket.handles == 0
                        && let Some(mut socket) = self.sockets.remove(id)
                    {
                        return socket.queue.clear();
                    }
                }
            }
            Receiver::Session(id) => self.sessions.remove_handle(id, &mut self.stats),
        }
        VecDeque::new()
    }

    /// Gives the datagrams in the transparent queue to sessions.
    pub(crate) fn move_to_sessions(&mut self, now: Instant, wakes: &mut WakeList) {
        let (datagrams_in, bytes_in) = (self.stats.datagrams_in, self.stats.bytes_in);
        for datagram in self.transparent.clear() {
            let incoming = Incoming {
                payload: &datagram.payload,
                from: datagram.from,
                to: datagram.to,
                hop_limit: datagram.hop_limit.unwrap_or_default(),
                traffic_class: datagram.traffic_class,
                dont_fragment: datagram.dont_fragment,
                gso_size: datagram.segment_size,
            };
            let Self {
                sessions,
                pool,
                stats,
                ..
            } = self;
            let session = sessions.find(datagram.from, datagram.to);
            if let Some(id) = session.or_else(|| sessions.open((now, 0), &incoming, stats, wakes)) {
                sessions.receive(now, id, &incoming, pool, stats);
            }
        }
        // They were counted when they arrived.
        (self.stats.datagrams_in, self.stats.bytes_in) = (datagrams_in, bytes_in);
    }

    /// The counters of this moment.
    pub(crate) fn stats(&self) -> Stats {
        Stats {
            sessions: self.sessions.len() as u64,
            ..self.stats
        }
    }
}

/// Wakes the readers of a datagram.
#[inline]
fn received(queued: Queued, readers: &mut WaitQueue, wakes: &mut WakeList) -> Received {
    if !queued.any {
        return Received::Dropped;
    }
    readers.drain_into(wakes);
    Received::Queued {
        congested: queued.congested,
    }
}

impl Awaited for Inbound {
    type Place = Place;

    fn waiting(&mut self, place: Place) -> Option<&mut WaitQueue> {
        match place {
            Place::Datagram(receiver) => Some(&mut self.queue(receiver)?.readers),
            Place::Session => Some(&mut self.sessions.acceptors),
        }
    }
}

#[cfg(test)]
#[cfg(any(feature = "sync", feature = "local"))]
impl Inbound {
    /// Datagrams, bytes and sources in the transparent queue.
    pub(crate) fn queued(&self) -> (usize, usize, usize) {
        self.transparent.queued()
    }

    /// Buffers in the pool.
    pub(crate) fn pooled(&self) -> usize {
        self.pool.len()
    }
}
