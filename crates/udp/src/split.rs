//! A socket in two halves, and back.

use crate::{read_half::UdpReadHalf, transparent::TransparentUdpSocket, write_half::UdpWriteHalf};
use brooklet_cell::Flavor;
use std::{error::Error, fmt};

impl<F: Flavor> TransparentUdpSocket<F> {
    /// Splits the socket into owned halves, for a task each. Only the read half listens.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # let (engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default(), brooklet_udp::Clock::new(std::time::Instant::now), [1, 2]);
    /// let (read, write) = socket.split();
    /// let reader = std::thread::spawn(move || futures_lite::future::block_on(read.recv_datagram()));
    /// # drop((write, engine));
    /// # assert!(reader.join().unwrap().is_err());
    /// # }
    /// ```
    pub fn split(self) -> (UdpReadHalf<F>, UdpWriteHalf<F>) {
        (self.read, self.write)
    }
}

impl<F: Flavor> UdpReadHalf<F> {
    /// Joins the two halves of a socket. Clones of halves count as halves of the same socket, and
    /// so do halves of clones.
    ///
    /// A datagram that the `Sink` of `write` has taken and not sent is dropped: flush the sink
    /// first.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// use brooklet_udp::{Clock, Config, Engine, Interface};
    ///
    /// let (_engine, socket) = Engine::<brooklet_cell::Threaded>::new(Interface::new(), Config::new(), Clock::new(std::time::Instant::now), [1, 2]);
    /// let (read, write) = socket.split();
    /// let socket = read.reunite(write)?;
    /// # let _ = socket;
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the halves belong to two stacks, the [`ReuniteError`] gives both back.
    pub fn reunite(
        self,
        write: UdpWriteHalf<F>,
    ) -> Result<TransparentUdpSocket<F>, ReuniteError<F>> {
        if !self.reader.inbound().same(&write.queues.inbound) {
            return Err(ReuniteError(self, write));
        }
        #[cfg(feature = "futures")]
        let write = UdpWriteHalf {
            unsent: None,
            ..write
        };
        Ok(TransparentUdpSocket { read: self, write })
    }
}

/// The error of [`UdpReadHalf::reunite`] for halves that belong to two stacks. It gives both halves
/// back.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// use brooklet_udp::{Clock, Config, Engine, Interface, ReuniteError};
///
/// let (_engine, one) = Engine::<brooklet_cell::Threaded>::new(Interface::new(), Config::new(), Clock::new(std::time::Instant::now), [1, 2]);
/// let (_engine, other) = Engine::<brooklet_cell::Threaded>::new(Interface::new(), Config::new(), Clock::new(std::time::Instant::now), [1, 2]);
/// let (read, _) = one.split();
/// let (_, write) = other.split();
/// let ReuniteError(read, write) = read.reunite(write).unwrap_err();
/// # let _ = (read, write);
/// # }
/// ```
#[derive(Debug)]
pub struct ReuniteError<F: Flavor>(pub UdpReadHalf<F>, pub UdpWriteHalf<F>);

impl<F: Flavor> fmt::Display for ReuniteError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves belong to two stacks")
    }
}

impl<F: Flavor> Error for ReuniteError<F> {}
