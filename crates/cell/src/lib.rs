//! Shared state that is thread-safe or single-threaded, chosen by a type parameter.
//!
//! [`Shared<F, T>`] is an `Arc<Mutex<T>>` when `F` is `Threaded`, and an `Rc<RefCell<T>>` when `F` is
//! `SingleThread`. A type that is generic over `F: Flavor` is written once and serves both; one program
//! can use both. The compiler derives whether such a type is [`Send`] from its fields: the crate
//! has no `unsafe impl`.
//!
//! ```
//! use brooklet_cell::{Flavor, Shared};
//!
//! struct Counter<F: Flavor>(Shared<F, u64>);
//!
//! impl<F: Flavor> Counter<F> {
//!     fn add(&self, n: u64) -> u64 {
//!         self.0.with(|total| {
//!             *total += n;
//!             *total
//!         })
//!     }
//! }
//!
//! # #[cfg(feature = "sync")] {
//! let counter = Counter::<brooklet_cell::Threaded>(Shared::new(40));
//! assert_eq!(std::thread::spawn(move || counter.add(2)).join().unwrap(), 42);
//! # }
//! ```
//!
//! The module [`wakers`] keeps the wakers of tasks that wait for a change of the value.
//!
//! # Features
//!
//! - `sync` (default): implements [`Flavor`] for [`Threaded`].
//! - `local`: implements [`Flavor`] for [`SingleThread`].
//! - `shuttle`: replaces the mutex by that of shuttle, for the repository's tests of thread
//!   interleavings. The feature has no effect without `--cfg shuttle`.
#![cfg_attr(docsrs, feature(doc_cfg))]

use std::fmt;

pub mod wakers;

/// The flavor for state that is shared between threads, in an `Arc<Mutex<T>>`. Requires the feature
/// `sync`.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// use brooklet_cell::{Shared, Threaded};
///
/// let total = Shared::<Threaded, u64>::new(0);
/// std::thread::scope(|scope| {
///     for n in 1..=4 {
///         let total = total.clone();
///         scope.spawn(move || total.with(|total| *total += n));
///     }
/// });
/// assert_eq!(total.with(|total| *total), 10);
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Threaded;

/// The flavor for state that stays on one thread, in an `Rc<RefCell<T>>`. Requires the feature
/// `local`.
///
/// ```
/// # #[cfg(feature = "local")] {
/// use brooklet_cell::{Shared, SingleThread};
/// use std::rc::Rc;
///
/// // The value need not be `Send`.
/// let total = Shared::<SingleThread, Rc<u64>>::new(Rc::new(1));
/// let other = total.clone();
/// other.with(|total| *total = Rc::new(2));
/// assert_eq!(total.with(|total| **total), 2);
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SingleThread;

/// The way in which handles share their state.
///
/// The trait is sealed: [`Threaded`] and [`SingleThread`] implement it, and no other type can.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an enabled flavor",
    note = "enable the feature `sync` for `Threaded`, or `local` for `SingleThread`"
)]
///
/// ```
/// use brooklet_cell::{Flavor, Shared};
///
/// /// Names that several handles share.
/// #[derive(Clone, Debug)]
/// struct Names<F: Flavor>(Shared<F, Vec<String>>);
///
/// impl<F: Flavor> Names<F> {
///     fn add(&self, name: &str) {
///         self.0.with(|names| names.push(name.into()));
///     }
/// }
///
/// fn is_send<T: Send>() {}
/// # #[cfg(feature = "sync")]
/// is_send::<Names<brooklet_cell::Threaded>>();
/// ```
pub trait Flavor: sealed::Sealed + Copy + Default + fmt::Debug + Unpin + 'static {
    /// The cell of this flavor: a cloneable handle to a mutable value.
    type Cell<T: 'static>: Cell<T>;
}

