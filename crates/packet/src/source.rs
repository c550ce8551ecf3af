//! The source that limits per source count.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The source of a packet as far as limits per source count it: an IPv4 address, or an IPv6 /64.
///
/// An IPv6 host chooses its addresses from a /64 (RFC 4291, 2.5.1), so a limit per address would
/// not limit the host. An IPv4 address mapped into IPv6 is an IPv6 address here: all of them are in
/// one /64.
///
/// ```
/// use brooklet_packet::SourcePrefix;
///
/// let one = SourcePrefix::new("2001:db8::1".parse()?);
/// assert_eq!(one, SourcePrefix::new("2001:db8::ffff:1".parse()?));
/// assert_ne!(one, SourcePrefix::new("2001:db8:0:1::1".parse()?));
/// assert_eq!(one.to_string(), "2001:db8::/64");
/// assert_eq!(SourcePrefix::new("192.0.2.1".parse()?).to_string(), "192.0.2.1");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourcePrefix {
    is_ipv6: bool,
    /// The IPv4 address, or the upper 64 bits of the IPv6 address.
    bits: u64,
}

impl SourcePrefix {
    /// Returns the source to which `address` belongs.
    ///
    /// ```
    /// use brooklet_packet::{FlowKey, SourcePrefix};
    ///
    /// let key: FlowKey = "[fd00::7]:5000 -> [fd00:1::1]:80".parse()?;
    /// assert_eq!(SourcePrefix::new(key.source().ip()).to_string(), "fd00::/64");
    /// # Ok::<(), brooklet_packet::ParseFlowKeyError>(())
    /// ```
    pub const fn new(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self {
                is_ipv6: false,
                bits: address.to_bits() as u64,
            },
            IpAddr::V6(address) => Self {
                is_ipv6: true,
                bits: (address.to_bits() >> 64) as u64,
            },
        }
    }

    /// Whether `address` belongs to this source.
    ///
    /// ```
    /// # use brooklet_packet::SourcePrefix;
    /// let source = SourcePrefix::new("fd00::1".parse()?);
    /// assert!(source.contains("fd00::2".parse()?));
    /// assert!(!source.contains("10.0.0.1".parse()?));
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn contains(self, address: IpAddr) -> bool {
        self == Self::new(address)
    }
}

impl From<IpAddr> for SourcePrefix {
    fn from(address: IpAddr) -> Self {
        Self::new(address)
    }
}

impl fmt::Display for SourcePrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_ipv6 {
            let network = Ipv6Addr::from_bits(u128::from(self.bits) << 64);
            write!(f, "{network}/64")
        } else {
            // `new` sets no more than 32 bits.
            Ipv4Addr::from_bits(self.bits as u32).fmt(f)
        }
    }
}

impl fmt::Debug for SourcePrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
