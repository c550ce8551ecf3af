//! The room that each source takes in the inbound queue.

use brooklet_packet::SourcePrefix;
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::net::SocketAddr;

/// A source may hold this many times the room that is free.
///
/// With 3, a source that is alone fills three quarters of the queue. A queue below half of its
/// bounds has room for 128 datagrams of one source, the longest segment batch of Linux
/// (`UDP_MAX_SEGMENTS`), at the default of 512 datagrams.
pub(crate) const SHARE: usize = 3;

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
pub(crate) struct Sources {
    /// The source of the latest call, and its room. It is not in the map: consecutive datagrams
    /// are most often of one source, and then cost no look into the map.
    latest: Option<(SourcePrefix, Room)>,
    others: HashMap<SourcePrefix, Room, RandomState>,
}

impl Sources {
    /// Counts a datagram of `bytes` bytes for its source, if the source may hold one more while
    /// `free` is free. Returns whether it may.
    pub(crate) fn add(&mut self, from: SocketAddr, bytes: usize, free: Room) -> bool {
        let room = self.room(from);
        let within = room.packets <= free.packets.saturating_mul(SHARE)
            && (bytes == 0 || room.bytes <= free.bytes.saturating_mul(SHARE));
        if within {
            room.packets += 1;
            room.bytes += bytes;
        }
        within
    }

    /// A datagram of `bytes` bytes from `from` has left the queue.
    pub(crate) fn remove(&mut self, from: SocketAddr, bytes: usize) {
        let room = self.room(from);
        room.packets -= 1;
        room.bytes -= bytes;
    }

    fn room(&mut self, from: SocketAddr) -> &mut Room {
        let source = SourcePrefix::new(from.ip());
        if self.latest.is_none_or(|(latest, _)| latest != source) {
            let room = self.others.remove(&source).unwrap_or_default();
            let before = self.latest.replace((source, room));
            self.others
                .extend(before.filter(|(_, room)| room.packets > 0));
        }
        // It is there: the line above has put it there.
        let (_, room) = self.latest.get_or_insert_with(|| (source, Room::default()));
        room
    }

    /// All datagrams have left the queue.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The number of sources that have a datagram in the queue.
    #[cfg(test)]
    #[cfg(any(feature = "sync", feature = "local"))]
    pub(crate) fn len(&self) -> usize {
        let latest = self.latest.filter(|(_, room)| room.packets > 0);
        self.others.len() + usize::from(latest.is_some())
    }
}
