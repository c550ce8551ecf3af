/// Checks the value of `--mtu`.
///
/// # Errors
///
/// The MTU is less than the minimum of the IP versions: 1,280 bytes with IPv6 (RFC 8200, section 5), and
/// otherwise 576, which every IPv4 host takes (RFC 791).
pub(crate) fn check_mtu(mtu: u16, ipv6: bool) -> Result<(), &'static str> {
    match (mtu, ipv6) {
        (1280.., _) | (576.., false) => Ok(()),
        (_, true) => Err("--mtu is at least 1280, which IPv6 asks for (576 with --no-ipv6)"),
        (_, false) => Err("--mtu is at least 576"),
    }
}
