//! What is known of a connection.

use super::Flow;
use smoltcp::socket::tcp::State;
use std::time::Duration;

/// The state of a connection (RFC 9293, 3.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TcpState {
    /// Our SYN has not been answered.
    SynSent,
    /// The peer's SYN has been answered and that not been acknowledged.
    SynReceived,
    /// Data may flow both ways.
    Established,
    /// This end has finished, and the peer has not acknowledged it.
    FinWait1,
    /// This end has finished; the peer has not.
    FinWait2,
    /// The peer has finished; this end has not.
    CloseWait,
    /// Both have finished at the same time, and the peer has not acknowledged it.
    Closing,
    /// The peer has finished first, then this end, and the peer has not acknowledged it.
    LastAck,
    /// Both have finished; late segments are still answered.
    TimeWait,
    /// There is no connection any more.
    Closed,
}

/// What is known of a connection, like `TCP_INFO`.
///
/// ```
/// # fn print(stream: &brooklet_tcp::TcpStream<brooklet_cell::Sync>) {
/// let info = stream.info();
/// println!("{:?}, a round trip takes {:?}", info.state, info.rtt);
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpInfo {
    /// The state of the connection.
    pub state: TcpState,
    /// The smoothed round-trip time, once one has been measured (RFC 6298).
    pub rtt: Option<Duration>,
    /// The variation of the round-trip time.
    pub rtt_variation: Option<Duration>,
    /// How long an acknowledgement is waited for until data is sent again.
    pub rto: Duration,
    /// Bytes of data in a full segment to the peer.
    pub mss: usize,
    /// Congestion window, in bytes.
    pub cwnd: usize,
    /// Slow start threshold, in bytes.
    pub ssthresh: usize,
    /// The peer's window beyond what it has acknowledged, in bytes.
    pub send_window: usize,
    /// Bytes written and not acknowledged.
    pub send_queue: usize,
    /// Bytes of those that have been sent.
    pub in_flight: usize,
    /// Bytes received and not read.
    pub recv_queue: usize,
    /// Segments sent again so far.
    pub retransmits: u64,
}

impl Flow {
    pub(crate) fn info(&mut self) -> TcpInfo {
        let state = match self.state() {
            State::Closed => TcpState::Closed,
            State::Listen | State::SynReceived => TcpState::SynReceived,
            State::SynSent => TcpState::SynSent,
            State::Established => TcpState::Established,
            State::FinWait1 => TcpState::FinWait1,
            State::FinWait2 => TcpState::FinWait2,
            State::CloseWait => TcpState::CloseWait,
            State::Closing => TcpState::Closing,
            State::LastAck => TcpState::LastAck,
            State::TimeWait => TcpState::TimeWait,
        };
        let (send_queue, recv_queue) = (self.stage.send_queue(), self.stage.recv_queue());
        let send = &self.guard.send;
        let rtt = send.rtt();
        let (cwnd, ssthresh) = send.window();
        TcpInfo {
            state,
            rtt: rtt.map(|(smoothed, _)| Duration::from_micros(smoothed)),
            rtt_variation: rtt.map(|(_, variation)| Duration::from_micros(variation)),
            rto: Duration::from_micros(send.timeout()),
            mss: send.mss() as usize,
            cwnd: cwnd as usize,
            ssthresh: ssthresh as usize,
            send_window: send.peer_window() as usize,
            send_queue,
            in_flight: send.flight() as usize,
            recv_queue,
            retransmits: send.retransmits(),
        }
    }
}
