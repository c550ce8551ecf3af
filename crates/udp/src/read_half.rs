use crate::{
    datagram::Datagram,
    inbound::{Inbound, Receiver, Take},
    reader::Reader,
};
use brooklet_cell::{Flavor, Shared};
use std::{
    fmt, io,
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
/// # let (engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default(), brooklet_udp::Clock::new(std::time::Instant::now), [1, 2]);
/// # let (client, server) = ("10.0.0.1:5000".parse()?, "9.9.9.9:53".parse()?);
/// # let mut bytes = Vec::new();
/// # udp::write(&mut bytes, client, server, 64, b"question")?;
/// # let _ = engine.handle_packet(std::time::Instant::now(), &Packet::parse(&bytes)?, brooklet_udp::Arrival::new());
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
    pub(crate) reader: Reader<F>,
}

impl<F: Flavor> UdpReadHalf<F> {
    pub(crate) fn new(inbound: &Shared<F, Inbound>) -> Self {
        Self {
            reader: Reader::new(inbound, Receiver::Transparent),
        }
    }

    /// Receives one datagram; see [`TransparentUdpSocket::recv_from`](crate::TransparentUdpSocket::recv_from).
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # use brooklet_packet::{Packet, udp};
    /// # let (engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default(), brooklet_udp::Clock::new(std::time::Instant::now), [1, 2]);
    /// # let (client, server) = ("10.0.0.1:5000".parse()?, "9.9.9.9:53".parse()?);
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, client, server, 64, b"question")?;
    /// # let _ = engine.handle_packet(std::time::Instant::now(), &Packet::parse(&bytes)?, brooklet_udp::Arrival::new());
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
        self.reader.recv_from(buf, Take::Yes).await
    }

    /// Receives one datagram and leaves it in the queue; see
    /// [`TransparentUdpSocket::peek_from`](crate::TransparentUdpSocket::peek_from).
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # use brooklet_packet::{Packet, udp};
    /// # let (engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default(), brooklet_udp::Clock::new(std::time::Instant::now), [1, 2]);
    /// # let (client, server) = ("10.0.0.1:5000".parse()?, "9.9.9.9:53".parse()?);
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, client, server, 64, b"question")?;
    /// # let _ = engine.handle_packet(std::time::Instant::now(), &Packet::parse(&bytes)?, brooklet_udp::Arrival::new());
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
        self.reader.recv_from(buf, Take::No).await
    }

    /// Receives one whole datagram; see
    /// [`TransparentUdpSocket::recv_datagram`](crate::TransparentUdpSocket::recv_datagram).
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # use brooklet_packet::{Packet, udp};
    /// # let (engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default(), brooklet_udp::Clock::new(std::time::Instant::now), [1, 2]);
    /// # let (client, server) = ("10.0.0.1:5000".parse()?, "9.9.9.9:53".parse()?);
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, client, server, 64, b"question")?;
    /// # let _ = engine.handle_packet(std::time::Instant::now(), &Packet::parse(&bytes)?, brooklet_udp::Arrival::new());
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
        self.reader.recv_datagram().await
    }

    /// The poll form of [`recv_from`](Self::recv_from); see
    /// [`TransparentUdpSocket::poll_recv_from`](crate::TransparentUdpSocket::poll_recv_from).
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # use std::task::{Context, Waker};
    /// # let (_engine, socket) = brooklet_udp::Engine::<brooklet_cell::Threaded>::new(Default::default(), Default::default(), brooklet_udp::Clock::new(std::time::Instant::now), [1, 2]);
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
        self.reader.poll_recv_from(cx, buf)
    }

    /// Waits for a datagram and receives up to `most` datagrams at once; see
    /// [`TransparentUdpSocket::recv_batch`](crate::TransparentUdpSocket::recv_batch).
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, all) = example::engine();
    /// # block_on(async {
    /// let (read, _write) = all.split();
    /// arrive(&engine, b"question", "10.0.0.1:5000", "9.9.9.9:53");
    /// let mut datagrams = Vec::new();
    /// assert_eq!(read.recv_batch(&mut datagrams, 64).await?, 1);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`recv_from`](Self::recv_from).
    pub async fn recv_batch(
        &self,
        datagrams: &mut Vec<Datagram>,
        most: usize,
    ) -> io::Result<usize> {
        self.reader.recv_batch(datagrams, most).await
    }

    /// Receives one datagram that is in the queue already; see
    /// [`TransparentUdpSocket::try_recv_from`](crate::TransparentUdpSocket::try_recv_from).
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, all) = example::engine();
    /// let (read, _write) = all.split();
    /// let error = read.try_recv_from(&mut [0; 1500]).unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock): there is none; and as for
    /// [`recv_from`](Self::recv_from).
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr, SocketAddr)> {
        self.reader.try_recv_from(buf)
    }

    /// Receives one whole datagram that is in the queue already; see
    /// [`TransparentUdpSocket::try_recv_datagram`](crate::TransparentUdpSocket::try_recv_datagram).
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, all) = example::engine();
    /// let (read, _write) = all.split();
    /// let error = read.try_recv_datagram().unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`try_recv_from`](Self::try_recv_from).
    pub fn try_recv_datagram(&self) -> io::Result<Datagram> {
        self.reader.try_recv_datagram()
    }

    /// Sets whether segment batches are received whole; see
    /// [`TransparentUdpSocket::set_gro`](crate::TransparentUdpSocket::set_gro).
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, all) = example::engine();
    /// let (read, _write) = all.split();
    /// read.set_gro(true);
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    pub fn set_gro(&self, gro: bool) {
        let inbound = self.reader.inbound();
        inbound.with(|inbound| inbound.set_gro(Receiver::Transparent, gro));
    }
}

impl<F: Flavor> Clone for UdpReadHalf<F> {
    fn clone(&self) -> Self {
        Self {
            reader: self.reader.clone(),
        }
    }
}

impl<F: Flavor> fmt::Debug for UdpReadHalf<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpReadHalf").finish_non_exhaustive()
    }
}
