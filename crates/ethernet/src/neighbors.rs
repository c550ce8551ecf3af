//! The table of neighbors: which MAC address an IP address has.

use crate::{DropCounter, DropReason, MacAddr};
use brooklet_io::PacketBuf;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The time between two requests (RFC 1122, 2.3.2.1; `RETRANS_TIMER` of RFC 4861, 10).
const RETRANSMISSION: Duration = Duration::from_secs(1);

/// Requests for one address before it counts as unresolved (`MAX_MULTICAST_SOLICIT` and
/// `MAX_UNICAST_SOLICIT` of RFC 4861, 10).
const REQUESTS: u8 = 3;

/// How long an entry keeps its MAC address against messages that change it (`locktime` of Linux).
const LOCK: Duration = Duration::from_secs(1);

/// The bound of all queued packets.
const QUEUED: usize = 256;

/// A request that was sent and is not answered.
#[derive(Debug)]
struct Request {
    sent: u8,
    /// When to send the next one, or to give up.
    deadline: Instant,
}

#[derive(Debug)]
struct Neighbor {
    /// `None` while the neighbor is being resolved for the first time.
    mac: Option<MacAddr>,
    /// The last sign that the neighbor has its MAC address.
    confirmed: Instant,
    /// When the MAC address was set.
    changed: Instant,
    /// The last packet to or from the neighbor.
    used: Instant,
    request: Option<Request>,
    queue: VecDeque<PacketBuf>,
}

/// The strength of the evidence that a neighbor has a MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// The source of a packet: adds an entry and changes none.
    Packet,
    /// A message that is not for the adapter: changes an entry and adds none (RFC 826).
    Overheard,
    /// A request to the adapter: changes an entry, or adds one (RFC 826).
    Request,
    /// An advertisement that overrides nothing: changes only an entry without a MAC address
    /// (RFC 4861, 7.2.5).
    Weak,
}

/// The result of a message about a neighbor.
#[derive(Debug)]
pub(crate) enum Learned {
    Noted,
    /// The neighbor is resolved: send these packets.
    Resolved(MacAddr, VecDeque<PacketBuf>),
    /// The MAC address changed less than [`LOCK`] ago and is kept.
    Locked,
}

/// The way to a neighbor.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Known(MacAddr),
    /// As `Known`, and the neighbor is to be asked whether the MAC address is still right.
    Check(MacAddr),
    /// The packet was queued, and a request is in flight.
    Queued,
    /// The packet was queued, and a request is to be sent.
    Ask,
}

/// A request to send again; `None` as the MAC address means everybody.
pub(crate) type Ask = (IpAddr, Option<MacAddr>, Option<PacketBuf>);

#[derive(Debug)]
pub(crate) struct Neighbors {
    // A tree: the order in which requests are sent must not depend on a random hash.
    table: BTreeMap<IpAddr, Neighbor>,
    limit: usize,
    queue_limit: usize,
    lifetime: Duration,
    /// The packets in all queues.
    queued: usize,
    /// No request is due before.
    deadline: Option<Instant>,
    drops: DropCounter,
}

