/// Runs a future on this thread to its end, with a reactor of this thread on Linux.
///
/// Descriptors and timers that tasks on this thread wait for then belong to the reactor of this
/// thread: see [the crate](crate). Calls may be nested. Several threads may each run an executor in
/// a `block_on`, and share the executor.
///
/// Where the system gives the reactor no descriptors, and on other systems, this is the `block_on`
/// of async-io.
///
/// ```
/// use brooklet_reactor::{Timer, block_on};
/// use std::time::{Duration, Instant};
///
/// let start = Instant::now();
/// block_on(Timer::after(Duration::from_millis(5)));
/// assert!(start.elapsed() >= Duration::from_millis(5));
/// ```
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    crate::platform::block_on(future)
}
