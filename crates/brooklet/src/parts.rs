use crate::driver::Driver;
use crate::stack::Stack;
#[cfg(feature = "async-io")]
use crate::timer::AsyncIoTimer;
use brooklet_cell::Flavor;
use brooklet_filter::UnicastOnly;
use brooklet_tcp::TcpListener;
use brooklet_udp::TransparentUdpSocket;
use std::fmt;

/// The parts of a stack: take them apart by a pattern.
///
/// ```
/// # #[cfg(all(feature = "sync", feature = "async-io"))] {
/// use brooklet::{Builder, Parts};
///
/// # let (device, _) = brooklet::pipe(64);
/// let Parts { stack, tcp, udp, driver, .. } = Builder::new().build(device)?;
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
#[non_exhaustive]
pub struct Parts<
    F: Flavor,
    D,
    #[cfg(feature = "async-io")] T = AsyncIoTimer,
    #[cfg(not(feature = "async-io"))] T,
    P = UnicastOnly,
> {
    /// Opens connections, binds listeners and sockets, and has the counters.
    pub stack: Stack<F>,
    /// Accepts the connections to every address that no other listener is bound to.
    pub tcp: TcpListener<F>,
    /// Receives the datagrams to every address that no other socket is bound to.
    pub udp: TransparentUdpSocket<F>,
    /// Moves the packets. The stack works only while the driver runs.
    pub driver: Driver<F, D, T, P>,
}

/// The parts of a stack over several queues of a device: take them apart by a pattern.
///
/// ```
/// # #[cfg(all(feature = "sync", feature = "async-io"))] {
/// use brooklet::{Builder, QueueParts};
///
/// # let ((one, _), (two, _)) = (brooklet::pipe(64), brooklet::pipe(64));
/// let QueueParts { tcp, drivers, .. } = Builder::new().build_queues([one, two])?;
/// assert_eq!(drivers.len(), 2);
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
#[non_exhaustive]
pub struct QueueParts<
    F: Flavor,
    D,
    #[cfg(feature = "async-io")] T = AsyncIoTimer,
    #[cfg(not(feature = "async-io"))] T,
    P = UnicastOnly,
> {
    /// Opens connections, binds listeners and sockets, and has the counters.
    pub stack: Stack<F>,
    /// Accepts the connections to every address that no other listener is bound to.
    pub tcp: TcpListener<F>,
    /// Receives the datagrams to every address that no other socket is bound to.
    pub udp: TransparentUdpSocket<F>,
    /// Each moves the packets of one queue. The stack works only while all of them run.
    pub drivers: Vec<Driver<F, D, T, P>>,
}

impl<F: Flavor, D, T, P> fmt::Debug for Parts<F, D, T, P> {
    // Not derived: that would ask `Debug` of the device.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("stack", &self.stack)
            .field("tcp", &self.tcp)
            .field("udp", &self.udp)
            .field("driver", &self.driver)
            .finish()
    }
}

impl<F: Flavor, D, T, P> fmt::Debug for QueueParts<F, D, T, P> {
    // Not derived: that would ask `Debug` of the device.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueParts")
            .field("stack", &self.stack)
            .field("tcp", &self.tcp)
            .field("udp", &self.udp)
            .field("drivers", &self.drivers)
            .finish()
    }
}
