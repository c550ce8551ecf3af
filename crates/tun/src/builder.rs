use crate::tun::Tun;
use settings::{Prefix, Settings};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod other;
mod settings;

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(not(target_os = "linux"))]
use other as system;

/// Makes a TUN or TAP device, or attaches to a persistent one of the same name.
///
/// The builder does not set again what a persistent device already has: its MTU, an address, a
/// route, being up. Its owner can therefore attach without privileges to a device that was set up
/// once by root.
///
/// A system that lacks a setting refuses to open with
/// [`Unsupported`](io::ErrorKind::Unsupported); the [table](crate#platforms) in the crate's
/// documentation lists the settings of each system.
///
/// ```no_run
/// # fn main() -> std::io::Result<()> {
/// let tun = brooklet_tun::TunBuilder::new("tun0")
///     .mtu(1500)
///     .ipv4([10, 77, 0, 1].into(), 24)
///     .ipv6("fd77::1".parse().unwrap(), 64)
///     .route([192, 168, 77, 0], 24)
///     .open()?;
/// assert_eq!(tun.mtu(), Some(1500));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is opened before `open` or `open_queues`"]
pub struct TunBuilder {
    settings: Settings,
}

impl TunBuilder {
    /// Starts with the name of the interface: at most 15 bytes on Linux, `utun` and a number on
    /// macOS, `tun` and a number on the BSDs.
    ///
    /// ```
    /// use brooklet_tun::TunBuilder;
    ///
    /// let error = TunBuilder::new("a-name-of-20-bytes..").open().unwrap_err();
    /// # #[cfg(target_os = "linux")]
    /// assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    /// ```
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            settings: Settings::new(name.into()),
        }
    }

    /// Sets the MTU in bytes. By default the interface keeps the one it has: 1500 on Linux, when
    /// it is made.
    ///
    /// ```no_run
    /// # fn main() -> std::io::Result<()> {
    /// let tun = brooklet_tun::TunBuilder::new("tun0").mtu(1400).open()?;
    /// assert_eq!(tun.mtu(), Some(1400));
    /// # Ok(())
    /// # }
    /// ```
    pub fn mtu(mut self, mtu: u16) -> Self {
        self.settings.mtu = Some(mtu);
        self
    }

    /// Adds an IPv4 address to the interface, that is to the host's side, and the network of
    /// `prefix` bits around the address, 0 to 32. Each call adds one.
    ///
    /// ```no_run
    /// # fn main() -> std::io::Result<()> {
    /// let tun = brooklet_tun::TunBuilder::new("tun0")
    ///     .ipv4([10, 77, 0, 1].into(), 24)
    ///     .ipv4([10, 78, 0, 1].into(), 24)
    ///     .open()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn ipv4(mut self, address: Ipv4Addr, prefix: u8) -> Self {
        self.settings.addresses.push(Prefix {
            address: address.into(),
            len: prefix,
        });
        self
    }

    /// Adds an IPv6 address to the interface, that is to the host's side, and the network of
    /// `prefix` bits around the address, 0 to 128. Each call adds one.
    ///
    /// ```no_run
    /// # fn main() -> std::io::Result<()> {
    /// let tun = brooklet_tun::TunBuilder::new("tun0")
    ///     .ipv6("fd77::1".parse().unwrap(), 64)
    ///     .ipv6("fd78::1".parse().unwrap(), 64)
    ///     .open()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn ipv6(mut self, address: Ipv6Addr, prefix: u8) -> Self {
        self.settings.addresses.push(Prefix {
            address: address.into(),
            len: prefix,
        });
        self
    }

    /// Adds a route: the host sends packets for this network to the interface. Each call adds one.
    /// `prefix` is the length of the network's prefix in bits, 0 to 32 or 128; `0.0.0.0/0` and
    /// `::/0` are the default routes.
    ///
    /// The networks of the interface's own addresses need no route. Linux only, in the main
    /// routing table. The route goes with the interface.
    ///
    /// ```no_run
    /// # fn main() -> std::io::Result<()> {
    /// use std::net::Ipv6Addr;
    ///
    /// let tun = brooklet_tun::TunBuilder::new("tun0")
    ///     .ipv4([10, 77, 0, 1].into(), 24)
    ///     .route([198, 51, 100, 0], 24)
    ///     .route(Ipv6Addr::UNSPECIFIED, 0)
    ///     .open()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn route(mut self, network: impl Into<IpAddr>, prefix: u8) -> Self {
        self.settings.routes.push(Prefix {
            address: network.into(),
            len: prefix,
        });
        self
    }

    /// Sets how many packets the kernel queues for a program that is slow to read, `txqueuelen`:
    /// 1 to 524,288. The kernel drops the packets for which there is no room. By default the
    /// interface keeps the length it has, 500 when it is made.
    ///
    /// Linux only.
    ///
    /// ```no_run
    /// # fn main() -> std::io::Result<()> {
    /// let tun = brooklet_tun::TunBuilder::new("tun0").tx_queue_len(1000).open()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn tx_queue_len(mut self, packets: u32) -> Self {
        self.settings.tx_queue_len = Some(packets);
        self
    }

    /// Keeps the interface when its last descriptor is closed, for the next program that attaches
    /// to it; `ip link delete` deletes it. Off by default, which leaves a persistent device as it
    /// is.
    ///
    /// Linux only.
    ///
    /// ```no_run
    /// # fn main() -> std::io::Result<()> {
    /// drop(brooklet_tun::TunBuilder::new("tun0").persist(true).open()?);
    /// let again = brooklet_tun::TunBuilder::new("tun0").open()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn persist(mut self, persist: bool) -> Self {
        self.settings.persist = persist;
        self
    }

    /// Sets the user who may attach to the device without `CAP_NET_ADMIN`, by the user's id.
    /// Together with [`persist`](Self::persist), a program of that user opens the device later.
    /// By default the owner stays as it is: anybody who may open `/dev/net/tun`, when the device
    /// is made.
    ///
    /// Linux only.
    ///
    /// ```no_run
    /// # fn main() -> std::io::Result<()> {
    /// // As root, once; then user 1000 opens `tun0` by its name.
    /// brooklet_tun::TunBuilder::new("tun0")
    ///     .ipv4([10, 77, 0, 1].into(), 24)
    ///     .owner(1000)
    ///     .persist(true)
    ///     .open()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn owner(mut self, uid: u32) -> Self {
        self.settings.owner = Some(uid);
        self
    }

    /// Sets the group whose members may attach to the device without `CAP_NET_ADMIN`, by the
    /// group's id. A user needs to be the [`owner`](Self::owner) as well, where both are set.
    ///
    /// Linux only.
    ///
    /// ```no_run
    /// # fn main() -> std::io::Result<()> {
    /// brooklet_tun::TunBuilder::new("tun0").group(100).persist(true).open()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn group(mut self, gid: u32) -> Self {
        self.settings.group = Some(gid);
        self
    }

    /// Opens the device in another network namespace: a name, as `ip netns add` gives, or the path
    /// of a file such as `/proc/PID/ns/net`. A name is a file of `/var/run/netns`.
    ///
    /// The interface, its addresses and its routes are in that namespace; a short-lived thread
    /// enters it, and the other threads of the program stay where they are. The program then reads
    /// and writes packets from any namespace.
    ///
    /// Linux only. Entering takes `CAP_SYS_ADMIN`.
    ///
    /// ```no_run
    /// # fn main() -> std::io::Result<()> {
    /// let tun = brooklet_tun::TunBuilder::new("tun0").netns("blue").open()?;
    /// let tun = brooklet_tun::TunBuilder::new("tun0").netns("/proc/4711/ns/net").open()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn netns(mut self, namespace: impl Into<PathBuf>) -> Self {
        self.settings.netns = Some(namespace.into());
        self
    }

    /// Sets whether the kernel delivers super-packets of up to 64 KiB, and packets without a
    /// checksum, and does the same work for packets that are sent to it. On by default, for
    /// several times the throughput; turn it off for programs that look at single packets.
    ///
    /// This is `IFF_VNET_HDR` of Linux; other systems have none. The device is opened without
    /// offloads that the kernel lacks, and the crate log says so once; [`Tun::offload`] returns
    /// those there are. UDP takes Linux 6.2.
    ///
    /// ```no_run
    /// # fn main() -> std::io::Result<()> {
    /// let tun = brooklet_tun::TunBuilder::new("tun0").offload(false).open()?;
    /// assert!(!tun.offload().tso4);
    /// # Ok(())
    /// # }
    /// ```
    pub fn offload(mut self, offload: bool) -> Self {
        self.settings.offload = offload;
        self
    }

    /// Opens a TAP device instead of a TUN: each packet is an Ethernet frame, without the frame
    /// check sequence. Off by default. The adapter of the crate brooklet-ethernet makes IP packets
    /// of the frames.
    ///
    /// [`mtu`](Self::mtu) sets the MTU of the interface, the length of the longest IP packet;
    /// [`Tun::mtu`] then returns the length of the longest frame, 14 bytes more. With
    /// [`offload`](Self::offload), a frame may carry a super-packet, whose
    /// [`Meta`](brooklet_io::Meta) is that of the IP packet behind the header.
    ///
    /// Linux only.
    ///
    /// ```no_run
    /// # fn main() -> std::io::Result<()> {
    /// let tap = brooklet_tun::TunBuilder::new("tap0").tap(true).mtu(1500).open()?;
    /// assert_eq!(tap.mtu(), Some(1514));
    /// # Ok(())
    /// # }
    /// ```
    pub fn tap(mut self, tap: bool) -> Self {
        self.settings.tap = tap;
        self
    }

    /// Opens the device without `IFF_NO_PI`: the kernel puts four bytes in front of each packet,
    /// [`Framing::PacketInfo`](crate::Framing::PacketInfo). Off by default.
    ///
    /// [`Tun`] takes the header off and puts it on. The setting serves a program that gets the
    /// descriptor from this one and expects the header; and it makes Linux tell of packets that are
    /// longer than the buffer, which are then [counted](crate::DropCounter::truncated). Such a
    /// device has no [`offload`](Self::offload).
    ///
    /// Linux only.
    ///
    /// ```no_run
    /// # fn main() -> std::io::Result<()> {
    /// # #[cfg(target_os = "linux")] {
    /// use brooklet_tun::{Framing, TunBuilder};
    ///
    /// let tun = TunBuilder::new("tun0").packet_info(true).open()?;
    /// assert_eq!(tun.framing(), Framing::PacketInfo);
    /// # }
    /// # Ok(())
    /// # }
    /// ```
    pub fn packet_info(mut self, packet_info: bool) -> Self {
        self.settings.packet_info = packet_info;
        self
    }

    /// Sets how many queues [`open_queues`](Self::open_queues) opens, 1 to 256; 1 by default.
    ///
    /// ```no_run
    /// # fn main() -> std::io::Result<()> {
    /// let queues = brooklet_tun::TunBuilder::new("tun0").queues(2).open_queues()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn queues(mut self, queues: usize) -> Self {
        self.settings.queues = queues;
        self
    }

    /// Opens the device and brings the interface up, in the network namespace of the calling
    /// thread unless [`netns`](Self::netns) names another.
    ///
    /// Of a persistent device with several queues this opens one.
    ///
    /// ```no_run
    /// # fn main() -> std::io::Result<()> {
    /// let tun = brooklet_tun::TunBuilder::new("tun0").open()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The text is one line that says what to do: for a missing `/dev/net/tun`, for missing
    /// permission, for a name that is too long, in use or that of another kind of interface. The
    /// [`kind`](io::Error::kind) is that of the system's error.
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a setting that cannot be, such as a
    /// prefix of 33 bits for IPv4, and after [`queues`](Self::queues) with more than one.
    /// [`Unsupported`](io::ErrorKind::Unsupported) for a setting that the system lacks. An
    /// interface that was made by a call that fails is deleted again.
    pub fn open(self) -> io::Result<Tun> {
        self.settings.check()?;
        if self.settings.queues == 1
            && let Some(tun) = system::open(&self.settings)?.pop()
        {
            return Ok(tun);
        }
        let why = "`open` opens one queue: use `open_queues`";
        Err(self.settings.unfit(why))
    }

    /// Opens as many queues of the device as [`queues`](Self::queues) says, and otherwise does as
    /// [`open`](Self::open). Each queue is a [`Tun`] of its own, for a thread of its own.
    ///
    /// The kernel gives the packets of a flow to the queue that sent the last packet of the flow,
    /// or to any queue while there was none (`IFF_MULTI_QUEUE` of Linux; other systems have one
    /// queue). All queues of a device that are open at the same time, in other processes as well,
    /// have the same [`offload`](Self::offload).
    ///
    /// ```no_run
    /// # fn main() -> std::io::Result<()> {
    /// let queues = brooklet_tun::TunBuilder::new("tun0").queues(4).open_queues()?;
    /// assert_eq!(queues.len(), 4);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`open`](Self::open), and where a persistent device was made for one queue or has
    /// no more of them.
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for no queue at all, and
    /// [`Unsupported`](io::ErrorKind::Unsupported) for more than one on systems other than Linux.
    pub fn open_queues(self) -> io::Result<Vec<Tun>> {
        self.settings.check()?;
        system::open(&self.settings)
    }
}
