//! Echo requests and replies that were received.

use crate::{hub::Hub, outcome::Answered};
use brooklet_cell::Flavor;
use brooklet_packet::icmp::{Echo, IcmpErrorKind};
use brooklet_packet::{Headers, IpFields, Packet, TrafficClass};
use std::{
    fmt, io,
    net::IpAddr,
    time::{Duration, Instant},
};

/// An echo message, with the bytes of its packet.
pub(crate) struct EchoPacket {
    bytes: Vec<u8>,
    headers: Headers,
    echo: Echo,
    at: Instant,
}

impl EchoPacket {
    pub(crate) fn new(now: Instant, packet: &Packet<'_>, echo: Echo) -> Self {
        Self {
            bytes: packet.bytes().to_vec(),
            headers: *packet.headers(),
            echo,
            at: now,
        }
    }

    fn packet(&self) -> Packet<'_> {
        Packet::new(&self.bytes, self.headers)
    }

    fn fmt(&self, out: &mut fmt::DebugStruct<'_, '_>) -> fmt::Result {
        out.field("source", &self.headers.source())
            .field("destination", &self.headers.destination())
            .field("identifier", &self.echo.identifier)
            .field("sequence", &self.echo.sequence)
            .field(
                "payload",
                &format_args!("{} bytes", self.packet().payload().len()),
            )
            .finish_non_exhaustive()
    }
}

/// The accessors that requests and replies have in common.
macro_rules! accessors {
    ($($field:tt).+) => {
        /// Returns the address of the sender.
        pub fn source(&self) -> IpAddr {
            self.$($field).+.headers.source()
        }

        /// Returns the destination address.
        pub fn destination(&self) -> IpAddr {
            self.$($field).+.headers.destination()
        }

        /// Returns the identifier and the sequence number.
        pub fn echo(&self) -> Echo {
            self.$($field).+.echo
        }

        /// Returns the identifier, which tells the programs of one host apart.
        pub fn identifier(&self) -> u16 {
            self.$($field).+.echo.identifier
        }

        /// Returns the sequence number.
        pub fn sequence(&self) -> u16 {
            self.$($field).+.echo.sequence
        }

        /// Returns the data behind the ICMP header, which may be empty.
        pub fn payload(&self) -> &[u8] {
            &self.$($field).+.bytes[self.$($field).+.headers.payload_range()]
        }

        /// Returns the IPv4 time to live or IPv6 hop limit with which the message arrived.
        pub fn hop_limit(&self) -> u8 {
            self.$($field).+.headers.hop_limit()
        }

        /// Returns the DSCP and ECN with which the message arrived.
        pub fn traffic_class(&self) -> TrafficClass {
            self.$($field).+.headers.traffic_class()
        }

        /// Returns whether routers may not fragment the message: always `true` with IPv6.
        pub fn dont_fragment(&self) -> bool {
            self.$($field).+.headers.dont_fragment()
        }

        /// Returns the whole IP packet.
        pub fn packet(&self) -> Packet<'_> {
            self.$($field).+.packet()
        }

        /// Returns the time at which the driver received the message.
        pub fn received_at(&self) -> Instant {
            self.$($field).+.at
        }
    };
}

/// An echo request that a program answers, or not: dropping the request sends nothing.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_engine.rs")); }
/// # let engine = example::engine();
/// # let socket = engine.binder().bind_icmp().unwrap();
/// use brooklet_packet::icmp::Unreachable;
/// use brooklet_raw::EchoRequest;
///
/// /// Answers if the host behind answers, and reports an unreachable host otherwise.
/// async fn forward<F: brooklet_cell::Flavor>(request: EchoRequest<F>) -> std::io::Result<()> {
///     if ping_host(request.destination(), request.payload()).await {
///         request.reply()?;
///     } else {
///         request.reject(Unreachable::Host)?;
///     }
///     Ok(())
/// }
/// # async fn ping_host(_: std::net::IpAddr, _: &[u8]) -> bool { true }
/// # example::ping(&engine);
/// # futures_lite::future::block_on(async {
/// #     let brooklet_raw::IcmpMessage::EchoRequest(request) = socket.recv().await? else { panic!() };
/// #     forward(request).await
/// # }).unwrap();
/// # assert_eq!(engine.stats().echo_replies_out, 1);
/// # }
/// ```
#[must_use = "a request that is dropped gets no answer"]
pub struct EchoRequest<F: Flavor> {
    packet: EchoPacket,
    hub: Hub<F>,
}

impl<F: Flavor> EchoRequest<F> {
    pub(crate) fn new(packet: EchoPacket, hub: &Hub<F>) -> Self {
        Self {
            packet,
            hub: hub.clone(),
        }
    }

