//! A socket that is bound to an address.

mod options;

use crate::{
    datagram::Datagram,
    inbound::{Inbound, Receiver, Sender, Take},
    outbound::Outgoing,
    queues::Queues,
    reader::Reader,
    send,
};
use brooklet_cell::Flavor;
use std::{
    fmt, io,
    net::SocketAddr,
    task::{Context, Poll},
};

/// A UDP socket that is bound to an address, as any host has it.
///
/// [`UdpBinder::bind`](crate::UdpBinder::bind) makes one. The methods are those of async-net. All
/// methods take `&self`, and clones share the socket. When the last clone is dropped, the address
/// is free again, and the datagrams in the queue are dropped.
///
/// A full inbound queue drops the datagram that arrives. A full outbound queue makes a sender wait.
/// After the driver has ended, calls fail with [`NetworkDown`](io::ErrorKind::NetworkDown);
/// datagrams in the inbound queue can still be read before that.
///
/// # ICMP errors
///
/// As on Linux, the next call on a connected socket fails once with a
/// [`FlowError`](crate::FlowError) after an ICMP error has reported that its peer cannot be
/// reached: a closed port is [`ConnectionRefused`](io::ErrorKind::ConnectionRefused). A socket that
/// is not connected reports no ICMP errors, unless the program
/// [asks for them](Self::set_recv_errors). An error that states a path MTU is not reported: the
/// stack uses it.
///
/// # Cancel safety
///
/// A future that is dropped before it is done has neither taken nor sent a datagram.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// # use brooklet_packet::{Packet, udp};
/// # use brooklet_udp::{Arrival, Clock, Config, Engine, Interface};
/// # use std::time::Instant;
/// # let (engine, _all) = Engine::<brooklet_cell::Threaded>::new(Interface::new(),
/// #     Config::new(), Clock::new(Instant::now), [1, 2]);
/// let server = engine.binder().bind("10.0.0.2:53".parse().unwrap())?;
/// # let mut bytes = Vec::new();
/// # udp::write(&mut bytes, "10.0.0.1:5000".parse().unwrap(), server.local_addr()?, 64, b"question").unwrap();
/// # let _ = engine.handle_packet(Instant::now(), &Packet::parse(&bytes).unwrap(), Arrival::new());
/// # futures_lite::future::block_on(async {
/// let mut buf = [0; 1500];
/// let (len, client) = server.recv_from(&mut buf).await?;
/// assert_eq!(&buf[..len], b"question");
/// server.send_to(b"answer", client).await?;
/// # std::io::Result::Ok(())
/// # })?;
/// # assert_eq!(engine.stats().datagrams_out, 1);
/// # }
/// # std::io::Result::Ok(())
/// ```
pub struct UdpSocket<F: Flavor> {
    reader: Reader<F>,
    queues: Queues<F>,
}

impl<F: Flavor> UdpSocket<F> {
    pub(crate) fn new(reader: Reader<F>, queues: Queues<F>) -> Self {
        Self { reader, queues }
    }

