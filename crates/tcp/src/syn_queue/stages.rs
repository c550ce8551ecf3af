//! What the program has done about the entries of the SYN queue: which it is given next, and which a
//! newer SYN may evict.

use super::entry::{Stage, SynEntry};
use super::list::{ListKind, push_front, unlink};
use super::{SynId, SynQueue};
use brooklet_cell::wakers::WakeList;
use brooklet_packet::FlowKey;

impl SynQueue {
    /// Makes room for a newer SYN. Returns `false` if no entry may be evicted.
    pub(crate) fn evict(&mut self, wakes: &mut WakeList) -> bool {
        self.remove_slot(self.evictable.first, wakes).is_some()
    }

    /// Makes room for a newer SYN among the entries that the program has left unanswered. Returns
    /// `false` if there is none.
    pub(crate) fn evict_unanswered(&mut self, wakes: &mut WakeList) -> bool {
        let first = self.slots.get(self.evictable.first as usize);
        first.is_some_and(|first| first.stage == Stage::Unanswered) && self.evict(wakes)
    }

    /// Gives `listener` the oldest entry that it was not given yet: of the completed ones if there are
    /// any, since the others may come from spoofed sources.
    pub(crate) fn next_pending(&mut self, listener: u32) -> Option<(SynId, &SynEntry)> {
        let slot = self.first_pending(listener)?;
        self.set_stage(slot, Stage::Given);
        let entry = &self.slots[slot as usize];
        let (key, serial) = (entry.key, entry.serial);
        Some((SynId { key, serial }, entry))
    }

    /// Whether there is an entry that `listener` was not given yet.
    pub(crate) fn has_pending(&self, listener: u32) -> bool {
        self.first_pending(listener).is_some()
    }

    fn first_pending(&self, listener: u32) -> Option<u32> {
        let lists = [true, false].map(|completed| self.pending.get(&(listener, completed)));
        let mut lists = lists.into_iter().flatten();
        lists.find(|list| !list.is_empty()).map(|list| list.first)
    }

    /// Whether the SYN of `key` is in the queue, and no listener was given it.
    pub(crate) fn is_pending(&self, key: FlowKey) -> bool {
        let entry = self.find(key).map(|slot| &self.slots[slot as usize]);
        entry.is_some_and(|entry| entry.stage == Stage::Pending)
    }

    /// Removes all entries that `listener`, which is being closed, was not given.
    pub(crate) fn take_pending(&mut self, listener: u32, wakes: &mut WakeList) -> Vec<SynEntry> {
        let mut taken = Vec::new();
        while let Some(slot) = self.first_pending(listener)
            && let Some(entry) = self.remove_slot(slot, wakes)
        {
            taken.push(entry);
        }
        for completed in [true, false] {
            self.pending.remove(&(listener, completed));
        }
        taken
    }

    /// Notes that the program leaves the entry unanswered. It stays, so that the repetitions of its
    /// SYN make no new request, and is evicted first.
    pub(crate) fn leave_unanswered(&mut self, id: SynId) {
        if let Some(slot) = self.slot_of(id) {
            self.set_stage(slot, Stage::Unanswered);
        }
    }

    fn set_stage(&mut self, slot: u32, stage: Stage) {
        let before = std::mem::replace(&mut self.slots[slot as usize].stage, stage);
        self.unlink_stage(slot, before);
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
    pub(super) fn unlink_stage(&mut self, slot: u32, stage: Stage) {
        let slots = &mut self.slots;
        if slots[slot as usize].is_evictable(stage) {
            unlink(slots, &mut self.evictable, ListKind::Evictable, slot);
        }
        let entry = &slots[slot as usize];
        let list = (entry.listener, entry.completed().is_some());
        if stage == Stage::Pending
            && let Some(pending) = self.pending.get_mut(&list)
        {
            unlink(slots, pending, ListKind::Pending, slot);
        }
    }
}
