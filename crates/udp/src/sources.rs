//! The room that each source takes in the inbound queue.

use brooklet_packet::FlowKey;
use foldhash::fast::RandomState;
use std::collections::{HashMap, hash_map::Entry};
use std::net::{IpAddr, SocketAddr};

/// A source may hold this many times the room that is free.
///
/// With 3, a source that is alone fills three quarters of the queue. A queue below half of its
/// bounds has room for 128 datagrams of one source, the longest segment batch of Linux
/// (`UDP_MAX_SEGMENTS`), at the default of 512 datagrams.
const SHARE: usize = 3;

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Room {
    pub(crate) packets: usize,
    pub(crate) bytes: usize,
}

/// What each source has in the inbound queue.
///
/// The limit of a source is a multiple of the free room ("Dynamic queue length thresholds for
/// shared-memory packet switches", Choudhury and Hahne, 1998). The limits shrink as the queue
/// fills, so that a source that floods the queue always leaves room for other sources; `n` sources
/// that flood the queue get equal shares. A datagram costs constant time, and a source without a
/// datagram in the queue takes no memory.
#[derive(Debug, Default)]
pub(crate) struct Sources(HashMap<Source, Room, RandomState>);

/// An IPv4 address, or the /64 from which a host chooses its IPv6 addresses (RFC 4291, 2.5.1).
type Source = (bool, u64);

fn source(address: SocketAddr) -> Source {
    match address.ip() {
        IpAddr::V4(address) => (false, address.to_bits().into()),
        IpAddr::V6(address) => (true, (address.to_bits() >> 64) as u64),
    }
}

impl Sources {
    /// Counts a datagram of `bytes` bytes for its source, if the source may hold one more while
    /// `free` is free. Returns whether it may.
    pub(crate) fn add(&mut self, key: FlowKey, bytes: usize, free: Room) -> bool {
        let within = |room: &Room| {
            room.packets <= free.packets.saturating_mul(SHARE)
                && (bytes == 0 || room.bytes <= free.bytes.saturating_mul(SHARE))
        };
        match self.0.entry(source(key.source())) {
            Entry::Occupied(entry) if !within(entry.get()) => false,
            entry => {
                let room = entry.or_default();
                room.packets += 1;
                room.bytes += bytes;
                true
            }
        }
    }

    /// A datagram of `bytes` bytes from `from` has left the queue.
    pub(crate) fn remove(&mut self, from: SocketAddr, bytes: usize) {
        if let Entry::Occupied(mut entry) = self.0.entry(source(from)) {
            let room = entry.get_mut();
            room.packets -= 1;
            room.bytes -= bytes;
            if room.packets == 0 {
                entry.remove();
            }
        }
    }

    /// All datagrams have left the queue.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// The number of sources that have a datagram in the queue.
    #[cfg(test)]
    #[cfg(any(feature = "sync", feature = "local"))]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
