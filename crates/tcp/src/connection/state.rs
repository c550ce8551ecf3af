//! The state of a connection and its transitions (RFC 9293, 3.3.2, figure 5).

use std::fmt;

/// The state of a connection (RFC 9293, 3.3.2). It is displayed by the name in the RFC.
///
/// ```
/// use brooklet_tcp::TcpState;
///
/// assert_eq!(TcpState::FinWait1.to_string(), "FIN-WAIT-1");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum TcpState {
    /// Our SYN has been sent, and the peer has not answered.
    SynSent,
    /// The peer's SYN has arrived, and the peer has not acknowledged ours.
    SynReceived,
    /// Data may flow both ways.
    Established,
    /// This end has closed, and the peer has not acknowledged the FIN.
    FinWait1,
    /// This end has closed; the peer has not.
    FinWait2,
    /// The peer has closed; this end has not.
    CloseWait,
    /// Both have closed at the same time, and the peer has not acknowledged the FIN.
    Closing,
    /// The peer has closed first, then this end, and the peer has not acknowledged the FIN.
    LastAck,
    /// Both have closed; late segments are still answered.
    TimeWait,
    /// There is no connection any more.
    #[default]
    Closed,
}

impl TcpState {
    /// The state after a CLOSE call.
    pub(crate) fn on_close(self) -> Self {
        match self {
            Self::Established => Self::FinWait1,
            Self::CloseWait => Self::LastAck,
            // Before the handshake is done the CLOSE is queued.
            state => state,
        }
    }

    /// The state after the peer has acknowledged our SYN.
    pub(crate) fn on_syn_acked(self) -> Self {
        match self {
            Self::SynSent | Self::SynReceived => Self::Established,
            state => state,
        }
    }

    /// The state after the peer's FIN has arrived, with everything before it.
    pub(crate) fn on_fin(self) -> Self {
        match self {
            Self::SynReceived | Self::Established => Self::CloseWait,
            Self::FinWait1 => Self::Closing,
            Self::FinWait2 => Self::TimeWait,
            state => state,
        }
    }

    /// The state after the peer has acknowledged our FIN.
    pub(crate) fn on_fin_acked(self) -> Self {
        match self {
            Self::FinWait1 => Self::FinWait2,
            Self::Closing => Self::TimeWait,
            Self::LastAck => Self::Closed,
            state => state,
        }
    }

    /// Whether both ends have agreed on sequence numbers (RFC 9293, 3.5.2).
    pub(crate) fn is_synchronized(self) -> bool {
        !matches!(self, Self::SynSent | Self::SynReceived | Self::Closed)
    }

    /// Whether the peer's FIN has arrived.
    pub(crate) fn has_fin(self) -> bool {
        matches!(
            self,
            Self::CloseWait | Self::Closing | Self::LastAck | Self::TimeWait
        )
    }

    /// Whether this end has closed, and the FIN is sent or waits behind data.
    pub(crate) fn sends_fin(self) -> bool {
        matches!(self, Self::FinWait1 | Self::Closing | Self::LastAck)
    }

    /// Whether the peer may still send data.
    pub(crate) fn receives(self) -> bool {
        matches!(self, Self::Established | Self::FinWait1 | Self::FinWait2)
    }

    /// Whether the connection can wait without end while nothing is in flight.
    pub(crate) fn can_be_idle(self) -> bool {
        matches!(self, Self::Established | Self::FinWait2 | Self::CloseWait)
    }
}

impl fmt::Display for TcpState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECEIVED",
            Self::Established => "ESTABLISHED",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::CloseWait => "CLOSE-WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST-ACK",
            Self::TimeWait => "TIME-WAIT",
            Self::Closed => "CLOSED",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::TcpState::{self, *};

    #[test]
    fn a_state_has_the_name_of_the_rfc_and_pads_it() {
        let names = [SynReceived, FinWait2, TimeWait].map(|state| state.to_string());
        assert_eq!(names, ["SYN-RECEIVED", "FIN-WAIT-2", "TIME-WAIT"]);
        assert_eq!(
            format!("{Closed:>8}|{LastAck:<10}|"),
            "  CLOSED|LAST-ACK  |"
        );
    }

    type Event = (&'static str, fn(TcpState) -> TcpState);

    /// The events of figure 5 that lead from one state to another.
    const EVENTS: [Event; 4] = [
        ("CLOSE", TcpState::on_close),
        ("rcv ACK of SYN", TcpState::on_syn_acked),
        ("rcv FIN", TcpState::on_fin),
        ("rcv ACK of FIN", TcpState::on_fin_acked),
    ];

    #[test]
    fn the_transitions_are_those_of_figure_5() {
        // A state that an event leaves as it is stands again.
        #[rustfmt::skip]
        let table = [
            //            CLOSE        ACK of SYN   FIN          ACK of FIN
            (SynSent,     [SynSent,     Established, SynSent,     SynSent]),
            (SynReceived, [SynReceived, Established, CloseWait,   SynReceived]),
            (Established, [FinWait1,    Established, CloseWait,   Established]),
            (FinWait1,    [FinWait1,    FinWait1,    Closing,     FinWait2]),
            (FinWait2,    [FinWait2,    FinWait2,    TimeWait,    FinWait2]),
            (CloseWait,   [LastAck,     CloseWait,   CloseWait,   CloseWait]),
            (Closing,     [Closing,     Closing,     Closing,     TimeWait]),
            (LastAck,     [LastAck,     LastAck,     LastAck,     Closed]),
            (TimeWait,    [TimeWait,    TimeWait,    TimeWait,    TimeWait]),
            (Closed,      [Closed,      Closed,      Closed,      Closed]),
        ];
        for (state, next) in table {
            for ((event, on), next) in EVENTS.into_iter().zip(next) {
                assert_eq!(on(state), next, "{event} in {state:?}");
            }
        }
    }
}
