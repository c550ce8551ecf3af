//! The addresses and ports of a flow.

use std::error::Error;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::str::FromStr;

/// The source and destination of a packet: the key of a table of flows.
///
/// The key is cheap to hash: one integer for IPv4 and three for IPv6. The protocol is not a part of
/// the key, so keep a table for each protocol. The ports are 0 if the packet has none.
///
/// Keys are ordered by family, IPv4 first, then by source address, destination address, source port
/// and destination port. [`Display`](fmt::Display) writes `10.0.0.1:5000 -> 192.0.2.7:80`, and
/// [`FromStr`] reads it.
///
/// ```
/// use brooklet_packet::FlowKey;
/// use std::collections::HashMap;
///
/// let (client, server) = ("10.0.0.1:5000".parse()?, "192.0.2.7:80".parse()?);
/// let key = FlowKey::new(client, server).expect("two addresses of one family");
/// let flows = HashMap::from([(key, "a flow")]);
///
/// let answer = FlowKey::new(server, client).expect("two addresses of one family");
/// assert_eq!(flows[&answer.reversed()], "a flow");
/// assert_eq!("10.0.0.1:5000 -> 192.0.2.7:80".parse(), Ok(key));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlowKey(Family);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    V4(Ends<Ipv4Addr>),
    V6(Ends<Ipv6Addr>),
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Ends<A> {
    source: A,
    destination: A,
    source_port: u16,
    destination_port: u16,
}

impl<A: Copy> Ends<A> {
    fn reversed(&self) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            source_port: self.destination_port,
            destination_port: self.source_port,
        }
    }
}

impl FlowKey {
    /// Returns the key of a packet from `source` to `destination`, or `None` if the addresses are of
    /// different families.
    ///
    /// An IPv4 address mapped into IPv6 is an IPv6 address here. The key ignores the flow label and
    /// the scope of a [`SocketAddrV6`]: a TUN device is one scope.
    ///
    /// ```
    /// use brooklet_packet::FlowKey;
    ///
    /// let (v4, v6) = ("10.0.0.1:1".parse()?, "[fd00::1]:1".parse()?);
    /// assert!(FlowKey::new(v4, v4).is_some());
    /// assert!(FlowKey::new(v4, v6).is_none());
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn new(source: SocketAddr, destination: SocketAddr) -> Option<Self> {
        let (source_port, destination_port) = (source.port(), destination.port());
        match (source.ip(), destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                Some(Self::v4(source, destination, source_port, destination_port))
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                Some(Self::v6(source, destination, source_port, destination_port))
            }
            _ => None,
        }
    }

    pub(crate) fn v4(
        source: Ipv4Addr,
        destination: Ipv4Addr,
        source_port: u16,
        destination_port: u16,
    ) -> Self {
        Self(Family::V4(Ends {
            source,
            destination,
            source_port,
            destination_port,
        }))
    }

    pub(crate) fn v6(
        source: Ipv6Addr,
        destination: Ipv6Addr,
        source_port: u16,
        destination_port: u16,
    ) -> Self {
        Self(Family::V6(Ends {
            source,
            destination,
            source_port,
            destination_port,
        }))
    }

    /// Returns the source of the packet.
    ///
    /// ```
    /// # use brooklet_packet::FlowKey;
    /// let (source, destination) = ("10.0.0.1:1".parse()?, "10.0.0.2:2".parse()?);
    /// let key = FlowKey::new(source, destination).expect("one family");
    /// assert_eq!(key.source(), source);
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn source(&self) -> SocketAddr {
        match &self.0 {
            Family::V4(ends) => SocketAddrV4::new(ends.source, ends.source_port).into(),
            Family::V6(ends) => SocketAddrV6::new(ends.source, ends.source_port, 0, 0).into(),
        }
    }

    /// Returns the destination of the packet.
    ///
    /// ```
    /// # use brooklet_packet::FlowKey;
    /// let (source, destination) = ("10.0.0.1:1".parse()?, "10.0.0.2:2".parse()?);
    /// let key = FlowKey::new(source, destination).expect("one family");
    /// assert_eq!(key.destination(), destination);
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn destination(&self) -> SocketAddr {
        self.reversed().source()
    }

    /// Returns the key of a packet in the opposite direction.
    ///
    /// ```
    /// # use brooklet_packet::FlowKey;
    /// let (source, destination) = ("10.0.0.1:1".parse()?, "10.0.0.2:2".parse()?);
    /// let key = FlowKey::new(source, destination).expect("one family");
    /// assert_eq!(key.reversed().source(), destination);
    /// assert_eq!(key.reversed().reversed(), key);
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    #[must_use]
    pub fn reversed(&self) -> Self {
        Self(match &self.0 {
            Family::V4(ends) => Family::V4(ends.reversed()),
            Family::V6(ends) => Family::V6(ends.reversed()),
        })
    }

    /// Whether the addresses are IPv6.
    ///
    /// ```
    /// # use brooklet_packet::FlowKey;
    /// let mapped = "[::ffff:10.0.0.1]:1".parse()?;
    /// assert!(FlowKey::new(mapped, mapped).expect("one family").is_ipv6());
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn is_ipv6(&self) -> bool {
        matches!(self.0, Family::V6(_))
    }

    /// Returns the addresses of source and destination.
    ///
    /// ```
    /// # use brooklet_packet::FlowKey;
    /// let key = FlowKey::new("10.0.0.1:1".parse()?, "10.0.0.2:2".parse()?).expect("one family");
    /// assert_eq!(key.addresses().1.to_string(), "10.0.0.2");
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn addresses(&self) -> (IpAddr, IpAddr) {
        match &self.0 {
            Family::V4(ends) => (ends.source.into(), ends.destination.into()),
            Family::V6(ends) => (ends.source.into(), ends.destination.into()),
        }
    }

    /// Returns the ports of source and destination.
    ///
    /// ```
    /// # use brooklet_packet::FlowKey;
    /// let key = FlowKey::new("10.0.0.1:1".parse()?, "10.0.0.2:2".parse()?).expect("one family");
    /// assert_eq!(key.ports(), (1, 2));
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn ports(&self) -> (u16, u16) {
        match &self.0 {
            Family::V4(ends) => (ends.source_port, ends.destination_port),
            Family::V6(ends) => (ends.source_port, ends.destination_port),
        }
    }
}

