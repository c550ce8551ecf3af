//! Faults of what surrounds a stack: its device, its clock, and the code of the program.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod clock;
mod device;
mod panics;
mod pending;
mod swap;
mod world;
