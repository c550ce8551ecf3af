//! A stream in two halves, so that one task can read and another can write.

mod lending;

use super::TcpStream;
use brooklet_cell::Flavor;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr};

/// The read half of a [`TcpStream`]. A drop of a `ReadHalf` alone does nothing: a drop of the last
/// handle closes the connection.
#[derive(Debug)]
pub struct ReadHalf<F: Flavor>(TcpStream<F>);

/// The write half of a [`TcpStream`]. A drop of a `WriteHalf` sends a FIN at once, after the data
/// that was written, even if clones of the stream remain.
#[derive(Debug)]
pub struct WriteHalf<F: Flavor> {
    stream: TcpStream<F>,
    /// A drop closes the stream for writing.
    closes: bool,
}

impl<F: Flavor> TcpStream<F> {
    /// Splits the stream into a read half and a write half, so that one task can read and another can
    /// write. The halves share no lock other than the connection's own.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, peer| {
    /// use futures_lite::{AsyncReadExt, AsyncWriteExt, future, io};
    ///
    /// let (mut read, mut write) = stream.split();
    /// let send = async {
    ///     write.write_all(b"to and fro").await?;
    ///     write.close().await
    /// };
    /// let mut received = Vec::new();
    /// let receive = async { read.read_to_end(&mut received).await };
    /// let echo = async {
    ///     io::copy(&peer, &peer).await?;
    ///     (&peer).close().await
    /// };
    /// future::try_zip(future::try_zip(send, receive), echo).await?;
    /// assert_eq!(received, b"to and fro");
    /// # Ok(()) });
    /// ```
    pub fn split(self) -> (ReadHalf<F>, WriteHalf<F>) {
        let write = WriteHalf {
            stream: self.clone(),
            closes: true,
        };
        (ReadHalf(self), write)
    }
}

impl<F: Flavor> ReadHalf<F> {
    /// The stream to which this half belongs.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, _peer| {
    /// let (read, _write) = stream.split();
    /// read.stream().set_nodelay(false)?;
    /// # Ok(()) });
    /// ```
    pub fn stream(&self) -> &TcpStream<F> {
        &self.0
    }

    /// The local address, as of [`TcpStream::local_addr`].
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, peer| {
    /// let (read, _write) = stream.split();
    /// assert_eq!(read.local_addr()?, peer.peer_addr()?);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// Never. The signature follows async-net.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// The address of the peer, as of [`TcpStream::peer_addr`].
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, peer| {
    /// let (read, _write) = stream.split();
    /// assert_eq!(read.peer_addr()?, peer.local_addr()?);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// Never. The signature follows async-net.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
    }

    /// Receives data without removing it from the receive buffer.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, mut peer| {
    /// use futures_lite::AsyncWriteExt;
    ///
    /// let (read, _write) = stream.split();
    /// peer.write_all(b"GET /").await?;
    /// let mut buf = [0; 3];
    /// read.peek(&mut buf).await?;
    /// assert_eq!(&buf, b"GET");
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// As for [reading](TcpStream#impl-AsyncRead-for-TcpStream%3CF%3E).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.0.poll_peek(cx, buf)).await
    }

    /// Makes a stream of both halves again. Nothing is sent.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, _peer| {
    /// use futures_lite::AsyncWriteExt;
    ///
    /// let (read, mut write) = stream.split();
    /// write.write_all(b"by a half").await?;
    /// let mut stream = read.reunite(write).expect("halves of one stream");
    /// stream.write_all(b"and by the whole").await?;
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// [`ReuniteError`], which returns both halves, if they belong to different connections.
    pub fn reunite(self, other: WriteHalf<F>) -> Result<TcpStream<F>, ReuniteError<F>> {
        reunite(self, other)
    }
}

impl<F: Flavor> WriteHalf<F> {
    /// The stream to which this half belongs.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, _peer| {
    /// let (_read, write) = stream.split();
    /// assert_eq!(write.stream().info().send_queue, 0);
    /// # Ok(()) });
    /// ```
    pub fn stream(&self) -> &TcpStream<F> {
        &self.stream
    }

    /// The local address, as of [`TcpStream::local_addr`].
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, peer| {
    /// let (_read, write) = stream.split();
    /// assert_eq!(write.local_addr()?, peer.peer_addr()?);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// Never. The signature follows async-net.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// The address of the peer, as of [`TcpStream::peer_addr`].
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, peer| {
    /// let (_read, write) = stream.split();
    /// assert_eq!(write.peer_addr()?, peer.local_addr()?);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// Never. The signature follows async-net.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }

    /// Makes a stream of both halves again. Nothing is sent.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, peer| {
    /// let (read, write) = stream.split();
    /// let stream = write.reunite(read).expect("halves of one stream");
    /// assert_eq!(stream.peer_addr()?, peer.local_addr()?);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// [`ReuniteError`], which returns both halves, if they belong to different connections.
    pub fn reunite(self, other: ReadHalf<F>) -> Result<TcpStream<F>, ReuniteError<F>> {
        reunite(other, self)
    }
}

fn reunite<F: Flavor>(
    read: ReadHalf<F>,
    mut write: WriteHalf<F>,
) -> Result<TcpStream<F>, ReuniteError<F>> {
    if !read.0.connection.same(&write.stream.connection) {
        return Err(ReuniteError(read, write));
    }
    write.closes = false;
    Ok(read.0)
}

impl<F: Flavor> Drop for WriteHalf<F> {
    fn drop(&mut self) {
        if self.closes && std::thread::panicking() {
            self.stream.abort(); // as at the drop of a stream
        } else if self.closes {
            // On an error the connection has ended already.
            let _ = self.stream.shutdown(Shutdown::Write);
        }
    }
}

/// The two halves belong to different connections. The error returns both.
///
/// ```
/// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
/// # example::run(async |stream, peer| {
/// let (read, write) = stream.split();
/// let (other, _) = peer.split();
/// let error = other.reunite(write).unwrap_err();
/// assert_eq!(error.1.peer_addr()?, read.peer_addr()?);
/// # Ok(()) });
/// ```
#[derive(Debug)]
pub struct ReuniteError<F: Flavor>(pub ReadHalf<F>, pub WriteHalf<F>);

impl<F: Flavor> fmt::Display for ReuniteError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves belong to different connections")
    }
}

impl<F: Flavor> std::error::Error for ReuniteError<F> {}
