use arc_swap::ArcSwap;
use brooklet_filter::{Direction, Filter, Verdict};
use brooklet_packet::Packet;
use std::sync::Arc;

/// A filter that can be replaced while the stack runs. Clones share the filter.
///
/// The drivers take no lock to read the filter, in either flavor: a filter that is slow, or that
/// replaces itself from within a verdict, delays no other queue.
///
/// ```
/// # #[cfg(all(feature = "sync", feature = "async-io"))] {
/// use brooklet::filter::{Direction, Filter, UnicastOnly, Verdict};
/// use brooklet::{Builder, Packet, Parts, Protocol, SharedFilter};
///
/// // The type of the filter stays the same: a box holds any filter.
/// type Any = Box<dyn Filter + Send + Sync>;
/// let filter = SharedFilter::<Any>::new(Box::new(UnicastOnly));
/// # let (device, _) = brooklet::pipe(64);
/// let Parts { driver, .. } = Builder::new().filter(filter.clone()).build(device)?;
///
/// let no_udp = |packet: &Packet<'_>, _: Direction| match packet.protocol() {
///     Protocol::Udp => Verdict::Drop,
///     _ => Verdict::Pass,
/// };
/// let old = filter.replace(Box::new(no_udp));
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Rules from a file
///
/// A [`Ruleset`](brooklet_filter::Ruleset) is replaced as a whole: a packet that both the old and the
/// new rules pass, passes at every moment. A wrong text is an error before the filter is replaced, so
/// the old rules stay.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// use brooklet::SharedFilter;
/// use brooklet::filter::{Ruleset, RulesetError};
/// use std::sync::Arc;
///
/// fn reload(filter: &SharedFilter<Arc<Ruleset>>, text: &str) -> Result<(), RulesetError> {
///     let rules: Arc<Ruleset> = Arc::new(text.parse()?);
///     let old = filter.replace(rules.clone());
///     // Rules that were there before go on counting.
///     rules.add_counters_of(&old);
///     Ok(())
/// }
///
/// let filter = SharedFilter::new(Arc::new("udp dport 443 reject".parse()?));
/// let error = reload(&filter, "udp dport 443 reject\ntcp dport smtp drop").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "line 2, column 11: expected a port or a range of ports, found `smtp`",
/// );
/// reload(&filter, "udp dport 443 reject\ntcp dport 25 drop")?;
/// # }
/// # Ok::<(), brooklet::filter::RulesetError>(())
/// ```
pub struct SharedFilter<P>(Arc<ArcSwap<P>>);

impl<P> SharedFilter<P> {
    /// Creates the first handle to `filter`.
    pub fn new(filter: P) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(filter)))
    }

    /// Replaces the filter by `filter` and returns the old one, which a verdict in progress may
    /// still use.
    ///
    /// The new filter gives every verdict that begins after this method has returned. A packet has
    /// one verdict: one that the old filter has passed, and that waits for the device, is still
    /// sent.
    pub fn replace(&self, filter: P) -> Arc<P> {
        self.0.swap(Arc::new(filter))
    }
}

impl<P> Clone for SharedFilter<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<P> std::fmt::Debug for SharedFilter<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedFilter").finish_non_exhaustive()
    }
}

impl<P: Filter> Filter for SharedFilter<P> {
    fn verdict(&self, packet: &Packet<'_>, direction: Direction) -> Verdict {
        self.0.load().verdict(packet, direction)
    }
}
