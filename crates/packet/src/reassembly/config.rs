//! The limits and the counters of the reassembly.

use std::time::Duration;

/// The limits of a [`Reassembler`](super::Reassembler).
///
/// ```
/// use brooklet_packet::reassembly::Config;
///
/// let config = Config::new().packets(16);
/// assert_eq!(config.bytes, 1 << 20);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
#[non_exhaustive]
pub struct Config {
    /// The most bytes held. Default 1 MiB. A fragment counts 96 bytes beside its payload, and an
    /// incomplete packet counts 256 bytes. When the limit is reached, the oldest incomplete packet
    /// is dropped. Below 80,000 bytes the longest packets are never reassembled.
    pub bytes: usize,
    /// The most incomplete packets. Default 64, at least 1. When the limit is reached, the oldest is
    /// dropped.
    pub packets: usize,
    /// The most incomplete packets of one source, an IPv4 address or an IPv6 /64
    /// ([`SourcePrefix`](crate::SourcePrefix)). Default 16, at least 1. When the limit is reached,
    /// the oldest of that source is dropped.
    pub per_source: usize,
    /// The time from the first fragment until the packet has to be complete. Default 15 s, which
    /// RFC 791, 3.2 proposes. RFC 8200, 4.5 and RFC 1122, 3.3.2 have 60 s, for networks; on a TUN
    /// device the fragments of a packet follow each other at once.
    pub lifetime: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bytes: 1 << 20,
            packets: 64,
            per_source: 16,
            lifetime: Duration::from_secs(15),
        }
    }
}

impl Config {
    /// Returns the defaults.
    ///
    /// ```
    /// # use brooklet_packet::reassembly::Config;
    /// assert_eq!(Config::new(), Config::default());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`bytes`](Self#structfield.bytes).
    ///
    /// ```
    /// # use brooklet_packet::reassembly::Config;
    /// assert_eq!(Config::new().bytes(1 << 17).bytes, 131_072);
    /// ```
    #[must_use]
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// Sets [`packets`](Self#structfield.packets).
    ///
    /// ```
    /// # use brooklet_packet::reassembly::Config;
    /// assert_eq!(Config::new().packets(8).packets, 8);
    /// ```
    #[must_use]
    pub fn packets(mut self, packets: usize) -> Self {
        self.packets = packets;
        self
    }

    /// Sets [`per_source`](Self#structfield.per_source).
    ///
    /// ```
    /// # use brooklet_packet::reassembly::Config;
    /// assert_eq!(Config::new().per_source(4).per_source, 4);
    /// ```
    #[must_use]
    pub fn per_source(mut self, per_source: usize) -> Self {
        self.per_source = per_source;
        self
    }

    /// Sets [`lifetime`](Self#structfield.lifetime).
    ///
    /// ```
    /// # use brooklet_packet::reassembly::Config;
    /// # use std::time::Duration;
    /// let config = Config::new().lifetime(Duration::from_secs(60));
    /// assert_eq!(config.lifetime.as_secs(), 60);
    /// ```
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }
}

/// The counters of a [`Reassembler`](super::Reassembler).
///
/// Every fragment counts in [`fragments`](Self::fragments) and in one of the fields for used, held
/// and dropped fragments.
///
/// ```
/// use brooklet_packet::reassembly::{Config, Reassembler, Stats};
///
/// let Stats { fragments, packets, .. } = Reassembler::new(Config::new()).stats();
/// assert_eq!((fragments, packets), (0, 0));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default)
)]
#[non_exhaustive]
pub struct Stats {
    /// Fragments received.
    pub fragments: u64,
    /// Packets reassembled.
    pub packets: u64,
    /// Fragments of reassembled packets.
    pub used: u64,
    /// Incomplete packets held.
    pub queued_packets: u64,
    /// Fragments held.
    pub queued_fragments: u64,
    /// Bytes held, as [`Config::bytes`] counts them.
    pub queued_bytes: u64,
    /// Fragments dropped because no packet can have them: empty, beyond 65,535 bytes, or not the
    /// last one and not a multiple of 8 bytes long.
    pub invalid: u64,
    /// Fragments dropped as exact duplicates.
    pub duplicates: u64,
    /// Fragments dropped, with all other fragments of their packet, because they overlap (RFC 5722,
    /// 4), disagree about the end of the packet, or are more than 128.
    pub conflicts: u64,
    /// Fragments dropped because a limit was reached.
    pub full: u64,
    /// Fragments dropped because their packet was not complete in time.
    pub expired: u64,
}
