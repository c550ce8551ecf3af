//! Doubly linked lists through the entries of a slab: every operation takes constant time.

use slab::Slab;

/// The place of an entry in one list.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Link {
    before: Option<usize>,
    after: Option<usize>,
}

/// An entry that can be in several lists.
pub(crate) trait Linked {
    /// The link of the list `list`.
    fn link(&mut self, list: usize) -> &mut Link;
}

/// A list of entries. `WHICH` names their link.
#[derive(Debug, Default)]
pub(crate) struct List<const WHICH: usize> {
    first: Option<usize>,
    last: Option<usize>,
    len: usize,
}

impl<const WHICH: usize> List<WHICH> {
    pub(crate) fn first(&self) -> Option<usize> {
        self.first
    }

    pub(crate) fn last(&self) -> Option<usize> {
        self.last
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Appends the entry `at`, which is not in the list.
    pub(crate) fn push_back<T: Linked>(&mut self, at: usize, entries: &mut Slab<T>) {
        *entries[at].link(WHICH) = Link {
            before: self.last,
            after: None,
        };
        match self.last.replace(at) {
            Some(last) => entries[last].link(WHICH).after = Some(at),
            None => self.first = Some(at),
        }
        self.len += 1;
    }

    /// Removes the entry `at`, which is in the list.
    pub(crate) fn remove<T: Linked>(&mut self, at: usize, entries: &mut Slab<T>) {
        let Link { before, after } = std::mem::take(entries[at].link(WHICH));
        match before {
            Some(before) => entries[before].link(WHICH).after = after,
            None => self.first = after,
        }
        match after {
            Some(after) => entries[after].link(WHICH).before = before,
            None => self.last = before,
        }
        self.len -= 1;
    }

    /// Makes the entry `at`, which is in the list, its last.
    pub(crate) fn move_to_back<T: Linked>(&mut self, at: usize, entries: &mut Slab<T>) {
        if self.last != Some(at) {
            self.remove(at, entries);
            self.push_back(at, entries);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Entry([Link; 2]);

    impl Linked for Entry {
        fn link(&mut self, list: usize) -> &mut Link {
            &mut self.0[list]
        }
    }

    fn order<const WHICH: usize>(list: &List<WHICH>, entries: &mut Slab<Entry>) -> Vec<usize> {
        let mut order = Vec::new();
        let (mut at, mut before) = (list.first, None);
        while let Some(entry) = at {
            let link = *entries[entry].link(WHICH);
            assert_eq!(link.before, before);
            order.push(entry);
            (before, at) = (at, link.after);
        }
        assert_eq!((list.last, list.len), (before, order.len()));
        order
    }

    #[test]
    fn entries_keep_their_order_in_each_list() {
        let mut entries: Slab<Entry> = (0..4).map(|n| (n, Entry::default())).collect();
        let (mut one, mut other) = (List::<0>::default(), List::<1>::default());
        for n in 0..4 {
            one.push_back(n, &mut entries);
            other.push_back(3 - n, &mut entries);
        }
        one.move_to_back(1, &mut entries);
        one.move_to_back(1, &mut entries);
        assert_eq!(order(&one, &mut entries), [0, 2, 3, 1]);
        assert_eq!(order(&other, &mut entries), [3, 2, 1, 0]);
        one.remove(0, &mut entries);
        one.remove(3, &mut entries);
        assert_eq!(order(&one, &mut entries), [2, 1]);
        one.remove(1, &mut entries);
        one.remove(2, &mut entries);
        assert_eq!(order(&one, &mut entries), []);
        assert_eq!(order(&other, &mut entries), [3, 2, 1, 0]);
    }
}
