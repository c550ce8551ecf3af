//! State that is shared between threads or kept on one, chosen by a type parameter.
//!
//! [`Shared<F, T>`] is an `Arc<Mutex<T>>` when `F` is `Sync` and an `Rc<RefCell<T>>` when it is
//! `Local`. A type written once over `F: Flavor` serves both, and both may live in one program.
//! Whether the result is [`Send`] is worked out by the compiler from what it is made of; nothing
//! here claims it.
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
//! let counter = Counter::<brooklet_cell::Sync>(Shared::new(40));
//! assert_eq!(std::thread::spawn(move || counter.add(2)).join().unwrap(), 42);
//! # }
//! ```
//!
//! # Features
//!
//! - `sync` (default): `Sync` is a flavor.
//! - `local`: `Local` is a flavor.
//! - `shuttle`: for the models of the repository. Without `--cfg shuttle` it does nothing.

use std::fmt;

/// State shared across threads: `Arc<Mutex<T>>`. A [`Flavor`] with the feature `sync`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sync;

/// State confined to one thread: `Rc<RefCell<T>>`. A [`Flavor`] with the feature `local`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Local;

/// How handles share their state.
///
/// Sealed: the only implementations are those of [`Sync`] and [`Local`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an enabled flavor",
    note = "turn on the feature `sync` for `Sync`, or `local` for `Local`"
)]
pub trait Flavor: sealed::Sealed + Copy + Default + fmt::Debug + Unpin + 'static {
    /// The shared, mutable cell of this flavor.
    type Cell<T: 'static>: Cell<T>;
}

/// What `Arc<Mutex<T>>` and `Rc<RefCell<T>>` have in common.
///
/// Sealed, and reached through [`Shared`].
pub trait Cell<T>: sealed::SealedCell + Clone + Unpin {
    /// Makes the first handle to `value`.
    fn new(value: T) -> Self;
    /// Runs `f` with exclusive access to the value.
    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R;
    /// Whether both are handles to the same value.
    fn same(&self, other: &Self) -> bool;
}

/// A handle to a `T` that is shared as `F` says; clones share the value.
pub struct Shared<F: Flavor, T: 'static>(F::Cell<T>);

impl<F: Flavor, T: 'static> Shared<F, T> {
    /// Makes the first handle to `value`.
    pub fn new(value: T) -> Self {
        Self(F::Cell::new(value))
    }

    /// Runs `f` with exclusive access to the value.
    ///
    /// `f` must neither wake a [`Waker`](std::task::Waker) nor drop what a caller owns: both may
    /// run foreign code that comes back here. Return such values from `f` and act on them once
    /// `with` has returned.
    ///
    /// A panic in `f` leaves the value as it was at that point; later calls see it so.
    ///
    /// # Panics
    ///
    /// Called again from inside `f`: with `Local` it panics, with `Sync` it may deadlock.
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        self.0.with(f)
    }

    /// Whether both are handles to the same value.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// use brooklet_cell::{Shared, Sync};
    ///
    /// let a = Shared::<Sync, _>::new(1);
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
    // Not the value: formatting must not wait for a lock.
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

    impl super::Flavor for super::Sync {
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

    impl super::Flavor for super::Local {
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

/// What the models in `models/` ask; in no other build.
#[cfg(all(shuttle, feature = "shuttle"))]
pub mod model {
    use std::cell::Cell;

    shuttle::thread_local! {
        static HELD: Cell<usize> = Cell::new(0);
    }

    /// How many cells of [`Sync`](crate::Sync) the calling task holds.
    pub fn held() -> usize {
        // While a task is torn down its locals are gone, and nothing runs inside of a cell.
        HELD.try_with(Cell::get).unwrap_or(0)
    }

    /// Counts one cell as held for as long as it lives.
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
    reason = "that nobody else can name them is what seals the traits"
)]
mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Sync {}
    impl Sealed for super::Local {}
    pub trait SealedCell {}
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "sync")]
    mod sync {
        use crate::{Shared, Sync};
        use static_assertions::{assert_impl_all, assert_not_impl_any};

        assert_impl_all!(Shared<Sync, Vec<u8>>: Send, std::marker::Sync);
        assert_impl_all!(Shared<Sync, std::cell::Cell<u8>>: Send, std::marker::Sync);
        // The flavor does not launder a value that cannot be sent.
        assert_not_impl_any!(Shared<Sync, std::rc::Rc<u8>>: Send, std::marker::Sync);

        #[test]
        fn clones_share_across_threads() {
            let value = Shared::<Sync, _>::new(1);
            let other = value.clone();
            std::thread::spawn(move || other.with(|v| *v += 1))
                .join()
                .unwrap();
            assert_eq!(value.with(|v| *v), 2);
        }

        #[test]
        fn a_panic_inside_does_not_lose_the_value() {
            let value = Shared::<Sync, _>::new(1);
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
        use crate::{Local, Shared};
        use static_assertions::assert_not_impl_any;

        assert_not_impl_any!(Shared<Local, Vec<u8>>: Send, Sync);

        #[test]
        fn clones_share() {
            let value = Shared::<Local, _>::new(1);
            let other = value.clone();
            other.with(|v| *v += 1);
            assert_eq!(value.with(|v| *v), 2);
            assert!(value.same(&other));
        }

        #[test]
        #[should_panic(expected = "borrowed")]
        fn reentry_panics() {
            let value = Shared::<Local, _>::new(1);
            value.with(|_| value.with(|_| ()));
        }
    }
}
