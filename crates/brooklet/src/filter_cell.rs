use brooklet_cell::{Flavor, Shared};
use brooklet_filter::{Direction, Filter, Verdict};
use brooklet_packet::Packet;

/// A filter that can be exchanged while the stack runs. Clones share it.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// use brooklet::filter::{Direction, Filter, Verdict};
/// use brooklet::{Packet, SharedFilter};
///
/// // The type of the filter stays the same: a box holds any.
/// type Any = Box<dyn Filter + Send>;
/// let filter = SharedFilter::<Any>::new(Box::new(brooklet::filter::UnicastOnly));
/// // ... Builder::new().filter(filter.clone()) ...
/// let no_udp = |packet: &Packet<'_>, _: Direction| match packet.protocol() {
///     brooklet::Protocol::Udp => Verdict::Drop,
///     _ => Verdict::Pass,
/// };
/// drop(filter.replace(Box::new(no_udp)));
/// # }
/// ```
pub struct SharedFilter<F: Flavor, P: 'static>(Shared<F, P>);

impl<F: Flavor, P: 'static> SharedFilter<F, P> {
    /// Makes the first handle to `filter`.
    pub fn new(filter: P) -> Self {
        Self(Shared::new(filter))
    }

    /// Puts `filter` in the place of the present one, which it returns. The next packet is judged
    /// by it.
    pub fn replace(&self, filter: P) -> P {
        self.0.with(|present| std::mem::replace(present, filter))
    }
}

impl<F: Flavor, P: 'static> Clone for SharedFilter<F, P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<F: Flavor, P: 'static> std::fmt::Debug for SharedFilter<F, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedFilter").finish_non_exhaustive()
    }
}

impl<F: Flavor, P: Filter + 'static> Filter for SharedFilter<F, P> {
    fn verdict(&self, packet: &Packet<'_>, direction: Direction) -> Verdict {
        self.0.with(|filter| filter.verdict(packet, direction))
    }
}
