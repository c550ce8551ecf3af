//! The way of a packet from an engine to the device.

use super::Driver;
use crate::timer::Timer;
use brooklet_cell::Flavor;
use brooklet_filter::{Direction, Filter, Verdict};
use brooklet_io::PacketIo;
use std::io;
use std::task::{Context, Poll};
use std::time::Instant;

impl<F: Flavor, D: PacketIo, T: Timer, P: Filter> Driver<F, D, T, P> {
    /// Sends until no packet is left or the device takes no more. Returns whether the device takes
    /// no more.
    pub(super) fn transmit(&mut self, cx: &mut Context<'_>, now: Instant) -> io::Result<bool> {
        loop {
            let drops = &mut self.stats.drops;
            let Some((packet, is_new)) = self.tx_scheduler.next(now, &mut self.engines, drops)
            else {
                return Ok(false);
            };
            let len = packet.bytes().len() as u64;
            // One verdict for each packet, however often the device is asked to take it.
            let verdict = match is_new {
                true => self.filter.verdict(&packet, Direction::Outbound),
                false => Verdict::Pass,
            };
            let verdict = match verdict {
                // As with the divert sockets of FreeBSD: a raw socket that sends the packets that
                // are diverted to it would receive them again.
                Verdict::Divert if self.tx_scheduler.current_is_raw() => Verdict::Pass,
                verdict => verdict,
            };
            if verdict != Verdict::Pass {
                self.stop_outbound(now, verdict);
            } else {
                let tap = |packet: &[u8]| self.tap.packet(Direction::Outbound, packet, None);
                match self.tx_scheduler.poll_send(cx, &mut self.device, tap) {
                    Poll::Ready(sent) => sent?,
                    Poll::Pending => return Ok(true),
                }
                self.stats.packets_out += 1;
                self.stats.bytes_out += len;
            }
            self.tx_scheduler.finish(&mut self.engines);
        }
    }
}
