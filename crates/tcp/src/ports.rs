//! The choice of ephemeral ports (RFC 6056).

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

/// The dynamic ports, which are assigned to no service (RFC 6335, 6).
const FIRST: u16 = 49_152;
const COUNT: u16 = u16::MAX - FIRST + 1;

/// Counters; the more there are, the less an observer learns of the connections to other hosts.
const COUNTERS: usize = 256;

/// Ephemeral ports that are hard to guess and repeat late: the double-hash algorithm of RFC 6056,
/// 3.3.4.
///
/// The ports to one destination are consecutive. They begin at an offset that depends on both ends
/// and a secret, and go on by a counter that a few destinations share.
#[derive(Debug)]
pub(crate) struct Ports {
    counters: Box<[u16; COUNTERS]>,
}

impl Ports {
    pub(crate) fn new() -> Self {
        Self {
            counters: Box::new([0; COUNTERS]),
        }
    }

    /// The next port of `local` for which `is_free` holds, for a connection to `peer` or to listen
    /// on. `None` if no port is free.
    pub(crate) fn pick(
        &mut self,
        secret: [u64; 2],
        local: IpAddr,
        peer: Option<SocketAddr>,
        mut is_free: impl FnMut(u16) -> bool,
    ) -> Option<u16> {
        let hash = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            (secret, salt, local, peer).hash(&mut hasher);
            hasher.finish()
        };
        let offset = hash(0);
        let counter = &mut self.counters[hash(1) as usize % COUNTERS];
        for _ in 0..COUNT {
            let at = offset.wrapping_add(u64::from(*counter)) % u64::from(COUNT);
            *counter = counter.wrapping_add(1);
            let port = FIRST + at as u16;
            if is_free(port) {
                return Some(port);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn peer(n: u8) -> Option<SocketAddr> {
        Some(([192, 0, 2, n], 443).into())
    }

    #[test]
    fn every_port_is_picked_once_and_then_none() {
        let mut ports = Ports::new();
        let mut used = HashSet::new();
        while let Some(port) = ports.pick([1, 2], LOCAL, peer(1), |port| !used.contains(&port)) {
            assert!(port >= FIRST);
            assert!(used.insert(port), "{port} twice");
        }
        assert_eq!(used.len(), usize::from(COUNT));
        // A port that becomes free is found.
        let port = ports.pick([1, 2], LOCAL, peer(1), |port| port == 50_000);
        assert_eq!(port, Some(50_000));
    }

    #[test]
    fn a_port_repeats_only_after_all_others() {
        let mut ports = Ports::new();
        let mut next = || ports.pick([1, 2], LOCAL, peer(1), |_| true).unwrap();
        let first = next();
        for n in 1..COUNT {
            assert_ne!(next(), first, "again after {n}");
        }
        assert_eq!(next(), first);
    }

    #[test]
    fn the_first_port_depends_on_the_destination_and_on_the_secret() {
        let first = |secret, n| Ports::new().pick(secret, LOCAL, peer(n), |_| true);
        let begins: HashSet<_> = (0..100).map(|n| first([1, 2], n)).collect();
        assert!(begins.len() > 90, "{} of 100 differ", begins.len());
        assert_ne!(first([1, 2], 1), first([1, 3], 1));
    }
}
