//! The memory budget of a stack, and what the stack holds of it.

use brooklet_packet::reassembly;
use std::fmt;
use std::io;
use std::num::NonZeroU8;

/// What a stack needs at least, and for each queue of its device, in bytes.
const LEAST: usize = 2 << 20;
const LEAST_PER_QUEUE: usize = 1 << 20;

/// What a driver has at most, in bytes: buffers for a received, a reassembled, a coalesced and a
/// segmented packet, and the queue of its own replies.
const DRIVER: usize = 640 << 10;

/// UDP has this fraction of the budget; ICMP and raw sockets, and the reassembly, this one each.
const UDP_SHARE: usize = 4;
const SMALL_SHARE: usize = 32;

/// With less, the longest packets are never reassembled.
const LEAST_REASSEMBLY: usize = 80_000;

/// The configurations of the parts of a stack.
#[derive(Clone, Debug)]
pub(crate) struct Configs {
    pub(crate) tcp: brooklet_tcp::Config,
    pub(crate) udp: brooklet_udp::Config,
    pub(crate) raw: brooklet_raw::Config,
    pub(crate) reassembly: Option<reassembly::Config>,
}

impl Configs {
    /// Divides a budget of `memory` bytes. A part whose own configuration asks for less leaves the
    /// rest to TCP.
    pub(crate) fn within(mut self, memory: usize, queues: NonZeroU8) -> io::Result<Self> {
        let queues = usize::from(queues.get());
        let least = LEAST + queues * LEAST_PER_QUEUE;
        if memory < least {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "a memory budget of {memory} bytes cannot work; use {least} or more for a \
                     device of {queues} queues"
                ),
            ));
        }
        let mut rest = memory - queues * DRIVER;
        self.udp.memory = self.udp.memory.min(memory / UDP_SHARE);
        self.raw.memory = self.raw.memory.min(memory / SMALL_SHARE);
        rest -= self.udp.memory + self.raw.memory;
        if let Some(reassembly) = &mut self.reassembly {
            let share = (memory / SMALL_SHARE).max(LEAST_REASSEMBLY);
            reassembly.bytes = reassembly.bytes.min(share);
            rest -= reassembly.bytes;
        }
        self.tcp.memory = self.tcp.memory.min(rest);
        Ok(self)
    }
}

/// The memory that a stack holds now, in bytes, by what holds it.
///
/// [`Builder::memory`](crate::generic::Builder::memory) bounds the [total](Self::total). The figures
/// are what was asked of the allocator and of the system: the allocator's own overhead is not in
/// them, and a page of a TCP buffer that no byte was written to counts, though it takes no memory of
/// the system yet. Also outside are what the program holds (its tasks, what it has read, and its
/// handles), the device, the filter and captures.
///
/// Its text has one line for each figure that is not 0, and the total.
///
/// ```
/// # #[cfg(all(feature = "sync", feature = "async-io"))] {
/// use brooklet::{Builder, Parts};
///
/// # let (device, _) = brooklet::pipe(64);
/// let Parts { stack, .. } = Builder::new().memory(8 << 20).build(device)?;
/// let memory = stack.stats().memory;
/// assert!(memory.total() <= 8 << 20);
/// println!("{memory}");
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default)
)]
#[non_exhaustive]
pub struct MemoryStats {
    /// Receive and send buffers of TCP connections.
    pub tcp_buffers: u64,
    /// Recycled TCP buffers, for the next connections that need some.
    pub tcp_pooled_buffers: u64,
    /// TCP connections beside their buffers: their states, out-of-order queues, scoreboards,
    /// deadlines, accept queues, and the table.
    pub tcp_connections: u64,
    /// TCP connection requests that wait for an answer.
    pub tcp_syn_queue: u64,
    /// TCP connections in TIME-WAIT, without their places in the table.
    pub tcp_time_wait: u64,
    /// TCP packets that wait for the device, and recycled packet buffers.
    pub tcp_outbound: u64,
    /// UDP datagrams that wait for the program, their queues, the bound sockets, and recycled
    /// buffers.
    pub udp_inbound: u64,
    /// UDP sessions and their tables, also those that have ended and that a handle keeps.
    pub udp_sessions: u64,
    /// UDP packets that wait for the device, recycled packet buffers, and the table of path MTUs.
    pub udp_outbound: u64,
    /// ICMP messages and raw packets that wait for the program.
    pub raw_inbound: u64,
    /// ICMP and raw packets that wait for the device, and recycled packet buffers.
    pub raw_outbound: u64,
    /// Fragments of packets that are not complete.
    pub reassembly: u64,
    /// Packet buffers of the drivers, as of their last poll.
    pub drivers: u64,
}

