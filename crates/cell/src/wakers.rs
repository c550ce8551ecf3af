//! Wakers of the tasks that wait for an event, kept in a cell.
//!
//! A waker runs foreign code when it is woken, and also when its last clone is dropped. That code
//! may use the cell that the waker was kept in, and would find it locked. No function of this
//! module therefore wakes or drops a registered waker: each returns the waker, or moves it into a
//! [`WakeList`], and the caller wakes or drops it once the cell is released.
//!
//! - [`SingleWaker`] is for one task: the driver of a device queue, the owner of one end of a
//!   pipe. The latest waker counts.
//! - [`PollWakers`] is for any number of tasks that call a `poll_` function on a shared handle.
//! - [`WaitQueue`] is for futures, too. A future holds a [`WaitKey`] and removes its waker when it
//!   is dropped. A [`Waiter`] does that for the content of a cell that is [`Awaited`].
//!
//! ```
//! # #[cfg(feature = "sync")] {
//! use brooklet_cell::wakers::{WaitKey, WaitQueue, WakeList};
//! use brooklet_cell::{Shared, Threaded};
//! use std::task::Poll;
//!
//! /// Numbers, and the tasks that wait for one.
//! #[derive(Default)]
//! struct Channel {
//!     numbers: Vec<u64>,
//!     receivers: WaitQueue,
//! }
//!
//! let channel = Shared::<Threaded, _>::new(Channel::default());
//!
//! // Receive: look and register under one hold of the cell, so that no number is missed.
//! let receive = async {
//!     let mut key = WaitKey::default();
//!     std::future::poll_fn(|cx| {
//!         let (poll, _replaced) = channel.with(|channel| match channel.numbers.pop() {
//!             Some(number) => (Poll::Ready(number), None),
//!             None => (Poll::Pending, channel.receivers.register(&mut key, cx.waker())),
//!         });
//!         poll
//!     })
//!     .await
//! };
//!
//! // Send: collect the wakers under the cell, wake them after it.
//! let send = async {
//!     let mut wakes = WakeList::new();
//!     channel.with(|channel| {
//!         channel.numbers.push(7);
//!         channel.receivers.drain_into(&mut wakes);
//!     });
//!     wakes.wake_all();
//! };
//!
//! let (number, ()) = futures_lite::future::block_on(futures_lite::future::zip(receive, send));
//! assert_eq!(number, 7);
//! # }
//! ```
//!
//! # No wake-up is lost
//!
//! An event wakes every registered task, and empties the set. A task that finds nothing left
//! registers again. A waker leaves a set in three ways only: an event or a full set wakes it, its
//! future replaces it by a newer waker, or its future is dropped.
//!
//! Waking one task per event would be cheaper, but a task that no longer waits, and cannot say so,
//! would swallow the wake-up of another: a caller of a `poll_` function has no way to leave.

mod poll_wakers;
mod single_waker;
#[cfg(test)]
mod tests;
mod wait_queue;
mod waiter;
mod wake_list;

pub use poll_wakers::PollWakers;
pub use single_waker::SingleWaker;
pub use wait_queue::{WaitKey, WaitQueue};
pub use waiter::{Awaited, Waiter};
pub use wake_list::{WakeList, panics, wake};
