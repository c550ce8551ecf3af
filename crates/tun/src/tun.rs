use crate::drops::DropCounter;
use crate::fault::Fault;
use crate::raw::RawIo;
use brooklet_io::{Offload, PacketBuf, PacketIo};
use brooklet_reactor::Timer;
use futures_lite::future::yield_now;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

#[cfg(unix)]
mod descriptor;
#[cfg(test)]
mod tests;

/// How long to leave a device alone whose reads fail for now.
const PAUSE: Duration = Duration::from_millis(100);

/// A TUN device: one IP packet per call in both directions, or one super-packet where the device
/// has [offload](Self::offload). A [TAP](crate::TunBuilder::tap) carries one Ethernet frame per
/// call.
///
/// The driver of a stack owns the device and uses it as a [`PacketIo`]. Programs that look at
/// packets themselves call [`recv`](Self::recv) and [`send`](Self::send), which take the device by
/// shared reference.
///
/// Dropping the device closes it. The interface is deleted with the last descriptor of it, unless
/// the interface is persistent.
///
/// The device can move to another thread, and into another network namespace:
/// [`name`](Self::name) and [`mtu`](Self::mtu) stay those of the time when it was opened.
///
/// ```
/// use brooklet_io::PacketBuf;
/// use brooklet_tun::Tun;
/// use std::os::unix::net::UnixDatagram;
///
/// # fn main() -> std::io::Result<()> {
/// # futures_lite::future::block_on(async {
/// // A socket pair in place of a device, which needs no privileges.
/// let (ours, theirs) = UnixDatagram::pair()?;
/// let tun = Tun::from_fd(ours.into())?;
/// theirs.send(&[0x45; 20])?;
/// let mut packet = PacketBuf::with_capacity(1500);
/// tun.recv(&mut packet).await?;
/// assert_eq!(packet.len(), 20);
/// # Ok(())
/// # })
/// # }
/// ```
pub struct Tun {
    io: RawIo,
    name: Option<String>,
    mtu: Option<u16>,
    drops: DropCounter,
    /// The pause of `poll_recv` between two reads of a device that fails for now.
    pause: Option<Timer>,
}

/// The next step after an attempt to read.
enum Next {
    Return(io::Result<()>),
    Retry,
    /// Retry after [`PAUSE`].
    Wait,
    /// Retry, after other tasks had their turn.
    Yield,
}

impl Tun {
    pub(crate) fn new(io: impl Into<RawIo>, name: Option<String>, mtu: Option<u16>) -> Self {
        Self {
            io: io.into(),
            name,
            mtu,
            drops: DropCounter::default(),
            pause: None,
        }
    }

    /// Returns the name of the interface; `None` for an adopted descriptor.
    ///
    /// ```no_run
    /// # fn main() -> std::io::Result<()> {
    /// let tun = brooklet_tun::TunBuilder::new("tun0").open()?;
    /// assert_eq!(tun.name(), Some("tun0"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the MTU in bytes: that of the interface when it was opened, or the one given by
    /// [`with_mtu`](Self::with_mtu). `None` for an adopted descriptor without it. For a
    /// [TAP](crate::TunBuilder::tap), this is the length of the longest frame: 14 bytes more than
    /// the MTU of the interface.
    ///
    /// The stack must have the same MTU: it truncates a packet that is larger than its buffers.
    ///
    /// ```no_run
    /// # fn main() -> std::io::Result<()> {
    /// let tun = brooklet_tun::TunBuilder::new("tun0").mtu(1400).open()?;
    /// assert_eq!(tun.mtu(), Some(1400));
    /// # Ok(())
    /// # }
    /// ```
    pub fn mtu(&self) -> Option<usize> {
        self.mtu.map(usize::from)
    }

    /// Sets the MTU in bytes that [`mtu`](Self::mtu) returns, for an adopted descriptor: its
    /// interface is not changed.
    ///
    /// ```
    /// use brooklet_tun::Tun;
    /// use std::os::unix::net::UnixDatagram;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (ours, _theirs) = UnixDatagram::pair()?;
    /// let tun = Tun::from_fd(ours.into())?.with_mtu(1400);
    /// assert_eq!(tun.mtu(), Some(1400));
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_mtu(mut self, mtu: u16) -> Self {
        self.mtu = Some(mtu);
        self
    }

    /// Returns the offloads that the kernel does for packets sent to it: checksums, and the
    /// segmentation of super-packets. None where the kernel has not been asked for them or cannot.
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

    /// Returns the number of packets dropped so far: those that the system did not take, empty
    /// ones, those behind a header that makes no sense, and truncated ones.
    ///
    /// [`drop_counter`](Self::drop_counter) gives the number by reason, and once the device belongs
    /// to a stack.
    ///
    /// ```
    /// # use brooklet_io::PacketBuf;
    /// # use brooklet_tun::Tun;
    /// # use std::os::unix::net::UnixDatagram;
    /// # fn main() -> std::io::Result<()> {
    /// # futures_lite::future::block_on(async {
    /// # let (ours, theirs) = UnixDatagram::pair()?;
    /// # let tun = Tun::from_fd(ours.into())?;
    /// theirs.send(&[])?;
    /// theirs.send(&[0x45; 20])?;
    /// let mut packet = PacketBuf::with_capacity(1500);
    /// tun.recv(&mut packet).await?;
    /// assert_eq!((packet.len(), tun.dropped()), (20, 1));
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn dropped(&self) -> u64 {
        self.drops.get()
    }