/// The operations that `Arc<Mutex<T>>` and `Rc<RefCell<T>>` have in common.
///
/// The trait is sealed. Programs use it through [`Shared`].
///
/// ```
/// # #[cfg(feature = "sync")] {
/// use brooklet_cell::{Cell, Flavor, Threaded};
///
/// type Counter = <Threaded as Flavor>::Cell<u64>; // Arc<Mutex<u64>>
///
/// let counter = <Counter as Cell<u64>>::new(1);
/// counter.with(|n| *n += 1);
/// assert!(counter.same(&counter.clone()));
/// assert_eq!(Cell::with(&counter, |n| *n), 2);
/// # }
/// ```
pub trait Cell<T>: sealed::SealedCell + Clone + Unpin {
    /// Creates a cell with `value`, and the first handle to it.
    fn new(value: T) -> Self;
    /// Calls `f` with exclusive access to the value, and returns its result.
    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R;
    /// Returns whether both handles lead to the same value.
    fn same(&self, other: &Self) -> bool;
}

/// A handle to a value of type `T`, which is shared in the way of the flavor `F`. A clone is a
/// handle to the same value.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// use brooklet_cell::{Shared, Threaded};
///
/// let names = Shared::<Threaded, _>::new(Vec::new());
/// let other = names.clone();
/// other.with(|names| names.push("brooklet"));
/// assert_eq!(names.with(|names| names.len()), 1);
/// # }
/// ```
pub struct Shared<F: Flavor, T: 'static>(F::Cell<T>);

impl<F: Flavor, T: 'static> Shared<F, T> {
    /// Creates a cell with `value`, and the first handle to it.
    pub fn new(value: T) -> Self {
        Self(F::Cell::new(value))
    }

    /// Calls `f` with exclusive access to the value, and returns its result.
    ///
    /// `f` must not wake a [`Waker`](std::task::Waker), and must not drop a value of a caller: both
    /// may run foreign code that calls `with` again. Return such values from `f`, and wake or drop
    /// them once `with` has returned.
    ///
    /// If `f` panics, the value keeps the changes that `f` has made, and later calls succeed.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// use brooklet_cell::{Shared, Threaded};
    /// use std::task::Waker;
    ///
    /// let reader = Shared::<Threaded, Option<Waker>>::new(Some(Waker::noop().clone()));
    /// // Take the waker out under the cell, and wake the task after it.
    /// if let Some(waker) = reader.with(|reader| reader.take()) {
    ///     waker.wake();
    /// }
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// With `SingleThread`, a call from within `f` panics. With `Threaded`, such a call panics or deadlocks.
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        self.0.with(f)
    }

    /// Returns whether both handles lead to the same value.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// use brooklet_cell::{Shared, Threaded};
    ///
    /// let a = Shared::<Threaded, _>::new(1);
    /// assert!(a.same(&a.clone()));
    /// assert!(!a.same(&Shared::new(1)));
    /// # }
    /// ```
    pub fn same(&self, other: &Self) -> bool {
        self.0.same(&other.0)
    }
}

impl<F: Flavor, T: 'static> Clone for Shared<F, T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<F: Flavor, T: 'static> fmt::Debug for Shared<F, T> {
    // The output omits the value: formatting must not wait for a lock.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("flavor", &F::default())
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "sync")]
mod sync {
    #[cfg(all(shuttle, feature = "shuttle"))]
    use shuttle::sync::Mutex;
    #[cfg(not(all(shuttle, feature = "shuttle")))]
    use std::sync::Mutex;
    use std::sync::{Arc, PoisonError};

    impl super::Flavor for super::Threaded {
        type Cell<T: 'static> = Arc<Mutex<T>>;
    }

    impl<T> super::Cell<T> for Arc<Mutex<T>> {
        fn new(value: T) -> Self {
            Self::new(Mutex::new(value))
        }
        fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
            let mut value = self.lock().unwrap_or_else(PoisonError::into_inner);
            #[cfg(all(shuttle, feature = "shuttle"))]
            let _held = super::model::Held::new();
            f(&mut value)
        }
        fn same(&self, other: &Self) -> bool {
            Self::ptr_eq(self, other)
        }
    }

    impl<T> super::sealed::SealedCell for Arc<Mutex<T>> {}
}

