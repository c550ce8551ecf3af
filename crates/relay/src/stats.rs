//! The counters and gauges of a relay.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One figure: a counter, which only grows, or a gauge.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        // No other memory depends on a figure, except that of a task which has ended.
        self.0.fetch_add(n, Ordering::Release);
    }

    /// Counts one.
    pub(crate) fn count(&self) {
        self.add(1);
    }

    fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Release);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// Defines the shared counters, their snapshot, and the line of each figure.
macro_rules! figures {
    ($($(#[$doc:meta])* $field:ident: $line:literal,)*) => {
        /// The counters and gauges of a relay.
        ///
        /// Its text has one line for each figure that is not 0.
        ///
        /// ```
        /// use brooklet_relay::RelayStats;
        ///
        /// let stats = RelayStats::default();
        /// assert_eq!((stats.connections, stats.dials_refused), (0, 0));
        /// assert_eq!(stats.to_string(), "");
        /// ```
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct RelayStats {
            $($(#[$doc])* pub $field: u64,)*
        }

        /// The figures that the tasks of a relay share.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $field: Counter,)*
        }

        impl Counters {
            pub(crate) fn snapshot(&self) -> RelayStats {
                RelayStats { $($field: self.$field.get(),)* }
            }
        }

        impl fmt::Display for RelayStats {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let figures = [$(($line, self.$field),)*];
                for (name, figure) in figures.into_iter().filter(|(_, figure)| *figure > 0) {
                    writeln!(f, "{name}: {figure}")?;
                }
                Ok(())
            }
        }
    };
}

figures! {
    /// Connections that are open now: accepted, and not ended in both directions.
    connections: "connections open",
    /// Connections whose remote host has not answered yet, now.
    connecting: "connections being dialed",
    /// Open connections whose client has not closed, or whose data has not all reached the host's
    /// socket, now.
    uploads: "connections with an open upload",
    /// Requests of clients that the relay took from the stack.
    requests: "connection requests",
    /// Connections that were accepted.
    connections_total: "connections accepted",
    /// Bytes of clients that the host's sockets took.
    bytes_up: "connection bytes to hosts",
    /// Bytes of hosts that the stack took for clients.
    bytes_down: "connection bytes to clients",
    /// Requests to a destination that the map refuses, rejects or drops.
    unmapped: "connection requests not mapped",
    /// Requests whose hop limit ran out at the relay.
    hop_limit_exceeded: "connection requests, hop limit exceeded",
    /// Dials that the remote host refused.
    dials_refused: "dials refused",
    /// Dials to a host, network or protocol that is unreachable or prohibited.
    dials_unreachable: "dials unreachable",
    /// Dials that the remote host did not answer in time.
    dials_timed_out: "dials timed out",
    /// Dials that failed because this process or the system is out of files or memory.
    dials_out_of_files: "dials out of files",
    /// Dials that failed otherwise.
    dials_failed: "dials failed otherwise",
    /// Requests whose client gave up before the remote host answered.
    withdrawn: "connection requests withdrawn",
    /// Open connections that a client reset.
    client_resets: "connections reset by clients",
    /// Open connections that a host reset.
    host_resets: "connections reset by hosts",
    /// Open connections whose client stopped answering.
    clients_vanished: "connections whose client vanished",
    /// Open connections whose host stopped answering.
    hosts_vanished: "connections whose host vanished",
    /// Connections that ended because one direction had ended and the other one was idle for too
    /// long.
    half_close_timeouts: "connections ended, half closed and idle",
    /// Connections that ended because both directions were idle for too long.
    idle_timeouts: "connections ended, idle",
    /// UDP sessions that are open now.
    udp_sessions: "UDP sessions open",
    /// UDP sessions that were opened.
    udp_sessions_total: "UDP sessions opened",
    /// Datagrams that the host sent for clients.
    datagrams_up: "datagrams to hosts",
    /// Datagrams of hosts that the stack took for clients.
    datagrams_down: "datagrams to clients",
    /// Payload of those datagrams to hosts, in bytes.
    datagram_bytes_up: "datagram bytes to hosts",
    /// Payload of those datagrams to clients, in bytes.
    datagram_bytes_down: "datagram bytes to clients",
    /// Datagrams to a destination that the map refuses.
    datagrams_unmapped: "datagrams not mapped",
    /// Datagrams whose hop limit ran out at the relay.
    datagrams_hop_limit_exceeded: "datagrams, hop limit exceeded",
    /// Datagrams that exceed the path MTU that the host knows.
    datagrams_too_big: "datagrams too big for their path",
    /// Datagrams to a destination that the host has no route to, or may not send to.
    datagrams_unreachable: "datagrams to unreachable destinations",
    /// Datagrams that were dropped because a queue of the host was full.
    datagrams_queue_full: "datagrams dropped, queue of the host full",
    /// Datagrams that were dropped because this process or the system is out of files or memory.
    datagrams_out_of_files: "datagrams dropped, out of files",
    /// Datagrams that were dropped in either direction for other reasons, as those of the host's own
    /// processes, whose address no client can have.
    datagrams_dropped: "datagrams dropped otherwise",
    /// ICMP errors that the host received about datagrams of clients.
    datagram_errors: "ICMP errors about datagrams",
    /// Echo requests that the host sent for clients.
    echo_requests: "echo requests to hosts",
    /// Echo replies for clients.
    echo_replies: "echo replies to clients",
    /// Echo requests that were rejected or dropped.
    echo_dropped: "echo requests not forwarded",
    /// Tasks that have panicked, with the connection or session of each, and destinations over which
    /// the map has panicked.
    panics: "panics",
}

/// An object that is counted by a gauge as long as it lives.
#[derive(Debug)]
pub(crate) struct Entry {
    counters: Arc<Counters>,
    gauge: fn(&Counters) -> &Counter,
}

impl Entry {
    pub(crate) fn new(counters: &Arc<Counters>, gauge: fn(&Counters) -> &Counter) -> Self {
        gauge(counters).count();
        Self {
            counters: counters.clone(),
            gauge,
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        (self.gauge)(&self.counters).sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_falls_when_an_entry_is_dropped() {
        let counters = Arc::new(Counters::default());
        let entries = [
            Entry::new(&counters, |counters| &counters.connections),
            Entry::new(&counters, |counters| &counters.connections),
        ];
        assert_eq!(counters.snapshot().to_string(), "connections open: 2\n");
        drop(entries);
        assert_eq!(counters.snapshot(), RelayStats::default());
    }
}
