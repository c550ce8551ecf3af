//! SYNs that wait for an answer.
//!
//! What a stranger can fill costs little and is bounded: a request is a slot of a slab and the
//! bytes of its SYN, found through an index of slot numbers. Three lists run through the slots,
//! by age, of each source and of what a listener has not been given yet, so that each step takes
//! the same time however many there are.

use crate::syn::Syn;
use brooklet_packet::{FlowKey, Packet};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use slab::Slab;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// A SYN up to this size is kept as it came: the longest TCP header in IPv6. A longer one has
/// data, or options of IP, and is kept without them.
pub(crate) const SYN: usize = 100;

pub(crate) struct Requests {
    slots: Slab<Request>,
    index: HashTable<u32>,
    /// Of each source: who it is can be seen in the first slot.
    sources: HashTable<List>,
    /// What each listener has not been given yet.
    offers: HashMap<u32, List, RandomState>,
    /// All of them, oldest first, which is the order in which they expire.
    all: List,
    hasher: RandomState,
    /// Where the moments in the slots are counted from.
    epoch: Option<Instant>,
    next_id: u64,
    /// The caller makes room beyond it; memory for more is not asked for.
    limit: usize,
}

/// A SYN that waits for an answer.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) key: FlowKey,
    pub(crate) listener: u32,
    pub(crate) isn: u32,
    /// The queue of the device on which it came.
    pub(crate) queue: u8,
    /// The whole packet.
    pub(crate) syn: Box<[u8]>,
    /// Tells it from earlier ones in the same slot.
    id: u64,
    /// When it came, in microseconds.
    born: u64,
    links: [Link; 3],
    offered: bool,
}

impl Request {
    /// What the SYN says. `None` never comes: it was parsed before it was kept.
    pub(crate) fn facts(&self) -> Option<Syn> {
        let packet = Packet::parse(&self.syn).ok()?;
        Some(Syn::parse(packet.bytes(), packet.headers(), packet.tcp()?))
    }
}

/// Names a request, also when it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    slot: u32,
    id: u64,
}

/// Which of the lists through the slots.
#[derive(Clone, Copy)]
enum Through {
    All,
    Source,
    Offers,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    before: u32,
    after: u32,
}

#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
    len: u32,
}

/// No slot.
const NONE: u32 = u32::MAX;

impl List {
    const EMPTY: Self = Self {
        first: NONE,
        last: NONE,
        len: 0,
    };
}

impl Requests {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            slots: Slab::new(),
            index: HashTable::new(),
            sources: HashTable::new(),
            offers: HashMap::default(),
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

