//! Adopted sockets: a read of 0 bytes is the end of a character device, and an empty packet of a
//! packet socket.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::socket_type;
use rustix::net::{AddressFamily, Shutdown, SocketType, getsockname, shutdown};
use std::io;
use std::os::fd::BorrowedFd;

/// How a descriptor shows that there will be no more packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A read of 0 bytes is the end: a character device, a pipe, a stream, the utun socket of
    /// macOS and iOS.
    Stream,
    /// A datagram socket of IPv4 or IPv6: there is no end.
    Inet,
    /// A Unix datagram socket.
    ///
    /// macOS and the BSDs fail the next read with `ECONNRESET` once the other end is closed. Linux
    /// reports that on the next write only, with `ECONNREFUSED`, then `ENOTCONN`.
    UnixDatagram,
    /// A Unix `SOCK_SEQPACKET` socket, of which a read of 0 bytes is an empty packet or the end.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    SeqPacket,
}

impl Kind {
    pub(crate) fn of(fd: BorrowedFd<'_>) -> Self {
        let Ok(socket_type) = socket_type(fd) else {
            return Self::Stream; // ENOTSOCK
        };
        let family = getsockname(fd).map(|address| address.address_family());
        match (socket_type, family) {
            (SocketType::DGRAM, Ok(AddressFamily::UNIX)) => Self::UnixDatagram,
            (SocketType::DGRAM, Ok(AddressFamily::INET | AddressFamily::INET6)) => Self::Inet,
            #[cfg(any(target_os = "linux", target_os = "android"))]
            (SocketType::SEQPACKET, Ok(AddressFamily::UNIX)) => Self::SeqPacket,
            _ => Self::Stream,
        }
    }

    /// Returns the meaning of a read of 0 bytes: `Ok(0)` is the end, and
    /// [`InvalidData`](io::ErrorKind::InvalidData) an empty packet.
    pub(crate) fn read_nothing(self, fd: BorrowedFd<'_>) -> io::Result<usize> {
        let end = match self {
            Self::Stream => true,
            Self::Inet => false,
            Self::UnixDatagram => hung_up(fd, PollFlags::HUP),
            // The peer may have closed its end behind an empty packet and others: the end is where
            // the queue has no more bytes.
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Self::SeqPacket => {
                hung_up(fd, PollFlags::HUP | PollFlags::RDHUP)
                    && rustix::io::ioctl_fionread(fd).unwrap_or(0) == 0
            }
        };
        if end {
            return Ok(0);
        }
        Err(io::ErrorKind::InvalidData.into())
    }

    /// Returns the meaning of a read that failed: `Ok(0)` is the end.
    pub(crate) fn read_failed(self, fd: BorrowedFd<'_>, error: io::Error) -> io::Result<usize> {
        match (self, error.kind()) {
            // Linux says EAGAIN even of a socket that was shut down.
            (Self::UnixDatagram, io::ErrorKind::WouldBlock) if hung_up(fd, PollFlags::HUP) => Ok(0),
            // An ICMP error for an earlier datagram, told once: the peer may come back.
            (Self::Inet, io::ErrorKind::ConnectionRefused) => {
                Err(io::ErrorKind::Interrupted.into())
            }
            _ => Err(error),
        }
    }

    /// Returns the meaning of a write that failed.
    pub(crate) fn write_failed(self, fd: BorrowedFd<'_>, error: io::Error) -> io::Error {
        let refused = matches!(
            error.kind(),
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotConnected
        );
        if self != Self::UnixDatagram || !refused {
            return error;
        }
        // Nothing tells a task that waits for a packet; a shutdown of this end wakes it.
        let _ = shutdown(fd, Shutdown::Both);
        io::ErrorKind::UnexpectedEof.into()
    }
}

/// Whether `poll` reports one of these flags now.
fn hung_up(fd: BorrowedFd<'_>, flags: PollFlags) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd, flags)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().intersects(flags)
}
