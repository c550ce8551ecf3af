//! UDP sessions: the datagrams of one client.

mod config;
mod end;
mod listener;

pub use self::config::{Filtering, Mapping, SessionConfig};
pub use self::end::SessionEnd;
#[cfg(feature = "futures")]
pub use self::listener::UdpIncoming;
pub use self::listener::UdpListener;

use crate::{
    datagram::Datagram,
    error::SendError,
    inbound::{Accepted, Inbound, Receiver, SentDatagrams, Take},
    outbound::Outgoing,
    queues::Queues,
    reader::Reader,
    send,
};
use brooklet_cell::Flavor;
use std::{
    fmt, io,
    iter::once,
    net::SocketAddr,
    ops::Range,
    task::{Context, Poll},
};

/// The datagrams of one client, or of one client and one destination.
///
/// [`UdpListener::accept`] returns one. The session has a queue of its own: a client that sends
/// much, or whose session is not read, delays no other. All methods take `&self`, and clones share
/// the session. Dropping the last clone closes the session; a later datagram of the client then
/// opens another one.
///
/// # The end of a session
///
/// A session ends when no datagram has passed in either direction for the timeout of its
/// [`SessionConfig`], or when a new session needs its place. Calls then fail with a [`SessionEnd`]
/// inside of the error; datagrams in the queue can still be received before that. A
/// [`FlowError`](crate::FlowError) is not an end: it reports once that the client cannot be reached,
/// as when its port is closed.
///
/// # Cancel safety
///
/// A future that is dropped before it is done has neither taken nor sent a datagram.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// use brooklet_cell::Flavor;
/// use brooklet_udp::{SessionEnd, UdpSession};
/// use std::io;
///
/// /// Echoes the datagrams of one client until the session ends.
/// async fn echo<F: Flavor>(session: UdpSession<F>) -> io::Result<()> {
///     loop {
///         match session.recv_datagram().await {
///             Ok(datagram) => session.send_to_client(&datagram.payload, datagram.to).await?,
///             Err(error) if error.get_ref().is_some_and(|e| e.is::<SessionEnd>()) => return Ok(()),
///             Err(error) => return Err(error),
///         };
///     }
/// }
/// # }
/// ```
pub struct UdpSession<F: Flavor> {
    reader: Reader<F>,
    queues: Queues<F>,
    client: SocketAddr,
    destination: SocketAddr,
    device_queue: usize,
}

impl<F: Flavor> UdpSession<F> {
    /// Makes a handle, which the table counts already.
    pub(crate) fn new(queues: &Queues<F>, accepted: Accepted) -> Self {
        Self {
            reader: Reader::counted(&queues.inbound, Receiver::Session(accepted.id)),
            queues: queues.clone(),
            client: accepted.client,
            destination: accepted.destination,
            device_queue: accepted.device_queue,
        }
    }

    /// Returns the address of the client.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, session) = example::session();
    /// assert_eq!(session.source(), "10.0.0.1:5000".parse().unwrap());
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    pub fn source(&self) -> SocketAddr {
        self.client
    }

    /// Returns the destination of the first datagram. With [`Mapping::AddressAndPortDependent`] it
    /// is the destination of every datagram.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, session) = example::session();
    /// assert_eq!(session.destination(), "9.9.9.9:53".parse().unwrap());
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    pub fn destination(&self) -> SocketAddr {
        self.destination
    }

    /// Returns the device queue on which the first datagram came, counted from 0. A task that works
    /// on the session is fastest on the thread of that queue's driver. Later datagrams may come on
    /// other queues.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, session) = example::session();
    /// assert_eq!(session.queue(), 0);
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    pub fn queue(&self) -> usize {
        self.device_queue
    }

