//! What ICMP errors say about a connection (RFC 5927).

use super::{Connection, TcpState};
use crate::error::End;
use crate::seq::after;
use crate::shared::Effects;
use crate::stats::Dropped;
use brooklet_cell::Flavor;
use brooklet_packet::icmp::{IcmpErrorKind, Unreachable};

impl<F: Flavor> Connection<F> {
    /// Takes in an ICMP error about the segment with the number `seq`. The error counts only while
    /// that segment is in flight (RFC 5927, 4.1).
    pub(crate) fn on_icmp_error(&mut self, kind: IcmpErrorKind, seq: u32, fx: &mut Effects<'_, F>) {
        let in_flight = !after(self.send.una(), seq) && after(self.send.nxt(), seq);
        let ends = self.detached || self.end.is_some();
        let why = match kind {
            IcmpErrorKind::Unreachable(why) if in_flight && !ends => why,
            // As with Linux: the SYN was sent with too small a hop limit.
            IcmpErrorKind::HopLimitExceeded if in_flight && !ends => Unreachable::Host,
            _ => {
                fx.dropped = Some(Dropped::IcmpIgnored);
                return;
            }
        };
        match why {
            Unreachable::PacketTooBig { mtu } => {
                if self
                    .pmtu
                    .on_packet_too_big(fx.now, mtu as usize, self.key.is_ipv6())
                {
                    let mss = self.segment_size();
                    self.send.set_mss(mss);
                }
            }
            // In a synchronized state such an error is a soft one (RFC 5927, 6.1).
            _ if self.state != TcpState::SynSent => {
                fx.dropped = Some(Dropped::IcmpIgnored);
                return;
            }
            Unreachable::Network => self.fail_handshake(End::NetworkUnreachable),
            Unreachable::Host | Unreachable::Prohibited => {
                self.fail_handshake(End::HostUnreachable);
            }
            _ => self.fail_handshake(End::Refused),
        }
        self.flush(fx);
    }

    /// Ends a connection in SYN-SENT. No RST follows, as with Linux (`tcp_v4_err`): nobody has
    /// received the SYN.
    fn fail_handshake(&mut self, end: End) {
        self.end.get_or_insert(end);
        self.pending_control = None;
        self.enter_closed();
    }
}
