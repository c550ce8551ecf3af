//! How [`Config::memory`] is divided, so that no flood in one direction takes the memory of another.

use crate::config::Config;

/// The datagrams in the outbound queues of all device queues take at most this fraction of the
/// memory. With their buffers and the pools, the queues take up to four times as much.
const OUTBOUND_SHARE: usize = 32;
const OUTBOUND_COST: usize = 4;

/// The table of path MTUs, and the pool of inbound buffers, take at most this fraction each.
const SMALL_SHARE: usize = 32;

/// The most heap bytes of a path MTU, as [`brooklet_packet::PathMtus::with_limit`] states.
const PATH_MTU_ENTRY: usize = 300;
const PATH_MTUS: usize = 4096;

/// The capacity of a buffer in the pool, in bytes.
pub(crate) const POOL_CAPACITY: usize = 2048;
const POOL_BUFFERS: usize = 64;

/// What each part of the UDP side may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shares {
    /// Bytes of the packets in the outbound queue of each device queue.
    pub(crate) outbound_bytes: usize,
    pub(crate) path_mtus: usize,
    /// Recycled buffers of inbound datagrams.
    pub(crate) pool: usize,
    /// Bytes of the inbound queues and of the tables of sessions and sockets.
    pub(crate) inbound_bytes: usize,
}

impl Shares {
    /// Divides the memory over a stack with so many device queues.
    pub(crate) fn new(config: &Config, queues: u8) -> Self {
        let (memory, queues) = (config.memory, usize::from(queues));
        let small = |cost: usize| (memory / SMALL_SHARE / cost).max(1);
        let outbound_bytes = config
            .outbound_bytes
            .min(memory / OUTBOUND_SHARE / queues)
            .max(1);
        let path_mtus = PATH_MTUS.min(small(PATH_MTU_ENTRY));
        let pool = POOL_BUFFERS.min(small(POOL_CAPACITY));
        let fixed = outbound_bytes * queues * OUTBOUND_COST
            + path_mtus * PATH_MTU_ENTRY
            + pool * POOL_CAPACITY;
        Self {
            outbound_bytes,
            path_mtus,
            pool,
            inbound_bytes: memory.saturating_sub(fixed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_have_room_for_all_that_they_allow() {
        let config = Config::new();
        let shares = Shares::new(&config, 4);
        assert_eq!(shares.outbound_bytes, config.outbound_bytes);
        assert_eq!((shares.path_mtus, shares.pool), (PATH_MTUS, POOL_BUFFERS));
        assert!(shares.inbound_bytes > config.memory * 9 / 10);
    }

    #[test]
    fn the_inbound_side_has_most_of_a_small_budget() {
        for memory in [1 << 20, 4 << 20] {
            let shares = Shares::new(&Config::new().memory(memory), 2);
            assert!(shares.inbound_bytes >= memory * 3 / 4, "{shares:?}");
        }
    }
}
