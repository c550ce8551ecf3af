//! Doubly linked lists through the slots of the SYN queue.

use slab::Slab;

/// Which of the lists through the slots.
#[derive(Clone, Copy)]
pub(super) enum ListKind {
    /// The entries that expire in the same second.
    Expiry,
    /// The entries that a newer SYN may evict.
    Evictable,
    /// The entries that the listener was not given yet.
    Pending,
}

/// How many kinds there are.
pub(super) const KINDS: usize = 3;

#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    before: u32,
    after: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    pub(super) first: u32,
    last: u32,
}

/// No slot.
pub(super) const NONE: u32 = u32::MAX;

impl Link {
    pub(super) const NOWHERE: Self = Self {
        before: NONE,
        after: NONE,
    };
}

impl List {
    pub(super) const EMPTY: Self = Self {
        first: NONE,
        last: NONE,
    };

    pub(super) fn is_empty(&self) -> bool {
        self.first == NONE
    }
}

/// A slot with a link for each kind of list.
pub(super) trait Linked {
    fn link(&mut self, kind: ListKind) -> &mut Link;
}

/// Adds a slot at the end of a list.
pub(super) fn push<T: Linked>(slots: &mut Slab<T>, list: &mut List, kind: ListKind, slot: u32) {
    let last = list.last;
    *slots[slot as usize].link(kind) = Link {
        before: last,
        after: NONE,
    };
    match slots.get_mut(last as usize) {
        Some(entry) => entry.link(kind).after = slot,
        None => list.first = slot,
    }
    list.last = slot;
}

/// Adds a slot at the start of a list.
pub(super) fn push_front<T: Linked>(
    slots: &mut Slab<T>,
    list: &mut List,
    kind: ListKind,
    slot: u32,
) {
    let first = list.first;
    *slots[slot as usize].link(kind) = Link {
        before: NONE,
        after: first,
    };
    match slots.get_mut(first as usize) {
        Some(entry) => entry.link(kind).before = slot,
        None => list.last = slot,
    }
    list.first = slot;
}

/// Removes a slot from a list.
pub(super) fn unlink<T: Linked>(slots: &mut Slab<T>, list: &mut List, kind: ListKind, slot: u32) {
    let Link { before, after } = *slots[slot as usize].link(kind);
    match slots.get_mut(before as usize) {
        Some(entry) => entry.link(kind).after = after,
        None => list.first = after,
    }
    match slots.get_mut(after as usize) {
        Some(entry) => entry.link(kind).before = before,
        None => list.last = before,
    }
}
