use slab::Slab;
use std::task::{Context, Waker};

/// Wakers in one list, so that the memory of tasks that no longer wait stays bounded. One more
/// waker wakes and empties the whole list.
///
/// A list that woke only one task to make room would keep the tasks of a larger crowd waking each
/// other in a loop, and so would a task with a new waker at each poll. Emptied as a whole, the list
/// has room for every task that it woke.
const MAX_WAKERS: usize = 1024;

/// The tasks that wait for one direction of one connection: usually one.
#[derive(Debug, Default)]
pub(crate) struct WakerSlot {
    first: Option<Waker>,
    #[expect(
        clippy::box_collection,
        reason = "each connection has several slots, and few of them a second waker"
    )]
    others: Option<Box<Vec<Waker>>>,
}

impl WakerSlot {
    /// Registers the task of `cx`. Moves the wakers of a full slot into `wakes`.
    pub(crate) fn register(&mut self, cx: &Context<'_>, wakes: &mut Wakes) {
        let waker = cx.waker();
        match &self.first {
            None => self.first = Some(waker.clone()),
            Some(first) if first.will_wake(waker) => {}
            Some(_) => {
                let others = self.others.get_or_insert_default();
                if others.iter().any(|other| other.will_wake(waker)) {
                    return;
                }
                if others.len() + 1 < MAX_WAKERS {
                    others.push(waker.clone());
                } else {
                    self.drain_into(wakes);
                    self.first = Some(waker.clone());
                }
            }
        }
    }

    /// Whether a task waits.
    pub(crate) fn is_awaited(&self) -> bool {
        self.first.is_some()
    }

    /// Moves all wakers into `wakes`.
    pub(crate) fn drain_into(&mut self, wakes: &mut Wakes) {
        wakes.extend(self.first.take());
        if let Some(others) = self.others.take() {
            wakes.extend(*others);
        }
    }
}

/// The tasks that wait for the same event, in any number.
///
/// A future holds a [`Place`] and gives the place up when it is dropped, so that no waker of a
/// dropped future remains. A caller of a `poll_` method has no place; the list of their wakers is
/// bounded.
#[derive(Debug, Default)]
pub(crate) struct WakerList {
    placed: Slab<Waker>,
    others: Vec<Waker>,
    /// How many times the list was emptied. Each time ends every place.
    round: u64,
}

/// The place of a future in a [`WakerList`].
#[derive(Debug, Default)]
pub(crate) struct Place(Option<(u64, usize)>);

impl WakerList {
    /// Registers the task of `cx`. Returns a waker that the caller drops once no cell is held.
    pub(crate) fn register(&mut self, cx: &Context<'_>, place: &mut Place) -> Option<Waker> {
        if let Some((round, at)) = place.0
            && round == self.round
            && let Some(waker) = self.placed.get_mut(at)
        {
            return (!waker.will_wake(cx.waker()))
                .then(|| std::mem::replace(waker, cx.waker().clone()));
        }
        let at = self.placed.insert(cx.waker().clone());
        place.0 = Some((self.round, at));
        None
    }

    /// Registers the task of `cx`, which has no place. Moves the wakers of a full list into `wakes`.
    pub(crate) fn register_other(&mut self, cx: &Context<'_>, wakes: &mut Wakes) {
        if self.others.iter().any(|waker| waker.will_wake(cx.waker())) {
            return;
        }
        if self.others.len() == MAX_WAKERS {
            wakes.extend(std::mem::take(&mut self.others));
        }
        self.others.push(cx.waker().clone());
    }

    /// Gives a place up. Returns the waker, which the caller drops once no cell is held.
    pub(crate) fn leave(&mut self, place: &mut Place) -> Option<Waker> {
        let (round, at) = place.0.take()?;
        if round != self.round {
            return None;
        }
        let waker = self.placed.try_remove(at);
        if self.placed.is_empty() {
            self.placed = Slab::new(); // frees the memory of many tasks
        }
        waker
    }

    /// Moves all wakers into `wakes`.
    pub(crate) fn drain_into(&mut self, wakes: &mut Wakes) {
        if self.placed.is_empty() && self.others.is_empty() {
            return; // the usual case
        }
        self.round += 1;
        wakes.extend(self.placed.drain());
        wakes.extend(std::mem::take(&mut self.others));
    }
}

/// Tasks to wake once no cell is held.
///
/// A waker runs foreign code, which may call the same connection again and would find the cell
/// locked. The holder of a cell therefore collects wakers here, and wakes them after it has left
/// the cell.
#[derive(Debug, Default)]
#[must_use = "a task that is not woken never continues"]
pub(crate) struct Wakes {
    /// Usually the reader and the writer, without an allocation.
    few: [Option<Waker>; 2],
    others: Vec<Waker>,
}

impl Wakes {
    pub(crate) fn extend(&mut self, wakers: impl IntoIterator<Item = Waker>) {
        for waker in wakers {
            match &mut self.few {
                [place @ None, _] | [_, place @ None] => *place = Some(waker),
                _ => self.others.push(waker),
            }
        }
    }

    /// Wakes all tasks. The caller holds no cell.
    pub(crate) fn wake(&mut self) {
        let Some(first) = self.few[0].take() else {
            return; // the usual case: draining an empty list is not free
        };
        first.wake();
        for waker in self.few[1].take().into_iter().chain(self.others.drain(..)) {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Count {
        fn get(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    type Register = fn(&mut Lists, &Context<'_>, &mut Wakes);

    #[derive(Default)]
    struct Lists {
        slot: WakerSlot,
        list: WakerList,
    }

    /// The two kinds of registration that are bounded.
    const KINDS: [Register; 2] = [
        |lists, cx, wakes| lists.slot.register(cx, wakes),
        |lists, cx, wakes| lists.list.register_other(cx, wakes),
    ];

    fn tasks(n: usize) -> Vec<(Arc<Count>, Waker)> {
        let counts = (0..n).map(|_| Arc::new(Count::default()));
        counts.map(|count| (count.clone(), count.into())).collect()
    }

    #[test]
    fn a_slot_takes_three_words() {
        assert_eq!(size_of::<WakerSlot>(), 3 * size_of::<usize>());
    }

    #[test]
    fn as_many_tasks_as_the_bound_wait_side_by_side_and_each_is_woken_once() {
        for register in KINDS {
            let (mut lists, mut wakes) = (Lists::default(), Wakes::default());
            let tasks = tasks(MAX_WAKERS);
            for (_, waker) in tasks.iter().chain(&tasks) {
                register(&mut lists, &Context::from_waker(waker), &mut wakes);
                wakes.wake();
            }
            assert!(tasks.iter().all(|(count, _)| count.get() == 0));
            lists.slot.drain_into(&mut wakes);
            lists.list.drain_into(&mut wakes);
            wakes.wake();
            assert!(tasks.iter().all(|(count, _)| count.get() == 1));
        }
    }

    #[test]
    fn one_task_beyond_the_bound_wakes_all_others_and_waits() {
        for register in KINDS {
            let (mut lists, mut wakes) = (Lists::default(), Wakes::default());
            let tasks = tasks(MAX_WAKERS + 1);
            for (_, waker) in &tasks {
                register(&mut lists, &Context::from_waker(waker), &mut wakes);
            }
            wakes.wake();
            let (last, others) = tasks.split_last().unwrap();
            assert!(others.iter().all(|(count, _)| count.get() == 1));
            assert_eq!(last.0.get(), 0);
            lists.slot.drain_into(&mut wakes);
            lists.list.drain_into(&mut wakes);
            wakes.wake();
            assert_eq!(last.0.get(), 1);
        }
    }
}
