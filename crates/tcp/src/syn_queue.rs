//! The SYN queue: SYNs that wait for the program's answer.
//!
//! The queue is bounded and its entries are small, because every host can fill it. An entry is a
//! slot of a slab and the bytes of its SYN, found through an index of slot numbers. Linked lists
//! run through the slots, so that every operation takes constant time.
//!
//! # Which SYN is evicted when the queue is full
//!
//! A program that was given a request works on it, and may have connected elsewhere on its behalf:
//! such an entry is never evicted. An entry that the program has left unanswered is evicted first,
//! and then the oldest entry that no listener was given, so that a flood which the program does not
//! keep up with cannot keep newer clients out. If the program was given every entry, the new SYN is
//! dropped; its client repeats it. [`lifetime`] says how long an entry can hold its place.

mod lifetime;
mod list;
mod source;
mod stored_syn;

pub(crate) use self::lifetime::Lifetimes;
pub(crate) use self::stored_syn::syn_to_keep;

use self::lifetime::Lifetime;
use self::list::{KINDS, Link, Linked, List, ListKind, push, push_front, unlink};
use self::source::Sources;
use crate::syn::Syn;
use brooklet_cell::wakers::{WaitKey, WaitQueue, WakeList};
use brooklet_packet::{FlowKey, Packet};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use slab::Slab;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::task::{Context, Waker};
use std::time::Instant;

pub(crate) struct SynQueue {
    slots: Slab<SynEntry>,
    /// The bytes of the SYNs in the slots.
    syn_bytes: usize,
    index: HashTable<u32>,
    hasher: RandomState,
    sources: Sources,
    /// The entries that each listener was not given yet, the oldest first.
    pending: HashMap<u32, List, RandomState>,
    /// The entries that a newer SYN may evict, in that order.
    evictable: List,
    /// The entries that expire in each second.
    expiries: BTreeMap<u32, List>,
    /// The tasks that wait for the removal of an entry, by its slot. Few programs wait for it, so
    /// an entry has no place for them.
    waiting: HashMap<u32, WaitQueue, RandomState>,
    lifetimes: Lifetimes,
    next_serial: u32,
    /// The most entries. The caller makes room before it inserts one more.
    limit: usize,
}

/// The most heap bytes that an entry takes: its slot, its SYN, its places in the index and among the
/// sources, and room in the lists that grow.
pub(crate) const MAX_ENTRY: usize = 320;

/// A SYN that waits for the program's answer.
#[derive(Debug)]
pub(crate) struct SynEntry {
    pub(crate) key: FlowKey,
    /// The queue of the device on which the SYN arrived.
    pub(crate) queue: u8,
    stage: Stage,
    pub(crate) listener: u32,
    pub(crate) isn: u32,
    /// The whole packet, without data.
    pub(crate) syn: Box<[u8]>,
    /// Distinguishes the entry from earlier ones of the same 4-tuple.
    serial: u32,
    lifetime: Lifetime,
    links: [Link; KINDS],
}

/// What the program has done about an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No listener was given it: it is in the lists of pending and of evictable entries.
    Pending,
    /// The program works on it.
    Given,
    /// The program leaves it unanswered: it is in the list of evictable entries.
    Unanswered,
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
    pub(crate) key: FlowKey,
    serial: u32,
}

