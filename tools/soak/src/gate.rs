//! The gate that stops the traffic for a rest, and for good.

use smol::Timer;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// How often a task that waits looks.
const LOOK: Duration = Duration::from_millis(100);

/// Where the tasks of the traffic wait between what they do. Clones are the same gate.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<State>);

#[derive(Debug, Default)]
struct State {
    closed: AtomicBool,
    stopped: AtomicBool,
    /// Tasks that use the gate.
    tasks: AtomicUsize,
    /// Those of them that are about something.
    busy: AtomicUsize,
}

impl Gate {
    /// Lets a task in. It is at rest until it has passed.
    pub(crate) fn enter(&self) -> Pass {
        self.0.tasks.fetch_add(1, SeqCst);
        Pass {
            gate: self.clone(),
            busy: false,
        }
    }

    /// Keeps tasks from beginning anything.
    pub(crate) fn close(&self) {
        self.0.closed.store(true, SeqCst);
    }

    /// Lets the tasks go on.
    pub(crate) fn open(&self) {
        self.0.closed.store(false, SeqCst);
    }

    /// Ends the tasks.
    pub(crate) fn stop(&self) {
        self.0.stopped.store(true, SeqCst);
        self.open();
    }

    /// Returns the number of tasks that are about something.
    pub(crate) fn busy(&self) -> usize {
        self.0.busy.load(SeqCst)
    }

    /// Returns the number of tasks that have not ended.
    pub(crate) fn tasks(&self) -> usize {
        self.0.tasks.load(SeqCst)
    }
}

/// The place of one task at the gate.
#[derive(Debug)]
pub(crate) struct Pass {
    gate: Gate,
    busy: bool,
}

impl Pass {
    /// Waits for this time, and then until the gate is open. Returns `false` once the task is to end.
    pub(crate) async fn wait(&mut self, time: Duration) -> bool {
        self.rest();
        let until = Instant::now() + time;
        loop {
            let state = &self.gate.0;
            if state.stopped.load(SeqCst) {
                return false;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() && !state.closed.load(SeqCst) {
                // Busy first and then another look: whoever closes the gate and then sees nobody busy
                // is sure that nobody is.
                self.work();
                if !self.gate.0.closed.load(SeqCst) {
                    return true;
                }
                self.rest();
            }
            Timer::after(if left.is_zero() { LOOK } else { left.min(LOOK) }).await;
        }
    }

    fn work(&mut self) {
        self.busy = true;
        self.gate.0.busy.fetch_add(1, SeqCst);
    }

    fn rest(&mut self) {
        if std::mem::take(&mut self.busy) {
            self.gate.0.busy.fetch_sub(1, SeqCst);
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.rest();
        self.gate.0.tasks.fetch_sub(1, SeqCst);
    }
}