    /// Returns the address that the socket is bound to. The address of a socket that is bound to
    /// the unspecified address becomes the stack's own when it is [connected](Self::connect).
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, socket) = example::socket();
    /// assert_eq!(socket.local_addr()?, "9.9.9.9:53".parse().unwrap());
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// Never. The signature follows async-net.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.with(|inbound, id| {
            let socket = inbound.sockets.get(id);
            socket
                .map(|socket| socket.local())
                .ok_or_else(|| io::ErrorKind::NotConnected.into())
        })
    }

    /// Returns the address that the socket is [connected](Self::connect) to.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, socket) = example::socket();
    /// let error = socket.peer_addr().unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::NotConnected);
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected): the socket is not connected.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.with(|inbound, id| {
            let peer = inbound.sockets.get(id).and_then(|socket| socket.peer());
            peer.ok_or_else(|| io::ErrorKind::NotConnected.into())
        })
    }

    /// Connects the socket to `peer`: it receives datagrams of this address only, reports ICMP
    /// errors about its datagrams, and [`send`](Self::send) sends to this address.
    ///
    /// Nothing is sent. A later call replaces the peer. As on Linux, datagrams of others that are
    /// in the queue already can still be received.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, socket) = example::socket();
    /// # block_on(async {
    /// let client = "10.0.0.1:5000".parse().unwrap();
    /// socket.connect(client).await?;
    /// assert_eq!(socket.peer_addr()?, client);
    /// assert_eq!(socket.send(b"answer").await?, 6);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`InvalidInput`](io::ErrorKind::InvalidInput): the families of the addresses differ, or
    ///   the address of the peer is unspecified or its port 0.
    /// - [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable): the socket is bound to the
    ///   unspecified address, and the stack has no address of this family.
    #[expect(clippy::unused_async, reason = "the signature follows async-net")]
    pub async fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.with(|inbound, id| inbound.sockets.connect(id, peer))
    }

    /// Receives one datagram into `buf`. Returns the number of bytes in `buf` and the source
    /// address. Bytes of the datagram that do not fit `buf` are discarded.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, socket) = example::socket();
    /// # block_on(async {
    /// let mut buf = [0; 1500];
    /// let (len, from) = socket.recv_from(&mut buf).await?;
    /// assert_eq!((&buf[..len], from.port()), (&b"question"[..], 5000));
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// A [`FlowError`](crate::FlowError), once for each ICMP error;
    /// [`NetworkDown`](io::ErrorKind::NetworkDown) when the driver has ended.
    pub async fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (len, from, _) = self.reader.recv_from(buf, Take::Yes).await?;
        Ok((len, from))
    }

    /// Receives one datagram as [`recv_from`](Self::recv_from) does, and leaves it in the queue.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, socket) = example::socket();
    /// # block_on(async {
    /// let (len, from) = socket.peek_from(&mut [0; 1500]).await?;
    /// assert_eq!(socket.recv_from(&mut [0; 1500]).await?, (len, from));
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`recv_from`](Self::recv_from).
    pub async fn peek_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (len, from, _) = self.reader.recv_from(buf, Take::No).await?;
        Ok((len, from))
    }

    /// Receives one datagram into `buf`, and returns the number of bytes in `buf`.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, socket) = example::socket();
    /// # block_on(async {
    /// let mut buf = [0; 1500];
    /// let len = socket.recv(&mut buf).await?;
    /// assert_eq!(&buf[..len], b"question");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`recv_from`](Self::recv_from).
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.recv_from(buf).await?.0)
    }

    /// Receives one datagram as [`recv`](Self::recv) does, and leaves it in the queue.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, socket) = example::socket();
    /// # block_on(async {
    /// assert_eq!(socket.peek(&mut [0; 1500]).await?, 8);
    /// assert_eq!(socket.recv(&mut [0; 1500]).await?, 8);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`recv_from`](Self::recv_from).
    pub async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(self.peek_from(buf).await?.0)
    }

    /// Receives one whole datagram with its addresses and the fields of its IP header.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, socket) = example::socket();
    /// # block_on(async {
    /// let datagram = socket.recv_datagram().await?;
    /// assert_eq!((datagram.payload.as_slice(), datagram.hop_limit), (&b"question"[..], Some(64)));
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`recv_from`](Self::recv_from).
    pub async fn recv_datagram(&self) -> io::Result<Datagram> {
        self.reader.recv_datagram().await
    }

    /// Waits for a datagram and receives up to `most` datagrams at once; see
    /// [`TransparentUdpSocket::recv_batch`](crate::TransparentUdpSocket::recv_batch).
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, socket) = example::socket();
    /// # block_on(async {
    /// let mut datagrams = Vec::new();
    /// assert_eq!(socket.recv_batch(&mut datagrams, 64).await?, 1);
    /// assert_eq!(datagrams[0].payload, b"question");
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

    /// Receives one datagram that is in the queue already.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, socket) = example::socket();
    /// assert_eq!(socket.try_recv_from(&mut [0; 1500])?.0, 8);
    /// let error = socket.try_recv_from(&mut [0; 1500]).unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock): there is none; and as for
    /// [`recv_from`](Self::recv_from).
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (len, from, _) = self.reader.try_recv_from(buf)?;
        Ok((len, from))
    }

    /// Receives one whole datagram that is in the queue already.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, socket) = example::socket();
    /// assert_eq!(socket.try_recv_datagram()?.payload, b"question");
    /// assert!(socket.try_recv_datagram().is_err());
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

    /// The poll form of [`recv_from`](Self::recv_from).
    ///
    /// On `Pending`, a datagram, an ICMP error or the end of the driver wakes the task of `cx`. Up
    /// to 1,024 tasks wait by this method; one more wakes the others.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, socket) = example::socket();
    /// use std::task::{Context, Waker};
    ///
    /// let mut cx = Context::from_waker(Waker::noop());
    /// assert!(socket.poll_recv_from(&mut cx, &mut [0; 1500]).is_ready());
    /// assert!(socket.poll_recv_from(&mut cx, &mut [0; 1500]).is_pending());
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`recv_from`](Self::recv_from).
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        let received = self.reader.poll_recv_from(cx, buf);
        received.map_ok(|(len, from, _)| (len, from))
    }

    /// The poll form of [`recv_datagram`](Self::recv_datagram). A task waits as by
    /// [`poll_recv_from`](Self::poll_recv_from).
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, socket) = example::socket();
    /// use std::task::{Context, Waker};
    ///
    /// let mut cx = Context::from_waker(Waker::noop());
    /// assert!(socket.poll_recv_datagram(&mut cx).is_ready());
    /// assert!(socket.poll_recv_datagram(&mut cx).is_pending());
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`recv_from`](Self::recv_from).
    pub fn poll_recv_datagram(&self, cx: &mut Context<'_>) -> Poll<io::Result<Datagram>> {
        self.reader.poll_recv_datagram(cx)
    }

    /// Sends `payload`, which may be empty, as one datagram to `to`, and returns its length.
    ///
    /// A socket that is bound to the unspecified address sends from the stack's own address. A
    /// datagram that exceeds the path MTU is fragmented, unless
    /// [`set_dont_fragment`](Self::set_dont_fragment) says otherwise. Waits while the outbound queue
    /// is full.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, socket) = example::socket();
    /// # block_on(async {
    /// assert_eq!(socket.send_to(b"answer", "10.0.0.1:5000".parse().unwrap()).await?, 6);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`InvalidInput`](io::ErrorKind::InvalidInput) with a [`SendError`](crate::SendError)
    ///   inside: the payload is too long, or the address families differ.
    /// - [`InvalidInput`](io::ErrorKind::InvalidInput): the address is unspecified or the port 0.
    /// - [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable): the socket is bound to the
    ///   unspecified address, and the stack has no address of this family.
    /// - A [`FlowError`](crate::FlowError), once for each ICMP error. Nothing was sent then.
    /// - [`NetworkDown`](io::ErrorKind::NetworkDown): the driver has ended.
    pub async fn send_to(&self, payload: &[u8], to: SocketAddr) -> io::Result<usize> {
        let outgoing = self.outgoing(payload, Some(to))?;
        send::send(&self.queues, outgoing).await
    }

    /// Sends `payload` to the address that the socket is [connected](Self::connect) to.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, socket) = example::socket();
    /// # block_on(async {
    /// let error = socket.send(b"answer").await.unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::NotConnected);
    ///
    /// socket.connect("10.0.0.1:5000".parse().unwrap()).await?;
    /// assert_eq!(socket.send(b"answer").await?, 6);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected): the socket is not connected; and as for
    /// [`send_to`](Self::send_to).
    pub async fn send(&self, payload: &[u8]) -> io::Result<usize> {
        let outgoing = self.outgoing(payload, None)?;
        send::send(&self.queues, outgoing).await
    }

    /// Sends `datagram` to its address `to`, with its fields of the IP header. Its address `from`
    /// is not used. A [`segment_size`](Datagram#structfield.segment_size) makes a batch of several
    /// datagrams of it.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, socket) = example::socket();
    /// # block_on(async {
    /// let question = socket.recv_datagram().await?;
    /// // A probe that expires after three hops.
    /// socket.send_datagram(&question.reply(*b"probe").hop_limit(Some(3))).await?;
    /// # assert_eq!(engine.stats().datagrams_out, 1);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`send_to`](Self::send_to), and
    /// [`SendError::TooLong`](crate::SendError::TooLong) for a datagram that must not be
    /// fragmented, or a batch, whose datagrams exceed the path MTU.
    pub async fn send_datagram(&self, datagram: &Datagram) -> io::Result<()> {
        let outgoing = of_socket(&self.sender()?, datagram)?;
        send::send(&self.queues, outgoing).await.map(drop)
    }

    /// Sends several datagrams as [`send_datagram`](Self::send_datagram) does; see
    /// [`TransparentUdpSocket::send_batch`](crate::TransparentUdpSocket::send_batch).
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, socket) = example::socket();
    /// # block_on(async {
    /// let question = socket.recv_datagram().await?;
    /// let answers = [question.reply(*b"one"), question.reply(*b"two")];
    /// assert_eq!(socket.send_batch(&answers).await?, 2);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`send_datagram`](Self::send_datagram), if the first datagram fails.
    pub async fn send_batch(&self, datagrams: &[Datagram]) -> io::Result<usize> {
        let sender = self.sender()?;
        let outgoing = |number: usize| of_socket(&sender, &datagrams[number]);
        send::send_batch(&self.queues, datagrams.len(), outgoing).await
    }

    /// Sends `payload` to `to` if there is room for it now.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, socket) = example::socket();
    /// assert_eq!(socket.try_send_to(b"answer", "10.0.0.1:5000".parse().unwrap())?, 6);
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock): the outbound queue is full; and as for
    /// [`send_to`](Self::send_to).
    pub fn try_send_to(&self, payload: &[u8], to: SocketAddr) -> io::Result<usize> {
        send::try_send(&self.queues, self.outgoing(payload, Some(to))?)
    }

    /// Sends `payload` to the address that the socket is [connected](Self::connect) to, if there is
    /// room for it now.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, socket) = example::socket();
    /// block_on(socket.connect("10.0.0.1:5000".parse().unwrap()))?;
    /// assert_eq!(socket.try_send(b"answer")?, 6);
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock): the outbound queue is full; and as for
    /// [`send`](Self::send).
    pub fn try_send(&self, payload: &[u8]) -> io::Result<usize> {
        send::try_send(&self.queues, self.outgoing(payload, None)?)
    }

    /// Sends `datagram` as [`send_datagram`](Self::send_datagram) does, if there is room for it now.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, socket) = example::socket();
    /// let question = socket.try_recv_datagram()?;
    /// socket.try_send_datagram(&question.reply(*b"answer"))?;
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock): the outbound queue is full; and as for
    /// [`send_datagram`](Self::send_datagram).
    pub fn try_send_datagram(&self, datagram: &Datagram) -> io::Result<()> {
        let outgoing = of_socket(&self.sender()?, datagram)?;
        send::try_send(&self.queues, outgoing).map(drop)
    }

    /// Waits until a datagram can probably be sent, whatever its address is: every outbound queue
    /// has room. Another task may take the room before.
    ///
    /// On `Pending`, room or the end of the driver wakes the task of `cx`, and the task polls
    /// again. Up to 1,024 tasks wait by this method; one more wakes the others.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, socket) = example::socket();
    /// use std::task::{Context, Waker};
    ///
    /// let mut cx = Context::from_waker(Waker::noop());
    /// assert!(socket.poll_writable(&mut cx).is_ready());
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`NetworkDown`](io::ErrorKind::NetworkDown): the driver has ended.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        send::poll_writable(&self.queues, cx)
    }

    /// The poll form of [`send_to`](Self::send_to).
    ///
    /// On `Pending` nothing was sent, and room or the end of the driver wakes the task of `cx`. Up
    /// to 1,024 tasks wait by this method; one more wakes the others.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, socket) = example::socket();
    /// use std::task::{Context, Waker};
    ///
    /// let mut cx = Context::from_waker(Waker::noop());
    /// let client = "10.0.0.1:5000".parse().unwrap();
    /// assert!(socket.poll_send_to(&mut cx, b"answer", client).is_ready());
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`send_to`](Self::send_to).
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        payload: &[u8],
        to: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        match self.outgoing(payload, Some(to)) {
            Ok(outgoing) => send::poll_send_datagram(&self.queues, cx, outgoing),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// A datagram with the options of the socket, to the peer without an address.
    fn outgoing<'a>(&self, payload: &'a [u8], to: Option<SocketAddr>) -> io::Result<Outgoing<'a>> {
        let sender = self.sender()?;
        let to = to.or_else(|| sender.peer());
        let to = to.ok_or(io::ErrorKind::NotConnected)?;
        Ok(Outgoing {
            hop_limit: Some(sender.options.hop_limit),
            traffic_class: sender.options.traffic_class,
            dont_fragment: sender.options.dont_fragment,
            ..Outgoing::new(payload, sender.source(to)?, to)
        })
    }

    /// What the datagrams of the socket have in common, or the ICMP error that was not reported
    /// yet.
    fn sender(&self) -> io::Result<Sender> {
        self.with(|inbound, id| {
            if let Some(error) = inbound.take_error(Receiver::Socket(id)) {
                return Err((*error).into());
            }
            let sender = inbound.sockets.sender(id);
            sender.ok_or_else(|| io::ErrorKind::NotConnected.into())
        })
    }

    /// Calls `f` with the number of the socket.
    fn with<R>(&self, f: impl FnOnce(&mut Inbound, usize) -> R) -> R {
        let Receiver::Socket(id) = self.reader.receiver else {
            unreachable!("the reader of a socket reads from a socket");
        };
        self.queues.inbound.with(|inbound| f(inbound, id))
    }
}

/// A datagram with its own fields, from the address of the socket.
fn of_socket<'a>(sender: &Sender, datagram: &'a Datagram) -> io::Result<Outgoing<'a>> {
    let outgoing = Outgoing::from(datagram);
    Ok(Outgoing {
        from: sender.source(datagram.to)?,
        hop_limit: outgoing.hop_limit.or(Some(sender.options.hop_limit)),
        ..outgoing
    })
}

impl<F: Flavor> Clone for UdpSocket<F> {
    fn clone(&self) -> Self {
        Self {
            reader: self.reader.clone(),
            queues: self.queues.clone(),
        }
    }
}

impl<F: Flavor> fmt::Debug for UdpSocket<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpSocket").finish_non_exhaustive()
    }
}
