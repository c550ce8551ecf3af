//! smoltcp's device over any source and sink of IP packets.
//!
//! [`PacketDevice`] implements smoltcp's [`Device`](smoltcp::phy::Device) for a
//! [`PacketIo`](brooklet_io::PacketIo), such as the TUN device of brooklet-tun, and waits for
//! packets and for smoltcp's timers under any executor. With the crate an
//! [`Interface`](smoltcp::iface::Interface) of smoltcp runs on a TUN device with any of smoltcp's
//! sockets.
//!
//! The crate enables none of smoltcp's sockets that a program would use, and none of smoltcp's
//! size features (`iface-max-addr-count-8` and the like): choose them in the dependencies of the
//! program.
//!
//! This is the only crate of brooklet that shows smoltcp's types.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod device;

pub use device::{PacketDevice, RxToken, TxToken};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
