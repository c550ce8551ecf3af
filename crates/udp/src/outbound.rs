//! Packets for one queue of the device.
//!
//! Nothing here wakes a task. Wakers and values of the application leave in a [`WakeList`] or as
//! return values; the caller wakes and drops them once the cell is released.

mod batch;
mod sent;

use self::sent::SentFlows;
use crate::{
    config::Config,
    datagram::Datagram,
    error::SendError,
    interface::{Interface, longest_payload},
    stats::Stats,
};
use brooklet_cell::wakers::{Awaited, SingleWaker, WaitQueue, WakeList};
use brooklet_io::{BufferPool, PacketBuf, StackClosed};
use brooklet_packet::{FlowKey, IpFields, TrafficClass, WriteError, udp};
use std::{collections::VecDeque, io, mem, net::SocketAddr, num::NonZeroU16, task::Waker};

/// The most buffers in the pool, and the capacity of the largest, in bytes.
const POOL_BUFFERS: usize = 64;
const POOL_CAPACITY: usize = 2048;

/// The most buffers in the pool for long packets, and the capacity of the largest, in bytes.
const LARGE_BUFFERS: usize = 8;
const LARGE_CAPACITY: usize = 1 << 17;

/// The length of an IPv6 and a UDP header, in bytes.
const HEADERS: usize = 40 + 8;

/// A datagram that the application sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outgoing<'a> {
    pub(crate) payload: &'a [u8],
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) hop_limit: Option<u8>,
    pub(crate) traffic_class: TrafficClass,
    pub(crate) dont_fragment: bool,
    /// The length of each datagram of a batch.
    pub(crate) segment_size: Option<NonZeroU16>,
}

impl<'a> Outgoing<'a> {
    /// A datagram with the default fields.
    #[inline]
    pub(crate) fn new(payload: &'a [u8], from: SocketAddr, to: SocketAddr) -> Self {
        Self {
            payload,
            from,
            to,
            hop_limit: None,
            traffic_class: TrafficClass::default(),
            dont_fragment: false,
            segment_size: None,
        }
    }

    /// The length of each datagram if there are several.
    pub(crate) fn batch(&self) -> Option<NonZeroU16> {
        self.segment_size
            .filter(|size| self.payload.len() > size.get().into())
    }

    /// The number of datagrams.
    pub(crate) fn count(&self) -> usize {
        let len = self.payload.len();
        self.batch()
            .map_or(1, |size| len.div_ceil(size.get().into()))
    }

    /// Whether the path MTU limits the length.
    #[inline]
    pub(crate) fn is_limited(&self) -> bool {
        self.dont_fragment || self.batch().is_some()
    }
}

impl<'a> From<&'a Datagram> for Outgoing<'a> {
    fn from(datagram: &'a Datagram) -> Self {
        Self {
            payload: &datagram.payload,
            from: datagram.from,
            to: datagram.to,
            hop_limit: datagram.hop_limit,
            traffic_class: datagram.traffic_class,
            dont_fragment: datagram.dont_fragment,
            segment_size: datagram.segment_size,
        }
    }
}

pub(crate) struct Outbound {
    interface: Interface,
    config: Config,
    packets: VecDeque<PacketBuf>,
    /// The lengths of the packets, summed.
    bytes: usize,
    /// What the packets have allocated.
    allocated: usize,
    /// The identification of the next packet that may be fragmented (RFC 6864, section 4.2).
    identification: u16,
    sent: SentFlows,
    pool: BufferPool,
    large_pool: BufferPool,
    /// Tasks that wait for room. There is none while half of the queue is free.
    senders: WaitQueue,
    driver: SingleWaker,
    /// The next timeout has become earlier since the driver has looked at it.
    call: bool,
    pub(crate) closed: bool,
    pub(crate) stats: Stats,
}

/// What remains of a queue that has ended.
pub(crate) struct Ended {
    pub(crate) driver: Option<Waker>,
    _packets: VecDeque<PacketBuf>,
}

