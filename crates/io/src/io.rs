use crate::{Offload, PacketBuf};
use std::io;
use std::task::{Context, Poll};

/// A source and sink of IP packets, such as a TUN device.
///
/// Each call moves one packet, without a link-layer header. The trait does not require [`Send`]:
/// the driver of a stack is `Send` if its device is, and otherwise stays on its thread.
///
/// A *super-packet* is one packet of up to 64 KiB that stands for several segments (TSO, USO).
/// Ignore this if your device has no offload.
///
/// # Examples
///
/// Users of `brooklet` import these names from `brooklet`.
///
/// A device in memory, which receives each packet that was sent to it:
///
/// ```
/// use brooklet_io::{PacketBuf, PacketIo};
/// use std::collections::VecDeque;
/// use std::io;
/// use std::task::{Context, Poll, Waker};
///
/// struct Loopback(VecDeque<Vec<u8>>);
///
/// impl PacketIo for Loopback {
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
///
/// let (mut device, mut packet) = (Loopback(VecDeque::new()), PacketBuf::default());
/// let mut cx = Context::from_waker(Waker::noop());
/// assert!(device.poll_send(&mut cx, &PacketBuf::from(vec![0x45; 20])).is_ready());
/// assert!(matches!(device.poll_recv(&mut cx, &mut packet), Poll::Ready(Ok(()))));
/// assert_eq!(packet.len(), 20);
/// ```
///
/// A device over two channels, for packets that another task carries on:
///
/// ```
/// use async_channel::{Receiver, SendError, Sender};
/// use brooklet_io::{PacketBuf, PacketIo};
/// use futures_lite::Stream;
/// use std::io;
/// use std::pin::Pin;
/// use std::task::{Context, Poll, ready};
///
/// struct ChannelDevice {
///     rx: Pin<Box<Receiver<Vec<u8>>>>,
///     tx: Sender<Vec<u8>>,
///     /// The packet that waits for room in the channel.
///     sending: Option<Pin<Box<dyn Future<Output = Result<(), SendError<Vec<u8>>>> + Send>>>,
/// }
///
/// impl PacketIo for ChannelDevice {
///     fn poll_recv(
///         &mut self,
///         cx: &mut Context<'_>,
///         packet: &mut PacketBuf,
///     ) -> Poll<io::Result<()>> {
///         match ready!(self.rx.as_mut().poll_next(cx)) {
///             Some(bytes) => packet.copy_from_slice(&bytes),
///             None => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
///         }
///         Poll::Ready(Ok(()))
///     }
///
///     fn poll_send(&mut self, cx: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>> {
///         let tx = &self.tx;
///         // After `Pending` the caller offers the same packet again, which is the one in here.
///         let sending = self.sending.get_or_insert_with(|| {
///             let (tx, bytes) = (tx.clone(), packet.to_vec());
///             Box::pin(async move { tx.send(bytes).await })
///         });
///         let sent = ready!(sending.as_mut().poll(cx));
///         self.sending = None;
///         Poll::Ready(sent.map_err(|_| io::ErrorKind::UnexpectedEof.into()))
///     }
/// }
///
/// # futures_lite::future::block_on(async {
/// let (to_stack, rx) = async_channel::bounded(64);
/// let (tx, from_stack) = async_channel::bounded(64);
/// let mut device = ChannelDevice { rx: Box::pin(rx), tx, sending: None };
///
/// to_stack.send(vec![0x45; 20]).await.unwrap();
/// let mut packet = PacketBuf::default();
/// std::future::poll_fn(|cx| device.poll_recv(cx, &mut packet)).await?;
/// std::future::poll_fn(|cx| device.poll_send(cx, &packet)).await?;
/// assert_eq!(from_stack.recv().await.unwrap(), vec![0x45; 20]);
/// # io::Result::Ok(())
/// # })?;
/// # io::Result::Ok(())
/// ```
///
/// A device over a Unix datagram socket, for packets from another process. Each datagram carries
/// one packet:
///
/// ```
/// # #[cfg(unix)] {
/// use async_io::Async;
/// use brooklet_io::{PacketBuf, PacketIo};
/// use std::io;
/// use std::os::unix::net::UnixDatagram;
/// use std::task::{Context, Poll, ready};
///
/// struct SocketDevice(Async<UnixDatagram>);
///
/// impl PacketIo for SocketDevice {
///     fn poll_recv(
///         &mut self,
///         cx: &mut Context<'_>,
///         packet: &mut PacketBuf,
///     ) -> Poll<io::Result<()>> {
///         loop {
///             match self.0.get_ref().recv(packet.storage_mut()) {
///                 Ok(len) => {
///                     packet.set_len(len);
///                     return Poll::Ready(Ok(()));
///                 }
///                 Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
///                     ready!(self.0.poll_readable(cx))?;
///                 }
///                 Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
///                 Err(error) => return Poll::Ready(Err(error)),
///             }
///         }
///     }
///
///     fn poll_send(&mut self, cx: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>> {
///         loop {
///             match self.0.get_ref().send(packet) {
///                 Ok(_) => return Poll::Ready(Ok(())),
///                 Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
///                     ready!(self.0.poll_writable(cx))?;
///                 }
///                 Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
///                 Err(error) => return Poll::Ready(Err(error)),
///             }
///         }
///     }
/// }
///
/// # futures_lite::future::block_on(async {
/// let (here, there) = Async::<UnixDatagram>::pair()?;
/// let mut device = SocketDevice(here);
///
/// there.send(&[0x45; 20]).await?;
/// let mut packet = PacketBuf::with_capacity(1500);
/// std::future::poll_fn(|cx| device.poll_recv(cx, &mut packet)).await?;
/// std::future::poll_fn(|cx| device.poll_send(cx, &packet)).await?;
/// let mut buf = [0; 1500];
/// assert_eq!(there.recv(&mut buf).await?, 20);
/// # io::Result::Ok(())
/// # })?;
/// # }
/// # std::io::Result::Ok(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a device that moves IP packets",
    label = "not a `PacketIo`",
    note = "use a device that implements `PacketIo`, such as `brooklet_tun::Tun` or one end of \
            `brooklet::pipe`, or implement the trait"
)]
pub trait PacketIo {
    /// Returns the offloads of the device; by default none. The driver of a stack calls this
    /// method once, when it gets the device.
    fn offload(&self) -> Offload {
        Offload::default()
    }

