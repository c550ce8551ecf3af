//! What happens to the packets of one direction.

use crate::random::Random;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

/// The most packets on the way at a time, whatever the configuration.
const ON_THE_WAY: usize = 65_536;

/// What one direction of a link does to its packets.
///
/// The default is a perfect wire: nothing is lost and nothing takes time. Chances go from 0 to 1
/// and are independent of each other and of the packets before.
///
/// ```
/// use brooklet_sim::LinkConfig;
/// use std::time::Duration;
///
/// // 20 Mbit/s, 10 ms one way, a queue of 50 packets and a loss of 1 %.
/// let dsl = LinkConfig::new()
///     .delay(Duration::from_millis(10))
///     .rate(Some(20_000_000))
///     .queue(50)
///     .loss(0.01);
/// # let _ = dsl;
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct LinkConfig {
    /// How long a packet is on its way, one way.
    pub delay: Duration,
    /// Up to so much is added to the delay, another amount for each packet. Packets stay in their
    /// order all the same: one that would overtake another arrives together with it.
    pub jitter: Duration,
    /// The chance that a packet is lost.
    pub loss: f64,
    /// The chance that a packet arrives twice.
    pub duplicate: f64,
    /// The chance that a packet is held back on its way, so that later ones overtake it.
    pub reorder: f64,
    /// How much longer a packet that is held back takes. Default 2 ms.
    pub reorder_delay: Duration,
    /// The chance that one bit of a packet is turned round.
    pub corrupt: f64,
    /// Bits per second, counted in IP packets; `None` is no limit.
    pub rate: Option<u64>,
    /// Packets that may wait for their turn where there is a [`rate`](Self::rate), beside the one
    /// that is being sent; one more is dropped. Default 1,000.
    pub queue: usize,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
            reorder_delay: Duration::from_millis(2),
            corrupt: 0.0,
            rate: None,
            queue: 1000,
        }
    }
}

impl LinkConfig {
    /// Returns the defaults: a perfect wire.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`delay`](Self#structfield.delay).
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Sets [`jitter`](Self#structfield.jitter).
    #[must_use]
    pub fn jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
        self
    }

    /// Sets [`loss`](Self#structfield.loss).
    #[must_use]
    pub fn loss(mut self, loss: f64) -> Self {
        self.loss = loss;
        self
    }

    /// Sets [`duplicate`](Self#structfield.duplicate).
    #[must_use]
    pub fn duplicate(mut self, duplicate: f64) -> Self {
        self.duplicate = duplicate;
        self
    }

    /// Sets [`reorder`](Self#structfield.reorder).
    #[must_use]
    pub fn reorder(mut self, reorder: f64) -> Self {
        self.reorder = reorder;
        self
    }

    /// Sets [`reorder_delay`](Self#structfield.reorder_delay).
    #[must_use]
    pub fn reorder_delay(mut self, reorder_delay: Duration) -> Self {
        self.reorder_delay = reorder_delay;
        self
    }

    /// Sets [`corrupt`](Self#structfield.corrupt).
    #[must_use]
    pub fn corrupt(mut self, corrupt: f64) -> Self {
        self.corrupt = corrupt;
        self
    }

    /// Sets [`rate`](Self#structfield.rate).
    #[must_use]
    pub fn rate(mut self, rate: Option<u64>) -> Self {
        self.rate = rate;
        self
    }

    /// Sets [`queue`](Self#structfield.queue).
    #[must_use]
    pub fn queue(mut self, queue: usize) -> Self {
        self.queue = queue;
        self
    }
}

/// What happened to the packets of one direction so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkStats {
    /// Packets that were sent into it.
    pub sent: u64,
    /// Packets that were lost, by chance or by [`Link::lose_if`](crate::Link::lose_if).
    pub lost: u64,
    /// Packets that found the queue full. More than 65,536 on the way at a time count here too.
    pub queue_full: u64,
    /// Packets that were doubled.
    pub duplicated: u64,
    /// Packets that were held back.
    pub reordered: u64,
    /// Packets with a bit turned round.
    pub corrupted: u64,
    /// Packets that arrived.
    pub delivered: u64,
    /// Bytes that arrived.
    pub delivered_bytes: u64,
}

/// What becomes of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkOutcome {
    /// It is on its way. `copies` is 2 for one that was doubled.
    Sent {
        /// How many will arrive.
        copies: u8,
        /// Whether it is held back.
        held: bool,
        /// Whether it has a wrong bit.
        corrupted: bool,
    },
    /// It is lost.
    Lost,
    /// The queue was full.
    QueueFull,
}

