//! Reassembly of fragments (RFC 791, 3.2; RFC 815; RFC 8200, 4.5).
//!
//! etherparse has a well-kept pool for reassembly. The pool leaves the limits and the timeouts to
//! its caller, lets the order of arrival decide about overlaps, and keeps no headers, so most of
//! this module would still be needed around it.

mod config;
mod queue;

pub use config::{Config, Stats};

use crate::{FlowKey, Packet, SourcePrefix};
use queue::{Fit, FragmentQueue, HeldFragment};
use std::time::{Duration, Instant};

/// The cost of an incomplete packet beside its fragments, in bytes, rounded up.
const PACKET_COST: usize = 256;

/// Reassembles IPv4 and IPv6 packets from their fragments, within fixed limits.
///
/// The reassembler reads only the IP header of a fragment. The caller parses the reassembled packet
/// like any other, and only then a filter sees its transport header.
///
/// Overlapping fragments that are not exact duplicates drop their packet with all its fragments,
/// also the fragments that arrive later (RFC 5722, 4). The same holds for IPv4.
///
/// The reassembler has no clock: every call has an argument `now`, which must not go backwards.
///
/// ```
/// use brooklet_packet::reassembly::{Config, Reassembler};
/// use brooklet_packet::{Packet, fragment, udp};
/// use std::time::Instant;
///
/// let (from, to) = ("[2001:db8::1]:53".parse()?, "[2001:db8::2]:5000".parse()?);
/// let mut datagram = Vec::new();
/// udp::write(&mut datagram, from, to, 64, &[7; 2000])?;
///
/// let mut reassembler = Reassembler::new(Config::default());
/// let (now, mut out) = (Instant::now(), Vec::new());
/// let fragments: Vec<_> = fragment(&Packet::parse(&datagram)?, 1500, 99).collect();
/// // The order of arrival does not matter.
/// assert!(!reassembler.handle_fragment(now, &Packet::parse(&fragments[1])?, &mut out));
/// assert!(reassembler.handle_fragment(now, &Packet::parse(&fragments[0])?, &mut out));
/// assert_eq!(out, datagram);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Reassembler {
    config: Config,
    /// The oldest first. A linear search is fast: the limit is small.
    incomplete: Vec<Incomplete>,
    stats: Stats,
}

/// The fields that the fragments of one packet share. The protocol is one of them with IPv4
/// (RFC 791, 3.2) and not with IPv6 (RFC 8200, 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    flow: FlowKey,
    id: u32,
    protocol: Option<u8>,
}

impl Key {
    fn source(&self) -> SourcePrefix {
        self.flow.addresses().0.into()
    }
}

/// A packet that lacks fragments.
#[derive(Debug)]
struct Incomplete {
    key: Key,
    since: Instant,
    /// `None` after a conflict: the entry stays, so that later fragments of the packet are dropped.
    queue: Option<FragmentQueue>,
}

impl Incomplete {
    fn has_expired(&self, now: Instant, lifetime: Duration) -> bool {
        now.saturating_duration_since(self.since) >= lifetime
    }

    fn cost(&self) -> usize {
        PACKET_COST + self.queue.as_ref().map_or(0, FragmentQueue::cost)
    }
}

impl Reassembler {
    /// Returns an empty reassembler.
    ///
    /// ```
    /// # use brooklet_packet::reassembly::{Config, Reassembler};
    /// let reassembler = Reassembler::new(Config::default());
    /// assert_eq!(reassembler.stats().queued_bytes, 0);
    /// ```
    pub fn new(config: Config) -> Self {
        Self {
            config: Config {
                packets: config.packets.max(1),
                per_source: config.per_source.max(1),
                ..config
            },
            incomplete: Vec::new(),
            stats: Stats::default(),
        }
    }