impl Outbound {
    pub(crate) fn new(interface: Interface, config: Config, identification: u16) -> Self {
        // Together little more than what the queue may have in bytes.
        let small = POOL_BUFFERS.min(config.outbound_bytes / 4 / POOL_CAPACITY);
        let large = LARGE_BUFFERS.min(config.outbound_bytes / LARGE_CAPACITY);
        Self {
            interface,
            config,
            packets: VecDeque::new(),
            bytes: 0,
            allocated: 0,
            identification,
            sent: SentFlows::default(),
            pool: BufferPool::new(small, POOL_CAPACITY),
            large_pool: BufferPool::with_capacities(large, POOL_CAPACITY + 1..=LARGE_CAPACITY),
            senders: WaitQueue::new(),
            driver: SingleWaker::new(),
            call: false,
            closed: false,
            stats: Stats::default(),
        }
    }

    /// Changes the MTU of the link.
    pub(crate) fn set_mtu(&mut self, mtu: usize) {
        self.interface.mtu = mtu;
    }

    /// Writes a packet for the driver. Returns `false` if there is no room for the packet now.
    ///
    /// `mtu` is the path MTU, for a datagram that [is limited](Outgoing::is_limited) by it.
    ///
    /// A sender that comes while others wait, waits too, although there may be room. Otherwise it
    /// could take each free place, and the queue would never be half empty.
    pub(crate) fn send(&mut self, outgoing: &Outgoing<'_>, mtu: usize) -> io::Result<bool> {
        self.check(outgoing, mtu)?;
        if !self.is_writable()? {
            return Ok(false);
        }
        let written = match outgoing.batch() {
            None => self.push(outgoing),
            Some(size) => self.push_batch(outgoing, size),
        };
        written?;
        self.sent.note(outgoing.from, outgoing.to);
        self.stats.bytes_out += outgoing.payload.len() as u64;
        Ok(true)
    }

    /// Returns whether there is room for a packet of a sender that has not waited.
    #[inline]
    pub(crate) fn is_writable(&self) -> io::Result<bool> {
        if self.closed {
            return Err(StackClosed.into());
        }
        Ok(self.has_room() && self.senders.is_empty())
    }

    /// Whether one of the latest datagrams had this flow.
    pub(crate) fn has_sent(&self, flow: FlowKey) -> bool {
        self.sent.contains(flow)
    }

    #[inline]
    fn check(&self, outgoing: &Outgoing<'_>, mtu: usize) -> Result<(), SendError> {
        let &Outgoing {
            payload, from, to, ..
        } = outgoing;
        if from.is_ipv6() != to.is_ipv6() {
            return Err(SendError::Families { from, to });
        }
        if to.is_ipv6() && !self.interface.ipv6_enabled {
            return Err(SendError::NoIpv6 { to });
        }
        let len = payload.len();
        let longest = longest_payload(to.is_ipv6());
        if len > longest {
            return Err(SendError::TooLong {
                len,
                limit: longest,
                mtu: mtu.min(self.interface.mtu),
            });
        }
        if outgoing.is_limited() {
            let mtu = mtu.min(self.interface.mtu);
            let limit = udp::max_payload(mtu, to.is_ipv6());
            let len = outgoing.batch().map_or(len, |size| size.get().into());
            if len > limit {
                return Err(SendError::TooLong { len, limit, mtu });
            }
            if let Some(size) = outgoing.batch()
                && payload.len().div_ceil(size.get().into()) > batch::MAX_DATAGRAMS
            {
                return Err(SendError::TooMany {
                    count: payload.len().div_ceil(size.get().into()),
                    limit: batch::MAX_DATAGRAMS,
                });
            }
        }
        Ok(())
    }

    /// Writes one datagram.
    #[inline]
    fn push(&mut self, outgoing: &Outgoing<'_>) -> Result<(), SendError> {
        let mut packet = self.buffer(outgoing.payload.len() + HEADERS);
        let fields = self.fields(outgoing);
        let &Outgoing {
            payload, from, to, ..
        } = outgoing;
        if let Err(error) = udp::write_with(&mut packet, from, to, fields, payload) {
            self.recycle(packet.into());
            return Err(match error {
                WriteError::Families => SendError::Families { from, to },
                _ => SendError::TooLong {
                    len: payload.len(),
                    limit: longest_payload(to.is_ipv6()),
                    mtu: self.interface.mtu,
                },
            });
        }
        self.stats.datagrams_out += 1;
        self.append(packet.into());
        Ok(())
    }

