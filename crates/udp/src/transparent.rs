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
/// # let (engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default(), brooklet_udp::Clock::new(std::time::Instant::now), [1, 2]);
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
    /// # let (engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default(), brooklet_udp::Clock::new(std::time::Instant::now), [1, 2]);
    /// # let (client, server) = ("10.0.0.1:5000".parse()?, "9.9.9.9:53".parse()?);
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, client, server, 64, b"question")?;
    /// # let _ = engine.handle_packet(std::time::Instant::now(), &Packet::parse(&bytes)?, brooklet_udp::Arrival::new());
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
    /// # let (engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default(), brooklet_udp::Clock::new(std::time::Instant::now), [1, 2]);
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "9.9.9.9:53".parse()?, 64, b"question")?;
    /// # let _ = engine.handle_packet(std::time::Instant::now(), &Packet::parse(&bytes)?, brooklet_udp::Arrival::new());
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
    /// # let (engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default(), brooklet_udp::Clock::new(std::time::Instant::now), [1, 2]);
    /// # let (client, server) = ("10.0.0.1:5000".parse()?, "9.9.9.9:53".parse()?);
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, client, server, 64, b"question")?;
    /// # let _ = engine.handle_packet(std::time::Instant::now(), &Packet::parse(&bytes)?, brooklet_udp::Arrival::new());
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
    /// A datagram that exceeds the path MTU is fragmented. Waits while the outbound queue is full. `Ok` means that the packet is in that queue, not
    /// that a host has received it.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # let (_engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default(), brooklet_udp::Clock::new(std::time::Instant::now), [1, 2]);
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
    /// when the payload is too long for a datagram or the address families differ;
    /// [`NetworkDown`](io::ErrorKind::NetworkDown) when the driver has ended.
    pub async fn send_to(
        &self,
        payload: &[u8],
        from: SocketAddr,
        to: SocketAddr,
    ) -> io::Result<usize> {
        self.write.send_to(payload, from, to).await
    }

    /// Sends the payload of `datagram` from its address `from` to its address `to`, with its fields
    /// of the IP header. A [`segment_size`](Datagram#structfield.segment_size) makes a batch of
    /// several datagrams of it.
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
    /// # let (engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default(), brooklet_udp::Clock::new(std::time::Instant::now), [1, 2]);
    /// # engine.shutdown();
    /// # let end = futures_lite::future::block_on(serve(socket)).unwrap_err();
    /// # assert_eq!(end.kind(), std::io::ErrorKind::NetworkDown);
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`send_to`](Self::send_to), and [`SendError::TooLong`](crate::SendError::TooLong) for a
    /// datagram that must not be fragmented, or a batch, whose datagrams exceed the path MTU.
    pub async fn send_datagram(&self, datagram: &Datagram) -> io::Result<()> {
        self.write.send_datagram(datagram).await
    }

    /// Waits for a datagram and receives up to `most` datagrams at once, under one hold of the
    /// queue's lock. Returns their number.
    ///
    /// The datagrams replace those in `datagrams`, whose buffers are used again: pass the same
    /// vector to each call.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// use brooklet_cell::Flavor;
    /// use brooklet_udp::TransparentUdpSocket;
    ///
    /// /// Sends all datagrams back, up to 64 at a time.
    /// async fn echo<F: Flavor>(socket: TransparentUdpSocket<F>) -> std::io::Result<()> {
    ///     let mut datagrams = Vec::new();
    ///     loop {
    ///         socket.recv_batch(&mut datagrams, 64).await?;
    ///         for datagram in &mut datagrams {
    ///             std::mem::swap(&mut datagram.from, &mut datagram.to);
    ///         }
    ///         let mut sent = 0;
    ///         while sent < datagrams.len() {
    ///             sent += socket.send_batch(&datagrams[sent..]).await?;
    ///         }
    ///     }
    /// }
    /// # let (engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default(), brooklet_udp::Clock::new(std::time::Instant::now), [1, 2]);
    /// # engine.shutdown();
    /// # let end = futures_lite::future::block_on(echo(socket)).unwrap_err();
    /// # assert_eq!(end.kind(), std::io::ErrorKind::NetworkDown);
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`recv_from`](Self::recv_from).
    pub async fn recv_batch(
        &self,
        datagrams: &mut Vec<Datagram>,
        most: usize,
    ) -> io::Result<usize> {
        self.read.recv_batch(datagrams, most).await
    }

    /// Waits for room and sends as many of the datagrams as there is room for, as
    /// [`send_datagram`](Self::send_datagram) does, under one hold of the queue's lock. Returns
    /// their number, which is 0 only for an empty slice. An example is at
    /// [`recv_batch`](Self::recv_batch).
    ///
    /// # Errors
    ///
    /// As [`send_to`](Self::send_to), if the first datagram cannot be sent. If a later one cannot,
    /// the call returns the number of those before it, and the next call reports the error.
    pub async fn send_batch(&self, datagrams: &[Datagram]) -> io::Result<usize> {
        self.write.send_batch(datagrams).await
    }

    /// Receives one datagram that is in the queue already.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # let (_engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default(), brooklet_udp::Clock::new(std::time::Instant::now), [1, 2]);
    /// let error = socket.try_recv_from(&mut [0; 1500]).unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock): there is none; and as
    /// [`recv_from`](Self::recv_from).
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr, SocketAddr)> {
        self.read.try_recv_from(buf)
    }

    /// Receives one whole datagram that is in the queue already.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # let (_engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default(), brooklet_udp::Clock::new(std::time::Instant::now), [1, 2]);
    /// let error = socket.try_recv_datagram().unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`try_recv_from`](Self::try_recv_from).
    pub fn try_recv_datagram(&self) -> io::Result<Datagram> {
        self.read.try_recv_datagram()
    }

    /// Sends `payload` as [`send_to`](Self::send_to) does, if there is room for it now.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # let (_engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default(), brooklet_udp::Clock::new(std::time::Instant::now), [1, 2]);
    /// let (from, to) = ("9.9.9.9:53".parse().unwrap(), "10.0.0.1:5000".parse().unwrap());
    /// assert_eq!(socket.try_send_to(b"answer", from, to)?, 6);
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock): the outbound queue is full; and as
    /// [`send_to`](Self::send_to).
    pub fn try_send_to(
        &self,
        payload: &[u8],
        from: SocketAddr,
        to: SocketAddr,
    ) -> io::Result<usize> {
        self.write.try_send_to(payload, from, to)
    }

    /// Sets whether segment batches (GRO) are received as one [`Datagram`] with a
    /// [`segment_size`](Datagram#structfield.segment_size), by all handles. Default `false`: one by
    /// one. With batches, receive by [`recv_datagram`](Self::recv_datagram) or
    /// [`recv_batch`](Self::recv_batch): the other methods do not tell where a datagram ends.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # use brooklet_packet::{Packet, udp};
    /// # use brooklet_udp::Arrival;
    /// # use std::{num::NonZeroU16, time::Instant};
    /// # let (engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default(), brooklet_udp::Clock::new(std::time::Instant::now), [1, 2]);
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "9.9.9.9:53".parse()?, 64, b"onetwo+")?;
    /// # let arrival = Arrival::new().gso_size(NonZeroU16::new(3));
    /// socket.set_gro(true);
    /// # let _ = engine.handle_packet(Instant::now(), &Packet::parse(&bytes)?, arrival);
    /// let batch = socket.try_recv_datagram()?;
    /// let size = batch.segment_size.map_or(batch.payload.len(), |size| size.get().into());
    /// let datagrams: Vec<&[u8]> = batch.payload.chunks(size.max(1)).collect();
    /// assert_eq!(datagrams, [&b"one"[..], b"two", b"+"]);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_gro(&self, gro: bool) {
        self.read.set_gro(gro);
    }

    /// The poll form of [`recv_from`](Self::recv_from).
    ///
    /// On `Pending`, a datagram or the end of the driver wakes the task of `cx`. Up to 1,024 tasks
    /// wait by this method; one more wakes the others.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # use std::task::{Context, Waker};
    /// # let (_engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default(), brooklet_udp::Clock::new(std::time::Instant::now), [1, 2]);
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
    /// # let (_engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default(), brooklet_udp::Clock::new(std::time::Instant::now), [1, 2]);
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
