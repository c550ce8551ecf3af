//! The traffic class: DSCP and ECN.

use std::fmt;

/// The traffic class of IPv6 or the type of service of IPv4: the differentiated services codepoint
/// (DSCP, RFC 2474) in the upper 6 bits, explicit congestion notification (ECN, RFC 3168) in the
/// lower 2 bits.
///
/// The default is 0: best effort, not ECN-capable. [`Display`](fmt::Display) writes the byte in
/// hexadecimal, like tcpdump.
///
/// ```
/// use brooklet_packet::{Ecn, TrafficClass};
///
/// // Expedited forwarding is DSCP 46 (RFC 3246).
/// let class = TrafficClass::default().with_dscp(46).with_ecn(Ecn::Ect0);
/// assert_eq!((class.dscp(), class.ecn()), (46, Ecn::Ect0));
/// assert_eq!(class.to_string(), "0xba");
/// assert_eq!(TrafficClass::from_bits(0xba), class);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(transparent)
)]
pub struct TrafficClass(u8);

impl TrafficClass {
    /// Returns the traffic class of the byte in an IP header.
    ///
    /// ```
    /// # use brooklet_packet::{Ecn, TrafficClass};
    /// assert_eq!(TrafficClass::from_bits(3).ecn(), Ecn::Ce);
    /// ```
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// Returns the byte in an IP header.
    ///
    /// ```
    /// # use brooklet_packet::TrafficClass;
    /// assert_eq!(TrafficClass::default().with_dscp(10).bits(), 40);
    /// ```
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Returns the differentiated services codepoint, from 0 to 63.
    ///
    /// ```
    /// # use brooklet_packet::TrafficClass;
    /// assert_eq!(TrafficClass::from_bits(0xff).dscp(), 63);
    /// ```
    pub const fn dscp(self) -> u8 {
        self.0 >> 2
    }

    /// Returns the ECN codepoint.
    ///
    /// ```
    /// # use brooklet_packet::{Ecn, TrafficClass};
    /// assert_eq!(TrafficClass::default().ecn(), Ecn::NotEct);
    /// ```
    pub const fn ecn(self) -> Ecn {
        match self.0 & 0b11 {
            0b00 => Ecn::NotEct,
            0b01 => Ecn::Ect1,
            0b10 => Ecn::Ect0,
            _ => Ecn::Ce,
        }
    }

    /// Returns this traffic class with another differentiated services codepoint. The upper 2 bits
    /// of `dscp` are ignored.
    ///
    /// ```
    /// # use brooklet_packet::{Ecn, TrafficClass};
    /// let class = TrafficClass::from_bits(0xff).with_dscp(0);
    /// assert_eq!((class.dscp(), class.ecn()), (0, Ecn::Ce));
    /// ```
    #[must_use]
    pub const fn with_dscp(self, dscp: u8) -> Self {
        Self(dscp << 2 | self.0 & 0b11)
    }

    /// Returns this traffic class with another ECN codepoint.
    ///
    /// ```
    /// # use brooklet_packet::{Ecn, TrafficClass};
    /// let class = TrafficClass::from_bits(0xff).with_ecn(Ecn::NotEct);
    /// assert_eq!((class.dscp(), class.ecn()), (63, Ecn::NotEct));
    /// ```
    #[must_use]
    pub const fn with_ecn(self, ecn: Ecn) -> Self {
        Self(self.0 & !0b11 | ecn as u8)
    }
}

impl fmt::Display for TrafficClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#04x}", self.0)
    }
}

/// The ECN codepoint of a packet (RFC 3168, 5).
///
/// ```
/// use brooklet_packet::{Ecn, TrafficClass};
///
/// assert_eq!(TrafficClass::from_bits(0b10).ecn(), Ecn::Ect0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
pub enum Ecn {
    /// The transport is not ECN-capable.
    #[default]
    NotEct = 0b00,
    /// The transport is ECN-capable: ECT(1), of the L4S service (RFC 9331).
    Ect1 = 0b01,
    /// The transport is ECN-capable: ECT(0).
    Ect0 = 0b10,
    /// A router on the path experienced congestion.
    Ce = 0b11,
}
