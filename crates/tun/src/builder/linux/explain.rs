//! Errors of one line that say what to do.

use crate::builder::settings::{Prefix, Settings};
use rustix::io::Errno;
use std::fmt::Display;
use std::io;

/// Returns why the kernel (`dev_valid_name`) would refuse a name.
pub(super) fn name_fault(name: &str) -> Option<&'static str> {
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

/// An error of opening `/dev/net/tun` and attaching to the device.
pub(super) fn opening(wanted: &Settings, error: &io::Error) -> io::Error {
    let (device, mode) = (wanted.device(), wanted.device().to_lowercase());
    let help = match Errno::from_io_error(error) {
        _ if error.kind() == io::ErrorKind::NotFound => {
            "/dev/net/tun is missing: run `modprobe tun`, or `mkdir -p /dev/net && mknod \
             /dev/net/tun c 10 200`; give a container --device=/dev/net/tun"
        }
        Some(Errno::NODEV | Errno::NXIO) => {
            "the kernel has no TUN driver: run `modprobe tun`, on the host if this is a \
             container"
        }
        Some(Errno::NOTTY) => {
            "/dev/net/tun is another file: remove it, and run `mknod /dev/net/tun c 10 200`"
        }
        Some(Errno::ACCESS) => {
            "no permission to open /dev/net/tun: run as root, or `chmod 666 /dev/net/tun` \
             (making a device takes CAP_NET_ADMIN all the same)"
        }
        Some(Errno::PERM) => &format!(
            "not permitted: run as root or with CAP_NET_ADMIN (`setcap cap_net_admin+ep \
             PROGRAM`; a container: --cap-add=NET_ADMIN --device=/dev/net/tun), or attach to \
             a persistent device of your own (`ip tuntap add NAME mode {mode} user YOU`)"
        ),
        Some(Errno::BUSY) => {
            "the device is in use by another process: stop that one or choose another name"
        }
        Some(Errno::INVAL) if wanted.queues > 1 => &format!(
            "an interface of this name exists that is not a {device} with several queues: make it \
             with `ip tuntap add NAME mode {mode} multi_queue`, open one queue, or choose another \
             name"
        ),
        Some(Errno::TOOBIG) => {
            "the device has no more queues: open fewer (Linux has 256 of each device)"
        }
        Some(Errno::INVAL) => &format!(
            "an interface of this name exists that is not a plain {device}: choose another name"
        ),
        _ => return wanted.error(error.kind(), error),
    };
    wanted.error(error.kind(), help)
}

/// An error of a setting of the interface.
pub(super) fn setting(wanted: &Settings, what: impl Display, error: &io::Error) -> io::Error {
    let help = match Errno::from_io_error(error) {
        Some(Errno::PERM | Errno::ACCESS) => {
            "not permitted: run as root or with CAP_NET_ADMIN, or let root set it once on a \
             persistent device"
        }
        _ => return failed(wanted, what, error, error),
    };
    failed(wanted, what, error, help)
}

pub(super) fn mtu(wanted: &Settings, mtu: u16, error: &io::Error) -> io::Error {
    let what = format_args!("the MTU ({mtu} bytes)");
    match Errno::from_io_error(error) {
        Some(Errno::INVAL) => failed(wanted, what, error, "use 68 to 65535 bytes"),
        _ => setting(wanted, what, error),
    }
}

pub(super) fn owner(wanted: &Settings, error: &io::Error) -> io::Error {
    let what = "the owner or group";
    match Errno::from_io_error(error) {
        Some(Errno::INVAL) => failed(
            wanted,
            what,
            error,
            "use ids that exist in the user namespace of this program (/proc/self/uid_map)",
        ),
        _ => setting(wanted, what, error),
    }
}

/// Linux takes IPv6 off an interface whose MTU is shorter than that of every IPv6 link.
const NO_IPV6: &str = "the interface has no IPv6: use an MTU of 1280 bytes or more";

pub(super) fn address(wanted: &Settings, address: Prefix, error: &io::Error) -> io::Error {
    let what = format_args!("the address {address}");
    let help = match Errno::from_io_error(error) {
        Some(Errno::ACCESS | Errno::OPNOTSUPP) if address.address.is_ipv6() => {
            "IPv6 is off: run `sysctl net.ipv6.conf.default.disable_ipv6=0`, or leave the address \
             out"
        }
        Some(Errno::INVAL | Errno::NODEV) if address.address.is_ipv6() => NO_IPV6,
        Some(Errno::ADDRNOTAVAIL) => "the kernel reserves it: use another address",
        _ => return setting(wanted, what, error),
    };
    failed(wanted, what, error, help)
}

pub(super) fn route(wanted: &Settings, route: Prefix, error: &io::Error) -> io::Error {
    let what = format_args!("the route {route}");
    let help = match Errno::from_io_error(error) {
        Some(Errno::EXIST) => "another interface has it: delete that route, or use a longer prefix",
        Some(Errno::NODEV) if route.address.is_ipv6() => NO_IPV6,
        _ => return setting(wanted, what, error),
    };
    failed(wanted, what, error, help)
}

fn failed(
    wanted: &Settings,
    what: impl Display,
    error: &io::Error,
    help: impl Display,
) -> io::Error {
    let (device, name) = (wanted.device(), &wanted.name);
    io::Error::new(
        error.kind(),
        format!("cannot set {what} of {device} `{name}`: {help}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_the_kernel_refuses_is_refused() {
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
    }

    #[test]
    fn errors_say_in_one_line_what_to_do() {
        for (code, queues, word) in [
            (Errno::NOENT, 1, "modprobe tun"),
            (Errno::NODEV, 1, "modprobe tun"),
            (Errno::NOTTY, 1, "mknod /dev/net/tun c 10 200"),
            (Errno::ACCESS, 1, "/dev/net/tun"),
            (Errno::PERM, 1, "CAP_NET_ADMIN"),
            (Errno::BUSY, 1, "another name"),
            (Errno::INVAL, 1, "another name"),
            (Errno::INVAL, 2, "multi_queue"),
            (Errno::TOOBIG, 2, "open fewer"),
            (Errno::MFILE, 1, "open files"),
        ] {
            let system = io::Error::from(code);
            let mut wanted = Settings::new("tun3".into());
            wanted.queues = queues;
            let error = opening(&wanted, &system);
            let text = error.to_string();
            assert_eq!(error.kind(), system.kind());
            assert!(text.contains("tun3") && text.contains(word), "{text}");
            assert!(!text.contains('\n') && !text.contains("  "), "{text}");
        }
    }

    #[test]
    fn errors_of_a_tap_say_so() {
        let mut wanted = Settings::new("tap3".into());
        wanted.tap = true;
        for (code, word) in [(Errno::PERM, "mode tap"), (Errno::INVAL, "plain TAP")] {
            let text = opening(&wanted, &code.into()).to_string();
            assert!(text.contains("TAP `tap3`") && text.contains(word), "{text}");
        }
    }
}
