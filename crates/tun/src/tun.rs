use crate::fault::Fault;
#[cfg(unix)]
use crate::file::{FileIo, Framing};
use async_io::Timer;
use brooklet_io::{Offload, PacketBuf, PacketIo};
use std::fmt;
use std::future::Future;
use std::io;
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// How long to leave a device alone whose reads fail for now.
const PAUSE: Duration = Duration::from_millis(100);

/// A TUN device: one IP packet per call, in both directions, or one that stands for several where
/// it has [offload](Self::offload).
///
/// It closes when it is dropped; unless it is persistent, the interface goes with it.
///
/// It can be moved to another thread, and into another network namespace: name and MTU are those
/// it had when it was opened.
pub struct Tun {
    io: Box<dyn RawIo>,
    name: Option<String>,
    mtu: Option<u16>,
    dropped: Arc<AtomicU64>,
    pause: Option<Timer>,
}

/// What carries the packets; the two ways to get one have nothing else in common.
pub(crate) trait RawIo: Send + Sync {
    /// What it takes over from whoever sends.
    fn offload(&self) -> Offload {
        Offload::default()
    }
    /// Reads one packet with what is known of it; 0 bytes are the end. What is no packet is
    /// [`InvalidData`](io::ErrorKind::InvalidData).
    fn poll_recv(&self, cx: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<usize>>;
    /// Writes one packet.
    fn poll_send(&self, cx: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<usize>>;
}

impl Tun {
    /// Adopts an open descriptor that carries one plain IP packet per read and write.
    ///
    /// The descriptor is made non-blocking, which whoever holds a copy of it sees as well. On
    /// Linux it must have been configured with `IFF_NO_PI` and without `IFF_VNET_HDR`: that cannot
    /// be found out here, and [`from_fd_with`](Self::from_fd_with) adopts one that has it.
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
    /// If the descriptor cannot be waited for, as that of a file on a disk.
    #[cfg(unix)]
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
    /// // On Linux, where whoever opened the device has set `IFF_VNET_HDR`:
    /// let offload = Offload::new().checksum(true).tso4(true).tso6(true).uso(false);
    /// let tun = Tun::from_fd_with(descriptor, Framing::VirtioNet { header_len: 10, offload })?;
    /// assert_eq!(tun.offload(), offload);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`from_fd`](Self::from_fd); [`InvalidInput`](io::ErrorKind::InvalidInput) for a
    /// virtio-net header of a length that there is not.
    #[cfg(unix)]
    pub fn from_fd_with(fd: OwnedFd, framing: Framing) -> io::Result<Self> {
        Ok(Self::new(FileIo::new(fd, framing)?, None, None))
    }

    pub(crate) fn new(io: impl RawIo + 'static, name: Option<String>, mtu: Option<u16>) -> Self {
        Self {
            io: Box::new(io),
            name,
            mtu,
            dropped: Arc::default(),
            pause: None,
        }
    }

    /// The name of the interface; `None` for an adopted descriptor.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The MTU of the interface in bytes when it was opened; `None` for an adopted descriptor.
    ///
    /// The stack must be told the same one: a packet that is larger than its buffers is cut off.
    pub fn mtu(&self) -> Option<u16> {
        self.mtu
    }

    /// What the kernel does for the packets that are sent to it: checksums, and cutting those that
    /// stand for several. Nothing, where it has not been asked to or cannot.
    ///
    /// ```no_run
    /// # fn main() -> std::io::Result<()> {
    /// let tun = brooklet_tun::TunBuilder::new("tun0").open()?;
    /// println!("segmentation offload of TCP over IPv4: {}", tun.offload().tso4);
    /// # Ok(())
    /// # }
    /// ```
    pub fn offload(&self) -> Offload {
        self.io.offload()
    }

    /// Packets that the system did not take, and such that came with a virtio-net header that
    /// makes no sense: they were dropped for it.
    ///
    /// [`drop_counter`](Self::drop_counter) gives the number once the device belongs to a stack.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// A handle on the number of [`dropped`](Self::dropped) packets that outlives the device.
    ///
    /// ```no_run
    /// # fn main() -> std::io::Result<()> {
    /// let tun = brooklet_tun::TunBuilder::new("tun0").open()?;
    /// let drops = tun.drop_counter();
    /// // ... the stack takes `tun` ...
    /// println!("{} packets dropped", drops.get());
    /// # Ok(())
    /// # }
    /// ```
    pub fn drop_counter(&self) -> DropCounter {
        DropCounter(Arc::clone(&self.dropped))
    }

    /// Reads until `read` has a packet, waits, or says that there will be none any more.
    fn poll_recv_with(
        &mut self,
        cx: &mut Context<'_>,
        mut read: impl FnMut(&dyn RawIo, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        loop {
            if let Some(timer) = &mut self.pause {
                ready!(Pin::new(timer).poll(cx));
                self.pause = None;
            }
            let error = match ready!(read(&*self.io, cx)) {
                Ok(0) => return Poll::Ready(Err(closed())),
                Ok(_) => return Poll::Ready(Ok(())),
                Err(error) => error,
            };
            match Fault::of(&error) {
                Fault::Again => {}
                // Not on readiness: a device that fails is often reported as ready.
                Fault::Passing => self.pause = Some(Timer::after(PAUSE)),
                Fault::Closed => return Poll::Ready(Err(closed())),
                Fault::Malformed => {
                    self.dropped.fetch_add(1, Ordering::Relaxed);
                    // Whoever hands in nothing else is not to keep this task from its work.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Fault::Other => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl PacketIo for Tun {
    fn offload(&self) -> Offload {
        self.io.offload()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<()>> {
        self.poll_recv_with(cx, |io, cx| io.poll_recv(cx, packet))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>> {
        loop {
            match ready!(self.io.poll_send(cx, packet))
                .as_ref()
                .map_err(Fault::of)
            {
                Ok(_) => return Poll::Ready(Ok(())),
                Err(Fault::Again) => {}
                Err(Fault::Closed) => return Poll::Ready(Err(closed())),
                Err(Fault::Passing | Fault::Malformed | Fault::Other) => {
                    self.dropped.fetch_add(1, Ordering::Relaxed);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the TUN device is gone")
}

impl fmt::Debug for Tun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tun")
            .field("name", &self.name)
            .field("mtu", &self.mtu)
            .field("offload", &self.offload())
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}

/// Counts the packets that a [`Tun`] had to drop, also while a stack owns it.
#[derive(Clone, Debug)]
pub struct DropCounter(Arc<AtomicU64>);

impl DropCounter {
    /// The packets dropped so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
