use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the packets that a [`Tun`](crate::Tun) has dropped. The counter outlives the device.
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
/// assert_eq!(drops.get(), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct DropCounter(Arc<AtomicU64>);

impl DropCounter {
    /// Returns the number of packets dropped so far.
    ///
    /// ```no_run
    /// # fn main() -> std::io::Result<()> {
    /// let drops = brooklet_tun::TunBuilder::new("tun0").open()?.drop_counter();
    /// println!("{} packets dropped", drops.get());
    /// # Ok(())
    /// # }
    /// ```
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
