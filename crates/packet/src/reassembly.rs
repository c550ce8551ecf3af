//! Putting fragments together again (RFC 791, 3.2; RFC 815; RFC 8200, 4.5).
//!
//! etherparse has the one well-kept pool for this outside of an IP stack. It leaves to its caller
//! how much is held and for how long, takes overlaps by their order, and keeps no headers; with
//! those added around it little of the work would be its own.

mod pieces;

use crate::{FlowKey, Packet};
use pieces::{Fit, Piece, Pieces};
use std::mem;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// What a packet in the making costs beside its pieces, in bytes: a bit more than it takes.
const PACKET_COST: usize = 256;

/// The limits of a [`Reassembler`].
///
/// ```
/// use brooklet_packet::reassembly::Config;
///
/// let config = Config::new().packets(16);
/// assert_eq!(config.bytes, 1 << 20);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Bytes that are held, at most; 1 MiB. Beside its payload a fragment counts 64 bytes and a
    /// packet in the making 256. When it is full the oldest packet in the making goes. Below
    /// 80,000 the longest packets can never be put together.
    pub bytes: usize,
    /// Packets in the making, at most; 64. When there are as many, the oldest goes. At least 1.
    pub packets: usize,
    /// Packets in the making from one source address, at most; 16. When there are as many, the
    /// oldest of that source goes. At least 1.
    pub per_source: usize,
    /// How long the pieces of a packet are waited for, from the first that came; 15 seconds, which
    /// RFC 791, 3.2 proposes. RFC 8200, 4.5 has 60 seconds and RFC 1122, 3.3.2 no less: on the
    /// wire of a TUN device pieces follow each other at once.
    pub lifetime: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bytes: 1 << 20,
            packets: 64,
            per_source: 16,
            lifetime: Duration::from_secs(15),
        }
    }
}

impl Config {
    /// Returns the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`bytes`](Self#structfield.bytes).
    #[must_use]
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// Sets [`packets`](Self#structfield.packets).
    #[must_use]
    pub fn packets(mut self, packets: usize) -> Self {
        self.packets = packets;
        self
    }

    /// Sets [`per_source`](Self#structfield.per_source).
    #[must_use]
    pub fn per_source(mut self, per_source: usize) -> Self {
        self.per_source = per_source;
        self
    }

    /// Sets [`lifetime`](Self#structfield.lifetime).
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }
}

/// What a [`Reassembler`] has done, and what it holds.
///
/// Each fragment that was taken in is counted once more: among those used, held or dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Fragments taken in.
    pub fragments: u64,
    /// Packets put together.
    pub packets: u64,
    /// Fragments of packets that were put together.
    pub used: u64,
    /// Packets in the making.
    pub held_packets: u64,
    /// Fragments that wait for others.
    pub held_fragments: u64,
    /// Bytes held, as [`Config::bytes`] counts them.
    pub held_bytes: u64,
    /// Fragments dropped because no packet can have such: empty, beyond 65,535 bytes, or not the
    /// last and no multiple of 8 bytes long.
    pub invalid: u64,
    /// Fragments dropped because the same was there already.
    pub duplicates: u64,
    /// Fragments dropped, with those before and after, because the pieces of their packet overlap
    /// (RFC 5722, 4), do not agree where it ends, or are more than 128.
    pub conflicts: u64,
    /// Fragments dropped to make room.
    pub full: u64,
    /// Fragments whose packet was not complete in time.
    pub expired: u64,
}

