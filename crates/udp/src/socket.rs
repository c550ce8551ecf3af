use crate::{UdpReadHalf, UdpWriteHalf, shared::Queues};
use brooklet_cell::Flavor;
use std::{
    fmt, io,
    net::SocketAddr,
    task::{Context, Poll},
};

/// One datagram with both its addresses.
///
/// Its `Debug` form shows how long the payload is, not what it says.
#[derive(Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Datagram {
    /// What was sent; may be empty.
    pub payload: Vec<u8>,
    /// Who sent it.
    pub from: SocketAddr,
    /// Whom it was meant for.
    pub to: SocketAddr,
}

impl Datagram {
    /// A datagram of `payload`, sent by `from` and meant for `to`.
    #[must_use]
    pub fn new(payload: impl Into<Vec<u8>>, from: SocketAddr, to: SocketAddr) -> Self {
        Self {
            payload: payload.into(),
            from,
            to,
        }
    }

    /// The datagram that answers this one: sent by whom this one was meant for, to its sender.
    ///
    /// ```
    /// use brooklet_udp::Datagram;
    ///
    /// let (client, server) = ("10.0.0.1:5000".parse()?, "9.9.9.9:53".parse()?);
    /// let question = Datagram::new(*b"question", client, server);
    /// assert_eq!(question.reply(*b"answer"), Datagram::new(*b"answer", server, client));
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    #[must_use]
    pub fn reply(&self, payload: impl Into<Vec<u8>>) -> Self {
        Self::new(payload, self.to, self.from)
    }
}

impl fmt::Debug for Datagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Datagram")
            .field("payload", &format_args!("{} bytes", self.payload.len()))
            .field("from", &self.from)
            .field("to", &self.to)
            .finish()
    }
}

/// A socket for the datagrams of every address.
///
/// Clones share the queues, and everything works on `&self`: several tasks may receive and send
/// at once, and each datagram goes to one receiver.
///
/// A datagram that finds the inbound queue full is dropped; a sender that finds the outbound
/// queue full waits. When the driver has ended, calls fail with
/// [`NetworkDown`](io::ErrorKind::NetworkDown); datagrams already queued can still be read before
/// that.
///
/// All futures are cancel safe: dropped before they are done, they have neither taken nor sent
/// anything.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// use brooklet_cell::Flavor;
/// use brooklet_udp::UdpSocket;
/// use std::io;
///
/// /// Sends back what it is sent, in the name of whoever was asked.
/// async fn echo<F: Flavor>(socket: UdpSocket<F>) -> io::Result<()> {
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
pub struct UdpSocket<F: Flavor> {
    read: UdpReadHalf<F>,
    write: UdpWriteHalf<F>,
}

impl<F: Flavor> UdpSocket<F> {
    pub(crate) fn new(queues: &Queues<F>) -> Self {
        Self {
            read: UdpReadHalf::new(&queues.inbound),
            write: UdpWriteHalf::new(queues),
        }
    }

    /// Receives one datagram into `buf`: how many bytes were written there, whom the datagram is
    /// `from` and where it was going `to`. What does not fit `buf` is discarded.
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

    /// Like [`recv_from`](Self::recv_from), but the datagram stays for the next call.
    ///
    /// With several readers, another may take it in between.
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

    /// Receives one whole datagram in a buffer of its own. An example is at the
    /// [crate's root](crate).
    ///
    /// # Errors
    ///
    /// As [`recv_from`](Self::recv_from).
    pub async fn recv_datagram(&self) -> io::Result<Datagram> {
        self.read.recv_datagram().await
    }

    /// Sends `payload` as one datagram, which may be empty, and returns its length. `from` may be
    /// any address: a proxy answers as the remote side.
    ///
    /// Waits while the outbound queue is full. `Ok` means that the packet waits for the device,
    /// not that anyone received it.
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

    /// Sends `datagram`, with its payload, from its `from` to its `to`.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// use brooklet_cell::Flavor;
    /// use brooklet_udp::UdpSocket;
    ///
    /// /// Answers every datagram in the name of the host that the datagram was meant for.
    /// async fn serve<F: Flavor>(socket: UdpSocket<F>) -> std::io::Result<()> {
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
    /// On `Pending` the task of `cx` is woken when a datagram comes or the driver ends; any
    /// number of tasks may wait at once.
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
    /// On `Pending` nothing was taken, and the task of `cx` is woken when there is room or the
    /// driver ends; any number of tasks may wait at once.
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

    /// Splits the socket into owned halves. Only the reading half listens.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # let (engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default());
    /// let (read, write) = socket.split();
    /// let reader = std::thread::spawn(move || futures_lite::future::block_on(read.recv_datagram()));
    /// # drop((write, engine));
    /// # assert!(reader.join().unwrap().is_err());
    /// # }
    /// ```
    pub fn split(self) -> (UdpReadHalf<F>, UdpWriteHalf<F>) {
        (self.read, self.write)
    }
}

impl<F: Flavor> Clone for UdpSocket<F> {
    fn clone(&self) -> Self {
        Self {
            read: self.read.clone(),
            write: self.write.clone(),
        }
    }
}

impl<F: Flavor> fmt::Debug for UdpSocket<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpSocket").finish_non_exhaustive()
    }
}