    accessors!(packet);

    /// Queues the echo reply: with the identifier, the sequence number, the payload and the traffic
    /// class of the request, from its destination to its source. An example is at [`EchoRequest`].
    ///
    /// # Errors
    ///
    /// [`NetworkDown`](io::ErrorKind::NetworkDown) when the driver has ended.
    pub fn reply(self) -> io::Result<Answered> {
        self.reply_with(IpFields::new().hop_limit)
    }

    /// Queues the echo reply as [`reply`](Self::reply) does, with this time to live or hop limit: 0
    /// counts as 1. A program that forwards the request to another host passes on the hop limit of
    /// the host's reply, less one, so that the sender sees how far away the host is.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_engine.rs")); }
    /// # let engine = example::engine();
    /// # let socket = engine.binder().bind_icmp().unwrap();
    /// # example::ping(&engine);
    /// # use brooklet_packet::Packet;
    /// # use brooklet_raw::{Answered, IcmpMessage};
    /// # futures_lite::future::block_on(async {
    /// # let IcmpMessage::EchoRequest(request) = socket.recv().await? else { panic!() };
    /// assert_eq!(request.reply_with(57)?, Answered::Queued);
    /// # let reply = engine.poll_transmit().expect("the reply");
    /// # assert_eq!(Packet::parse(&reply).unwrap().hop_limit(), 57);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`NetworkDown`](io::ErrorKind::NetworkDown) when the driver has ended.
    pub fn reply_with(self, hop_limit: u8) -> io::Result<Answered> {
        self.hub.send_reply(&self.packet.packet(), hop_limit.max(1))
    }

    /// Queues an ICMP error about the request, from its destination. An example is at
    /// [`EchoRequest`].
    ///
    /// # Errors
    ///
    /// [`NetworkDown`](io::ErrorKind::NetworkDown) when the driver has ended.
    pub fn reject(self, kind: impl Into<IcmpErrorKind>) -> io::Result<Answered> {
        let destination = self.destination();
        self.reject_from(destination, kind)
    }

    /// Queues an ICMP error about the request from the address of a router on the path. With
    /// [`HopLimitExceeded`](IcmpErrorKind::HopLimitExceeded), `traceroute -I` shows the router.
    ///
    /// The address is of the family of the request; otherwise the outcome is
    /// [`NotPermitted`](Answered::NotPermitted).
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_engine.rs")); }
    /// # let engine = example::engine();
    /// # let socket = engine.binder().bind_icmp().unwrap();
    /// # example::ping(&engine);
    /// # use brooklet_raw::{Answered, IcmpMessage};
    /// use brooklet_packet::icmp::IcmpErrorKind;
    ///
    /// # futures_lite::future::block_on(async {
    /// # let IcmpMessage::EchoRequest(request) = socket.recv().await? else { panic!() };
    /// let router = "10.0.0.254".parse().unwrap();
    /// let answered = request.reject_from(router, IcmpErrorKind::HopLimitExceeded)?;
    /// assert_eq!(answered, Answered::Queued);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`NetworkDown`](io::ErrorKind::NetworkDown) when the driver has ended.
    pub fn reject_from(
        self,
        router: IpAddr,
        kind: impl Into<IcmpErrorKind>,
    ) -> io::Result<Answered> {
        self.hub
            .send_error(router, &self.packet.packet(), kind.into())
    }
}

impl<F: Flavor> fmt::Debug for EchoRequest<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.packet.fmt(&mut f.debug_struct("EchoRequest"))
    }
}

/// The reply to an echo request that the program has sent by
/// [`IcmpSocket::send_echo_request`](crate::IcmpSocket::send_echo_request), where an example is.
///
/// ```
/// use brooklet_raw::EchoReply;
///
/// /// Prints a reply as `ping` does.
/// fn print(reply: &EchoReply) {
///     let (len, ttl) = (reply.payload().len(), reply.hop_limit());
///     let (source, sequence) = (reply.source(), reply.sequence());
///     println!("{len} bytes from {source}: seq={sequence} ttl={ttl} time={:?}", reply.round_trip());
/// }
/// ```
pub struct EchoReply {
    packet: EchoPacket,
    round_trip: Duration,
}

impl EchoReply {
    pub(crate) fn new(packet: EchoPacket, round_trip: Duration) -> Self {
        Self { packet, round_trip }
    }

    accessors!(packet);

    /// Returns the time from the call that queued the request until the driver received the reply.
    pub fn round_trip(&self) -> Duration {
        self.round_trip
    }
}

impl fmt::Debug for EchoReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("EchoReply");
        out.field("round_trip", &self.round_trip);
        self.packet.fmt(&mut out)
    }
}
