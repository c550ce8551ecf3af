use crate::platform::{Direction, Io};
use std::io;
#[cfg(unix)]
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
#[cfg(windows)]
use std::os::windows::io::{AsRawSocket, AsSocket, BorrowedSocket, RawSocket};
use std::task::{Context, Poll};

/// What an [`Async`] can wait for: a descriptor on Unix, a socket on Windows.
#[cfg(unix)]
pub trait Pollable: AsFd {}

#[cfg(unix)]
impl<T: AsFd> Pollable for T {}

/// What an [`Async`] can wait for: a descriptor on Unix, a socket on Windows.
#[cfg(windows)]
pub trait Pollable: AsSocket {}

#[cfg(windows)]
impl<T: AsSocket> Pollable for T {}

/// A non-blocking descriptor with the means to wait until it is readable or writable.
///
/// Any number of tasks may wait in the `async` methods. The methods whose name starts with `poll_`
/// are for one task in each direction: a call from a second task replaces the waker of the first
/// one, which is woken. `Async` implements `AsyncRead` and `AsyncWrite`, by value and by reference,
/// if `&T` implements [`Read`](io::Read) and [`Write`](io::Write), as sockets, pipes and files do.
///
/// `Async` is [`Send`] and [`Sync`] if `T` is both.
///
/// ```
/// use brooklet_reactor::{Async, block_on};
/// use std::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// let socket = Async::new(UdpSocket::bind("127.0.0.1:0")?)?;
/// let peer = UdpSocket::bind("127.0.0.1:0")?;
/// peer.send_to(b"hello", socket.get_ref().local_addr()?)?;
/// let mut buffer = [0; 16];
/// let (n, from) = block_on(socket.read_with(|socket| socket.recv_from(&mut buffer)))?;
/// assert_eq!((&buffer[..n], from), (&b"hello"[..], peer.local_addr()?));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Async<T: Pollable> {
    io: Io<T>,
    byte_stream: bool,
}

