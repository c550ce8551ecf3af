use std::fmt;

/// What [`Engine::handle_packet`](crate::Engine::handle_packet) did with a packet.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// use brooklet_packet::{Packet, udp};
/// use brooklet_udp::{Arrival, Clock, Config, Engine, Interface, Received};
/// use std::time::Instant;
///
/// let (engine, socket) = Engine::<brooklet_cell::Threaded>::new(Interface::new(), Config::new(), Clock::new(Instant::now), [1, 2]);
/// let mut bytes = Vec::new();
/// udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "9.9.9.9:53".parse()?, 64, b"question")?;
/// let packet = Packet::parse(&bytes)?;
/// assert_eq!(engine.handle_packet(Instant::now(), &packet, Arrival::new()), Received::Queued { congested: false });
///
/// drop(socket);
/// if let Received::NoListener = engine.handle_packet(Instant::now(), &packet, Arrival::new()) {
///     println!("send an ICMP error: port unreachable");
/// }
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "`NoListener` and `TooBig` ask for an ICMP error"]
#[non_exhaustive]
pub enum Received {
    /// The datagram is in a queue of the application.
    Queued {
        /// Whether the datagram has filled the first half of its queue, in datagrams or in bytes;
        /// or it has opened a session, and half of the sessions that may wait to be accepted do.
        ///
        /// The driver then ends its batch and lets the tasks run that
        /// [`handle_packet`](crate::Engine::handle_packet) has woken. Otherwise the batch could
        /// overrun the queue although the application keeps up. A segment batch (GRO) of up to 128
        /// datagrams fits into the other half of a queue with the default bounds.
        ///
        /// A queue that stays half full has a reader that does not keep up. The driver then goes on
        /// as usual: the queue drops datagrams and counts them, and TCP does not suffer.
        congested: bool,
    },
    /// The datagram was dropped and counted because no handle can read it: every
    /// [`TransparentUdpSocket`](crate::TransparentUdpSocket), [`UdpReadHalf`](crate::UdpReadHalf)
    /// and [`UdpListener`](crate::UdpListener) has been dropped, and no
    /// [`UdpSocket`](crate::UdpSocket) or session receives it. The caller answers with an ICMP
    /// "port unreachable" (RFC 1122, section 4.1.3.1).
    NoListener,
    /// The packet was dropped and counted because it exceeds the path MTU that was
    /// [stated](crate::Engine::set_path_mtu) for its destination, and may not be fragmented. The caller answers with an ICMP "fragmentation needed" (RFC 1191) or
    /// "packet too big" (RFC 8201).
    TooBig {
        /// The path MTU, in bytes.
        mtu: usize,
    },
    /// The packet was dropped and counted: the queue is full, the source holds more than its share
    /// of the queue, too many sessions wait to be accepted, the packet is not a whole UDP datagram,
    /// or the engine was shut down.
    Dropped,
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queued { .. } => f.write_str("queued"),
            Self::NoListener => f.write_str("dropped: no socket can read it"),
            Self::TooBig { mtu } => write!(f, "dropped: it exceeds the path MTU of {mtu}"),
            Self::Dropped => f.write_str("dropped"),
        }
    }
}
