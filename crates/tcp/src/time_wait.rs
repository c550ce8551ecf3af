//! TIME-WAIT (RFC 9293, 3.6.1): what is kept of a connection after its end, and how a late segment
//! is answered.

use crate::flow::Totals;
use crate::segment::Segment;
use crate::seq::{Micros, after};
use brooklet_packet::{Headers, TcpHeader, TrafficClass};
use smoltcp::wire::{TcpOption, TcpPacket};

/// The variables of a connection in TIME-WAIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeWait {
    pub(crate) snd_nxt: u32,
    pub(crate) rcv_nxt: u32,
    /// The window as the header of the last segment advertised it, which is scaled.
    pub(crate) rcv_wnd: u16,
    /// The offset of our timestamp clock and TS.Recent, if timestamps were negotiated (RFC 7323).
    pub(crate) timestamps: Option<(u32, u32)>,
    pub(crate) ttl: u8,
    pub(crate) traffic_class: TrafficClass,
    /// What the connection has moved.
    pub(crate) totals: Totals,
}

/// A segment that arrives in TIME-WAIT.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) tcp: TcpHeader,
    pub(crate) has_payload: bool,
    pub(crate) tsval: Option<u32>,
}

/// How a segment that arrives in TIME-WAIT is processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Drop,
    Acknowledge,
    /// Acknowledge the peer's FIN again and restart the 2 MSL timeout (RFC 9293, 3.10.7.4).
    Restart,
    /// TIME-WAIT ends.
    End,
    /// TIME-WAIT ends, and the SYN opens a new connection.
    Open,
}

impl Arrival {
    pub(crate) fn new(packet: &[u8], headers: &Headers, tcp: TcpHeader) -> Self {
        Self {
            tcp,
            has_payload: !headers.payload_range().is_empty(),
            tsval: tsval(&packet[headers.transport_range()]),
        }
    }
}

impl TimeWait {
    /// Processes a segment. With `rfc1337` a RST does not end TIME-WAIT.
    pub(crate) fn segment_arrives(&mut self, arrival: Arrival, rfc1337: bool) -> Verdict {
        let Arrival {
            tcp,
            has_payload,
            tsval,
        } = arrival;
        if tcp.flags.rst() {
            // A RST at exactly RCV.NXT comes from the peer itself (RFC 5961, 3.2), which has
            // nothing left of the connection. PAWS does not apply to a RST (RFC 7323, 5.3).
            return match tcp.seq == self.rcv_nxt && !rfc1337 {
                true => Verdict::End,
                false => Verdict::Drop,
            };
        }
        let timestamps = self.timestamps.zip(tsval);
        let is_older = timestamps.is_some_and(|((_, recent), tsval)| after(recent, tsval));
        let is_newer = timestamps.is_some_and(|((_, recent), tsval)| after(tsval, recent));
        let opens = tcp.flags.syn() && !tcp.flags.ack();
        // RFC 6191, 2: a newer timestamp shows that the SYN is no old duplicate, whatever its
        // number. An older one shows that PAWS would drop what follows.
        if opens && !is_older && (is_newer || after(tcp.seq, self.rcv_nxt)) {
            return Verdict::Open;
        }
        if let Some((offset, _)) = self.timestamps
            && let Some(tsval) = tsval
            && !is_older
            && !tcp.flags.syn()
            && !after(tcp.seq, self.rcv_nxt)
        {
            self.timestamps = Some((offset, tsval)); // RFC 7323, 4.3
        }
        if tcp.flags.fin() {
            Verdict::Restart
        } else if has_payload || tcp.flags.syn() {
            Verdict::Acknowledge
        } else {
            // A bare ACK is not answered with an ACK: two ends in TIME-WAIT would answer each
            // other in a loop.
            Verdict::Drop
        }
    }

    /// The ACK that answers a late segment at `now`.
    pub(crate) fn ack(&self, now: Micros) -> Segment {
        // The timestamp clock ticks every millisecond.
        let tsval = |offset: u32| offset.wrapping_add((now / 1000) as u32);
        Segment {
            seq: self.snd_nxt,
            ack: Some(self.rcv_nxt),
            window: self.rcv_wnd,
            timestamp: self
                .timestamps
                .map(|(offset, recent)| (tsval(offset), recent)),
            ttl: self.ttl,
            traffic_class: self.traffic_class,
            ..Segment::default()
        }
    }
}

/// TSval of a segment. Options behind a malformed one are not read.
fn tsval(segment: &[u8]) -> Option<u32> {
    let segment = TcpPacket::new_unchecked(segment);
    let mut options = segment.options();
    while !options.is_empty() {
        match TcpOption::parse(options).ok()? {
            (_, TcpOption::EndOfList) => return None,
            (_, TcpOption::TimeStamp { tsval, .. }) => return Some(tsval),
            (rest, _) => options = rest,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use brooklet_packet::TcpFlags;

    const FIN: u8 = 1;
    const SYN: u8 = 2;
    const RST: u8 = 4;
    const ACK: u8 = 16;

    fn time_wait(recent: Option<u32>) -> TimeWait {
        TimeWait {
            snd_nxt: 7000,
            rcv_nxt: 1000,
            rcv_wnd: 500,
            timestamps: recent.map(|recent| (77, recent)),
            ttl: 64,
            traffic_class: TrafficClass::default(),
            totals: Totals::default(),
        }
    }

    fn arrival(seq: u32, flags: u8, tsval: Option<u32>) -> Arrival {
        let flags = TcpFlags::from_bits(flags);
        Arrival {
            tcp: TcpHeader {
                seq,
                ack: 7000,
                window: 0,
                flags,
            },
            has_payload: false,
            tsval,
        }
    }

    #[test]
    fn a_syn_opens_by_its_timestamp_or_its_number() {
        use Verdict::{Acknowledge, Open};
        for (recent, seq, tsval, verdict) in [
            (None, 1001, None, Open),
            (None, 1000, None, Acknowledge),
            (None, 999, Some(u32::MAX), Acknowledge),
            (Some(50), 900, Some(51), Open),
            (Some(50), 900, Some(50), Acknowledge),
            (Some(50), 1001, Some(50), Open),
            (Some(50), 1001, Some(49), Acknowledge),
            (Some(50), 1001, None, Open),
            (Some(50), 900, None, Acknowledge),
            (Some(u32::MAX), 900, Some(0), Open),
        ] {
            let found = time_wait(recent).segment_arrives(arrival(seq, SYN, tsval), false);
            assert_eq!(found, verdict, "{recent:?} {seq} {tsval:?}");
        }
    }

    #[test]
    fn a_rst_at_rcv_nxt_ends_time_wait_without_rfc_1337() {
        for (seq, rfc1337, verdict) in [
            (1000, false, Verdict::End),
            (1000, true, Verdict::Drop),
            (1001, false, Verdict::Drop),
            (999, false, Verdict::Drop),
        ] {
            let found = time_wait(None).segment_arrives(arrival(seq, RST, None), rfc1337);
            assert_eq!(found, verdict, "{seq} {rfc1337}");
        }
    }

    #[test]
    fn an_ack_echoes_the_timestamp_of_a_repeated_fin() {
        let mut wait = time_wait(Some(50));
        let verdict = wait.segment_arrives(arrival(999, FIN | ACK, Some(60)), false);
        assert_eq!(verdict, Verdict::Restart);
        let ack = wait.ack(5_000);
        assert_eq!((ack.seq, ack.ack, ack.window), (7000, Some(1000), 500));
        assert_eq!(ack.timestamp, Some((82, 60)));
        assert_eq!(time_wait(None).ack(0).timestamp, None);
    }
}