/// One direction of a link, told the time: packets go in, and come out when they have arrived.
///
/// This is the model behind [`Link`](crate::Link), for programs that have a clock and devices of
/// their own, such as one that puts it between two real interfaces.
///
/// ```
/// use brooklet_sim::{Channel, LinkConfig};
/// use std::time::{Duration, Instant};
///
/// let delay = Duration::from_millis(10);
/// let mut channel = Channel::new(1, LinkConfig::new().delay(delay));
/// let now = Instant::now();
/// channel.send(now, b"a packet");
/// assert_eq!(channel.receive(now), None);
/// assert_eq!(channel.next_arrival(), Some(now + delay));
/// assert_eq!(channel.receive(now + delay).as_deref(), Some(&b"a packet"[..]));
/// ```
#[derive(Debug)]
pub struct Channel {
    config: LinkConfig,
    random: Random,
    stats: LinkStats,
    flights: BinaryHeap<Reverse<Flight>>,
    number: u64,
    /// When the packets that wait for the rate will have been sent; the last is when the next
    /// may begin.
    leaving: VecDeque<Instant>,
    /// No packet that keeps its order arrives before this.
    last_arrival: Option<Instant>,
}

/// A packet on its way. The number keeps those that arrive together in order.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Flight {
    at: Instant,
    number: u64,
    packet: Vec<u8>,
}

impl Channel {
    /// Makes a channel. The same packets at the same times meet the same fate with the same seed.
    pub fn new(seed: u64, config: LinkConfig) -> Self {
        Self {
            config,
            random: Random::new(seed),
            stats: LinkStats::default(),
            flights: BinaryHeap::new(),
            number: 0,
            leaving: VecDeque::new(),
            last_arrival: None,
        }
    }

    /// Changes what happens to packets from now on. Those on the way stay as they are.
    pub fn configure(&mut self, config: LinkConfig) {
        self.config = config;
    }

    /// What happened so far.
    pub fn stats(&self) -> LinkStats {
        self.stats
    }

    /// Sends a packet at `now`, which must not go backwards, and says what becomes of it.
    pub fn send(&mut self, now: Instant, packet: &[u8]) -> LinkOutcome {
        self.send_unless(false, now, packet)
    }

    /// Sends a packet, or loses it for sure.
    pub(crate) fn send_unless(&mut self, lost: bool, now: Instant, packet: &[u8]) -> LinkOutcome {
        let LinkConfig {
            delay,
            jitter,
            loss,
            duplicate,
            reorder,
            reorder_delay,
            corrupt,
            ..
        } = self.config;
        self.stats.sent += 1;
        // Each packet draws the same numbers whatever becomes of it, so that a change of one
        // chance leaves what the others do as it is.
        let lost = self.random.fraction() < loss || lost;
        let doubled = self.random.fraction() < duplicate;
        let held = self.random.fraction() < reorder;
        let corrupted = self.random.fraction() < corrupt && !packet.is_empty();
        let jitter = jitter.mul_f64(self.random.fraction());
        let bit = self.random.draw();
        if lost {
            self.stats.lost += 1;
            return LinkOutcome::Lost;
        }
        let mut packet = packet.to_vec();
        if corrupted {
            let bit = bit as usize % (packet.len() * 8);
            packet[bit / 8] ^= 1 << (bit % 8);
        }
        let mut copies = 0;
        for _ in 0..if doubled { 2 } else { 1 } {
            let Some(left) = self.leave(now, packet.len()) else {
                break;
            };
            let mut at = left + delay + jitter;
            if held {
                at += reorder_delay;
            } else {
                at = self.last_arrival.map_or(at, |last| last.max(at));
                self.last_arrival = Some(at);
            }
            copies += 1;
            self.number += 1;
            self.flights.push(Reverse(Flight {
                at,
                number: self.number,
                packet: packet.clone(),
            }));
        }
        if copies == 0 {
            self.stats.queue_full += 1;
            return LinkOutcome::QueueFull;
        }
        self.stats.duplicated += u64::from(copies == 2);
        self.stats.reordered += u64::from(held);
        self.stats.corrupted += u64::from(corrupted);
        LinkOutcome::Sent {
            copies,
            held,
            corrupted,
        }
    }

    /// Takes a packet that has arrived by `now`.
    pub fn receive(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.next_arrival().filter(|at| *at <= now)?;
        let Reverse(flight) = self.flights.pop()?;
        self.stats.delivered += 1;
        self.stats.delivered_bytes += flight.packet.len() as u64;
        Some(flight.packet)
    }

