//! The socket for ICMP messages.

use super::{EchoReply, EchoRequest, IcmpEntry, Message};
use crate::{
    error::SendError,
    hub::Hub,
    outbound::{Kind, Outbound, poll_send},
    queue::{Queue, poll_pop},
};
use brooklet_cell::{Flavor, wakers::Waiter};
use brooklet_packet::icmp::{self, Echo, IcmpError};
use brooklet_packet::{FlowKey, IpFields, is_unicast};
use std::{
    fmt,
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr},
    task::{Context, Poll},
};

/// The length of the IP and the ICMP header, in bytes.
const V4_HEADERS: usize = 20 + 8;
const V6_HEADERS: usize = 40 + 8;

/// The longest IP packets, in bytes.
const V4_LONGEST: usize = 65_535;
const V6_LONGEST: usize = 40 + 65_535;

/// A message that an [`IcmpSocket`] receives.
///
/// A program that only answers pings matches the first variant, and one that only pings switches
/// echo requests [off](crate::IcmpSocketConfig::echo_requests).
///
/// ```
/// # #[cfg(feature = "sync")] {
/// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_engine.rs")); }
/// use brooklet_raw::{IcmpMessage, IcmpSocket};
///
/// async fn serve<F: brooklet_cell::Flavor>(socket: IcmpSocket<F>) -> std::io::Result<()> {
///     loop {
///         match socket.recv().await? {
///             IcmpMessage::EchoRequest(request) => {
///                 request.reply()?;
///             }
///             IcmpMessage::EchoReply(reply) => println!("{reply:?}"),
///             IcmpMessage::Error(error) => println!("{}: {}", error.from, error.kind),
///             _ => {}
///         }
///     }
/// }
/// # let engine = example::engine();
/// # let socket = engine.binder().bind_icmp().unwrap();
/// # drop(engine);
/// # let end = futures_lite::future::block_on(serve(socket)).unwrap_err();
/// # assert_eq!(end.kind(), std::io::ErrorKind::NetworkDown);
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum IcmpMessage<F: Flavor> {
    /// A host sends an echo request, which the [policy](crate::Binder::set_echo_policy) delivers.
    EchoRequest(EchoRequest<F>),
    /// A host answers an echo request of this socket.
    EchoReply(EchoReply),
    /// A host or router reports an error about an echo request of this socket; the
    /// [`echo`](IcmpError::echo) and the [`key`](IcmpError::key) of the error name the request. No
    /// reply to the request is expected any more.
    Error(IcmpError),
}

/// A socket for ICMP: echo requests from hosts, and echo requests to hosts.
///
/// [`Binder::bind_icmp`](crate::Binder::bind_icmp) makes a socket. Clones share the queue and
/// the requests: each message goes to one of them. When the last clone is dropped, the messages in
/// the queue are dropped, too.
///
/// Of replies and errors, the socket receives those about an echo request that it has sent within
/// the [`reply_timeout`](crate::IcmpSocketConfig::reply_timeout), one for each request: addresses,
/// identifier and sequence number have to match (RFC 5927). The other ones are counted as
/// [`unmatched`](crate::Stats::unmatched).
///
/// With the feature `futures` the socket is a `Stream` of [`IcmpMessage`]s, which ends with the
/// stack.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_engine.rs")); }
/// # let engine = example::engine();
/// use brooklet_raw::IcmpMessage;
///
/// let socket = engine.binder().bind_icmp()?;
/// # example::ping(&engine);
/// # futures_lite::future::block_on(async {
/// // 10.0.0.1 pings 192.0.2.7.
/// if let IcmpMessage::EchoRequest(request) = socket.recv().await? {
///     assert_eq!(request.destination().to_string(), "192.0.2.7");
///     request.reply()?;
/// }
/// # std::io::Result::Ok(())
/// # })?;
/// # assert_eq!(engine.stats().echo_replies_out, 1);
/// # }
/// # std::io::Result::Ok(())
/// ```
pub struct IcmpSocket<F: Flavor> {
    hub: Hub<F>,
    entry: IcmpEntry<F>,
    /// The key is that of the `Stream`.
    #[cfg_attr(
        not(feature = "futures"),
        expect(dead_code, reason = "for the `Stream`")
    )]
    waiter: Waiter<F, Queue<Message>>,
}

impl<F: Flavor> IcmpSocket<F> {
    /// Takes over the one handle that the queue of `entry` counts.
    pub(crate) fn new(hub: Hub<F>, entry: IcmpEntry<F>) -> Self {
        let waiter = Waiter::new(&entry.queue, ());
        Self { hub, entry, waiter }
    }

