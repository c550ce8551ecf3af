use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The reason for which an [`Ethernet`](crate::Ethernet) drops a frame or a packet.
///
/// ```
/// use brooklet_ethernet::DropReason;
///
/// assert_eq!(DropReason::Runt.to_string(), "runt frame");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// A received frame is shorter than its header.
    Runt,
    /// A received frame is longer than the MTU and the header.
    Giant,
    /// A received frame is tagged for a VLAN other than 0 (IEEE 802.1Q).
    Vlan,
    /// A received frame carries neither IPv4, IPv6 nor ARP.
    UnknownProtocol,
    /// A received frame is for another MAC address.
    OtherDestination,
    /// The source of a received frame is a group address, or the adapter's own: a loop.
    InvalidSource,
    /// A received message of ARP or neighbor discovery, or the IP header of a received packet,
    /// breaks its format or the rules of RFC 4861, 6.1 and 7.1.
    Malformed,
    /// A packet of IPv4 for one host was received in a broadcast or multicast frame (RFC 1122,
    /// 3.3.6).
    UnicastInBroadcast,
    /// A received message of ARP or neighbor discovery asks for an address that is not here, or
    /// needs no answer.
    Unanswered,
    /// A received message claims an address of the adapter for another MAC address.
    Conflict,
    /// A received message changes the MAC address of a neighbor whose entry changed less than a
    /// second ago.
    Flapping,
    /// A packet to send is neither IPv4 nor IPv6.
    NotIp,
    /// A packet to send is longer than the MTU.
    TooLong,
    /// The queue of packets for a neighbor that is being resolved was full: the oldest packet was
    /// dropped, or the newest if no other packet of that neighbor was queued.
    QueueFull,
    /// The neighbor did not answer three requests.
    Unresolved,
    /// The neighbor was removed from the full table while packets waited for it.
    Evicted,
    /// The queue of messages of ARP and neighbor discovery was full.
    ControlQueueFull,
}

impl DropReason {
    /// All reasons.
    ///
    /// ```
    /// use brooklet_ethernet::DropReason;
    ///
    /// for reason in DropReason::ALL {
    ///     println!("{reason}");
    /// }
    /// ```
    pub const ALL: [Self; 17] = [
        Self::Runt,
        Self::Giant,
        Self::Vlan,
        Self::UnknownProtocol,
        Self::OtherDestination,
        Self::InvalidSource,
        Self::Malformed,
        Self::UnicastInBroadcast,
        Self::Unanswered,
        Self::Conflict,
        Self::Flapping,
        Self::NotIp,
        Self::TooLong,
        Self::QueueFull,
        Self::Unresolved,
        Self::Evicted,
        Self::ControlQueueFull,
    ];
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Runt => "runt frame",
            Self::Giant => "giant frame",
            Self::Vlan => "frame of a VLAN",
            Self::UnknownProtocol => "unknown EtherType",
            Self::OtherDestination => "frame for another MAC address",
            Self::InvalidSource => "invalid source MAC address",
            Self::Malformed => "malformed",
            Self::UnicastInBroadcast => "unicast packet in a broadcast frame",
            Self::Unanswered => "message without an answer",
            Self::Conflict => "address conflict",
            Self::Flapping => "neighbor that changes too often",
            Self::NotIp => "neither IPv4 nor IPv6",
            Self::TooLong => "longer than the MTU",
            Self::QueueFull => "queue of an unresolved neighbor full",
            Self::Unresolved => "neighbor unresolved",
            Self::Evicted => "neighbor evicted from the full table",
            Self::ControlQueueFull => "queue of control messages full",
        })
    }
}

/// Counts the frames and packets that an [`Ethernet`](crate::Ethernet) has dropped, by reason. The
/// counter outlives the adapter.
///
/// ```
/// use brooklet_ethernet::{DropCounter, DropReason};
///
/// fn report(drops: &DropCounter) {
///     for reason in DropReason::ALL {
///         println!("{reason}: {}", drops.get(reason));
///     }
/// }
/// # report(&DropCounter::default());
/// ```
#[derive(Clone, Debug, Default)]
pub struct DropCounter(Arc<[AtomicU64; DropReason::ALL.len()]>);

impl DropCounter {
    /// Returns the number of frames and packets dropped so far for `reason`.
    #[must_use]
    pub fn get(&self, reason: DropReason) -> u64 {
        self.0[reason as usize].load(Ordering::Relaxed)
    }

    /// Returns the number of frames and packets dropped so far, for every reason.
    ///
    /// ```
    /// # use brooklet_ethernet::DropCounter;
    /// assert_eq!(DropCounter::default().total(), 0);
    /// ```
    #[must_use]
    pub fn total(&self) -> u64 {
        let each = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        each.fold(0, u64::saturating_add)
    }

    pub(crate) fn add(&self, reason: DropReason) {
        self.add_many(reason, 1);
    }

    pub(crate) fn add_many(&self, reason: DropReason, count: usize) {
        // A usize fits 64 bits on every system that Rust supports.
        self.0[reason as usize].fetch_add(count as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_counter_of_its_own() {
        let drops = DropCounter::default();
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
            drops.add_many(reason, index);
        }
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(drops.get(reason), index as u64);
        }
        assert_eq!(drops.total(), (0..17).sum::<u64>());
    }
}
