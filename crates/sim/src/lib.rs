//! Tests of programs over brooklet, without root and without waiting.
//!
//! - [`VirtualTime`] is a clock that moves only when it is told, and the timer of a stack.
//! - [`Simulation`] is an executor on such a clock: it jumps from deadline to deadline.
//! - [`Link`] joins two devices and delays, loses, doubles, reorders and corrupts what they send,
//!   as a seed says. [`Channel`] is one direction of it, for any clock.
//!
//! Nothing here reads the time of the system beyond one moment to begin from.

mod channel;
mod link;
mod random;
mod simulation;
mod time;

pub use channel::{Channel, Fate, LinkConfig, LinkStats};
pub use link::{Link, LinkEnd, Sighting};
pub use simulation::{SimError, Simulation};
pub use time::{Sleep, VirtualTime, VirtualTimer};
