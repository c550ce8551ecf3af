//! The SYN queue: SYNs that wait for the program's answer.
//!
//! The queue is bounded and its entries are small, because every host can fill it. An entry is a
//! slot of a slab and the bytes of its SYN, found through an index of slot numbers. Three linked
//! lists run through the slots, each in order of age: all entries, the entries of each source, and
//! the entries that a listener was not given yet. So every operation takes constant time.

mod list;

use self::list::{Link, Linked, List, ListKind, NONE, push, unlink};
use crate::syn::Syn;
use brooklet_packet::{FlowKey, Headers, Packet};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use slab::Slab;
use smoltcp::wire::{IPV6_HEADER_LEN, Ipv4Packet, Ipv6Packet};
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The longest SYN that is kept as it arrived, in bytes: an IPv6 header and the longest TCP header.
/// A longer SYN has data, IP options or extension headers, and is kept without them.
const MAX_SYN: usize = 100;

pub(crate) struct SynQueue {
    slots: Slab<SynEntry>,
    index: HashTable<u32>,
    /// The entries of each source. The first entry tells which source it is.
    sources: HashTable<List>,
    /// The entries that each listener was not given yet.
    pending: HashMap<u32, List, RandomState>,
    /// All entries, the oldest first, which is the order in which they expire.
    all: List,
    hasher: RandomState,
    /// `arrived_at` counts from here.
    epoch: Option<Instant>,
    next_id: u64,
    /// The most entries; the caller removes the oldest before it inserts one more.
    limit: usize,
}

/// A SYN that waits for the program's answer.
#[derive(Debug)]
pub(crate) struct SynEntry {
    pub(crate) key: FlowKey,
    pub(crate) listener: u32,
    pub(crate) isn: u32,
    /// The queue of the device on which the SYN arrived.
    pub(crate) queue: u8,
    /// The whole packet, without data.
    pub(crate) syn: Box<[u8]>,
    /// Distinguishes the entry from earlier ones in the same slot.
    id: u64,
    /// In microseconds since the queue's epoch.
    arrived_at: u64,
    links: [Link; 3],
    given: bool,
}

impl Linked for SynEntry {
    fn link(&mut self, kind: ListKind) -> &mut Link {
        &mut self.links[kind as usize]
    }
}

impl SynEntry {
    /// The parsed SYN. Never `None`: the packet was parsed before it was kept.
    pub(crate) fn parse(&self) -> Option<Syn> {
        let packet = Packet::parse(&self.syn).ok()?;
        Some(Syn::parse(packet.bytes(), packet.headers(), packet.tcp()?))
    }
}

/// Identifies an entry, also after the entry is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SynId {
    slot: u32,
    id: u64,
}

impl SynQueue {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            slots: Slab::new(),
            index: HashTable::new(),
            sources: HashTable::new(),
            pending: HashMap::default(),
            all: List::EMPTY,
            hasher: RandomState::default(),
            epoch: None,
            next_id: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The sequence number of the SYN of `key`, if there is one.
    pub(crate) fn isn(&self, key: FlowKey) -> Option<u32> {
        self.find(key).map(|slot| self.slots[slot as usize].isn)
    }

    /// Adds a SYN for `listener`. There is none of `key` yet.
    pub(crate) fn insert(
        &mut self,
        (key, listener, queue): (FlowKey, u32, u8),
        isn: u32,
        syn: &[u8],
        now: Instant,
    ) {
        if self.slots.len() == self.slots.capacity() {
            let more = (self.slots.len() / 2).max(64);
            let most = self.limit.saturating_sub(self.slots.len());
            self.slots.reserve_exact(more.min(most));
        }
        let epoch = *self.epoch.get_or_insert(now);
        let arrived_at = now.saturating_duration_since(epoch).as_micros();
        let slot = self.slots.insert(SynEntry {
            key,
            listener,
            isn,
            queue,
            syn: syn.into(),
            id: self.next_id,
            arrived_at: u64::try_from(arrived_at).unwrap_or(u64::MAX),
            links: [Link {
                before: NONE,
                after: NONE,
            }; 3],
            given: false,
        }) as u32; // the backlog is bounded far below that
        self.next_id += 1;
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.index
            .insert_unique(hasher.hash_one(key), slot, |&slot| {
                hasher.hash_one(slots[slot as usize].key)
            });
        push(&mut self.slots, &mut self.all, ListKind::All, slot);
        let pending = self.pending.entry(listener).or_insert(List::EMPTY);
        push(&mut self.slots, pending, ListKind::Pending, slot);
        let source = source(key);
        let slots = &mut self.slots;
        match self.sources.find_mut(hasher.hash_one(source), |list| {
            self::source(slots[list.first as usize].key) == source
        }) {
            Some(list) => push(slots, list, ListKind::Source, slot),
            None => {
                let mut list = List::EMPTY;
                push(slots, &mut list, ListKind::Source, slot);
                self.sources
                    .insert_unique(hasher.hash_one(source), list, |list| {
                        hasher.hash_one(self::source(slots[list.first as usize].key))
                    });
            }
        }
    }

