//! Log events at the start and at the end of a session, with the feature `log`.
//!
//! Events are collected under the cell of the table of sessions, and logged once it is free: a
//! logger may be slow, and may use the stack.

#[cfg(not(feature = "log"))]
pub(crate) use self::off::Events;
#[cfg(feature = "log")]
pub(crate) use self::on::Events;

/// Why a session has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reason {
    Idle,
    Evicted,
    /// Its last handle was dropped, or its listener was dropped before the session was accepted.
    Closed,
    StackEnded,
}

#[cfg(feature = "log")]
mod on {
    use super::Reason;
    use crate::flow::UdpFlow;

    /// The target of the events.
    const TARGET: &str = "brooklet::udp";

    /// The events of a piece of work, in order.
    #[must_use]
    #[derive(Default)]
    pub(crate) struct Events(Vec<(UdpFlow, Option<Reason>)>);

    impl Events {
        /// A session was opened.
        pub(crate) fn opened(&mut self, flow: impl FnOnce() -> UdpFlow) {
            self.push(flow, None);
        }

        /// A session has ended.
        pub(crate) fn ended(&mut self, flow: impl FnOnce() -> UdpFlow, reason: Reason) {
            self.push(flow, Some(reason));
        }

        fn push(&mut self, flow: impl FnOnce() -> UdpFlow, end: Option<Reason>) {
            // Not by `log_enabled`, which asks the logger.
            if log::max_level() >= log::Level::Debug {
                self.0.push((flow(), end));
            }
        }

        /// Logs the events. No cell is held.
        pub(crate) fn log(self) {
            for (flow, end) in self.0 {
                match end {
                    None => log_opened(&flow),
                    Some(reason) => log_ended(&flow, reason),
                }
            }
        }
    }

    fn log_opened(flow: &UdpFlow) {
        log::debug!(target: TARGET, "UDP {} {} opened", destination(flow), flow.source);
    }

    fn log_ended(flow: &UdpFlow, reason: Reason) {
        let reason = match reason {
            Reason::Idle => "idle",
            Reason::Evicted => "evicted",
            Reason::Closed => "closed",
            Reason::StackEnded => "stack ended",
        };
        log::debug!(
            target: TARGET,
            "UDP {} {} ended: {reason} age={:.3}s in={} out={} datagrams_in={} datagrams_out={}",
            destination(flow),
            flow.source,
            flow.age.as_secs_f64(),
            flow.bytes_in,
            flow.bytes_out,
            flow.datagrams_in,
            flow.datagrams_out,
        );
    }

    fn destination(flow: &UdpFlow) -> String {
        let destination = flow.destination;
        destination.map_or_else(|| "*".into(), |destination| destination.to_string())
    }
}

#[cfg(not(feature = "log"))]
mod off {
    use super::Reason;
    use crate::flow::UdpFlow;

    #[derive(Default)]
    pub(crate) struct Events(());

    impl Events {
        pub(crate) fn opened(&mut self, _: impl FnOnce() -> UdpFlow) {}

        pub(crate) fn ended(&mut self, _: impl FnOnce() -> UdpFlow, _: Reason) {}

        pub(crate) fn log(self) {}
    }
}
