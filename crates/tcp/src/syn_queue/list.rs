//! Doubly linked lists through the slots of the SYN queue.

use slab::Slab;

/// Which of the lists through the slots.
#[derive(Clone, Copy)]
pub(super) enum ListKind {
    All,
    Source,
    /// The entries that the listener was not given yet.
    Pending,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) before: u32,
    pub(super) after: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    pub(super) first: u32,
    pub(super) last: u32,
    pub(super) len: u32,
}

/// No slot.
pub(super) const NONE: u32 = u32::MAX;

impl List {
    pub(super) const EMPTY: Self = Self {
        first: NONE,
        last: NONE,
        len: 0,
    };
}

/// A slot that is in a list of each kind.
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
    list.len += 1;
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
    list.len -= 1;
}