    /// Replaces the SYN of `key`: the client has started anew, and the answer goes to the new SYN.
    pub(crate) fn replace(&mut self, key: FlowKey, isn: u32, syn: &[u8]) {
        if let Some(slot) = self.find(key) {
            let entry = &mut self.slots[slot as usize];
            entry.isn = isn;
            entry.syn = syn.into();
        }
    }

    /// The number of entries of the source of `key`.
    pub(crate) fn of_source(&self, key: FlowKey) -> usize {
        self.source_of(key).map_or(0, |list| list.len as usize)
    }

    /// Removes the oldest entry. Returns whether there was one.
    pub(crate) fn remove_oldest(&mut self) -> bool {
        self.remove_slot(self.all.first).is_some()
    }

    /// Removes the oldest entry of the source of `key`. Returns whether there was one.
    pub(crate) fn remove_oldest_of_source(&mut self, key: FlowKey) -> bool {
        let first = self.source_of(key).map_or(NONE, |list| list.first);
        self.remove_slot(first).is_some()
    }

    /// Removes the entry of `key`.
    pub(crate) fn remove(&mut self, key: FlowKey) -> Option<SynEntry> {
        self.remove_slot(self.find(key)?)
    }

    /// Gives `listener` the oldest entry that it was not given yet.
    pub(crate) fn next_pending(&mut self, listener: u32) -> Option<(SynId, &SynEntry)> {
        let pending = self.pending.get_mut(&listener)?;
        let slot = pending.first;
        if slot == NONE {
            return None;
        }
        unlink(&mut self.slots, pending, ListKind::Pending, slot);
        let entry = &mut self.slots[slot as usize];
        entry.given = true;
        let id = entry.id;
        Some((SynId { slot, id }, entry))
    }

    /// Whether there is an entry that `listener` was not given yet.
    pub(crate) fn has_pending(&self, listener: u32) -> bool {
        self.pending.get(&listener).is_some_and(|list| list.len > 0)
    }

    /// Removes all entries that `listener`, which is being closed, was not given.
    pub(crate) fn take_pending(&mut self, listener: u32) -> Vec<SynEntry> {
        let mut taken = Vec::new();
        while let Some((id, _)) = self.next_pending(listener) {
            taken.extend(self.take(id));
        }
        self.pending.remove(&listener);
        taken
    }

    pub(crate) fn get(&self, id: SynId) -> Option<&SynEntry> {
        self.slots
            .get(id.slot as usize)
            .filter(|entry| entry.id == id.id)
    }

    /// Removes the entry, which the caller answers.
    pub(crate) fn take(&mut self, id: SynId) -> Option<SynEntry> {
        self.get(id)?;
        self.remove_slot(id.slot)
    }

    /// When the oldest entry expires, if each waits for `timeout`.
    pub(crate) fn next_expiry(&self, timeout: Duration) -> Option<Instant> {
        let oldest = self.slots.get(self.all.first as usize)?;
        Some(self.epoch? + Duration::from_micros(oldest.arrived_at) + timeout)
    }

    /// Removes the entries that have waited for `timeout`. Returns how many.
    pub(crate) fn expire(&mut self, now: Instant, timeout: Duration) -> u64 {
        let mut expired = 0;
        while self.next_expiry(timeout).is_some_and(|at| at <= now) && self.remove_oldest() {
            expired += 1;
        }
        if self.slots.is_empty() {
            self.give_back();
        }
        expired
    }

