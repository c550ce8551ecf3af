//! Packets that the filter does not pass: what happens to them, and who is told.

use super::Driver;
use super::receive::Arrived;
use crate::capture::Outcome;
use crate::drop_reason::DropReason;
use crate::timer::Timer;
use brooklet_cell::Flavor;
use brooklet_filter::{Direction, Filter, Reject, Verdict};
use brooklet_io::{Checksum, Meta, PacketIo};
use brooklet_packet::icmp::{self, Unreachable};
use brooklet_packet::{Packet, Protocol, Segmenter, tcp};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// Returns the filter's verdict on a packet, or `None` if the filter has panicked: the packet is
/// dropped, and the stack goes on.
#[inline]
pub(super) fn verdict<P: Filter>(
    filter: &P,
    packet: &Packet<'_>,
    direction: Direction,
) -> Option<Verdict> {
    // The filter is called by shared reference: what it leaves half done is its own.
    catch_unwind(AssertUnwindSafe(|| filter.verdict(packet, direction))).ok()
}

impl<F: Flavor, D: PacketIo, T: Timer, P: Filter> Driver<F, D, T, P> {
    /// Handles a received packet on which the filter has given another verdict than to pass it.
    #[cold]
    pub(super) fn stop_inbound(
        &mut self,
        now: Instant,
        verdict: Verdict,
        packet: &Packet<'_>,
        how: Arrived,
    ) {
        match verdict {
            // A packet that arrived damaged may be from somebody else.
            Verdict::Reject(_) if !how.verified && !packet.verify_checksum() => {
                self.count_drop(DropReason::BadChecksum);
            }
            Verdict::Reject(reject) => {
                self.count_drop(DropReason::RejectedIn);
                self.reject_inbound(now, packet, reject);
            }
            Verdict::Divert => {
                divert(&self.engines.raw, packet, how.meta, Direction::Inbound);
                self.tap.note(Outcome::Diverted);
            }
            _ => self.count_drop(DropReason::FilteredIn),
        }
    }

    fn reject_inbound(&mut self, now: Instant, packet: &Packet<'_>, reject: Reject) {
        match reject {
            // As with a segment to a closed port, a RST answers every segment.
            Reject::TcpReset if packet.tcp().is_some() => {
                let queued = self.tx_scheduler.queue_reply(|out| tcp::reset(out, packet));
                if let Err(reason) = queued {
                    self.count_drop(reason);
                }
            }
            Reject::TcpReset => self.send_icmp_error(now, packet, Unreachable::Port),
            Reject::Icmp(why) => self.send_icmp_error(now, packet, why),
            _ => {}
        }
    }

    /// Handles the packet of an engine on which the filter has given another verdict than to pass
    /// it. The answer to a rejected packet goes to the engine, as if a host behind the device had
    /// sent it.
    #[cold]
    pub(super) fn stop_outbound(&mut self, now: Instant, verdict: Verdict) {
        let current = self.tx_scheduler.current();
        let outcome = match verdict {
            Verdict::Reject(_) => Outcome::Dropped(DropReason::RejectedOut),
            Verdict::Divert => Outcome::Diverted,
            _ => Outcome::Dropped(DropReason::FilteredOut),
        };
        if let Some((packet, meta)) = current {
            self.tap
                .packet(Direction::Outbound, packet.bytes(), Some(outcome));
            if verdict == Verdict::Divert {
                divert(&self.engines.raw, &packet, meta, Direction::Outbound);
            }
        }
        if let Outcome::Dropped(reason) = outcome {
            self.stats.drops.count(reason);
        }
        if let Verdict::Reject(reject) = verdict {
            self.reject_outbound(now, reject);
        }
    }

    fn reject_outbound(&mut self, now: Instant, reject: Reject) {
        if self.tx_scheduler.current_is_reply() {
            return; // the driver waits for no answer to its reply
        }
        let mut answer = std::mem::take(&mut self.answer);
        let current = self.tx_scheduler.current();
        let written =
            current.is_some_and(|(packet, _)| write_rejection(&mut answer, &packet, reject));
        if written && let Ok(packet) = Packet::parse(&answer) {
            if packet.protocol() == Protocol::Tcp {
                self.engines.tcp.handle_packet(now, &answer, &packet);
                // The answer takes effect before the driver sleeps.
                self.engines.tcp.flush(now);
            } else if let Some(error) = icmp::parse_error(&packet) {
                // An engine may have forgotten the packet. The packet is counted as rejected.
                let _known = self.handle_icmp_error(now, &packet, &error);
            }
        }
        self.answer = answer;
    }
}

/// Writes the answer to a rejected packet. Returns `false` where no answer is due.
fn write_rejection(out: &mut Vec<u8>, packet: &Packet<'_>, reject: Reject) -> bool {
    match reject {
        Reject::TcpReset if packet.tcp().is_some() => tcp::reset(out, packet),
        Reject::TcpReset => icmp::error(out, packet, Unreachable::Port),
        Reject::Icmp(why) => icmp::error(out, packet, why),
        _ => false,
    }
}

/// Passes a packet to the raw sockets that take diverted packets, in the form that it has on a wire:
/// with its checksum, and a super-packet as the packets that it stands for.
fn divert<F: Flavor>(
    raw: &brooklet_raw::Engine<F>,
    packet: &Packet<'_>,
    meta: Meta,
    direction: Direction,
) {
    let outbound = direction == Direction::Outbound;
    if let Some(size) = meta.gso_size {
        let mut segmenter = Segmenter::new(packet, size);
        let mut segment = vec![0; segmenter.longest()];
        while let Some(len) = segmenter.next(packet.bytes(), &mut segment) {
            if let Ok(packet) = Packet::parse(&segment[..len]) {
                raw.handle_diverted(&packet, outbound);
            }
        }
    } else if meta.checksum == Checksum::Partial {
        let mut bytes = packet.bytes().to_vec();
        packet.fill_checksum(&mut bytes);
        raw.handle_diverted(&Packet::new(&bytes, *packet.headers()), outbound);
    } else {
        raw.handle_diverted(packet, outbound);
    }
}
