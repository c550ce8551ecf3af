//! The program's side of a capture.

use super::config::CaptureConfig;
use super::tap::Captures;
use crate::stack::Stack;
use brooklet_cell::Flavor;
use futures_core::Stream;
use futures_io::AsyncWrite;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{SystemTime, UNIX_EPOCH};

/// A capture of the packets of a stack, from [`Stack::capture`]. It captures until it is dropped.
///
/// The drivers copy each packet into a bounded buffer and never wait. This handle drains the buffer:
/// [`write_to`](Self::write_to) writes to a file or a socket, and the implementation of [`Stream`]
/// returns the same bytes, in pieces of whole blocks. A packet that finds the buffer full is
/// [lost](Self::lost) to the capture, not to the stack.
///
/// # What is captured
///
/// The bytes are a file in the format pcapng, which Wireshark and `tshark` open. Each device queue
/// is an interface with the link type `LINKTYPE_RAW`, and the times have a resolution of a
/// nanosecond.
///
/// - A received packet is captured as the device delivered it, also if it is malformed or a
///   fragment. A sent packet is captured when the device has taken it, in the segments or fragments
///   in which it left, and also if the filter stops it. What the stack drops before the filter, such
///   as a datagram above the path MTU that must not be fragmented, is only counted in
///   [`Stats`](crate::Stats). The direction is in the flags of the packet
///   (`epb_flags`; in Wireshark `frame.packet_flags_direction`).
/// - A packet that did not simply pass has a comment: `dropped by the filter`, `rejected by the
///   filter`, `diverted by the filter`, or `dropped: ` and the [`DropReason`](crate::DropReason).
///   The comment of a fragment that completes a packet is about the whole packet.
/// - With [offload](crate::Offload), packets of up to 64 KiB are captured as they pass the device.
///   Their checksums are filled in by whoever takes them from the device, and Wireshark shows them
///   as wrong if it is asked to check.
///
/// ```
/// # #[cfg(all(feature = "sync", feature = "async-io"))] fn main() -> std::io::Result<()> {
/// use brooklet::{Builder, CaptureConfig, Parts};
/// use futures_lite::StreamExt;
/// use futures_lite::future::{block_on, or};
/// # use futures_lite::future::zip;
///
/// # let (client_device, server_device) = brooklet::pipe(64);
/// # let Parts { stack, driver: client, .. } =
/// #     Builder::new().address([10, 0, 0, 2]).build(client_device)?;
/// # let Parts { tcp, driver: server, .. } = Builder::new().build(server_device)?;
/// let mut capture = stack.capture(CaptureConfig::new());
/// # let drivers = or(client, server);
/// # let exchange = async {
/// let stream = stack.connect("192.0.2.1:80".parse().unwrap()).await?;
/// drop(stream);
/// # Ok(()) };
/// # block_on(or(async { zip(exchange, tcp.accept()).await.0 }, drivers))?;
/// capture.stop();
/// let mut file = Vec::new();
/// block_on(capture.write_to(&mut file))?;
/// assert_eq!(file[..4], [0x0A, 0x0D, 0x0D, 0x0A]); // the magic number of pcapng
/// assert_eq!(block_on(capture.next()), None);
/// # Ok(())
/// # }
/// # #[cfg(not(all(feature = "sync", feature = "async-io")))] fn main() {}
/// ```
pub struct Capture<F: Flavor> {
    captures: Captures<F>,
    id: u64,
    /// What a call of `write_to` has taken, and how much of it is written.
    taken: Vec<u8>,
    written: usize,
}

impl<F: Flavor> Stack<F> {
    /// Begins a capture of the packets that pass the device: in both directions, with the reason of
    /// each packet that is dropped. Requires the feature `capture`.
    ///
    /// The capture ends when the handle is dropped. While there is none, a packet costs the driver
    /// one load of an atomic number. Several captures can run at once, each with a buffer of its own.
    ///
    /// An example is at [`Capture`].
    pub fn capture(&self, config: CaptureConfig) -> Capture<F> {
        let now = self.common.clock.now();
        let since_1970 = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let captures = self.common.captures.clone();
        Capture {
            id: captures.begin(config, (now, since_1970)),
            captures,
            taken: Vec::new(),
            written: 0,
        }
    }
}

impl<F: Flavor> Capture<F> {
    /// Stops the capture. The packets captured before can still be read, and then the stream ends
    /// and [`write_to`](Self::write_to) returns.
    pub fn stop(&self) {
        self.captures.stop(self.id);
    }

    /// Returns the number of packets that found the [buffer](CaptureConfig::buffer) full, and are
    /// missing in the capture. The next packet in the file tells it too (`epb_dropcount`).
    pub fn lost(&self) -> u64 {
        self.captures.lost(self.id)
    }

    /// Writes what is captured to `writer`, until the capture is [stopped](Self::stop) or the stack
    /// ends. The writer is flushed whenever everything is written.
    ///
    /// # Errors
    ///
    /// Those of the writer. [`WriteZero`](io::ErrorKind::WriteZero) if it takes nothing.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, a later call goes on with the next byte. A program that stops a
    /// capture early lets the file end with a whole packet by [`stop`](Self::stop) and one more
    /// call.
    pub async fn write_to(&mut self, mut writer: impl AsyncWrite + Unpin) -> io::Result<()> {
        poll_fn(|cx| self.poll_write_to(cx, Pin::new(&mut writer))).await
    }

    fn poll_write_to<W: AsyncWrite>(
        &mut self,
        cx: &mut Context<'_>,
        mut writer: Pin<&mut W>,
    ) -> Poll<io::Result<()>> {
        loop {
            while self.written < self.taken.len() {
                let rest = &self.taken[self.written..];
                match ready!(writer.as_mut().poll_write(cx, rest))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    written => self.written += written,
                }
            }
            match self.captures.poll_take(cx, self.id) {
                Poll::Ready(Some(blocks)) => (self.taken, self.written) = (blocks, 0),
                Poll::Ready(None) => return writer.poll_flush(cx),
                Poll::Pending => {
                    // Neither wakes less than the other: a packet and the writer both do.
                    ready!(writer.as_mut().poll_flush(cx))?;
                    return Poll::Pending;
                }
            }
        }
    }
}

/// Pieces of the file, each of whole blocks. After a call of [`write_to`](Capture::write_to) that
/// was dropped, the first piece is the rest of what it had taken.
impl<F: Flavor> Stream for Capture<F> {
    type Item = Vec<u8>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Vec<u8>>> {
        if self.written < self.taken.len() {
            let mut rest = std::mem::take(&mut self.taken);
            rest.drain(..self.written);
            self.written = 0;
            return Poll::Ready(Some(rest));
        }
        self.captures.poll_take(cx, self.id)
    }
}

impl<F: Flavor> Drop for Capture<F> {
    fn drop(&mut self) {
        self.captures.remove(self.id);
    }
}

impl<F: Flavor> fmt::Debug for Capture<F> {
    // The packets are private data that has no place in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture").finish_non_exhaustive()
    }
}
