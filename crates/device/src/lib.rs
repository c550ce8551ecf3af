//! The smoltcp device adapter of brooklet.
//!
//! [`OnePacket`] is smoltcp's [`Device`](smoltcp::phy::Device) for the length of one call: at most
//! one packet in, any number out.
//!
//! This is the only crate of brooklet that shows smoltcp's types.

mod phy;

pub use phy::{OnePacket, Outbound, Received, Shape, Slot};
