//! The host's own sockets: UDP, ping and TCP, with the fields of the IP header and with the ICMP
//! errors that the host receives about them.
//!
//! Linux queues the errors on the socket (`IP_RECVERR`). Other systems report less: see
//! [`Report`].

#[cfg(target_os = "linux")]
mod batch;
#[cfg(target_os = "linux")]
mod error_queue;
#[cfg(target_os = "linux")]
mod icmp_kind;
#[cfg_attr(not(target_os = "linux"), path = "host/portable.rs")]
mod messages;
mod path_mtu;
#[cfg_attr(target_os = "linux", path = "host/ping.rs")]
#[cfg_attr(not(target_os = "linux"), path = "host/ping_unsupported.rs")]
mod ping;
mod ping_arrival;
mod report;
mod shortage;
mod stream;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;

pub use path_mtu::path_mtu;
pub use ping::PingSocket;
pub use ping_arrival::PingArrival;
pub use report::Report;
pub(crate) use shortage::is_shortage;
pub use stream::HostStream;
pub use tcp::{DialError, connect};
pub use udp::{HostUdpSocket, UdpArrival, UdpTransmit};

use brooklet::TrafficClass;

/// The fields of the IP header of a packet that the host sends or has received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// The time to live or hop limit. `None` leaves the choice to the host.
    pub hop_limit: Option<u8>,
    /// The type of service or traffic class.
    pub traffic_class: TrafficClass,
    /// Whether the host may not fragment the packet. Unknown for received packets: `false`.
    pub dont_fragment: bool,
}
