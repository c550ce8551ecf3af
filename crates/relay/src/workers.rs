//! The threads of a relay: one for each device queue.

mod second;

use crate::Spawner;
use async_executor::Executor;
use futures_lite::future;
pub(crate) use second::moved;
use second::{Balance, Measured, Mobile, Threads, cpu_time};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

/// The threads that run the drivers of a stack and the tasks of a relay: one for each device queue.
///
/// The driver of a queue and the tasks of its flows run on the same thread, which has a
/// [reactor](brooklet_reactor) of its own. A packet then passes from the device to a host's socket
/// without waking another thread.
///
/// With one queue there is a second thread, on Linux and where there is a second core. It takes part
/// only while several bulk transfers keep the first thread busy all the time, and sleeps otherwise.
///
/// ```no_run
/// use brooklet::{Builder, QueueParts};
/// use brooklet_relay::{Limits, Map, Relay, Router, Workers};
///
/// # fn example(devices: Vec<impl brooklet::PacketIo + Send + 'static>) -> std::io::Result<()> {
/// let QueueParts { stack, tcp, udp, drivers, .. } = Builder::new().build_queues(devices)?;
/// let workers = Workers::new(drivers.len());
/// let (map, limits) = (Map::transparent(), Limits::default());
/// let relay = Relay::new(stack, map, Router::default(), limits, workers.spawner());
/// relay.start(tcp, udp, true)?;
/// let drivers = drivers.into_iter().enumerate();
/// let drivers: Vec<_> = drivers.map(|(queue, driver)| workers.spawn(queue, driver)).collect();
/// workers.block_on(async {
///     for driver in drivers {
///         driver.await?;
///     }
///     Ok(())
/// })?
/// # }
/// ```
#[derive(Debug)]
pub struct Workers {
    executors: Arc<[Arc<Executor<'static>>]>,
    second: Option<Threads>,
}

impl Workers {
    /// Makes workers for this many device queues, at least one. No thread starts yet.
    pub fn new(queues: usize) -> Self {
        let executors: Arc<[Arc<Executor<'static>>]> =
            (0..queues.max(1)).map(|_| Arc::default()).collect();
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let has_second = executors.len() == 1 && cores > 1 && cpu_time().is_some();
        let second = has_second.then(|| Threads {
            home: executors[0].clone(),
            away: Arc::default(),
            balance: Arc::new(Balance::new()),
        });
        Self { executors, second }
    }

    /// Returns a spawner that starts a task on the thread of its queue.
    pub fn spawner(&self) -> Spawner {
        if let Some(threads) = self.second.clone() {
            return Spawner::by_queue(move |_, task| Mobile::spawn(&threads, task));
        }
        let executors = self.executors.clone();
        Spawner::by_queue(move |queue, task| {
            executors[queue % executors.len()].spawn(task).detach();
        })
    }

    /// Starts a task on the thread of a queue, such as the driver of the queue. The drop of the
    /// future that is returned cancels the task.
    ///
    /// # Panics
    ///
    /// The returned future panics if the task has panicked.
    pub fn spawn<T: Send + 'static>(
        &self,
        queue: usize,
        future: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + Send + Unpin + 'static {
        let executor = &self.executors[queue % self.executors.len()];
        let balance = self.second.as_ref().map(|threads| threads.balance.clone());
        executor.spawn(Measured {
            future: Box::pin(future),
            balance,
        })
    }

    /// Runs the tasks until `future` is ready: those of the first queue on this thread, and those
    /// of each other queue on a thread that ends with this call, as the second thread does.
    ///
    /// `future` runs on this thread.
    ///
    /// # Errors
    ///
    /// The system starts no thread.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> io::Result<T> {
        thread::scope(|scope| {
            let (stop, stopped) = async_channel::bounded::<()>(1);
            let second = self.second.as_ref().map(|threads| &threads.away);
            let others = self.executors.iter().skip(1).chain(second);
            for (queue, executor) in (1..).zip(others) {
                let stopped = stopped.clone();
                thread::Builder::new()
                    .name(format!("worker {queue}"))
                    .spawn_scoped(scope, move || {
                        let _ = brooklet_reactor::block_on(run(executor, stopped.recv()));
                    })?;
            }
            let output = brooklet_reactor::block_on(run(&self.executors[0], when_woken(future)));
            drop(stop);
            Ok(output)
        })
    }
}

/// The most tasks that run between two chances of the reactor to look for events.
const TASKS: usize = 16;

/// Runs the tasks of `executor` until `future` is ready. The `run` of the executor lets the reactor
/// look after 200 tasks: too late for packets and their ACKs.
async fn run<T>(executor: &Executor<'static>, future: impl Future<Output = T>) -> T {
    let tasks = async {
        loop {
            for _ in 0..TASKS {
                executor.tick().await;
            }
            future::yield_now().await;
        }
    };
    future::or(future, tasks).await
}

/// Polls `future` only when its own waker was woken. An executor polls the future that it runs for
/// at each wake-up of any task.
async fn when_woken<T>(future: impl Future<Output = T>) -> T {
    let task = Arc::new(Task {
        is_woken: AtomicBool::new(true),
        outer: Mutex::new(Waker::noop().clone()),
    });
    let waker = Waker::from(task.clone());
    let mut future = pin!(future);
    std::future::poll_fn(|cx| {
        task.register(cx.waker());
        if !task.is_woken.swap(false, Ordering::SeqCst) {
            return Poll::Pending;
        }
        let mut cx = Context::from_waker(&waker);
        Pin::new(&mut future).poll(&mut cx)
    })
    .await
}

struct Task {
    is_woken: AtomicBool,
    /// The waker of the task that polls.
    outer: Mutex<Waker>,
}

impl Task {
    fn lock(&self) -> MutexGuard<'_, Waker> {
        self.outer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn register(&self, waker: &Waker) {
        let mut outer = self.lock();
        if !outer.will_wake(waker) {
            let old = std::mem::replace(&mut *outer, waker.clone());
            drop(outer);
            drop(old);
        }
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::SeqCst);
        let outer = self.lock().clone();
        outer.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::yield_now;
    use std::sync::atomic::AtomicUsize;
    use std::thread::ThreadId;

    fn here() -> ThreadId {
        thread::current().id()
    }

    #[test]
    fn tasks_run_on_the_thread_of_their_queue() {
        let workers = Workers::new(2);
        let spawner = workers.spawner();
        let (sender, threads) = async_channel::unbounded();
        for queue in [0, 1, 0, 1] {
            let sender = sender.clone();
            spawner.spawn(queue, async move {
                yield_now().await;
                sender.send((queue, here())).await.unwrap();
            });
        }
        let driver = workers.spawn(1, async { here() });
        let second = workers.block_on(async {
            let second = driver.await;
            for _ in 0..4 {
                let (queue, thread) = threads.recv().await.unwrap();
                assert_eq!(thread, if queue == 0 { here() } else { second });
            }
            second
        });
        assert_ne!(second.unwrap(), here());
    }

    #[test]
    fn the_future_is_polled_when_its_own_waker_wakes() {
        let workers = Workers::new(1);
        let polls = AtomicUsize::new(0);
        let busy = workers.spawn(0, async {
            for _ in 0..1000 {
                yield_now().await;
            }
        });
        let mut busy = pin!(busy);
        let counted = std::future::poll_fn(|cx| {
            polls.fetch_add(1, Ordering::SeqCst);
            busy.as_mut().poll(cx)
        });
        workers.block_on(counted).unwrap();
        assert_eq!(polls.into_inner(), 2);
    }
}
