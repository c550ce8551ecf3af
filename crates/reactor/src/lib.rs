//! Readiness of descriptors and timers, on a reactor of one thread or on async-io.
//!
//! - [`Async`] waits until a descriptor is readable or writable.
//! - [`Timer`] waits for a point in time.
//! - [`block_on`] runs a future on this thread, with a reactor of the thread.
//!
//! # Which reactor
//!
//! Inside [`block_on`] on Linux, a descriptor or timer belongs to the reactor of the thread whose
//! task waits for it first. Anywhere else, on another executor or another system, it belongs to
//! async-io. The choice is made by the first poll that has to wait. Tasks may move to other threads
//! afterwards: the thread of the reactor wakes them where they are, and a descriptor moves to the
//! reactor of the thread where its task has waited several times in a row. When the outermost [`block_on`]
//! of a thread ends, the descriptors and timers of its reactor leave it, their tasks wake, and the
//! next poll that has to wait chooses again. A descriptor of async-io stays there.
//!
//! The reactor of a thread is epoll:
//!
//! - A descriptor is registered once, by the first poll that has to wait. The reactor remembers
//!   what is ready, so a task that waits makes no system call, and an operation that is known to
//!   find nothing is not tried.
//! - Timers are the timeout of `epoll_wait`, in whole milliseconds, rounded up.
//! - A wake-up from the same thread makes no system call. A wake-up from another thread writes to
//!   an eventfd only while the thread of the reactor sleeps.
//!
//! # Operations must find nothing before they report it
//!
//! An operation that returns [`WouldBlock`](std::io::ErrorKind::WouldBlock) to [`Async::read_with`]
//! and the other methods with a closure says that the descriptor has nothing (or no room) now. The
//! task then sleeps until the system reports *new* readiness. An operation that makes several calls
//! repeats them until one of them finds nothing.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod block_on;
mod descriptor;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod portable;
mod streams;
mod timer;

#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(not(target_os = "linux"))]
use portable as platform;

pub use block_on::block_on;
pub use descriptor::{Async, Pollable};
pub use timer::Timer;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
