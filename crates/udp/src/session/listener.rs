use super::{SessionConfig, UdpSession};
use crate::{
    inbound::{Accepted, Inbound, Place},
    outbound::Outbound,
    queues::Queues,
    transparent::TransparentUdpSocket,
};
use brooklet_cell::wakers::{Awaited, WaitKey, Waiter, WakeList};
use brooklet_cell::{Flavor, Shared};
use brooklet_io::StackClosed;
use std::{
    fmt,
    future::poll_fn,
    io,
    task::{Context, Poll},
};

/// Accepts [`UdpSession`]s.
///
/// [`TransparentUdpSocket::into_sessions`] makes one. A datagram that belongs to no session opens
/// one, which the listener accepts with the datagram in its queue. The listener must be polled: the
/// sessions that wait are bounded by the [`backlog`](SessionConfig#structfield.backlog), and one
/// that ends before it is accepted is dropped with its datagrams.
///
/// Clones share the sessions: each session goes to one of them. When the last clone is dropped, the
/// sessions that wait are closed, and no session is opened any more; accepted sessions go on.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// # use brooklet_packet::{Packet, udp};
/// # use brooklet_udp::{Arrival, Clock, Config, Engine, Interface};
/// # use std::time::Instant;
/// use brooklet_udp::SessionConfig;
///
/// let (engine, socket) = Engine::<brooklet_cell::Threaded>::new(
///     Interface::new(),
///     Config::new(),
///     Clock::new(Instant::now),
///     [1, 2],
/// );
/// let listener = socket.into_sessions(SessionConfig::new());
/// # let (client, server) = ("10.0.0.1:5000".parse()?, "9.9.9.9:53".parse()?);
/// # let mut bytes = Vec::new();
/// # udp::write(&mut bytes, client, server, 64, b"question")?;
/// # let _ = engine.handle_packet(Instant::now(), &Packet::parse(&bytes)?, Arrival::new());
/// # futures_lite::future::block_on(async {
/// let session = listener.accept().await?;
/// assert_eq!((session.source(), session.destination()), (client, server));
///
/// let question = session.recv_datagram().await?;
/// session.send_to_client(b"answer", question.to).await?;
/// # std::io::Result::Ok(())
/// # })?;
/// # assert_eq!((engine.stats().sessions, engine.stats().datagrams_out), (0, 1));
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct UdpListener<F: Flavor> {
    queues: Queues<F>,
}

impl<F: Flavor> TransparentUdpSocket<F> {
    /// Makes sessions of the datagrams: one for each client, or for each client and destination.
    ///
    /// While there is a listener, other handles of the socket receive no datagrams; they can send.
    /// Datagrams in the queue of the socket become the first of the sessions. A later call, on
    /// another handle of the socket, makes another handle of the same listener, and the new
    /// configuration counts for the sessions that open from then on.
    ///
    /// An example is at [`UdpListener`].
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, all) = example::engine();
    /// use brooklet_udp::{Filtering, SessionConfig};
    ///
    /// let config = SessionConfig::new().filtering(Filtering::AddressDependent);
    /// let listener = all.into_sessions(config);
    /// # let _ = listener;
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    pub fn into_sessions(self, config: SessionConfig) -> UdpListener<F> {
        let now = self.write.queues.now();
        let mut wakes = WakeList::new();
        let queues = self.write.queues.clone();
        queues.begin_sessions();
        let (timeout, events) = queues.inbound.with(|inbound| {
            inbound.sessions.listeners += 1;
            inbound.sessions.set_config(config);
            inbound.move_to_sessions(now, &mut wakes);
            (
                inbound.sessions.poll_timeout(),
                inbound.sessions.take_events(),
            )
        });
        events.log();
        if timeout.is_some() {
            // The datagrams have come before, so no packet wakes the driver.
            wakes.extend(queues.outbound()[0].with(Outbound::call_driver));
        }
        wakes.wake_all();
        UdpListener { queues }
    }
}

impl<F: Flavor> UdpListener<F> {
    /// Waits for the next session.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, listener) = example::listener();
    /// # block_on(async {
    /// let session = listener.accept().await?;
    /// assert_eq!(session.source(), "10.0.0.1:5000".parse().unwrap());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`NetworkDown`](io::ErrorKind::NetworkDown): the driver has ended, and no session waits.
    /// There is no other error, so that no client can end an accept loop.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no session; the next `accept` returns it.
    pub async fn accept(&self) -> io::Result<UdpSession<F>> {
        let waiter = &mut Waiter::new(&self.queues.inbound, Place::Session);
        let Waiter { queue, key, .. } = waiter;
        poll_fn(|cx| poll_accept(&self.queues, queue, Some(key), cx)).await
    }

