//! The limit to the time without traffic.

use brooklet_reactor::Timer;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// The number of looks at the traffic in the time of the limit. Data costs no look at the clock,
/// and a connection ends at most an eighth of the limit too late.
const TICKS: u32 = 8;

/// Finds that nothing has moved for a time.
#[derive(Debug)]
pub(super) struct Idle {
    limit: Option<Duration>,
    timer: Timer,
    quiet_ticks: u32,
    moved: bool,
}

impl Idle {
    /// Without a limit.
    pub(super) fn new() -> Self {
        Self {
            limit: None,
            timer: Timer::never(),
            quiet_ticks: 0,
            moved: false,
        }
    }

    /// Notes that data has moved.
    pub(super) fn on_traffic(&mut self) {
        self.moved = true;
    }

    /// Sets the limit. The time without traffic starts anew with a limit that differs.
    pub(super) fn set_limit(&mut self, limit: Option<Duration>) {
        if self.limit == limit {
            return;
        }
        self.limit = limit;
        self.quiet_ticks = 0;
        self.moved = false;
        match limit {
            Some(limit) => self.timer.set_after(limit / TICKS),
            None => self.timer = Timer::never(),
        }
    }

    /// Is ready when nothing has moved for the time of the limit.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(limit) = self.limit else {
            return Poll::Pending; // what moves wakes the task
        };
        while Pin::new(&mut self.timer).poll(cx).is_ready() {
            match std::mem::take(&mut self.moved) {
                true => self.quiet_ticks = 0,
                false => self.quiet_ticks += 1,
            }
            if self.quiet_ticks >= TICKS {
                return Poll::Ready(());
            }
            self.timer.set_after(limit / TICKS);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use brooklet_reactor::block_on;
    use futures_lite::future;
    use std::future::poll_fn;
    use std::time::Instant;

    const LIMIT: Duration = Duration::from_millis(400);

    #[test]
    fn traffic_puts_the_end_off() {
        let start = Instant::now();
        let mut idle = Idle::new();
        idle.set_limit(Some(LIMIT));
        let mut traffic = Timer::after(LIMIT / 2);
        block_on(poll_fn(|cx| {
            if Pin::new(&mut traffic).poll(cx).is_ready() {
                idle.on_traffic();
            }
            idle.poll(cx)
        }));
        let quiet = start.elapsed() - LIMIT / 2;
        assert!(quiet >= LIMIT, "{quiet:?}");
    }

    #[test]
    fn without_a_limit_there_is_no_end() {
        let mut idle = Idle::new();
        idle.set_limit(Some(Duration::ZERO));
        idle.set_limit(None);
        assert!(block_on(future::poll_once(poll_fn(|cx| idle.poll(cx)))).is_none());
    }
}
