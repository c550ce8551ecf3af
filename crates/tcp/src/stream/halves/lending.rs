//! The halves lend the buffers of their stream.

use super::{ReadHalf, WriteHalf};
use brooklet_cell::Flavor;
use std::io::{self, IoSlice, IoSliceMut};
use std::task::{Context as TaskContext, Poll};

/// Lends the receive buffer, as the methods of [`TcpStream`](crate::TcpStream) do.
impl<F: Flavor> ReadHalf<F> {
    /// Waits for data and lends it to `f`, as
    /// [`TcpStream::read_with`](crate::TcpStream::read_with) does.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, mut peer| {
    /// use futures_lite::AsyncWriteExt;
    ///
    /// let (read, _write) = stream.split();
    /// peer.write_all(b"ping").await?;
    /// let mut received = Vec::new();
    /// let taken = read.read_with(|data| {
    ///     received.extend_from_slice(&data[0]);
    ///     Ok(data[0].len())
    /// });
    /// assert_eq!(taken.await?, 4);
    /// assert_eq!(received, b"ping");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`TcpStream::read_with`](crate::TcpStream::read_with).
    ///
    /// # Panics
    ///
    /// As for [`TcpStream::read_with`](crate::TcpStream::read_with).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn read_with(
        &self,
        f: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.stream().read_with(f).await
    }

    /// Lends the data that waits to be read to `f`, as
    /// [`TcpStream::poll_read_with`](crate::TcpStream::poll_read_with) does.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, mut peer| {
    /// use futures_lite::{AsyncWriteExt, future};
    ///
    /// let (read, _write) = stream.split();
    /// peer.write_all(b"ping").await?;
    /// let taken = future::poll_fn(|cx| read.poll_read_with(cx, |data| Ok(data[0].len())));
    /// assert_eq!(taken.await?, 4);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`TcpStream::read_with`](crate::TcpStream::read_with).
    ///
    /// # Panics
    ///
    /// As for [`TcpStream::read_with`](crate::TcpStream::read_with).
    pub fn poll_read_with(
        &self,
        cx: &mut TaskContext<'_>,
        f: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_read_with(cx, f)
    }

    /// Lends the data that waits to be read to `f`, as
    /// [`TcpStream::try_read_with`](crate::TcpStream::try_read_with) does.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, _peer| {
    /// let (read, _write) = stream.split();
    /// let nothing = read.try_read_with(|data| Ok(data[0].len())).unwrap_err();
    /// assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`TcpStream::try_read_with`](crate::TcpStream::try_read_with).
    ///
    /// # Panics
    ///
    /// As for [`TcpStream::read_with`](crate::TcpStream::read_with).
    pub fn try_read_with(
        &self,
        f: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.stream().try_read_with(f)
    }
}

/// Lends the send buffer, as the methods of [`TcpStream`](crate::TcpStream) do.
impl<F: Flavor> WriteHalf<F> {
    /// Waits for room in the send buffer and lends it to `f`, as
    /// [`TcpStream::write_with`](crate::TcpStream::write_with) does.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, mut peer| {
    /// use futures_lite::AsyncReadExt;
    ///
    /// let (_read, write) = stream.split();
    /// let sent = write.write_with(|room| {
    ///     room[0][..4].copy_from_slice(b"ping");
    ///     Ok(4)
    /// });
    /// assert_eq!(sent.await?, 4);
    /// let mut received = [0; 4];
    /// peer.read_exact(&mut received).await?;
    /// assert_eq!(&received, b"ping");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`TcpStream::write_with`](crate::TcpStream::write_with).
    ///
    /// # Panics
    ///
    /// As for [`TcpStream::write_with`](crate::TcpStream::write_with).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn write_with(
        &self,
        f: impl FnMut(&mut [IoSliceMut<'_>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.stream().write_with(f).await
    }

    /// Lends the room in the send buffer to `f`, as
    /// [`TcpStream::poll_write_with`](crate::TcpStream::poll_write_with) does.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, _peer| {
    /// use futures_lite::future;
    ///
    /// let (_read, write) = stream.split();
    /// let sent = future::poll_fn(|cx| {
    ///     write.poll_write_with(cx, |room| {
    ///         room[0][..4].copy_from_slice(b"ping");
    ///         Ok(4)
    ///     })
    /// });
    /// assert_eq!(sent.await?, 4);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`TcpStream::write_with`](crate::TcpStream::write_with).
    ///
    /// # Panics
    ///
    /// As for [`TcpStream::write_with`](crate::TcpStream::write_with).
    pub fn poll_write_with(
        &self,
        cx: &mut TaskContext<'_>,
        f: impl FnMut(&mut [IoSliceMut<'_>]) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_with(cx, f)
    }

    /// Lends the room in the send buffer to `f`, as
    /// [`TcpStream::try_write_with`](crate::TcpStream::try_write_with) does.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, _peer| {
    /// let (_read, write) = stream.split();
    /// assert_eq!(write.try_write_with(|_room| Ok(0))?, 0);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`TcpStream::try_write_with`](crate::TcpStream::try_write_with).
    ///
    /// # Panics
    ///
    /// As for [`TcpStream::write_with`](crate::TcpStream::write_with).
    pub fn try_write_with(
        &self,
        f: impl FnMut(&mut [IoSliceMut<'_>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.stream().try_write_with(f)
    }
}