impl Neighbors {
    pub(crate) fn new(
        limit: usize,
        queue_limit: usize,
        lifetime: Duration,
        drops: DropCounter,
    ) -> Self {
        Self {
            table: BTreeMap::new(),
            limit,
            queue_limit,
            lifetime,
            queued: 0,
            deadline: None,
            drops,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Returns the MAC address of a neighbor, if it is known.
    pub(crate) fn mac(&self, ip: IpAddr) -> Option<MacAddr> {
        self.table.get(&ip)?.mac
    }

    /// Returns the way to `ip`; queues `packet` if there is none yet.
    pub(crate) fn route(&mut self, now: Instant, ip: IpAddr, packet: &PacketBuf) -> Route {
        let Some(neighbor) = self.table.get_mut(&ip) else {
            let request = self.request(now);
            self.insert(now, ip, None, Some(request));
            self.enqueue(ip, packet);
            return Route::Ask;
        };
        neighbor.used = now;
        let Some(mac) = neighbor.mac else {
            self.enqueue(ip, packet);
            return Route::Queued;
        };
        let fresh = now.saturating_duration_since(neighbor.confirmed) < self.lifetime;
        if fresh || neighbor.request.is_some() {
            return Route::Known(mac);
        }
        let request = self.request(now);
        if let Some(neighbor) = self.table.get_mut(&ip) {
            neighbor.request = Some(request);
        }
        Route::Check(mac)
    }

    /// Takes note that `ip` has the MAC address `mac`.
    pub(crate) fn learn(
        &mut self,
        now: Instant,
        ip: IpAddr,
        mac: MacAddr,
        evidence: Evidence,
    ) -> Learned {
        let Some(neighbor) = self.table.get_mut(&ip) else {
            if matches!(evidence, Evidence::Packet | Evidence::Request) {
                self.insert(now, ip, Some(mac), None);
            }
            return Learned::Noted;
        };
        match neighbor.mac {
            Some(known) if known == mac => {}
            Some(_) if matches!(evidence, Evidence::Packet | Evidence::Weak) => {
                return Learned::Noted;
            }
            Some(_) if now.saturating_duration_since(neighbor.changed) < LOCK => {
                return Learned::Locked;
            }
            Some(_) | None => {
                neighbor.mac = Some(mac);
                neighbor.changed = now;
            }
        }
        neighbor.confirmed = now;
        neighbor.used = now;
        neighbor.request = None;
        let queue = std::mem::take(&mut neighbor.queue);
        self.queued -= queue.len();
        match queue.is_empty() {
            true => Learned::Noted,
            false => Learned::Resolved(mac, queue),
        }
    }

    /// Returns the time of the next call of [`handle_timeout`](Self::handle_timeout) that may have
    /// work.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Returns the requests that are to be sent again, and forgets the neighbors that have not
    /// answered the last one. The third value of a request is a packet that waits.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Vec<Ask> {
        if self.deadline.is_none_or(|deadline| deadline > now) {
            return Vec::new();
        }
        self.deadline = None;
        let (mut asks, mut silent, mut next) = (Vec::new(), Vec::new(), None::<Instant>);
        for (ip, neighbor) in &mut self.table {
            let Some(request) = &mut neighbor.request else {
                continue;
            };
            if request.deadline <= now {
                if request.sent >= REQUESTS {
                    silent.push(*ip);
                    continue;
                }
                request.sent += 1;
                request.deadline = now + RETRANSMISSION;
                asks.push((*ip, neighbor.mac, neighbor.queue.front().cloned()));
            }
            next = Some(next.map_or(request.deadline, |at| at.min(request.deadline)));
        }
        self.deadline = next;
        for ip in silent {
            self.remove(ip, DropReason::Unresolved);
        }
        asks
    }

    /// Returns the state of a first request that is sent now.
    fn request(&mut self, now: Instant) -> Request {
        let deadline = now + RETRANSMISSION;
        self.deadline = Some(self.deadline.map_or(deadline, |at| at.min(deadline)));
        Request { sent: 1, deadline }
    }

    fn insert(&mut self, now: Instant, ip: IpAddr, mac: Option<MacAddr>, request: Option<Request>) {
        if self.table.len() >= self.limit {
            let oldest = self.table.iter().min_by_key(|(_, neighbor)| neighbor.used);
            if let Some(ip) = oldest.map(|(ip, _)| *ip) {
                self.remove(ip, DropReason::Evicted);
            }
        }
        let neighbor = Neighbor {
            mac,
            confirmed: now,
            changed: now,
            used: now,
            request,
            queue: VecDeque::new(),
        };
        self.table.insert(ip, neighbor);
    }

    fn remove(&mut self, ip: IpAddr, reason: DropReason) {
        if let Some(neighbor) = self.table.remove(&ip) {
            self.queued -= neighbor.queue.len();
            self.drops.add_many(reason, neighbor.queue.len());
        }
    }

    /// Queues a copy of `packet`. The oldest packet makes room (RFC 1122, 2.3.2.2).
    fn enqueue(&mut self, ip: IpAddr, packet: &PacketBuf) {
        let Some(neighbor) = self.table.get_mut(&ip) else {
            return;
        };
        if neighbor.queue.len() >= self.queue_limit || self.queued >= QUEUED {
            self.drops.add(DropReason::QueueFull);
            if neighbor.queue.pop_front().is_none() {
                return;
            }
            self.queued -= 1;
        }
        let mut copy = PacketBuf::default();
        copy.copy_from_slice(packet);
        copy.set_meta(packet.meta());
        neighbor.queue.push_back(copy);
        self.queued += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 0xa]);
    const B: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 0xb]);

    fn table(limit: usize, queue: usize) -> (Neighbors, Instant) {
        let lifetime = Duration::from_secs(60);
        let neighbors = Neighbors::new(limit, queue, lifetime, DropCounter::default());
        // `Instant` has no epoch; a test needs one to add to.
        #[expect(clippy::disallowed_methods, reason = "the start of virtual time")]
        (neighbors, Instant::now())
    }

    fn ip(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    fn packet(byte: u8) -> PacketBuf {
        PacketBuf::from(vec![byte; 20])
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_packet_to_an_unknown_neighbor_waits_for_its_mac_address() {
        let (mut table, now) = table(8, 8);
        assert_eq!(table.route(now, ip(1), &packet(1)), Route::Ask);
        assert_eq!(table.route(now, ip(1), &packet(2)), Route::Queued);
        let learned = table.learn(now, ip(1), A, Evidence::Overheard);
        let queue = VecDeque::from([packet(1), packet(2)]);
        let Learned::Resolved(A, packets) = learned else {
            panic!("{learned:?}")
        };
        assert!(
            packets
                .iter()
                .map(|p| &p[..])
                .eq(queue.iter().map(|p| &p[..]))
        );
        assert_eq!(table.route(now, ip(1), &packet(3)), Route::Known(A));
        assert_eq!(table.queued, 0);
    }

    #[test]
    fn three_requests_one_a_second_then_the_packets_are_dropped() {
        let (mut table, start) = table(8, 8);
        table.route(start, ip(1), &packet(1));
        assert_eq!(table.deadline(), Some(start + seconds(1)));
        for second in 1..3 {
            let now = start + seconds(second);
            assert!(
                table
                    .handle_timeout(now - Duration::from_millis(1))
                    .is_empty()
            );
            let asks = table.handle_timeout(now);
            assert_eq!((asks[0].0, asks[0].1, asks.len()), (ip(1), None, 1));
        }
        assert!(table.handle_timeout(start + seconds(3)).is_empty());
        assert_eq!(table.drops.get(DropReason::Unresolved), 1);
        assert_eq!((table.len(), table.deadline(), table.queued), (0, None, 0));
    }

    #[test]
    fn an_old_entry_is_checked_when_it_is_used_and_removed_without_an_answer() {
        let (mut table, start) = table(8, 8);
        table.learn(start, ip(1), A, Evidence::Packet);
        assert_eq!(
            table.route(start + seconds(59), ip(1), &packet(1)),
            Route::Known(A)
        );
        let now = start + seconds(60);
        assert_eq!(table.route(now, ip(1), &packet(1)), Route::Check(A));
        assert_eq!(table.route(now, ip(1), &packet(1)), Route::Known(A));
        assert_eq!(table.handle_timeout(now + seconds(1))[0].1, Some(A));
        table.learn(now + seconds(1), ip(1), A, Evidence::Packet);
        assert!(table.handle_timeout(now + seconds(2)).is_empty());
        assert_eq!(table.len(), 1, "a sign of life ends the check");

        let now = now + seconds(61);
        assert_eq!(table.route(now, ip(1), &packet(1)), Route::Check(A));
        for second in 1..4 {
            table.handle_timeout(now + seconds(second));
        }
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn evidence_adds_and_changes_as_its_strength_allows() {
        for (evidence, adds, changes) in [
            (Evidence::Packet, true, false),
            (Evidence::Overheard, false, true),
            (Evidence::Request, true, true),
            (Evidence::Weak, false, false),
        ] {
            let (mut table, start) = table(8, 8);
            table.learn(start, ip(1), A, evidence);
            assert_eq!(table.mac(ip(1)), adds.then_some(A), "{evidence:?}");
            table.learn(start, ip(1), A, Evidence::Request);
            table.learn(start + seconds(1), ip(1), B, evidence);
            let wanted = if changes { B } else { A };
            assert_eq!(table.mac(ip(1)), Some(wanted), "{evidence:?}");
        }
    }

    #[test]
    fn a_mac_address_is_kept_for_a_second() {
        let (mut table, start) = table(8, 8);
        table.learn(start, ip(1), A, Evidence::Request);
        let soon = start + Duration::from_millis(999);
        let learned = table.learn(soon, ip(1), B, Evidence::Request);
        assert!(matches!(learned, Learned::Locked), "{learned:?}");
        table.learn(start + seconds(1), ip(1), B, Evidence::Request);
        assert_eq!(table.mac(ip(1)), Some(B));
    }

    #[test]
    fn the_queues_are_bounded_each_and_together() {
        let (mut table, now) = table(1000, 2);
        for byte in 0..3 {
            table.route(now, ip(1), &packet(byte));
        }
        assert_eq!(table.drops.get(DropReason::QueueFull), 1);
        let Learned::Resolved(_, packets) = table.learn(now, ip(1), A, Evidence::Packet) else {
            panic!("nothing was queued")
        };
        assert!(
            packets.iter().map(|packet| packet[0]).eq([1, 2]),
            "the oldest makes room"
        );
        for last in 0..=u8::MAX {
            table.route(now, IpAddr::from([10, 0, 1, last]), &packet(1));
            table.route(now, IpAddr::from([10, 0, 2, last]), &packet(1));
        }
        assert_eq!(table.queued, QUEUED);
        assert_eq!(table.drops.get(DropReason::QueueFull), 1 + 512 - 256);
    }

    #[test]
    fn a_full_table_forgets_the_neighbor_that_was_used_least_recently() {
        let (mut table, now) = table(2, 8);
        table.learn(now, ip(1), A, Evidence::Packet);
        table.route(now + seconds(1), ip(2), &packet(1));
        table.route(now + seconds(2), ip(1), &packet(1));
        table.learn(now + seconds(3), ip(3), B, Evidence::Packet);
        assert_eq!(
            (table.mac(ip(1)), table.mac(ip(3)), table.len()),
            (Some(A), Some(B), 2)
        );
        assert_eq!(table.drops.get(DropReason::Evicted), 1);
        assert_eq!(table.queued, 0);
    }
}
