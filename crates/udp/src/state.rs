//! What the engine and the sockets share.
//!
//! Nothing here wakes: the wakers to wake and the values to drop are returned, for the caller to
//! deal with once the cell is released.

use crate::{
    Config, Datagram, Received, SendError, StackClosed, Stats,
    wakers::{Seat, WakerList, Woken},
};
use brooklet_cell::{Flavor, Shared};
use brooklet_packet::{Packet, Protocol, WriteError, udp};
use std::{collections::VecDeque, io, mem, net::SocketAddr, task::Waker};

/// Buffers kept for later packets.
const SPARES: usize = 64;
/// Capacity of the largest buffer that is kept, in bytes: with [`SPARES`] it bounds what an idle
/// engine holds.
const SPARE_BYTES: usize = 2048;

pub(crate) struct State {
    pub(crate) config: Config,
    inbound: VecDeque<Datagram>,
    inbound_bytes: usize,
    outbound: VecDeque<Vec<u8>>,
    spares: Vec<Vec<u8>>,
    pub(crate) readers: WakerList,
    /// Empty whenever half of the outbound queue is free.
    pub(crate) senders: WakerList,
    driver: Option<Waker>,
    read_handles: usize,
    pub(crate) closed: bool,
    pub(crate) stats: Stats,
}

/// Whether reading a datagram takes it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Take {
    Yes,
    No,
}

/// What the end leaves: who is to be woken, and what only has to be dropped.
pub(crate) struct Ended {
    pub(crate) woken: [Woken; 2],
    _driver: Option<Waker>,
    _outbound: VecDeque<Vec<u8>>,
}

