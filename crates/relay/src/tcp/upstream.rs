//! The connection on the far side of the relay.

use brooklet::TcpStream;
use futures_lite::{AsyncRead, AsyncWrite};
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

/// When the peer of an idle connection counts as gone (RFC 9293, 3.8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// How long a connection may be idle before the first probe.
    pub idle: Duration,
    /// How long the peer may leave the probes unanswered before the connection times out.
    pub timeout: Duration,
}

/// A connection that the data of a client goes to: a socket of the host, or a connection through a
/// proxy.
///
/// The relay reads and writes by the vectored methods, which therefore should not copy to a buffer
/// in between. A close ends the direction from the client: the peer reads to the end, and what it
/// sends still arrives.
///
/// ```
/// use brooklet_relay::Upstream;
/// use brooklet_relay::host::HostStream;
/// use futures_lite::{AsyncRead, AsyncWrite};
/// use std::io;
/// use std::pin::Pin;
/// use std::task::{Context, Poll};
///
/// /// A connection through a proxy, whose bytes are inverted on the way.
/// struct Inverted(HostStream);
///
/// impl AsyncRead for Inverted {
///     fn poll_read(
///         mut self: Pin<&mut Self>,
///         cx: &mut Context<'_>,
///         buffer: &mut [u8],
///     ) -> Poll<io::Result<usize>> {
///         let read = Pin::new(&mut self.0).poll_read(cx, buffer);
///         if let Poll::Ready(Ok(n)) = read {
///             buffer[..n].iter_mut().for_each(|byte| *byte = !*byte);
///         }
///         read
///     }
/// }
///
/// impl AsyncWrite for Inverted {
///     fn poll_write(
///         mut self: Pin<&mut Self>,
///         cx: &mut Context<'_>,
///         bytes: &[u8],
///     ) -> Poll<io::Result<usize>> {
///         let bytes: Vec<u8> = bytes.iter().map(|byte| !byte).collect();
///         Pin::new(&mut self.0).poll_write(cx, &bytes)
///     }
///
///     fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
///         Poll::Ready(Ok(()))
///     }
///
///     fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
///         Pin::new(&mut self.0).poll_close(cx)
///     }
/// }
///
/// impl Upstream for Inverted {
///     fn reset(&mut self) {
///         self.0.reset();
///     }
/// }
/// ```
pub trait Upstream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Prepares the drop of the stream, which follows, to reset the connection instead of closing
    /// it: the client is gone. A stream without such a thing as a reset does nothing.
    fn reset(&mut self);

    /// Registers the task if a read is known to find nothing. The relay then does not read, and has
    /// no buffer of the client's connection for it. The default is ready: nothing is known.
    fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Ready(())
    }

    /// Has the connection time out when its peer is gone without a word. The default does nothing.
    ///
    /// # Errors
    ///
    /// Those of the system. The relay goes on without.
    fn set_keepalive(&mut self, keepalive: Keepalive) -> io::Result<()> {
        let _ = keepalive;
        Ok(())
    }
}

/// A connection of another stack. Not for a connection of the stack that the clients are in: the
/// relay reads from one side while it holds the other one.
impl Upstream for TcpStream {
    fn reset(&mut self) {
        self.abort();
    }

    fn set_keepalive(&mut self, keepalive: Keepalive) -> io::Result<()> {
        Self::set_keepalive(self, Some(keepalive.idle));
        self.set_user_timeout(Some(keepalive.timeout));
        Ok(())
    }
}
