use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// A MAC address: the 48-bit address of an interface on an Ethernet.
///
/// ```
/// use brooklet_ethernet::MacAddr;
///
/// let mac: MacAddr = "02:00:00:00:00:2a".parse()?;
/// assert_eq!(mac, MacAddr::from([2, 0, 0, 0, 0, 42]));
/// assert_eq!(mac.to_string(), "02:00:00:00:00:2a");
/// # Ok::<(), brooklet_ethernet::ParseMacAddrError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr([u8; 6]);

impl MacAddr {
    /// The broadcast address, `ff:ff:ff:ff:ff:ff`.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Makes an address of its six bytes, in the order of transmission.
    ///
    /// ```
    /// # use brooklet_ethernet::MacAddr;
    /// const ROUTER: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 1]);
    /// assert!(ROUTER.is_unicast());
    /// ```
    #[must_use]
    pub const fn new(octets: [u8; 6]) -> Self {
        Self(octets)
    }

    /// Returns the six bytes.
    ///
    /// ```
    /// # use brooklet_ethernet::MacAddr;
    /// assert_eq!(MacAddr::BROADCAST.octets(), [0xff; 6]);
    /// ```
    #[must_use]
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }

    /// Returns whether the address is that of one interface: neither a group address, such as that
    /// of broadcast, nor zero.
    ///
    /// ```
    /// # use brooklet_ethernet::MacAddr;
    /// assert!(!MacAddr::BROADCAST.is_unicast());
    /// assert!(!MacAddr::new([0; 6]).is_unicast());
    /// ```
    #[must_use]
    pub fn is_unicast(self) -> bool {
        self.0[0] & 1 == 0 && self.0 != [0; 6]
    }

    /// Returns the group address to which packets for a multicast address go (RFC 1112, 6.4 and
    /// RFC 2464, 7).
    pub(crate) fn of_group(group: IpAddr) -> Self {
        match group {
            IpAddr::V4(group) => {
                let [_, b, c, d] = group.octets();
                Self([0x01, 0x00, 0x5e, b & 0x7f, c, d])
            }
            IpAddr::V6(group) => {
                let [.., a, b, c, d] = group.octets();
                Self([0x33, 0x33, a, b, c, d])
            }
        }
    }

    /// Returns the link-local address with the modified EUI-64 of this address (RFC 4291, 2.5.1).
    pub(crate) fn link_local(self) -> Ipv6Addr {
        let [a, b, c, d, e, f] = self.0;
        let id = [a ^ 2, b, c, 0xff, 0xfe, d, e, f];
        let mut octets = [0; 16];
        octets[..2].copy_from_slice(&[0xfe, 0x80]);
        octets[8..].copy_from_slice(&id);
        octets.into()
    }
}

impl From<[u8; 6]> for MacAddr {
    fn from(octets: [u8; 6]) -> Self {
        Self(octets)
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The error of parsing a [`MacAddr`]: write six bytes in hexadecimal, two digits each, with colons
/// between them.
///
/// ```
/// use brooklet_ethernet::MacAddr;
///
/// assert!("2:0:0:0:0:1".parse::<MacAddr>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseMacAddrError;

impl fmt::Display for ParseMacAddrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a MAC address has six bytes of two hexadecimal digits, with colons between")
    }
}

impl Error for ParseMacAddrError {}

impl FromStr for MacAddr {
    type Err = ParseMacAddrError;

    fn from_str(text: &str) -> Result<Self, ParseMacAddrError> {
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts.next().filter(|part| part.len() == 2);
            let digits = part.filter(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()));
            *octet = digits
                .and_then(|part| u8::from_str_radix(part, 16).ok())
                .ok_or(ParseMacAddrError)?;
        }
        match parts.next() {
            None => Ok(Self(octets)),
            Some(_) => Err(ParseMacAddrError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(ip: &str) -> String {
        MacAddr::of_group(ip.parse().unwrap()).to_string()
    }

    #[test]
    fn a_multicast_address_has_its_group_address() {
        assert_eq!(group("224.0.0.251"), "01:00:5e:00:00:fb");
        assert_eq!(group("239.255.1.2"), "01:00:5e:7f:01:02");
        assert_eq!(group("ff02::1:ff28:9c5a"), "33:33:ff:28:9c:5a");
    }

    #[test]
    fn the_link_local_address_has_the_modified_eui_64() {
        let mac: MacAddr = "34:56:78:9a:bc:de".parse().unwrap();
        assert_eq!(mac.link_local().to_string(), "fe80::3656:78ff:fe9a:bcde");
    }

    #[test]
    fn text_that_is_no_mac_address_is_refused() {
        for text in [
            "",
            "02:00:00:00:00",
            "02:00:00:00:00:01:02",
            "02-00-00-00-00-01",
            "+2:00:00:00:00:01",
            "0g:00:00:00:00:01",
            "020:0:00:00:00:01",
        ] {
            assert_eq!(text.parse::<MacAddr>(), Err(ParseMacAddrError), "{text}");
        }
    }
}
