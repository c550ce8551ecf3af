use brooklet_io::DeviceFault;
use std::{error, fmt, io};

/// The error of a packet of which the system took or delivered only a part, inside of an
/// [`io::Error`].
#[derive(Debug)]
struct Truncated;

impl fmt::Display for Truncated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the system truncated the packet")
    }
}

impl error::Error for Truncated {}

/// Returns the error of a truncated packet.
pub(crate) fn truncated() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, Truncated)
}

/// Returns `written`, the result of a write of `len` bytes, or the error of a short write.
pub(crate) fn whole(written: usize, len: usize) -> io::Result<usize> {
    match written < len {
        true => Err(truncated()),
        false => Ok(written),
    }
}

/// The meaning of an error of the device for its driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing happened: make the call again.
    Again,
    /// The interface is down, or the system is short of memory: try again later.
    Passing,
    /// The device is gone.
    Closed,
    /// The received bytes are no packet.
    Malformed,
    /// The system took or delivered only a part of the packet.
    Truncated,
    /// Any other error.
    Other,
}

impl Fault {
    pub(crate) fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::Interrupted => Self::Again,
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => Self::Closed,
            io::ErrorKind::ConnectionReset | io::ErrorKind::NotConnected => Self::Closed,
            io::ErrorKind::InvalidData => match error.get_ref() {
                Some(inner) if inner.is::<Truncated>() => Self::Truncated,
                _ => Self::Malformed,
            },
            _ if DeviceFault::of(error) == DeviceFault::Transient => Self::Passing,
            _ => error.raw_os_error().map_or(Self::Other, Self::of_code),
        }
    }

    #[cfg(unix)]
    fn of_code(code: i32) -> Self {
        use rustix::io::Errno;
        match Errno::from_raw_os_error(code) {
            Errno::BADF | Errno::NODEV | Errno::NXIO => Self::Closed,
            // Linux, once the interface has been deleted.
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Errno::BADFD => Self::Closed,
            _ => Self::Other,
        }
    }

    #[cfg(windows)]
    fn of_code(code: i32) -> Self {
        const ERROR_INVALID_HANDLE: i32 = 6;
        const ERROR_HANDLE_EOF: i32 = 38; // Wintun: the adapter is being removed
        match code {
            ERROR_INVALID_HANDLE | ERROR_HANDLE_EOF => Self::Closed,
            _ => Self::Other,
        }
    }

    #[cfg(not(any(unix, windows)))]
    fn of_code(_: i32) -> Self {
        Self::Other
    }
}
