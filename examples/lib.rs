//! Helpers shared by the examples.

/// Code that more than one example uses.
pub mod shared {
    pub mod forward;
    #[cfg(target_os = "linux")]
    pub mod namespace;
    #[cfg(target_os = "linux")]
    pub mod netlink;
    #[cfg(target_os = "linux")]
    pub mod run;
    pub mod socks;
    #[cfg(unix)]
    pub mod unix_datagram;

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
