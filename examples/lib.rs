//! Helpers shared by the examples.

/// Code that more than one example uses.
pub mod shared {
    #[cfg(unix)]
    pub mod memory_profile;
    pub mod socks;
    #[cfg(unix)]
    pub mod unix_datagram;

    /// Checks the value of `--mtu`.
    ///
    /// # Errors
    ///
    /// The MTU is less than the minimum of the IP versions: 1,280 bytes with IPv6 (RFC 8200, section
    /// 5), and otherwise 576, which every IPv4 host takes (RFC 791).
    pub fn check_mtu(mtu: u16, ipv6: bool) -> Result<(), &'static str> {
        match (mtu, ipv6) {
            (1280.., _) | (576.., false) => Ok(()),
            (_, true) => Err("--mtu is at least 1280, which IPv6 asks for (576 with --no-ipv6)"),
            (_, false) => Err("--mtu is at least 576"),
        }
    }

    /// The error of an example that needs a TUN device by its name, on a system whose VPN service
    /// opens the device and hands over a file descriptor.
    pub fn no_tun_by_name() -> std::io::Error {
        std::io::Error::new(
            std::io::ErrorKind::Unsupported,
            "programs cannot open a TUN device on this system: see Tun::from_fd",
        )
    }
}

/// The README's examples, compiled and run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;

/// The lines of the guide for programs that use netstack-smoltcp, likewise.
#[cfg(doctest)]
#[doc = include_str!("../docs/from-netstack-smoltcp.md")]
pub struct FromNetstackSmoltcp;
