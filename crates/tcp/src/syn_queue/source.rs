//! The number of requests of each source.

use brooklet_packet::FlowKey;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr};

/// A source that `backlog_per_source` counts, as the prefix of its IPv6 addresses: the /64 from
/// which a host chooses its addresses (RFC 4291, 2.5.1), and for an IPv4 address the 6to4 prefix of
/// its owner (RFC 3056, 2).
type Prefix = [u8; 8];

/// 12 bytes, because a flood makes as many of them as there are requests.
#[derive(Debug)]
struct Count {
    prefix: Prefix,
    requests: u32,
}

#[derive(Debug, Default)]
pub(super) struct Sources {
    counts: HashTable<Count>,
    hasher: RandomState,
}

impl Sources {
    /// The number of requests of the source of `key`.
    pub(super) fn count(&self, key: FlowKey) -> usize {
        let prefix = prefix(key);
        let count = self
            .counts
            .find(self.hasher.hash_one(prefix), |count| count.prefix == prefix);
        count.map_or(0, |count| count.requests as usize)
    }

    pub(super) fn add(&mut self, key: FlowKey) {
        let prefix = prefix(key);
        let hasher = &self.hasher;
        let mut entry = self
            .counts
            .entry(
                hasher.hash_one(prefix),
                |count| count.prefix == prefix,
                |count| hasher.hash_one(count.prefix),
            )
            .or_insert(Count {
                prefix,
                requests: 0,
            });
        entry.get_mut().requests += 1;
    }

    pub(super) fn subtract(&mut self, key: FlowKey) {
        let prefix = prefix(key);
        let hash = self.hasher.hash_one(prefix);
        if let Ok(mut entry) = self.counts.find_entry(hash, |count| count.prefix == prefix) {
            entry.get_mut().requests -= 1;
            if entry.get().requests == 0 {
                entry.remove();
            }
        }
    }

    /// Gives back the memory of a table that is empty.
    pub(super) fn give_back(&mut self) {
        self.counts.shrink_to_fit(|_| 0);
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Bytes on the heap.
    pub(super) fn allocation_size(&self) -> usize {
        self.counts.allocation_size()
    }
}

fn prefix(key: FlowKey) -> Prefix {
    let address = match key.source().ip() {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            return [0x20, 0x02, a, b, c, d, 0, 0];
        }
        IpAddr::V6(address) => Ipv6Addr::octets(&address),
    };
    let mut prefix = Prefix::default();
    prefix.copy_from_slice(&address[..8]);
    prefix
}
