//! The means of synchronisation: those of std, or those of shuttle in the models of thread
//! interleavings (`tools/models`).

#[cfg(all(shuttle, feature = "shuttle"))]
pub(super) use shuttle::{
    sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    sync::{Mutex, MutexGuard},
    thread_local,
};
#[cfg(not(all(shuttle, feature = "shuttle")))]
pub(super) use std::{
    sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    sync::{Mutex, MutexGuard},
    thread_local,
};

/// Ignores poisoning: no panic leaves the guarded values half changed.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
