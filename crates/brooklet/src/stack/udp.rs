//! UDP sockets, and the MTU of paths.

use super::Stack;
use brooklet_cell::Flavor;
use brooklet_udp::UdpSocket;
use std::io;
use std::net::{IpAddr, SocketAddr};

impl<F: Flavor> Stack<F> {
    /// Binds a UDP socket to `address`. It receives the datagrams to `address` in place of
    /// [`Parts::udp`](crate::generic::Parts::udp) and of UDP sessions. `0.0.0.0` and `::` stand for
    /// every address of their family, and port 0 for a free port.
    ///
    /// A socket that is bound to an unspecified address sends from the stack's own
    /// [`address`](crate::generic::Builder::address).
    ///
    /// ```
    /// # #[cfg(all(feature = "sync", feature = "async-io"))] fn main() -> std::io::Result<()> {
    /// # use brooklet::{Builder, Parts};
    /// # use futures_lite::future::{block_on, or, zip};
    /// # let (client_device, server_device) = brooklet::pipe(64);
    /// # let Parts { stack, driver: client, .. } =
    /// #     Builder::new().address([10, 0, 0, 2]).build(client_device)?;
    /// # let Parts { udp, driver: server, .. } = Builder::new().build(server_device)?;
    /// # let exchange = async {
    /// let socket = stack.bind_udp("0.0.0.0:0".parse().unwrap())?;
    /// socket.connect("192.0.2.53:53".parse().unwrap()).await?;
    /// socket.send(b"question").await?;
    /// # let question = udp.recv_datagram().await?;
    /// # udp.send_to(b"answer", question.to, question.from).await?;
    /// let mut answer = [0; 1500];
    /// let len = socket.recv(&mut answer).await?;
    /// # assert_eq!(&answer[..len], b"answer");
    /// # Ok(())
    /// # };
    /// # block_on(or(exchange, or(client, server)))
    /// # }
    /// # #[cfg(not(all(feature = "sync", feature = "async-io")))] fn main() {}
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`UdpBinder::bind`](brooklet_udp::UdpBinder::bind);
    /// [`Unsupported`](io::ErrorKind::Unsupported) if `address` is IPv6 and the stack was built
    /// [without IPv6](crate::generic::Builder::ipv6).
    pub fn bind_udp(&self, address: SocketAddr) -> io::Result<UdpSocket<F>> {
        self.check(address)?;
        self.udp.bind(address)
    }

    /// States the MTU of the path to `destination`, in bytes: the length of the longest IP packet
    /// that reaches it. `None` forgets the path MTU, also one that was learned by ICMP.
    ///
    /// The path MTU of a destination is at most the MTU of the stack. It counts in both directions:
    ///
    /// - TCP connections from and to `destination`, open ones too, send no longer packets. A SYN or
    ///   SYN-ACK announces the MSS that fits, so that the peer sends no longer packets either.
    /// - Datagrams, echo requests and raw packets to `destination` are fragmented if they are longer.
    ///   A datagram that must not be fragmented is refused; a raw packet is dropped and counted.
    /// - Datagrams and echo requests that arrive for `destination`, as on their way through a tunnel
    ///   with a smaller MTU, are dropped if they are longer and must not be fragmented. The sender
    ///   gets "fragmentation needed" (RFC 1191) or "packet too big" (RFC 8201). A path MTU that was
    ///   learned by ICMP is not compared with them.
    ///
    /// At least 68 bytes count for an IPv4 address (RFC 791, 3.2) and 1,280 for an IPv6 address
    /// (RFC 8200, 5). A path MTU that is stated does not expire; one that was learned by ICMP does,
    /// after 10 minutes. The stack keeps up to 4,096 destinations.
    ///
    /// ```
    /// # #[cfg(all(feature = "sync", feature = "async-io"))] {
    /// # let (device, _) = brooklet::pipe(64);
    /// # let parts = brooklet::Builder::new().build(device)?;
    /// let destination = "192.0.2.53".parse().unwrap();
    /// parts.stack.set_path_mtu(destination, Some(1280));
    /// assert_eq!(parts.stack.path_mtu(destination), 1280);
    /// parts.stack.set_path_mtu(destination, None);
    /// assert_eq!(parts.stack.path_mtu(destination), 1500);
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_path_mtu(&self, destination: IpAddr, mtu: Option<usize>) {
        let least = if destination.is_ipv6() { 1280 } else { 68 };
        let mtu = mtu.map(|mtu| mtu.max(least));
        self.udp.set_path_mtu(destination, mtu);
        let mtu = mtu.map(|mtu| u16::try_from(mtu).unwrap_or(u16::MAX));
        self.connector.set_path_mtu(destination, mtu);
    }

    /// States the MTU of the path to `destination` that the program's own sockets have learned, in
    /// bytes. Returns whether the path MTU has become smaller.
    ///
    /// Datagrams and echo requests follow it as after [`set_path_mtu`](Self::set_path_mtu): senders
    /// of longer ones that must not be fragmented are told. TCP connections do not: they end in the
    /// stack, and the program's socket follows the path MTU behind it.
    ///
    /// The statement expires after 10 minutes (RFC 8201, section 4): a larger MTU is tried then. An
    /// MTU that is not below the known one changes nothing; the same one prolongs the time.
    ///
    /// ```
    /// # #[cfg(all(feature = "sync", feature = "async-io"))] {
    /// # let (device, _) = brooklet::pipe(64);
    /// # let parts = brooklet::Builder::new().build(device)?;
    /// let destination = "192.0.2.53".parse().unwrap();
    /// assert!(parts.stack.learn_path_mtu(destination, 1400));
    /// assert!(!parts.stack.learn_path_mtu(destination, 1450));
    /// assert_eq!(parts.stack.path_mtu(destination), 1400);
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn learn_path_mtu(&self, destination: IpAddr, mtu: usize) -> bool {
        let least = if destination.is_ipv6() { 1280 } else { 68 };
        self.udp.learn_path_mtu(destination, mtu.max(least))
    }

    /// Returns the MTU of the path to `destination`, in bytes: the one that the program has
    /// [stated](Self::set_path_mtu) or that was learned by ICMP, and otherwise the MTU of the stack.
    pub fn path_mtu(&self, destination: IpAddr) -> usize {
        self.udp.path_mtu(destination)
    }
}
