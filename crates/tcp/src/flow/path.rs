//! What ICMP says about a connection's packets.

use super::Flow;
use crate::context::Work;
use crate::error::End;
use crate::seq::after;
use brooklet_cell::Flavor;
use brooklet_packet::icmp::{IcmpErrorKind, Unreachable};
use smoltcp::socket::tcp::State;

/// Smaller packets are not believed in: whoever says so would make every segment a handful of
/// bytes (RFC 5927, 7).
const LEAST_V4: usize = 552;
const LEAST_V6: usize = 1280;

impl Flow {
    /// Takes in an ICMP error about the segment with the number `seq`, which counts only while
    /// that segment is under way (RFC 5927, 4.1).
    pub(crate) fn on_icmp<F: Flavor>(
        &mut self,
        kind: IcmpErrorKind,
        seq: u32,
        work: &mut Work<'_, F>,
    ) {
        let under_way = !after(self.guard.send.una(), seq) && after(self.guard.send.nxt(), seq);
        let IcmpErrorKind::Unreachable(why) = kind else {
            return;
        };
        if self.detached || self.end.is_some() || !under_way {
            return;
        }
        match why {
            Unreachable::PacketTooBig { mtu } => self.narrow(mtu as usize),
            // Once a connection stands, such an error may pass (RFC 5927, 6.1).
            _ if self.state() != State::SynSent => return,
            Unreachable::Network => self.give_up(End::NetworkUnreachable),
            Unreachable::Host | Unreachable::Prohibited => self.give_up(End::HostUnreachable),
            _ => self.give_up(End::Refused),
        }
        self.settle(work);
    }

    fn give_up(&mut self, end: End) {
        self.end.get_or_insert(end);
        self.break_off();
    }

    /// The path takes packets of `mtu` bytes, or, if that is 0, does not say (RFC 1191, 8201).
    fn narrow(&mut self, mtu: usize) {
        let least = if self.key.is_ipv6() {
            LEAST_V6
        } else {
            LEAST_V4
        };
        let mtu = match mtu {
            0 => 576, // RFC 1191, 5: what everybody takes
            mtu => mtu.max(least),
        };
        if mtu < self.mtu {
            self.mtu = mtu;
            let mss = self.local_mss();
            self.guard.narrow(mss);
        }
    }
}