    /// Adds a request for `listener`. There is none of `key` yet.
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
        let born = now.saturating_duration_since(epoch).as_micros();
        let slot = self.slots.insert(Request {
            key,
            listener,
            isn,
            queue,
            syn: syn.into(),
            id: self.next_id,
            born: u64::try_from(born).unwrap_or(u64::MAX),
            links: [Link {
                before: NONE,
                after: NONE,
            }; 3],
            offered: false,
        }) as u32; // the backlog is bounded far below that
        self.next_id += 1;
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.index
            .insert_unique(hasher.hash_one(key), slot, |&slot| {
                hasher.hash_one(slots[slot as usize].key)
            });
        push(&mut self.slots, &mut self.all, Through::All, slot);
        let offers = self.offers.entry(listener).or_insert(List::EMPTY);
        push(&mut self.slots, offers, Through::Offers, slot);
        let source = source(key);
        let slots = &mut self.slots;
        match self.sources.find_mut(hasher.hash_one(source), |list| {
            self::source(slots[list.first as usize].key) == source
        }) {
            Some(list) => push(slots, list, Through::Source, slot),
            None => {
                let mut list = List::EMPTY;
                push(slots, &mut list, Through::Source, slot);
                self.sources
                    .insert_unique(hasher.hash_one(source), list, |list| {
                        hasher.hash_one(self::source(slots[list.first as usize].key))
                    });
            }
        }
    }

    /// The client of `key` has begun anew: whoever holds its request answers the new SYN.
    pub(crate) fn renew(&mut self, key: FlowKey, isn: u32, syn: &[u8]) {
        if let Some(slot) = self.find(key) {
            let request = &mut self.slots[slot as usize];
            request.isn = isn;
            request.syn = syn.into();
        }
    }

    /// How many there are of the source of `key`.
    pub(crate) fn of_source(&self, key: FlowKey) -> usize {
        self.source_of(key).map_or(0, |list| list.len as usize)
    }

    /// Removes the oldest of all.
    pub(crate) fn remove_oldest(&mut self) -> bool {
        self.remove_slot(self.all.first).is_some()
    }

    /// Removes the oldest of the source of `key`.
    pub(crate) fn remove_oldest_of_source(&mut self, key: FlowKey) -> bool {
        let first = self.source_of(key).map_or(NONE, |list| list.first);
        self.remove_slot(first).is_some()
    }

    /// Removes the request of `key`.
    pub(crate) fn remove(&mut self, key: FlowKey) -> Option<Request> {
        self.remove_slot(self.find(key)?)
    }

    /// The oldest request that `listener` has not been given.
    pub(crate) fn next_offer(&mut self, listener: u32) -> Option<(Ticket, &Request)> {
        let offers = self.offers.get_mut(&listener)?;
        let slot = offers.first;
        if slot == NONE {
            return None;
        }
        unlink(&mut self.slots, offers, Through::Offers, slot);
        let request = &mut self.slots[slot as usize];
        request.offered = true;
        let id = request.id;
        Some((Ticket { slot, id }, request))
    }

    /// Whether there is something that `listener` has not been given.
    pub(crate) fn has_offers(&self, listener: u32) -> bool {
        self.offers.get(&listener).is_some_and(|list| list.len > 0)
    }

    /// Removes all that `listener`, which goes, has not been given.
    pub(crate) fn take_offers(&mut self, listener: u32) -> Vec<Request> {
        let mut taken = Vec::new();
        while let Some((ticket, _)) = self.next_offer(listener) {
            taken.extend(self.take(ticket));
        }
        self.offers.remove(&listener);
        taken
    }

    pub(crate) fn get(&self, ticket: Ticket) -> Option<&Request> {
        self.slots
            .get(ticket.slot as usize)
            .filter(|request| request.id == ticket.id)
    }

    /// Removes the request, to be answered.
    pub(crate) fn take(&mut self, ticket: Ticket) -> Option<Request> {
        self.get(ticket)?;
        self.remove_slot(ticket.slot)
    }

    /// When the oldest expires, if each waits for `timeout`.
    pub(crate) fn next_expiry(&self, timeout: Duration) -> Option<Instant> {
        let oldest = self.slots.get(self.all.first as usize)?;
        Some(self.epoch? + Duration::from_micros(oldest.born) + timeout)
    }

    /// Removes what has waited for `timeout`. Says how many.
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
        let nothing = |_: &u32| 0; // there is nothing to hash
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

    fn remove_slot(&mut self, slot: u32) -> Option<Request> {
        let request = self.slots.get(slot as usize)?;
        let (key, listener, offered) = (request.key, request.listener, request.offered);
        if let Ok(entry) = self
            .index
            .find_entry(self.hasher.hash_one(key), |&other| other == slot)
        {
            entry.remove();
        }
        unlink(&mut self.slots, &mut self.all, Through::All, slot);
        if !offered && let Some(offers) = self.offers.get_mut(&listener) {
            unlink(&mut self.slots, offers, Through::Offers, slot);
        }
        let (slots, source) = (&mut self.slots, source(key));
        if let Ok(mut entry) = self
            .sources
            .find_entry(self.hasher.hash_one(source), |list| {
                self::source(slots[list.first as usize].key) == source
            })
        {
            unlink(slots, entry.get_mut(), Through::Source, slot);
            if entry.get().len == 0 {
                entry.remove();
            }
        }
        self.slots.try_remove(slot as usize)
    }

    /// What is held, in bytes, as the allocator has it.
    #[cfg(test)]
    fn memory(&self) -> usize {
        // glibc: 8 bytes before each piece, and a multiple of 16.
        let syns = self
            .slots
            .iter()
            .map(|(_, request)| (request.syn.len() + 8).next_multiple_of(16));
        self.slots.capacity() * size_of::<Request>()
            + syns.sum::<usize>()
            + self.index.allocation_size()
            + self.sources.allocation_size()
    }
}

/// Who counts as one source: an IPv4 address, or the /64 that a host chooses its IPv6 addresses
/// from (RFC 4291, 2.5.1).
fn source(key: FlowKey) -> (bool, u64) {
    match key.source().ip() {
        IpAddr::V4(address) => (false, address.to_bits().into()),
        IpAddr::V6(address) => (true, (address.to_bits() >> 64) as u64),
    }
}

/// Adds a slot at the end of a list.
fn push(slots: &mut Slab<Request>, list: &mut List, through: Through, slot: u32) {
    let last = list.last;
    slots[slot as usize].links[through as usize] = Link {
        before: last,
        after: NONE,
    };
    match slots.get_mut(last as usize) {
        Some(request) => request.links[through as usize].after = slot,
        None => list.first = slot,
    }
    list.last = slot;
    list.len += 1;
}

/// Takes a slot out of the list that it is in.
fn unlink(slots: &mut Slab<Request>, list: &mut List, through: Through, slot: u32) {
    let Link { before, after } = slots[slot as usize].links[through as usize];
    match slots.get_mut(before as usize) {
        Some(request) => request.links[through as usize].after = after,
        None => list.first = after,
    }
    match slots.get_mut(after as usize) {
        Some(request) => request.links[through as usize].before = before,
        None => list.last = before,
    }
    list.len -= 1;
}

#[cfg(test)]
mod tests;
