use crate::tun::{RawIo, Tun};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::task::{Context, Poll};
use tun_rs::{AsyncDevice, DeviceBuilder};

/// Makes a TUN device, or attaches to a persistent one of the same name.
///
/// What a persistent device already has (its MTU, an address, being up) is not set again, so that
/// its owner can attach without privileges: `ip tuntap add tun0 mode tun user alice`, once, as
/// root.
///
/// ```no_run
/// # fn main() -> std::io::Result<()> {
/// let tun = brooklet_tun::TunBuilder::new("tun0")
///     .mtu(1500)
///     .ipv4([10, 77, 0, 1].into(), 24)
///     .ipv6("fd77::1".parse().unwrap(), 64)
///     .open()?;
/// assert_eq!(tun.mtu(), Some(1500));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is opened before `open`"]
pub struct TunBuilder {
    name: String,
    mtu: Option<u16>,
    ipv4: Option<(Ipv4Addr, u8)>,
    ipv6: Option<(Ipv6Addr, u8)>,
}

impl TunBuilder {
    /// Starts with the name of the interface: at most 15 bytes on Linux, `utun` and a number on
    /// macOS, `tun` and a number on the BSDs.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            mtu: None,
            ipv4: None,
            ipv6: None,
        }
    }

    /// Sets the largest packet in bytes. By default the interface keeps what it has: 1500 when it
    /// is made, on Linux.
    pub fn mtu(mut self, mtu: u16) -> Self {
        self.mtu = Some(mtu);
        self
    }

    /// Gives the interface, that is the host's side, an IPv4 address and the network around it.
    pub fn ipv4(mut self, address: Ipv4Addr, prefix: u8) -> Self {
        self.ipv4 = Some((address, prefix));
        self
    }

    /// Gives the interface, that is the host's side, an IPv6 address and the network around it.
    pub fn ipv6(mut self, address: Ipv6Addr, prefix: u8) -> Self {
        self.ipv6 = Some((address, prefix));
        self
    }

    /// Opens the device, in the network namespace of the calling thread, and brings it up.
    ///
    /// # Errors
    ///
    /// The text is one line that says what to do, for a missing `/dev/net/tun`, for missing
    /// permission, for a name that is too long, in use or that of another kind of interface; the
    /// [`kind`](io::Error::kind) is that of the system's error.
    pub fn open(self) -> io::Result<Tun> {
        #[cfg(target_os = "linux")]
        let device = linux::open(&self)?;
        #[cfg(not(target_os = "linux"))]
        let device = {
            let mut builder = DeviceBuilder::new().name(&self.name);
            if let Some(mtu) = self.mtu {
                builder = builder.mtu(mtu);
            }
            if let Some((address, prefix)) = self.ipv4 {
                builder = builder.ipv4(address, prefix, None);
            }
            if let Some((address, prefix)) = self.ipv6 {
                builder = builder.ipv6(address, prefix);
            }
            builder.build_async().map_err(|error| {
                io::Error::new(
                    error.kind(),
                    format!("cannot open TUN `{}`: {error}", self.name),
                )
            })?
        };
        // Asked for now: later calls might come from a thread in another network namespace.
        let (name, mtu) = (device.name()?, device.mtu()?);
        Ok(Tun::new(device, Some(name), Some(mtu)))
    }
}

impl RawIo for AsyncDevice {
    fn poll_recv(&self, cx: &mut Context<'_>, storage: &mut [u8]) -> Poll<io::Result<usize>> {
        Self::poll_recv(self, cx, storage)
    }

