use crate::{
    datagram::Datagram,
    inbound::{Inbound, Take},
    wait::{Awaited, Waiter},
};
use brooklet_cell::wakers::{WaitKey, WakeList};
use brooklet_cell::{Flavor, Shared};
use brooklet_io::StackClosed;
use std::{
    fmt,
    future::poll_fn,
    io,
    net::SocketAddr,
    task::{Context, Poll},
};

/// The read half of a [`TransparentUdpSocket`](crate::TransparentUdpSocket).
///
/// Clones read from the same queue: each datagram goes to one of them. When the last handle that
/// reads is dropped, the datagrams in the queue are dropped, too, and later datagrams find no
/// listener.
///
/// With the feature `futures` the half is a `Stream` of `(payload, from, to)`, which ends with the
/// stack.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// # use brooklet_packet::{Packet, udp};
/// # let (engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default());
/// # let (client, server) = ("10.0.0.1:5000".parse()?, "9.9.9.9:53".parse()?);
/// # let mut bytes = Vec::new();
/// # udp::write(&mut bytes, client, server, 64, b"question")?;
/// # let _ = engine.handle_packet(&Packet::parse(&bytes)?);
/// # futures_lite::future::block_on(async {
/// let (read, write) = socket.split();
/// let question = read.recv_datagram().await?;
/// write.send_datagram(&question.reply(*b"answer")).await?;
/// # std::io::Result::Ok(())
/// # })?;
/// # assert_eq!(engine.stats().datagrams_out, 1);
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct UdpReadHalf<F: Flavor> {
    /// The key is that of the `Stream`.
    pub(crate) waiter: Waiter<F, Inbound>,
}

impl<F: Flavor> UdpReadHalf<F> {
    pub(crate) fn new(inbound: &Shared<F, Inbound>) -> Self {
        inbound.with(Inbound::add_reader);
        Self {
            waiter: Waiter::new(inbound),
        }
    }

    /// Receives one datagram; see [`TransparentUdpSocket::recv_from`](crate::TransparentUdpSocket::recv_from).
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # use brooklet_packet::{Packet, udp};
    /// # let (engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default());
    /// # let (client, server) = ("10.0.0.1:5000".parse()?, "9.9.9.9:53".parse()?);
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, client, server, 64, b"question")?;
    /// # let _ = engine.handle_packet(&Packet::parse(&bytes)?);
    /// # let (read, _write) = socket.split();
    /// # futures_lite::future::block_on(async {
    /// let mut buf = [0; 1500];
    /// assert_eq!(read.recv_from(&mut buf).await?, (8, client, server));
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`TransparentUdpSocket::recv_from`](crate::TransparentUdpSocket::recv_from).
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr, SocketAddr)> {
        self.wait(|inbound| inbound.read_into(buf, Take::Yes)).await
    }

    /// Receives one datagram and leaves it in the queue; see
    /// [`TransparentUdpSocket::peek_from`](crate::TransparentUdpSocket::peek_from).
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # use brooklet_packet::{Packet, udp};
    /// # let (engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default());
    /// # let (client, server) = ("10.0.0.1:5000".parse()?, "9.9.9.9:53".parse()?);
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, client, server, 64, b"question")?;
    /// # let _ = engine.handle_packet(&Packet::parse(&bytes)?);
    /// # let (read, _write) = socket.split();
    /// # futures_lite::future::block_on(async {
    /// let (_, from, _) = read.peek_from(&mut []).await?;
    /// assert_eq!(read.recv_datagram().await?.from, from);
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`recv_from`](Self::recv_from).
    pub async fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr, SocketAddr)> {
        self.wait(|inbound| inbound.read_into(buf, Take::No)).await
    }

    /// Receives one whole datagram; see
    /// [`TransparentUdpSocket::recv_datagram`](crate::TransparentUdpSocket::recv_datagram).
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # use brooklet_packet::{Packet, udp};
    /// # let (engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default());
    /// # let (client, server) = ("10.0.0.1:5000".parse()?, "9.9.9.9:53".parse()?);
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, client, server, 64, b"question")?;
    /// # let _ = engine.handle_packet(&Packet::parse(&bytes)?);
    /// # let (read, _write) = socket.split();
    /// # futures_lite::future::block_on(async {
    /// assert_eq!(read.recv_datagram().await?.payload, b"question");
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`recv_from`](Self::recv_from).
    pub async fn recv_datagram(&self) -> io::Result<Datagram> {
        self.wait(Inbound::read).await
    }

    /// The poll form of [`recv_from`](Self::recv_from); see
    /// [`TransparentUdpSocket::poll_recv_from`](crate::TransparentUdpSocket::poll_recv_from).
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # use std::task::{Context, Waker};
    /// # let (_engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default());
    /// let (read, _write) = socket.split();
    /// let mut cx = Context::from_waker(Waker::noop());
    /// assert!(read.poll_recv_from(&mut cx, &mut [0; 1500]).is_pending());
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`recv_from`](Self::recv_from).
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr, SocketAddr)>> {
        poll_read(&self.waiter.queue, None, cx, |inbound| {
            inbound.read_into(buf, Take::Yes)
        })
    }

    async fn wait<R>(&self, mut read: impl FnMut(&mut Inbound) -> Option<R>) -> io::Result<R> {
        let Waiter { queue, key } = &mut Waiter::new(&self.waiter.queue);
        poll_fn(|cx| poll_read(queue, Some(key), cx, &mut read)).await
    }
}

/// Reads, or registers the task for the next datagram.
pub(crate) fn poll_read<F: Flavor, R>(
    queue: &Shared<F, Inbound>,
    key: Option<&mut WaitKey>,
    cx: &mut Context<'_>,
    read: impl FnOnce(&mut Inbound) -> Option<R>,
) -> Poll<io::Result<R>> {
    let mut wakes = WakeList::new();
    let (poll, _replaced) = queue.with(|inbound| match read(inbound) {
        Some(read) => (Poll::Ready(Ok(read)), None),
        None if inbound.closed => (Poll::Ready(Err(StackClosed.into())), None),
        None => (Poll::Pending, inbound.register(key, cx, &mut wakes)),
    });
    wakes.wake_all();
    poll
}

impl<F: Flavor> Clone for UdpReadHalf<F> {
    fn clone(&self) -> Self {
        Self::new(&self.waiter.queue)
    }
}

impl<F: Flavor> Drop for UdpReadHalf<F> {
    fn drop(&mut self) {
        drop(self.waiter.queue.with(Inbound::remove_reader));
    }
}

impl<F: Flavor> fmt::Debug for UdpReadHalf<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpReadHalf").finish_non_exhaustive()
    }
}