    /// Receives one message.
    ///
    /// The call is cancel safe: a message is received or remains in the queue.
    ///
    /// # Errors
    ///
    /// [`NetworkDown`](io::ErrorKind::NetworkDown) when the driver has ended and every message in
    /// the queue has been received.
    pub async fn recv(&self) -> io::Result<IcmpMessage<F>> {
        let Waiter { queue, key, .. } = &mut Waiter::new(&self.entry.queue, ());
        let message = poll_fn(|cx| poll_pop(queue, Some(key), cx)).await?;
        Ok(self.message(message))
    }

    /// The poll form of [`recv`](Self::recv).
    ///
    /// On `Pending`, a message or the end of the driver wakes the task of `cx`. Up to 1,024 tasks
    /// wait by this method; one more wakes the others.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_engine.rs")); }
    /// # use std::task::{Context, Waker};
    /// # let engine = example::engine();
    /// let socket = engine.binder().bind_icmp()?;
    /// let mut cx = Context::from_waker(Waker::noop());
    /// assert!(socket.poll_recv(&mut cx).is_pending());
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<io::Result<IcmpMessage<F>>> {
        poll_pop(&self.entry.queue, None, cx).map_ok(|message| self.message(message))
    }

    #[cfg(feature = "futures")]
    pub(crate) fn poll_next_message(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<IcmpMessage<F>>> {
        let Waiter { queue, key, .. } = &mut self.waiter;
        let message = poll_pop(queue, Some(key), cx);
        message.map_ok(|message| self.message(message))
    }

    fn message(&self, message: Message) -> IcmpMessage<F> {
        match message {
            Message::Request(packet) => {
                IcmpMessage::EchoRequest(EchoRequest::new(packet, &self.hub))
            }
            Message::Reply(packet, round_trip) => {
                IcmpMessage::EchoReply(EchoReply::new(packet, round_trip))
            }
            Message::Error(error) => IcmpMessage::Error(error),
        }
    }

    /// Sends an echo request from the address `from` to the host `to`. `from` may be the address of
    /// any host whose packets the device delivers to this stack.
    ///
    /// The socket receives the reply, or an error about the request. Choose an identifier that no
    /// other socket and no other program behind `from` uses, and a new sequence number for each
    /// request. A request that is longer than the path MTU is fragmented.
    ///
    /// Waits while the outbound queue is full. `Ok` means that the request is in that queue. The
    /// call is cancel safe: the request is queued or not sent at all.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_engine.rs")); }
    /// # let engine = example::engine();
    /// # use std::time::Instant;
    /// use brooklet_packet::icmp::{self, Echo};
    /// use brooklet_packet::Packet;
    /// use brooklet_raw::{IcmpSocketConfig, IcmpMessage};
    ///
    /// let config = IcmpSocketConfig::new().echo_requests(false);
    /// let socket = engine.binder().bind_icmp_with(config)?;
    /// # futures_lite::future::block_on(async {
    /// let (from, to) = ("10.0.0.2".parse().unwrap(), "10.0.0.1".parse().unwrap());
    /// socket.send_echo_request(from, to, Echo { identifier: 7, sequence: 1 }, b"ping").await?;
    ///
    /// # let (request, mut reply) = (engine.poll_transmit().unwrap(), Vec::new());
    /// # assert!(icmp::echo_reply(&mut reply, &Packet::parse(&request).unwrap()));
    /// # assert!(engine.handle_echo_reply(Instant::now(), &Packet::parse(&reply).unwrap()));
    /// if let IcmpMessage::EchoReply(reply) = socket.recv().await? {
    ///     println!("{} bytes from {}: {:?}", reply.payload().len(), reply.source(), reply.round_trip());
    ///     assert_eq!((reply.source(), reply.sequence()), (to, 1));
    /// }
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # assert_eq!(engine.stats().echo_replies_in, 1);
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) with a [`SendError`] inside when an address is
    /// not that of one host, the address families differ, or the payload does not fit an IP packet;
    /// [`NetworkDown`](io::ErrorKind::NetworkDown) when the driver has ended.
    pub async fn send_echo_request(
        &self,
        from: IpAddr,
        to: IpAddr,
        echo: Echo,
        payload: &[u8],
    ) -> io::Result<()> {
        let fields = IpFields::new().dont_fragment(false);
        self.send(fields, from, to, echo, payload).await
    }

