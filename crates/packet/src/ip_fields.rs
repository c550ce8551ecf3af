//! The fields of an IP header that a sender chooses.

use crate::TrafficClass;

/// The fields of an IP header that a sender chooses beside the addresses.
///
/// ```
/// use brooklet_packet::{IpFields, Packet, TrafficClass, udp};
///
/// let (from, to) = ("10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?);
/// let fields = IpFields::new()
///     .hop_limit(3)
///     .traffic_class(TrafficClass::default().with_dscp(46));
/// let mut out = Vec::new();
/// udp::write_with(&mut out, from, to, fields, b"a question")?;
///
/// let packet = Packet::parse(&out)?;
/// assert_eq!(packet.hop_limit(), 3);
/// assert_eq!(packet.traffic_class().dscp(), 46);
/// assert!(packet.dont_fragment());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct IpFields {
    /// The IPv4 time to live or the IPv6 hop limit. Default 64.
    pub hop_limit: u8,
    /// The IPv4 type of service or the IPv6 traffic class. Default 0.
    pub traffic_class: TrafficClass,
    /// The IPv4 flag "don't fragment". Default `true`. IPv6 routers never fragment, so the field
    /// has no effect there.
    pub dont_fragment: bool,
    /// The IPv4 identification. Default 0. A packet with "don't fragment" is written with 0, because
    /// its identification means nothing (RFC 6864, 4.1); other packets need an identification that
    /// no other packet in flight with the same addresses and protocol has (RFC 6864, 4.2).
    pub identification: u16,
}

impl IpFields {
    /// Returns the default fields.
    ///
    /// ```
    /// # use brooklet_packet::IpFields;
    /// assert_eq!(IpFields::new().hop_limit, 64);
    /// ```
    pub const fn new() -> Self {
        Self {
            hop_limit: 64,
            traffic_class: TrafficClass::from_bits(0),
            dont_fragment: true,
            identification: 0,
        }
    }

    /// Sets [`hop_limit`](Self::hop_limit).
    ///
    /// ```
    /// # use brooklet_packet::IpFields;
    /// assert_eq!(IpFields::new().hop_limit(1).hop_limit, 1);
    /// ```
    #[must_use]
    pub const fn hop_limit(mut self, hop_limit: u8) -> Self {
        self.hop_limit = hop_limit;
        self
    }

    /// Sets [`traffic_class`](Self::traffic_class).
    ///
    /// ```
    /// # use brooklet_packet::{IpFields, TrafficClass};
    /// let class = TrafficClass::from_bits(0xb8);
    /// assert_eq!(IpFields::new().traffic_class(class).traffic_class, class);
    /// ```
    #[must_use]
    pub const fn traffic_class(mut self, traffic_class: TrafficClass) -> Self {
        self.traffic_class = traffic_class;
        self
    }

    /// Sets [`dont_fragment`](Self::dont_fragment).
    ///
    /// ```
    /// # use brooklet_packet::IpFields;
    /// assert!(!IpFields::new().dont_fragment(false).dont_fragment);
    /// ```
    #[must_use]
    pub const fn dont_fragment(mut self, dont_fragment: bool) -> Self {
        self.dont_fragment = dont_fragment;
        self
    }

    /// Sets [`identification`](Self::identification).
    ///
    /// ```
    /// # use brooklet_packet::IpFields;
    /// let fields = IpFields::new().dont_fragment(false).identification(7);
    /// assert_eq!(fields.identification, 7);
    /// ```
    #[must_use]
    pub const fn identification(mut self, identification: u16) -> Self {
        self.identification = identification;
        self
    }
}

impl Default for IpFields {
    fn default() -> Self {
        Self::new()
    }
}