impl<T: Pollable> Async<T> {
    /// Sets the descriptor to non-blocking mode.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn new(io: T) -> io::Result<Self> {
        Ok(Self {
            io: Io::new(io)?,
            byte_stream: false,
        })
    }

    /// As [`new`](Self::new), for a descriptor that is in non-blocking mode already.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn new_nonblocking(io: T) -> io::Result<Self> {
        Ok(Self {
            io: Io::new_nonblocking(io)?,
            byte_stream: false,
        })
    }

    /// Declares that the descriptor carries a stream of bytes: a read of fewer bytes than there was
    /// room for has emptied it, and a write of fewer bytes than were offered has filled it.
    ///
    /// The `AsyncRead` and `AsyncWrite` implementations then wait after such a read or write without
    /// trying another one. For TCP and Unix stream sockets; not for datagrams, whose boundaries end
    /// a read.
    pub fn byte_stream(mut self) -> Self {
        self.byte_stream = true;
        self
    }

    /// Declares that each read returns one packet of a queue, as of a TUN.
    ///
    /// When packets arrive one at a time, the reactor of a thread then asks the system whether there
    /// is another packet as it goes to sleep, and spares the read that finds nothing.
    ///
    /// To be called before a task has waited for the descriptor; later it has no effect.
    pub fn packets(mut self) -> Self
    where
        T: Send + Sync + 'static,
    {
        self.io.set_packets();
        self
    }

    /// Returns the descriptor.
    pub fn get_ref(&self) -> &T {
        self.io.get_ref()
    }

    /// Takes the descriptor out. It stays in non-blocking mode.
    ///
    /// # Errors
    ///
    /// Those of the system. The descriptor is then closed.
    pub fn into_inner(self) -> io::Result<T> {
        self.io.into_inner()
    }

    pub(crate) fn is_byte_stream(&self) -> bool {
        self.byte_stream
    }

    /// Waits until a read would not block.
    ///
    /// An end, an error and a hang-up are readable. The readiness may have gone to another reader
    /// when the task runs.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_ready(Direction::Read, cx)
    }

    /// Waits until a write would not block.
    ///
    /// An error and a hang-up are writable.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_ready(Direction::Write, cx)
    }

    /// Waits until a read would not block, as [`poll_readable`](Self::poll_readable).
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub async fn readable(&self) -> io::Result<()> {
        self.io.ready(Direction::Read).await
    }

    /// Waits until a write would not block, as [`poll_writable`](Self::poll_writable).
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub async fn writable(&self) -> io::Result<()> {
        self.io.ready(Direction::Write).await
    }

    /// Reads by `op`, and waits while `op` returns [`WouldBlock`](io::ErrorKind::WouldBlock).
    ///
    /// # Errors
    ///
    /// Those of `op` and of the system.
    ///
    /// # Cancel safety
    ///
    /// A dropped future has run `op` without a result other than `WouldBlock`.
    pub async fn read_with<R>(&self, op: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        let mut op = op;
        self.io
            .with(Direction::Read, |io| Ok((op(io)?, false)))
            .await
    }

    /// Writes by `op`, and waits while `op` returns [`WouldBlock`](io::ErrorKind::WouldBlock).
    ///
    /// # Errors
    ///
    /// Those of `op` and of the system.
    ///
    /// # Cancel safety
    ///
    /// A dropped future has run `op` without a result other than `WouldBlock`.
    pub async fn write_with<R>(&self, op: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        let mut op = op;
        self.io
            .with(Direction::Write, |io| Ok((op(io)?, false)))
            .await
    }

    /// Reads by `op`, and registers the task while `op` returns
    /// [`WouldBlock`](io::ErrorKind::WouldBlock). Does not run `op` when the descriptor is known to
    /// have nothing.
    ///
    /// # Errors
    ///
    /// Those of `op` and of the system.
    pub fn poll_read_with<R>(
        &self,
        cx: &mut Context<'_>,
        op: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        let mut op = op;
        self.poll_drain_with(cx, |io| Ok((op(io)?, false)))
    }

    /// As [`poll_read_with`](Self::poll_read_with), for an operation that also says whether it has
    /// emptied the descriptor: with `true` the next read waits without running its operation.
    ///
    /// For example, a read from a TCP socket that returned fewer bytes than there was room for, or
    /// a call that took fewer datagrams than it asked for. `true` for a descriptor that has more
    /// delays the rest until something new arrives.
    ///
    /// # Errors
    ///
    /// Those of `op` and of the system.
    pub fn poll_drain_with<R>(
        &self,
        cx: &mut Context<'_>,
        op: impl FnMut(&T) -> io::Result<(R, bool)>,
    ) -> Poll<io::Result<R>> {
        self.io.poll_with(Direction::Read, cx, op)
    }

    /// Writes by `op`, and registers the task while `op` returns
    /// [`WouldBlock`](io::ErrorKind::WouldBlock). Does not run `op` when the descriptor is known to
    /// have no room.
    ///
    /// # Errors
    ///
    /// Those of `op` and of the system.
    pub fn poll_write_with<R>(
        &self,
        cx: &mut Context<'_>,
        op: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        let mut op = op;
        self.poll_fill_with(cx, |io| Ok((op(io)?, false)))
    }

    /// As [`poll_write_with`](Self::poll_write_with), for an operation that also says whether it has
    /// filled the descriptor: with `true` the next write waits without running its operation.
    ///
    /// # Errors
    ///
    /// Those of `op` and of the system.
    pub fn poll_fill_with<R>(
        &self,
        cx: &mut Context<'_>,
        op: impl FnMut(&T) -> io::Result<(R, bool)>,
    ) -> Poll<io::Result<R>> {
        self.io.poll_with(Direction::Write, cx, op)
    }
}

#[cfg(unix)]
impl<T: Pollable> AsFd for Async<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.get_ref().as_fd()
    }
}

#[cfg(unix)]
impl<T: Pollable> AsRawFd for Async<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

#[cfg(windows)]
impl<T: Pollable> AsSocket for Async<T> {
    fn as_socket(&self) -> BorrowedSocket<'_> {
        self.get_ref().as_socket()
    }
}

#[cfg(windows)]
impl<T: Pollable> AsRawSocket for Async<T> {
    fn as_raw_socket(&self) -> RawSocket {
        self.as_socket().as_raw_socket()
    }
}
