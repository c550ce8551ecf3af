//! Adopting a descriptor, and giving it away.

use super::Tun;
use crate::file::FileIo;
use crate::framing::Framing;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

impl Tun {
    /// Adopts an open descriptor that carries one plain IP packet per read and write.
    ///
    /// The descriptor is made non-blocking, for all copies of it. On Linux a TUN must have been
    /// configured with `IFF_NO_PI` and without `IFF_VNET_HDR`, which cannot be checked here;
    /// [`from_fd_with`](Self::from_fd_with) adopts one with `IFF_VNET_HDR`.
    ///
    /// An adopted descriptor has no MTU until [`with_mtu`](Self::with_mtu) sets it. The crate's
    /// documentation has examples for [Android and iOS](crate#android-and-ios).
    ///
    /// A socket serves as well, as one end of a socket pair with another program: a datagram or a
    /// `SOCK_SEQPACKET` socket, which keep the bounds of packets. An empty datagram is dropped and
    /// counted. The crate's documentation says [how the end shows](crate#faults).
    ///
    /// ```
    /// use brooklet_tun::Tun;
    /// use std::os::unix::net::UnixDatagram;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (ours, _theirs) = UnixDatagram::pair()?;
    /// let tun = Tun::from_fd(ours.into())?;
    /// assert_eq!(tun.name(), None);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a file on a disk, and the errors of the system.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        Self::from_fd_with(fd, Framing::Plain)
    }

    /// Adopts an open descriptor whose packets come in the given [`Framing`].
    ///
    /// ```no_run
    /// use brooklet_tun::{Framing, Tun};
    ///
    /// # fn example(utun: std::os::fd::OwnedFd) -> std::io::Result<()> {
    /// // On iOS and macOS:
    /// let tun = Tun::from_fd_with(utun, Framing::FamilyHeader)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// ```
    /// use brooklet_io::Offload;
    /// use brooklet_tun::{Framing, Tun};
    /// # use std::os::unix::net::UnixDatagram;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let (ours, _theirs) = UnixDatagram::pair()?;
    /// # let descriptor = ours.into();
    /// // On Linux, where the program that opened the device has set `IFF_VNET_HDR`:
    /// let offload = Offload::new().checksum(true).tso4(true).tso6(true);
    /// let tun = Tun::from_fd_with(descriptor, Framing::VirtioNet { header_len: 10, offload })?;
    /// assert_eq!(tun.offload(), offload);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`from_fd`](Self::from_fd); [`InvalidInput`](io::ErrorKind::InvalidInput) for a
    /// virtio-net header of an impossible length.
    pub fn from_fd_with(fd: OwnedFd, framing: Framing) -> io::Result<Self> {
        Ok(Self::new(FileIo::new(fd, framing)?, None, None))
    }

    /// Returns the header in front of each packet on the [descriptor](Self::as_fd).
    ///
    /// ```
    /// use brooklet_tun::{Framing, Tun};
    /// use std::os::unix::net::UnixDatagram;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (ours, _theirs) = UnixDatagram::pair()?;
    /// assert_eq!(Tun::from_fd(ours.into())?.framing(), Framing::Plain);
    /// # Ok(())
    /// # }
    /// ```
    pub fn framing(&self) -> Framing {
        self.io.framing()
    }

    /// Gives the descriptor away and takes it out of the reactor. The interface stays as long as
    /// the descriptor is open.
    ///
    /// The descriptor stays non-blocking, and its packets keep the [`framing`](Self::framing): ask
    /// for that first.
    ///
    /// ```
    /// use brooklet_tun::Tun;
    /// use std::os::unix::net::UnixDatagram;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (ours, theirs) = UnixDatagram::pair()?;
    /// let tun = Tun::from_fd(ours.into())?;
    /// let ours = UnixDatagram::from(tun.into_fd()?);
    /// ours.send(&[0x45; 20])?;
    /// assert_eq!(theirs.recv(&mut [0; 100])?, 20);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Unsupported`](io::ErrorKind::Unsupported) on macOS and the BSDs for a device that
    /// [`TunBuilder`](crate::TunBuilder) has opened; the device is then closed. Otherwise if the
    /// reactor cannot remove the descriptor.
    pub fn into_fd(self) -> io::Result<OwnedFd> {
        self.io.into_fd()
    }
}

/// Borrows the descriptor, for an `ioctl` or `poll` of one's own. Its packets come in the
/// [`framing`](Tun::framing) of the device, and it is non-blocking.
///
/// ```
/// use brooklet_tun::Tun;
/// use std::os::fd::AsFd;
/// use std::os::unix::net::UnixDatagram;
///
/// # fn main() -> std::io::Result<()> {
/// let (ours, _theirs) = UnixDatagram::pair()?;
/// let tun = Tun::from_fd(ours.into())?;
/// let copy = tun.as_fd().try_clone_to_owned()?;
/// # drop(copy);
/// # Ok(())
/// # }
/// ```
impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

impl AsRawFd for Tun {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
