use slab::Slab;
use std::collections::VecDeque;
use std::task::{Context, Waker};

/// Tasks that wait for one connection: as a rule one, and a few more without being put out of
/// their places. Two that did that to each other would keep each other awake for ever.
#[derive(Debug, Default)]
pub(crate) struct WakerSlot {
    first: Option<Waker>,
    others: Vec<Waker>,
}

/// Tasks that wait at a time for one connection. One more takes the place of another, which is
/// woken and comes back.
const TASKS: usize = 16;

impl WakerSlot {
    /// Registers the task of `cx`, and leaves who loses its place to it in `wakes`.
    pub(crate) fn register(&mut self, cx: &Context<'_>, wakes: &mut Wakes) {
        let waker = cx.waker();
        match &self.first {
            None => self.first = Some(waker.clone()),
            Some(first) if first.will_wake(waker) => {}
            Some(_) if self.others.iter().any(|other| other.will_wake(waker)) => {}
            Some(_) => {
                if self.others.len() + 1 >= TASKS {
                    wakes.extend([self.others.remove(0)]);
                }
                self.others.push(waker.clone());
            }
        }
    }

    /// Whether anybody waits.
    pub(crate) fn is_awaited(&self) -> bool {
        self.first.is_some()
    }

    /// Empties it into `wakes`.
    pub(crate) fn drain_into(&mut self, wakes: &mut Wakes) {
        wakes.extend(self.first.take());
        wakes.extend(self.others.drain(..));
    }
}

/// Any number of tasks that wait for the same thing.
///
/// A future has a [`Place`] in it and gives that up when it is dropped, so that nothing is left of
/// those who no longer wait. Who only polls has none: a few of those are kept, and one more wakes
/// the oldest.
#[derive(Debug, Default)]
pub(crate) struct WakerList {
    placed: Slab<Waker>,
    others: VecDeque<Waker>,
    /// How often it has been emptied, which ends every place.
    round: u64,
}

/// Where a future waits in a [`WakerList`].
#[derive(Debug, Default)]
pub(crate) struct Place(Option<(u64, usize)>);

/// Tasks without a place in a [`WakerList`].
const OTHERS: usize = 64;

impl WakerList {
    /// Registers the task of `cx`. Returns a waker to be dropped once no cell is held.
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

    /// Registers the task of `cx`, which has no place.
    pub(crate) fn register_other(&mut self, cx: &Context<'_>, wakes: &mut Wakes) {
        if self.others.iter().any(|waker| waker.will_wake(cx.waker())) {
            return;
        }
        if self.others.len() == OTHERS {
            wakes.extend(self.others.pop_front());
        }
        self.others.push_back(cx.waker().clone());
    }

    /// Gives a place up. Returns the waker, to be dropped once no cell is held.
    pub(crate) fn leave(&mut self, place: &mut Place) -> Option<Waker> {
        let (round, at) = place.0.take()?;
        if round != self.round {
            return None;
        }
        let waker = self.placed.try_remove(at);
        if self.placed.is_empty() {
            self.placed = Slab::new(); // gives the memory of a crowd back
        }
        waker
    }

    /// Empties the list into `wakes`.
    pub(crate) fn drain_into(&mut self, wakes: &mut Wakes) {
        if self.placed.is_empty() && self.others.is_empty() {
            return; // most often
        }
        self.round += 1;
        wakes.extend(self.placed.drain());
        wakes.extend(self.others.drain(..));
    }
}

/// Tasks to wake, once no cell is held.
///
/// Waking runs foreign code, which may come straight back: with a cell held it would find it
/// locked. So whoever holds one fills this, and wakes when it has let go.
#[derive(Debug, Default)]
#[must_use = "tasks that are not woken wait for ever"]
pub(crate) struct Wakes {
    /// As a rule there are no more than who reads and who writes, and those need no memory.
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

    /// Wakes them all. No cell may be held.
    pub(crate) fn wake(&mut self) {
        let Some(first) = self.few[0].take() else {
            return; // most often; draining nothing is not free
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

    #[test]
    fn several_tasks_wait_side_by_side_and_each_once() {
        let (first, second) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let (a, b) = (Waker::from(first.clone()), Waker::from(second.clone()));
        let mut slot = WakerSlot::default();
        let mut wakes = Wakes::default();
        slot.register(&Context::from_waker(&a), &mut wakes);
        slot.register(&Context::from_waker(&a), &mut wakes);
        wakes.wake();
        assert_eq!(first.0.load(Ordering::SeqCst), 0);
        slot.register(&Context::from_waker(&b), &mut wakes);
        slot.register(&Context::from_waker(&b), &mut wakes);
        wakes.wake();
        assert_eq!(first.0.load(Ordering::SeqCst), 0, "put out of its place");
        slot.drain_into(&mut wakes);
        wakes.wake();
        assert_eq!(first.0.load(Ordering::SeqCst), 1);
        assert_eq!(second.0.load(Ordering::SeqCst), 1);
    }
}
