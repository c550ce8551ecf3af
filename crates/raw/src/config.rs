//! The settings of an engine and of its sockets.

use crate::echo_policy::EchoAction;
use brooklet_packet::Protocol;
use std::time::Duration;

/// The limits and settings of an [`Engine`](crate::Engine).
///
/// ```
/// use brooklet_raw::{Config, EchoAction};
///
/// let config = Config::new().echo(EchoAction::Ignore).outbound_packets(64);
/// assert_eq!(config.outbound_packets, 64);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
#[non_exhaustive]
pub struct Config {
    /// What happens to an echo request while there is no [policy](crate::Binder::set_echo_policy)
    /// and no [`IcmpSocket`](crate::IcmpSocket) that takes echo requests. Default
    /// [`Answer`](EchoAction::Answer).
    pub echo: EchoAction,
    /// The memory budget of the queues, in bytes, as [`Binder::memory`](crate::Binder::memory) lists
    /// them. Default 64 MiB. Outbound queues take at most a quarter of the budget. The rest is for the
    /// queues of the sockets: a message or packet that finds it used up is dropped and counted
    /// ([`dropped_full`](crate::Stats#structfield.dropped_full)).
    pub memory: usize,
    /// The largest number of packets in the outbound queue, of which each queue of the device has
    /// one. Default 256, at least 1. A sender that finds the queue full waits; an answer that finds
    /// it full is dropped and counted.
    pub outbound_packets: usize,
    /// The largest number of bytes in each outbound queue. Default 1 MiB. A queue without a packet
    /// takes any packet. The buffers of the packets may take twice as much.
    pub outbound_bytes: usize,
    /// The largest number of sockets, clones not counted. Default 256.
    pub sockets: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            echo: EchoAction::Answer,
            memory: 64 << 20,
            outbound_packets: 256,
            outbound_bytes: 1 << 20,
            sockets: 256,
        }
    }
}

impl Config {
    /// Returns the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`echo`](Self#structfield.echo).
    #[must_use]
    pub fn echo(mut self, echo: EchoAction) -> Self {
        self.echo = echo;
        self
    }

    /// Sets [`memory`](Self#structfield.memory).
    #[must_use]
    pub fn memory(mut self, memory: usize) -> Self {
        self.memory = memory;
        self
    }

    /// Sets [`outbound_packets`](Self#structfield.outbound_packets).
    #[must_use]
    pub fn outbound_packets(mut self, outbound_packets: usize) -> Self {
        self.outbound_packets = outbound_packets;
        self
    }

    /// Sets [`outbound_bytes`](Self#structfield.outbound_bytes).
    #[must_use]
    pub fn outbound_bytes(mut self, outbound_bytes: usize) -> Self {
        self.outbound_bytes = outbound_bytes;
        self
    }

    /// Sets [`sockets`](Self#structfield.sockets).
    #[must_use]
    pub fn sockets(mut self, sockets: usize) -> Self {
        self.sockets = sockets;
        self
    }
}

/// The settings of an [`IcmpSocket`](crate::IcmpSocket).
///
/// ```
/// use brooklet_raw::IcmpSocketConfig;
///
/// // A socket that sends echo requests, and takes none.
/// let config = IcmpSocketConfig::new().echo_requests(false);
/// assert_eq!(config.outstanding, 1024);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
#[non_exhaustive]
pub struct IcmpSocketConfig {
    /// Whether the socket receives the echo requests that the
    /// [policy](crate::Binder::set_echo_policy) delivers. Default `true`. At most one socket of a stack,
    /// with its clones, receives them.
    pub echo_requests: bool,
    /// The largest number of messages in the socket's queue. Default 512, at least 1. A message
    /// that finds the queue full is dropped and counted; see also the
    /// [shares](crate#bounded-queues) of the sources.
    pub inbound_packets: usize,
    /// The largest number of bytes of IP packets in the socket's queue. Default 1 MiB.
    pub inbound_bytes: usize,
    /// The largest number of the socket's own echo requests that wait for a reply. Default 1,024,
    /// at least 1. One more replaces the oldest, whose reply then counts as unmatched.
    pub outstanding: usize,
    /// The time for which an echo request waits for its reply. Default 30 seconds. A later reply
    /// counts as unmatched.
    pub reply_timeout: Duration,
}