    /// When the next packet arrives.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.flights.peek().map(|Reverse(flight)| flight.at)
    }

    /// When a packet of `len` bytes will have passed the bottleneck; `None` if its queue is full.
    fn leave(&mut self, now: Instant, len: usize) -> Option<Instant> {
        if self.flights.len() >= ON_THE_WAY {
            return None;
        }
        let Some(rate) = self.config.rate else {
            return Some(now);
        };
        while self.leaving.front().is_some_and(|left| *left <= now) {
            self.leaving.pop_front();
        }
        if self.leaving.len() > self.config.queue {
            return None;
        }
        // A packet of 64 KiB has fewer than 2^50 of these units.
        let nanos = len as u64 * 8 * 1_000_000_000 / rate.max(1);
        let begin = self.leaving.back().copied().unwrap_or(now);
        let left = begin + Duration::from_nanos(nanos);
        self.leaving.push_back(left);
        Some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VirtualTime;

    const MS: Duration = Duration::from_millis(1);

    /// What arrives, and when, of `count` packets of 1,250 bytes sent at one moment.
    fn burst(seed: u64, config: LinkConfig, count: u32) -> (Vec<(Duration, u32)>, LinkStats) {
        let mut channel = Channel::new(seed, config);
        let start = VirtualTime::new().now();
        for n in 0..count {
            let mut packet = vec![0; 1250];
            packet[..4].copy_from_slice(&n.to_be_bytes());
            channel.send(start, &packet);
        }
        let mut arrived = Vec::new();
        while let Some(at) = channel.next_arrival() {
            let packet = channel.receive(at).unwrap();
            let n = u32::from_be_bytes(packet[..4].try_into().unwrap());
            arrived.push((at - start, n));
        }
        (arrived, channel.stats())
    }

    #[test]
    fn a_rate_spaces_packets_and_its_queue_is_as_long_as_it_says() {
        let config = LinkConfig {
            delay: 10 * MS,
            rate: Some(10_000_000), // 1,250 bytes in 1 ms
            queue: 3,
            ..LinkConfig::default()
        };
        let (arrived, stats) = burst(1, config, 10);
        assert_eq!(
            arrived,
            [(11 * MS, 0), (12 * MS, 1), (13 * MS, 2), (14 * MS, 3)]
        );
        assert_eq!((stats.queue_full, stats.delivered), (6, 4));
    }

    #[test]
    fn a_queue_empties_as_time_passes() {
        let config = LinkConfig {
            rate: Some(10_000_000),
            queue: 0,
            ..LinkConfig::default()
        };
        let mut channel = Channel::new(1, config);
        let start = VirtualTime::new().now();
        assert_ne!(channel.send(start, &[0; 1250]), LinkOutcome::QueueFull);
        assert_eq!(channel.send(start, &[0; 1250]), LinkOutcome::QueueFull);
        assert_ne!(channel.send(start + MS, &[0; 1250]), LinkOutcome::QueueFull);
        assert_eq!(channel.next_arrival(), Some(start + MS));
    }

    #[test]
    fn chances_are_met_and_a_seed_is_a_run() {
        let config = LinkConfig {
            loss: 0.05,
            duplicate: 0.02,
            reorder: 0.1,
            ..LinkConfig::default()
        };
        let (arrived, stats) = burst(7, config, 10_000);
        assert!((400..600).contains(&stats.lost), "{stats:?}");
        assert!((150..250).contains(&stats.duplicated), "{stats:?}");
        assert!((850..1050).contains(&stats.reordered), "{stats:?}");
        assert_eq!(stats.delivered, 10_000 - stats.lost + stats.duplicated);
        let late = arrived
            .iter()
            .filter(|(at, _)| *at == config.reorder_delay)
            .count();
        let at_once = arrived.iter().filter(|(at, _)| at.is_zero()).count();
        assert_eq!(late + at_once, arrived.len());
        // Doubles of those that are held back are held back as well.
        assert!((stats.reordered..1100).contains(&(late as u64)), "{late}");
        assert_eq!((arrived.clone(), stats), burst(7, config, 10_000));
        assert_ne!(arrived, burst(8, config, 10_000).0);
    }

    #[test]
    fn jitter_keeps_the_order() {
        let config = LinkConfig {
            jitter: 5 * MS,
            ..LinkConfig::default()
        };
        let (arrived, _) = burst(1, config, 100);
        assert!(arrived.iter().map(|(_, n)| *n).eq(0..100));
        assert!(arrived.iter().all(|(at, _)| *at <= 5 * MS));
        assert!(arrived.last().unwrap().0 > 4 * MS);
    }

    #[test]
    fn one_bit_is_turned_round() {
        let config = LinkConfig {
            corrupt: 1.0,
            ..LinkConfig::default()
        };
        let mut channel = Channel::new(1, config);
        let now = VirtualTime::new().now();
        for _ in 0..100 {
            channel.send(now, &[0; 20]);
            let packet = channel.receive(now).unwrap();
            assert_eq!(packet.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
        }
    }
}
