//! What became of packets.

use brooklet_packet::icmp::IcmpErrorKind;
use std::fmt;

/// What [`Engine::handle_echo_request`](crate::Engine::handle_echo_request) did with a packet, and
/// what remains for the driver to do.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_engine.rs")); }
/// # let engine = example::engine();
/// use brooklet_packet::icmp::{self, Echo};
/// use brooklet_packet::{IpFields, Packet};
/// use brooklet_raw::Echoed;
/// use std::time::Instant;
///
/// let (mut bytes, mut answer) = (Vec::new(), Vec::new());
/// let echo = Echo { identifier: 7, sequence: 1 };
/// icmp::write_echo_request(&mut bytes, "10.0.0.1".parse()?, "10.0.0.2".parse()?, IpFields::new(), echo, b"ping")?;
/// let packet = Packet::parse(&bytes)?;
///
/// let now = Instant::now();
/// match engine.handle_echo_request(now, &packet) {
///     Echoed::Answer => assert!(icmp::echo_reply(&mut answer, &packet)),
///     Echoed::Reject(kind) => {
///         // An error that may not be sent takes no token.
///         if icmp::error(&mut answer, &packet, kind) && !engine.take_error_token(now, packet.source()) {
///             answer.clear();
///         }
///     }
///     _ => {}
/// }
/// assert!(!answer.is_empty());
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "`Answer` and `Reject` ask for an answer"]
#[non_exhaustive]
pub enum Echoed {
    /// The packet is not an echo request between two hosts, or has a wrong checksum. The engine has
    /// neither taken nor counted the packet.
    NotEcho,
    /// The driver sends the echo reply.
    Answer,
    /// The driver sends the ICMP error, within the rate limit.
    Reject(IcmpErrorKind),
    /// The request is in the queue of an [`IcmpSocket`](crate::IcmpSocket).
    Queued,
    /// The policy is to ignore the request. It was dropped and counted.
    Ignored,
    /// The request was dropped and counted: the queue is full, the source holds more than its share
    /// of the queue, no socket takes echo requests, or the engine was shut down.
    Dropped,
}

impl fmt::Display for Echoed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotEcho => "not an echo request",
            Self::Answer => "to be answered",
            Self::Reject(kind) => return write!(f, "to be rejected: {kind}"),
            Self::Queued => "queued",
            Self::Ignored => "ignored",
            Self::Dropped => "dropped",
        })
    }
}

/// What [`Engine::handle_raw`](crate::Engine::handle_raw) and
/// [`Engine::handle_diverted`](crate::Engine::handle_diverted) did with a packet.
///
/// ```
/// # #[cfg(feature = "sync")] {
/// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_engine.rs")); }
/// # let engine = example::engine();
/// use brooklet_packet::{Packet, udp};
/// use brooklet_raw::{RawConfig, RawReceived};
///
/// let mut bytes = Vec::new();
/// udp::write(&mut bytes, "10.0.0.1:68".parse()?, "10.0.0.2:67".parse()?, 64, b"lease")?;
/// let packet = Packet::parse(&bytes)?;
/// assert_eq!(engine.handle_diverted(&packet, false), RawReceived::NoListener);
///
/// let _socket = engine.binder().bind_raw(RawConfig::new())?;
/// assert_eq!(engine.handle_diverted(&packet, false), RawReceived::Queued);
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RawReceived {
    /// The packet is in the queue of at least one socket.
    Queued,
    /// No socket asks for the packet. A diverted packet was dropped and counted; another one was
    /// neither taken nor counted.
    NoListener,
    /// The packet was dropped and counted: the queue of each socket that asks for the packet is
    /// full, the source holds more than its share of the queue, or the engine was shut down.
    Dropped,
}

impl fmt::Display for RawReceived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queued => "queued",
            Self::NoListener => "no socket asks for it",
            Self::Dropped => "dropped",
        })
    }
}

/// What became of an answer: an echo reply or an ICMP error that a program sends.
///
/// ICMP is unreliable, and none of these is an error: an answer that is not sent is counted, and
/// the sender of the offending packet repeats the packet or times out.
///
/// ```
/// use brooklet_raw::Answered;
///
/// assert_eq!(Answered::RateLimited.to_string(), "not sent: the rate of ICMP errors is limited");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Answered {
    /// The answer is in the outbound queue.
    Queued,
    /// The outbound queue is full.
    QueueFull,
    /// The [rate limit](crate#rate-limit) of ICMP errors is reached. Echo replies have none.
    RateLimited,
    /// A host must not send this error about this packet; [`icmp::error_from`] lists the cases.
    ///
    /// [`icmp::error_from`]: brooklet_packet::icmp::error_from
    NotPermitted,
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queued => "queued",
            Self::QueueFull => "not sent: the outbound queue is full",
            Self::RateLimited => "not sent: the rate of ICMP errors is limited",
            Self::NotPermitted => "not sent: a host must not send this error",
        })
    }
}