impl State {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config: config.usable(),
            inbound: VecDeque::new(),
            inbound_bytes: 0,
            outbound: VecDeque::new(),
            spares: Vec::new(),
            readers: WakerList::default(),
            senders: WakerList::default(),
            driver: None,
            read_handles: 0,
            closed: false,
            stats: Stats::default(),
        }
    }

    /// Queues the datagram in `packet` for whoever reads.
    pub(crate) fn receive(&mut self, packet: &Packet<'_>) -> (Received, Woken) {
        let refuse = |received| (received, Woken::default());
        let whole = packet.protocol() == Protocol::Udp && packet.fragment().is_none();
        if !whole || self.closed {
            self.stats.dropped_other += 1;
            return refuse(Received::Dropped);
        }
        if self.read_handles == 0 {
            self.stats.no_listener += 1;
            return refuse(Received::NoListener);
        }
        let bytes = packet.payload();
        let room = self.inbound.len() < self.config.inbound_packets
            && bytes.len() <= self.config.inbound_bytes - self.inbound_bytes;
        if !room {
            self.stats.dropped_full += 1;
            return refuse(Received::Dropped);
        }
        let mut payload = self.buffer(bytes.len());
        payload.extend_from_slice(bytes);
        let key = packet.key();
        self.inbound.push_back(Datagram {
            payload,
            from: key.source(),
            to: key.destination(),
        });
        self.inbound_bytes += bytes.len();
        self.stats.datagrams_in += 1;
        self.stats.bytes_in += bytes.len() as u64;
        (Received::Queued, self.readers.take())
    }

    /// Copies the oldest inbound datagram into `buf`, as much of it as fits.
    pub(crate) fn read_into(
        &mut self,
        buf: &mut [u8],
        take: Take,
    ) -> Option<(usize, SocketAddr, SocketAddr)> {
        let Datagram { payload, from, to } = self.inbound.front()?;
        let len = payload.len().min(buf.len());
        buf[..len].copy_from_slice(&payload[..len]);
        let read = (len, *from, *to);
        if take == Take::Yes
            && let Some(datagram) = self.read()
        {
            self.recycle(datagram.payload);
        }
        Some(read)
    }

    /// Takes the oldest inbound datagram.
    pub(crate) fn read(&mut self) -> Option<Datagram> {
        let datagram = self.inbound.pop_front()?;
        self.inbound_bytes -= datagram.payload.len();
        Some(datagram)
    }

    /// Writes a packet for the driver; `false` when there is no room for it now.
    ///
    /// A sender that comes while others wait waits too, though there may be room: else it could
    /// keep the queue from ever getting as empty as those are waiting for.
    pub(crate) fn send(
        &mut self,
        payload: &[u8],
        from: SocketAddr,
        to: SocketAddr,
    ) -> io::Result<bool> {
        let Config {
            mtu,
            hop_limit,
            outbound_packets,
            ..
        } = self.config;
        let limit = udp::max_payload(mtu, to.is_ipv6());
        let too_long = SendError::TooLong {
            len: payload.len(),
            limit,
            mtu,
        };
        if from.is_ipv6() != to.is_ipv6() {
            return Err(SendError::Families { from, to }.into());
        }
        if payload.len() > limit {
            return Err(too_long.into());
        }
        if self.closed {
            return Err(StackClosed.into());
        }
        if self.outbound.len() >= outbound_packets || !self.senders.is_empty() {
            return Ok(false);
        }
        // What an IPv6 and a UDP header take.
        let mut packet = self.buffer(payload.len() + 48);
        if let Err(why) = udp::write(&mut packet, from, to, hop_limit, payload) {
            self.recycle(packet);
            return Err(match why {
                WriteError::Families => SendError::Families { from, to }.into(),
                _ => too_long.into(),
            });
        }
        self.outbound.push_back(packet);
        self.stats.datagrams_out += 1;
        self.stats.bytes_out += payload.len() as u64;
        Ok(true)
    }

    /// Takes the oldest outbound packet.
    pub(crate) fn transmit(&mut self) -> (Option<Vec<u8>>, Woken) {
        let packet = self.outbound.pop_front();
        let roomy = self.outbound.len() * 2 <= self.config.outbound_packets;
        (
            packet,
            if roomy {
                self.senders.take()
            } else {
                Woken::default()
            },
        )
    }

    /// Notes who is to be woken by the next [`send`](Self::send). Returns whether something waits
    /// already, and the waker replaced.
    pub(crate) fn set_driver(&mut self, waker: &Waker) -> (bool, Option<Waker>) {
        let waiting = !self.outbound.is_empty();
        match &self.driver {
            Some(known) if known.will_wake(waker) => (waiting, None),
            _ => (waiting, self.driver.replace(waker.clone())),
        }
    }

    pub(crate) fn take_driver(&mut self) -> Option<Waker> {
        self.driver.take()
    }

    /// Ends everything.
    pub(crate) fn end(&mut self) -> Ended {
        self.closed = true;
        self.spares = Vec::new();
        Ended {
            woken: [self.readers.take(), self.senders.take()],
            _driver: self.driver.take(),
            _outbound: mem::take(&mut self.outbound),
        }
    }

    pub(crate) fn add_reader(&mut self) {
        self.read_handles += 1;
    }

    /// A reading handle is gone. With the last of them go the datagrams nobody can read any more,
    /// returned for dropping.
    pub(crate) fn remove_reader(&mut self) -> VecDeque<Datagram> {
        self.read_handles -= 1;
        if self.read_handles > 0 {
            return VecDeque::new();
        }
        self.inbound_bytes = 0;
        mem::take(&mut self.inbound)
    }

    /// An empty buffer of at least that capacity, which it need not outgrow.
    fn buffer(&mut self, capacity: usize) -> Vec<u8> {
        let mut buffer = self.spares.pop().unwrap_or_default();
        buffer.reserve_exact(capacity);
        buffer
    }

    /// Keeps a buffer for later, if there is a place and it is not too large.
    pub(crate) fn recycle(&mut self, mut buffer: Vec<u8>) {
        if self.spares.len() < SPARES && buffer.capacity() <= SPARE_BYTES && !self.closed {
            buffer.clear();
            self.spares.push(buffer);
        }
    }
}

/// Which list a [`Place`] is in.
#[derive(Clone, Copy)]
pub(crate) enum Side {
    Read,
    Write,
}

/// A handle to the state with a seat in one of its lists of wakers, left when dropped: a future
/// that is cancelled keeps no task alive.
pub(crate) struct Place<F: Flavor> {
    pub(crate) shared: Shared<F, State>,
    pub(crate) seat: Seat,
    side: Side,
}

impl<F: Flavor> Place<F> {
    pub(crate) fn new(shared: &Shared<F, State>, side: Side) -> Self {
        Self {
            shared: shared.clone(),
            seat: Seat::default(),
            side,
        }
    }
}

impl<F: Flavor> Drop for Place<F> {
    fn drop(&mut self) {
        if self.seat.is_taken() {
            drop(self.shared.with(|state| match self.side {
                Side::Read => state.readers.leave(&self.seat),
                Side::Write => state.senders.leave(&self.seat),
            }));
        }
    }
}

#[cfg(test)]
#[cfg(any(feature = "sync", feature = "local"))]
impl State {
    /// Datagrams and bytes that wait for a reader.
    pub(crate) fn inbound(&self) -> (usize, usize) {
        (self.inbound.len(), self.inbound_bytes)
    }

    /// Buffers kept for later.
    pub(crate) fn spares(&self) -> usize {
        self.spares.len()
    }
}
