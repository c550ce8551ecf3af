//! The room that each source takes in a bounded queue.

use crate::SourcePrefix;
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::net::IpAddr;

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Room {
    packets: usize,
    bytes: usize,
}

/// What each source has in a bounded queue, and whether it may have more.
///
/// A source, which is a [`SourcePrefix`], may hold [three times](Self::SHARE) the room that is free ("Dynamic queue
/// length thresholds for shared-memory packet switches", Choudhury and Hahne, 1998). The limits
/// shrink as the queue fills, so that a source that floods the queue always leaves room for other
/// sources; `n` sources that flood the queue get equal shares. A packet costs constant time, and a
/// source without a packet in the queue takes no memory.
///
/// ```
/// use brooklet_packet::SourceShares;
///
/// // A queue of 8 packets and 8,000 bytes, which one source floods.
/// let (flood, other) = ("10.0.0.66".parse()?, "10.0.0.1".parse()?);
/// let (mut shares, mut queued) = (SourceShares::new(), 0);
/// while shares.add(flood, 100, 8 - queued, 8000 - 100 * queued) {
///     queued += 1;
/// }
/// assert_eq!(queued, 7);
/// assert!(shares.add(other, 100, 8 - queued, 8000 - 100 * queued));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct SourceShares {
    /// The source of the latest call, and its room. It is not in the map: consecutive packets are
    /// most often of one source, and then cost no look into the map.
    latest: Option<(SourcePrefix, Room)>,
    others: HashMap<SourcePrefix, Room, RandomState>,
}

impl SourceShares {
    /// A source may hold this many times the room that is free.
    ///
    /// With 3, a source that is alone fills three quarters of the queue. A queue below half of its
    /// bounds has room for 128 datagrams of one source, the longest segment batch of Linux
    /// (`UDP_MAX_SEGMENTS`), if the bound is 512 datagrams.
    pub const SHARE: usize = 3;

    /// Returns the shares of an empty queue.
    ///
    /// ```
    /// # use brooklet_packet::SourceShares;
    /// assert!(SourceShares::new().is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts a packet of `bytes` bytes for the source of `from`, if the source may hold one more
    /// while `free_packets` and `free_bytes` are free. Returns whether it may.
    ///
    /// The caller has checked that the packet fits the free room.
    ///
    /// ```
    /// # use brooklet_packet::SourceShares;
    /// let (mut shares, from) = (SourceShares::new(), "10.0.0.1".parse()?);
    /// assert!(shares.add(from, 100, 2, 1000));
    /// assert!(shares.add(from, 100, 1, 900));
    /// assert!(!shares.add(from, 100, 0, 800));
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    #[must_use = "the packet is queued only if its source may have it there"]
    pub fn add(
        &mut self,
        from: IpAddr,
        bytes: usize,
        free_packets: usize,
        free_bytes: usize,
    ) -> bool {
        let room = self.room(from);
        let within = room.packets <= free_packets.saturating_mul(Self::SHARE)
            && (bytes == 0 || room.bytes <= free_bytes.saturating_mul(Self::SHARE));
        if within {
            room.packets += 1;
            room.bytes += bytes;
        }
        within
    }

    /// A packet of `bytes` bytes from `from` has left the queue. A packet that was not
    /// [added](Self::add) counts as none.
    ///
    /// ```
    /// # use brooklet_packet::SourceShares;
    /// let (mut shares, from) = (SourceShares::new(), "10.0.0.1".parse()?);
    /// assert!(shares.add(from, 100, 1, 1000));
    /// shares.remove(from, 100);
    /// assert!(shares.is_empty());
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn remove(&mut self, from: IpAddr, bytes: usize) {
        let room = self.room(from);
        room.packets = room.packets.saturating_sub(1);
        room.bytes = room.bytes.saturating_sub(bytes);
    }

    #[inline]
    fn room(&mut self, from: IpAddr) -> &mut Room {
        let source = SourcePrefix::new(from);
        if self.latest.is_none_or(|(latest, _)| latest != source) {
            self.make_latest(source);
        }
        // It is there: the line above has put it there.
        let (_, room) = self.latest.get_or_insert_with(|| (source, Room::default()));
        room
    }

    /// Takes the source out of the map, and puts the one before it there.
    #[inline(never)]
    fn make_latest(&mut self, source: SourcePrefix) {
        let room = self.others.remove(&source).unwrap_or_default();
        let before = self.latest.replace((source, room));
        self.others
            .extend(before.filter(|(_, room)| room.packets > 0));
    }

    /// All packets have left the queue.
    ///
    /// ```
    /// # use brooklet_packet::SourceShares;
    /// let mut shares = SourceShares::new();
    /// assert!(shares.add("10.0.0.1".parse()?, 100, 1, 1000));
    /// shares.clear();
    /// assert!(shares.is_empty());
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Returns the number of sources that have a packet in the queue.
    ///
    /// ```
    /// # use brooklet_packet::SourceShares;
    /// let mut shares = SourceShares::new();
    /// assert!(shares.add("10.0.0.1".parse()?, 100, 9, 1000));
    /// assert!(shares.add("10.0.0.2".parse()?, 100, 8, 900));
    /// assert_eq!(shares.len(), 2);
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        let latest = self.latest.filter(|(_, room)| room.packets > 0);
        self.others.len() + usize::from(latest.is_some())
    }

    /// Returns whether no source has a packet in the queue.
    ///
    /// ```
    /// # use brooklet_packet::SourceShares;
    /// assert!(SourceShares::new().is_empty());
    /// ```
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
