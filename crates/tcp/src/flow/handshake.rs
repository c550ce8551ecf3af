//! The handshake, in which smoltcp takes no part, and the packets of a connection without a socket.

use super::socket::Stage;
use super::{Flow, port};
use crate::context::Work;
use crate::syn::Syn;
use brooklet_cell::Flavor;
use brooklet_device::Outbound;
use brooklet_packet::{Headers, Packet, TcpHeader};
use smoltcp::wire::TcpPacket;

/// A packet that this side has yet to send, where there is no socket to do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unsaid {
    /// The SYN, or the SYN-ACK.
    Syn,
    /// The acknowledgement of the peer's SYN-ACK.
    Greeting,
    Reset,
}

impl Flow {
    /// Answers the SYN that the connection was made for. The caller settles it afterwards.
    pub(crate) fn open<F: Flavor>(&mut self, work: &mut Work<'_, F>) {
        if let Some(syn) = self.syn.take() {
            self.greet(&syn, work);
            self.stage = Stage::SynReceived;
            self.unsaid = Some(Unsaid::Syn);
        }
    }

    /// Looks at what answers our SYN (RFC 9293, 3.10.7.3).
    pub(super) fn answered<F: Flavor>(
        &mut self,
        packet: &mut [u8],
        headers: &Headers,
        tcp: TcpHeader,
        work: &mut Work<'_, F>,
    ) {
        let acceptable = tcp.flags.ack() && tcp.ack == self.guard.send.nxt();
        if tcp.flags.ack() && !acceptable {
            return self.reset(packet, headers, work);
        }
        if tcp.flags.rst() {
            if acceptable {
                self.take_reset(packet, work);
            }
        } else if tcp.flags.syn() {
            self.heard_at = work.now;
            let syn = Syn::parse(packet, headers, tcp);
            self.greet(&syn, work);
            if acceptable {
                let now = work.context.fixed.micros(work.now);
                self.guard.greeted(now, &syn);
                self.stage = Stage::Asleep;
                self.unsaid = Some(Unsaid::Greeting);
            } else {
                self.stage = Stage::SynReceived;
                self.unsaid = Some(Unsaid::Syn);
            }
        }
    }

    /// Takes in what the peer's SYN says, or its SYN-ACK.
    fn greet<F: Flavor>(&mut self, syn: &Syn, work: &Work<'_, F>) {
        let mss = u32::from(syn.effective_mss(self.key.is_ipv6())).min(self.local_mss());
        let now = work.context.fixed.micros(work.now);
        self.guard.begin(now, syn, mss);
    }

    /// Looks at a packet that should end the handshake. Says whether it is to be admitted.
    pub(super) fn greeted<F: Flavor>(
        &mut self,
        packet: &mut [u8],
        headers: &Headers,
        tcp: &mut TcpHeader,
        work: &mut Work<'_, F>,
    ) -> bool {
        let acceptable = tcp.flags.ack() && tcp.ack == self.guard.send.nxt();
        if tcp.flags.syn() {
            if !self.guard.is_syn_of_peer(tcp.seq) {
                return true; // challenged
            }
            if !acceptable {
                // The peer asks again: our answer was lost.
                self.unsaid = Some(Unsaid::Syn);
                return false;
            }
            // Both sides sent a SYN, and this one acknowledges ours (RFC 9293, 3.5).
            let mut segment = TcpPacket::new_unchecked(&mut packet[headers.transport_range()]);
            segment.set_syn(false);
            let seq = smoltcp::wire::TcpSeqNumber(tcp.seq.wrapping_add(1) as i32);
            segment.set_seq_number(seq);
            segment.set_window_len(tcp.window >> self.guard.peer_shift());
            match Headers::parse(packet)
                .ok()
                .and_then(|headers| headers.tcp())
            {
                Some(rewritten) => *tcp = rewritten,
                None => return false,
            }
        } else if !tcp.flags.rst() && !acceptable {
            self.reset(packet, headers, work);
            return false;
        }
        true
    }

    /// Answers a packet that cannot belong to this connection (RFC 9293, 3.10.7).
    fn reset<F: Flavor>(&mut self, packet: &[u8], headers: &Headers, work: &mut Work<'_, F>) {
        let mut reply = Vec::new();
        if brooklet_packet::tcp::reset(&mut reply, &Packet::new(packet, *headers)) {
            let driver = work.hub.with(|hub| hub.push(reply.into(), false));
            work.wakes.extend(driver);
        }
    }

    /// Sends what no socket does. Says `false` if there is no room for it.
    pub(super) fn say<F: Flavor>(&mut self, work: &mut Work<'_, F>) -> bool {
        let Some(unsaid) = self.unsaid else {
            return true;
        };
        let (now, ttl) = (work.context.fixed.micros(work.now), self.ttl);
        let (iss, mss) = (self.iss, self.local_mss() as u16);
        let mut port = port(&mut self.guard, &mut self.waiting, self.key, work);
        if !Outbound::reserve(&mut &mut port) {
            return false;
        }
        let packet = match unsaid {
            Unsaid::Syn => port.guard.syn(now, iss, mss, ttl),
            Unsaid::Greeting => port.guard.greeting(now, ttl),
            Unsaid::Reset => port.guard.abort(ttl),
        };
        self.unsaid = None;
        port.send(packet.packet(self.key.reversed()).into());
        true
    }
}
