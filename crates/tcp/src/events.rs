//! Log events at the start and at the end of a connection, with the feature `log`.
//!
//! An event is taken under the cell of the connection, and logged once no cell is held: a logger may
//! be slow, and may use the stack.

#[cfg(not(feature = "log"))]
pub(crate) use self::off::Watch;
#[cfg(feature = "log")]
pub(crate) use self::on::Watch;

#[cfg(feature = "log")]
mod on {
    use crate::TcpState;
    use crate::connection::Connection;
    use crate::error::End;
    use crate::flow::TcpFlow;
    use crate::seq::Micros;
    use brooklet_cell::Flavor;

    /// The target of the events.
    const TARGET: &str = "brooklet::tcp";

    /// What there was before a piece of work on a connection.
    pub(crate) struct Watch {
        handshake_done: bool,
        detached: bool,
    }

    /// What is to be logged about a connection.
    #[must_use]
    #[derive(Default)]
    pub(crate) struct Event {
        opened: Option<TcpFlow>,
        ended: Option<(TcpFlow, &'static str)>,
    }

    impl Watch {
        pub(crate) fn new<F: Flavor>(connection: &Connection<F>) -> Self {
            Self {
                handshake_done: connection.handshake_done,
                detached: connection.is_detached(),
            }
        }

        /// What has happened since.
        pub(crate) fn event<F: Flavor>(self, connection: &Connection<F>, now: Micros) -> Event {
            let opened = connection.handshake_done && !self.handshake_done;
            let ended = connection.is_detached() && !self.detached;
            // Not by `log_enabled`, which asks the logger.
            if !(opened || ended) || log::max_level() < log::Level::Debug {
                return Event::default();
            }
            let (key, totals) = (connection.key(), connection.totals());
            let flow = TcpFlow::new(key, TcpState::Closed, totals, now);
            Event {
                opened: opened.then_some(flow),
                ended: ended.then(|| (flow, reason(connection))),
            }
        }
    }

    /// Why a connection has ended.
    fn reason<F: Flavor>(connection: &Connection<F>) -> &'static str {
        match connection.outcome() {
            Some(Ok(())) => "closed",
            Some(Err(End::Reset)) => "reset by the peer",
            Some(Err(End::Refused)) => "refused by the peer",
            Some(Err(End::TimedOut)) => "timed out",
            Some(Err(End::NetworkUnreachable)) => "network unreachable",
            Some(Err(End::HostUnreachable)) => "host unreachable",
            Some(Err(End::Aborted)) => "aborted",
            Some(Err(End::StackClosed)) => "stack ended",
            // Its stream was dropped with unread data, or the peer did not take the rest in time.
            None => "dropped and reset",
        }
    }

    impl Event {
        /// Logs the event. No cell is held.
        pub(crate) fn log(self) {
            if let Some(flow) = self.opened {
                let (local, peer) = (flow.local_addr, flow.peer_addr);
                log::debug!(target: TARGET, "TCP {local} {peer} opened");
            }
            if let Some((flow, reason)) = self.ended {
                log::debug!(
                    target: TARGET,
                    "TCP {} {} ended: {reason} age={:.3}s in={} out={} retransmits={}",
                    flow.local_addr,
                    flow.peer_addr,
                    flow.age.as_secs_f64(),
                    flow.bytes_in,
                    flow.bytes_out,
                    flow.retransmits,
                );
            }
        }
    }
}

#[cfg(not(feature = "log"))]
mod off {
    use crate::connection::Connection;
    use crate::seq::Micros;
    use brooklet_cell::Flavor;

    pub(crate) struct Watch;

    pub(crate) struct Event;

    impl Watch {
        pub(crate) fn new<F: Flavor>(_: &Connection<F>) -> Self {
            Self
        }

        pub(crate) fn event<F: Flavor>(self, _: &Connection<F>, _: Micros) -> Event {
            Event
        }
    }

    impl Event {
        pub(crate) fn log(self) {}
    }
}