impl MemoryStats {
    /// Returns the sum of all parts.
    ///
    /// ```
    /// assert_eq!(brooklet::MemoryStats::default().total(), 0);
    /// ```
    #[must_use]
    pub fn total(&self) -> u64 {
        self.parts().map(|(_, bytes)| bytes).sum()
    }

    /// Returns every part by its name, in bytes.
    ///
    /// ```
    /// let memory = brooklet::MemoryStats::default();
    /// assert!(memory.parts().any(|(name, bytes)| (name, bytes) == ("TCP buffers", 0)));
    /// ```
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        [
            ("TCP buffers", self.tcp_buffers),
            ("TCP pooled buffers", self.tcp_pooled_buffers),
            ("TCP connections", self.tcp_connections),
            ("TCP SYN queue", self.tcp_syn_queue),
            ("TCP TIME-WAIT", self.tcp_time_wait),
            ("TCP outbound", self.tcp_outbound),
            ("UDP inbound", self.udp_inbound),
            ("UDP sessions", self.udp_sessions),
            ("UDP outbound", self.udp_outbound),
            ("raw inbound", self.raw_inbound),
            ("raw outbound", self.raw_outbound),
            ("reassembly", self.reassembly),
            ("drivers", self.drivers),
        ]
        .into_iter()
    }

    pub(crate) fn set_tcp(&mut self, tcp: brooklet_tcp::MemoryStats) {
        self.tcp_buffers = tcp.buffers;
        self.tcp_pooled_buffers = tcp.pooled_buffers;
        self.tcp_connections = tcp.connections;
        self.tcp_syn_queue = tcp.syn_queue;
        self.tcp_time_wait = tcp.time_wait;
        self.tcp_outbound = tcp.outbound;
    }

    pub(crate) fn set_udp(&mut self, udp: brooklet_udp::MemoryStats) {
        self.udp_inbound = udp.inbound;
        self.udp_sessions = udp.sessions;
        self.udp_outbound = udp.outbound;
    }

    pub(crate) fn set_raw(&mut self, raw: brooklet_raw::MemoryStats) {
        self.raw_inbound = raw.inbound;
        self.raw_outbound = raw.outbound;
    }
}

impl fmt::Display for MemoryStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, bytes) in self.parts().filter(|(_, bytes)| *bytes > 0) {
            writeln!(f, "{name}: {bytes}")?;
        }
        writeln!(f, "total: {}", self.total())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configs() -> Configs {
        Configs {
            tcp: brooklet_tcp::Config::new(),
            udp: brooklet_udp::Config::new(),
            raw: brooklet_raw::Config::new(),
            reassembly: Some(reassembly::Config::new()),
        }
    }

    fn sum(configs: &Configs) -> usize {
        let reassembly = configs.reassembly.map_or(0, |config| config.bytes);
        configs.tcp.memory + configs.udp.memory + configs.raw.memory + reassembly
    }

    #[test]
    fn the_parts_add_up_to_the_budget() {
        for queues in [1, 2, 8] {
            let queues = NonZeroU8::new(queues).unwrap();
            for memory in [10 << 20, 50 << 20, 512 << 20] {
                let configs = configs().within(memory, queues).unwrap();
                let drivers = usize::from(queues.get()) * DRIVER;
                assert_eq!(sum(&configs) + drivers, memory);
                assert!(configs.tcp.memory * 8 > memory, "{configs:?}");
            }
        }
    }

    #[test]
    fn a_part_that_asks_for_less_leaves_the_rest_to_tcp() {
        let mut configs = configs();
        configs.udp.memory = 1 << 20;
        configs.reassembly = None;
        let configs = configs.within(16 << 20, NonZeroU8::MIN).unwrap();
        assert_eq!(configs.udp.memory, 1 << 20);
        assert_eq!(sum(&configs) + DRIVER, 16 << 20);
    }

    #[test]
    fn a_budget_beyond_the_own_limits_changes_nothing() {
        let given = configs();
        let configs = configs().within(usize::MAX, NonZeroU8::MIN).unwrap();
        assert_eq!((configs.tcp, configs.udp), (given.tcp, given.udp));
    }

    #[test]
    fn a_budget_that_cannot_work_is_refused_with_the_least_that_can() {
        let two = NonZeroU8::new(2).unwrap();
        let error = configs().within(1 << 20, two).unwrap_err();
        let least = LEAST + 2 * LEAST_PER_QUEUE;
        assert!(error.to_string().contains(&least.to_string()), "{error}");
        assert!(configs().within(least, two).is_ok());
    }

    #[test]
    fn the_text_has_the_figures_and_their_sum() {
        let memory = MemoryStats {
            tcp_buffers: 5,
            reassembly: 7,
            ..MemoryStats::default()
        };
        assert_eq!(
            memory.to_string(),
            "TCP buffers: 5\nreassembly: 7\ntotal: 12\n"
        );
    }
}
