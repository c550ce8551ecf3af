//! The way of a packet from an engine to the device.

use super::Driver;
use super::verdict::verdict;
use crate::capture::Outcome;
use crate::drop_reason::DropReason;
use crate::timer::Timer;
use brooklet_cell::Flavor;
use brooklet_filter::{Direction, Filter, Verdict};
use brooklet_io::{DeviceFault, PacketIo};
use std::io;
use std::task::{Context, Poll};
use std::time::Instant;

impl<F: Flavor, D: PacketIo, T: Timer, P: Filter> Driver<F, D, T, P> {
    /// Sends until no packet is left or the device takes no more. Returns whether the device takes
    /// no more.
    pub(super) fn transmit(&mut self, cx: &mut Context<'_>, now: Instant) -> io::Result<bool> {
        loop {
            if self.send_retry.is_waiting(now) {
                return Ok(true);
            }
            let (drops, mtu) = (&mut self.stats.drops, self.common.mtu.get());
            let next = self.tx_scheduler.next((now, mtu), &mut self.engines, drops);
            let Some((packet, is_new)) = next else {
                return Ok(false);
            };
            let len = packet.bytes().len() as u64;
            // One verdict for each packet, however often the device is asked to take it.
            let verdict = match is_new {
                true => verdict(&self.filter, &packet, Direction::Outbound),
                false => Some(Verdict::Pass),
            };
            match verdict {
                // As with the divert sockets of FreeBSD: a raw socket that sends the packets that
                // are diverted to it would receive them again.
                Some(Verdict::Divert) if self.tx_scheduler.current_is_raw() => {}
                Some(Verdict::Pass) => {}
                Some(verdict) => {
                    self.stop_outbound(now, verdict);
                    self.tx_scheduler.finish(&mut self.engines);
                    continue;
                }
                None => {
                    self.drop_current(DropReason::FilterPanicked);
                    continue;
                }
            }
            let tap = |packet: &[u8]| self.tap.packet(Direction::Outbound, packet, None);
            match self.tx_scheduler.poll_send(cx, &mut self.device, tap) {
                Poll::Ready(Ok(())) => self.send_retry.succeeded(),
                Poll::Ready(Err(error)) => {
                    self.transmit_failed(now, error)?;
                    continue;
                }
                Poll::Pending => {
                    self.send_retry.succeeded();
                    return Ok(true);
                }
            }
            self.stats.packets_out += 1;
            self.stats.bytes_out += len;
            self.tx_scheduler.finish(&mut self.engines);
        }
    }

    /// Goes on after an error of the device, unless it is fatal. After a transient error the device
    /// is offered the same packet again.
    #[cold]
    fn transmit_failed(&mut self, now: Instant, error: io::Error) -> io::Result<()> {
        match DeviceFault::of(&error) {
            DeviceFault::Transient => self.send_retry.failed(now, error)?,
            DeviceFault::Packet => {
                // The device answers again. Without a packet to send, nothing else would end a
                // back-off.
                self.send_retry.succeeded();
                self.drop_current(DropReason::DeviceRefused);
            }
            _ => return Err(error),
        }
        self.stats.device_errors += 1;
        Ok(())
    }

    /// Drops the packet that is being sent, with the pieces of it that were not sent.
    #[cold]
    fn drop_current(&mut self, reason: DropReason) {
        if let Some((packet, _)) = self.tx_scheduler.current() {
            let outcome = Outcome::Dropped(reason);
            self.tap
                .packet(Direction::Outbound, packet.bytes(), Some(outcome));
        }
        self.stats.drops.count(reason);
        self.tx_scheduler.finish(&mut self.engines);
    }
}
