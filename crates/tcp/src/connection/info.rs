//! What is known of a connection.

use super::{Connection, TcpState};
use crate::flow::Totals;
use brooklet_cell::Flavor;
use brooklet_packet::TrafficClass;
use std::time::Duration;

/// What is known of a connection, like `TCP_INFO` of Linux.
///
/// ```
/// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
/// # example::run(async |stream, _peer| {
/// let info = stream.info();
/// println!("{}, a round trip takes {:?}", info.state, info.rtt);
/// # Ok(()) });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default)
)]
#[non_exhaustive]
pub struct TcpInfo {
    /// The state of the connection.
    pub state: TcpState,
    /// The smoothed round-trip time, once one has been measured (RFC 6298).
    pub rtt: Option<Duration>,
    /// The variation of the round-trip time.
    pub rtt_variation: Option<Duration>,
    /// The retransmission timeout.
    pub rto: Duration,
    /// Bytes of data in a full segment to the peer.
    pub mss: usize,
    /// The congestion window, in bytes.
    pub cwnd: usize,
    /// The slow start threshold, in bytes.
    pub ssthresh: usize,
    /// The peer's window beyond what the peer has acknowledged (SND.WND), in bytes.
    pub send_window: usize,
    /// Bytes written and not acknowledged.
    pub send_queue: usize,
    /// Sequence numbers sent and not acknowledged.
    pub in_flight: usize,
    /// Bytes that wait to be read.
    pub recv_queue: usize,
    /// Segments retransmitted so far.
    pub retransmits: u64,
    /// The TTL or hop limit with which the peer's SYN or SYN-ACK arrived; `None` before that.
    pub peer_hop_limit: Option<u8>,
    /// The traffic class with which the peer's SYN or SYN-ACK arrived; `None` before that.
    pub peer_traffic_class: Option<TrafficClass>,
}

impl<F: Flavor> Connection<F> {
    /// What the connection has moved so far.
    pub(crate) fn totals(&self) -> Totals {
        Totals {
            opened_at: self.opened_at,
            bytes_in: self.recv.received_bytes(),
            bytes_out: self.send.acknowledged_bytes(),
            retransmits: self.send.retransmits() as u32, // it saturates at this size
            queue: self.queue,
        }
    }

    pub(crate) fn info(&self) -> TcpInfo {
        let rtt = self.send.rtt();
        let (cwnd, ssthresh) = self.send.window();
        TcpInfo {
            state: self.state,
            rtt: rtt.map(|(smoothed, _)| Duration::from_micros(smoothed)),
            rtt_variation: rtt.map(|(_, variation)| Duration::from_micros(variation)),
            rto: Duration::from_micros(self.send.timeout()),
            mss: self.send.mss() as usize,
            cwnd: cwnd as usize,
            ssthresh: ssthresh as usize,
            send_window: self.send.peer_window() as usize,
            send_queue: self.send_queue(),
            in_flight: self.send.flight() as usize,
            recv_queue: self.recv.len(),
            retransmits: self.send.retransmits(),
            peer_hop_limit: self.recv.syn_hop_limit(),
            peer_traffic_class: self.recv.syn_traffic_class(),
        }
    }
}
