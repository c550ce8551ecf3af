use brooklet_cell::model::held;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A future whose wakers panic if they are woken, or dropped for good, while a cell is held.
///
/// It gives way after a poll in which it was woken: PCT would otherwise let a task that waits for
/// others by asking again and again do so for ever.
#[derive(Debug)]
pub struct Checked<F> {
    future: Pin<Box<F>>,
    probe: Option<Arc<Probe>>,
}

#[derive(Debug)]
struct Probe {
    task: Waker,
    woken: AtomicBool,
}

impl<F: Future> Checked<F> {
    /// Wraps `future`.
    pub fn new(future: F) -> Self {
        Self {
            future: Box::pin(future),
            probe: None,
        }
    }
}

impl<F: Future> Future for Checked<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // Every other time the waker is another one, as it is for a future that moves between
        // tasks: then the old one is dropped for good where it is replaced.
        let probe = self.probe.take();
        let again = probe.is_some();
        let probe = probe.unwrap_or_else(|| {
            Arc::new(Probe {
                task: cx.waker().clone(),
                woken: AtomicBool::new(false),
            })
        });
        if !again {
            self.probe = Some(probe.clone());
        }
        probe.woken.store(false, Ordering::Relaxed);
        let waker = Waker::from(probe.clone());
        let poll = self.future.as_mut().poll(&mut Context::from_waker(&waker));
        let woken = probe.woken.load(Ordering::Relaxed);
        drop((waker, probe));
        if poll.is_pending() && woken {
            shuttle::thread::yield_now();
        }
        poll
    }
}

impl Wake for Probe {
    fn wake(self: Arc<Self>) {
        assert_eq!(held(), 0, "a task was woken with a cell held");
        self.woken.store(true, Ordering::Relaxed);
        self.task.wake_by_ref();
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // A second panic would end the process before the first one is reported.
        if !std::thread::panicking() {
            assert_eq!(held(), 0, "a waker was dropped with a cell held");
        }
    }
}