/// Puts packets together of which fragments come in, IPv4 and IPv6, within fixed limits.
///
/// Nothing is read from a fragment but its place. What comes out is a whole packet, to be parsed
/// like any other: that is when its transport header is seen, and when a filter is to judge it.
///
/// A packet whose pieces overlap, other than by exact repetition, is dropped with all its pieces,
/// also those that are still to come (RFC 5722, 4); with IPv4 as well.
///
/// There is no clock here: `now` comes with each call, and must not run backwards.
///
/// ```
/// use brooklet_packet::reassembly::{Config, Reassembler};
/// use brooklet_packet::Packet;
/// use std::time::Instant;
///
/// // An IPv6 datagram of 16 bytes, in two fragments.
/// let fragment = |offset: u8, more: u8, bytes: [u8; 8]| {
///     let mut packet = vec![0x60, 0, 0, 0, 0, 16, 44, 64];
///     packet.extend([0xfd; 32]);
///     packet.extend([17, 0, 0, offset | more, 0, 0, 0, 7]);
///     packet.extend(bytes);
///     packet
/// };
/// let header = fragment(0, 1, [0, 1, 0, 2, 0, 16, 0, 0]);
/// let data = fragment(8, 0, *b"the rest");
///
/// let mut reassembler = Reassembler::new(Config::default());
/// let (now, mut out) = (Instant::now(), Vec::new());
/// assert!(!reassembler.handle_fragment(now, &Packet::parse(&data)?, &mut out));
/// assert!(reassembler.handle_fragment(now, &Packet::parse(&header)?, &mut out));
/// assert_eq!(Packet::parse(&out)?.payload(), b"the rest");
/// # Ok::<(), brooklet_packet::ParseError>(())
/// ```
#[derive(Debug)]
pub struct Reassembler {
    config: Config,
    /// The oldest first. There are few of them: looking through them all is fast.
    packets: Vec<Parts>,
    stats: Stats,
}

/// What tells the pieces of one packet from those of others: with IPv4 the protocol too (RFC 791,
/// 3.2), with IPv6 not (RFC 8200, 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    ends: FlowKey,
    id: u32,
    protocol: Option<u8>,
}

/// A packet in the making.
#[derive(Debug)]
struct Parts {
    key: Key,
    since: Instant,
    /// `None` once pieces contradicted each other: kept so that later ones are known for theirs.
    pieces: Option<Pieces>,
}

impl Parts {
    fn source(&self) -> IpAddr {
        self.key.ends.addresses().0
    }

    fn cost(&self) -> usize {
        PACKET_COST + self.pieces.as_ref().map_or(0, Pieces::cost)
    }
}

impl Reassembler {
    /// Makes one that holds nothing.
    ///
    /// ```
    /// # use brooklet_packet::reassembly::{Config, Reassembler};
    /// let reassembler = Reassembler::new(Config::default());
    /// assert_eq!(reassembler.stats().held_bytes, 0);
    /// ```
    pub fn new(config: Config) -> Self {
        Self {
            config: Config {
                packets: config.packets.max(1),
                per_source: config.per_source.max(1),
                ..config
            },
            packets: Vec::new(),
            stats: Stats::default(),
        }
    }