impl SynQueue {
    pub(crate) fn new(limit: usize, lifetimes: Lifetimes) -> Self {
        Self {
            slots: Slab::new(),
            syn_bytes: 0,
            index: HashTable::new(),
            hasher: RandomState::default(),
            sources: Sources::default(),
            pending: HashMap::default(),
            evictable: List::EMPTY,
            expiries: BTreeMap::new(),
            waiting: HashMap::default(),
            lifetimes,
            next_serial: 0,
            limit,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The sequence number of the SYN of `key`, if there is one.
    pub(crate) fn isn(&self, key: FlowKey) -> Option<u32> {
        self.find(key).map(|slot| self.slots[slot as usize].isn)
    }

    /// The number of entries of the source of `key`.
    pub(crate) fn of_source(&self, key: FlowKey) -> usize {
        self.sources.count(key)
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
        self.syn_bytes += syn.len();
        let slot = self.slots.insert(SynEntry {
            key,
            queue,
            stage: Stage::Pending,
            listener,
            isn,
            syn: syn.into(),
            serial: self.next_serial,
            lifetime: Lifetime::new(now, &self.lifetimes),
            links: [Link::NOWHERE; KINDS],
        }) as u32; // the backlog is bounded far below that
        self.next_serial = self.next_serial.wrapping_add(1);
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.index
            .insert_unique(hasher.hash_one(key), slot, |&slot| {
                hasher.hash_one(slots[slot as usize].key)
            });
        self.sources.add(key);
        let pending = self.pending.entry(listener).or_insert(List::EMPTY);
        push(&mut self.slots, pending, ListKind::Pending, slot);
        push(
            &mut self.slots,
            &mut self.evictable,
            ListKind::Evictable,
            slot,
        );
        self.link_expiry(slot);
    }

    /// Notes that the client of `key` has repeated its SYN: the entry expires later.
    pub(crate) fn extend(&mut self, key: FlowKey, now: Instant) {
        if let Some(slot) = self.find(key) {
            let mut lifetime = self.slots[slot as usize].lifetime;
            lifetime.extend(now, &self.lifetimes);
            self.set_lifetime(slot, lifetime);
        }
    }

    /// Replaces the SYN of `key`: the client has started anew, and the answer goes to the new SYN.
    pub(crate) fn restart(&mut self, key: FlowKey, isn: u32, syn: &[u8], now: Instant) {
        if let Some(slot) = self.find(key) {
            let entry = &mut self.slots[slot as usize];
            entry.isn = isn;
            self.syn_bytes = self.syn_bytes - entry.syn.len() + syn.len();
            entry.syn = syn.into();
            self.set_lifetime(slot, Lifetime::new(now, &self.lifetimes));
        }
    }

    /// Makes room for a newer SYN. Returns `false` if no entry may be evicted.
    pub(crate) fn evict(&mut self, wakes: &mut WakeList) -> bool {
        self.remove_slot(self.evictable.first, wakes).is_some()
    }

    /// Removes the entry of `key`.
    pub(crate) fn remove(&mut self, key: FlowKey, wakes: &mut WakeList) -> Option<SynEntry> {
        self.remove_slot(self.find(key)?, wakes)
    }

    /// Gives `listener` the oldest entry that it was not given yet.
    pub(crate) fn next_pending(&mut self, listener: u32) -> Option<(SynId, &SynEntry)> {
        let slot = self.pending.get(&listener)?.first;
        self.slots.get(slot as usize)?;
        self.set_stage(slot, Stage::Given);
        let entry = &self.slots[slot as usize];
        let (key, serial) = (entry.key, entry.serial);
        Some((SynId { key, serial }, entry))
    }

    /// Whether there is an entry that `listener` was not given yet.
    pub(crate) fn has_pending(&self, listener: u32) -> bool {
        self.pending
            .get(&listener)
            .is_some_and(|list| !list.is_empty())
    }

    /// Removes all entries that `listener`, which is being closed, was not given.
    pub(crate) fn take_pending(&mut self, listener: u32, wakes: &mut WakeList) -> Vec<SynEntry> {
        let mut taken = Vec::new();
        while let Some(slot) = self.pending.get(&listener).map(|list| list.first)
            && let Some(entry) = self.remove_slot(slot, wakes)
        {
            taken.push(entry);
        }
        self.pending.remove(&listener);
        taken
    }

    /// Removes all entries.
    pub(crate) fn take_all(&mut self, wakes: &mut WakeList) -> Vec<SynEntry> {
        let slots: Vec<_> = self.slots.iter().map(|(slot, _)| slot as u32).collect();
        let entries = slots.into_iter();
        entries
            .filter_map(|slot| self.remove_slot(slot, wakes))
            .collect()
    }

    pub(crate) fn get(&self, id: SynId) -> Option<&SynEntry> {
        self.slot_of(id).map(|slot| &self.slots[slot as usize])
    }

    /// Removes the entry, which the caller answers.
    pub(crate) fn take(&mut self, id: SynId, wakes: &mut WakeList) -> Option<SynEntry> {
        self.remove_slot(self.slot_of(id)?, wakes)
    }

    /// Notes that the program leaves the entry unanswered. It stays, so that the repetitions of its
    /// SYN make no new request, and is evicted first.
    pub(crate) fn leave_unanswered(&mut self, id: SynId) {
        if let Some(slot) = self.slot_of(id) {
            self.set_stage(slot, Stage::Unanswered);
        }
    }

    /// Registers the task of `cx` to be woken when the entry is removed. Returns `None` if the
    /// entry is gone, and otherwise a waker that the caller drops once no cell is held.
    pub(crate) fn register(
        &mut self,
        id: SynId,
        cx: &Context<'_>,
        key: &mut WaitKey,
    ) -> Option<Option<Waker>> {
        let slot = self.slot_of(id)?;
        Some(
            self.waiting
                .entry(slot)
                .or_default()
                .register(key, cx.waker()),
        )
    }

    /// Removes the waker that [`register`](Self::register) has kept. Returns the waker, which the
    /// caller drops once no cell is held.
    pub(crate) fn unregister(&mut self, id: SynId, key: &mut WaitKey) -> Option<Waker> {
        let slot = self.slot_of(id)?;
        self.waiting.get_mut(&slot)?.remove(key)
    }

    /// When the next entry expires.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        let (&second, _) = self.expiries.first_key_value()?;
        Some(self.lifetimes.instant(second))
    }

    /// Removes the entries that have expired. Returns how many.
    pub(crate) fn expire(&mut self, now: Instant, wakes: &mut WakeList) -> u64 {
        let mut expired = 0;
        while let Some((&second, list)) = self.expiries.first_key_value()
            && self.lifetimes.instant(second) <= now
            && self.remove_slot(list.first, wakes).is_some()
        {
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
        self.sources.give_back();
        self.waiting.shrink_to_fit();
    }

    /// Removes everything: the stack has ended.
    pub(crate) fn clear(&mut self, wakes: &mut WakeList) {
        for list in self.waiting.values_mut() {
            list.drain_into(wakes);
        }
        *self = Self {
            next_serial: self.next_serial,
            ..Self::new(self.limit, self.lifetimes)
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

    fn slot_of(&self, id: SynId) -> Option<u32> {
        self.find(id.key)
            .filter(|&slot| self.slots[slot as usize].serial == id.serial)
    }

    fn set_stage(&mut self, slot: u32, stage: Stage) {
        let before = std::mem::replace(&mut self.slots[slot as usize].stage, stage);
        if before != Stage::Given {
            self.unlink_stage(slot, before);
        }
        if stage == Stage::Unanswered {
            push_front(
                &mut self.slots,
                &mut self.evictable,
                ListKind::Evictable,
                slot,
            );
        }
    }

    /// Removes a slot from the lists of its stage.
    fn unlink_stage(&mut self, slot: u32, stage: Stage) {
        let slots = &mut self.slots;
        if stage != Stage::Given {
            unlink(slots, &mut self.evictable, ListKind::Evictable, slot);
        }
        if stage == Stage::Pending
            && let Some(pending) = self.pending.get_mut(&slots[slot as usize].listener)
        {
            unlink(slots, pending, ListKind::Pending, slot);
        }
    }

    fn set_lifetime(&mut self, slot: u32, lifetime: Lifetime) {
        self.unlink_expiry(slot);
        self.slots[slot as usize].lifetime = lifetime;
        self.link_expiry(slot);
    }

    fn link_expiry(&mut self, slot: u32) {
        let second = self.slots[slot as usize].lifetime.expiry();
        let list = self.expiries.entry(second).or_insert(List::EMPTY);
        push(&mut self.slots, list, ListKind::Expiry, slot);
    }

    fn unlink_expiry(&mut self, slot: u32) {
        let second = self.slots[slot as usize].lifetime.expiry();
        if let Some(list) = self.expiries.get_mut(&second) {
            unlink(&mut self.slots, list, ListKind::Expiry, slot);
            if list.is_empty() {
                self.expiries.remove(&second);
            }
        }
    }

    fn remove_slot(&mut self, slot: u32, wakes: &mut WakeList) -> Option<SynEntry> {
        let entry = self.slots.get(slot as usize)?;
        let (key, stage) = (entry.key, entry.stage);
        self.syn_bytes -= entry.syn.len();
        let hash = self.hasher.hash_one(key);
        if let Ok(entry) = self.index.find_entry(hash, |&other| other == slot) {
            entry.remove();
        }
        self.sources.subtract(key);
        self.unlink_stage(slot, stage);
        self.unlink_expiry(slot);
        if let Some(mut waiting) = self.waiting.remove(&slot) {
            waiting.drain_into(wakes);
        }
        self.slots.try_remove(slot as usize)
    }

    /// Bytes on the heap, without those of the wakers that wait for the removal of an entry.
    pub(crate) fn heap_size(&self) -> usize {
        self.slots.capacity() * size_of::<SynEntry>()
            + self.syn_bytes
            + self.index.allocation_size()
            + self.sources.allocation_size()
    }
}

#[cfg(test)]
mod tests;
