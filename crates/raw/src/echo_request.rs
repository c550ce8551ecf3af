use crate::hub::Hub;
use brooklet_cell::Flavor;
use brooklet_packet::icmp::{self, Echo, IcmpErrorKind};
use brooklet_packet::{Headers, Packet, TrafficClass};
use std::net::IpAddr;
use std::{fmt, io};

/// An ICMP echo request that waits for the program's decision.
///
/// A dropped request is not answered: the client's `ping` waits in vain, as it does for a host that
/// does not exist.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// # use brooklet_io::Clock;
/// # use brooklet_packet::{IpFields, Packet, icmp};
/// # use brooklet_raw::{Config, Engine, Interface};
/// use brooklet_packet::icmp::Unreachable;
/// use brooklet_raw::IcmpMessage;
///
/// # let clock = Clock::new(std::time::Instant::now);
/// # let engine = Engine::<brooklet_cell::Threaded>::new(Interface::new(), Config::new(), clock);
/// # let socket = engine.binder().bind_icmp()?;
/// # let (client, host) = ("10.0.0.1".parse()?, "192.0.2.1".parse()?);
/// # let echo = icmp::Echo { identifier: 7, sequence: 1 };
/// # let mut packet = Vec::new();
/// # icmp::write_echo_request(&mut packet, client, host, IpFields::new(), echo, b"ping")?;
/// # let _ = engine.handle_echo_request(&Packet::parse(&packet)?);
/// # futures_lite::future::block_on(async {
/// if let IcmpMessage::EchoRequest(request) = socket.recv().await? {
///     match request.payload().len() {
///         0..=1400 => request.reply()?,
///         _ => request.reject(Unreachable::Prohibited)?,
///     }
/// }
/// # std::io::Result::Ok(())
/// # })?;
/// # assert!(icmp::parse_echo_reply(&Packet::parse(&engine.poll_transmit().unwrap())?).is_some());
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a dropped request is not answered"]
pub struct EchoRequest<F: Flavor> {
    hub: Hub<F>,
    packet: Vec<u8>,
    headers: Headers,
    echo: Echo,
}

impl<F: Flavor> EchoRequest<F> {
    pub(crate) fn new(hub: &Hub<F>, packet: Vec<u8>, headers: Headers, echo: Echo) -> Self {
        Self {
            hub: hub.clone(),
            packet,
            headers,
            echo,
        }
    }

    /// Returns the address of the client.
    pub fn source(&self) -> IpAddr {
        self.headers.source()
    }

    /// Returns the address that the client pings.
    pub fn destination(&self) -> IpAddr {
        self.headers.destination()
    }

    /// Returns the identifier, which is the same for all requests of one `ping`, and the sequence
    /// number.
    pub fn echo(&self) -> Echo {
        self.echo
    }

    /// Returns the bytes behind the ICMP header, which the reply repeats.
    pub fn payload(&self) -> &[u8] {
        &self.packet[self.headers.payload_range()]
    }

    /// Returns the TTL or hop limit with which the request arrived. A router in the place of the
    /// stack would send the request on with one less.
    pub fn hop_limit(&self) -> u8 {
        self.headers.hop_limit()
    }

    /// Returns the DSCP and ECN of the request.
    pub fn traffic_class(&self) -> TrafficClass {
        self.headers.traffic_class()
    }

    /// Returns whether the request may not be fragmented on its way.
    pub fn dont_fragment(&self) -> bool {
        self.headers.dont_fragment()
    }

    /// Returns the whole packet.
    pub fn packet(&self) -> Packet<'_> {
        Packet::new(&self.packet, self.headers)
    }

    /// Sends the echo reply, in the name of the destination.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if the outbound queue is full, which is counted;
    /// [`NetworkDown`](io::ErrorKind::NetworkDown) when the driver has ended.
    pub fn reply(self) -> io::Result<()> {
        self.hub.send_now(|out| {
            // The engine takes only requests that can be answered.
            icmp::echo_reply(out, &self.packet());
            Ok(())
        })
    }

    /// Answers with an ICMP error, in the name of the destination.
    ///
    /// # Errors
    ///
    /// As [`reply`](Self::reply), and [`WouldBlock`](io::ErrorKind::WouldBlock) if the rate limit of
    /// ICMP errors is reached.
    pub fn reject(self, kind: impl Into<IcmpErrorKind>) -> io::Result<()> {
        self.hub.send_error(&self.packet(), kind.into(), None)
    }

    /// Answers with an ICMP error in the name of `router`, a host on the path of the request.
    /// `traceroute -I` shows the address.
    ///
    /// # Errors
    ///
    /// As [`reject`](Self::reject).
    pub fn reject_from(self, router: IpAddr, kind: impl Into<IcmpErrorKind>) -> io::Result<()> {
        self.hub
            .send_error(&self.packet(), kind.into(), Some(router))
    }
}

impl<F: Flavor> fmt::Debug for EchoRequest<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EchoRequest")
            .field("source", &self.source())
            .field("destination", &self.destination())
            .field("echo", &self.echo)
            .field("payload", &format_args!("{} bytes", self.payload().len()))
            .finish_non_exhaustive()
    }
}
