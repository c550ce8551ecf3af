use crate::stats::Stats;
use brooklet_cell::{Flavor, Shared};
use brooklet_tcp::{Connector, TcpStream};
use std::io;
use std::net::SocketAddr;

/// A handle to a running stack. Clones are handles to the same one.
pub struct Stack<F: Flavor> {
    pub(crate) connector: Connector<F>,
    pub(crate) udp: brooklet_udp::Counters<F>,
    pub(crate) published: Shared<F, Stats>,
}

impl<F: Flavor> Stack<F> {
    /// Connects from `from` to `to`, through the packets of the device.
    ///
    /// Any address serves as `from`, as long as the other side sends its answers this way.
    ///
    /// # Errors
    ///
    /// Those of [`Connector::connect`](brooklet_tcp::Connector::connect).
    ///
    /// # Cancel safety
    ///
    /// Dropped before its end, the future gives the connection up.
    pub async fn connect(&self, from: SocketAddr, to: SocketAddr) -> io::Result<TcpStream<F>> {
        self.connector.connect(from, to).await
    }

    /// What the stack has done and what it holds. Counters of packets are as of the last time
    /// that the driver ran.
    pub fn stats(&self) -> Stats {
        let mut stats = self.published.with(|stats| *stats);
        stats.tcp = self.connector.stats();
        stats.udp = self.udp.stats();
        stats
    }
}

impl<F: Flavor> Clone for Stack<F> {
    fn clone(&self) -> Self {
        Self {
            connector: self.connector.clone(),
            udp: self.udp.clone(),
            published: self.published.clone(),
        }
    }
}

impl<F: Flavor> std::fmt::Debug for Stack<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stack").finish_non_exhaustive()
    }
}
