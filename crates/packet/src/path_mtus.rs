//! The path MTUs of destinations.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The most destinations in a table by default.
const MAX_DESTINATIONS: usize = 4096;

/// The time for which an MTU from an ICMP error counts: a router reports the MTU again if the path
/// has not changed (RFC 1191, 6.3; RFC 8201, 4; `mtu_expires` of Linux).
const LEARNED_LIFETIME: Duration = Duration::from_secs(600);

/// The least path MTUs that an ICMP error can bring about, in bytes, against attackers who slow down
/// a flow: that of Linux (`min_pmtu`) and that of RFC 8200, 5.
const V4_LEAST_LEARNED: u32 = 552;
const V6_LEAST_LEARNED: u32 = 1280;

/// The path MTUs of destinations whose path MTU is below the device's MTU.
///
/// The program [states](Self::set) the MTU of a path, or an ICMP error [reports](Self::learn) it.
/// The least of them counts. A stated MTU counts until the program takes it back, a learned one
/// for 10 minutes, and so does one that the program states [for a while](Self::set_expiring).
///
/// The table holds at most 4,096 destinations, or as many as [`with_limit`](Self::with_limit) says. When it is full, a new destination displaces the one
/// whose MTU was the first of those that expire, and one that does not expire only if none does.
///
/// ```
/// use brooklet_packet::PathMtus;
/// use std::time::{Duration, Instant};
///
/// let (now, peer) = (Instant::now(), "192.0.2.7".parse()?);
/// let mut mtus = PathMtus::new();
/// assert_eq!(mtus.get(now, peer), None);
///
/// mtus.learn(now, peer, 1400);
/// assert_eq!(mtus.get(now, peer), Some(1400));
/// assert_eq!(mtus.get(now + Duration::from_secs(601), peer), None);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug)]
pub struct PathMtus {
    entries: HashMap<IpAddr, Entry>,
    /// The keys of the entries in the order in which they are displaced.
    order: BTreeMap<Rank, IpAddr>,
    /// The number of changes so far.
    changes: u64,
    limit: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    stated: Option<u32>,
    /// What the program has stated for a while.
    expiring: Option<Learned>,
    learned: Option<Learned>,
    rank: Rank,
}

#[derive(Clone, Copy, Debug)]
struct Learned {
    mtu: u32,
    at: Instant,
}

/// Learned entries come before stated ones, and old ones before new ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    is_stated: bool,
    change: u64,
}

impl Learned {
    fn is_valid(self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < LEARNED_LIFETIME
    }
}

impl Entry {
    fn mtu(&self, now: Instant) -> Option<u32> {
        lesser(self.stated(now), valid(self.learned, now))
    }

    fn stated(&self, now: Instant) -> Option<u32> {
        lesser(self.stated, valid(self.expiring, now))
    }
}

fn valid(learned: Option<Learned>, now: Instant) -> Option<u32> {
    let learned = learned.filter(|learned| learned.is_valid(now));
    learned.map(|learned| learned.mtu)
}

fn lesser(one: Option<u32>, other: Option<u32>) -> Option<u32> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

impl Default for PathMtus {
    fn default() -> Self {
        Self::new()
    }
}

impl PathMtus {
    /// Returns an empty table.
    ///
    /// ```
    /// # use brooklet_packet::PathMtus;
    /// assert!(PathMtus::new().is_empty());
    /// ```
    pub fn new() -> Self {
        Self::with_limit(MAX_DESTINATIONS)
    }

    /// Returns an empty table for at most `destinations` destinations, at least one. A destination
    /// takes about 300 bytes at most.
    ///
    /// ```
    /// # use brooklet_packet::PathMtus;
    /// # use std::time::Instant;
    /// # let now = Instant::now();
    /// let (first, second) = ("192.0.2.7".parse()?, "192.0.2.8".parse()?);
    /// let mut mtus = PathMtus::with_limit(1);
    /// mtus.set(now, first, Some(1420));
    /// mtus.set(now, second, Some(1280));
    /// assert_eq!((mtus.get(now, first), mtus.get(now, second)), (None, Some(1280)));
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn with_limit(destinations: usize) -> Self {
        Self {
            entries: HashMap::new(),
            order: BTreeMap::new(),
            changes: 0,
            limit: destinations.max(1),
        }
    }

