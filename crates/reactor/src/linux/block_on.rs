use super::reactor::{Buffers, Entered, Reactor};
use super::sync::{AtomicBool, Ordering};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// How long a future that is always woken at once is polled between two looks at the events.
const LOOK: Duration = Duration::from_micros(100);

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let Ok(entered) = Entered::new() else {
        return async_io::block_on(future);
    };
    let reactor = &*entered.0;
    let task = Arc::new(Task {
        woken: AtomicBool::new(false),
        reactor: entered.0.clone(),
    });
    let waker = Waker::from(task.clone());
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    let mut buffers = Buffers::new();
    let mut looked = Instant::now();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        if task.take() {
            let now = Instant::now();
            if now.saturating_duration_since(looked) >= LOOK {
                looked = now;
                reactor.react(&mut buffers, false, || true);
            }
            continue;
        }
        // Events of other tasks, on other threads or of an outer call, do not end the sleep.
        while !task.take() {
            reactor.react(&mut buffers, true, || task.woken.load(Ordering::SeqCst));
        }
        looked = Instant::now();
    }
}

struct Task {
    woken: AtomicBool,
    reactor: Arc<Reactor>,
}

impl Task {
    fn take(&self) -> bool {
        self.woken.swap(false, Ordering::SeqCst)
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::SeqCst) {
            self.reactor.wake_thread();
        }
    }
}