    fn poll_send(&self, cx: &mut Context<'_>, packet: &[u8]) -> Poll<io::Result<usize>> {
        Self::poll_send(self, cx, packet)
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use super::*;
    use nix::errno::Errno;
    use nix::ifaddrs::{InterfaceAddress, getifaddrs};
    use nix::net::if_::InterfaceFlags;
    use std::net::IpAddr;

    pub(super) fn open(wanted: &TunBuilder) -> io::Result<AsyncDevice> {
        let name = wanted.name.as_str();
        if let Some(fault) = name_fault(name) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("cannot open TUN `{name}`: {fault}"),
            ));
        }
        // tun-rs would make the node, which is not what somebody asks for who opens a device.
        if !std::fs::exists("/dev/net/tun").unwrap_or(true) {
            return Err(explain(name, &Errno::ENOENT.into()));
        }
        let present = Interface::find(name)?;
        let mut builder = DeviceBuilder::new().name(name).inherit_enable_state();
        if let Some((address, prefix)) = wanted.ipv4
            && !present.has(address.into())
        {
            builder = builder.ipv4(address, prefix, None);
        }
        let device = builder
            .build_async()
            .map_err(|error| explain(name, &error))?;

        let failed = |what: &str, error: io::Error| {
            io::Error::new(
                error.kind(),
                format!("cannot {what} of TUN `{name}`: {error}"),
            )
        };
        if let Some(mtu) = wanted.mtu
            && device.mtu().ok() != Some(mtu)
        {
            device
                .set_mtu(mtu)
                .map_err(|e| failed(&format!("set the MTU ({mtu} bytes)"), e))?;
        }
        if let Some((address, prefix)) = wanted.ipv6
            && !present.has(address.into())
        {
            device
                .add_address_v6(address, prefix)
                .map_err(|e| failed(&format!("set the address ({address}/{prefix})"), e))?;
        }
        if !present.up {
            device
                .enabled(true)
                .map_err(|e| failed("change the state (up)", e))?;
        }
        Ok(device)
    }

    /// What an interface of this name has before it is opened.
    #[derive(Default)]
    struct Interface {
        up: bool,
        addresses: Vec<IpAddr>,
    }

    impl Interface {
        fn find(name: &str) -> io::Result<Self> {
            let mut found = Self::default();
            for entry in getifaddrs()?.filter(|entry| entry.interface_name == name) {
                found.up |= entry.flags.contains(InterfaceFlags::IFF_UP);
                found.addresses.extend(address(&entry));
            }
            Ok(found)
        }

        fn has(&self, address: IpAddr) -> bool {
            self.addresses.contains(&address)
        }
    }

    fn address(entry: &InterfaceAddress) -> Option<IpAddr> {
        let address = entry.address.as_ref()?;
        let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
    }

    /// What the kernel (`dev_valid_name`) would say no to.
    fn name_fault(name: &str) -> Option<&'static str> {
        if name.is_empty() {
            Some("the name is empty: give one, such as tun0")
        } else if name.len() > 15 {
            Some("the name is too long: use at most 15 bytes")
        } else if name == "." || name == ".." || name.contains(['/', ':', '\0']) {
            Some("the name is not one of an interface: use letters and digits")
        } else if name.contains(char::is_whitespace) {
            Some("the name has white space: use letters and digits")
        } else {
            None
        }
    }

    /// One line for the error of opening, with what to do about it.
    fn explain(name: &str, error: &io::Error) -> io::Error {
        let help = match error
            .raw_os_error()
            .map_or(Errno::UnknownErrno, Errno::from_raw)
        {
            Errno::ENOENT => {
                "/dev/net/tun is missing: run `modprobe tun`, or `mkdir -p /dev/net && mknod \
                 /dev/net/tun c 10 200`; give a container --device=/dev/net/tun"
            }
            Errno::ENODEV | Errno::ENXIO => {
                "the kernel has no TUN driver: run `modprobe tun`, on the host if this is a \
                 container"
            }
            Errno::EACCES => {
                "no permission to open /dev/net/tun: run as root, or `chmod 666 /dev/net/tun` \
                 (making a device takes CAP_NET_ADMIN all the same)"
            }
            Errno::EPERM => {
                "not permitted: run as root or with CAP_NET_ADMIN (`setcap cap_net_admin+ep \
                 PROGRAM`; a container: --cap-add=NET_ADMIN --device=/dev/net/tun), or attach to \
                 a persistent device of your own (`ip tuntap add NAME mode tun user YOU`)"
            }
            Errno::EBUSY => {
                "the device is in use by another process: stop that one or choose another name"
            }
            Errno::EINVAL => {
                "an interface of this name exists that is not a plain TUN: choose another name"
            }
            _ => {
                return io::Error::new(error.kind(), format!("cannot open TUN `{name}`: {error}"));
            }
        };
        io::Error::new(error.kind(), format!("cannot open TUN `{name}`: {help}"))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn names_are_those_of_the_kernel() {
            for good in ["t", "tun0", "exactly-fifteen", "tün"] {
                assert_eq!(name_fault(good), None, "{good}");
            }
            for bad in [
                "",
                "sixteen-bytes-xx",
                "a b",
                "a/b",
                "a:b",
                ".",
                "..",
                "a\0",
                "a\n",
            ] {
                assert!(name_fault(bad).is_some(), "{bad:?}");
            }
            let error = TunBuilder::new("sixteen-bytes-xx").open().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(error.to_string().contains("at most 15 bytes"), "{error}");
        }

        #[test]
        fn errors_say_in_one_line_what_to_do() {
            for (code, word) in [
                (Errno::ENOENT, "modprobe tun"),
                (Errno::ENODEV, "modprobe tun"),
                (Errno::EACCES, "/dev/net/tun"),
                (Errno::EPERM, "CAP_NET_ADMIN"),
                (Errno::EBUSY, "another name"),
                (Errno::EINVAL, "another name"),
                (Errno::EMFILE, "open files"),
            ] {
                let system = io::Error::from(code);
                let error = explain("tun3", &system);
                let text = error.to_string();
                assert_eq!(error.kind(), system.kind());
                assert!(text.contains("tun3") && text.contains(word), "{text}");
                assert!(!text.contains('\n') && !text.contains("  "), "{text}");
            }
        }
    }
}
