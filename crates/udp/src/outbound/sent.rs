//! The flows of the latest datagrams.

use brooklet_packet::FlowKey;
use foldhash::quality::RandomState;
use std::hash::BuildHasher;
use std::net::SocketAddr;

/// The number of flows. A power of two.
const FLOWS: usize = 1024;

/// The flows of the latest datagrams that were queued. An ICMP error about a socket that has no peer
/// is believed if it quotes one of them (RFC 5927, 4.1).
///
/// Each flow has one place, which the hash of the flow chooses, and displaces the flow that was
/// there before. A place holds the hash alone: 64 bits under a random seed.
#[derive(Default)]
pub(super) struct SentFlows {
    /// Most often it is the same flow again, which costs one comparison.
    newest: Option<(SocketAddr, SocketAddr)>,
    /// Empty until the first datagram. A place without a flow is 0.
    places: Box<[u64]>,
    hasher: RandomState,
}

impl SentFlows {
    /// Remembers that a datagram was queued.
    #[inline]
    pub(super) fn note(&mut self, from: SocketAddr, to: SocketAddr) {
        if self.newest != Some((from, to)) {
            self.note_other(from, to);
        }
    }

    #[inline(never)]
    fn note_other(&mut self, from: SocketAddr, to: SocketAddr) {
        self.newest = Some((from, to));
        if self.places.is_empty() {
            self.places = vec![0; FLOWS].into();
        }
        if let Some(flow) = FlowKey::new(from, to) {
            let (place, hash) = self.find(flow);
            self.places[place] = hash;
        }
    }

    /// Whether a datagram of the flow was queued lately.
    pub(super) fn contains(&self, flow: FlowKey) -> bool {
        let (place, hash) = self.find(flow);
        self.places.get(place) == Some(&hash)
    }

    /// Bytes on the heap.
    pub(super) fn heap_size(&self) -> usize {
        size_of_val(&*self.places)
    }

    fn find(&self, flow: FlowKey) -> (usize, u64) {
        let hash = self.hasher.hash_one(flow);
        (hash as usize % FLOWS, hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_flows_are_remembered_and_older_ones_displaced() {
        let server = SocketAddr::from(([9, 9, 9, 9], 53));
        let client = |n: u32| SocketAddr::new(n.to_be_bytes().into(), 5000);
        let mut sent = SentFlows::default();
        let flow = |n| FlowKey::new(server, client(n)).unwrap();
        assert!(!sent.contains(flow(0)));
        for n in 0..10_000 {
            sent.note(server, client(n));
            assert!(sent.contains(flow(n)));
        }
        assert!(!sent.contains(FlowKey::new(client(9_999), server).unwrap()));
        let kept = |range: std::ops::Range<u32>| range.filter(|&n| sent.contains(flow(n))).count();
        assert!(kept(9_900..10_000) > 80, "{}", kept(9_900..10_000));
        assert!(kept(0..10_000) <= FLOWS);
    }
}
