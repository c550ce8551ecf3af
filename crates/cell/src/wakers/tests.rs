use super::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

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

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a waker panics");
    }
}

fn task() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count::default());
    (count.clone(), count.into())
}

fn tasks(n: usize) -> Vec<(Arc<Count>, Waker)> {
    std::iter::repeat_with(task).take(n).collect()
}

fn panicking_waker() -> Waker {
    Arc::new(Panics).into()
}

#[test]
fn a_set_of_poll_wakers_takes_three_words() {
    assert_eq!(size_of::<PollWakers>(), 3 * size_of::<usize>());
}

#[test]
fn as_many_tasks_as_the_limit_wait_side_by_side_and_each_is_woken_once() {
    let (mut set, mut wakes) = (PollWakers::new(), WakeList::new());
    let tasks = tasks(PollWakers::LIMIT);
    for (_, waker) in tasks.iter().chain(&tasks) {
        set.register(waker, &mut wakes);
        wakes.wake_all();
    }
    assert!(tasks.iter().all(|(count, _)| count.get() == 0));
    set.drain_into(&mut wakes);
    wakes.wake_all();
    assert!(tasks.iter().all(|(count, _)| count.get() == 1));
}

#[test]
fn one_task_beyond_the_limit_wakes_all_others_and_waits() {
    let (mut set, mut wakes) = (PollWakers::new(), WakeList::new());
    let tasks = tasks(PollWakers::LIMIT + 1);
    for (_, waker) in &tasks {
        set.register(waker, &mut wakes);
    }
    wakes.wake_all();
    let (last, others) = tasks.split_last().unwrap();
    assert!(others.iter().all(|(count, _)| count.get() == 1));
    assert_eq!(last.0.get(), 0);
    set.drain_into(&mut wakes);
    wakes.wake_all();
    assert_eq!(last.0.get(), 1);
}

#[test]
fn a_task_with_a_new_waker_at_each_poll_is_woken_for_nothing_once_in_1024_polls() {
    /// One of many wakers of the same task, which is woken once however many of them are.
    struct Fresh(Arc<Count>);
    impl Wake for Fresh {
        fn wake(self: Arc<Self>) {
            self.0.0.store(1, Ordering::SeqCst);
        }
    }
    let (mut set, mut wakes) = (PollWakers::new(), WakeList::new());
    let (task, _) = task();
    let mut spurious = [0; 2];
    for poll in 0..100_000 {
        set.register(&Arc::new(Fresh(task.clone())).into(), &mut wakes);
        wakes.wake_all();
        let woken = task.0.swap(0, Ordering::SeqCst);
        spurious[usize::from(poll >= 1_000)] += woken;
        assert!(Arc::strong_count(&task) <= 2 + PollWakers::LIMIT);
    }
    assert_eq!(spurious, [0, 100_000 / PollWakers::LIMIT]);
}

#[test]
fn a_key_follows_its_future_to_another_task() {
    let (mut queue, mut wakes) = (WaitQueue::new(), WakeList::new());
    let ((old, waker), (new, other)) = (task(), task());
    let mut key = WaitKey::default();
    assert!(queue.register(&mut key, &waker).is_none());
    let replaced = queue.register(&mut key, &other);
    assert!(replaced.is_some_and(|replaced| replaced.will_wake(&waker)));
    queue.drain_into(&mut wakes);
    wakes.wake_all();
    assert_eq!((old.get(), new.get()), (0, 1));
}

#[test]
fn two_futures_of_one_task_leave_apart() {
    let (mut queue, mut wakes) = (WaitQueue::new(), WakeList::new());
    let (count, waker) = task();
    let (mut one, mut two) = (WaitKey::default(), WaitKey::default());
    assert!(queue.remove(&mut one).is_none(), "never registered");
    assert!(queue.register(&mut one, &waker).is_none());
    assert!(queue.register(&mut two, &waker).is_none());
    queue.register_poll(&waker, &mut wakes);
    assert!(queue.remove(&mut one).is_some());
    assert!(queue.remove(&mut one).is_none());
    queue.drain_into(&mut wakes);
    wakes.wake_all();
    assert_eq!(count.get(), 2);
    assert!(queue.is_empty());
}

#[test]
fn a_key_from_before_an_event_removes_no_other_future() {
    let (mut queue, mut wakes) = (WaitQueue::new(), WakeList::new());
    let ((_, early), (count, late)) = (task(), task());
    let (mut old, mut new) = (WaitKey::default(), WaitKey::default());
    assert!(queue.register(&mut old, &early).is_none());
    queue.drain_into(&mut wakes);
    assert!(queue.register(&mut new, &late).is_none());
    assert!(queue.remove(&mut old).is_none());
    queue.drain_into(&mut wakes);
    wakes.wake_all();
    assert_eq!(count.get(), 1);
}

#[test]
fn a_queue_frees_the_memory_of_many_tasks() {
    let mut queue = WaitQueue::new();
    let mut keys: Vec<_> = (0..1000).map(|_| WaitKey::default()).collect();
    for key in &mut keys {
        assert!(queue.register(key, Waker::noop()).is_none());
    }
    for key in &mut keys {
        assert!(queue.remove(key).is_some());
    }
    assert!(format!("{queue:?}").len() < 200, "{queue:?}");
    let mut key = WaitKey::default();
    assert!(queue.register(&mut key, Waker::noop()).is_none());
}

#[test]
fn a_waker_that_panics_leaves_no_other_task_asleep() {
    let tasks = tasks(4);
    let mut wakes = WakeList::new();
    for (_, waker) in &tasks {
        wakes.push(panicking_waker());
        wakes.push(waker.clone());
    }
    let before = panics();
    wakes.wake_all();
    assert!(panics() - before >= 4, "other tests count as well");
    assert!(tasks.iter().all(|(count, _)| count.get() == 1));
    assert!(wakes.is_empty());
}

#[test]
fn the_payload_of_a_panic_may_panic_when_it_is_dropped() {
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            panic!("the payload panics");
        }
    }
    struct Throws;
    impl Wake for Throws {
        fn wake(self: Arc<Self>) {
            std::panic::panic_any(Payload);
        }
    }
    let (count, waker) = task();
    let mut wakes = WakeList::new();
    wakes.extend([Arc::new(Throws).into(), waker]);
    wakes.wake_all();
    assert_eq!(count.get(), 1);
}

#[test]
fn a_dropped_list_wakes_its_tasks_even_while_the_thread_panics() {
    let (count, waker) = task();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let mut wakes = WakeList::new();
        wakes.extend([panicking_waker(), waker]);
        panic!("the work panics");
    }));
    let payload = panicked.expect_err("the first panic continues");
    assert_eq!(payload.downcast_ref(), Some(&"the work panics"));
    assert_eq!(count.get(), 1);
}

#[test]
fn wakers_are_woken_in_the_order_in_which_they_were_added() {
    use std::sync::Mutex;
    struct Order(usize, Arc<Mutex<Vec<usize>>>);
    impl Wake for Order {
        fn wake(self: Arc<Self>) {
            self.1.lock().unwrap().push(self.0);
        }
    }
    let order = Arc::default();
    let mut wakes = WakeList::new();
    wakes.extend((0..5).map(|n| Arc::new(Order(n, Arc::clone(&order))).into()));
    wakes.wake_all();
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3, 4]);
}
