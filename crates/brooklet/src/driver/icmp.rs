//! ICMP: echo replies, errors that the stack sends, and errors that it receives.

use super::Driver;
use crate::drop_reason::DropReason;
use crate::timer::Timer;
use brooklet_cell::Flavor;
use brooklet_filter::Filter;
use brooklet_io::PacketIo;
use brooklet_packet::icmp::{self, IcmpError, IcmpErrorKind, Unreachable};
use brooklet_packet::{Packet, Protocol};
use std::time::Instant;

impl<F: Flavor, D: PacketIo, T: Timer, P: Filter> Driver<F, D, T, P> {
    pub(super) fn handle_icmp(&mut self, now: Instant, packet: &Packet<'_>) {
        if let Some(error) = icmp::parse_error(packet) {
            self.stats.icmp_errors += 1;
            return self.handle_icmp_error(now, &error);
        }
        if !self.icmp_echo {
            return self.stats.drops.count(DropReason::IcmpUnanswered);
        }
        match self
            .tx_scheduler
            .queue_reply(|out| icmp::echo_reply(out, packet))
        {
            Ok(true) => self.stats.echo_replies += 1,
            Ok(false) => self.stats.drops.count(DropReason::IcmpUnanswered),
            Err(reason) => self.stats.drops.count(reason),
        }
    }

    /// Passes an ICMP error to the engine whose packet it quotes.
    pub(super) fn handle_icmp_error(&mut self, now: Instant, error: &IcmpError) {
        match error.protocol {
            Protocol::Tcp => self.engines.tcp.handle_icmp_error(now, error),
            Protocol::Udp if self.engines.udp.handle_icmp_error(now, error) => {}
            _ => self.stats.drops.count(DropReason::IcmpIgnored),
        }
    }

    /// Answers a packet with an ICMP error, unless no error may be sent (RFC 1122, 3.2.2; RFC 4443,
    /// 2.4(e)) or the rate limit is reached.
    pub(super) fn send_icmp_error(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        kind: impl Into<IcmpErrorKind>,
    ) {
        self.send_limited(now, |out| icmp::error(out, packet, kind));
    }

    /// Answers a packet that is longer than the path to its destination takes (RFC 1191, 4;
    /// RFC 8201, 3).
    pub(super) fn send_too_big(&mut self, now: Instant, packet: &Packet<'_>, mtu: usize) {
        let mtu = u32::try_from(mtu).unwrap_or(u32::MAX);
        self.send_icmp_error(now, packet, Unreachable::PacketTooBig { mtu });
    }

    /// Queues the ICMP error that `write` writes, within the rate limit. An error that may not be
    /// sent, which `write` does not write, takes no token.
    pub(super) fn send_limited(&mut self, now: Instant, write: impl FnOnce(&mut Vec<u8>) -> bool) {
        let bucket = &self.common.icmp_errors;
        let mut limited = false;
        let queued = self.tx_scheduler.queue_reply(|out| {
            let allowed = write(out);
            limited = allowed && !bucket.with(|bucket| bucket.take(now));
            allowed && !limited
        });
        if limited {
            self.stats.drops.count(DropReason::IcmpLimited);
        }
        if let Err(reason) = queued {
            self.stats.drops.count(reason);
        }
    }
}
