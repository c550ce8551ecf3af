//! The addresses that packets on a link may carry.

use brooklet_packet::is_unicast;
use std::net::{IpAddr, SocketAddr};

/// Whether `address` can be that of a host on a link.
pub(crate) fn is_host(address: IpAddr) -> bool {
    broken_rule(address).is_none()
}

/// The rule by which `address` cannot be that of a host on a link; `None` if it can.
///
/// Such an address is unicast, not loopback (RFC 1122, 3.2.1.3; RFC 4291, 2.5.3), and not
/// IPv4-mapped, a form that no packet carries (RFC 4038, 4.2).
pub(crate) fn broken_rule(address: IpAddr) -> Option<&'static str> {
    if matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some()) {
        Some("no packet carries an IPv4-mapped address, use the IPv4 address")
    } else if address.is_loopback() {
        Some("a loopback address is not reachable through a stack")
    } else if !is_unicast(address) {
        Some("the address is not unicast")
    } else {
        None
    }
}

/// Whether `address` can be an end of a connection over a link.
pub(crate) fn is_endpoint(address: SocketAddr) -> bool {
    is_host(address.ip()) && address.port() != 0
}