    /// Returns a handle on the numbers of [`dropped`](Self::dropped) packets by reason, which
    /// outlives the device.
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
        self.drops.clone()
    }

    /// Receives the next packet into `packet`, and sets its length and metadata.
    ///
    /// Any number of tasks may receive and send at the same time. Each packet goes to one of the
    /// tasks that wait; all of them wake for it, and the others wait again.
    ///
    /// The storage of `packet` must have room for the MTU, or for 65,575 bytes where the device
    /// was opened with [offload](crate::TunBuilder::offload): the system truncates a longer
    /// packet.
    ///
    /// # Errors
    ///
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) once the device is gone, and
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a `packet` of no capacity. An interface
    /// that is down is no error: the method waits.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped has received no packet; the content of `packet` is unspecified.
    ///
    /// ```
    /// use brooklet_io::PacketBuf;
    /// use brooklet_tun::Tun;
    /// use futures_lite::future::{block_on, zip};
    /// use std::os::unix::net::UnixDatagram;
    ///
    /// async fn receive(tun: &Tun) -> std::io::Result<usize> {
    ///     let mut packet = PacketBuf::with_capacity(1500);
    ///     tun.recv(&mut packet).await?;
    ///     Ok(packet.len())
    /// }
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let (ours, theirs) = UnixDatagram::pair()?;
    /// let tun = Tun::from_fd(ours.into())?;
    /// theirs.send(&[0x45; 20])?;
    /// theirs.send(&[0x60; 40])?;
    /// let (first, second) = block_on(zip(receive(&tun), receive(&tun)));
    /// assert_eq!(first? + second?, 60);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn recv(&self, packet: &mut PacketBuf) -> io::Result<()> {
        loop {
            match self.after_recv(self.io.recv(packet).await) {
                Next::Return(result) => return result,
                Next::Retry => {}
                Next::Wait => drop(Timer::after(PAUSE).await),
                Next::Yield => yield_now().await,
            }
        }
    }

    /// Sends `packet`: a complete one, or one with the work left to the device that
    /// [`offload`](Self::offload) lists and the packet's metadata asks for.
    ///
    /// Waits while the queue of the device is full. Any number of tasks may send and receive at
    /// the same time. A packet that the system does not take is dropped and counted by
    /// [`dropped`](Self::dropped).
    ///
    /// # Errors
    ///
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) once the device is gone.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped before it was ready has not sent the packet.
    ///
    /// ```
    /// use brooklet_io::PacketBuf;
    /// use brooklet_tun::Tun;
    /// use std::os::unix::net::UnixDatagram;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # futures_lite::future::block_on(async {
    /// let (ours, theirs) = UnixDatagram::pair()?;
    /// let tun = Tun::from_fd(ours.into())?;
    /// tun.send(&PacketBuf::from(vec![0x45; 20])).await?;
    /// assert_eq!(theirs.recv(&mut [0; 100])?, 20);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub async fn send(&self, packet: &PacketBuf) -> io::Result<()> {
        loop {
            if let Some(result) = self.after_send(self.io.send(packet).await) {
                return result;
            }
        }
    }

    fn after_recv(&self, read: io::Result<usize>) -> Next {
        let error = match read {
            Ok(0) => return Next::Return(Err(closed())),
            Ok(_) => return Next::Return(Ok(())),
            Err(error) => error,
        };
        match Fault::of(&error) {
            Fault::Again => Next::Retry,
            // Not on readiness: a device that fails is often reported as ready.
            Fault::Passing => Next::Wait,
            Fault::Closed => Next::Return(Err(closed())),
            // A flood of malformed packets must not keep the task from its other work.
            Fault::Malformed => {
                self.drops.add_malformed();
                Next::Yield
            }
            Fault::Truncated => {
                self.drops.add_truncated();
                Next::Yield
            }
            Fault::Other => Next::Return(Err(error)),
        }
    }

    /// `None` if the call is to be made again.
    fn after_send(&self, written: io::Result<usize>) -> Option<io::Result<()>> {
        match written.as_ref().map_err(Fault::of) {
            Ok(_) => Some(Ok(())),
            Err(Fault::Again) => None,
            Err(Fault::Closed) => Some(Err(closed())),
            Err(Fault::Truncated) => {
                self.drops.add_truncated();
                Some(Ok(()))
            }
            Err(Fault::Passing | Fault::Malformed | Fault::Other) => {
                self.drops.add_refused();
                Some(Ok(()))
            }
        }
    }

    /// Reads until `read` has a packet, waits, or says that there will be none any more.
    fn poll_recv_with(
        &mut self,
        cx: &mut Context<'_>,
        mut read: impl FnMut(&RawIo, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        loop {
            if let Some(timer) = &mut self.pause {
                ready!(Pin::new(timer).poll(cx));
                self.pause = None;
            }
            match self.after_recv(ready!(read(&self.io, cx))) {
                Next::Return(result) => return Poll::Ready(result),
                Next::Retry => {}
                Next::Wait => self.pause = Some(Timer::after(PAUSE)),
                Next::Yield => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
    }
}

impl PacketIo for Tun {
    fn offload(&self) -> Offload {
        self.io.offload()
    }

    fn mtu(&self) -> Option<usize> {
        self.mtu()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<()>> {
        self.poll_recv_with(cx, |io, cx| io.poll_recv(cx, packet))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>> {
        loop {
            let written = ready!(self.io.poll_send(cx, packet));
            if let Some(result) = self.after_send(written) {
                return Poll::Ready(result);
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
