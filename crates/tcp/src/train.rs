//! Segments that follow each other, taken in as one.
//!
//! What a segment costs beside its bytes (its connection found, entered and shown to smoltcp) is
//! paid once for all that came together, as if the device had joined them.

use brooklet_packet::Headers;
use smoltcp::wire::{IPV6_HEADER_LEN, Ipv4Packet, Ipv6Packet};
use std::ops::Range;

/// Less data than this is not worth the copy.
const LEAST: usize = 512;

/// No packet of IP says that it is longer.
const LONGEST: usize = 65_535;

/// Packets of one connection, joined while each goes on where the one before ends.
#[derive(Debug, Default)]
pub(crate) struct Train {
    bytes: Vec<u8>,
    /// Those of the first packet, while there is one.
    first: Option<Headers>,
    /// The number of the next byte.
    next: u32,
    segments: usize,
}

impl Train {
    /// Begins with a packet of a kind that can go on. Says whether it is.
    pub(crate) fn begin(&mut self, packet: &[u8], headers: &Headers) -> bool {
        let Some(tcp) = headers.tcp() else {
            return false;
        };
        let len = headers.payload_range().len();
        if !plain(packet, headers) || len < LEAST || packet.len() > LONGEST / 2 {
            return false;
        }
        self.bytes.clear();
        self.bytes.extend_from_slice(packet);
        self.first = Some(*headers);
        self.next = tcp.seq.wrapping_add(len as u32);
        self.segments = 1;
        true
    }

    /// Adds a packet if it goes on where the last one ends, and differs in nothing else. Says
    /// whether it does.
    pub(crate) fn join(&mut self, packet: &[u8], headers: &Headers) -> bool {
        let (Some(first), Some(tcp)) = (&self.first, headers.tcp()) else {
            return false;
        };
        let payload = headers.payload_range();
        let goes_on = tcp.seq == self.next
            && headers.key() == first.key()
            && plain(packet, headers)
            && !payload.is_empty()
            && self.bytes.len() + payload.len() <= LONGEST
            && same(&self.bytes, first, packet, headers);
        if goes_on {
            let flags = headers.transport_range().start + FLAGS;
            self.bytes[first.transport_range().start + FLAGS] |= packet[flags];
            self.next = self.next.wrapping_add(payload.len() as u32);
            self.bytes.extend_from_slice(&packet[payload]);
            self.segments += 1;
        }
        goes_on
    }

    /// How many have been joined, at least 1 once one has begun.
    pub(crate) fn segments(&self) -> usize {
        self.segments
    }

    /// What has been joined, as one packet.
    pub(crate) fn take(&mut self) -> Option<(&mut [u8], Headers)> {
        let first = self.first.take()?;
        if self.segments == 1 {
            return Some((&mut self.bytes, first));
        }
        let len = self.bytes.len();
        // At most `LONGEST`.
        if first.key().is_ipv6() {
            let mut ip = Ipv6Packet::new_unchecked(&mut self.bytes);
            ip.set_payload_len((len - IPV6_HEADER_LEN) as u16);
        } else {
            let mut ip = Ipv4Packet::new_unchecked(&mut self.bytes);
            ip.set_total_len(len as u16);
            ip.fill_checksum();
        }
        let headers = Headers::parse(&self.bytes).ok()?;
        Some((&mut self.bytes, headers))
    }
}

/// Where these stand in a TCP header (RFC 9293, 3.1).
const ACK: Range<usize> = 8..12;
const FLAGS: usize = 13;
const WINDOW: Range<usize> = 14..16;
const OPTIONS: usize = 20;

/// PSH says nothing to a stack that delivers at once.
const PSH: u8 = 8;
const ONLY_ACK: u8 = 16;

/// Whether the packet is one of data and nothing else.
fn plain(packet: &[u8], headers: &Headers) -> bool {
    packet[headers.transport_range().start + FLAGS] & !PSH == ONLY_ACK && !headers.has_options()
}

