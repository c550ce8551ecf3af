use crate::echo_request::EchoRequest;
use crate::error::SendError;
use crate::hub::{Hub, Message};
use crate::inbound::{Inbound, poll_read};
use crate::outbound::poll_send;
use crate::wait::Waiter;
use brooklet_cell::{Flavor, Shared};
use brooklet_packet::icmp::{self, Echo, IcmpError};
use brooklet_packet::{Headers, IpFields, TrafficClass, WriteError};
use std::future::poll_fn;
use std::net::IpAddr;
use std::task::{Context, Poll};
use std::{fmt, io};

/// A message for an [`IcmpSocket`].
///
/// An example is at [`EchoRequest`], and one at [`IcmpSocket`].
#[derive(Debug)]
#[non_exhaustive]
pub enum IcmpMessage<F: Flavor> {
    /// A client pings an address.
    EchoRequest(EchoRequest<F>),
    /// A reply to an echo request that the program has sent.
    EchoReply(EchoReply),
    /// An ICMP error about an echo request that the program has sent.
    Error(IcmpError),
}

/// A reply to an echo request of the program.
#[derive(Clone, PartialEq, Eq)]
pub struct EchoReply {
    packet: Vec<u8>,
    headers: Headers,
    echo: Echo,
}

impl EchoReply {
    /// Returns the address of the host that replied.
    pub fn source(&self) -> IpAddr {
        self.headers.source()
    }

    /// Returns the address from which the request was sent.
    pub fn destination(&self) -> IpAddr {
        self.headers.destination()
    }

    /// Returns the identifier and the sequence number of the request.
    pub fn echo(&self) -> Echo {
        self.echo
    }

    /// Returns the payload.
    pub fn payload(&self) -> &[u8] {
        &self.packet[self.headers.payload_range()]
    }

    /// Returns the TTL or hop limit with which the reply arrived.
    pub fn hop_limit(&self) -> u8 {
        self.headers.hop_limit()
    }

    /// Returns the DSCP and ECN of the reply.
    pub fn traffic_class(&self) -> TrafficClass {
        self.headers.traffic_class()
    }
}

impl fmt::Debug for EchoReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EchoReply")
            .field("source", &self.source())
            .field("echo", &self.echo)
            .field("payload", &format_args!("{} bytes", self.payload().len()))
            .finish_non_exhaustive()
    }
}

/// The ICMP socket of a stack: echo requests of clients, and echo requests of the program.
///
/// All methods take `&self`, and clones share the queue: each message goes to one of the tasks that
/// receive. When the last handle is dropped, the messages in the queue are dropped, too. A full
/// queue drops the message that arrives.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// # use brooklet_io::Clock;
/// # use brooklet_packet::{Packet, icmp};
/// # use brooklet_raw::{Config, Engine, Interface};
/// use brooklet_packet::icmp::Echo;
/// use brooklet_raw::IcmpMessage;
///
/// # let clock = Clock::new(std::time::Instant::now);
/// # let engine = Engine::<brooklet_cell::Threaded>::new(Interface::new(), Config::new(), clock);
/// # let socket = engine.binder().bind_icmp().unwrap();
/// # futures_lite::future::block_on(async {
/// // Ping a client.
/// let (here, client) = ("10.0.0.2".parse().unwrap(), "10.0.0.1".parse().unwrap());
/// let echo = Echo { identifier: 7, sequence: 1 };
/// socket.send_echo_request(here, client, echo, b"are you there?").await?;
/// # let request = engine.poll_transmit().unwrap();
/// # let mut reply = Vec::new();
/// # icmp::echo_reply(&mut reply, &Packet::parse(&request).unwrap());
/// # engine.handle_echo_reply(std::time::Instant::now(), &Packet::parse(&reply).unwrap());
/// if let IcmpMessage::EchoReply(reply) = socket.recv().await? {
///     assert_eq!((reply.source(), reply.echo()), (client, echo));
/// }
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// # }
/// ```
///
/// # Cancel safety
///
/// A future that is dropped before it is done has neither taken nor sent a message.
pub struct IcmpSocket<F: Flavor> {
    /// The key is that of the `Stream`.
    waiter: Waiter<F, Inbound<Message>>,
    hub: Hub<F>,
}

impl<F: Flavor> IcmpSocket<F> {
    /// The queue counts the handle already.
    pub(crate) fn new(queue: Shared<F, Inbound<Message>>, hub: &Hub<F>) -> Self {
        Self {
            waiter: Waiter::new(&queue),
            hub: hub.clone(),
        }
    }

    /// Receives the next message.
    ///
    /// # Errors
    ///
    /// [`NetworkDown`](io::ErrorKind::NetworkDown) when the driver has ended and the queue is empty.
    pub async fn recv(&self) -> io::Result<IcmpMessage<F>> {
        let Waiter { queue, key } = &mut Waiter::new(&self.waiter.queue);
        let message = poll_fn(|cx| poll_read(queue, Some(key), cx, Inbound::pop)).await?;
        Ok(self.message(message))
    }

