use std::io;

/// The meaning of an error of a [`PacketIo`](crate::PacketIo) for the driver that uses it.
///
/// The driver of a stack goes on after an error that passes, drops a packet that the device refuses,
/// and ends after any other error:
///
/// | fault | [`ErrorKind`](io::ErrorKind) | error numbers of the system |
/// |---|---|---|
/// | `Transient` | `Interrupted`, `WouldBlock`, `OutOfMemory`, `ResourceBusy`, `TimedOut`, `NetworkDown` | Linux, macOS, BSD: `EIO`, `ENOBUFS`, `EHOSTDOWN`; Windows: `ERROR_BUFFER_OVERFLOW`, `ERROR_NO_SYSTEM_RESOURCES`, `WSAENOBUFS` |
/// | `Packet` | `InvalidInput`, `InvalidData`, `PermissionDenied`, `ConnectionRefused`, `HostUnreachable`, `NetworkUnreachable` | Linux, macOS, BSD: `EMSGSIZE`; Windows: `WSAEMSGSIZE` |
/// | `Fatal` | any other, such as `UnexpectedEof` and `BrokenPipe` | any other, such as `EBADF`, `ENODEV`, `ENXIO` and, on Linux, `EBADFD` |
///
/// On Linux, a TUN device answers a write with `EIO` while its interface is down, and every call
/// with `EBADFD` once its interface is deleted.
///
/// ```
/// use brooklet_io::DeviceFault;
/// use std::io::{Error, ErrorKind};
///
/// assert_eq!(DeviceFault::of(&ErrorKind::Interrupted.into()), DeviceFault::Transient);
/// assert_eq!(DeviceFault::of(&ErrorKind::InvalidInput.into()), DeviceFault::Packet);
/// assert_eq!(DeviceFault::of(&ErrorKind::UnexpectedEof.into()), DeviceFault::Fatal);
/// # #[cfg(target_os = "linux")] {
/// const EIO: i32 = 5;
/// assert_eq!(DeviceFault::of(&Error::from_raw_os_error(EIO)), DeviceFault::Transient);
/// const EBADF: i32 = 9;
/// assert_eq!(DeviceFault::of(&Error::from_raw_os_error(EBADF)), DeviceFault::Fatal);
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeviceFault {
    /// The same call may succeed later: the system is short of memory or buffers, or the interface
    /// is down.
    Transient,
    /// The device does not take or deliver this packet. The next packet may succeed.
    Packet,
    /// The device is gone.
    Fatal,
}

impl DeviceFault {
    /// Returns the meaning of an error.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::Interrupted
            | io::ErrorKind::WouldBlock
            | io::ErrorKind::OutOfMemory
            | io::ErrorKind::ResourceBusy
            | io::ErrorKind::TimedOut
            | io::ErrorKind::NetworkDown => Self::Transient,
            io::ErrorKind::InvalidInput
            | io::ErrorKind::InvalidData
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable => Self::Packet,
            _ => error.raw_os_error().map_or(Self::Fatal, Self::of_number),
        }
    }

    /// The meaning of an error number to which the standard library gives no kind.
    fn of_number(number: i32) -> Self {
        if numbers::TRANSIENT.contains(&number) {
            Self::Transient
        } else if numbers::PACKET.contains(&number) {
            Self::Packet
        } else {
            Self::Fatal
        }
    }
}

/// `EIO`, `ENOBUFS` and `EHOSTDOWN`; `EMSGSIZE`.
#[cfg(any(target_os = "linux", target_os = "android"))]
mod numbers {
    pub(super) const TRANSIENT: [i32; 3] = [5, 105, 112];
    pub(super) const PACKET: [i32; 1] = [90];
}

/// `EIO`, `ENOBUFS` and `EHOSTDOWN`; `EMSGSIZE`.
#[cfg(any(
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly"
))]
mod numbers {
    pub(super) const TRANSIENT: [i32; 3] = [5, 55, 64];
    pub(super) const PACKET: [i32; 1] = [40];
}

/// `ERROR_BUFFER_OVERFLOW` (the ring of Wintun is full), `ERROR_NO_SYSTEM_RESOURCES` and
/// `WSAENOBUFS`; `WSAEMSGSIZE`.
#[cfg(windows)]
mod numbers {
    pub(super) const TRANSIENT: [i32; 3] = [111, 1450, 10055];
    pub(super) const PACKET: [i32; 1] = [10040];
}

#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly",
    windows
)))]
mod numbers {
    pub(super) const TRANSIENT: [i32; 0] = [];
    pub(super) const PACKET: [i32; 0] = [];
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use super::*;

    #[test]
    fn error_numbers_of_linux_have_the_documented_meaning() {
        const EINTR: i32 = 4;
        const EIO: i32 = 5;
        const ENXIO: i32 = 6;
        const EBADF: i32 = 9;
        const EAGAIN: i32 = 11;
        const ENOMEM: i32 = 12;
        const EFAULT: i32 = 14;
        const EBUSY: i32 = 16;
        const ENODEV: i32 = 19;
        const EINVAL: i32 = 22;
        const EBADFD: i32 = 77;
        const EMSGSIZE: i32 = 90;
        const ENETDOWN: i32 = 100;
        const ENETUNREACH: i32 = 101;
        const ENOBUFS: i32 = 105;
        const ENOTCONN: i32 = 107;
        const ECONNREFUSED: i32 = 111;
        const EHOSTDOWN: i32 = 112;
        let groups: [(DeviceFault, &[i32]); 3] = [
            (
                DeviceFault::Transient,
                &[
                    EINTR, EIO, EAGAIN, ENOMEM, EBUSY, ENETDOWN, ENOBUFS, EHOSTDOWN,
                ],
            ),
            (
                DeviceFault::Packet,
                &[EINVAL, EMSGSIZE, ENETUNREACH, ECONNREFUSED],
            ),
            (
                DeviceFault::Fatal,
                &[ENXIO, EBADF, EFAULT, ENODEV, EBADFD, ENOTCONN],
            ),
        ];
        for (fault, numbers) in groups {
            for &number in numbers {
                let error = io::Error::from_raw_os_error(number);
                assert_eq!(DeviceFault::of(&error), fault, "{error}");
            }
        }
    }
}