    /// Takes in a fragment. Returns whether the fragment completed its packet: then `out` holds the
    /// reassembled packet, otherwise `out` is empty.
    ///
    /// The reassembled packet has the header of its first fragment with the IPv4 options, or with
    /// the IPv6 extension headers before the fragment header. A packet that is not a fragment has no
    /// effect.
    ///
    /// An incomplete packet takes no fragment after its lifetime, also before
    /// [`handle_timeout`](Self::handle_timeout) drops it.
    /// [`poll_timeout`](Self::poll_timeout) may return an earlier time afterwards.
    ///
    /// ```
    /// # use brooklet_packet::reassembly::{Config, Reassembler};
    /// # use brooklet_packet::{Packet, udp};
    /// # use std::time::Instant;
    /// let mut datagram = Vec::new();
    /// udp::write(&mut datagram, "10.0.0.1:1".parse()?, "10.0.0.2:2".parse()?, 64, b"hello")?;
    ///
    /// let (mut reassembler, mut out) = (Reassembler::new(Config::default()), Vec::new());
    /// let not_a_fragment = Packet::parse(&datagram)?;
    /// assert!(!reassembler.handle_fragment(Instant::now(), &not_a_fragment, &mut out));
    /// assert_eq!(reassembler.stats().fragments, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn handle_fragment(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        out: &mut Vec<u8>,
    ) -> bool {
        out.clear();
        let Some(header) = packet.fragment() else {
            return false;
        };
        self.stats.fragments += 1;
        let Some(fragment) = HeldFragment::new(packet, header) else {
            self.stats.invalid += 1;
            return false;
        };
        let key = Key {
            flow: packet.key(),
            id: header.id,
            protocol: (!packet.key().is_ipv6()).then(|| packet.protocol().into()),
        };
        // An expired packet waits for `handle_timeout` and takes no more fragments.
        let lifetime = self.config.lifetime;
        let found = self
            .incomplete
            .iter()
            .position(|entry| entry.key == key && !entry.has_expired(now, lifetime));
        let at = found.unwrap_or_else(|| self.begin(now, key));
        let Some(queue) = &mut self.incomplete[at].queue else {
            self.stats.conflicts += 1;
            return false;
        };
        match queue.fit(&fragment) {
            Fit::Fits => {}
            Fit::Duplicate => {
                self.stats.duplicates += 1;
                return false;
            }
            Fit::Conflict => {
                self.stats.conflicts += 1;
                self.drop_fragments(at);
                return false;
            }
        }
        let Some(at) = self.make_room(at, fragment.cost()) else {
            self.stats.full += 1;
            return false;
        };
        self.stats.queued_bytes += fragment.cost() as u64;
        self.stats.queued_fragments += 1;
        let complete = self.incomplete[at].queue.as_mut().is_some_and(|queue| {
            queue.insert(fragment);
            queue.is_complete()
        });
        complete && self.finish(at, out)
    }

    /// Returns the time at which [`handle_timeout`](Self::handle_timeout) has work, or `None` if the
    /// reassembler is empty.
    ///
    /// ```
    /// # use brooklet_packet::reassembly::{Config, Reassembler};
    /// assert_eq!(Reassembler::new(Config::default()).poll_timeout(), None);
    /// ```
    pub fn poll_timeout(&self) -> Option<Instant> {
        // A lifetime beyond the range of `Instant` never ends.
        self.incomplete
            .first()?
            .since
            .checked_add(self.config.lifetime)
    }

    /// Drops the incomplete packets whose lifetime is over, up to one whose first fragment arrived.
    /// Returns whether there was such a packet: then `out` holds that first fragment, otherwise
    /// `out` is empty. Call again until the method returns `false`.
    ///
    /// The sender of the packet is due the error
    /// [`ReassemblyTimeExceeded`](crate::icmp::IcmpErrorKind::ReassemblyTimeExceeded) about the first
    /// fragment, and no error without a first fragment (RFC 792; RFC 8200, 4.5).
    ///
    /// ```
    /// use brooklet_packet::icmp::{self, IcmpErrorKind};
    /// use brooklet_packet::reassembly::{Config, Reassembler};
    /// use brooklet_packet::{Packet, fragment, udp};
    /// use std::time::{Duration, Instant};
    ///
    /// let (from, to) = ("[2001:db8::1]:53".parse()?, "[2001:db8::2]:5000".parse()?);
    /// let mut datagram = Vec::new();
    /// udp::write(&mut datagram, from, to, 64, &[7; 2000])?;
    /// let first = fragment(&Packet::parse(&datagram)?, 1500, 99).next().expect("a fragment");
    ///
    /// let mut reassembler = Reassembler::new(Config::default());
    /// let (mut now, mut out) = (Instant::now(), Vec::new());
    /// reassembler.handle_fragment(now, &Packet::parse(&first)?, &mut out);
    ///
    /// now += Duration::from_secs(60);
    /// let mut errors = Vec::new();
    /// while reassembler.handle_timeout(now, &mut out) {
    ///     let (first, mut error) = (Packet::parse(&out)?, Vec::new());
    ///     if icmp::error(&mut error, &first, IcmpErrorKind::ReassemblyTimeExceeded) {
    ///         errors.push(error);
    ///     }
    /// }
    /// assert_eq!(out, b"");
    /// let error = icmp::parse_error(&Packet::parse(&errors[0])?).expect("an error");
    /// assert_eq!(error.key.source(), from);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        out.clear();
        while self.poll_timeout().is_some_and(|at| at <= now) {
            if let Some(queue) = self.remove(0) {
                self.stats.expired += queue.count();
                if queue.write_first(out) {
                    return true;
                }
            }
        }
        false
    }

    /// Returns the counters.
    ///
    /// ```
    /// # use brooklet_packet::reassembly::{Config, Reassembler};
    /// assert_eq!(Reassembler::new(Config::default()).stats().fragments, 0);
    /// ```
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Returns the bytes that the reassembler has allocated, without the allocator's own overhead.
    /// [`Config::bytes`] bounds them.
    ///
    /// ```
    /// # use brooklet_packet::reassembly::{Config, Reassembler};
    /// assert_eq!(Reassembler::new(Config::default()).allocated(), 0);
    /// ```
    pub fn allocated(&self) -> usize {
        let queues = self
            .incomplete
            .iter()
            .filter_map(|entry| entry.queue.as_ref());
        self.incomplete.capacity() * size_of::<Incomplete>()
            + queues.map(FragmentQueue::allocated).sum::<usize>()
    }

    /// Adds an entry for a packet, and drops the oldest one of the source or of all if a limit is
    /// reached.
    fn begin(&mut self, now: Instant, key: Key) -> usize {
        let source = key.source();
        let of_source = |entry: &Incomplete| entry.key.source() == source;
        let count = self
            .incomplete
            .iter()
            .filter(|entry| of_source(entry))
            .count();
        let oldest = if count >= self.config.per_source {
            self.incomplete.iter().position(of_source)
        } else {
            (self.incomplete.len() >= self.config.packets).then_some(0)
        };
        if let Some(oldest) = oldest {
            self.displace(oldest);
        }
        self.stats.queued_packets += 1;
        self.stats.queued_bytes += PACKET_COST as u64;
        self.incomplete.push(Incomplete {
            key,
            since: now,
            queue: Some(FragmentQueue::default()),
        });
        self.incomplete.len() - 1
    }

    /// Drops the oldest packets until there is room for `cost` bytes. Returns the new position of
    /// the packet at `at`, or `None` if that packet was dropped.
    fn make_room(&mut self, mut at: usize, cost: usize) -> Option<usize> {
        while self.stats.queued_bytes as usize + cost > self.config.bytes {
            self.displace(0);
            at = at.checked_sub(1)?;
        }
        Some(at)
    }

    fn displace(&mut self, at: usize) {
        self.stats.full += self.remove(at).map_or(0, |queue| queue.count());
    }

    /// Drops all fragments of a packet and keeps its entry.
    fn drop_fragments(&mut self, at: usize) {
        if let Some(queue) = self.incomplete[at].queue.take() {
            self.stats.queued_bytes -= queue.cost() as u64;
            self.stats.queued_fragments -= queue.count();
            self.stats.conflicts += queue.count();
        }
    }

    /// Writes a complete packet. The packet may still be too long.
    fn finish(&mut self, at: usize, out: &mut Vec<u8>) -> bool {
        let Some(queue) = self.remove(at) else {
            return false;
        };
        let reassembled = queue.write(out);
        if reassembled {
            self.stats.packets += 1;
            self.stats.used += queue.count();
        } else {
            self.stats.invalid += queue.count();
        }
        reassembled
    }

    fn remove(&mut self, at: usize) -> Option<FragmentQueue> {
        let entry = self.incomplete.remove(at);
        self.stats.queued_packets -= 1;
        self.stats.queued_bytes -= entry.cost() as u64;
        let queue = entry.queue?;
        self.stats.queued_fragments -= queue.count();
        Some(queue)
    }
}