    /// Receives one datagram of the client into `buf`. Returns the number of bytes in `buf` and the
    /// destination of the datagram. Bytes of the datagram that do not fit `buf` are discarded.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, session) = example::session();
    /// # block_on(async {
    /// let mut buf = [0; 1500];
    /// let (len, to) = session.recv(&mut buf).await?;
    /// assert_eq!((&buf[..len], to), (&b"question"[..], session.destination()));
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`TimedOut`](io::ErrorKind::TimedOut),
    ///   [`ConnectionAborted`](io::ErrorKind::ConnectionAborted) with a [`SessionEnd`] inside: the
    ///   session has ended.
    /// - A [`FlowError`](crate::FlowError), once for each ICMP error that says that the client
    ///   cannot be reached.
    /// - [`NetworkDown`](io::ErrorKind::NetworkDown): the driver has ended.
    pub async fn recv(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (len, _, to) = self.reader.recv_from(buf, Take::Yes).await?;
        Ok((len, to))
    }

    /// Receives one whole datagram of the client, with the fields of its IP header.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, session) = example::session();
    /// # block_on(async {
    /// let question = session.recv_datagram().await?;
    /// assert_eq!((question.from, question.to), (session.source(), session.destination()));
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv).
    pub async fn recv_datagram(&self) -> io::Result<Datagram> {
        self.reader.recv_datagram().await
    }

    /// Waits for a datagram and receives up to `most` datagrams at once; see
    /// [`TransparentUdpSocket::recv_batch`](crate::TransparentUdpSocket::recv_batch).
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, session) = example::session();
    /// # block_on(async {
    /// let mut datagrams = Vec::new();
    /// assert_eq!(session.recv_batch(&mut datagrams, 64).await?, 1);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv).
    pub async fn recv_batch(
        &self,
        datagrams: &mut Vec<Datagram>,
        most: usize,
    ) -> io::Result<usize> {
        self.reader.recv_batch(datagrams, most).await
    }

    /// Receives one whole datagram that is in the queue already.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, session) = example::session();
    /// assert_eq!(session.try_recv_datagram()?.payload, b"question");
    /// let error = session.try_recv_datagram().unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock): there is none; and as for [`recv`](Self::recv).
    pub fn try_recv_datagram(&self) -> io::Result<Datagram> {
        self.reader.try_recv_datagram()
    }

    /// The poll form of [`recv_datagram`](Self::recv_datagram).
    ///
    /// On `Pending`, a datagram or the end of the session wakes the task of `cx`. Up to 1,024 tasks
    /// wait by this method; one more wakes the others.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, session) = example::session();
    /// use std::task::{Context, Waker};
    ///
    /// let mut cx = Context::from_waker(Waker::noop());
    /// assert!(session.poll_recv_datagram(&mut cx).is_ready());
    /// assert!(session.poll_recv_datagram(&mut cx).is_pending());
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv).
    pub fn poll_recv_datagram(&self, cx: &mut Context<'_>) -> Poll<io::Result<Datagram>> {
        self.reader.poll_recv_datagram(cx)
    }

    /// Sends `payload`, which may be empty, as one datagram to the client, and returns its length.
    /// `from` is the remote host's address.
    ///
    /// The session remains in use: its timeout begins again. A datagram that exceeds the path MTU
    /// is fragmented. Waits while the outbound queue is full.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, session) = example::session();
    /// # block_on(async {
    /// assert_eq!(session.send_to_client(b"answer", session.destination()).await?, 6);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// - [`PermissionDenied`](io::ErrorKind::PermissionDenied): the [`Filtering`] of the session
    ///   does not let `from` send to the client, with a [`SendError::Filtered`] inside; the datagram is
    ///   counted.
    /// - A [`FlowError`](crate::FlowError), once for each ICMP error that says that the client
    ///   cannot be reached, which may be a `PermissionDenied` as well. Nothing was sent then.
    /// - [`InvalidInput`](io::ErrorKind::InvalidInput) with a [`SendError`] inside: the payload is
    ///   too long, or the address families differ.
    /// - [`TimedOut`](io::ErrorKind::TimedOut),
    ///   [`ConnectionAborted`](io::ErrorKind::ConnectionAborted) with a [`SessionEnd`] inside: the
    ///   session has ended.
    /// - [`NetworkDown`](io::ErrorKind::NetworkDown): the driver has ended.
    pub async fn send_to_client(&self, payload: &[u8], from: SocketAddr) -> io::Result<usize> {
        self.send_outgoing(Outgoing::new(payload, from, self.client))
            .await
    }

    /// Sends `datagram`, whose destination is the client, with its fields of the IP header. A
    /// [`segment_size`](Datagram#structfield.segment_size) makes a batch of several datagrams of it.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, session) = example::session();
    /// # block_on(async {
    /// let question = session.recv_datagram().await?;
    /// session.send_datagram(&question.reply(*b"answer")).await?;
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`send_to_client`](Self::send_to_client), and [`SendError::OtherClient`] for another
    /// destination.
    pub async fn send_datagram(&self, datagram: &Datagram) -> io::Result<()> {
        let outgoing = self.outgoing(datagram)?;
        self.send_outgoing(outgoing).await.map(drop)
    }

    /// Sends several datagrams as [`send_datagram`](Self::send_datagram) does; see
    /// [`TransparentUdpSocket::send_batch`](crate::TransparentUdpSocket::send_batch).
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, session) = example::session();
    /// # block_on(async {
    /// let question = session.recv_datagram().await?;
    /// let answers = [question.reply(*b"one"), question.reply(*b"two")];
    /// assert_eq!(session.send_batch(&answers).await?, 2);
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
        let allowed = self.check(datagrams.iter().map(|datagram| datagram.from))?;
        let outgoing = |number: usize| Ok(self.outgoing(&datagrams[number])?);
        let note = |sent: Range<usize>| self.note(datagrams[sent].iter().map(Outgoing::from));
        send::send_batch_noted(&self.queues, allowed, outgoing, note).await
    }

    /// Sends `payload` to the client if there is room for it now.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, session) = example::session();
    /// assert_eq!(session.try_send_to_client(b"answer", session.destination())?, 6);
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock): the outbound queue is full; and as for
    /// [`send_to_client`](Self::send_to_client).
    pub fn try_send_to_client(&self, payload: &[u8], from: SocketAddr) -> io::Result<usize> {
        self.check(once(from))?;
        let outgoing = Outgoing::new(payload, from, self.client);
        send::try_send_noted(&self.queues, outgoing, || self.note(once(outgoing)))
    }

    fn outgoing<'a>(&self, datagram: &'a Datagram) -> Result<Outgoing<'a>, SendError> {
        if datagram.to != self.client {
            return Err(SendError::OtherClient {
                to: datagram.to,
                client: self.client,
            });
        }
        Ok(datagram.into())
    }

    async fn send_outgoing(&self, outgoing: Outgoing<'_>) -> io::Result<usize> {
        self.check(once(outgoing.from))?;
        send::send_noted(&self.queues, outgoing, || self.note(once(outgoing))).await
    }

    /// Returns how many datagrams may be sent to the client: `from` are their sources.
    fn check(&self, from: impl Iterator<Item = SocketAddr>) -> io::Result<usize> {
        self.with(|inbound, id| {
            if let Some(error) = inbound.take_error(self.reader.receiver) {
                return Err((*error).into());
            }
            inbound.sessions.check_send(id, from, &mut inbound.stats)
        })
    }

    /// Notes datagrams that are queued, before the driver sees them: its next timeout may become
    /// earlier. The caller holds the cell of an outbound queue; no one takes them in the other
    /// order.
    fn note<'a>(&self, sent: impl Iterator<Item = Outgoing<'a>>) {
        let now = self.queues.now();
        let sent = sent.map(|outgoing| SentDatagrams {
            from: outgoing.from,
            datagrams: outgoing.count(),
            bytes: outgoing.payload.len(),
        });
        self.with(|inbound, id| inbound.sessions.note_sent(now, id, sent));
    }

    fn with<R>(&self, f: impl FnOnce(&mut Inbound, usize) -> R) -> R {
        let Receiver::Session(id) = self.reader.receiver else {
            unreachable!("the reader of a session reads from a session");
        };
        self.queues.inbound.with(|inbound| f(inbound, id))
    }
}

impl<F: Flavor> Clone for UdpSession<F> {
    fn clone(&self) -> Self {
        Self {
            reader: self.reader.clone(),
            queues: self.queues.clone(),
            ..*self
        }
    }
}

impl<F: Flavor> fmt::Debug for UdpSession<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpSession")
            .field("source", &self.client)
            .field("destination", &self.destination)
            .finish_non_exhaustive()
    }
}
