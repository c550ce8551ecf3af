use crate::{
    datagram::Datagram,
    outbound::Outbound,
    queues::Queues,
    wait::{Awaited, Waiter},
};
use brooklet_cell::wakers::{WaitKey, WakeList};
use brooklet_cell::{Flavor, Shared};
use std::{
    fmt,
    future::poll_fn,
    io,
    net::SocketAddr,
    task::{Context, Poll},
};

/// The write half of a [`TransparentUdpSocket`](crate::TransparentUdpSocket).
///
/// The half does not listen: when only write halves are left, inbound datagrams find no listener.
///
/// With the feature `futures` the half is a `Sink` of `(payload, from, to)`.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// # let (engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default());
/// # futures_lite::future::block_on(async {
/// let (_read, write) = socket.split();
/// let (server, client) = ("9.9.9.9:53".parse().unwrap(), "10.0.0.1:5000".parse().unwrap());
/// assert_eq!(write.send_to(b"answer", server, client).await?, 6);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// # assert_eq!(engine.stats().datagrams_out, 1);
/// # }
/// ```
pub struct UdpWriteHalf<F: Flavor> {
    pub(crate) queues: Queues<F>,
    /// A datagram that the `Sink` has taken and not queued.
    #[cfg(feature = "futures")]
    pub(crate) unsent: Option<Box<Unsent<F>>>,
}

/// A datagram that waits for room in its queue.
#[cfg(feature = "futures")]
pub(crate) struct Unsent<F: Flavor> {
    pub(crate) datagram: Datagram,
    pub(crate) waiter: Waiter<F, Outbound>,
}

impl<F: Flavor> UdpWriteHalf<F> {
    pub(crate) fn new(queues: &Queues<F>) -> Self {
        Self {
            queues: queues.clone(),
            #[cfg(feature = "futures")]
            unsent: None,
        }
    }

    /// Sends one datagram; see [`TransparentUdpSocket::send_to`](crate::TransparentUdpSocket::send_to). An example is at
    /// [`UdpWriteHalf`].
    ///
    /// # Errors
    ///
    /// As for [`TransparentUdpSocket::send_to`](crate::TransparentUdpSocket::send_to).
    pub async fn send_to(
        &self,
        payload: &[u8],
        from: SocketAddr,
        to: SocketAddr,
    ) -> io::Result<usize> {
        let Waiter { queue, key } = &mut Waiter::new(self.queues.of(from, to));
        let send = |queue: &mut Outbound| queue.send(payload, from, to);
        poll_fn(|cx| poll_send(queue, Some(key), cx, send)).await?;
        Ok(payload.len())
    }

    /// Sends `datagram`; see [`TransparentUdpSocket::send_datagram`](crate::TransparentUdpSocket::send_datagram).
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # let (engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default());
    /// # futures_lite::future::block_on(async {
    /// use brooklet_udp::Datagram;
    ///
    /// let (_read, write) = socket.split();
    /// let (server, client) = ("9.9.9.9:53".parse().unwrap(), "10.0.0.1:5000".parse().unwrap());
    /// write.send_datagram(&Datagram::new(*b"answer", server, client)).await?;
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// # assert_eq!(engine.stats().datagrams_out, 1);
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`send_to`](Self::send_to).
    pub async fn send_datagram(&self, datagram: &Datagram) -> io::Result<()> {
        let Datagram { payload, from, to } = datagram;
        self.send_to(payload, *from, *to).await.map(drop)
    }

    /// The poll form of [`send_to`](Self::send_to); see
    /// [`TransparentUdpSocket::poll_send_to`](crate::TransparentUdpSocket::poll_send_to).
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # use std::task::{Context, Waker};
    /// # let (_engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default());
    /// let (_read, write) = socket.split();
    /// let (server, client) = ("9.9.9.9:53".parse().unwrap(), "10.0.0.1:5000".parse().unwrap());
    /// let mut cx = Context::from_waker(Waker::noop());
    /// assert!(write.poll_send_to(&mut cx, b"answer", server, client).is_ready());
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`send_to`](Self::send_to).
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        payload: &[u8],
        from: SocketAddr,
        to: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        let send = |queue: &mut Outbound| queue.send(payload, from, to);
        poll_send(self.queues.of(from, to), None, cx, send).map_ok(|()| payload.len())
    }
}

/// Sends and wakes the driver, or registers the task for room. `send` returns `false` if there is
/// no room.
pub(crate) fn poll_send<F: Flavor>(
    queue: &Shared<F, Outbound>,
    key: Option<&mut WaitKey>,
    cx: &mut Context<'_>,
    send: impl FnOnce(&mut Outbound) -> io::Result<bool>,
) -> Poll<io::Result<()>> {
    let mut wakes = WakeList::new();
    let (poll, _replaced) = queue.with(|queue| match send(queue) {
        Ok(true) => {
            wakes.extend(queue.take_driver());
            (Poll::Ready(Ok(())), None)
        }
        Ok(false) => (Poll::Pending, queue.register(key, cx, &mut wakes)),
        Err(error) => (Poll::Ready(Err(error)), None),
    });
    wakes.wake_all();
    poll
}

impl<F: Flavor> Clone for UdpWriteHalf<F> {
    fn clone(&self) -> Self {
        Self::new(&self.queues)
    }
}

impl<F: Flavor> fmt::Debug for UdpWriteHalf<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpWriteHalf").finish_non_exhaustive()
    }
}
