//! Whether to read a queue of packets again after a packet.

use super::sync::{AtomicBool, AtomicU32, Ordering};

/// After this many reads that found one packet and then none, packets arrive one at a time.
const SINGLES: u32 = 4;

/// While packets arrive one at a time, one in this many is followed by another read.
const PROBE: u32 = 16;

/// A run of this many packets is a burst.
const BURST: u32 = 4;

/// Foretells whether another packet follows the one that was read.
///
/// In a burst it is cheaper to read until nothing is found: one read in vain for many packets. When
/// packets come one at a time, the read in vain costs as much as that of the packet, and the
/// `epoll_wait` that follows finds out as well. A wrong forecast costs a system call and no more.
///
/// One task reads as a rule, so the counters need no order among themselves.
#[derive(Debug, Default)]
pub(crate) struct Packets {
    /// Packets come one at a time.
    single: AtomicBool,
    /// Packets read since a read found nothing or was spared.
    run: AtomicU32,
    /// Runs of one packet in a row; while packets come one at a time, packets since the last probe.
    singles: AtomicU32,
    /// The next read is to be tried although the last one has found nothing.
    retry: AtomicBool,
}

impl Packets {
    /// Notes a packet, and returns whether the next read can be spared.
    pub(crate) fn read_one(&self) -> bool {
        let run = self.run.load(Ordering::Relaxed);
        self.run.store(run.saturating_add(1), Ordering::Relaxed);
        if !self.single.load(Ordering::Relaxed) {
            return false;
        }
        if run > 0 {
            // The probe has found a packet.
            self.single.store(false, Ordering::Relaxed);
            self.singles.store(0, Ordering::Relaxed);
            return false;
        }
        let since = self.singles.load(Ordering::Relaxed) + 1;
        if since == PROBE {
            self.singles.store(0, Ordering::Relaxed);
            return false;
        }
        self.singles.store(since, Ordering::Relaxed);
        self.run.store(0, Ordering::Relaxed);
        true
    }

    /// Returns whether a read is to be tried although nothing is known to have arrived: after a
    /// burst, and after the tasks that the burst woke, the next burst is likely to be there.
    pub(crate) fn take_retry(&self) -> bool {
        self.retry.load(Ordering::Relaxed) && self.retry.swap(false, Ordering::Relaxed)
    }

    /// Notes that a read has found nothing.
    pub(crate) fn found_nothing(&self) {
        let run = self.run.swap(0, Ordering::Relaxed);
        self.retry.store(run >= BURST, Ordering::Relaxed);
        if self.single.load(Ordering::Relaxed) {
            return;
        }
        let singles = match run {
            0 => return,
            1 => self.singles.load(Ordering::Relaxed) + 1,
            _ => 0,
        };
        let single = singles == SINGLES;
        self.single.store(single, Ordering::Relaxed);
        self.singles
            .store(if single { 0 } else { singles }, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads bursts of this many packets, and returns the reads that were tried.
    fn reads(packets: &Packets, bursts: impl IntoIterator<Item = u32>) -> u32 {
        let mut reads = 0;
        for mut left in bursts {
            while left > 0 {
                left -= 1;
                reads += 1;
                // A spared read of a queue that is not empty: the next event comes at once.
                if !packets.read_one() && left == 0 {
                    reads += 1;
                    packets.found_nothing();
                }
            }
        }
        reads
    }

    #[test]
    fn packets_one_at_a_time_spare_the_read_in_vain() {
        let packets = Packets::default();
        assert_eq!(reads(&packets, [1; 4]), 8);
        assert_eq!(reads(&packets, [1; 160]), 160 + 10);
    }

    #[test]
    fn bursts_are_read_until_nothing_is_found() {
        let packets = Packets::default();
        reads(&packets, [1; 4]);
        reads(&packets, [64]);
        assert_eq!(reads(&packets, [64; 10]), 65 * 10);
        // A single packet between bursts changes nothing.
        assert_eq!(reads(&packets, [1, 2, 1, 2, 1, 2, 1, 2]), 2 * 4 + 3 * 4);
    }
}