    /// The fields of the IP header.
    #[inline]
    fn fields(&mut self, outgoing: &Outgoing<'_>) -> IpFields {
        let hop_limit = outgoing.hop_limit.unwrap_or(self.config.hop_limit).max(1);
        let fields = IpFields::default()
            .hop_limit(hop_limit)
            .traffic_class(outgoing.traffic_class)
            .dont_fragment(outgoing.dont_fragment);
        if outgoing.dont_fragment {
            return fields;
        }
        self.identification = self.identification.wrapping_add(1);
        fields.identification(self.identification)
    }

    fn append(&mut self, packet: PacketBuf) {
        self.bytes += packet.len();
        self.allocated += packet.allocated();
        self.packets.push_back(packet);
    }

    fn has_room(&self) -> bool {
        self.packets.len() < self.config.outbound_packets
            && self.bytes < self.config.outbound_bytes
            // Short packets in long buffers.
            && self.allocated < self.config.outbound_bytes.saturating_mul(2)
    }

    /// The bytes that the queue has allocated: its packets, its pools and its lists.
    pub(crate) fn allocated(&self) -> usize {
        self.allocated
            + self.packets.capacity() * size_of::<PacketBuf>()
            + self.pool.allocated()
            + self.large_pool.allocated()
            + self.sent.heap_size()
    }

    #[inline]
    fn buffer(&mut self, len: usize) -> Vec<u8> {
        match len {
            0..=POOL_CAPACITY => self.pool.take(len),
            _ => self.large_pool.take(len),
        }
    }

    /// Takes the oldest packet. Moves the waiting senders into `wakes` once half of the queue is
    /// free.
    #[inline]
    pub(crate) fn transmit(&mut self, wakes: &mut WakeList) -> Option<PacketBuf> {
        let packet = self.packets.pop_front();
        if let Some(packet) = &packet {
            self.bytes -= packet.len();
            self.allocated -= packet.allocated();
        }
        if self.packets.len() * 2 <= self.config.outbound_packets
            && self.bytes <= self.config.outbound_bytes / 2
            && self.allocated <= self.config.outbound_bytes
        {
            self.senders.drain_into(wakes);
        }
        packet
    }

    /// Puts a buffer into the pool.
    pub(crate) fn recycle(&mut self, buffer: PacketBuf) {
        if !self.closed {
            let buffer = buffer.into_vec();
            match buffer.capacity() {
                0..=POOL_CAPACITY => self.pool.recycle(buffer),
                _ => self.large_pool.recycle(buffer),
            }
        }
    }

    /// Registers the driver, which the next [`send`](Self::send) wakes. Returns whether packets are
    /// in the queue already, and the waker that was replaced.
    pub(crate) fn register_driver(&mut self, waker: &Waker) -> (bool, Option<Waker>) {
        let call = mem::take(&mut self.call);
        (
            call || !self.packets.is_empty(),
            self.driver.register(waker),
        )
    }

    /// Lets the driver look at its next timeout, which has become earlier. Returns its waker.
    pub(crate) fn call_driver(&mut self) -> Option<Waker> {
        self.call = true;
        self.take_driver()
    }

    pub(crate) fn take_driver(&mut self) -> Option<Waker> {
        self.driver.take()
    }

    /// Ends the queue. Moves the waiting senders into `wakes`.
    pub(crate) fn end(&mut self, wakes: &mut WakeList) -> Ended {
        self.closed = true;
        self.pool.clear();
        self.large_pool.clear();
        self.senders.drain_into(wakes);
        (self.bytes, self.allocated) = (0, 0);
        Ended {
            driver: self.driver.take(),
            _packets: mem::take(&mut self.packets),
        }
    }
}

impl Awaited for Outbound {
    type Place = ();

    fn waiting(&mut self, (): ()) -> Option<&mut WaitQueue> {
        Some(&mut self.senders)
    }
}

#[cfg(test)]
#[cfg(any(feature = "sync", feature = "local"))]
impl Outbound {
    /// Buffers in the pools of small and of large buffers.
    pub(crate) fn pooled(&self) -> (usize, usize) {
        (self.pool.len(), self.large_pool.len())
    }
}