    /// Takes in a fragment. Says whether it was the last one missing: then the whole packet is in
    /// `out`, in the place of what was there; else `out` is empty.
    ///
    /// The packet has the header of the first of its pieces, with IPv4 options and with those IPv6
    /// extension headers that stand before the fragment header, which itself is gone. What is not
    /// a fragment is left alone.
    ///
    /// [`poll_timeout`](Self::poll_timeout) may be earlier afterwards. An example is at
    /// [`Reassembler`].
    pub fn handle_fragment(
        &mut self,
        now: Instant,
        fragment: &Packet<'_>,
        out: &mut Vec<u8>,
    ) -> bool {
        out.clear();
        let Some(place) = fragment.fragment() else {
            return false;
        };
        self.stats.fragments += 1;
        self.handle_timeout(now);
        let Some(piece) = Piece::new(fragment, place) else {
            self.stats.invalid += 1;
            return false;
        };
        let key = Key {
            ends: fragment.key(),
            id: place.id,
            protocol: (!fragment.key().is_ipv6()).then(|| fragment.protocol().into()),
        };
        let found = self.packets.iter().position(|parts| parts.key == key);
        let at = found.unwrap_or_else(|| self.begin(now, key));
        let Some(pieces) = &mut self.packets[at].pieces else {
            self.stats.conflicts += 1;
            return false;
        };
        match pieces.fit(&piece) {
            Fit::Fits => {}
            Fit::Known => {
                self.stats.duplicates += 1;
                return false;
            }
            Fit::Conflict => {
                self.stats.conflicts += 1;
                self.spoil(at);
                return false;
            }
        }
        let Some(at) = self.make_room(at, piece.cost()) else {
            self.stats.full += 1;
            return false;
        };
        self.stats.held_bytes += piece.cost() as u64;
        self.stats.held_fragments += 1;
        let complete = self.packets[at].pieces.as_mut().is_some_and(|pieces| {
            pieces.insert(piece);
            pieces.is_complete()
        });
        complete && self.finish(at, out)
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do; `None` when nothing is
    /// held.
    ///
    /// ```
    /// # use brooklet_packet::reassembly::{Config, Reassembler};
    /// assert_eq!(Reassembler::new(Config::default()).poll_timeout(), None);
    /// ```
    pub fn poll_timeout(&self) -> Option<Instant> {
        // A lifetime beyond what an instant can say never ends.
        self.packets
            .first()?
            .since
            .checked_add(self.config.lifetime)
    }

    /// Drops what has waited too long.
    ///
    /// ```
    /// # use brooklet_packet::reassembly::{Config, Reassembler};
    /// # use std::time::Instant;
    /// let mut reassembler = Reassembler::new(Config::default());
    /// reassembler.handle_timeout(Instant::now());
    /// assert_eq!(reassembler.stats().expired, 0);
    /// ```
    pub fn handle_timeout(&mut self, now: Instant) {
        while self.poll_timeout().is_some_and(|at| at <= now) {
            self.stats.expired += self.remove(0).map_or(0, |pieces| pieces.count());
        }
    }

    /// What has been done and what is held.
    ///
    /// ```
    /// # use brooklet_packet::reassembly::{Config, Reassembler};
    /// assert_eq!(Reassembler::new(Config::default()).stats().fragments, 0);
    /// ```
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Adds an entry for a packet, in the place of older ones if need be.
    fn begin(&mut self, now: Instant, key: Key) -> usize {
        let source = key.ends.addresses().0;
        let of_source = |parts: &Parts| parts.source() == source;
        let oldest = if self.packets.iter().filter(|parts| of_source(parts)).count()
            >= self.config.per_source
        {
            self.packets.iter().position(of_source)
        } else {
            (self.packets.len() >= self.config.packets).then_some(0)
        };
        if let Some(oldest) = oldest {
            self.displace(oldest);
        }
        self.stats.held_packets += 1;
        self.stats.held_bytes += PACKET_COST as u64;
        self.packets.push(Parts {
            key,
            since: now,
            pieces: Some(Pieces::default()),
        });
        self.packets.len() - 1
    }

    /// Drops the oldest until there is room for `cost` bytes. Says where the packet that was at
    /// `at` is then; `None` if it had to go itself.
    fn make_room(&mut self, mut at: usize, cost: usize) -> Option<usize> {
        while self.stats.held_bytes as usize + cost > self.config.bytes {
            self.displace(0);
            at = at.checked_sub(1)?;
        }
        Some(at)
    }

    fn displace(&mut self, at: usize) {
        self.stats.full += self.remove(at).map_or(0, |pieces| pieces.count());
    }

    /// Gives up all pieces of a packet, but not the memory of it.
    fn spoil(&mut self, at: usize) {
        if let Some(pieces) = self.packets[at].pieces.take() {
            self.stats.held_bytes -= pieces.cost() as u64;
            self.stats.held_fragments -= pieces.count();
            self.stats.conflicts += pieces.count();
        }
    }

    /// Writes the packet whose pieces are all there. It may still be too long.
    fn finish(&mut self, at: usize, out: &mut Vec<u8>) -> bool {
        let Some(pieces) = self.remove(at) else {
            return false;
        };
        let is_whole = pieces.write(out);
        if is_whole {
            self.stats.packets += 1;
            self.stats.used += pieces.count();
        } else {
            self.stats.invalid += pieces.count();
        }
        is_whole
    }

    fn remove(&mut self, at: usize) -> Option<Pieces> {
        let mut parts = self.packets.remove(at);
        self.stats.held_packets -= 1;
        self.stats.held_bytes -= parts.cost() as u64;
        let pieces = mem::take(&mut parts.pieces)?;
        self.stats.held_fragments -= pieces.count();
        Some(pieces)
    }
}
