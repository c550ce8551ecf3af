//! The impairments of a link.

use std::time::Duration;

/// The impairments of one direction of a link.
///
/// The default is a perfect link: no loss, no delay, no limit of the rate. Probabilities go from 0
/// to 1. They are independent of each other and of earlier packets.
///
/// A packet passes the impairments in this order: loss [before the queue](LossPoint::BeforeQueue),
/// duplication, the queue, the bottleneck, loss
/// [behind the bottleneck](LossPoint::BehindBottleneck), and the delay.
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
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
#[non_exhaustive]
pub struct LinkConfig {
    /// The delay of every packet, one way. Default 0.
    pub delay: Duration,
    /// The largest random addition to the delay, drawn for each packet. Default 0. Jitter does not
    /// reorder packets: a packet that would overtake another arrives together with that one.
    pub jitter: Duration,
    /// The probability that a packet is lost. Default 0.
    pub loss: f64,
    /// Where packets are lost. Default [`LossPoint::BeforeQueue`].
    pub loss_point: LossPoint,
    /// The probability that a packet is duplicated. Default 0. Each copy takes its place in the
    /// queue and its time on the bottleneck. A lost packet is not duplicated.
    pub duplicate: f64,
    /// The probability that a packet is delayed by [`reorder_delay`](Self::reorder_delay), so that
    /// later packets overtake it. Default 0.
    pub reorder: f64,
    /// The additional delay of a reordered packet. Default 2 ms.
    pub reorder_delay: Duration,
    /// The probability that one bit of a packet is inverted. Default 0.
    pub corrupt: f64,
    /// The rate of the bottleneck in bits per second, counted in IP packets. Default `None`, no
    /// limit. A rate of 0 counts as 1.
    pub rate: Option<u64>,
    /// The length of the queue before the bottleneck in packets, without the packet that is being
    /// sent. Default 1,000. A packet that finds the queue full is dropped. Without a
    /// [`rate`](Self::rate) there is no queue.
    pub queue: usize,
}

/// Where a link loses packets.
///
/// ```
/// use brooklet_sim::{Channel, LinkConfig, LossPoint};
/// use std::time::{Duration, Instant};
///
/// // 1,250 bytes take 1 ms.
/// let config = LinkConfig::new().rate(Some(10_000_000)).loss_point(LossPoint::BehindBottleneck);
/// let mut channel = Channel::new(1, config.loss(1.0));
/// let now = Instant::now();
/// channel.send(now, &[0; 1250]); // lost, after 1 ms of the bottleneck's time
/// channel.configure(config);
/// channel.send(now, &[0; 1250]);
/// assert_eq!(channel.next_arrival(), Some(now + Duration::from_millis(2)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum LossPoint {
    /// Before the queue of the bottleneck, like `loss` of Linux's netem: a lost packet takes no
    /// place in the queue and no time on the bottleneck.
    #[default]
    BeforeQueue,
    /// Behind the bottleneck, like a lossy radio link: a lost packet takes its place in the queue
    /// and its time on the bottleneck. A packet that finds the queue full counts as
    /// [`queue_full`](crate::LinkStats::queue_full) and not as lost.
    BehindBottleneck,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0.0,
            loss_point: LossPoint::BeforeQueue,
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
    /// Returns the defaults: a perfect link.
    ///
    /// ```
    /// # use brooklet_sim::LinkConfig;
    /// assert_eq!(LinkConfig::new(), LinkConfig::default());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`delay`](Self#structfield.delay).
    ///
    /// ```
    /// # use brooklet_sim::LinkConfig;
    /// # use std::time::Duration;
    /// let config = LinkConfig::new().delay(Duration::from_millis(30));
    /// assert_eq!(config.delay.as_millis(), 30);
    /// ```
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Sets [`jitter`](Self#structfield.jitter).
    ///
    /// ```
    /// # use brooklet_sim::LinkConfig;
    /// # use std::time::Duration;
    /// let config = LinkConfig::new().jitter(Duration::from_millis(1));
    /// assert_eq!(config.jitter.as_millis(), 1);
    /// ```
    #[must_use]
    pub fn jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
        self
    }

    /// Sets [`loss`](Self#structfield.loss).
    ///
    /// ```
    /// # use brooklet_sim::LinkConfig;
    /// assert_eq!(LinkConfig::new().loss(0.02).loss, 0.02);
    /// ```
    #[must_use]
    pub fn loss(mut self, loss: f64) -> Self {
        self.loss = loss;
        self
    }

    /// Sets [`loss_point`](Self#structfield.loss_point).
    ///
    /// ```
    /// # use brooklet_sim::{LinkConfig, LossPoint};
    /// let config = LinkConfig::new().loss(0.02).loss_point(LossPoint::BehindBottleneck);
    /// assert_eq!(config.loss_point, LossPoint::BehindBottleneck);
    /// ```
    #[must_use]
    pub fn loss_point(mut self, loss_point: LossPoint) -> Self {
        self.loss_point = loss_point;
        self
    }

    /// Sets [`duplicate`](Self#structfield.duplicate).
    ///
    /// ```
    /// # use brooklet_sim::LinkConfig;
    /// assert_eq!(LinkConfig::new().duplicate(0.01).duplicate, 0.01);
    /// ```
    #[must_use]
    pub fn duplicate(mut self, duplicate: f64) -> Self {
        self.duplicate = duplicate;
        self
    }

    /// Sets [`reorder`](Self#structfield.reorder).
    ///
    /// ```
    /// # use brooklet_sim::LinkConfig;
    /// assert_eq!(LinkConfig::new().reorder(0.1).reorder, 0.1);
    /// ```
    #[must_use]
    pub fn reorder(mut self, reorder: f64) -> Self {
        self.reorder = reorder;
        self
    }

    /// Sets [`reorder_delay`](Self#structfield.reorder_delay).
    ///
    /// ```
    /// # use brooklet_sim::LinkConfig;
    /// # use std::time::Duration;
    /// let config = LinkConfig::new().reorder(0.1).reorder_delay(Duration::from_millis(20));
    /// assert_eq!(config.reorder_delay.as_millis(), 20);
    /// ```
    #[must_use]
    pub fn reorder_delay(mut self, reorder_delay: Duration) -> Self {
        self.reorder_delay = reorder_delay;
        self
    }

    /// Sets [`corrupt`](Self#structfield.corrupt).
    ///
    /// ```
    /// # use brooklet_sim::LinkConfig;
    /// assert_eq!(LinkConfig::new().corrupt(0.001).corrupt, 0.001);
    /// ```
    #[must_use]
    pub fn corrupt(mut self, corrupt: f64) -> Self {
        self.corrupt = corrupt;
        self
    }

    /// Sets [`rate`](Self#structfield.rate).
    ///
    /// ```
    /// # use brooklet_sim::LinkConfig;
    /// assert_eq!(LinkConfig::new().rate(Some(1_000_000)).rate, Some(1_000_000));
    /// ```
    #[must_use]
    pub fn rate(mut self, rate: Option<u64>) -> Self {
        self.rate = rate;
        self
    }

    /// Sets [`queue`](Self#structfield.queue).
    ///
    /// ```
    /// # use brooklet_sim::LinkConfig;
    /// assert_eq!(LinkConfig::new().queue(20).queue, 20);
    /// ```
    #[must_use]
    pub fn queue(mut self, queue: usize) -> Self {
        self.queue = queue;
        self
    }
}
