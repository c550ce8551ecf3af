use crate::setters::setters;
use brooklet_packet::FlowKey;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Which datagrams of a client belong to one session (RFC 4787, section 4.1).
///
/// ```
/// use brooklet_udp::Mapping;
///
/// // REQ-1 of RFC 4787: a NAT must have it.
/// assert_eq!(Mapping::default(), Mapping::EndpointIndependent);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
pub enum Mapping {
    /// One session for each source address and port, whatever the destinations. STUN and
    /// peer-to-peer programs need it.
    #[default]
    EndpointIndependent,
    /// One session for each source address and port and destination address.
    AddressDependent,
    /// One session for each source address and port and destination address and port.
    AddressAndPortDependent,
}

/// Which remote addresses may send to the client of a session (RFC 4787, section 5).
///
/// ```
/// use brooklet_udp::Filtering;
///
/// assert_eq!(Filtering::default(), Filtering::EndpointIndependent);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
pub enum Filtering {
    /// Every address and port.
    #[default]
    EndpointIndependent,
    /// The addresses that the client has sent to, from any port.
    AddressDependent,
    /// The addresses and ports that the client has sent to.
    AddressAndPortDependent,
}

/// The settings and limits of the sessions of a [`UdpListener`](crate::UdpListener).
///
/// ```
/// use brooklet_udp::{Filtering, SessionConfig};
/// use std::time::Duration;
///
/// let config = SessionConfig::new()
///     .filtering(Filtering::AddressDependent)
///     .idle_timeout(Duration::from_secs(300));
/// assert_eq!(config.dns_timeout, Duration::from_secs(10));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
#[non_exhaustive]
pub struct SessionConfig {
    /// Which datagrams of a client belong to one session. Default endpoint-independent.
    pub mapping: Mapping,
    /// Which remote addresses may send to the client. Default endpoint-independent.
    pub filtering: Filtering,
    /// A session ends after this time without a datagram in either direction. Default 120 s, the
    /// least that RFC 4787 allows a NAT (REQ-5).
    pub idle_timeout: Duration,
    /// A session ends after this time without a datagram if all of the client's datagrams went to
    /// port 53 and as many answers were sent as questions. Default 10 s.
    pub dns_timeout: Duration,
    /// The largest number of sessions. Default 16,384, at least 1. A new session ends the least
    /// recently used one.
    pub sessions: usize,
    /// The largest number of sessions of one source, which is an IPv4 address or an IPv6 /64.
    /// Default 4,096, at least 1. A new session ends the least recently used one of its source.
    pub per_source: usize,
    /// The largest number of sessions that wait to be accepted. Default 1,024, at least 1. One
    /// source may take three times the places that are free. The datagram of one more session is
    /// dropped and counted.
    pub backlog: usize,
    /// The largest number of datagrams in the queue of one session. Default 256, at least 1.
    pub packets: usize,
    /// The largest number of bytes of payload in the queue of one session. Default 256 KiB. With
    /// less than 65,507 bytes, the longest datagrams never fit.
    pub bytes: usize,
    /// The largest number of bytes of payload in the queues of all sessions. Default 16 MiB. One
    /// source may hold three times the room that is free.
    pub total_bytes: usize,
    /// Whether segment batches (GRO) are received as one [`Datagram`](crate::Datagram) with a
    /// [`segment_size`](crate::Datagram#structfield.segment_size). Default `false`: one by one.
    pub gro: bool,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            mapping: Mapping::default(),
            filtering: Filtering::default(),
            idle_timeout: Duration::from_secs(120),
            dns_timeout: Duration::from_secs(10),
            sessions: 16_384,
            per_source: 4096,
            backlog: 1024,
            packets: 256,
            bytes: 256 << 10,
            total_bytes: 16 << 20,
            gro: false,
        }
    }
}

impl SessionConfig {
    /// Returns the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        mapping: Mapping,
        filtering: Filtering,
        idle_timeout: Duration,
        dns_timeout: Duration,
        sessions: usize,
        per_source: usize,
        backlog: usize,
        packets: usize,
        bytes: usize,
        total_bytes: usize,
        gro: bool,
    }

    /// The same settings, with 1 in place of a 0 that would stop all traffic.
    pub(crate) fn usable(self) -> Self {
        Self {
            sessions: self.sessions.max(1),
            per_source: self.per_source.max(1),
            backlog: self.backlog.max(1),
            packets: self.packets.max(1),
            ..self
        }
    }
}

impl Mapping {
    /// The key of the session to which the datagrams from `source` to `destination` belong. The
    /// parts of the destination that do not matter are zero.
    pub(crate) fn key(self, source: SocketAddr, destination: SocketAddr) -> Option<FlowKey> {
        let unspecified = || match destination {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let destination = match self {
            Self::EndpointIndependent => SocketAddr::new(unspecified(), 0),
            Self::AddressDependent => SocketAddr::new(destination.ip(), 0),
            Self::AddressAndPortDependent => destination,
        };
        FlowKey::new(source, destination)
    }
}

impl Filtering {
    /// What the session remembers of a remote address that the client has sent to, and compares a
    /// sender with. `None` if every address may send.
    pub(crate) fn remote(self, remote: SocketAddr) -> Option<SocketAddr> {
        match self {
            Self::EndpointIndependent => None,
            Self::AddressDependent => Some(SocketAddr::new(remote.ip(), 0)),
            Self::AddressAndPortDependent => Some(SocketAddr::new(remote.ip(), remote.port())),
        }
    }
}
