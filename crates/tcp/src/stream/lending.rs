//! Reading and writing without a copy: the stream lends its buffers to a closure.

use super::TcpStream;
use brooklet_cell::Flavor;
use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut};
use std::task::{Context as TaskContext, Poll};

// The closures are `FnMut` and not `FnOnce`, though each is called once at most: a call by value
// would drop what the closure owns while the connection is locked.

impl<F: Flavor> TcpStream<F> {
    /// Waits for data and lends it to `f`, without a copy.
    ///
    /// `f` gets all bytes that wait to be read, in order: one slice, or two where the receive buffer
    /// wraps. No slice is empty. `f` returns how many bytes it has taken from the front. It is
    /// called once at most, and not while there is nothing to read.
    ///
    /// | `f` returns | `read_with` |
    /// |---|---|
    /// | `Ok(n)` | removes the first `n` bytes, as a read of `n` bytes does, and returns `Ok(n)` |
    /// | `Err` | removes nothing and returns the error, also [`WouldBlock`](io::ErrorKind::WouldBlock) |
    /// | (not called) | returns `Ok(0)` at the end of the stream, or an error |
    ///
    /// A relay writes from the receive buffer straight into the socket of the host:
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, mut peer| {
    /// use futures_lite::AsyncWriteExt;
    /// use std::io::Write;
    ///
    /// # let (mut far_end, mut host) = std::io::pipe()?;
    /// peer.write_all(b"GET / HTTP/1.1").await?;
    /// peer.shutdown(std::net::Shutdown::Write)?;
    /// // With a socket that does not block: await that it is writable after a `WouldBlock`.
    /// while stream.read_with(|data| host.write_vectored(data)).await? > 0 {}
    /// # drop(host);
    /// # assert_eq!(std::io::read_to_string(&mut far_end)?, "GET / HTTP/1.1");
    /// # Ok(()) });
    /// ```
    ///
    /// # The closure
    ///
    /// The connection is locked while `f` runs: packets of the connection and other tasks that use
    /// the stream wait. `f` should do little: one system call that does not block, or a copy.
    ///
    /// `f` must not use this stream: a call to it deadlocks or panics. Nor may it use another stream
    /// of the same stack, because two closures that use the streams of each other deadlock. This
    /// includes tasks that `f` wakes, if the executor runs them at once.
    ///
    /// # Errors
    ///
    /// What `f` returns, and as for [reading](#impl-AsyncRead-for-TcpStream%3CF%3E): `f` gets the
    /// data that was received before an error.
    ///
    /// # Panics
    ///
    /// If `f` returns more bytes than it was lent. After this panic, or a panic of `f`, the data is
    /// still there, and the stream can be used on.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing. The future completes with the call of `f`.
    pub async fn read_with(
        &self,
        mut f: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read_with(cx, &mut f)).await
    }

    /// Lends the data that waits to be read to `f`, as [`read_with`](Self::read_with) does. While
    /// there is none and the stream has not ended, it returns `Pending` and has the task woken.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, mut peer| {
    /// use futures_lite::{AsyncWriteExt, future};
    ///
    /// peer.write_all(b"a line\nand more").await?;
    /// // Takes one line, and nothing as long as it is not complete.
    /// let line = future::poll_fn(|cx| {
    ///     stream.poll_read_with(cx, |data| {
    ///         let mut bytes = data.iter().flat_map(|slice| slice.iter());
    ///         let end = bytes.position(|byte| *byte == b'\n');
    ///         Ok(end.map_or(0, |end| end + 1))
    ///     })
    /// });
    /// assert_eq!(line.await?, "a line\n".len());
    /// assert_eq!(stream.info().recv_queue, "and more".len());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`read_with`](Self::read_with).
    ///
    /// # Panics
    ///
    /// As for [`read_with`](Self::read_with).
    pub fn poll_read_with(
        &self,
        cx: &mut TaskContext<'_>,
        mut f: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.poll_receive(Some(cx.waker()), |connection, fx| {
            connection.receive_with(&mut f, fx)
        })
    }

    /// Lends the data that waits to be read to `f`, as [`read_with`](Self::read_with) does, and
    /// does not wait.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, mut peer| {
    /// use futures_lite::AsyncWriteExt;
    /// use std::io::ErrorKind;
    ///
    /// let mut lengths = Vec::new();
    /// let mut read = || {
    ///     stream.try_read_with(|data| {
    ///         lengths.push(data[0].len());
    ///         Ok(1)
    ///     })
    /// };
    /// assert_eq!(read().unwrap_err().kind(), ErrorKind::WouldBlock);
    /// peer.write_all(b"xy").await?;
    /// peer.wait_acked().await?;
    /// assert_eq!((read()?, read()?), (1, 1));
    /// assert_eq!(lengths, [2, 1]);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`read_with`](Self::read_with), and [`WouldBlock`](io::ErrorKind::WouldBlock) if
    /// nothing waits to be read and the stream has not ended. No task is woken later.
    ///
    /// # Panics
    ///
    /// As for [`read_with`](Self::read_with).
    pub fn try_read_with(
        &self,
        mut f: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let read = self.poll_receive(None, |connection, fx| connection.receive_with(&mut f, fx));
        or_would_block(read)
    }

