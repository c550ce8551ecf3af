//! How [`Config::memory`] is divided: what has a number of entries of its own gets a fixed share, so
//! that no flood of one kind takes the memory of another. The rest is for connections.

use crate::buffer::promised;
use crate::config::Config;
use crate::syn_queue;

/// The SYN queue takes at most this fraction of the memory.
const SYN_QUEUE_SHARE: usize = 16;

/// TIME-WAIT takes at most this fraction of the memory.
const TIME_WAIT_SHARE: usize = 100;

/// The table of path MTUs takes at most this fraction of the memory.
const PATH_MTU_SHARE: usize = 32;

/// The packets in the outbound queues of all device queues take at most this fraction of the memory.
/// With their buffers and the pools, the queues take up to five times as much.
const OUTBOUND_SHARE: usize = 48;
const OUTBOUND_COST: usize = 5;

/// The most heap bytes of an entry in TIME-WAIT: its state, its place in the table, and its place in
/// the list of ends. Both may have twice the room that they need.
const TIME_WAIT_ENTRY: usize = 320;

/// The most heap bytes of a path MTU, as [`brooklet_packet::PathMtus::with_limit`] states.
const PATH_MTU_ENTRY: usize = 300;

const PATH_MTUS: usize = 4096;

/// What each part of the TCP side may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shares {
    pub(crate) backlog: usize,
    pub(crate) max_time_wait: usize,
    pub(crate) path_mtus: usize,
    /// Bytes of the packets in the outbound queue of each device queue.
    pub(crate) outbound_bytes: usize,
    /// Bytes of the connections and their buffers.
    pub(crate) connection_bytes: usize,
    pub(crate) max_connections: usize,
}

impl Shares {
    /// Divides the memory of a usable configuration over a stack with so many device queues.
    pub(crate) fn new(config: &Config, queues: u8, mtu: usize) -> Self {
        let share = |share: usize, cost: usize| (config.memory / share / cost).max(1);
        let queues = usize::from(queues);
        let backlog = config
            .backlog
            .min(share(SYN_QUEUE_SHARE, syn_queue::MAX_PLACE));
        let max_time_wait = config
            .max_time_wait
            .min(share(TIME_WAIT_SHARE, TIME_WAIT_ENTRY));
        let path_mtus = PATH_MTUS.min(share(PATH_MTU_SHARE, PATH_MTU_ENTRY));
        let outbound_bytes = config
            .outbound_packets
            .saturating_mul(mtu)
            .min(config.memory / OUTBOUND_SHARE / queues);
        let fixed = backlog * syn_queue::MAX_PLACE
            + max_time_wait * TIME_WAIT_ENTRY
            + path_mtus * PATH_MTU_ENTRY
            + outbound_bytes * queues * OUTBOUND_COST;
        let options = &config.options;
        let promised = promised(
            options.recv_buffer,
            options.send_buffer,
            options.recv_buffer_max,
        );
        let connection_bytes = config.memory.saturating_sub(fixed).max(promised);
        Self {
            backlog,
            max_time_wait,
            path_mtus,
            outbound_bytes,
            connection_bytes,
            max_connections: config.max_connections.min(connection_bytes / promised),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_have_room_for_all_that_they_allow() {
        let config = Config::new();
        let shares = Shares::new(&config, 4, 1500);
        assert_eq!(shares.backlog, config.backlog);
        assert_eq!(shares.max_time_wait, (1 << 30) / 100 / TIME_WAIT_ENTRY);
        assert_eq!(shares.path_mtus, PATH_MTUS);
        assert_eq!(shares.outbound_bytes, 512 * 1500);
        assert_eq!(shares.max_connections, config.max_connections);
        assert!(shares.connection_bytes > (1 << 30) * 9 / 10);
    }

    #[test]
    fn connections_have_three_quarters_of_a_small_budget() {
        for memory in [1 << 20, 8 << 20, 40 << 20] {
            for queues in [1, 8] {
                let shares = Shares::new(&Config::new().memory(memory), queues, 1500);
                assert!(shares.connection_bytes >= memory * 3 / 4, "{shares:?}");
                assert!(
                    shares.max_connections >= memory * 3 / 4 / 10_752,
                    "{shares:?}"
                );
                assert!(shares.backlog >= 40 && shares.max_time_wait >= 30);
            }
        }
    }
}
