#[cfg(feature = "futures")]
use crate::outbound::Outbound;
use crate::{datagram::Datagram, outbound::Outgoing, queues::Queues, send};
use brooklet_cell::Flavor;
#[cfg(feature = "futures")]
use brooklet_cell::wakers::Waiter;
use std::{
    fmt, io,
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
/// # let (engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default(), brooklet_udp::Clock::new(std::time::Instant::now), [1, 2]);
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
        send::send(&self.queues, Outgoing::new(payload, from, to)).await
    }

    /// Sends `datagram`; see [`TransparentUdpSocket::send_datagram`](crate::TransparentUdpSocket::send_datagram).
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # let (engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default(), brooklet_udp::Clock::new(std::time::Instant::now), [1, 2]);
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
        send::send(&self.queues, datagram.into()).await.map(drop)
    }

    /// Sends several datagrams; see
    /// [`TransparentUdpSocket::send_batch`](crate::TransparentUdpSocket::send_batch).
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, all) = example::engine();
    /// # block_on(async {
    /// use brooklet_udp::Datagram;
    ///
    /// let (_read, write) = all.split();
    /// let (from, to) = ("9.9.9.9:53".parse().unwrap(), "10.0.0.1:5000".parse().unwrap());
    /// let answers = [Datagram::new(*b"one", from, to), Datagram::new(*b"two", from, to)];
    /// assert_eq!(write.send_batch(&answers).await?, 2);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`TransparentUdpSocket::send_batch`](crate::TransparentUdpSocket::send_batch).
    pub async fn send_batch(&self, datagrams: &[Datagram]) -> io::Result<usize> {
        let outgoing = |number: usize| Ok(Outgoing::from(&datagrams[number]));
        send::send_batch(&self.queues, datagrams.len(), outgoing).await
    }

    /// Sends one datagram if there is room for it now; see
    /// [`TransparentUdpSocket::try_send_to`](crate::TransparentUdpSocket::try_send_to).
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, all) = example::engine();
    /// let (_read, write) = all.split();
    /// let (from, to) = ("9.9.9.9:53".parse().unwrap(), "10.0.0.1:5000".parse().unwrap());
    /// assert_eq!(write.try_send_to(b"answer", from, to)?, 6);
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`TransparentUdpSocket::try_send_to`](crate::TransparentUdpSocket::try_send_to).
    pub fn try_send_to(
        &self,
        payload: &[u8],
        from: SocketAddr,
        to: SocketAddr,
    ) -> io::Result<usize> {
        send::try_send(&self.queues, Outgoing::new(payload, from, to))
    }

    /// The poll form of [`send_to`](Self::send_to); see
    /// [`TransparentUdpSocket::poll_send_to`](crate::TransparentUdpSocket::poll_send_to).
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # use std::task::{Context, Waker};
    /// # let (_engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default(), brooklet_udp::Clock::new(std::time::Instant::now), [1, 2]);
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
        send::poll_send_datagram(&self.queues, cx, Outgoing::new(payload, from, to))
    }
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
