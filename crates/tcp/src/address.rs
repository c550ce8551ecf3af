//! The addresses that packets on a link may carry.

use brooklet_packet::is_unicast;
use std::net::{IpAddr, SocketAddr};

/// Whether `address` can be that of a host on a link: it is unicast, not loopback (RFC 1122,
/// 3.2.1.3; RFC 4291, 2.5.3), and not IPv4-mapped, a form that no packet carries (RFC 4038, 4.2).
pub(crate) fn is_host(address: IpAddr) -> bool {
    let is_mapped = |address: IpAddr| match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.to_ipv4_mapped().is_some(),
    };
    is_unicast(address) && !address.is_loopback() && !is_mapped(address)
}

/// Whether `address` can be an end of a connection over a link.
pub(crate) fn is_endpoint(address: SocketAddr) -> bool {
    is_host(address.ip()) && address.port() != 0
}
