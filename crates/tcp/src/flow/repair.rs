//! What smoltcp would leave undone for ever.

use super::{Flow, NoRoom, interface};
use crate::context::{Fixed, Work};
use crate::segment::Segment;
use brooklet_cell::Flavor;
use brooklet_device::OnePacket;
use smoltcp::wire::TcpControl;
use std::time::{Duration, Instant};

/// Time to a retransmission of our own, and the most that it grows to (RFC 6298, 2).
const FIRST_RTO: Duration = Duration::from_secs(1);
const LONGEST_RTO: Duration = Duration::from_secs(60);

impl Flow {
    /// The FIN has not been acknowledged, and smoltcp has no timer for it: it drops the timer
    /// when acknowledgements repeat and there is no data to send again. So it is sent from here,
    /// after a second and then ever more rarely (RFC 6298). Returns when the next time comes.
    pub(super) fn finish_again<F: Flavor>(&mut self, work: &mut Work<'_, F>) -> Instant {
        let (at, wait) = match self.fin_again {
            Some((at, _)) if at > work.now => return at,
            Some((_, wait)) => {
                if let Some((seq, ack, window)) = self.guard.fin() {
                    let fin = Segment {
                        control: TcpControl::Fin,
                        seq,
                        ack: Some(ack),
                        window,
                        ..Segment::default()
                    }
                    .packet(self.key.reversed());
                    let driver = work.context.hub.with(|hub| hub.push(fin.into(), false));
                    work.wakes.extend(driver);
                }
                let wait = (wait * 2).min(LONGEST_RTO);
                (work.now + wait, wait)
            }
            None => (work.now + FIRST_RTO, FIRST_RTO),
        };
        self.fin_again = Some((at, wait));
        at
    }

    /// Data waits, and smoltcp has no timer for it: the peer's window closed while data was under
    /// way, and then the timer of that data ran out. smoltcp begins to probe a closed window
    /// (RFC 9293, 3.8.6.1) only on word from the peer, so it is told once more what it knows.
    pub(super) fn start_probing(
        &mut self,
        fixed: &Fixed,
        now: smoltcp::time::Instant,
    ) -> Option<smoltcp::time::Instant> {
        let received = self.received();
        let (seq, ack) = self.guard.repetition(received)?;
        let word = Segment {
            seq,
            ack: Some(ack),
            ..Segment::default()
        }
        .packet(self.key);
        let mut device = OnePacket::new(fixed.config.mtu, Some(&word), NoRoom);
        let mut iface = interface(&mut device, now, 0);
        iface.poll_ingress_single(now, &mut device, &mut self.sockets);
        iface.poll_at(now, &self.sockets)
    }
}
