//! IPv4 packets: written fast, and read as far as the clients and the attacks need them.

use std::net::Ipv4Addr;

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const PSH: u8 = 8;
pub(crate) const ACK: u8 = 16;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// An address and a port.
pub(crate) type End = (Ipv4Addr, u16);

/// Packets behind each other in one buffer.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Batch {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The bytes of all packets.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Appends the packet that `write` appends to the buffer.
    pub(crate) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins
            .zip(&self.ends)
            .map(|(begin, end)| &self.bytes[begin..*end])
    }

    /// Removes the first packets.
    pub(crate) fn remove(&mut self, packets: usize) {
        let Some(bytes) = packets.checked_sub(1).map(|last| self.ends[last]) else {
            return;
        };
        self.bytes.drain(..bytes);
        self.ends.drain(..packets);
        self.ends.iter_mut().for_each(|end| *end -= bytes);
    }
}

/// A TCP segment to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment<'a> {
    pub(crate) from: End,
    pub(crate) to: End,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    /// A multiple of four bytes.
    pub(crate) options: &'a [u8],
    pub(crate) data: &'a [u8],
}

impl Segment<'_> {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let len = 20 + self.options.len() + self.data.len();
        header(out, self.from.0, self.to.0, TCP, len, 0, 0);
        let at = out.len();
        out.extend(self.from.1.to_be_bytes());
        out.extend(self.to.1.to_be_bytes());
        out.extend(self.seq.to_be_bytes());
        out.extend(self.ack.to_be_bytes());
        out.extend([((20 + self.options.len()) as u8 / 4) << 4, self.flags]);
        out.extend(self.window.to_be_bytes());
        out.extend([0; 4]);
        out.extend(self.options);
        out.extend(self.data);
        let sum = pseudo(self.from.0, self.to.0, TCP, len) + sum(&out[at..]);
        out[at + 16..at + 18].copy_from_slice(&fold(sum).to_be_bytes());
    }
}

/// Writes a datagram.
pub(crate) fn udp(out: &mut Vec<u8>, from: End, to: End, data: &[u8]) {
    let len = 8 + data.len();
    header(out, from.0, to.0, UDP, len, 0, 0);
    let at = out.len();
    out.extend(from.1.to_be_bytes());
    out.extend(to.1.to_be_bytes());
    out.extend((len as u16).to_be_bytes());
    out.extend([0; 2]);
    out.extend(data);
    let sum = match fold(pseudo(from.0, to.0, UDP, len) + sum(&out[at..])) {
        0 => 0xffff,
        sum => sum,
    };
    out[at + 6..at + 8].copy_from_slice(&sum.to_be_bytes());
}

/// Writes an ICMP message, whose `body` follows the checksum.
pub(crate) fn icmp(out: &mut Vec<u8>, from: Ipv4Addr, to: Ipv4Addr, kind: [u8; 2], body: &[u8]) {
    header(out, from, to, ICMP, 4 + body.len(), 0, 0);
    let at = out.len();
    out.extend(kind);
    out.extend([0; 2]);
    out.extend(body);
    let sum = fold(sum(&out[at..]));
    out[at + 2..at + 4].copy_from_slice(&sum.to_be_bytes());
}

/// Writes a fragment of a UDP datagram. `offset` is a multiple of eight bytes.
pub(crate) fn fragment(
    out: &mut Vec<u8>,
    from: Ipv4Addr,
    to: Ipv4Addr,
    id: u16,
    offset: usize,
    more: bool,
    payload: &[u8],
) {
    let field = (offset / 8) as u16 | if more { 0x2000 } else { 0 };
    header(out, from, to, UDP, payload.len(), id, field);
    out.extend(payload);
}

fn header(
    out: &mut Vec<u8>,
    from: Ipv4Addr,
    to: Ipv4Addr,
    protocol: u8,
    payload: usize,
    id: u16,
    fragment: u16,
) {
    let at = out.len();
    out.extend([0x45, 0]);
    out.extend((20 + payload as u16).to_be_bytes());
    out.extend(id.to_be_bytes());
    out.extend(fragment.to_be_bytes());
    out.extend([64, protocol, 0, 0]);
    out.extend(from.octets());
    out.extend(to.octets());
    let sum = fold(sum(&out[at..]));
    out[at + 10..at + 12].copy_from_slice(&sum.to_be_bytes());
}

