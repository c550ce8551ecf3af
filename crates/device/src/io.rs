use crate::{Offload, PacketBuf};
use std::io;
use std::task::{Context, Poll};

/// A source and sink of IP packets, such as a TUN device.
///
/// One call moves one packet, without a link-layer header. Nothing here asks for [`Send`]: a
/// stack whose device is `Send` has a driver that is `Send`, and any other stays on its thread.
///
/// ```
/// use brooklet_device::{PacketBuf, PacketIo};
/// use std::collections::VecDeque;
/// use std::io;
/// use std::task::{Context, Poll};
///
/// /// Gives back what was sent to it.
/// struct Mirror(VecDeque<Vec<u8>>);
///
/// impl PacketIo for Mirror {
///     fn poll_recv(
///         &mut self,
///         _cx: &mut Context<'_>,
///         packet: &mut PacketBuf,
///     ) -> Poll<io::Result<()>> {
///         match self.0.pop_front() {
///             Some(bytes) => packet.copy_from_slice(&bytes),
///             None => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
///         }
///         Poll::Ready(Ok(()))
///     }
///
///     fn poll_send(&mut self, _cx: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>> {
///         self.0.push_back(packet.to_vec());
///         Poll::Ready(Ok(()))
///     }
/// }
/// ```
pub trait PacketIo {
    /// What the device takes over from whoever sends to it; nothing, unless it says so. It is
    /// asked once.
    fn offload(&self) -> Offload {
        Offload::default()
    }

    /// Receives the next IP packet into `packet`, whose storage is at least as large as the
    /// stack's MTU, and sets its length.
    ///
    /// The packet may stand for several, or be without its checksum, if its
    /// [`Meta`](crate::Meta) says so: [`PacketBuf::set_meta`], after the length. The storage that
    /// a driver offers has room for 65,575 bytes, the longest packet of IPv6.
    ///
    /// `Pending` registers the waker of `cx` and leaves the content of `packet` open.
    ///
    /// # Errors
    ///
    /// An error ends the driver with that error; a device that is closed for good says
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof). A fault that will pass (an interface that
    /// is down) should be waited for, or the packet skipped, instead.
    fn poll_recv(&mut self, cx: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<()>>;

    /// Sends one IP packet, or several in the shape of one, as far as
    /// [`offload`](Self::offload) allows that: [`PacketBuf::meta`] says which it is.
    ///
    /// `Pending` registers the waker of `cx`; the packet has not been taken, and the caller offers
    /// the same one again. `Ready(Ok(()))` has taken it.
    ///
    /// # Errors
    ///
    /// As for [`poll_recv`](Self::poll_recv): an error ends the driver.
    fn poll_send(&mut self, cx: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>>;
}

impl<T: PacketIo + ?Sized> PacketIo for &mut T {
    fn offload(&self) -> Offload {
        (**self).offload()
    }
    fn poll_recv(&mut self, cx: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<()>> {
        (**self).poll_recv(cx, packet)
    }
    fn poll_send(&mut self, cx: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>> {
        (**self).poll_send(cx, packet)
    }
}

impl<T: PacketIo + ?Sized> PacketIo for Box<T> {
    fn offload(&self) -> Offload {
        (**self).offload()
    }
    fn poll_recv(&mut self, cx: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<()>> {
        (**self).poll_recv(cx, packet)
    }
    fn poll_send(&mut self, cx: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>> {
        (**self).poll_send(cx, packet)
    }
}
