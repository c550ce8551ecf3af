//! Between IP packets and smoltcp: buffers, the outbound queue and the device adapter.
//!
//! - [`PacketIo`] is what a source and sink of IP packets implements: a TUN device, a tunnel, a
//!   pair of channels in a test.
//! - [`PacketBuf`] is one packet in a buffer that is used again, with its [`Meta`]: whether its
//!   checksum is there, and whether it stands for several. [`Offload`] is what a device can do
//!   with such packets.
//! - [`TxQueue`] holds the packets on their way out. It is bounded; who finds it full leaves a
//!   note and is called when there is room again.
//! - [`OnePacket`] is smoltcp's [`Device`](smoltcp::phy::Device): at most one packet in, any
//!   number out, built on the stack for the length of one call.
//!
//! This is the only crate of brooklet that shows smoltcp's types.

mod buf;
mod io;
mod offload;
mod phy;
mod queue;

pub use buf::PacketBuf;
pub use io::PacketIo;
pub use offload::{Checksum, Meta, Offload};
pub use phy::{OnePacket, Outbound, Received, Shape, Slot};
pub use queue::{QueueFull, TxQueue};
