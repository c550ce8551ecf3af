//! The flows of a stack as a list.

use crate::stack::Stack;
use brooklet_cell::Flavor;
use brooklet_tcp::TcpFlow;
use brooklet_udp::UdpFlow;
use std::fmt;

/// A TCP connection or a UDP session at one moment, from
/// [`Stack::flows`](crate::generic::Stack::flows). Its text is one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum Flow {
    /// A TCP connection.
    Tcp(TcpFlow),
    /// A UDP session.
    Udp(UdpFlow),
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(flow) => flow.fmt(f),
            Self::Udp(flow) => flow.fmt(f),
        }
    }
}

impl<F: Flavor> Stack<F> {
    /// Lists the TCP connections in every state, from the handshake to TIME-WAIT, and after them the
    /// UDP sessions, each group in the order of its addresses.
    ///
    /// The stack goes on meanwhile, and each flow is as it was when the call came to it. The call
    /// waits for no packet; with many flows it takes some microseconds for each and allocates about
    /// 200 bytes for each. Requests that wait for an answer are not among the connections, and
    /// datagrams of a [`TransparentUdpSocket`](crate::generic::TransparentUdpSocket) or of a
    /// [`UdpSocket`](crate::generic::UdpSocket) belong to no session: [`Stats`](crate::Stats)
    /// counts both.
    ///
    /// ```
    /// # #[cfg(all(feature = "sync", feature = "async-io"))] fn main() -> std::io::Result<()> {
    /// # use brooklet::{Builder, Parts};
    /// # use futures_lite::future::{block_on, or, zip};
    /// use brooklet::{Flow, TcpState};
    ///
    /// # let (client_device, server_device) = brooklet::pipe(64);
    /// # let Parts { stack, driver: client, .. } =
    /// #     Builder::new().address([10, 0, 0, 2]).build(client_device)?;
    /// # let Parts { tcp, driver: server, .. } = Builder::new().build(server_device)?;
    /// # let exchange = async {
    /// # let to = "192.0.2.1:80".parse().unwrap();
    /// let stream = stack.connect(to).await?;
    /// for flow in stack.flows() {
    ///     println!("{flow}");
    ///     if let Flow::Tcp(connection) = flow {
    ///         assert_eq!((connection.peer_addr, connection.state), (to, TcpState::Established));
    ///     }
    /// }
    /// # Ok(()) };
    /// # block_on(or(async { zip(exchange, tcp.accept()).await.0 }, or(client, server)))
    /// # }
    /// # #[cfg(not(all(feature = "sync", feature = "async-io")))] fn main() {}
    /// ```
    pub fn flows(&self) -> Vec<Flow> {
        let tcp = self.connector.flows().into_iter().map(Flow::Tcp);
        let udp = self.udp_counters.flows().into_iter().map(Flow::Udp);
        tcp.chain(udp).collect()
    }
}
