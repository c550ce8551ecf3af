use crate::{
    Datagram, StackClosed,
    inbound::{Inbound, Take},
    outbound::Outbound,
    shared::{Place, Queues},
    wakers::Seat,
};
use brooklet_cell::{Flavor, Shared};
use std::{
    fmt,
    future::poll_fn,
    io,
    net::SocketAddr,
    task::{Context, Poll},
};

/// The reading half of a [`UdpSocket`](crate::UdpSocket).
///
/// Clones read from the same queue: each datagram goes to one of them. When the last reading
/// handle is dropped, what is queued is dropped too, and later datagrams find no listener.
///
/// With the feature `futures` it is a `Stream` of `(payload, from, to)` that ends only with
/// the stack.
pub struct UdpReadHalf<F: Flavor> {
    pub(crate) place: Place<F, Inbound>,
}

impl<F: Flavor> UdpReadHalf<F> {
    pub(crate) fn new(shared: &Shared<F, Inbound>) -> Self {
        shared.with(Inbound::add_reader);
        Self {
            place: Place::new(shared),
        }
    }

    /// Receives one datagram; see [`UdpSocket::recv_from`](crate::UdpSocket::recv_from).
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr, SocketAddr)> {
        self.wait(|inbound| inbound.read_into(buf, Take::Yes)).await
    }

    /// Looks at the next datagram; see [`UdpSocket::peek_from`](crate::UdpSocket::peek_from).
    pub async fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr, SocketAddr)> {
        self.wait(|inbound| inbound.read_into(buf, Take::No)).await
    }

    /// Receives one whole datagram; see [`UdpSocket::recv_datagram`](crate::UdpSocket::recv_datagram).
    pub async fn recv_datagram(&self) -> io::Result<Datagram> {
        self.wait(Inbound::read).await
    }

    /// The poll form of [`recv_from`](Self::recv_from); see
    /// [`UdpSocket::poll_recv_from`](crate::UdpSocket::poll_recv_from).
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr, SocketAddr)>> {
        poll_read(&self.place.shared, None, cx, |inbound| {
            inbound.read_into(buf, Take::Yes)
        })
    }

    async fn wait<R>(&self, mut read: impl FnMut(&mut Inbound) -> Option<R>) -> io::Result<R> {
        let mut place = Place::new(&self.place.shared);
        poll_fn(|cx| poll_read(&place.shared, Some(&mut place.seat), cx, &mut read)).await
    }
}

/// Reads, or waits for the next datagram.
pub(crate) fn poll_read<F: Flavor, R>(
    shared: &Shared<F, Inbound>,
    seat: Option<&mut Seat>,
    cx: &mut Context<'_>,
    read: impl FnOnce(&mut Inbound) -> Option<R>,
) -> Poll<io::Result<R>> {
    let (poll, replaced) = shared.with(|inbound| match read(inbound) {
        Some(read) => (Poll::Ready(Ok(read)), None),
        None if inbound.closed => (Poll::Ready(Err(StackClosed.into())), None),
        None => (Poll::Pending, inbound.readers.register(seat, cx.waker())),
    });
    drop(replaced);
    poll
}

impl<F: Flavor> Clone for UdpReadHalf<F> {
    fn clone(&self) -> Self {
        Self::new(&self.place.shared)
    }
}

impl<F: Flavor> Drop for UdpReadHalf<F> {
    fn drop(&mut self) {
        drop(self.place.shared.with(Inbound::remove_reader));
    }
}

impl<F: Flavor> fmt::Debug for UdpReadHalf<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpReadHalf").finish_non_exhaustive()
    }
}

/// The writing half of a [`UdpSocket`](crate::UdpSocket).
///
/// It does not listen: with only writing halves left, what arrives finds no listener.
///
/// With the feature `futures` it is a `Sink` of `(payload, from, to)`.
pub struct UdpWriteHalf<F: Flavor> {
    pub(crate) queues: Queues<F>,
    /// A datagram that the sink has taken and not yet placed.
    #[cfg(feature = "futures")]
    pub(crate) held: Option<crate::sink::Held<F>>,
}

impl<F: Flavor> UdpWriteHalf<F> {
    pub(crate) fn new(queues: &Queues<F>) -> Self {
        Self {
            queues: queues.clone(),
            #[cfg(feature = "futures")]
            held: None,
        }
    }

    /// Sends one datagram; see [`UdpSocket::send_to`](crate::UdpSocket::send_to).
    pub async fn send_to(
        &self,
        payload: &[u8],
        from: SocketAddr,
        to: SocketAddr,
    ) -> io::Result<usize> {
        let mut place = Place::new(self.queues.of(from, to));
        poll_fn(|cx| {
            poll_send(&place.shared, Some(&mut place.seat), cx, |queue| {
                queue.send(payload, from, to)
            })
        })
        .await?;
        Ok(payload.len())
    }

    /// Sends `datagram`; see [`UdpSocket::send_datagram`](crate::UdpSocket::send_datagram).
    pub async fn send_datagram(&self, datagram: &Datagram) -> io::Result<()> {
        let Datagram { payload, from, to } = datagram;
        self.send_to(payload, *from, *to).await.map(drop)
    }

    /// The poll form of [`send_to`](Self::send_to); see
    /// [`UdpSocket::poll_send_to`](crate::UdpSocket::poll_send_to).
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        payload: &[u8],
        from: SocketAddr,
        to: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        poll_send(self.queues.of(from, to), None, cx, |queue| {
            queue.send(payload, from, to)
        })
        .map_ok(|()| payload.len())
    }
}

/// Sends and wakes the driver, or waits for room; `send` returns `false` when there is none.
pub(crate) fn poll_send<F: Flavor>(
    shared: &Shared<F, Outbound>,
    seat: Option<&mut Seat>,
    cx: &mut Context<'_>,
    send: impl FnOnce(&mut Outbound) -> io::Result<bool>,
) -> Poll<io::Result<()>> {
    let (poll, driver, replaced) = shared.with(|queue| match send(queue) {
        Ok(true) => (Poll::Ready(Ok(())), queue.take_driver(), None),
        Ok(false) => (
            Poll::Pending,
            None,
            queue.senders.register(seat, cx.waker()),
        ),
        Err(error) => (Poll::Ready(Err(error)), None, None),
    });
    drop(replaced);
    if let Some(driver) = driver {
        driver.wake();
    }
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