/// Whether acknowledgement, window and options are the same.
fn same(one: &[u8], first: &Headers, other: &[u8], headers: &Headers) -> bool {
    let from = |headers: &Headers| headers.transport_range().start..headers.payload_range().start;
    let (one, other) = (&one[from(first)], &other[from(headers)]);
    one.len() == other.len()
        && one[ACK] == other[ACK]
        && one[WINDOW] == other[WINDOW]
        && one[OPTIONS..] == other[OPTIONS..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::Segment;
    use brooklet_packet::FlowKey;
    use smoltcp::wire::TcpControl;

    fn packet(ends: [&str; 2], segment: Segment<'_>) -> (Vec<u8>, Headers) {
        let [from, to] = ends.map(|end| end.parse().unwrap());
        let packet = segment.packet(FlowKey::new(from, to).unwrap());
        let headers = Headers::parse(&packet).unwrap();
        (packet, headers)
    }

    const V4: [&str; 2] = ["10.0.0.1:80", "10.0.0.2:1234"];
    const V6: [&str; 2] = ["[fd00::1]:80", "[fd00::2]:1234"];

    fn data(seq: u32, payload: &[u8]) -> Segment<'_> {
        Segment {
            seq,
            ack: Some(7),
            window: 9,
            timestamp: Some((3, 4)),
            payload,
            ..Segment::default()
        }
    }

    #[test]
    fn what_goes_on_is_joined() {
        for ends in [V4, V6] {
            let mut train = Train::default();
            let (one, headers) = packet(ends, data(u32::MAX - 99, &[1; 1000]));
            assert!(train.begin(&one, &headers));
            let (two, headers) = packet(ends, data(900, &[2; 1000]));
            assert!(train.join(&two, &headers));
            let last = Segment {
                control: TcpControl::Psh,
                ..data(1900, &[3; 10])
            };
            let (three, headers) = packet(ends, last);
            assert!(train.join(&three, &headers));
            let (bytes, headers) = train.take().unwrap();
            assert_eq!(headers.total_len(), bytes.len());
            let tcp = headers.tcp().unwrap();
            assert_eq!((tcp.seq, tcp.ack, tcp.window), (u32::MAX - 99, 7, 9));
            assert!(tcp.flags.psh());
            let payload = &bytes[headers.payload_range()];
            assert!(payload == [&[1; 1000][..], &[2; 1000], &[3; 10]].concat());
            assert!(train.take().is_none());
        }
    }

    #[test]
    fn what_differs_is_not() {
        let (one, headers) = packet(V4, data(100, &[1; 1000]));
        let mut train = Train::default();
        assert!(train.begin(&one, &headers));
        let other_port = ["10.0.0.1:80", "10.0.0.2:1235"];
        for (ends, segment) in [
            (V4, data(1101, &[2; 1000])),
            (V4, data(1099, &[2; 1000])),
            (other_port, data(1100, &[2; 1000])),
            (V4, data(1100, &[])),
            (
                V4,
                Segment {
                    control: TcpControl::Fin,
                    ..data(1100, &[2; 10])
                },
            ),
            (
                V4,
                Segment {
                    ack: Some(8),
                    ..data(1100, &[2; 10])
                },
            ),
            (
                V4,
                Segment {
                    window: 8,
                    ..data(1100, &[2; 10])
                },
            ),
            (
                V4,
                Segment {
                    timestamp: Some((4, 4)),
                    ..data(1100, &[2; 10])
                },
            ),
            (
                V4,
                Segment {
                    timestamp: None,
                    ..data(1100, &[2; 10])
                },
            ),
        ] {
            let (packet, headers) = packet(ends, segment);
            assert!(!train.join(&packet, &headers), "{segment:?}");
        }
        assert!(train.take().unwrap().0 == one);
    }

    #[test]
    fn it_ends_before_it_is_too_long_for_a_packet() {
        let mut train = Train::default();
        let (first, headers) = packet(V4, data(0, &[0; 1400]));
        assert!(train.begin(&first, &headers));
        let mut next = 1400;
        loop {
            let (packet, headers) = packet(V4, data(next, &[0; 1400]));
            if !train.join(&packet, &headers) {
                break;
            }
            next += 1400;
        }
        let (bytes, headers) = train.take().unwrap();
        assert_eq!(bytes.len(), 52 + next as usize);
        assert!(bytes.len() > LONGEST - 1400);
        assert_eq!(headers.payload_range().len(), next as usize);
    }

    #[test]
    fn little_data_and_control_do_not_begin_one() {
        let mut train = Train::default();
        let syn = Segment {
            control: TcpControl::Syn,
            ..data(0, &[0; 1000])
        };
        for segment in [syn, data(0, &[0; LEAST - 1])] {
            let (packet, headers) = packet(V4, segment);
            assert!(!train.begin(&packet, &headers));
            assert!(train.take().is_none());
        }
    }
}
