//! IP packets from Ethernet frames.
//!
//! A stack of brooklet moves IP packets. [`Ethernet`] is an adapter that makes a source and sink of
//! IP packets of one that carries Ethernet frames: a TAP device, the network of a virtual machine
//! (`qemu -netdev dgram`), a packet socket. Both sides are a [`PacketIo`](brooklet_io::PacketIo).
//!
//! ```
//! use brooklet_ethernet::{Config, Ethernet};
//! use brooklet_io::{Clock, PacketIo};
//! use std::time::Instant;
//!
//! /// The router of a virtual machine: every address that the machine asks for is here.
//! fn router(frames: impl PacketIo) -> impl PacketIo {
//!     let config = Config::new([2, 0, 0, 0, 0, 1].into())
//!         .address([10, 0, 2, 2], 24)
//!         .proxy(true);
//!     Ethernet::new(frames, config, Clock::new(Instant::now), async_io::Timer::after)
//! }
//! ```
//!
//! An adapter has a table of neighbors of its own, and an answer may arrive at any queue of a device:
//! use one queue of a TAP.
//!
//! The crate has no executor and reads no clock: [`Ethernet::new`] takes both as arguments.
//!
//! # What the adapter does
//!
//! - The adapter answers ARP requests (RFC 826) and neighbor solicitations (RFC 4861) for its
//!   [addresses](Config::address) and, as a [proxy](Config::proxy), for all addresses but those of
//!   its neighbors. It announces its addresses at its start, and repeats that, at most every 10 s,
//!   when another host claims one of them (RFC 5227, 2.4).
//! - Every destination is a neighbor on the link. The adapter asks for the MAC address of an
//!   unknown one, three times with one second between, and keeps up to 16 packets for it
//!   meanwhile. Multicast and broadcast packets go to their group address (RFC 1112, 6.4;
//!   RFC 2464, 7). The adapter forwards no packet from one neighbor to another.
//! - It learns MAC addresses from messages and, unless [`Config::learn`] is off, from the packets
//!   that it receives.
//! - As an IPv6 router it may [advertise](Config::advertise) a prefix, so that hosts configure
//!   themselves.
//! - It drops, and [counts](DropCounter) by [`DropReason`], every frame and packet that it cannot
//!   use: runts, giants, frames for other MAC addresses, frames of VLANs. A tag of VLAN 0 (a
//!   priority) is passed over.
//!
//! # Trust
//!
//! ARP and neighbor discovery prove nothing: any host of a link can claim the addresses of
//! another. The adapter takes a change of a known neighbor's MAC address from an ARP message of
//! any kind, as RFC 826 says, and from a neighbor advertisement that overrides (RFC 4861, 7.2.5),
//! but at most one change a second. It adds a neighbor only for a message that it answers, and
//! for the source of a packet; a packet changes nothing that is known. Messages that claim an
//! address of the adapter are dropped. Where hosts do not trust each other, give each a link of
//! its own.
//!
//! # Bounds
//!
//! | what | bound | when full |
//! |---|---|---|
//! | neighbors | 1,024 ([`Config::neighbors`]) | the least recently used is forgotten |
//! | packets for one unresolved neighbor | 16 ([`Config::neighbor_queue`]) | the oldest is dropped, counted |
//! | packets for all unresolved neighbors | 256 | as above; a first packet is dropped itself |
//! | messages of ARP and neighbor discovery to send | 64 | the newest is dropped, counted |
#![cfg_attr(docsrs, feature(doc_cfg))]

mod arp;
mod config;
mod drops;
mod ethernet;
mod frame;
mod link;
mod mac;
mod ndisc;
mod neighbors;

pub use config::Config;
pub use drops::{DropCounter, DropReason};
pub use ethernet::Ethernet;
pub use mac::{MacAddr, ParseMacAddrError};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
