use brooklet::{IcmpErrorKind, Unreachable};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// What becomes of the packets of a client to a destination.
///
/// `SocketAddr`, `Option<SocketAddr>` (where `None` refuses), `IcmpErrorKind` and `Unreachable`
/// convert into a `Destination`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Destination {
    /// The host connects, or sends, to this address.
    To(SocketAddr),
    /// A connection is refused with a RST, a datagram answered with "port unreachable", and an
    /// echo request with "host unreachable".
    Refuse,
    /// The client gets this ICMP error from the relay, as from a router.
    Reject(IcmpErrorKind),
    /// No answer: the client waits until it gives up.
    Drop,
}

impl From<SocketAddr> for Destination {
    fn from(to: SocketAddr) -> Self {
        Self::To(to)
    }
}

impl From<Option<SocketAddr>> for Destination {
    fn from(to: Option<SocketAddr>) -> Self {
        to.map_or(Self::Refuse, Self::To)
    }
}

impl From<IcmpErrorKind> for Destination {
    fn from(kind: IcmpErrorKind) -> Self {
        Self::Reject(kind)
    }
}

impl From<Unreachable> for Destination {
    fn from(why: Unreachable) -> Self {
        Self::Reject(why.into())
    }
}

/// Maps the destination that a client asks for to the address that the host connects to, or to the
/// answer that the client gets instead.
///
/// A destination that maps to another address is the relay itself: no router is between it and
/// the client.
#[derive(Clone)]
pub struct Map(Arc<dyn Fn(SocketAddr) -> Destination + Send + Sync>);

impl Map {
    /// Makes a map from a function.
    ///
    /// ```
    /// use brooklet::Unreachable;
    /// use brooklet_relay::{Destination, Map};
    /// use std::net::SocketAddr;
    ///
    /// // No mail server is reached.
    /// let map = Map::new(|to: SocketAddr| (to.port() != 25).then_some(to));
    /// assert_eq!(map.destination("192.0.2.1:25".parse().unwrap()), Destination::Refuse);
    ///
    /// let map = Map::new(|to: SocketAddr| match to.port() {
    ///     25 => Unreachable::Prohibited.into(),
    ///     _ => Destination::To(to),
    /// });
    /// let rejected = Destination::Reject(Unreachable::Prohibited.into());
    /// assert_eq!(map.destination("192.0.2.1:25".parse().unwrap()), rejected);
    /// ```
    pub fn new<D: Into<Destination>>(
        map: impl Fn(SocketAddr) -> D + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(move |to| map(to).into()))
    }

    /// Maps every destination to itself, and refuses loopback addresses: they would reach services
    /// that the host keeps for itself.
    ///
    /// ```
    /// use brooklet_relay::{Destination, Map};
    ///
    /// let map = Map::transparent();
    /// let remote = "192.0.2.1:80".parse().unwrap();
    /// assert_eq!(map.destination(remote), Destination::To(remote));
    /// assert_eq!(map.destination("127.0.0.1:80".parse().unwrap()), Destination::Refuse);
    /// ```
    pub fn transparent() -> Self {
        Self::new(|to| (!to.ip().to_canonical().is_loopback()).then_some(to))
    }

    /// Returns what becomes of packets to `to`.
    pub fn destination(&self, to: SocketAddr) -> Destination {
        (self.0)(to)
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Map")
    }
}
