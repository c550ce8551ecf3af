//! The user and the group that may attach to a device.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use tun::{Configuration, Device};

/// Sets the owner, the group, or both, by `TUNSETOWNER` and `TUNSETGROUP`.
///
/// rtnetlink cannot set them, and tun-rs passes the address of the id where the kernel takes the
/// id itself. The crate tun passes the id; it borrows the descriptor for that, and nothing else of
/// that crate is used.
pub(super) fn set(fd: BorrowedFd<'_>, owner: Option<u32>, group: Option<u32>) -> io::Result<()> {
    let mut borrow = Configuration::default();
    borrow.raw_fd(fd.as_raw_fd()).close_fd_on_drop(false);
    let mut device = Device::new(&borrow)?;
    // The kernel takes the 32 bits as they are.
    if let Some(owner) = owner {
        device.user(owner.cast_signed())?;
    }
    if let Some(group) = group {
        device.group(group.cast_signed())?;
    }
    Ok(())
}
