//! ICMP and raw sockets.

use super::Stack;
use brooklet_cell::Flavor;
use brooklet_packet::Packet;
use brooklet_packet::icmp::IcmpErrorKind;
use brooklet_raw::{Answered, EchoAction, IcmpSocket, IcmpSocketConfig, RawConfig, RawSocket};
use std::io;
use std::net::IpAddr;

impl<F: Flavor> Stack<F> {
    /// Binds the ICMP socket of the stack. It receives echo requests ("ping") for every address, in
    /// place of the stack's own answer, and sends echo requests of the program.
    ///
    /// While the socket lives, the program decides about each echo request, unless a
    /// [policy](Self::set_echo_policy) says otherwise.
    ///
    /// ```
    /// # #[cfg(all(feature = "sync", feature = "async-io"))] fn main() -> std::io::Result<()> {
    /// # use brooklet::{Builder, Parts};
    /// # use futures_lite::future::{block_on, or, zip};
    /// use brooklet::{Echo, IcmpMessage, Unreachable};
    ///
    /// # let (client_device, server_device) = brooklet::pipe(64);
    /// # let Parts { stack: client, driver: client_driver, .. } =
    /// #     Builder::new().build(client_device)?;
    /// # let Parts { stack, driver: server_driver, .. } = Builder::new().build(server_device)?;
    /// # let pings = client.bind_icmp()?;
    /// # let exchange = async {
    /// # let (here, gateway) = ("10.0.0.2".parse().unwrap(), "10.0.0.1".parse().unwrap());
    /// # let echo = Echo { identifier: 1, sequence: 1 };
    /// # pings.send_echo_request(here, gateway, echo, b"ping").await?;
    /// let icmp = stack.bind_icmp()?;
    /// if let IcmpMessage::EchoRequest(request) = icmp.recv().await? {
    ///     match request.destination().to_string().as_str() {
    ///         "10.0.0.1" => request.reply()?,
    ///         _ => request.reject(Unreachable::Host)?,
    ///     };
    /// }
    /// # assert!(matches!(pings.recv().await?, IcmpMessage::EchoReply(_)));
    /// # Ok(())
    /// # };
    /// # block_on(or(exchange, or(client_driver, server_driver)))
    /// # }
    /// # #[cfg(not(all(feature = "sync", feature = "async-io")))] fn main() {}
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`bind_icmp_with`](Self::bind_icmp_with).
    pub fn bind_icmp(&self) -> io::Result<IcmpSocket<F>> {
        self.raw.bind_icmp()
    }

    /// Binds an ICMP socket with the settings of `config`. A stack has one socket, with its clones,
    /// that takes echo requests, and any number of sockets that only send them.
    ///
    /// ```
    /// # #[cfg(all(feature = "sync", feature = "async-io"))] {
    /// use brooklet::IcmpSocketConfig;
    ///
    /// # let (device, _) = brooklet::pipe(64);
    /// # let parts = brooklet::Builder::new().build(device)?;
    /// let pings = parts.stack.bind_icmp_with(IcmpSocketConfig::new().echo_requests(false))?;
    /// # drop(pings);
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`AddrInUse`](io::ErrorKind::AddrInUse) if another socket takes the echo requests that this
    /// one asks for, which can be cloned; [`QuotaExceeded`](io::ErrorKind::QuotaExceeded) if there
    /// are as many sockets as [`IcmpConfig::sockets`](brooklet_raw::Config#structfield.sockets)
    /// allows; [`NetworkDown`](io::ErrorKind::NetworkDown) when the driver has ended.
    pub fn bind_icmp_with(&self, config: IcmpSocketConfig) -> io::Result<IcmpSocket<F>> {
        self.raw.bind_icmp_with(config)
    }

    /// Binds a raw socket, which receives and sends whole IP packets: those that the filter
    /// [diverts](brooklet_filter::Verdict::Divert), those of the protocols that `config` names, and
    /// multicast and broadcast if `config` asks for them.
    ///
    /// - The filter judges each packet first, in both directions. The default filter
    ///   [`UnicastOnly`](brooklet_filter::UnicastOnly) drops multicast and broadcast: set another
    ///   one to receive them ([`Builder::filter`](crate::generic::Builder::filter)).
    /// - A fragment arrives as part of its reassembled packet, and a super-packet of the device as
    ///   the packets that it stands for. A packet that is sent leaves in fragments if it is longer
    ///   than the path MTU.
    /// - A multicast datagram goes to [`Parts::udp`](crate::generic::Parts::udp) as well.
    ///
    /// A raw socket is a [`PacketIo`](brooklet_io::PacketIo): another stack, such as one of smoltcp,
    /// can use it as its device.
    ///
    /// ```
    /// # #[cfg(all(feature = "sync", feature = "async-io"))] {
    /// use brooklet::{Protocol, RawConfig};
    ///
    /// # let (device, _) = brooklet::pipe(64);
    /// # let parts = brooklet::Builder::new().build(device)?;
    /// const GRE: Protocol = Protocol::Other(47);
    /// let tunnel = parts.stack.bind_raw(RawConfig::new().protocol(GRE))?;
    /// # drop(tunnel);
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if TCP or UDP is among the protocols, which a
    /// rule of the filter diverts instead; [`QuotaExceeded`](io::ErrorKind::QuotaExceeded) if there
    /// are as many sockets as [`IcmpConfig::sockets`](brooklet_raw::Config#structfield.sockets)
    /// allows; [`NetworkDown`](io::ErrorKind::NetworkDown) when the driver has ended.
    pub fn bind_raw(&self, config: RawConfig) -> io::Result<RawSocket<F>> {
        self.raw.bind_raw(config)
    }

    /// Lets `policy` decide about each echo request by its destination, in place of an earlier
    /// policy and of [`Builder::icmp_echo`](crate::generic::Builder::icmp_echo).
    ///
    /// The driver calls the function for each request and holds no lock meanwhile.
    ///
    /// ```
    /// # #[cfg(all(feature = "sync", feature = "async-io"))] {
    /// use brooklet::EchoAction;
    /// use std::net::IpAddr;
    ///
    /// # let (device, _) = brooklet::pipe(64);
    /// # let parts = brooklet::Builder::new().build(device)?;
    /// // The stack answers for its gateway. The ICMP socket gets the other requests.
    /// let gateway = IpAddr::from([10, 0, 0, 1]);
    /// parts.stack.set_echo_policy(move |destination| match destination == gateway {
    ///     true => EchoAction::Answer,
    ///     false => EchoAction::Deliver,
    /// });
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_echo_policy(&self, policy: impl Fn(IpAddr) -> EchoAction + Send + Sync + 'static) {
        self.raw.set_echo_policy(policy);
    }

    /// Removes the [policy](Self::set_echo_policy).
    pub fn clear_echo_policy(&self) {
        self.raw.clear_echo_policy();
    }

    /// Sends an ICMP error about `packet` to the packet's source, in the name of the packet's
    /// destination.
    ///
    /// An error that is not sent is counted, and [`Answered`] tells why: the rate limit of ICMP
    /// errors, 100 per second and 50 at once to one source, is reached, the outbound queue is full, or no error may
    /// be sent about the packet (RFC 1122, 3.2.2; RFC 4443, 2.4(e)).
    ///
    /// `packet` need not have arrived through the stack: the error quotes its first bytes. A program
    /// that has only the datagram writes the packet anew.
    ///
    /// ```
    /// # #[cfg(all(feature = "sync", feature = "async-io"))] {
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use brooklet::{Packet, Unreachable};
    /// use brooklet_packet::udp;
    ///
    /// # let (device, _) = brooklet::pipe(64);
    /// # let parts = brooklet::Builder::new().build(device)?;
    /// let mut bytes = Vec::new();
    /// udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "192.0.2.7:53".parse()?, 64, b"question")?;
    /// parts.stack.send_error(&Packet::parse(&bytes)?, Unreachable::Port)?;
    /// # Ok(())
    /// # }
    /// # main().unwrap();
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`NetworkDown`](io::ErrorKind::NetworkDown) when the driver has ended.
    pub fn send_error(
        &self,
        packet: &Packet<'_>,
        kind: impl Into<IcmpErrorKind>,
    ) -> io::Result<Answered> {
        self.raw.send_error(packet, kind)
    }

    /// Sends an ICMP error about `packet` as [`send_error`](Self::send_error) does, in the name of
    /// `router`, a host on the path of the packet. `traceroute` shows the address.
    ///
    /// # Errors
    ///
    /// Those of [`send_error`](Self::send_error).
    pub fn send_error_from(
        &self,
        router: IpAddr,
        packet: &Packet<'_>,
        kind: impl Into<IcmpErrorKind>,
    ) -> io::Result<Answered> {
        self.raw.send_error_from(router, packet, kind)
    }
}