impl Hash for FlowKey {
    // Hashers for integer keys take a u128 in one step. The family is not hashed: keys of
    // different families write different numbers of integers, and Eq tells them apart.
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.0 {
            Family::V4(ends) => {
                let addresses =
                    u64::from(ends.source.to_bits()) << 32 | u64::from(ends.destination.to_bits());
                state.write_u128(u128::from(ports(ends)) << 64 | u128::from(addresses));
            }
            Family::V6(ends) => {
                state.write_u128(ends.source.to_bits());
                state.write_u128(ends.destination.to_bits());
                state.write_u32(ports(ends));
            }
        }
    }
}

fn ports<A>(ends: &Ends<A>) -> u32 {
    u32::from(ends.source_port) << 16 | u32::from(ends.destination_port)
}

impl fmt::Display for FlowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.source(), self.destination())
    }
}

impl fmt::Debug for FlowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for FlowKey {
    type Err = ParseFlowKeyError;

    fn from_str(text: &str) -> Result<Self, ParseFlowKeyError> {
        let read = |address: &str| address.trim().parse().ok();
        let (source, destination) = text.split_once("->").ok_or(ParseFlowKeyError(()))?;
        read(source)
            .zip(read(destination))
            .and_then(|(source, destination)| Self::new(source, destination))
            .ok_or(ParseFlowKeyError(()))
    }
}

/// The error of reading a [`FlowKey`] from a text: the text is not two addresses of one family with
/// ports and `->` between them.
///
/// ```
/// use brooklet_packet::FlowKey;
///
/// let error = "10.0.0.1:5000 -> [fd00::1]:80".parse::<FlowKey>().unwrap_err();
/// assert_eq!(error.to_string(), "not of the form `address:port -> address:port`, of one family");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseFlowKeyError(());

impl fmt::Display for ParseFlowKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not of the form `address:port -> address:port`, of one family")
    }
}

impl Error for ParseFlowKeyError {}
