//! Tests of programs over brooklet, without root and without waiting.
//!
//! - [`VirtualTime`] is a clock that moves only when it is told, and the timer of a stack.
//! - [`Simulation`] is an executor on such a clock: it jumps from deadline to deadline.
//!
//! Nothing here reads the time of the system beyond one moment to begin from.

mod simulation;
mod time;

pub use simulation::{SimError, Simulation};
pub use time::{Sleep, VirtualTime, VirtualTimer};
