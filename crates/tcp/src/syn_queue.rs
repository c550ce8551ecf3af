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
//!
//! With SYN cookies only entries that the program has left unanswered are evicted: a SYN that finds
//! the queue full is answered with a cookie. The packet that brings the cookie back makes an entry
//! that is [`completed`]. Such entries have a limit of their own, which the caller keeps, and evict
//! those of SYNs that no listener was given.

mod completed;
mod entry;
mod lifetime;
mod list;
mod source;
mod stages;
mod stored_syn;

pub(crate) use self::completed::{Completed, Verdict};
pub(crate) use self::entry::SynEntry;
pub(crate) use self::lifetime::Lifetimes;
pub(crate) use self::stored_syn::syn_to_keep;

use self::entry::{Content, Stage};
use self::lifetime::Lifetime;
use self::list::{KINDS, Link, List, ListKind, push, unlink};
use self::source::Sources;
use brooklet_cell::wakers::{WaitKey, WaitQueue, WakeList};
use brooklet_packet::FlowKey;
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashTable};
use slab::Slab;
use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::task::{Context, Waker};
use std::time::Instant;

pub(crate) struct SynQueue {
    slots: Slab<SynEntry>,
    /// The heap bytes of the contents of all entries.
    content_bytes: usize,
    index: HashTable<u32>,
    hasher: RandomState,
    sources: Sources,
    /// The entries that each listener was not given yet, the oldest first: those that are completed,
    /// and the others.
    pending: HashMap<(u32, bool), List, RandomState>,
    /// The entries that a newer SYN may evict, in that order.
    evictable: List,
    /// The entries that expire in each second.
    expiries: BTreeMap<u32, List>,
    /// The tasks that wait for the removal of an entry, by its slot. Few programs wait for it, so
    /// an entry has no place for them.
    waiting: HashMap<u32, WaitQueue, RandomState>,
    lifetimes: Lifetimes,
    next_serial: u32,
    /// The number of completed entries, and the bytes of their packets with data.
    completed: usize,
    data_bytes: usize,
    /// The most entries that are not completed. The caller makes room before it inserts one more.
    limit: usize,
}

/// The most heap bytes that an entry with a SYN takes: its slot, its SYN, its places in the index and
/// among the sources, a task that waits for its removal, and room in the lists that grow.
const MAX_SYN_ENTRY: usize = 576;

/// The most heap bytes of a place in the backlog, which is for an entry with a SYN and for one whose
/// client has completed the handshake.
pub(crate) const MAX_PLACE: usize =
    2 * MAX_SYN_ENTRY + size_of::<Completed>() + completed::DATA_PER_PLACE;

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
            content_bytes: 0,
            index: HashTable::new(),
            hasher: RandomState::default(),
            sources: Sources::default(),
            pending: HashMap::default(),
            evictable: List::EMPTY,
            expiries: BTreeMap::new(),
            waiting: HashMap::default(),
            lifetimes,
            next_serial: 0,
            completed: 0,
            data_bytes: 0,
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
        let lifetime = Lifetime::new(now, &self.lifetimes);
        self.insert_entry(
            (key, listener, queue),
            isn,
            Content::Syn(syn.into()),
            lifetime,
        );
    }

    /// Adds the request of a client that has completed the handshake. There is no entry of `key` yet.
    pub(crate) fn insert_completed(
        &mut self,
        (key, listener, queue): (FlowKey, u32, u8),
        completed: Completed,
        now: Instant,
    ) {
        let isn = completed.cookie.syn.isn;
        let content = Content::Completed(Box::new(completed));
        let lifetime = Lifetime::longest(now, &self.lifetimes);
        self.completed += 1;
        self.insert_entry((key, listener, queue), isn, content, lifetime);
    }

    fn insert_entry(
        &mut self,
        (key, listener, queue): (FlowKey, u32, u8),
        isn: u32,
        content: Content,
        lifetime: Lifetime,
    ) {
        let evictable = matches!(content, Content::Syn(_));
        if self.slots.len() == self.slots.capacity() {
            let more = (self.slots.len() / 2).max(64);
            let held = match evictable {
                true => self.slots.len() - self.completed,
                false => self.completed,
            };
            let most = self.limit.saturating_sub(held).max(1);
            self.slots.reserve_exact(more.min(most));
        }
        let slot = self.slots.insert(SynEntry {
            key,
            queue,
            stage: Stage::Pending,
            listener,
            isn,
            content,
            serial: self.next_serial,
            lifetime,
            links: [Link::NOWHERE; KINDS],
        }) as u32; // the backlog is bounded far below that
        self.content_bytes += self.slots[slot as usize].content_bytes();
        self.next_serial = self.next_serial.wrapping_add(1);
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.index
            .insert_unique(hasher.hash_one(key), slot, |&slot| {
                hasher.hash_one(slots[slot as usize].key)
            });
        self.sources.add(key);
        let pending = self.pending.entry((listener, !evictable));
        let pending = pending.or_insert(List::EMPTY);
        push(&mut self.slots, pending, ListKind::Pending, slot);
        if evictable {
            let list = &mut self.evictable;
            push(&mut self.slots, list, ListKind::Evictable, slot);
        }
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
            let before = entry.content_bytes();
            entry.content = Content::Syn(syn.into());
            self.content_bytes = self.content_bytes - before + entry.content_bytes();
            self.set_lifetime(slot, Lifetime::new(now, &self.lifetimes));
        }
    }

    /// Removes the entry of `key`.
    pub(crate) fn remove(&mut self, key: FlowKey, wakes: &mut WakeList) -> Option<SynEntry> {
        self.remove_slot(self.find(key)?, wakes)
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
        let entry = self.slots.try_remove(slot as usize)?;
        self.content_bytes -= entry.content_bytes();
        self.forget_completed(&entry);
        Some(entry)
    }

    /// Bytes on the heap.
    pub(crate) fn heap_size(&self) -> usize {
        let wakers = self.waiting.values().map(WaitQueue::allocated);
        self.slots.capacity() * size_of::<SynEntry>()
            + self.content_bytes
            + self.index.allocation_size()
            + self.sources.allocation_size()
            + self.waiting.allocation_size()
            + wakers.sum::<usize>()
    }
}

#[cfg(test)]
mod tests;