    /// Returns a session that waits already.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, listener) = example::listener();
    /// let session = listener.try_accept()?;
    /// assert_eq!(session.source(), "10.0.0.1:5000".parse().unwrap());
    /// assert!(listener.try_accept().is_err());
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock): there is none; and as for
    /// [`accept`](Self::accept).
    pub fn try_accept(&self) -> io::Result<UdpSession<F>> {
        let accepted = self.queues.inbound.with(next);
        let session = accepted.unwrap_or_else(|| Err(io::ErrorKind::WouldBlock.into()))?;
        Ok(UdpSession::new(&self.queues, session))
    }

    /// The poll form of [`accept`](Self::accept). Up to 1,024 tasks wait by this method; one more
    /// wakes the others.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, listener) = example::listener();
    /// use std::task::{Context, Waker};
    ///
    /// let mut cx = Context::from_waker(Waker::noop());
    /// assert!(listener.poll_accept(&mut cx).is_ready());
    /// assert!(listener.poll_accept(&mut cx).is_pending());
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`accept`](Self::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<UdpSession<F>>> {
        poll_accept(&self.queues, &self.queues.inbound, None, cx)
    }

    /// Returns the sessions as a stream, which ends with the stack.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, listener) = example::listener();
    /// # block_on(async {
    /// use futures_lite::StreamExt;
    ///
    /// let session = listener.incoming().next().await.expect("the stack runs")?;
    /// assert_eq!(session.source(), "10.0.0.1:5000".parse().unwrap());
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    #[cfg(feature = "futures")]
    pub fn incoming(&self) -> UdpIncoming<'_, F> {
        UdpIncoming {
            listener: self,
            waiter: Waiter::new(&self.queues.inbound, Place::Session),
        }
    }
}

/// The next session, or the end of the stack.
fn next(inbound: &mut Inbound) -> Option<io::Result<Accepted>> {
    match inbound.sessions.accept() {
        Some(session) => Some(Ok(session)),
        None => inbound.closed.then(|| Err(StackClosed.into())),
    }
}

fn poll_accept<F: Flavor>(
    queues: &Queues<F>,
    inbound: &Shared<F, Inbound>,
    key: Option<&mut WaitKey>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<UdpSession<F>>> {
    let mut wakes = WakeList::new();
    let (poll, _replaced) = inbound.with(|inbound| match next(inbound) {
        Some(accepted) => (Poll::Ready(accepted), None),
        None => {
            let replaced = inbound.register(Place::Session, key, cx, &mut wakes);
            (Poll::Pending, replaced)
        }
    });
    wakes.wake_all();
    poll.map_ok(|session| UdpSession::new(queues, session))
}

impl<F: Flavor> Clone for UdpListener<F> {
    fn clone(&self) -> Self {
        let queues = self.queues.clone();
        queues
            .inbound
            .with(|inbound| inbound.sessions.listeners += 1);
        Self { queues }
    }
}

impl<F: Flavor> Drop for UdpListener<F> {
    fn drop(&mut self) {
        let events = self.queues.inbound.with(|inbound| {
            inbound.sessions.remove_listener(&mut inbound.stats);
            inbound.sessions.take_events()
        });
        events.log();
    }
}

impl<F: Flavor> fmt::Debug for UdpListener<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpListener").finish_non_exhaustive()
    }
}

/// The sessions of a [`UdpListener`] as a stream: [`UdpListener::incoming`].
///
/// ```
/// # #[cfg(feature = "sync")] {
/// use brooklet_cell::Flavor;
/// use brooklet_udp::UdpIncoming;
/// use futures_lite::StreamExt;
///
/// /// Prints the clients until the stack ends.
/// async fn print<F: Flavor>(mut sessions: UdpIncoming<'_, F>) {
///     while let Some(Ok(session)) = sessions.next().await {
///         println!("{} sends to {}", session.source(), session.destination());
///     }
/// }
/// # }
/// ```
#[cfg(feature = "futures")]
pub struct UdpIncoming<'a, F: Flavor> {
    listener: &'a UdpListener<F>,
    waiter: Waiter<F, Inbound>,
}

#[cfg(feature = "futures")]
impl<F: Flavor> futures_core::Stream for UdpIncoming<'_, F> {
    type Item = io::Result<UdpSession<F>>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Self::Item>> {
        let listener = self.listener;
        let Waiter { queue, key, .. } = &mut self.waiter;
        poll_accept(&listener.queues, queue, Some(key), cx).map(|session| session.ok().map(Ok))
    }
}

#[cfg(feature = "futures")]
impl<F: Flavor> fmt::Debug for UdpIncoming<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpIncoming").finish_non_exhaustive()
    }
}