    /// The poll form of [`recv`](Self::recv).
    ///
    /// On `Pending`, a message or the end of the driver wakes the task of `cx`. Up to 1,024 tasks
    /// wait by this method; one more wakes the others.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub fn poll_recv(&self, cx: &mut Context<'_>) -> Poll<io::Result<IcmpMessage<F>>> {
        poll_read(&self.waiter.queue, None, cx, Inbound::pop)
            .map_ok(|message| self.message(message))
    }

    fn message(&self, message: Message) -> IcmpMessage<F> {
        match message {
            Message::Request(packet, headers, echo) => {
                IcmpMessage::EchoRequest(EchoRequest::new(&self.hub, packet, headers, echo))
            }
            Message::Reply(packet, headers, echo) => IcmpMessage::EchoReply(EchoReply {
                packet,
                headers,
                echo,
            }),
            Message::Error(error) => IcmpMessage::Error(error),
        }
    }

    /// Sends an echo request. [`recv`](Self::recv) returns the replies of the next 60 seconds, and
    /// ICMP errors about the request; of more than 1,024 requests at a time the oldest are
    /// forgotten.
    ///
    /// Waits while the outbound queue is full. A request above the MTU leaves in fragments.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) with a [`SendError`] inside if the address
    /// families differ, if the payload does not fit an IP packet, or if the addresses are IPv6 and
    /// IPv6 is switched off; [`NetworkDown`](io::ErrorKind::NetworkDown) when the driver has ended.
    pub async fn send_echo_request(
        &self,
        from: IpAddr,
        to: IpAddr,
        echo: Echo,
        payload: &[u8],
    ) -> io::Result<()> {
        let fields = IpFields::new().dont_fragment(false);
        self.send_echo_request_with(fields, from, to, echo, payload)
            .await
    }

    /// Sends an echo request, as [`send_echo_request`](Self::send_echo_request) does, with the hop
    /// limit, the traffic class and the other fields of `fields`.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # use brooklet_io::Clock;
    /// # use brooklet_packet::Packet;
    /// # use brooklet_raw::{Config, Engine, Interface};
    /// use brooklet_packet::{IpFields, icmp::Echo};
    ///
    /// # let clock = Clock::new(std::time::Instant::now);
    /// # let engine = Engine::<brooklet_cell::Threaded>::new(Interface::new(), Config::new(), clock);
    /// # let socket = engine.binder().bind_icmp().unwrap();
    /// # let (here, there) = ("10.0.0.2".parse().unwrap(), "192.0.2.1".parse().unwrap());
    /// # futures_lite::future::block_on(async {
    /// // The first router on the path answers that the hop limit is exceeded.
    /// let fields = IpFields::new().hop_limit(1);
    /// let echo = Echo { identifier: 7, sequence: 1 };
    /// socket.send_echo_request_with(fields, here, there, echo, b"").await?;
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// # assert_eq!(Packet::parse(&engine.poll_transmit().unwrap()).unwrap().hop_limit(), 1);
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`send_echo_request`](Self::send_echo_request).
    pub async fn send_echo_request_with(
        &self,
        fields: IpFields,
        from: IpAddr,
        to: IpAddr,
        echo: Echo,
        payload: &[u8],
    ) -> io::Result<()> {
        self.hub.check_family(to)?;
        let write = |out: &mut Vec<u8>| {
            icmp::write_echo_request(out, from, to, fields, echo, payload).map_err(|error| {
                match error {
                    WriteError::Families => SendError::Families { from, to },
                    _ => SendError::TooLong { len: payload.len() },
                }
            })
        };
        let Waiter { queue, key } = &mut Waiter::new(&self.hub.outbound);
        // Before the driver can send it: the reply may come at once.
        let now = self.hub.clock.now();
        let hub = &self.hub;
        poll_fn(|cx| {
            poll_send(queue, Some(key), cx, |out| {
                write(out)?;
                hub.state.with(|state| {
                    state.outstanding.insert(now, (from, to, echo));
                    state.stats.packets_out += 1;
                });
                Ok(())
            })
        })
        .await
    }
}

/// Yields messages. The stream ends once the driver has ended and every message in the queue has
/// been read.
#[cfg(feature = "futures")]
impl<F: Flavor> futures_core::Stream for IcmpSocket<F> {
    type Item = IcmpMessage<F>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Self::Item>> {
        let Waiter { queue, key } = &mut self.waiter;
        let read = poll_read(queue, Some(key), cx, Inbound::pop);
        read.map(|read| read.ok().map(|message| self.message(message)))
    }
}

impl<F: Flavor> Clone for IcmpSocket<F> {
    fn clone(&self) -> Self {
        self.waiter.queue.with(|queue| queue.handles += 1);
        Self {
            waiter: Waiter::new(&self.waiter.queue),
            hub: self.hub.clone(),
        }
    }
}

impl<F: Flavor> Drop for IcmpSocket<F> {
    fn drop(&mut self) {
        let queue = &self.waiter.queue;
        let last = queue.with(|queue| {
            queue.handles -= 1;
            queue.handles == 0
        });
        if last {
            // The messages go with the queue, once no cell is held.
            let _queue = self
                .hub
                .state
                .with(|state| state.icmp.take_if(|bound| bound.same(queue)));
        }
    }
}

impl<F: Flavor> fmt::Debug for IcmpSocket<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IcmpSocket").finish_non_exhaustive()
    }
}
