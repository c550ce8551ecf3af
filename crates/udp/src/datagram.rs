use crate::setters::setters;
use brooklet_packet::TrafficClass;
use std::{fmt, net::SocketAddr, num::NonZeroU16};

/// A datagram with both of its addresses, and with the fields of its IP header that a program may
/// want to see or choose.
///
/// A received datagram has the fields of its packet. A datagram that is sent without changes thus
/// has the hop limit, the traffic class and the "don't fragment" of the received one.
/// [`new`](Self::new) and [`reply`](Self::reply) set the defaults.
///
/// The `Debug` output shows the length of the payload, not its content.
///
/// ```
/// use brooklet_udp::Datagram;
///
/// let (client, server) = ("10.0.0.1:5000".parse()?, "9.9.9.9:53".parse()?);
/// let question = Datagram::new(*b"question", client, server);
/// assert_eq!((question.from, question.to), (client, server));
/// assert!(format!("{question:?}").contains("8 bytes"));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Datagram {
    /// The payload, which may be empty.
    pub payload: Vec<u8>,
    /// The address of the sender.
    pub from: SocketAddr,
    /// The destination address.
    pub to: SocketAddr,
    /// The IPv4 time to live or IPv6 hop limit. A received datagram has the value that was left on
    /// arrival. For sending, `None` is the default of the socket, and 0 counts as 1.
    #[cfg_attr(feature = "serde", serde(default))]
    pub hop_limit: Option<u8>,
    /// The IPv4 type of service or IPv6 traffic class: DSCP and ECN. Default 0.
    #[cfg_attr(feature = "serde", serde(default))]
    pub traffic_class: TrafficClass,
    /// Whether the datagram must not be fragmented. A received IPv4 datagram has the "don't
    /// fragment" bit of its header here; a received IPv6 datagram has `true`, because no router
    /// fragments it, unless its sender did. With `true`, a datagram that exceeds the path MTU is not sent:
    /// [`SendError::TooLong`](crate::SendError::TooLong). Default `false`.
    #[cfg_attr(feature = "serde", serde(default))]
    pub dont_fragment: bool,
    /// The payload is a batch of datagrams (UDP GSO and GRO) with this many bytes each; the last
    /// one may have fewer. Received datagrams have this only if the reader asked for batches.
    /// Default `None`: one datagram.
    #[cfg_attr(feature = "serde", serde(default))]
    pub segment_size: Option<NonZeroU16>,
}

impl Datagram {
    /// Creates a datagram that carries `payload` from the address `from` to the address `to`.
    #[must_use]
    pub fn new(payload: impl Into<Vec<u8>>, from: SocketAddr, to: SocketAddr) -> Self {
        Self {
            payload: payload.into(),
            from,
            to,
            hop_limit: None,
            traffic_class: TrafficClass::default(),
            dont_fragment: false,
            segment_size: None,
        }
    }

    setters! {
        hop_limit: Option<u8>,
        traffic_class: TrafficClass,
        dont_fragment: bool,
        segment_size: Option<NonZeroU16>,
    }

    /// Creates a reply to this datagram: the addresses are swapped, and the other fields have their
    /// defaults.
    ///
    /// ```
    /// use brooklet_udp::Datagram;
    ///
    /// let (client, server) = ("10.0.0.1:5000".parse()?, "9.9.9.9:53".parse()?);
    /// let question = Datagram::new(*b"question", client, server);
    /// assert_eq!(question.reply(*b"answer"), Datagram::new(*b"answer", server, client));
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    #[must_use]
    pub fn reply(&self, payload: impl Into<Vec<u8>>) -> Self {
        Self::new(payload, self.to, self.from)
    }
}

impl fmt::Debug for Datagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Datagram")
            .field("payload", &format_args!("{} bytes", self.payload.len()))
            .field("from", &self.from)
            .field("to", &self.to)
            .field("hop_limit", &self.hop_limit)
            .field("traffic_class", &self.traffic_class)
            .field("dont_fragment", &self.dont_fragment)
            .field("segment_size", &self.segment_size)
            .finish()
    }
}