fn pseudo(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, len: usize) -> u64 {
    sum(&from.octets()) + sum(&to.octets()) + u64::from(protocol) + len as u64
}

fn sum(bytes: &[u8]) -> u64 {
    let words = bytes.chunks_exact(2);
    let odd = words
        .remainder()
        .first()
        .map_or(0, |odd| u64::from(*odd) << 8);
    odd + words
        .map(|word| u64::from(u16::from_be_bytes([word[0], word[1]])))
        .sum::<u64>()
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// A packet that was received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) to: Ipv4Addr,
    pub(crate) content: Content<'a>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Content<'a> {
    Tcp(Received<'a>),
    Udp(&'a [u8]),
    Other,
}

/// A TCP segment that was received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received<'a> {
    pub(crate) from: u16,
    pub(crate) to: u16,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) timestamp: Option<u32>,
    pub(crate) data: &'a [u8],
}

impl Received<'_> {
    pub(crate) fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    /// The sequence number behind data, SYN and FIN.
    pub(crate) fn end(&self) -> u32 {
        let flags = u32::from(self.has(SYN)) + u32::from(self.has(FIN));
        self.seq.wrapping_add(self.data.len() as u32 + flags)
    }
}

/// Reads an IPv4 packet. Anything else is `None`.
pub(crate) fn parse(packet: &[u8]) -> Option<Seen<'_>> {
    let header = packet.get(..20)?;
    if header[0] >> 4 != 4 {
        return None;
    }
    let address =
        |at: usize| Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]);
    let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let payload = packet.get(usize::from(header[0] & 15) * 4..len.min(packet.len()))?;
    let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
    let content = match header[9] {
        TCP if !fragment => tcp(payload).map(Content::Tcp),
        UDP if !fragment => payload.get(8..).map(Content::Udp),
        _ => None,
    };
    Some(Seen {
        to: address(16),
        content: content.unwrap_or(Content::Other),
    })
}

fn tcp(payload: &[u8]) -> Option<Received<'_>> {
    let header = payload.get(..20)?;
    let half = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let word = |at: usize| u32::from(half(at)) << 16 | u32::from(half(at + 2));
    let options = usize::from(header[12] >> 4) * 4;
    Some(Received {
        from: half(0),
        to: half(2),
        seq: word(4),
        ack: word(8),
        flags: header[13],
        timestamp: timestamp(payload.get(20..options)?),
        data: payload.get(options..)?,
    })
}

fn timestamp(mut options: &[u8]) -> Option<u32> {
    loop {
        match options {
            [1, rest @ ..] => options = rest,
            [8, 10, a, b, c, d, ..] => return Some(u32::from_be_bytes([*a, *b, *c, *d])),
            [2..=7 | 9..=u8::MAX, len @ 2..=u8::MAX, ..] => {
                options = options.get(usize::from(*len)..)?
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: End = (Ipv4Addr::new(10, 0, 0, 2), 1000);
    const TO: End = (Ipv4Addr::new(10, 0, 0, 1), 7);

    #[test]
    fn a_written_segment_is_read_back_and_its_checksums_are_right() {
        let mut batch = Batch::default();
        let segment = Segment {
            from: FROM,
            to: TO,
            seq: 5,
            ack: 9,
            flags: ACK | PSH,
            window: 100,
            options: &[1, 1, 8, 10, 0, 0, 0, 3, 0, 0, 0, 0],
            data: b"odd",
        };
        batch.push(|out| segment.write(out));
        let packet = batch.iter().next().unwrap();
        assert_eq!(fold(sum(&packet[..20])), 0);
        assert_eq!(fold(pseudo(FROM.0, TO.0, TCP, 35) + sum(&packet[20..])), 0);
        let Some(Seen {
            content: Content::Tcp(read),
            ..
        }) = parse(packet)
        else {
            panic!("no segment");
        };
        assert_eq!((read.seq, read.ack, read.end()), (5, 9, 8));
        assert_eq!((read.timestamp, read.data), (Some(3), &b"odd"[..]));
    }

    #[test]
    fn the_packets_that_were_sent_leave_a_batch() {
        let mut batch = Batch::default();
        for data in [b"a", b"b", b"c"] {
            batch.push(|out| udp(out, FROM, TO, data));
        }
        batch.remove(2);
        let left: Vec<_> = batch.iter().map(|packet| packet[28]).collect();
        assert_eq!(left, [b'c']);
    }
}