    /// Returns the length in bytes of the longest IP packet that the device sends, its MTU, or
    /// `None` if the device does not know a limit; by default `None`. A super-packet, which the
    /// device segments itself, may be longer.
    ///
    /// ```
    /// # use brooklet_io::{PacketBuf, PacketIo};
    /// # use std::io;
    /// # use std::task::{Context, Poll};
    /// /// A tunnel whose packets fit a datagram of an Ethernet network.
    /// struct Tunnel;
    ///
    /// impl PacketIo for Tunnel {
    ///     fn mtu(&self) -> Option<usize> {
    ///         Some(1420)
    ///     }
    ///     # fn poll_recv(&mut self, _: &mut Context<'_>, _: &mut PacketBuf) -> Poll<io::Result<()>> {
    ///     #     Poll::Pending
    ///     # }
    ///     # fn poll_send(&mut self, _: &mut Context<'_>, _: &PacketBuf) -> Poll<io::Result<()>> {
    ///     #     Poll::Ready(Ok(()))
    ///     # }
    ///     // ...
    /// }
    /// # assert_eq!(Box::new(Tunnel).mtu(), Some(1420));
    /// # assert_eq!((&mut Tunnel).mtu(), Some(1420));
    /// ```
    fn mtu(&self) -> Option<usize> {
        None
    }

    /// Receives the next IP packet into `packet` and sets its length.
    ///
    /// Every packet needs its length: call [`PacketBuf::set_len`], [`resize`](PacketBuf::resize) or
    /// [`copy_from_slice`](PacketBuf::copy_from_slice). Otherwise `packet` keeps the length and the
    /// metadata of the packet before. The packet need not be valid: the stack drops and counts an
    /// invalid one.
    ///
    /// The device may deliver a super-packet, or a packet without its checksum, if it then sets
    /// the packet's [`Meta`](crate::Meta) by [`PacketBuf::set_meta`], after the length. The
    /// storage of `packet` has room for the MTU at least; that of a brooklet driver has room for
    /// 65,575 bytes, the longest IPv6 packet.
    ///
    /// Returns `Pending` after registering the waker of `cx`; the content of `packet` is then
    /// unspecified. The driver of a stack calls `poll_recv` after every wake-up: a device with timers
    /// of its own may poll them here.
    ///
    /// # Errors
    ///
    /// A device that is closed for good returns [`UnexpectedEof`](io::ErrorKind::UnexpectedEof),
    /// which ends the driver with that error. After an error that is not
    /// [fatal](crate::DeviceFault), the driver calls the method again, with a back-off of up to
    /// 100 ms, and ends with the error after 600 in a row.
    fn poll_recv(&mut self, cx: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<()>>;

    /// Sends one IP packet. A device without offloads (the default) gets complete packets no longer
    /// than the MTU of the stack. A device with [offloads](Self::offload) may get a super-packet or an
    /// unfinished checksum; [`packet.meta()`](PacketBuf::meta) says which.
    ///
    /// Returns `Ready(Ok(()))` once the device has taken the packet, or `Pending` after
    /// registering the waker of `cx`; the device has not taken the packet then, and the caller
    /// offers the same packet again. A device that cannot send a packet may drop it and return
    /// `Ready(Ok(()))`; TCP retransmits.
    ///
    /// # Errors
    ///
    /// A [fatal](crate::DeviceFault) error ends the driver. After a transient error the device has
    /// not taken the packet: the driver offers the same packet again, with the back-off and the limit
    /// of [`poll_recv`](Self::poll_recv). A packet that the device refuses is dropped and counted.
    fn poll_send(&mut self, cx: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>>;
}

impl<T: PacketIo + ?Sized> PacketIo for &mut T {
    fn offload(&self) -> Offload {
        (**self).offload()
    }
    fn mtu(&self) -> Option<usize> {
        (**self).mtu()
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
    fn mtu(&self) -> Option<usize> {
        (**self).mtu()
    }
    fn poll_recv(&mut self, cx: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<()>> {
        (**self).poll_recv(cx, packet)
    }
    fn poll_send(&mut self, cx: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>> {
        (**self).poll_send(cx, packet)
    }
}
