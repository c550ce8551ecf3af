use crate::{datagram::Datagram, queues::Queues, read_half::UdpReadHalf, write_half::UdpWriteHalf};
use brooklet_cell::Flavor;
use std::{
    fmt, io,
    net::SocketAddr,
    task::{Context, Poll},
};

/// A socket for the datagrams of all addresses.
///
/// All methods take `&self`, and clones share the queues. Several tasks may receive and send at
/// once; each datagram goes to one of them.
///
/// A full inbound queue drops the datagram that arrives. A full outbound queue makes a sender
/// wait. After the driver has ended, calls fail with
/// [`NetworkDown`](io::ErrorKind::NetworkDown); datagrams in the inbound queue can still be read
/// before that.
///
/// # Cancel safety
///
/// A future that is dropped before it is done has neither taken nor sent a datagram.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// use brooklet_cell::Flavor;
/// use brooklet_udp::TransparentUdpSocket;
/// use std::io;
///
/// /// Echoes each datagram, from the address that the datagram was sent to.
/// async fn echo<F: Flavor>(socket: TransparentUdpSocket<F>) -> io::Result<()> {
///     let mut buf = [0; 1500];
///     loop {
///         let (len, from, to) = socket.recv_from(&mut buf).await?;
///         socket.send_to(&buf[..len], to, from).await?;
///     }
/// }
/// # let (engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default());
/// # engine.shutdown();
/// # let end = futures_lite::future::block_on(echo(socket)).unwrap_err();
/// # assert_eq!(end.kind(), io::ErrorKind::NetworkDown);
/// # }
/// ```
pub struct TransparentUdpSocket<F: Flavor> {
    pub(crate) read: UdpReadHalf<F>,
    pub(crate) write: UdpWriteHalf<F>,
}

impl<F: Flavor> TransparentUdpSocket<F> {
    pub(crate) fn new(queues: &Queues<F>) -> Self {
        Self {
            read: UdpReadHalf::new(&queues.inbound),
            write: UdpWriteHalf::new(queues),
        }
    }

    /// Receives one datagram into `buf`. Returns the number of bytes in `buf`, the source address
    /// and the destination address. Bytes of the datagram that do not fit `buf` are discarded.
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
    /// let mut buf = [0; 5];
    /// let (len, from, to) = socket.recv_from(&mut buf).await?;
    /// assert_eq!((&buf[..len], from, to), (&b"quest"[..], client, server));
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`NetworkDown`](io::ErrorKind::NetworkDown) when the driver has ended.
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr, SocketAddr)> {
        self.read.recv_from(buf).await
    }

    /// Receives one datagram as [`recv_from`](Self::recv_from) does, and leaves it in the queue.
    ///
    /// Another reader may take the datagram before the next call.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # use brooklet_packet::{Packet, udp};
    /// # let (engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default());
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "9.9.9.9:53".parse()?, 64, b"question")?;
    /// # let _ = engine.handle_packet(&Packet::parse(&bytes)?);
    /// # futures_lite::future::block_on(async {
    /// let (_, from, to) = socket.peek_from(&mut []).await?;
    /// let datagram = socket.recv_datagram().await?;
    /// assert_eq!((datagram.from, datagram.to), (from, to));
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`recv_from`](Self::recv_from).
    pub async fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr, SocketAddr)> {
        self.read.peek_from(buf).await
    }

    /// Receives one whole datagram, in a buffer of its own.
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
    /// let question = socket.recv_datagram().await?;
    /// assert_eq!((question.payload.as_slice(), question.from), (&b"question"[..], client));
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`recv_from`](Self::recv_from).
    pub async fn recv_datagram(&self) -> io::Result<Datagram> {
        self.read.recv_datagram().await
    }

    /// Sends `payload`, which may be empty, as one datagram, and returns its length. `from` may be
    /// any address: a proxy answers from the address of the remote host.
    ///
    /// Waits while the outbound queue is full. `Ok` means that the packet is in that queue, not
    /// that a host has received it.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # let (_engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default());
    /// # futures_lite::future::block_on(async {
    /// let server = "[2620:fe::fe]:53".parse().unwrap();
    /// let client = "[fd00::1]:5000".parse().unwrap();
    /// assert_eq!(socket.send_to(b"answer", server, client).await?, 6);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) with a [`SendError`](crate::SendError) inside
    /// when the payload does not fit the MTU or the address families differ;
    /// [`NetworkDown`](io::ErrorKind::NetworkDown) when the driver has ended.
    pub async fn send_to(
        &self,
        payload: &[u8],
        from: SocketAddr,
        to: SocketAddr,
    ) -> io::Result<usize> {
        self.write.send_to(payload, from, to).await
    }

    /// Sends the payload of `datagram` from its address `from` to its address `to`.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// use brooklet_cell::Flavor;
    /// use brooklet_udp::TransparentUdpSocket;
    ///
    /// /// Answers each datagram from the address that the datagram was sent to.
    /// async fn serve<F: Flavor>(socket: TransparentUdpSocket<F>) -> std::io::Result<()> {
    ///     loop {
    ///         let question = socket.recv_datagram().await?;
    ///         socket.send_datagram(&question.reply(*b"answer")).await?;
    ///     }
    /// }
    /// # let (engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default());
    /// # engine.shutdown();
    /// # let end = futures_lite::future::block_on(serve(socket)).unwrap_err();
    /// # assert_eq!(end.kind(), std::io::ErrorKind::NetworkDown);
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`send_to`](Self::send_to).
    pub async fn send_datagram(&self, datagram: &Datagram) -> io::Result<()> {
        self.write.send_datagram(datagram).await
    }

    /// The poll form of [`recv_from`](Self::recv_from).
    ///
    /// On `Pending`, a datagram or the end of the driver wakes the task of `cx`. Up to 1,024 tasks
    /// wait by this method; one more wakes the others.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # use std::task::{Context, Waker};
    /// # let (_engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default());
    /// # let mut cx = Context::from_waker(Waker::noop());
    /// assert!(socket.poll_recv_from(&mut cx, &mut [0; 1500]).is_pending());
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`recv_from`](Self::recv_from).
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr, SocketAddr)>> {
        self.read.poll_recv_from(cx, buf)
    }

    /// The poll form of [`send_to`](Self::send_to).
    ///
    /// On `Pending` nothing was sent, and room or the end of the driver wakes the task of `cx`. Up
    /// to 1,024 tasks wait by this method; one more wakes the others.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # use std::task::{Context, Waker};
    /// # let (_engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default());
    /// # let mut cx = Context::from_waker(Waker::noop());
    /// let (from, to) = ("9.9.9.9:53".parse().unwrap(), "10.0.0.1:5000".parse().unwrap());
    /// assert!(socket.poll_send_to(&mut cx, b"answer", from, to).is_ready());
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`send_to`](Self::send_to).
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        payload: &[u8],
        from: SocketAddr,
        to: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        self.write.poll_send_to(cx, payload, from, to)
    }
}

impl<F: Flavor> Clone for TransparentUdpSocket<F> {
    fn clone(&self) -> Self {
        Self {
            read: self.read.clone(),
            write: self.write.clone(),
        }
    }
}

impl<F: Flavor> fmt::Debug for TransparentUdpSocket<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransparentUdpSocket")
            .finish_non_exhaustive()
    }
}
