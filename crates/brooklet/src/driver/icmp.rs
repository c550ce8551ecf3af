//! ICMP: echo replies, errors that the stack sends, and errors that it receives.

use super::Driver;
use super::receive::Arrived;
use crate::drop_reason::DropReason;
use crate::engines::Engines;
use crate::timer::Timer;
use brooklet_cell::Flavor;
use brooklet_filter::Filter;
use brooklet_io::PacketIo;
use brooklet_packet::icmp::{self, IcmpError, IcmpErrorKind, Unreachable};
use brooklet_packet::{Headers, Packet, Protocol, is_unicast};
use brooklet_raw::{Echoed, RawReceived};
use std::time::Instant;

impl<F: Flavor, D: PacketIo, T: Timer, P: Filter> Driver<F, D, T, P> {
    pub(super) fn handle_icmp(&mut self, now: Instant, packet: &Packet<'_>, how: Arrived) {
        if let Some(error) = icmp::parse_error(packet) {
            self.stats.icmp_errors += 1;
            if !self.handle_icmp_error(now, packet, &error) {
                self.count_drop(DropReason::IcmpIgnored);
            }
            return;
        }
        let raw = &self.engines.raw;
        if !is_unicast(packet.destination()) && raw.handle_raw(packet) != RawReceived::NoListener {
            return;
        }
        if let Some(mtu) = self.exceeded_mtu(now, packet, how) {
            self.count_drop(DropReason::TooBig);
            return self.send_too_big(now, packet, mtu);
        }
        match self.engines.raw.handle_echo_request(now, packet) {
            Echoed::Answer => self.send_echo_reply(packet),
            Echoed::Reject(why) => self.send_icmp_error(now, packet, why),
            Echoed::NotEcho => self.handle_other_icmp(now, packet),
            _ => {} // queued, or dropped and counted
        }
    }

    /// Passes an echo reply to the socket that waits for it, and any other message to the raw sockets
    /// that ask for ICMP.
    fn handle_other_icmp(&mut self, now: Instant, packet: &Packet<'_>) {
        let raw = &self.engines.raw;
        if !raw.handle_echo_reply(now, packet) && raw.handle_raw(packet) == RawReceived::NoListener
        {
            self.count_drop(DropReason::IcmpUnanswered);
        }
    }

    /// Returns the path MTU of the packet's destination, if the program has stated less than the
    /// packet needs and the packet must not be fragmented. UDP compares its packets itself, and TCP
    /// ends in the stack.
    fn exceeded_mtu(&self, now: Instant, packet: &Packet<'_>, how: Arrived) -> Option<usize> {
        let udp = &self.engines.udp;
        let mtu = udp.stated_path_mtu(now, packet.destination())?;
        let exceeds = mtu < self.common.mtu.get() && packet.total_len() > mtu;
        (exceeds && packet.dont_fragment() && !how.reassembled).then_some(mtu)
    }

    fn send_echo_reply(&mut self, request: &Packet<'_>) {
        match self
            .tx_scheduler
            .queue_reply(|out| icmp::echo_reply(out, request))
        {
            Ok(true) => self.stats.echo_replies += 1,
            Ok(false) => self.count_drop(DropReason::IcmpUnanswered),
            Err(reason) => self.count_drop(reason),
        }
    }

    /// Passes an ICMP error to the engine whose packet it quotes. `packet` carries the error. Returns
    /// `false` if no engine knows the packet that it quotes; TCP counts the errors that it ignores
    /// itself.
    pub(super) fn handle_icmp_error(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        error: &IcmpError,
    ) -> bool {
        let Engines { tcp, udp, raw } = &mut self.engines;
        match error.protocol {
            Protocol::Tcp => {
                tcp.handle_icmp_error(now, error);
                true
            }
            Protocol::Udp => udp.handle_icmp_error(now, error),
            _ => {
                let known = raw.handle_icmp_error(now, packet, error);
                if let IcmpErrorKind::Unreachable(Unreachable::PacketTooBig { mtu }) = error.kind
                    && known
                    && error.echo.is_some()
                {
                    udp.learn_path_mtu(now, error.key.addresses().1, mtu as usize);
                }
                known
            }
        }
    }

    /// Answers a packet with an ICMP error, unless no error may be sent (RFC 1122, 3.2.2; RFC 4443,
    /// 2.4(e)) or the rate limit is reached.
    ///
    /// As with Linux, the rate limit is not for "fragmentation needed" and "packet too big", without
    /// which path MTU discovery does not work. The queue of replies bounds them.
    pub(super) fn send_icmp_error(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        kind: impl Into<IcmpErrorKind>,
    ) {
        let kind = kind.into();
        let write = |out: &mut Vec<u8>| icmp::error(out, packet, kind);
        if let IcmpErrorKind::Unreachable(Unreachable::PacketTooBig { .. }) = kind {
            if let Err(reason) = self.tx_scheduler.queue_reply(write) {
                self.count_drop(reason);
            }
        } else {
            self.send_limited(now, write);
        }
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
        let raw = &self.engines.raw;
        let mut limited = false;
        let queued = self.tx_scheduler.queue_reply(|out| {
            let allowed = write(out);
            // The destination of the error is the source of the packet that it is about.
            limited = allowed
                && Headers::parse(out)
                    .is_ok_and(|error| !raw.take_error_token(now, error.destination()));
            allowed && !limited
        });
        if limited {
            self.count_drop(DropReason::IcmpLimited);
        }
        if let Err(reason) = queued {
            self.count_drop(reason);
        }
    }
}
