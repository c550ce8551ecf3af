use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the packets that a [`Tun`](crate::Tun) has dropped, by reason. The counter outlives the
/// device.
///
/// ```
/// use brooklet_tun::Tun;
/// use std::os::unix::net::UnixDatagram;
///
/// # fn main() -> std::io::Result<()> {
/// let (ours, _theirs) = UnixDatagram::pair()?;
/// let tun = Tun::from_fd(ours.into())?;
/// let drops = tun.drop_counter();
/// drop(tun); // or a stack takes it
/// assert_eq!((drops.refused(), drops.malformed()), (0, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct DropCounter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    refused: AtomicU64,
    malformed: AtomicU64,
    truncated: AtomicU64,
}

impl DropCounter {
    /// Returns the number of packets dropped so far, for every reason.
    ///
    /// ```no_run
    /// # fn main() -> std::io::Result<()> {
    /// let drops = brooklet_tun::TunBuilder::new("tun0").open()?.drop_counter();
    /// println!("{} packets dropped", drops.get());
    /// # Ok(())
    /// # }
    /// ```
    pub fn get(&self) -> u64 {
        self.refused()
            .saturating_add(self.malformed())
            .saturating_add(self.truncated())
    }

    /// Returns the number of sent packets that the system did not take: the interface was down,
    /// the system was short of memory, or the packet was none of IP.
    ///
    /// ```
    /// # use brooklet_io::PacketBuf;
    /// # use brooklet_tun::Tun;
    /// # use std::os::unix::net::UnixDatagram;
    /// # fn main() -> std::io::Result<()> {
    /// # futures_lite::future::block_on(async {
    /// let (ours, _theirs) = UnixDatagram::pair()?;
    /// let tun = Tun::from_fd(ours.into())?;
    /// // More than a datagram may be long.
    /// tun.send(&PacketBuf::from(vec![0; 8 << 20])).await?;
    /// assert_eq!(tun.drop_counter().refused(), 1);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// Returns the number of received packets that were empty, or that came with a header that
    /// makes no sense.
    ///
    /// ```
    /// # use brooklet_io::PacketBuf;
    /// # use brooklet_tun::Tun;
    /// # use std::os::unix::net::UnixDatagram;
    /// # fn main() -> std::io::Result<()> {
    /// # futures_lite::future::block_on(async {
    /// let (ours, theirs) = UnixDatagram::pair()?;
    /// let tun = Tun::from_fd(ours.into())?;
    /// theirs.send(&[])?;
    /// theirs.send(&[0x45; 20])?;
    /// tun.recv(&mut PacketBuf::with_capacity(1500)).await?;
    /// assert_eq!(tun.drop_counter().malformed(), 1);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn malformed(&self) -> u64 {
        self.0.malformed.load(Ordering::Relaxed)
    }

    /// Returns the number of truncated packets: sent packets of which the system took only a part,
    /// and received packets that were longer than the buffer where the system says so, as Linux
    /// does with [`Framing::PacketInfo`](crate::Framing::PacketInfo).
    ///
    /// ```
    /// # use brooklet_io::PacketBuf;
    /// # use brooklet_tun::Tun;
    /// # use std::os::unix::net::UnixStream;
    /// # fn main() -> std::io::Result<()> {
    /// # futures_lite::future::block_on(async {
    /// // A stream, which does not keep the bounds of packets, takes what it has room for.
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// let tun = Tun::from_fd(ours.into())?;
    /// tun.send(&PacketBuf::from(vec![0; 8 << 20])).await?;
    /// assert_eq!(tun.drop_counter().truncated(), 1);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn truncated(&self) -> u64 {
        self.0.truncated.load(Ordering::Relaxed)
    }

    pub(crate) fn add_refused(&self) {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_truncated(&self) {
        self.0.truncated.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_malformed(&self) {
        self.0.malformed.fetch_add(1, Ordering::Relaxed);
    }
}
