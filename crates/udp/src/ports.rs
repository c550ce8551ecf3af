//! The choice of ephemeral ports (RFC 6056).

use std::hash::{DefaultHasher, Hash, Hasher};

/// The dynamic ports, which are assigned to no service (RFC 6335, section 6).
const FIRST: u16 = 49_152;
const COUNT: u16 = u16::MAX - FIRST + 1;

/// Random ephemeral ports: algorithm 1 of RFC 6056, section 3.3.1.
#[derive(Debug)]
pub(crate) struct Ports {
    secret: [u64; 2],
    picked: u64,
}

impl Ports {
    pub(crate) fn new(secret: [u64; 2]) -> Self {
        Self { secret, picked: 0 }
    }

    /// A port for which `is_free` holds, or `None` if no port is free.
    pub(crate) fn pick(&mut self, mut is_free: impl FnMut(u16) -> bool) -> Option<u16> {
        self.picked += 1;
        let mut hasher = DefaultHasher::new();
        (self.secret, self.picked).hash(&mut hasher);
        let first = (hasher.finish() % u64::from(COUNT)) as u16;
        (0..COUNT)
            .map(|n| FIRST + (first + n) % COUNT)
            .find(|&port| is_free(port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_port_is_picked_once_and_then_none() {
        let mut ports = Ports::new([1, 2]);
        let mut used = HashSet::new();
        while let Some(port) = ports.pick(|port| !used.contains(&port)) {
            assert!(port >= FIRST);
            assert!(used.insert(port), "{port} twice");
        }
        assert_eq!(used.len(), usize::from(COUNT));
        assert_eq!(ports.pick(|port| port == 50_000), Some(50_000));
    }

    #[test]
    fn ports_are_spread_and_depend_on_the_secret() {
        let picks = |secret| {
            let mut ports = Ports::new(secret);
            (0..100).filter_map(|_| ports.pick(|_| true)).collect()
        };
        let first: Vec<u16> = picks([1, 2]);
        let distinct: HashSet<_> = first.iter().collect();
        assert!(distinct.len() > 90, "{} of 100 differ", distinct.len());
        let close = |pair: &[u16]| pair[0].abs_diff(pair[1]) < 100;
        assert!(first.windows(2).filter(|pair| close(pair)).count() < 10);
        assert_ne!(first, picks([1, 3]));
        assert_ne!(first, picks([2, 2]));
    }
}
