//! A TUN device as [`PacketIo`], on async-io.
//!
//! [`TunBuilder`] makes a device by name, or attaches to a persistent one. `Tun::from_fd` adopts
//! a descriptor that somebody else has opened: a VPN service on Android, a packet tunnel on iOS,
//! a privileged parent process.
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
//! # Offload
//!
//! On Linux a device is opened with virtio-net headers (`IFF_VNET_HDR`), unless
//! `TunBuilder::offload` says otherwise: the kernel hands in TCP segments and rows of UDP datagrams
//! of up to 64 KiB before they are cut, without checksums that nobody needs, and takes the same.
//! Each packet says by its [`Meta`](brooklet_io::Meta) what it is. One system call carries what
//! was some 45 packets of an MTU of 1500 bytes.
//!
//! Whoever reads packets from a [`Tun`] by other means than a stack of brooklet offers 65,575 bytes
//! for each, or opens it without offload: then none is longer than the MTU.
//!
//! # What passes and what ends
//!
//! The driver of a stack ends when its device fails, so only a device that is gone fails:
//!
//! - A read while the interface is down waits. Where the system answers with an error instead
//!   (`EIO`, `ENETDOWN`), the device is asked again every 100 ms.
//! - A packet that the system does not take (`EIO` while the interface is down, `ENOBUFS`,
//!   `EINVAL`) is dropped, as a wire would lose it, and counted: [`Tun::dropped`]. So is one that
//!   comes with a virtio-net header that makes no sense.
//! - A device that is gone, such as an interface that was deleted, is
//!   [`UnexpectedEof`](std::io::ErrorKind::UnexpectedEof), on reads and on writes.
//!
//! # Platforms
//!
//! | system | `TunBuilder` | `Tun::from_fd` |
//! |---|---|---|
//! | Linux | `/dev/net/tun`, with `CAP_NET_ADMIN` | a TUN with `IFF_NO_PI`; with `IFF_VNET_HDR`: `Framing::VirtioNet` |
//! | Android | | `VpnService.Builder.establish()`, detached |
//! | macOS | a `utunN`, as root | a utun socket, with `Framing::FamilyHeader` |
//! | iOS, tvOS | | the packet tunnel's utun socket, with `Framing::FamilyHeader` |
//! | FreeBSD, OpenBSD, NetBSD | a `tunN`, as root | as the descriptor was configured |
//! | Windows | Wintun (`wintun.dll` beside the program), as administrator | |
//!
//! Only Linux is tested. For the others this crate is compiled, and does what tun-rs and the systems
//! document.
//!
//! # tun-rs, and a hazard of its features
//!
//! `TunBuilder` is built on the crate tun-rs. On Linux that only opens the device, and the
//! descriptor is taken from it; adopted descriptors do not pass through it at all. Elsewhere its
//! feature `async_io` carries the packets, and Cargo unites the features of a crate over the whole
//! program: when any other dependency turns on the feature `async` or `async_tokio` of tun-rs, its
//! `AsyncDevice` becomes the one for tokio, and a device opened here no longer works outside a
//! tokio runtime. There, open TUN devices through this crate only, and look at
//! `cargo tree -e features -i tun-rs` where a device panics about a missing reactor.
//!
//! This crate has no feature of its own.

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
