//! Which addresses belong to one host, and which may stand in a packet on a link.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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

/// Returns whether a packet with these addresses is a martian: no host may send such a packet
/// over a link, so that its receiver drops it without an answer.
///
/// A source is martian unless it is a [unicast](is_unicast) address other than loopback (RFC 1122,
/// 3.2.1.3). A destination is martian if it is loopback, unspecified, in 0.0.0.0/8, or in
/// 240.0.0.0/4 without the limited broadcast address; multicast and broadcast destinations are
/// not. An IPv4 address mapped into IPv6 (`::ffff:0:0/96`) is the form in which programs see IPv4
/// addresses and does not occur in packets (RFC 4291, 2.5.5.2): it is martian on either side.
///
/// ```
/// use brooklet_packet::is_martian;
///
/// let martian = |source: &str, destination: &str| {
///     Ok::<bool, std::net::AddrParseError>(is_martian(source.parse()?, destination.parse()?))
/// };
/// assert!(!martian("10.0.0.1", "192.0.2.1")?);
/// assert!(!martian("10.0.0.1", "224.0.0.251")?);
/// assert!(martian("127.0.0.1", "192.0.2.1")?);
/// assert!(martian("10.0.0.1", "127.0.0.1")?);
/// assert!(martian("::ffff:10.0.0.1", "2001:db8::1")?);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub fn is_martian(source: IpAddr, destination: IpAddr) -> bool {
    let source = match source {
        IpAddr::V4(source) => !is_unicast_v4(source) || source.is_loopback(),
        IpAddr::V6(source) => source.is_multicast() || never_on_a_link(source),
    };
    source
        || match destination {
            IpAddr::V4(to) => match to.octets()[0] {
                0 | 127 => true,
                240.. => !to.is_broadcast(),
                _ => false,
            },
            IpAddr::V6(to) => never_on_a_link(to),
        }
}

/// Whether an IPv6 address is unspecified, loopback or a mapped IPv4 address.
fn never_on_a_link(address: Ipv6Addr) -> bool {
    address.is_unspecified() || address.is_loopback() || address.to_ipv4_mapped().is_some()
}