#[cfg(feature = "local")]
mod local {
    use std::{cell::RefCell, rc::Rc};

    impl super::Flavor for super::SingleThread {
        type Cell<T: 'static> = Rc<RefCell<T>>;
    }

    impl<T> super::Cell<T> for Rc<RefCell<T>> {
        fn new(value: T) -> Self {
            Self::new(RefCell::new(value))
        }
        fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
            f(&mut self.borrow_mut())
        }
        fn same(&self, other: &Self) -> bool {
            Self::ptr_eq(self, other)
        }
    }

    impl<T> super::sealed::SealedCell for Rc<RefCell<T>> {}
}

/// The count of held cells, which only the tests of thread interleavings (`tools/models`) read.
#[cfg(all(shuttle, feature = "shuttle"))]
pub mod model {
    use std::cell::Cell;

    shuttle::thread_local! {
        static HELD: Cell<usize> = Cell::new(0);
    }

    /// Returns how many cells of [`Threaded`](crate::Threaded) the calling task holds.
    pub fn held() -> usize {
        // The locals of a task are gone while the task is torn down; it holds no cell then.
        HELD.try_with(Cell::get).unwrap_or(0)
    }

    /// Counts one cell as held for its own lifetime.
    pub(crate) struct Held(());

    impl Held {
        pub(crate) fn new() -> Self {
            let _ = HELD.try_with(|held| held.set(held.get() + 1));
            Self(())
        }
    }

    impl Drop for Held {
        fn drop(&mut self) {
            let _ = HELD.try_with(|held| held.set(held.get() - 1));
        }
    }
}

#[allow(
    unnameable_types,
    reason = "the traits are sealed because no other crate can name these"
)]
mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Threaded {}
    impl Sealed for super::SingleThread {}
    pub trait SealedCell {}
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "sync")]
    mod sync {
        use crate::{Shared, Threaded};
        use static_assertions::{assert_impl_all, assert_not_impl_any};

        assert_impl_all!(Shared<Threaded, Vec<u8>>: Send, Sync);
        assert_impl_all!(Shared<Threaded, std::cell::Cell<u8>>: Send, Sync);
        // A value that is not `Send` does not become so in a cell.
        assert_not_impl_any!(Shared<Threaded, std::rc::Rc<u8>>: Send, Sync);

        #[test]
        fn clones_share_across_threads() {
            let value = Shared::<Threaded, _>::new(1);
            let other = value.clone();
            std::thread::spawn(move || other.with(|v| *v += 1))
                .join()
                .unwrap();
            assert_eq!(value.with(|v| *v), 2);
        }

        #[test]
        fn a_panic_inside_does_not_lose_the_value() {
            let value = Shared::<Threaded, _>::new(1);
            let other = value.clone();
            let thread = std::thread::spawn(move || {
                other.with(|v| {
                    *v = 7;
                    panic!("inside");
                })
            });
            assert!(thread.join().is_err());
            assert_eq!(value.with(|v| *v), 7);
        }
    }

    #[cfg(feature = "local")]
    mod local {
        use crate::{Shared, SingleThread};
        use static_assertions::assert_not_impl_any;

        assert_not_impl_any!(Shared<SingleThread, Vec<u8>>: Send, Sync);

        #[test]
        fn clones_share() {
            let value = Shared::<SingleThread, _>::new(1);
            let other = value.clone();
            other.with(|v| *v += 1);
            assert_eq!(value.with(|v| *v), 2);
            assert!(value.same(&other));
        }

        #[test]
        #[should_panic(expected = "borrowed")]
        fn reentry_panics() {
            let value = Shared::<SingleThread, _>::new(1);
            value.with(|_| value.with(|_| ()));
        }
    }
}

#[cfg(all(doctest, feature = "sync"))]
#[doc = include_str!("../README.md")]
struct Readme;
