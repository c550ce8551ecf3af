//! The connections of a stack as a list, for a program that shows them.

use crate::TcpState;
use crate::connection::Connection;
use crate::seq::Micros;
use crate::stack::Stack;
use brooklet_cell::Flavor;
use brooklet_packet::FlowKey;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// A connection at one moment, from [`Connector::flows`](crate::Connector::flows).
///
/// Its text is one line of `name=value` pairs after the addresses, this side first:
///
/// ```text
/// TCP 192.0.2.1:80 10.0.0.1:4000 ESTABLISHED queue=0 age=1.250s in=512 out=20480 srtt=0.420ms cwnd=14600 recv_queue=0 send_queue=1460 retransmits=0
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct TcpFlow {
    /// The address of this side: where the client has connected to, or where `connect` began.
    pub local_addr: SocketAddr,
    /// The address of the peer.
    pub peer_addr: SocketAddr,
    /// The state of the connection.
    pub state: TcpState,
    /// The device queue through which the connection sends.
    pub queue: usize,
    /// The time since the program accepted or began the connection.
    pub age: Duration,
    /// Bytes of data received in order.
    pub bytes_in: u64,
    /// Bytes of data that the peer has acknowledged.
    pub bytes_out: u64,
    /// The smoothed round-trip time, once one has been measured (RFC 6298); `None` in TIME-WAIT.
    pub srtt: Option<Duration>,
    /// The congestion window, in bytes; 0 in TIME-WAIT.
    pub cwnd: usize,
    /// Bytes that wait to be read.
    pub recv_queue: usize,
    /// Bytes written and not acknowledged.
    pub send_queue: usize,
    /// Segments retransmitted.
    pub retransmits: u64,
}

impl fmt::Display for TcpFlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (local, peer, state) = (self.local_addr, self.peer_addr, self.state);
        write!(f, "TCP {local} {peer} {state} queue={}", self.queue)?;
        write!(f, " age={:.3}s", self.age.as_secs_f64())?;
        write!(f, " in={} out={}", self.bytes_in, self.bytes_out)?;
        if let Some(srtt) = self.srtt {
            write!(f, " srtt={:.3}ms", srtt.as_secs_f64() * 1000.0)?;
        }
        write!(f, " cwnd={}", self.cwnd)?;
        write!(
            f,
            " recv_queue={} send_queue={}",
            self.recv_queue, self.send_queue
        )?;
        write!(f, " retransmits={}", self.retransmits)
    }
}

/// What a connection has moved, and since when: the part of a [`TcpFlow`] that outlives the
/// connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) opened_at: Micros,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) retransmits: u32,
    pub(crate) queue: u8,
}

impl TcpFlow {
    /// The flow with the totals of `key`, whose source is the peer.
    pub(crate) fn new(key: FlowKey, state: TcpState, totals: Totals, now: Micros) -> Self {
        Self {
            local_addr: key.destination(),
            peer_addr: key.source(),
            state,
            queue: totals.queue.into(),
            age: Duration::from_micros(now.saturating_sub(totals.opened_at)),
            bytes_in: totals.bytes_in,
            bytes_out: totals.bytes_out,
            srtt: None,
            cwnd: 0,
            recv_queue: 0,
            send_queue: 0,
            retransmits: totals.retransmits.into(),
        }
    }
}

impl<F: Flavor> Connection<F> {
    /// The connection as a flow, unless it has ended without TIME-WAIT.
    fn flow(&self, now: Micros) -> Option<TcpFlow> {
        let info = self.info();
        (info.state != TcpState::Closed).then(|| TcpFlow {
            srtt: info.rtt,
            cwnd: info.cwnd,
            recv_queue: info.recv_queue,
            send_queue: info.send_queue,
            ..TcpFlow::new(self.key(), info.state, self.totals(), now)
        })
    }
}

impl<F: Flavor> Stack<F> {
    /// Every connection and every TIME-WAIT, in the order of the addresses. The table's cell is
    /// held for the handles only, and then the cell of one connection after the other.
    pub(crate) fn flows(&self) -> Vec<TcpFlow> {
        let now = self.moment();
        let mut connections = Vec::with_capacity(self.summary.connections());
        let mut flows = Vec::new();
        self.table.with(|table| {
            connections.extend(table.iter_connections());
            let in_time_wait = table
                .iter_time_waits()
                .map(|(key, totals)| TcpFlow::new(key, TcpState::TimeWait, totals, now));
            flows.extend(in_time_wait);
        });
        for connection in connections {
            // The handle may be the last one: the connection is dropped after its cell is free.
            flows.extend(connection.with(|connection| connection.flow(now)));
        }
        flows.sort_unstable_by_key(|flow| (flow.peer_addr, flow.local_addr));
        flows
    }
}