    /// Returns about how many bytes the table has allocated.
    ///
    /// ```
    /// assert_eq!(brooklet_packet::PathMtus::new().allocated(), 0);
    /// ```
    pub fn allocated(&self) -> usize {
        // The tables of the standard library have a power of two of places, 7/8 of them for use,
        // and a byte beside each. The nodes of a tree are three quarters full.
        let places = match self.entries.capacity() {
            0 => 0,
            capacity => (capacity * 8 / 7).next_power_of_two(),
        };
        places * (size_of::<(IpAddr, Entry)>() + 1)
            + self.order.len() * size_of::<(Rank, IpAddr)>() * 4 / 3
    }

    /// States the MTU of the path to `destination`, in bytes, with the IP header. It does not expire.
    ///
    /// `None` forgets the path: the MTU that was stated, and the MTU that was learned.
    ///
    /// ```
    /// # use brooklet_packet::PathMtus;
    /// # use std::time::Instant;
    /// # let (now, peer) = (Instant::now(), "fd00::7".parse()?);
    /// let mut mtus = PathMtus::new();
    /// mtus.set(now, peer, Some(1420));
    /// assert_eq!(mtus.get(now, peer), Some(1420));
    /// mtus.set(now, peer, None);
    /// assert!(mtus.is_empty());
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn set(&mut self, now: Instant, destination: IpAddr, mtu: Option<usize>) {
        let previous = self.remove(destination);
        let Some(mtu) = mtu else {
            return;
        };
        let learned = previous.and_then(|entry| entry.learned);
        self.insert(now, destination, (Some(saturating(mtu)), None, learned));
    }

    /// States the MTU of the path to `destination` for 10 minutes (RFC 8201, 4), in bytes, with the
    /// IP header: what the program's own sockets have learned. Returns whether the path MTU has
    /// become smaller.
    ///
    /// An MTU that is greater than the one that is known changes nothing, and the same one again
    /// prolongs the time. A later [`set`](Self::set) replaces the statement.
    ///
    /// ```
    /// # use brooklet_packet::PathMtus;
    /// # use std::time::{Duration, Instant};
    /// # let (now, peer) = (Instant::now(), "192.0.2.7".parse()?);
    /// let mut mtus = PathMtus::new();
    /// assert!(mtus.set_expiring(now, peer, 1400));
    /// assert!(!mtus.set_expiring(now, peer, 1450));
    /// assert_eq!(mtus.stated(now, peer), Some(1400));
    /// assert_eq!(mtus.stated(now + Duration::from_secs(601), peer), None);
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn set_expiring(&mut self, now: Instant, destination: IpAddr, mtu: usize) -> bool {
        let mtu = saturating(mtu);
        let entry = self.entries.get(&destination).copied();
        let current = entry.and_then(|entry| entry.mtu(now));
        if current.is_some_and(|current| current < mtu) {
            return false;
        }
        self.remove(destination);
        let (stated, learned) = entry.map_or((None, None), |entry| (entry.stated, entry.learned));
        let expiring = Some(Learned { mtu, at: now });
        self.insert(now, destination, (stated, expiring, learned));
        current != Some(mtu)
    }

