//! The second thread of a relay, which bulk transfers move to and return from.
//!
//! One thread for the driver and the relays is the fastest as long as it keeps up, and for a single
//! bulk transfer in any case: two threads would take turns at the locks of its connection. While
//! several bulk transfers keep that thread busy all the time, a second thread copies their data.

use crate::Task;
use async_executor::Executor;
use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The time over which loads are measured and bulk transfers are counted.
const WINDOW: Duration = Duration::from_millis(10);

/// A thread is busy all the time from this share of a core on, in thousandths.
const BUSY: u32 = 950;

/// One thread can do the work of both if their loads add up to less, in thousandths of a core.
const SPARE: u32 = 850;

/// A task moves bulk data if it moves this many bytes in each poll, on average.
const BULK: usize = 16 * 1024;

/// How long a task stays where it is at least.
const STAY: Duration = Duration::from_millis(50);

thread_local! {
    static MOVED: Cell<usize> = const { Cell::new(0) };
}

/// Notes that the task that runs now has moved this many bytes.
pub(crate) fn moved(bytes: usize) {
    MOVED.set(MOVED.get().saturating_add(bytes));
}

/// Returns the CPU time of this thread, on a system that tells.
pub(super) fn cpu_time() -> Option<Duration> {
    #[cfg(target_os = "linux")]
    {
        use rustix::time::{ClockId, clock_gettime};
        Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).ok()
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// The load of a thread. Only tasks on the thread change it, so its counters need no order.
#[derive(Debug, Default)]
struct Load {
    /// The start of the window and the CPU time then, in nanoseconds.
    start: AtomicU64,
    cpu: AtomicU64,
    /// The CPU time of the last window, in thousandths of a core.
    permille: AtomicU32,
}

impl Load {
    /// Measures the load if the window is over.
    fn sample(&self, now: Duration) -> bool {
        let now = nanos(now);
        let wall = now.saturating_sub(self.start.load(Ordering::Relaxed));
        if wall < nanos(WINDOW) {
            return false;
        }
        let cpu = nanos(cpu_time().unwrap_or_default());
        let used = cpu.saturating_sub(self.cpu.swap(cpu, Ordering::Relaxed));
        self.start.store(now, Ordering::Relaxed);
        let permille = (used.saturating_mul(1000) / wall).min(1000);
        self.permille.store(permille as u32, Ordering::Relaxed);
        true
    }

    fn permille(&self) -> u32 {
        self.permille.load(Ordering::Relaxed)
    }
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos().try_into().unwrap_or(u64::MAX)
}

/// The loads of the two threads.
#[derive(Debug)]
pub(super) struct Balance {
    created: Instant,
    home: Load,
    away: Load,
    /// The number of the window, and the bulk transfers that have moved data in it so far.
    window: AtomicUsize,
    counted: AtomicUsize,
    /// Those of the last window.
    transfers: AtomicUsize,
}

impl Balance {
    pub(super) fn new() -> Self {
        Self {
            created: Instant::now(),
            home: Load::default(),
            away: Load::default(),
            window: AtomicUsize::new(1),
            counted: AtomicUsize::new(0),
            transfers: AtomicUsize::new(0),
        }
    }

    /// To be called on the first thread now and then.
    pub(super) fn sample_home(&self, now: Instant) {
        if self
            .home
            .sample(now.saturating_duration_since(self.created))
        {
            let counted = self.counted.swap(0, Ordering::Relaxed);
            self.transfers.store(counted, Ordering::Relaxed);
            self.window.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn sample(&self, is_away: bool, now: Instant) {
        match is_away {
            true => drop(
                self.away
                    .sample(now.saturating_duration_since(self.created)),
            ),
            false => self.sample_home(now),
        }
    }

    /// Returns whether a task is better off on the other thread.
    fn is_to_move(&self, is_away: bool, is_bulk: bool) -> bool {
        let several = self.transfers.load(Ordering::Relaxed) > 1;
        let home = self.home.permille();
        match is_away {
            false => is_bulk && several && home >= BUSY,
            true => !is_bulk || !several || home + self.away.permille() < SPARE,
        }
    }
}

/// The two threads, as a task sees them.
#[derive(Clone, Debug)]
pub(super) struct Threads {
    pub(super) home: Arc<Executor<'static>>,
    pub(super) away: Arc<Executor<'static>>,
    pub(super) balance: Arc<Balance>,
}

/// A task that changes the thread.
pub(super) struct Mobile {
    /// `None` after a move.
    task: Option<Task>,
    threads: Threads,
    is_away: bool,
    /// The bytes of a poll, on average.
    bytes: usize,
    /// The last window in which the task was counted.
    window: usize,
    moved: Instant,
}

impl Mobile {
    /// Starts `task` on the first thread.
    pub(super) fn spawn(threads: &Threads, task: Task) {
        let mobile = Self {
            task: Some(task),
            threads: threads.clone(),
            is_away: false,
            bytes: 0,
            window: 0,
            moved: Instant::now(),
        };
        threads.home.spawn(mobile).detach();
    }

    fn is_bulk(&self) -> bool {
        self.bytes >= BULK
    }

    /// Continues on the other thread, where the task is polled at once.
    fn change(&mut self, now: Instant) {
        let to = match self.is_away {
            true => &self.threads.home,
            false => &self.threads.away,
        };
        let moved = Self {
            task: self.task.take(),
            threads: self.threads.clone(),
            is_away: !self.is_away,
            moved: now,
            ..*self
        };
        to.spawn(moved).detach();
    }

    /// Notes what a poll has moved.
    fn note(&mut self, bytes: usize, now: Instant) {
        self.bytes = (self.bytes.saturating_mul(7) + bytes) / 8;
        let balance = &self.threads.balance;
        let window = balance.window.load(Ordering::Relaxed);
        if self.is_bulk() && self.window != window {
            self.window = window;
            balance.counted.fetch_add(1, Ordering::Relaxed);
        }
        balance.sample(self.is_away, now);
    }
}

impl Future for Mobile {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        let (is_away, is_bulk) = (self.is_away, self.is_bulk());
        if now.saturating_duration_since(self.moved) >= STAY
            && self.threads.balance.is_to_move(is_away, is_bulk)
        {
            self.change(now);
            return Poll::Ready(());
        }
        let Some(task) = &mut self.task else {
            return Poll::Ready(());
        };
        MOVED.set(0);
        let poll = task.as_mut().poll(cx);
        self.note(MOVED.get(), now);
        poll
    }
}

/// The driver, whose polls measure the load of the first thread.
pub(super) struct Measured<F> {
    pub(super) future: Pin<Box<F>>,
    pub(super) balance: Option<Arc<Balance>>,
}

impl<F: Future> Future for Measured<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if let Some(balance) = &self.balance {
            balance.sample_home(Instant::now());
        }
        self.future.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balance(transfers: usize, home: u32, away: u32) -> Balance {
        let balance = Balance::new();
        balance.transfers.store(transfers, Ordering::Relaxed);
        balance.home.permille.store(home, Ordering::Relaxed);
        balance.away.permille.store(away, Ordering::Relaxed);
        balance
    }

    #[test]
    fn one_of_several_bulk_transfers_leaves_a_busy_thread() {
        assert!(balance(2, 1000, 0).is_to_move(false, true));
        assert!(!balance(1, 1000, 0).is_to_move(false, true), "the only one");
        assert!(!balance(2, 900, 0).is_to_move(false, true), "not busy");
        assert!(!balance(2, 1000, 0).is_to_move(false, false), "no bulk");
    }

    #[test]
    fn a_transfer_returns_when_one_thread_is_enough() {
        assert!(!balance(2, 700, 600).is_to_move(true, true));
        assert!(balance(1, 700, 600).is_to_move(true, true), "the only one");
        assert!(balance(2, 400, 400).is_to_move(true, true), "little load");
        assert!(balance(2, 700, 600).is_to_move(true, false), "no bulk");
    }

    #[test]
    fn a_task_that_moves_goes_on_on_the_other_executor() {
        let threads = Threads {
            home: Arc::default(),
            away: Arc::default(),
            balance: Arc::new(balance(2, 1000, 0)),
        };
        // Its window does not end in this test.
        let now = threads.balance.created.elapsed() + Duration::from_secs(60);
        for load in [&threads.balance.home, &threads.balance.away] {
            load.start.store(nanos(now), Ordering::Relaxed);
        }
        let (sender, polls) = async_channel::unbounded();
        let task = async move {
            for n in 0..3 {
                moved(1 << 20);
                sender.send(n).await.unwrap();
                futures_lite::future::yield_now().await;
            }
        };
        Mobile::spawn(&threads, Box::pin(task));
        assert!(threads.home.try_tick());
        assert_eq!(polls.try_recv(), Ok(0));
        std::thread::sleep(STAY);
        assert!(threads.home.try_tick(), "moves");
        assert!(!threads.home.try_tick());
        assert!(threads.away.try_tick());
        assert_eq!(polls.try_recv(), Ok(1));
        threads.balance.transfers.store(1, Ordering::Relaxed);
        std::thread::sleep(STAY);
        assert!(threads.away.try_tick(), "returns");
        assert!(!threads.away.try_tick());
        assert!(threads.home.try_tick());
        assert_eq!(polls.try_recv(), Ok(2));
    }

    /// Descriptors and timers keep waking a task whose thread changes again and again.
    #[test]
    #[cfg(unix)]
    fn tasks_that_move_back_and_forth_lose_nothing() {
        use brooklet_reactor::{Async, Timer, block_on};
        use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
        use std::os::unix::net::UnixStream;

        // Its windows never end.
        let mut balance = balance(2, 1000, 1000);
        balance.created += Duration::from_secs(3600);
        let threads = Threads {
            home: Arc::default(),
            away: Arc::default(),
            balance: Arc::new(balance),
        };
        let started = Instant::now();
        let (done, results) = async_channel::unbounded();
        for n in 0..4u8 {
            let (one, other) = UnixStream::pair().unwrap();
            let mut one = Async::new(one).unwrap().byte_stream();
            let mut other = Async::new(other).unwrap().byte_stream();
            let server = async move {
                let mut buffer = [0; 100];
                while let Ok(len @ 1..) = other.read(&mut buffer).await {
                    moved(1 << 20);
                    other.write_all(&buffer[..len]).await.unwrap();
                }
            };
            let done = done.clone();
            let client = async move {
                let mut here = std::thread::current().id();
                let mut changes = 0;
                while started.elapsed() < 12 * STAY {
                    one.write_all(&[n; 10]).await.unwrap();
                    let mut answer = [0; 10];
                    one.read_exact(&mut answer).await.unwrap();
                    assert_eq!(answer, [n; 10]);
                    moved(1 << 20);
                    Timer::after(Duration::from_millis(1)).await;
                    let thread = std::thread::current().id();
                    changes += usize::from(std::mem::replace(&mut here, thread) != thread);
                }
                done.send(changes).await.unwrap();
            };
            Mobile::spawn(&threads, Box::pin(server));
            Mobile::spawn(&threads, Box::pin(client));
        }
        let (stop, stopped) = async_channel::bounded::<()>(1);
        let away = threads.away.clone();
        let second = std::thread::spawn(move || {
            let _ = block_on(away.run(stopped.recv()));
        });
        let changes = block_on(threads.home.run(async {
            let turns = async {
                for n in 0.. {
                    let transfers = [2, 1][n % 2];
                    let balance = &threads.balance;
                    balance.transfers.store(transfers, Ordering::Relaxed);
                    Timer::after(STAY).await;
                }
            };
            let ends = async {
                let mut changes = 0;
                for _ in 0..4 {
                    changes += results.recv().await.unwrap();
                }
                changes
            };
            let late = async {
                Timer::after(Duration::from_secs(20)).await;
                panic!("a wake-up was lost");
            };
            let turns = async {
                turns.await;
                future::pending().await
            };
            future::or(ends, future::or(turns, late)).await
        }));
        drop(stop);
        second.join().unwrap();
        assert!(changes >= 8, "{changes} changes of the thread");
    }
}