    /// Waits for room in the send buffer and lends it to `f`, without a copy.
    ///
    /// `f` gets all room that there is: one slice, or two where the send buffer wraps. No slice is
    /// empty. `f` fills the slices from the front and returns how many bytes it has written. It is
    /// called once at most, and not before a quarter of the buffer is free.
    ///
    /// | `f` returns | `write_with` |
    /// |---|---|
    /// | `Ok(n)` | sends the first `n` bytes, as a write of `n` bytes does, and returns `Ok(n)` |
    /// | `Err` | sends nothing and returns the error, also [`WouldBlock`](io::ErrorKind::WouldBlock) |
    /// | (not called) | returns an error |
    ///
    /// `Ok(0)` is what `f` returned: nothing is sent, and the stream stays open for writing.
    ///
    /// A relay reads from the socket of the host straight into the send buffer:
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |mut stream, mut peer| {
    /// use futures_lite::{AsyncReadExt, AsyncWriteExt};
    /// use std::io::Read;
    ///
    /// # let (mut host, mut far_end) = std::io::pipe()?;
    /// # std::io::Write::write_all(&mut far_end, b"HTTP/1.1 200 OK")?;
    /// # drop(far_end);
    /// // With a socket that does not block: await that it is readable after a `WouldBlock`.
    /// while stream.write_with(|room| host.read_vectored(room)).await? > 0 {}
    /// stream.close().await?;
    /// # let mut got = String::new();
    /// # peer.read_to_string(&mut got).await?;
    /// # assert_eq!(got, "HTTP/1.1 200 OK");
    /// # Ok(()) });
    /// ```
    ///
    /// # The closure
    ///
    /// What [`read_with`](Self::read_with) says of its closure holds here too.
    ///
    /// The slices hold arbitrary bytes, also bytes of other connections of the stack, because
    /// buffers are recycled without being cleared. `f` must count only bytes that it has written:
    /// the peer gets every byte that `f` counts.
    ///
    /// # Errors
    ///
    /// What `f` returns, and as for [writing](#impl-AsyncWrite-for-TcpStream%3CF%3E).
    ///
    /// # Panics
    ///
    /// If `f` returns more bytes than it was lent. After this panic, or a panic of `f`, nothing is
    /// sent, and the stream can be used on.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing. The future completes with the call of `f`.
    pub async fn write_with(
        &self,
        mut f: impl FnMut(&mut [IoSliceMut<'_>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        poll_fn(|cx| self.poll_write_with(cx, &mut f)).await
    }

    /// Lends the room in the send buffer to `f`, as [`write_with`](Self::write_with) does. While
    /// less than a quarter of the buffer is free, it returns `Pending` and has the task woken.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, mut peer| {
    /// use futures_lite::{AsyncReadExt, future};
    ///
    /// let sent = future::poll_fn(|cx| {
    ///     stream.poll_write_with(cx, |room| {
    ///         room[0][..4].copy_from_slice(b"ping");
    ///         Ok(4)
    ///     })
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
    /// As for [`write_with`](Self::write_with).
    ///
    /// # Panics
    ///
    /// As for [`write_with`](Self::write_with).
    pub fn poll_write_with(
        &self,
        cx: &mut TaskContext<'_>,
        mut f: impl FnMut(&mut [IoSliceMut<'_>]) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.poll_send(Some(cx.waker()), |connection, fx| {
            connection.write_with(&mut f, fx)
        })
    }

    /// Lends the room in the send buffer to `f`, as [`write_with`](Self::write_with) does, and does
    /// not wait.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, _peer| {
    /// use std::io::ErrorKind;
    ///
    /// // Until the buffer is full; the peer does not read.
    /// let fill = || stream.try_write_with(|room| Ok(room.iter().map(|slice| slice.len()).sum()));
    /// let full = loop {
    ///     if let Err(error) = fill() {
    ///         break error;
    ///     }
    /// };
    /// assert_eq!(full.kind(), ErrorKind::WouldBlock);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`write_with`](Self::write_with), and [`WouldBlock`](io::ErrorKind::WouldBlock) if
    /// less than a quarter of the buffer is free. No task is woken later.
    ///
    /// # Panics
    ///
    /// As for [`write_with`](Self::write_with).
    pub fn try_write_with(
        &self,
        mut f: impl FnMut(&mut [IoSliceMut<'_>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let written = self.poll_send(None, |connection, fx| connection.write_with(&mut f, fx));
        or_would_block(written)
    }
}

fn or_would_block(ready: Poll<io::Result<usize>>) -> io::Result<usize> {
    match ready {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}
