//! What stands between the wire and smoltcp, and corrects what smoltcp does not do.

use brooklet_packet::{Headers, TcpHeader};
use smoltcp::wire::{IPV6_HEADER_LEN, Ipv4Packet, TcpOption, TcpPacket, TcpSeqNumber};

/// Follows one connection's sequence numbers from outside.
///
/// It sees each packet of the connection: [`sent`](Self::sent) on the way out,
/// [`admit`](Self::admit) before smoltcp sees it on the way in.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    /// Sequence number of the peer's first byte of data.
    start: Option<u32>,
    /// Bytes that the application has read or that were discarded for it.
    consumed: u32,
    window: Option<Window>,
    /// Our window scale (RFC 7323), once both sides have offered theirs.
    shift: u8,
    /// Sequence number after the last byte sent.
    next: Option<u32>,
    /// The last acknowledgement and window sent.
    acked: u32,
    told: u16,
    /// The furthest acknowledgement of something sent, and the window last seen with it.
    peer_acked: Option<u32>,
    peer_window: u16,
    /// Sequence number after the last byte sent, except to probe a closed window.
    flight: Option<u32>,
    /// smoltcp has been shown a closed window.
    shut: bool,
    /// Something other than a SYN has been acknowledged, so that smoltcp's window is a real one.
    opened: bool,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Granted,
    /// smoltcp must not see it.
    Refused,
    /// Nor this one, which is answered with an acknowledgement (RFC 5961).
    Challenged,
}

/// What may come.
#[derive(Clone, Copy, Debug)]
struct Window {
    /// Where smoltcp cuts off what comes.
    edge: u32,
    /// The furthest that the peer was ever told it may send.
    told: u32,
}

