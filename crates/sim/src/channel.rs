//! One direction of a link.

use crate::random::Random;
use crate::{LinkConfig, LossPoint};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

/// The most packets in the queue, and the most in flight, whatever the configuration.
const MAX_PACKETS: usize = 65_536;

/// The counters of one direction of a link.
///
/// ```
/// use brooklet_sim::{Channel, LinkConfig, LinkStats};
/// use std::time::Instant;
///
/// let mut channel = Channel::new(1, LinkConfig::new().loss(1.0));
/// channel.send(Instant::now(), b"a packet");
/// let LinkStats { sent, lost, delivered, .. } = channel.stats();
/// assert_eq!((sent, lost, delivered), (1, 1, 0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default)
)]
#[non_exhaustive]
pub struct LinkStats {
    /// Packets sent into the link.
    pub sent: u64,
    /// Packets lost: at random, by [`Link::lose_if`](crate::Link::lose_if), or because the receiving
    /// end was dropped.
    pub lost: u64,
    /// Packets dropped because the queue was full, or because 65,536 packets were in flight.
    pub queue_full: u64,
    /// Packets duplicated.
    pub duplicated: u64,
    /// Packets delayed so that later packets overtake them.
    pub reordered: u64,
    /// Packets with an inverted bit.
    pub corrupted: u64,
    /// Packets delivered.
    pub delivered: u64,
    /// Bytes delivered.
    pub delivered_bytes: u64,
}

/// The outcome of sending one packet into a link.
///
/// ```
/// use brooklet_sim::{Channel, LinkConfig, LinkOutcome};
/// use std::time::Instant;
///
/// let mut channel = Channel::new(1, LinkConfig::new());
/// let outcome = channel.send(Instant::now(), b"a packet");
/// assert!(matches!(outcome, LinkOutcome::Sent { copies: 1, reordered: false, .. }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum LinkOutcome {
    /// The packet is in flight.
    Sent {
        /// The number of copies in flight: 2 for a duplicated packet.
        copies: u8,
        /// Whether the packet is delayed so that later packets overtake it.
        reordered: bool,
        /// Whether a bit is inverted.
        corrupted: bool,
    },
    /// The packet is lost.
    Lost,
    /// The queue was full.
    QueueFull,
}

/// One direction of a link, without a clock: every call has the time as an argument.
///
/// A [`Link`](crate::Link) is two channels. A channel alone is for programs with a clock and devices
/// of their own, such as a program that forwards packets between two interfaces.
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
    in_flight: BinaryHeap<Reverse<InFlight>>,
    number: u64,
    /// When each packet in the queue will have passed the bottleneck. The next packet follows the
    /// last one.
    queue: VecDeque<Instant>,
    /// Packets that are not reordered do not arrive before this time.
    last_arrival: Option<Instant>,
}

/// A packet in flight. The number keeps packets with the same arrival time in order.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct InFlight {
    at: Instant,
    number: u64,
    packet: Vec<u8>,
}

impl Channel {
    /// Returns a channel. The same packets at the same times have the same outcome with the same
    /// seed.
    ///
    /// ```
    /// use brooklet_sim::{Channel, LinkConfig};
    /// use std::time::Instant;
    ///
    /// let (config, now) = (LinkConfig::new().loss(0.5), Instant::now());
    /// let [mut one, mut other] = [7, 7].map(|seed| Channel::new(seed, config));
    /// for _ in 0..100 {
    ///     assert_eq!(one.send(now, b"a packet"), other.send(now, b"a packet"));
    /// }
    /// ```
    pub fn new(seed: u64, config: LinkConfig) -> Self {
        Self {
            config,
            random: Random::new(seed),
            stats: LinkStats::default(),
            in_flight: BinaryHeap::new(),
            number: 0,
            queue: VecDeque::new(),
            last_arrival: None,
        }
    }

    /// Changes the configuration for the packets that are sent from now on.
    ///
    /// ```
    /// use brooklet_sim::{Channel, LinkConfig, LinkOutcome};
    /// use std::time::Instant;
    ///
    /// let mut channel = Channel::new(1, LinkConfig::new());
    /// channel.configure(LinkConfig::new().loss(1.0));
    /// assert_eq!(channel.send(Instant::now(), b"a packet"), LinkOutcome::Lost);
    /// ```
    pub fn configure(&mut self, config: LinkConfig) {
        self.config = config;
    }

    /// Returns the counters.
    ///
    /// ```
    /// # use brooklet_sim::{Channel, LinkConfig};
    /// assert_eq!(Channel::new(1, LinkConfig::new()).stats().sent, 0);
    /// ```
    pub fn stats(&self) -> LinkStats {
        self.stats
    }

