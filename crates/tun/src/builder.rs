use crate::tun::Tun;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

#[cfg(target_os = "linux")]
mod link;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod other;

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(not(target_os = "linux"))]
use other as system;

/// Makes a TUN device, or attaches to a persistent one of the same name.
///
/// What a persistent device already has (its MTU, an address, being up) is not set again, so that
/// its owner can attach without privileges: `ip tuntap add tun0 mode tun user alice`, once, as
/// root.
///
/// ```no_run
/// # fn main() -> std::io::Result<()> {
/// let tun = brooklet_tun::TunBuilder::new("tun0")
///     .mtu(1500)
///     .ipv4([10, 77, 0, 1].into(), 24)
///     .ipv6("fd77::1".parse().unwrap(), 64)
///     .open()?;
/// assert_eq!(tun.mtu(), Some(1500));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is opened before `open` or `open_queues`"]
pub struct TunBuilder {
    name: String,
    mtu: Option<u16>,
    ipv4: Option<(Ipv4Addr, u8)>,
    ipv6: Option<(Ipv6Addr, u8)>,
    offload: bool,
    queues: usize,
}

impl TunBuilder {
    /// Starts with the name of the interface: at most 15 bytes on Linux, `utun` and a number on
    /// macOS, `tun` and a number on the BSDs.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            mtu: None,
            ipv4: None,
            ipv6: None,
            offload: true,
            queues: 1,
        }
    }

    /// Sets the largest packet in bytes. By default the interface keeps what it has: 1500 when it
    /// is made, on Linux.
    pub fn mtu(mut self, mtu: u16) -> Self {
        self.mtu = Some(mtu);
        self
    }

    /// Gives the interface, that is the host's side, an IPv4 address and the network around it.
    pub fn ipv4(mut self, address: Ipv4Addr, prefix: u8) -> Self {
        self.ipv4 = Some((address, prefix));
        self
    }

    /// Gives the interface, that is the host's side, an IPv6 address and the network around it.
    pub fn ipv6(mut self, address: Ipv6Addr, prefix: u8) -> Self {
        self.ipv6 = Some((address, prefix));
        self
    }

    /// Whether the kernel may hand in packets of up to 64 KiB that stand for several, and packets
    /// without a checksum, and does the same work for those that are sent to it. On by default: it
    /// makes several times the throughput, and one packet at a time is for those who look at each.
    ///
    /// This is `IFF_VNET_HDR` of Linux; elsewhere there is none. What the kernel does not have is
    /// done without, which is said once through the crate log; [`Tun::offload`] tells what there
    /// is. UDP takes Linux 6.2.
    ///
    /// ```no_run
    /// # fn main() -> std::io::Result<()> {
    /// let tun = brooklet_tun::TunBuilder::new("tun0").offload(false).open()?;
    /// assert!(!tun.offload().tso4);
    /// # Ok(())
    /// # }
    /// ```
    pub fn offload(mut self, offload: bool) -> Self {
        self.offload = offload;
        self
    }

    /// Sets how many queues [`open_queues`](Self::open_queues) opens, 1 to 256; 1 by default.
    pub fn queues(mut self, queues: usize) -> Self {
        self.queues = queues;
        self
    }

    /// Opens the device, in the network namespace of the calling thread, and brings it up.
    ///
    /// Of a persistent device with several queues one is opened.
    ///
    /// # Errors
    ///
    /// The text is one line that says what to do, for a missing `/dev/net/tun`, for missing
    /// permission, for a name that is too long, in use or that of another kind of interface; the
    /// [`kind`](io::Error::kind) is that of the system's error.
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) after [`queues`](Self::queues) with more than
    /// one.
    pub fn open(self) -> io::Result<Tun> {
        if self.queues == 1
            && let Some(tun) = system::open(&self)?.pop()
        {
            return Ok(tun);
        }
        Err(self.unfit("`open` opens one queue: use `open_queues`"))
    }

    /// Opens as many queues of the device as [`queues`](Self::queues) says, in the network
    /// namespace of the calling thread, and brings it up. Each is a [`Tun`] of its own, for a
    /// thread of its own.
    ///
    /// The kernel gives each flow's packets to one queue: that which sent the last packet of this
    /// flow, or another while there was none (`IFF_MULTI_QUEUE` of Linux; elsewhere there is one
    /// queue). Whatever is opened of a device at the same time, in other processes as well, must
    /// be opened with the same [`offload`](Self::offload).
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
        match self.queues {
            0 => Err(self.unfit("0 queues: ask for one or more")),
            _ => system::open(&self),
        }
    }

    fn unfit(&self, why: &str) -> io::Error {
        let text = format!("cannot open TUN `{}`: {why}", self.name);
        io::Error::new(io::ErrorKind::InvalidInput, text)
    }
}
