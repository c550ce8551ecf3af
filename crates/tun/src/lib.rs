//! A TUN device as [`PacketIo`], on every executor.
//!
//! [`TunBuilder`] makes a device by name, or attaches to a persistent one. `Tun::from_fd` adopts
//! a descriptor that another program or service has opened: a VPN service on Android, a packet
//! tunnel on iOS, a privileged parent process.
//!
//! ```no_run
//! use brooklet_tun::TunBuilder;
//!
//! # fn main() -> std::io::Result<()> {
//! let tun = TunBuilder::new("tun0")
//!     .mtu(1500)
//!     .ipv4([10, 77, 0, 1].into(), 24)
//!     .open()?;
//! println!("{} carries packets of {} bytes", tun.name().unwrap_or("?"), tun.mtu().unwrap_or(0));
//! # Ok(())
//! # }
//! ```
//!
//! A [`Tun`] serves the driver of a stack, which owns it, and programs of several tasks, which
//! share it by reference: [`Tun::recv`] and [`Tun::send`].
//!
//! A device waits by async-io, except inside `brooklet_reactor::block_on` on Linux: there it belongs
//! to the reactor of the thread, which takes fewer system calls for each packet.
//!
//! # Offload
//!
//! On Linux the builder opens a device with virtio-net headers (`IFF_VNET_HDR`), unless
//! `TunBuilder::offload` turns them off. The kernel then delivers TCP segments and batches of UDP
//! datagrams as super-packets of up to 64 KiB, without the checksums that it has not computed yet,
//! and takes the same from the program. The [`Meta`](brooklet_io::Meta) of a packet describes it.
//! One system call carries the bytes of some 45 packets of 1500 bytes.
//!
//! A program that reads packets from a [`Tun`] without a stack of brooklet gives each packet room
//! for 65,575 bytes, or opens the device without offload: then no packet is longer than the MTU.
//!
//! # Faults
//!
//! A [`Tun`] deals with the errors that pass by itself, and fails only when the device is gone, which
//! ends the driver of a stack:
//!
//! - A read waits while the interface is down. Where the system returns an error instead (`EIO`,
//!   `ENETDOWN`), the device is read again every 100 ms.
//! - A packet that the system does not take (`EIO` while the interface is down, `ENOBUFS`,
//!   `EINVAL`) is dropped and counted by [`Tun::dropped`]. So is a received packet that is empty,
//!   or that comes with a header that makes no sense. A packet of which the system takes or
//!   delivers only a part is counted too: nothing is truncated silently.
//! - A device that is gone is [`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof), on reads and
//!   on writes.
//!
//! The end of a device shows in these ways:
//!
//! | descriptor | the end |
//! |---|---|
//! | a TUN | the interface was deleted |
//! | a character device, a pipe, a stream | a read of 0 bytes |
//! | a Unix `SOCK_SEQPACKET` socket, on Linux and Android | the peer has closed or shut down its end, and its last packet was read |
//! | a Unix datagram socket | the peer has closed its end: on Linux and Android the next write finds out, and ends the reads that wait; on macOS and the BSDs the next read does as well |
//! | a UDP socket | none; an ICMP error passes |
//!
//! On Linux, a program that only reads learns nothing of a datagram peer that is gone: give it a
//! `SOCK_SEQPACKET` pair.
//!
//! # Android and iOS
//!
//! On these systems the VPN service opens the device, and [`Tun`] adopts its descriptor. On Android:
//!
//! ```no_run
//! # #[cfg(unix)]
//! # fn example(fd: std::os::fd::RawFd) -> std::io::Result<()> {
//! use brooklet_tun::Tun;
//! use std::os::fd::{FromRawFd, OwnedFd};
//!
//! // SAFETY: `ParcelFileDescriptor.detachFd()` has given the descriptor to this program.
//! let fd = unsafe { OwnedFd::from_raw_fd(fd) };
//! let tun = Tun::from_fd(fd)?.with_mtu(1400); // as in `VpnService.Builder.setMtu(1400)`
//! # drop(tun);
//! # Ok(())
//! # }
//! ```
//!
//! An adopted descriptor has no MTU otherwise, and the stack would use 1,500. Packets of the
//! program's own sockets would also enter the VPN: call `VpnService.protect` for each socket before
//! it connects.
//!
//! On iOS, `NEPacketTunnelFlow` has no public descriptor. Programs search the utun socket among the
//! descriptors of the process. The system owns that descriptor, so adopt a copy:
//!
//! ```no_run
//! # #[cfg(unix)]
//! # fn example(fd: std::os::fd::RawFd) -> std::io::Result<()> {
//! use brooklet_tun::{Framing, Tun};
//! use std::os::fd::BorrowedFd;
//!
//! // SAFETY: the system keeps the descriptor open while the tunnel runs.
//! let fd = unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned()?;
//! // As in `NEPacketTunnelNetworkSettings.mtu`.
//! let tun = Tun::from_fd_with(fd, Framing::FamilyHeader)?.with_mtu(1400);
//! # drop(tun);
//! # Ok(())
//! # }
//! ```
//!
//! # Platforms
//!
//! | system | `TunBuilder` | `Tun::from_fd` |
//! |---|---|---|
//! | Linux | `/dev/net/tun`, with `CAP_NET_ADMIN` | a TUN with `IFF_NO_PI`; with `IFF_VNET_HDR`: `Framing::VirtioNet`; without `IFF_NO_PI`: `Framing::PacketInfo` |
//! | Android | | `VpnService.Builder.establish()`, detached |
//! | macOS | a `utunN`, as root | a utun socket, with `Framing::FamilyHeader` |
//! | iOS, tvOS | | the packet tunnel's utun socket, with `Framing::FamilyHeader` |
//! | FreeBSD, OpenBSD, NetBSD | a `tunN`, as root | as the descriptor was configured |
//! | Windows | Wintun (`wintun.dll` beside the program), as administrator | |
//!
//! A setting that a system lacks makes `open` fail with
//! [`Unsupported`](std::io::ErrorKind::Unsupported); `offload` alone is a wish, and has no effect
//! elsewhere:
//!
//! | setting | Linux | macOS, BSDs | Windows |
//! |---|---|---|---|
//! | `mtu`, `ipv6` | yes | yes | yes |
//! | `ipv4` | any number | any number | one |
//! | `offload` | yes | none | none |
//! | `queues` | 1 to 256 | 1 | 1 |
//! | `route`, `tx_queue_len`, `owner`, `group`, `persist`, `netns`, `tap`, `packet_info` | yes | no | no |
//!
//! The calls of an open device:
//!
//! | call | Linux | Android, iOS, tvOS | macOS, BSDs | Windows |
//! |---|---|---|---|---|
//! | `recv`, `send`, `name`, `mtu`, `dropped` | yes | yes | yes | yes |
//! | `as_fd`, `as_raw_fd`, `framing` | yes | yes | yes | none |
//! | `into_fd` | yes | yes | of an adopted descriptor | none |
//!
//! Only Linux is tested. For the others this crate is compiled, and does what tun-rs and the systems
//! document.
//!
//! # tun-rs, and a hazard of its features
//!
//! `TunBuilder` is built on the crate tun-rs. On Linux tun-rs only opens the device, and this crate
//! takes the descriptor; adopted descriptors do not pass through tun-rs at all. On other systems
//! the feature `async_io` of tun-rs carries the packets, and Cargo unites the features of a crate
//! over the whole program: when any other dependency turns on the feature `async` or `async_tokio`
//! of tun-rs, its `AsyncDevice` becomes the one for tokio, and a device opened here no longer works
//! outside a tokio runtime. There, open TUN devices through this crate only, and look at
//! `cargo tree -e features -i tun-rs` where a device panics about a missing reactor.
//!
//! This crate has no feature of its own.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(
    windows,
    target_os = "linux",
    target_os = "macos",
    target_os = "freebsd",
    target_os = "openbsd",
    target_os = "netbsd"
))]
mod builder;
#[cfg(any(
    windows,
    target_os = "macos",
    target_os = "freebsd",
    target_os = "openbsd",
    target_os = "netbsd"
))]
mod device;
mod drops;
#[cfg(any(
    target_os = "macos",
    target_os = "freebsd",
    target_os = "openbsd",
    target_os = "netbsd"
))]
mod either;
mod fault;
#[cfg(unix)]
mod file;
#[cfg(unix)]
mod framing;
mod raw;
#[cfg(unix)]
mod socket;
mod tun;
#[cfg(unix)]
mod vnet;

#[cfg(any(
    windows,
    target_os = "linux",
    target_os = "macos",
    target_os = "freebsd",
    target_os = "openbsd",
    target_os = "netbsd"
))]
pub use builder::TunBuilder;
pub use drops::DropCounter;
#[cfg(unix)]
pub use framing::Framing;
pub use tun::Tun;

#[doc(no_inline)]
pub use brooklet_io::PacketIo;

#[cfg(all(doctest, target_os = "linux"))]
#[doc = include_str!("../README.md")]
struct Readme;