    /// Sends an echo request as [`send_echo_request`](Self::send_echo_request) does, with another
    /// hop limit, traffic class or "don't fragment".
    ///
    /// The socket chooses the identification of a request without "don't fragment" if `fields` has
    /// 0 there.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_engine.rs")); }
    /// # let engine = example::engine();
    /// # let socket = engine.binder().bind_icmp()?;
    /// use brooklet_packet::icmp::Echo;
    /// use brooklet_packet::{IpFields, Packet};
    ///
    /// # futures_lite::future::block_on(async {
    /// // The first probe of traceroute -I.
    /// let (from, to) = ("10.0.0.2".parse().unwrap(), "192.0.2.1".parse().unwrap());
    /// let echo = Echo { identifier: 7, sequence: 1 };
    /// socket.send_echo_request_with(IpFields::new().hop_limit(1), from, to, echo, b"").await?;
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # let probe = engine.poll_transmit().unwrap();
    /// # assert_eq!(Packet::parse(&probe).unwrap().hop_limit(), 1);
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`send_echo_request`](Self::send_echo_request). With "don't fragment", a request longer
    /// than the MTU is refused, too.
    pub async fn send_echo_request_with(
        &self,
        fields: IpFields,
        from: IpAddr,
        to: IpAddr,
        echo: Echo,
        payload: &[u8],
    ) -> io::Result<()> {
        self.send(fields, from, to, echo, payload).await
    }

    async fn send(
        &self,
        fields: IpFields,
        from: IpAddr,
        to: IpAddr,
        echo: Echo,
        payload: &[u8],
    ) -> io::Result<()> {
        let len = self.check(fields, from, to, payload.len())?;
        let (source, destination) = (SocketAddr::new(from, 0), SocketAddr::new(to, 0));
        let key = FlowKey::new(source, destination).ok_or(SendError::Families { from, to })?;
        let Waiter { queue, key, .. } = &mut Waiter::new(self.hub.queue_of(key), ());
        poll_fn(|cx| {
            // The clock is a function of the program, so it is read before a cell is held.
            let now = self.hub.clock.now();
            poll_send(queue, Some(key), cx, |queue: &mut Outbound| {
                let sent = queue.send(Kind::EchoRequest, len, |out, identification| {
                    let fields = match fields.identification {
                        0 => fields.identification(identification),
                        _ => fields,
                    };
                    let written = icmp::write_echo_request(out, from, to, fields, echo, payload);
                    written.map_err(|_| too_long(len, to).into())
                })?;
                // The driver cannot take the request before, so no reply comes too early.
                if sent {
                    let request = (from, to, echo);
                    self.entry
                        .outstanding
                        .with(|outstanding| outstanding.insert(now, request));
                }
                Ok(sent)
            })
        })
        .await
    }

    /// Checks a request that never could be sent. Returns the length of its packet.
    fn check(
        &self,
        fields: IpFields,
        from: IpAddr,
        to: IpAddr,
        payload: usize,
    ) -> Result<usize, SendError> {
        let interface = self.hub.interface();
        if from.is_ipv6() != to.is_ipv6() {
            return Err(SendError::Families { from, to });
        }
        for address in [from, to] {
            if !is_unicast(address) {
                return Err(SendError::NotUnicast { address });
            }
        }
        if to.is_ipv6() && !interface.ipv6 {
            return Err(SendError::NoIpv6 { to });
        }
        let headers = if to.is_ipv6() { V6_HEADERS } else { V4_HEADERS };
        let len = payload.saturating_add(headers);
        if fields.dont_fragment && len > interface.mtu {
            let limit = interface.mtu;
            return Err(SendError::TooLong { len, limit });
        }
        match too_long(len, to) {
            SendError::TooLong { len, limit } if len > limit => {
                Err(SendError::TooLong { len, limit })
            }
            _ => Ok(len),
        }
    }
}

/// The error of a packet that is longer than an IP packet to `to` can be.
fn too_long(len: usize, to: IpAddr) -> SendError {
    let limit = if to.is_ipv6() { V6_LONGEST } else { V4_LONGEST };
    SendError::TooLong { len, limit }
}

impl<F: Flavor> Clone for IcmpSocket<F> {
    fn clone(&self) -> Self {
        self.entry.queue.with(Queue::add_handle);
        Self::new(self.hub.clone(), self.entry.clone())
    }
}

impl<F: Flavor> Drop for IcmpSocket<F> {
    fn drop(&mut self) {
        let last = self.entry.queue.with(Queue::remove_handle);
        if last.is_some() {
            let queue = &self.entry.queue;
            let removed = self.hub.sockets.with(|sockets| {
                let echo = sockets.echo.take_if(|echo| echo.queue.same(queue));
                let place = sockets.icmp.iter().position(|e| e.queue.same(queue));
                (echo, place.map(|place| sockets.icmp.swap_remove(place)))
            });
            drop(removed);
        }
        drop(last);
    }
}

impl<F: Flavor> fmt::Debug for IcmpSocket<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IcmpSocket").finish_non_exhaustive()
    }
}