    /// Takes in the MTU of the path to `destination` that an ICMP error reports, in bytes, with the
    /// IP header. It expires after 10 minutes (RFC 8201, 4). Returns whether the path MTU has become
    /// smaller.
    ///
    /// The caller checks that the error is about a packet that was sent (RFC 5927). A report below
    /// 552 bytes with IPv4 counts as 552 bytes, like with Linux, and one below 1,280 bytes with IPv6
    /// is ignored (RFC 8201, 4). A report never raises the path MTU.
    ///
    /// ```
    /// # use brooklet_packet::PathMtus;
    /// # use std::time::Instant;
    /// # let (now, peer) = (Instant::now(), "192.0.2.7".parse()?);
    /// let mut mtus = PathMtus::new();
    /// assert!(mtus.learn(now, peer, 1300));
    /// assert!(!mtus.learn(now, peer, 1400));
    /// assert_eq!(mtus.get(now, peer), Some(1300));
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn learn(&mut self, now: Instant, destination: IpAddr, mtu: usize) -> bool {
        let mut mtu = saturating(mtu);
        if destination.is_ipv4() {
            mtu = mtu.max(V4_LEAST_LEARNED);
        } else if mtu < V6_LEAST_LEARNED {
            return false;
        }
        let entry = self.entries.get(&destination);
        let current = entry.and_then(|entry| entry.mtu(now));
        if current.is_some_and(|current| current < mtu) {
            return false;
        }
        let entry = self.remove(destination);
        let (stated, expiring) = entry.map_or((None, None), |entry| (entry.stated, entry.expiring));
        // The same report again prolongs the lifetime.
        let learned = Some(Learned { mtu, at: now });
        self.insert(now, destination, (stated, expiring, learned));
        current != Some(mtu)
    }

    /// Returns the MTU of the path to `destination` in bytes, or `None` if nothing is known: then it
    /// is the MTU of the device.
    ///
    /// ```
    /// # use brooklet_packet::PathMtus;
    /// # use std::time::Instant;
    /// # let now = Instant::now();
    /// assert_eq!(PathMtus::new().get(now, "fd00::7".parse()?), None);
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn get(&self, now: Instant, destination: IpAddr) -> Option<usize> {
        // Most stacks have no such path, and look for each datagram.
        if self.entries.is_empty() {
            return None;
        }
        let mtu = self.entries.get(&destination)?.mtu(now)?;
        usize::try_from(mtu).ok()
    }

    /// Returns the MTU that the program has [stated](Self::set) for the path to `destination`, also
    /// [for a while](Self::set_expiring), in bytes, whatever an ICMP error has reported.
    ///
    /// ```
    /// # use brooklet_packet::PathMtus;
    /// # use std::time::Instant;
    /// # let (now, peer) = (Instant::now(), "192.0.2.7".parse()?);
    /// let mut mtus = PathMtus::new();
    /// mtus.set(now, peer, Some(1420));
    /// mtus.learn(now, peer, 1300);
    /// assert_eq!((mtus.get(now, peer), mtus.stated(now, peer)), (Some(1300), Some(1420)));
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn stated(&self, now: Instant, destination: IpAddr) -> Option<usize> {
        if self.entries.is_empty() {
            return None;
        }
        let mtu = self.entries.get(&destination)?.stated(now)?;
        usize::try_from(mtu).ok()
    }

    /// Returns whether the table has no entry. The call costs one comparison.
    ///
    /// ```
    /// # use brooklet_packet::PathMtus;
    /// assert!(PathMtus::new().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn remove(&mut self, destination: IpAddr) -> Option<Entry> {
        let entry = self.entries.remove(&destination)?;
        self.order.remove(&entry.rank);
        Some(entry)
    }

    /// Adds an entry for a destination that has none, and drops those for which there is no room.
    fn insert(
        &mut self,
        now: Instant,
        destination: IpAddr,
        (stated, expiring, learned): (Option<u32>, Option<Learned>, Option<Learned>),
    ) {
        self.drop_expired(now);
        if self.entries.len() >= self.limit
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.entries.remove(&oldest);
        }
        let rank = Rank {
            is_stated: stated.is_some(),
            change: self.changes,
        };
        self.changes += 1;
        self.order.insert(rank, destination);
        self.entries.insert(
            destination,
            Entry {
                stated,
                expiring,
                learned,
                rank,
            },
        );
    }

    /// Drops the entries without a valid MTU: they are the first in the order.
    fn drop_expired(&mut self, now: Instant) {
        while let Some(first) = self.order.first_entry() {
            let entry = self.entries.get(first.get());
            if entry.is_some_and(|entry| entry.mtu(now).is_some()) {
                break;
            }
            self.entries.remove(&first.remove());
        }
    }
}

fn saturating(mtu: usize) -> u32 {
    u32::try_from(mtu).unwrap_or(u32::MAX)
}
