//! Packet capture: the drivers copy the packets at the device into a bounded buffer, in the format
//! pcapng, and a handle of the program drains the buffer.
//!
//! The pcapng writer is the stack's own, because only three kinds of blocks are written: of the
//! crates with a writer, `pcap-file` has had no release for Rust 1.91 since 2023, and
//! `pcap-parser` would bring a parser and the whole of `futures`.

#[cfg(feature = "capture")]
mod blocks;
#[cfg(feature = "capture")]
mod config;
#[cfg(feature = "capture")]
mod handle;
#[cfg(not(feature = "capture"))]
mod off;
#[cfg(feature = "capture")]
mod tap;

#[cfg(feature = "capture")]
pub use self::{config::CaptureConfig, handle::Capture};

#[cfg(not(feature = "capture"))]
pub(crate) use self::off::{Captures, Tap};
#[cfg(feature = "capture")]
pub(crate) use self::tap::{Captures, Tap};

use crate::drop_reason::DropReason;

/// What became of a packet that did not simply pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Dropped(DropReason),
    /// The filter passed it to the raw sockets.
    Diverted,
}