    /// Sends a packet at `now`, which must not go backwards, and returns the outcome.
    ///
    /// ```
    /// use brooklet_sim::{Channel, LinkConfig, LinkOutcome};
    /// use std::time::Instant;
    ///
    /// // One packet is sent, none may wait.
    /// let mut channel = Channel::new(1, LinkConfig::new().rate(Some(1_000_000)).queue(0));
    /// let now = Instant::now();
    /// assert!(matches!(channel.send(now, &[0; 1000]), LinkOutcome::Sent { .. }));
    /// assert_eq!(channel.send(now, &[0; 1000]), LinkOutcome::QueueFull);
    /// ```
    pub fn send(&mut self, now: Instant, packet: &[u8]) -> LinkOutcome {
        self.send_unless(false, now, packet)
    }

    /// Sends a packet, which is lost at least if `lost`.
    pub(crate) fn send_unless(&mut self, lost: bool, now: Instant, packet: &[u8]) -> LinkOutcome {
        let LinkConfig {
            delay,
            jitter,
            loss,
            loss_point,
            duplicate,
            reorder,
            reorder_delay,
            corrupt,
            ..
        } = self.config;
        self.stats.sent += 1;
        // Every packet draws the same numbers, whatever its outcome: a change of one probability
        // does not change the draws of the others.
        let lost = self.random.fraction() < loss || lost;
        let duplicated = self.random.fraction() < duplicate;
        let reordered = self.random.fraction() < reorder;
        let corrupted = self.random.fraction() < corrupt && !packet.is_empty();
        let jitter = jitter.mul_f64(self.random.fraction());
        let bit = self.random.draw();
        if lost {
            return self.lose(loss_point, now, packet.len());
        }
        let mut packet = packet.to_vec();
        if corrupted {
            let bit = bit as usize % (packet.len() * 8);
            packet[bit / 8] ^= 1 << (bit % 8);
        }
        let mut copies = 0;
        for _ in 0..if duplicated { 2 } else { 1 } {
            let Some(sent) = self.enqueue(now, packet.len()) else {
                break;
            };
            let mut at = sent + delay + jitter;
            if reordered {
                at += reorder_delay;
            } else {
                at = self.last_arrival.map_or(at, |last| last.max(at));
                self.last_arrival = Some(at);
            }
            copies += 1;
            self.number += 1;
            self.in_flight.push(Reverse(InFlight {
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
        self.stats.reordered += u64::from(reordered);
        self.stats.corrupted += u64::from(corrupted);
        LinkOutcome::Sent {
            copies,
            reordered,
            corrupted,
        }
    }

    fn lose(&mut self, point: LossPoint, now: Instant, len: usize) -> LinkOutcome {
        if point == LossPoint::BehindBottleneck && self.enqueue(now, len).is_none() {
            self.stats.queue_full += 1;
            return LinkOutcome::QueueFull;
        }
        self.stats.lost += 1;
        LinkOutcome::Lost
    }

    /// Returns a packet that has arrived by `now`.
    ///
    /// ```
    /// use brooklet_sim::{Channel, LinkConfig};
    /// use std::time::Instant;
    ///
    /// let mut channel = Channel::new(1, LinkConfig::new());
    /// let now = Instant::now();
    /// channel.send(now, b"one");
    /// channel.send(now, b"two");
    /// assert_eq!(channel.receive(now).as_deref(), Some(&b"one"[..]));
    /// assert_eq!(channel.receive(now).as_deref(), Some(&b"two"[..]));
    /// assert_eq!(channel.receive(now), None);
    /// ```
    pub fn receive(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.next_arrival().filter(|at| *at <= now)?;
        let Reverse(arrived) = self.in_flight.pop()?;
        self.stats.delivered += 1;
        self.stats.delivered_bytes += arrived.packet.len() as u64;
        Some(arrived.packet)
    }

    /// Returns when the next packet arrives, or `None` if no packet is in flight.
    ///
    /// ```
    /// # use brooklet_sim::{Channel, LinkConfig};
    /// assert_eq!(Channel::new(1, LinkConfig::new()).next_arrival(), None);
    /// ```
    pub fn next_arrival(&self) -> Option<Instant> {
        self.in_flight.peek().map(|Reverse(next)| next.at)
    }

    /// Loses the packets in flight.
    pub(crate) fn lose_in_flight(&mut self) {
        self.stats.lost += self.in_flight.len() as u64;
        self.in_flight.clear();
    }

    /// Returns when a packet of `len` bytes will have passed the bottleneck, or `None` if the queue
    /// is full.
    fn enqueue(&mut self, now: Instant, len: usize) -> Option<Instant> {
        if self.in_flight.len() >= MAX_PACKETS {
            return None;
        }
        let Some(rate) = self.config.rate else {
            return Some(now);
        };
        while self.queue.front().is_some_and(|sent| *sent <= now) {
            self.queue.pop_front();
        }
        // The first packet in the queue is being sent.
        if self.queue.len() > self.config.queue.min(MAX_PACKETS) {
            return None;
        }
        // The product is below 2^50 for a packet of 64 KiB.
        let nanos = len as u64 * 8 * 1_000_000_000 / rate.max(1);
        let begin = self.queue.back().copied().unwrap_or(now);
        let sent = begin + Duration::from_nanos(nanos);
        self.queue.push_back(sent);
        Some(sent)
    }
}

#[cfg(test)]
mod tests;
