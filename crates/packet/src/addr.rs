//! Which addresses belong to one host.

use std::net::{IpAddr, Ipv4Addr};

/// Whether `addr` can be the address of one host, and so may stand on either side of a connection.
///
/// Not so are the unspecified address, multicast, and of IPv4 also all of 0.0.0.0/8 and of
/// 240.0.0.0/4, which includes the limited broadcast address (RFC 1122, 3.2.1.3). Loopback counts
/// as unicast. The broadcast address of a subnet cannot be told without knowing the subnet.
/// An IPv4 address mapped into IPv6 is judged as the IPv4 address.
///
/// ```
/// use brooklet_packet::is_unicast;
///
/// assert!(is_unicast("192.0.2.1".parse()?));
/// assert!(is_unicast("::1".parse()?));
/// assert!(!is_unicast("255.255.255.255".parse()?));
/// assert!(!is_unicast("ff02::1".parse()?));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub fn is_unicast(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(addr) => is_unicast_v4(addr),
        IpAddr::V6(addr) => match addr.to_ipv4_mapped() {
            Some(addr) => is_unicast_v4(addr),
            None => !addr.is_unspecified() && !addr.is_multicast(),
        },
    }
}

fn is_unicast_v4(addr: Ipv4Addr) -> bool {
    // 224/4 is multicast and 240/4 reserved: everything from 224 on.
    (1..224).contains(&addr.octets()[0])
}