    /// Gives back the memory of a burst that is over.
    fn give_back(&mut self) {
        self.slots.shrink_to_fit();
        let nothing = |_: &u32| 0; // the table is empty
        self.index.shrink_to_fit(nothing);
        self.sources.shrink_to_fit(|_| 0);
    }

    pub(crate) fn clear(&mut self) {
        *self = Self {
            next_id: self.next_id,
            ..Self::new(self.limit)
        };
    }

    fn find(&self, key: FlowKey) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        let hash = self.hasher.hash_one(key);
        let same = |&slot: &u32| self.slots[slot as usize].key == key;
        self.index.find(hash, same).copied()
    }

    fn source_of(&self, key: FlowKey) -> Option<&List> {
        let source = source(key);
        self.sources.find(self.hasher.hash_one(source), |list| {
            self::source(self.slots[list.first as usize].key) == source
        })
    }

    fn remove_slot(&mut self, slot: u32) -> Option<SynEntry> {
        let entry = self.slots.get(slot as usize)?;
        let (key, listener, given) = (entry.key, entry.listener, entry.given);
        if let Ok(entry) = self
            .index
            .find_entry(self.hasher.hash_one(key), |&other| other == slot)
        {
            entry.remove();
        }
        unlink(&mut self.slots, &mut self.all, ListKind::All, slot);
        if !given && let Some(pending) = self.pending.get_mut(&listener) {
            unlink(&mut self.slots, pending, ListKind::Pending, slot);
        }
        let (slots, source) = (&mut self.slots, source(key));
        if let Ok(mut entry) = self
            .sources
            .find_entry(self.hasher.hash_one(source), |list| {
                self::source(slots[list.first as usize].key) == source
            })
        {
            unlink(slots, entry.get_mut(), ListKind::Source, slot);
            if entry.get().len == 0 {
                entry.remove();
            }
        }
        self.slots.try_remove(slot as usize)
    }

    /// The memory that the allocator holds for the queue, in bytes.
    #[cfg(test)]
    fn memory(&self) -> usize {
        // glibc: 8 bytes before each piece, and a multiple of 16.
        let syns = self
            .slots
            .iter()
            .map(|(_, entry)| (entry.syn.len() + 8).next_multiple_of(16));
        self.slots.capacity() * size_of::<SynEntry>()
            + syns.sum::<usize>()
            + self.index.allocation_size()
            + self.sources.allocation_size()
    }
}

/// The source that `backlog_per_source` counts: an IPv4 address, or the /64 from which a host
/// chooses its IPv6 addresses (RFC 4291, 2.5.1).
fn source(key: FlowKey) -> (bool, u64) {
    match key.source().ip() {
        IpAddr::V4(address) => (false, address.to_bits().into()),
        IpAddr::V6(address) => (true, (address.to_bits() >> 64) as u64),
    }
}

/// The SYN of a packet in the form that the queue keeps: without data, and without IP options and
/// extension headers if it is long. `scratch` holds the shortened packet.
///
/// Data in a SYN is not taken (RFC 9293, 3.10.7.2 allows it to be dropped), so it is not kept. The
/// TCP checksum, which was verified on arrival, is not updated.
pub(crate) fn syn_to_keep<'a>(
    scratch: &'a mut Vec<u8>,
    packet: &'a [u8],
    headers: &Headers,
) -> Option<&'a [u8]> {
    if packet.len() <= MAX_SYN {
        return Some(packet);
    }
    let mut headers = *headers;
    if headers.has_options() {
        if !brooklet_packet::strip_options(scratch, &Packet::new(packet, headers)) {
            return None;
        }
        headers = Headers::parse(scratch).ok()?;
    } else {
        scratch.clear();
        scratch.extend_from_slice(&packet[..headers.payload_range().start]);
    }
    let len = headers.payload_range().start;
    scratch.truncate(len);
    // No header is longer than its length field can say.
    if headers.key().is_ipv6() {
        let mut ip = Ipv6Packet::new_unchecked(&mut scratch[..]);
        ip.set_payload_len((len - IPV6_HEADER_LEN) as u16);
    } else {
        let mut ip = Ipv4Packet::new_unchecked(&mut scratch[..]);
        ip.set_total_len(len as u16);
        ip.fill_checksum();
    }
    Some(scratch)
}

#[cfg(test)]
mod tests;
