use std::fmt;

/// What [`Engine::handle_packet`](crate::Engine::handle_packet) did with a packet.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// use brooklet_packet::{Packet, udp};
/// use brooklet_udp::{Config, Engine, Interface, Received};
///
/// let (engine, socket) = Engine::<brooklet_cell::Threaded>::new(Interface::new(), Config::new());
/// let mut bytes = Vec::new();
/// udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "9.9.9.9:53".parse()?, 64, b"question")?;
/// let packet = Packet::parse(&bytes)?;
/// assert_eq!(engine.handle_packet(&packet), Received::Queued);
///
/// drop(socket);
/// if let Received::NoListener = engine.handle_packet(&packet) {
///     println!("send an ICMP error: port unreachable");
/// }
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "`NoListener` asks for an ICMP port unreachable"]
#[non_exhaustive]
pub enum Received {
    /// The datagram is in the inbound queue.
    Queued,
    /// The datagram was dropped and counted because no handle can read it: every
    /// [`TransparentUdpSocket`](crate::TransparentUdpSocket) and [`UdpReadHalf`](crate::UdpReadHalf) has been dropped.
    /// The caller answers with an ICMP "port unreachable" (RFC 1122, section 4.1.3.1).
    NoListener,
    /// The packet was dropped and counted: the queue is full, the source holds more than its share
    /// of the queue, the packet is not a whole UDP datagram, or the engine was shut down.
    Dropped,
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queued => "queued",
            Self::NoListener => "dropped: no socket can read it",
            Self::Dropped => "dropped",
        })
    }
}
