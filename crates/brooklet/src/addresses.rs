use std::net::IpAddr;

/// Whether no host has `address` on a link: loopback, or an IPv4 address mapped into IPv6. The
/// driver drops packets with such addresses.
pub(crate) fn is_off_link(address: IpAddr) -> bool {
    let is_mapped = matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    address.is_loopback() || is_mapped
}