impl Default for IcmpSocketConfig {
    fn default() -> Self {
        Self {
            echo_requests: true,
            inbound_packets: 512,
            inbound_bytes: 1 << 20,
            outstanding: 1024,
            reply_timeout: Duration::from_secs(30),
        }
    }
}

impl IcmpSocketConfig {
    /// Returns the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`echo_requests`](Self#structfield.echo_requests).
    #[must_use]
    pub fn echo_requests(mut self, echo_requests: bool) -> Self {
        self.echo_requests = echo_requests;
        self
    }

    /// Sets [`inbound_packets`](Self#structfield.inbound_packets).
    #[must_use]
    pub fn inbound_packets(mut self, inbound_packets: usize) -> Self {
        self.inbound_packets = inbound_packets;
        self
    }

    /// Sets [`inbound_bytes`](Self#structfield.inbound_bytes).
    #[must_use]
    pub fn inbound_bytes(mut self, inbound_bytes: usize) -> Self {
        self.inbound_bytes = inbound_bytes;
        self
    }

    /// Sets [`outstanding`](Self#structfield.outstanding).
    #[must_use]
    pub fn outstanding(mut self, outstanding: usize) -> Self {
        self.outstanding = outstanding;
        self
    }

    /// Sets [`reply_timeout`](Self#structfield.reply_timeout).
    #[must_use]
    pub fn reply_timeout(mut self, reply_timeout: Duration) -> Self {
        self.reply_timeout = reply_timeout;
        self
    }
}

/// The settings of a [`RawSocket`](crate::RawSocket): which packets it receives, and how many.
///
/// The default receives what the filter diverts, and nothing else.
///
/// ```
/// use brooklet_packet::Protocol;
/// use brooklet_raw::RawConfig;
///
/// // IGMP is protocol 2, OSPF 89.
/// let config = RawConfig::new().protocol(2).protocol(89).diverted(false);
/// assert_eq!(config.protocols, [Protocol::from(2), Protocol::from(89)]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
#[non_exhaustive]
pub struct RawConfig {
    /// The protocols whose packets the socket receives, to any destination, and the ICMP errors
    /// about packets of these protocols. Default none.
    ///
    /// TCP and UDP are refused: the stack handles them itself, and a rule of the filter diverts
    /// some of their packets. Of ICMP, the socket receives the messages that the stack does not
    /// handle itself: neither echo requests, nor replies to ICMP sockets, nor errors.
    pub protocols: Vec<Protocol>,
    /// Whether the socket receives the packets to multicast and broadcast addresses, of every
    /// protocol. Default `false`.
    pub multicast: bool,
    /// Whether the socket receives the packets that a rule of the filter diverts. Default `true`.
    pub diverted: bool,
    /// The largest number of packets in the socket's queue. Default 512, at least 1. A packet that
    /// finds the queue full is dropped and counted; see also the [shares](crate#bounded-queues) of
    /// the sources.
    pub inbound_packets: usize,
    /// The largest number of bytes in the socket's queue. Default 1 MiB.
    pub inbound_bytes: usize,
}

impl Default for RawConfig {
    fn default() -> Self {
        Self {
            protocols: Vec::new(),
            multicast: false,
            diverted: true,
            inbound_packets: 512,
            inbound_bytes: 1 << 20,
        }
    }
}

impl RawConfig {
    /// Returns the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a protocol to [`protocols`](Self#structfield.protocols).
    #[must_use]
    pub fn protocol(mut self, protocol: impl Into<Protocol>) -> Self {
        self.protocols.push(protocol.into());
        self
    }

    /// Sets [`multicast`](Self#structfield.multicast).
    #[must_use]
    pub fn multicast(mut self, multicast: bool) -> Self {
        self.multicast = multicast;
        self
    }

    /// Sets [`diverted`](Self#structfield.diverted).
    #[must_use]
    pub fn diverted(mut self, diverted: bool) -> Self {
        self.diverted = diverted;
        self
    }

    /// Sets [`inbound_packets`](Self#structfield.inbound_packets).
    #[must_use]
    pub fn inbound_packets(mut self, inbound_packets: usize) -> Self {
        self.inbound_packets = inbound_packets;
        self
    }

    /// Sets [`inbound_bytes`](Self#structfield.inbound_bytes).
    #[must_use]
    pub fn inbound_bytes(mut self, inbound_bytes: usize) -> Self {
        self.inbound_bytes = inbound_bytes;
        self
    }
}
