//! IP packets between a device and a stack: the packet I/O trait, packet buffers and the
//! outbound queue.
//!
//! - [`PacketIo`] is the trait of a source and sink of IP packets: a TUN device, a tunnel, a pair
//!   of channels in a test.
//! - [`PacketBuf`] holds one packet in a reusable buffer, with its [`Meta`]: the state of its
//!   checksum, and the size of the segments that a super-packet is made of. [`Offload`] lists the
//!   work that a device does in place of the stack.
//! - [`DeviceFault`] tells the errors of a device apart: those that pass, and those that end a driver.
//! - [`TxQueue`] holds outbound packets until the device takes them. The queue is bounded; a
//!   sender that finds the queue full registers itself and is called once there is room.
//! - [`Clock`] is the source of the time for everything that reads none itself.
//! - [`TokenBucket`] limits a rate: of ICMP errors, of RSTs.
//! - [`BufferPool`] keeps the buffers of packets for the next packets.
//!
//! The crate depends on the standard library only, unless the feature `serde` is enabled, which
//! implements `Serialize` and `Deserialize` for plain data.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod buf;
mod buffer_pool;
mod clock;
mod closed;
mod device_fault;
mod io;
mod offload;
mod queue;
mod token_bucket;

pub use buf::PacketBuf;
pub use buffer_pool::BufferPool;
pub use clock::Clock;
pub use closed::StackClosed;
pub use device_fault::DeviceFault;
pub use io::PacketIo;
pub use offload::{Checksum, Meta, Offload};
pub use queue::{QueueFull, TxQueue};
pub use token_bucket::TokenBucket;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