/// Whether sequence number `a` comes after `b` (RFC 9293, 3.4).
pub(crate) fn after(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

impl Guard {
    /// The connection begins with the peer's SYN of this sequence number.
    pub(crate) fn begin(&mut self, isn: u32) {
        self.start = Some(isn.wrapping_add(1));
    }

    /// `bytes` have left the receive buffer.
    pub(crate) fn consumed(&mut self, bytes: usize) {
        self.consumed = self.consumed.wrapping_add(bytes as u32);
    }

    /// Where TIME-WAIT takes over: our next sequence number and the last acknowledgement.
    pub(crate) fn last(&self) -> (u32, u32) {
        (self.next.unwrap_or(0), self.acked)
    }

    /// Looks at a packet that smoltcp made, and advertises a little less than smoltcp does.
    ///
    /// smoltcp rounds its window down to the unit of the window scale. While data comes in and
    /// nothing is read, the edge of what it takes moves back and forth by up to a unit, and it
    /// drops what a peer has sent by leave of the further edge: a loss without any loss on the
    /// way, and, as it drops whole acknowledgements from there too, sometimes a standstill. One
    /// unit less is always inside.
    pub(crate) fn sent(&mut self, packet: &mut [u8]) {
        let header = match packet.first() {
            Some(first) if first >> 4 == 4 => {
                usize::from(Ipv4Packet::new_unchecked(&packet).header_len())
            }
            _ => IPV6_HEADER_LEN,
        };
        let Some(packet) = packet.get_mut(header..) else {
            return;
        };
        let Ok(tcp) = TcpPacket::new_checked(&*packet) else {
            return;
        };
        if tcp.rst() {
            return;
        }
        if tcp.syn() {
            self.shift = window_scale(tcp.options()).unwrap_or(0);
        }
        let end = seq(tcp.seq_number()).wrapping_add(tcp.segment_len() as u32);
        if self.next.is_none_or(|next| after(end, next)) {
            self.next = Some(end);
        }
        let probe = self.shut && tcp.payload().len() <= 1;
        if !probe && self.flight.is_none_or(|flight| after(end, flight)) {
            self.flight = Some(end);
        }
        self.opened |= tcp.ack() && !tcp.syn();
        if !tcp.ack() {
            return;
        }
        self.acked = seq(tcp.ack_number());
        let window = tcp.window_len();
        // The window of a SYN is never scaled (RFC 7323, 2.2), and only that of the smallest
        // scaled buffer reaches into its last unit.
        let (shift, told) = match (tcp.syn(), self.shift) {
            (_, 0) => (0, window),
            (true, _) => (0, window.min(u16::MAX - 1)),
            (false, shift) => (shift, window.saturating_sub(1)),
        };
        if told != window {
            let checksum = adjust(tcp.checksum(), window, told);
            let mut tcp = TcpPacket::new_unchecked(packet);
            tcp.set_window_len(told);
            tcp.set_checksum(checksum);
        }
        self.told = told;
        let edge = self.acked.wrapping_add(u32::from(window) << shift);
        let told = self.acked.wrapping_add(u32::from(told) << shift);
        let told = match self.window {
            Some(window) if after(window.told, told) => window.told,
            _ => told,
        };
        self.window = Some(Window { edge, told });
    }

    /// Sequence number, acknowledgement and window of the FIN that was sent last of all.
    pub(crate) fn fin(&self) -> Option<(u32, u32, u16)> {
        Some((self.next?.wrapping_sub(1), self.acked, self.told))
    }

    /// Sequence number, acknowledgement and window of an acknowledgement sent now.
    pub(crate) fn present(&self) -> (u32, u32, u16) {
        (self.next.unwrap_or(0), self.acked, self.told)
    }

    /// What the peer would say if it only repeated itself: its sequence number, which comes after
    /// the `received` numbers that nobody has read, and its acknowledgement.
    pub(crate) fn repetition(&self, received: usize) -> Option<(u32, u32)> {
        let next = self
            .start?
            .wrapping_add(self.consumed)
            .wrapping_add(received as u32);
        Some((next, self.peer_acked?))
    }

    /// Looks at a packet of the peer and mends what smoltcp would take wrongly. `received` is what
    /// waits in the receive buffer, and the FIN behind it; `synchronized` is whether the handshake
    /// is done. The TCP checksum, already verified, is not kept up to date.
    pub(crate) fn admit(
        &mut self,
        packet: &mut [u8],
        headers: &Headers,
        tcp: TcpHeader,
        received: usize,
        synchronized: bool,
    ) -> Admission {
        let flags = tcp.flags;
        let transport = headers.transport_range();
        if flags.syn() {
            if flags.ack() && self.start.is_none() && self.next == Some(tcp.ack) {
                self.begin(tcp.seq);
                let options = TcpPacket::new_unchecked(&packet[transport]);
                if window_scale(options.options()).is_none() {
                    self.shift = 0;
                }
                return Admission::Granted;
            }
            // A client that started anew resets the old connection once it learns of it.
            return match synchronized {
                true => Admission::Challenged,
                false => Admission::Granted,
            };
        }
        let payload = headers.payload_range().len() as u32;
        let (Some(start), Some(window)) = (self.start, self.window) else {
            // Before its first acknowledgement smoltcp takes more than its buffer holds.
            return match self.start.is_some() && payload > 0 {
                true => Admission::Refused,
                false => Admission::Granted,
            };
        };
        let next = start
            .wrapping_add(self.consumed)
            .wrapping_add(received as u32);
        let end = tcp.seq.wrapping_add(payload);
        if flags.rst() {
            return Admission::Granted;
        }
        if payload > 0 && !self.opened && after(end, window.edge) {
            // smoltcp reads the window of its SYN as a scaled one, and would take data for which
            // its buffer has no place.
            return Admission::Refused;
        }
        if flags.ack() {
            self.acknowledged(packet, headers, tcp, next, window);
        }
        if payload == 0 && !flags.fin() {
            // A peer that has filled the window, or sent one byte more to probe it, acknowledges
            // from past the edge, and smoltcp drops that whole: where both directions are full,
            // nothing moves again. The acknowledgement is good (RFC 9293, 3.10.7.4), so its
            // sequence number is made the one expected.
            let past = !after(window.edge, tcp.seq) && !after(tcp.seq, window.told.wrapping_add(1));
            if past && after(tcp.seq, next) {
                rewrite(packet, headers, |p| {
                    p.set_seq_number(TcpSeqNumber(next as i32))
                });
            }
        } else if flags.fin() && after(end, window.edge) {
            // smoltcp cuts the data at the edge but takes the FIN behind it: the bytes between
            // would be lost and the reader told that all came. The peer sends the FIN again.
            rewrite(packet, headers, |p| p.set_fin(false));
        }
        Admission::Granted
    }

    /// Looks at acknowledgement and window of a packet whose data is expected at `next`.
    fn acknowledged(
        &mut self,
        packet: &mut [u8],
        headers: &Headers,
        tcp: TcpHeader,
        next: u32,
        window: Window,
    ) {
        let payload = headers.payload_range().len() as u32;
        let end = tcp.seq.wrapping_add(payload);
        let sent = self.next.is_some_and(|sent| !after(tcp.ack, sent));
        let acceptable = !after(next, end) && !after(tcp.seq, window.told.wrapping_add(1));
        if !sent || !acceptable {
            return;
        }
        match self.peer_acked {
            Some(acked) if after(acked, tcp.ack) => {
                // It was sent before another that overtook it. smoltcp drops data with an old
                // acknowledgement, which is good data (RFC 9293, 3.10.7.4).
                if acked.wrapping_sub(tcp.ack) < OLD && (payload > 0 || tcp.flags.fin()) {
                    let shown = self.peer_window;
                    rewrite(packet, headers, |p| {
                        p.set_ack_number(TcpSeqNumber(acked as i32));
                        p.set_window_len(shown);
                    });
                }
                return;
            }
            _ => self.peer_acked = Some(tcp.ack),
        }
        let mut shown = tcp.window;
        if shown == 0 && self.flight.is_some_and(|flight| after(flight, tcp.ack)) {
            // With data under way smoltcp would neither send that again nor probe. A window of
            // one unit keeps its timer running, and what it sends then is probe enough.
            shown = 1;
            rewrite(packet, headers, |p| p.set_window_len(shown));
        }
        self.peer_window = shown;
        self.shut = shown == 0;
    }
}

/// Acknowledgements further back than this are not late but wrong (RFC 5961, 5).
const OLD: u32 = 1 << 24;

fn rewrite(packet: &mut [u8], headers: &Headers, f: impl FnOnce(&mut TcpPacket<&mut [u8]>)) {
    f(&mut TcpPacket::new_unchecked(
        &mut packet[headers.transport_range()],
    ));
}

/// The checksum of a packet in which one word has changed (RFC 1624, equation 3).
fn adjust(checksum: u16, old: u16, new: u16) -> u16 {
    let sum = u32::from(!checksum) + u32::from(!old) + u32::from(new);
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}

fn seq(number: TcpSeqNumber) -> u32 {
    number.0 as u32
}

fn window_scale(mut options: &[u8]) -> Option<u8> {
    while !options.is_empty() {
        match TcpOption::parse(options) {
            Ok((_, TcpOption::WindowScale(shift))) => return Some(shift.min(14)),
            Ok((_, TcpOption::EndOfList)) | Err(_) => return None,
            Ok((rest, _)) => options = rest,
        }
    }
    None
}
