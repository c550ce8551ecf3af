//! What carries the packets of a device, on this system.

// Linux opens devices as descriptors; Android and iOS only adopt them.
#[cfg(not(any(
    windows,
    target_os = "macos",
    target_os = "freebsd",
    target_os = "openbsd",
    target_os = "netbsd"
)))]
pub(crate) use crate::file::FileIo as RawIo;

#[cfg(windows)]
pub(crate) use crate::device::DeviceIo as RawIo;

#[cfg(any(
    target_os = "macos",
    target_os = "freebsd",
    target_os = "openbsd",
    target_os = "netbsd"
))]
pub(crate) use crate::either::Either as RawIo;
