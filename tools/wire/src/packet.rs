//! Packets as bytes, and bytes as packets: whatever is sent can be wrong on purpose, whatever is
//! received must be right.

use etherparse::checksum::Sum16BitWords;
use etherparse::{
    IpFragOffset, IpNumber, Ipv4Header, Ipv4Options, Ipv6Header, NetSlice, SlicedPacket,
    TcpOptionElement, TransportSlice,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const PSH: u8 = 8;
pub(crate) const ACK: u8 = 16;
pub(crate) const URG: u8 = 32;

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMPV6: u8 = 58;

/// A TCP segment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seg {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    pub(crate) urgent: u16,
    pub(crate) options: Options,
    pub(crate) data: Vec<u8>,
}

/// The options of a segment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Options {
    pub(crate) mss: Option<u16>,
    pub(crate) scale: Option<u8>,
    pub(crate) sack_ok: bool,
    pub(crate) sack: Vec<(u32, u32)>,
    pub(crate) stamps: Option<(u32, u32)>,
    /// Sent behind the others as they are.
    pub(crate) raw: Vec<u8>,
}

impl Options {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Some(mss) = self.mss {
            bytes.extend([2, 4]);
            bytes.extend(mss.to_be_bytes());
        }
        if let Some(scale) = self.scale {
            bytes.extend([1, 3, 3, scale]);
        }
        if self.sack_ok {
            bytes.extend([1, 1, 4, 2]);
        }
        if let Some((value, echo)) = self.stamps {
            bytes.extend([1, 1, 8, 10]);
            bytes.extend(value.to_be_bytes());
            bytes.extend(echo.to_be_bytes());
        }
        if !self.sack.is_empty() {
            bytes.extend([1, 1, 5, 2 + 8 * self.sack.len() as u8]);
            for (left, right) in &self.sack {
                bytes.extend(left.to_be_bytes());
                bytes.extend(right.to_be_bytes());
            }
        }
        bytes.extend(&self.raw);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }
}

impl Seg {
    pub(crate) fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    /// The sequence number behind data, SYN and FIN.
    pub(crate) fn end(&self) -> u32 {
        let flags = u32::from(self.has(SYN)) + u32::from(self.has(FIN));
        self.seq.wrapping_add(self.data.len() as u32 + flags)
    }

    /// Header and data, with the right checksum.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let options = self.options.bytes();
        let mut bytes = Vec::with_capacity(20 + options.len() + self.data.len());
        bytes.extend(self.from.port().to_be_bytes());
        bytes.extend(self.to.port().to_be_bytes());
        bytes.extend(self.seq.to_be_bytes());
        bytes.extend(self.ack.to_be_bytes());
        bytes.extend([((20 + options.len()) as u8 / 4) << 4, self.flags]);
        bytes.extend(self.window.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(self.urgent.to_be_bytes());
        bytes.extend(&options);
        bytes.extend(&self.data);
        fill_checksum(&mut bytes, 16, self.from.ip(), self.to.ip(), TCP);
        bytes
    }

    /// The whole packet.
    pub(crate) fn packet(&self) -> Vec<u8> {
        ip(self.from.ip(), self.to.ip(), TCP, &self.bytes())
    }
}

/// A UDP header and its data, with the right checksum.
pub(crate) fn udp(from: SocketAddr, to: SocketAddr, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + data.len());
    bytes.extend(from.port().to_be_bytes());
    bytes.extend(to.port().to_be_bytes());
    bytes.extend((8 + data.len() as u16).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(data);
    fill_checksum(&mut bytes, 6, from.ip(), to.ip(), UDP);
    bytes
}

/// An ICMP message with the right checksum: `body` follows the checksum.
pub(crate) fn icmp(from: IpAddr, to: IpAddr, kind: u8, code: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, code, 0, 0];
    bytes.extend(body);
    let protocol = if from.is_ipv4() { ICMP } else { ICMPV6 };
    fill_checksum(&mut bytes, 2, from, to, protocol);
    bytes
}

/// Puts a checksum of transport bytes where it belongs.
pub(crate) fn fill_checksum(bytes: &mut [u8], at: usize, from: IpAddr, to: IpAddr, protocol: u8) {
    bytes[at..at + 2].fill(0);
    let sum = checksum(bytes, from, to, protocol);
    let sum = if sum == 0 && protocol == UDP {
        0xffff
    } else {
        sum
    };
    bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

/// The Internet checksum of transport bytes, with the pseudo-header that goes with the protocol.
fn checksum(bytes: &[u8], from: IpAddr, to: IpAddr, protocol: u8) -> u16 {
    let sum = Sum16BitWords::new().add_slice(bytes);
    if protocol == ICMP {
        return sum.ones_complement().to_be();
    }
    let len = (bytes.len() as u32).to_be_bytes();
    let sum = sum.add_slice(&len).add_2bytes([0, protocol]);
    let sum = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => sum.add_slice(&from.octets()).add_slice(&to.octets()),
        (IpAddr::V6(from), IpAddr::V6(to)) => sum.add_slice(&from.octets()).add_slice(&to.octets()),
        _ => unreachable!("both addresses are of one version"),
    };
    sum.ones_complement().to_be()
}

/// An IP packet around `payload`.
pub(crate) fn ip(from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => ipv4(from, to, protocol, payload, |_| ()),
        (IpAddr::V6(from), IpAddr::V6(to)) => ipv6(from, to, protocol, payload),
        _ => unreachable!("both addresses are of one version"),
    }
}

/// An IPv4 packet around `payload`, its header changed by `change` before its checksum is made.
pub(crate) fn ipv4(
    from: Ipv4Addr,
    to: Ipv4Addr,
    protocol: u8,
    payload: &[u8],
    change: impl FnOnce(&mut Ipv4Header),
) -> Vec<u8> {
    let mut header = Ipv4Header {
        time_to_live: 64,
        protocol: IpNumber(protocol),
        source: from.octets(),
        destination: to.octets(),
        identification: 7,
        ..Ipv4Header::default()
    };
    change(&mut header);
    header.total_len = (header.header_len() + payload.len()) as u16;
    header.header_checksum = header.calc_header_checksum();
    let mut bytes = header.to_bytes().to_vec();
    bytes.extend(payload);
    bytes
}

/// Makes a fragment of an IPv4 packet. `offset` is in bytes.
pub(crate) fn fragment(id: u16, offset: usize, more: bool) -> impl FnOnce(&mut Ipv4Header) {
    move |header| {
        header.identification = id;
        header.more_fragments = more;
        header.fragment_offset =
            IpFragOffset::try_new((offset / 8) as u16).expect("13 bits of an offset");
    }
}

/// Options of an IPv4 header.
pub(crate) fn options(bytes: &[u8]) -> Ipv4Options {
    bytes.try_into().expect("a multiple of four, at most 40")
}

/// Makes the header checksum of an IPv4 packet right again.
pub(crate) fn fill_header_checksum(packet: &mut [u8]) {
    let len = usize::from(packet[0] & 15) * 4;
    let len = len.clamp(20, packet.len());
    packet[10..12].fill(0);
    let sum = Sum16BitWords::new()
        .add_slice(&packet[..len])
        .ones_complement()
        .to_be();
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// An IPv6 packet around `payload`, whose first header is `next`.
pub(crate) fn ipv6(from: Ipv6Addr, to: Ipv6Addr, next: u8, payload: &[u8]) -> Vec<u8> {
    let header = Ipv6Header {
        payload_length: payload.len() as u16,
        next_header: IpNumber(next),
        hop_limit: 64,
        source: from.octets(),
        destination: to.octets(),
        ..Ipv6Header::default()
    };
    let mut bytes = header.to_bytes().to_vec();
    bytes.extend(payload);
    bytes
}

/// A fragment header of IPv6 and its part of the payload. `offset` is in bytes.
pub(crate) fn ipv6_fragment(
    next: u8,
    id: u32,
    offset: usize,
    more: bool,
    payload: &[u8],
) -> Vec<u8> {
    let mut bytes = vec![next, 0];
    bytes.extend((offset as u16 | u16::from(more)).to_be_bytes());
    bytes.extend(id.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A packet that was received.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    /// When, since the case began.
    pub(crate) at: Duration,
    pub(crate) from: IpAddr,
    pub(crate) to: IpAddr,
    /// The whole packet.
    pub(crate) bytes: Vec<u8>,
    pub(crate) what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    Tcp(Seg),
    Udp(Datagram),
    Icmp(Message),
    Fragment(Fragment),
    Other(u8),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Datagram {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) checksum: u16,
    pub(crate) data: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    pub(crate) kind: u8,
    pub(crate) code: u8,
    /// What follows the checksum.
    pub(crate) body: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fragment {
    pub(crate) id: u32,
    /// Of the packet.
    pub(crate) protocol: u8,
    pub(crate) offset: usize,
    pub(crate) more: bool,
    pub(crate) payload: Vec<u8>,
}

impl Packet {
    /// Reads a packet, whose lengths and checksums must be right.
    pub(crate) fn parse(at: Duration, bytes: &[u8]) -> Result<Self, String> {
        let sliced = SlicedPacket::from_ip(bytes).map_err(|error| error.to_string())?;
        let (from, to, len, fragment, payload) = match &sliced.net {
            Some(NetSlice::Ipv4(ip)) => {
                let header = ip.header().to_header();
                if header.calc_header_checksum() != header.header_checksum {
                    return Err("a wrong checksum of the IPv4 header".into());
                }
                let fragment = ip.is_payload_fragmented().then_some((
                    u32::from(header.identification),
                    usize::from(header.fragment_offset.byte_offset()),
                    header.more_fragments,
                ));
                (
                    IpAddr::V4(ip.header().source_addr()),
                    IpAddr::V4(ip.header().destination_addr()),
                    usize::from(header.total_len),
                    fragment,
                    ip.payload(),
                )
            }
            Some(NetSlice::Ipv6(ip)) => {
                let payload = ip.payload();
                let fragment = ip.is_payload_fragmented().then(|| fragment_facts(bytes));
                (
                    IpAddr::V6(ip.header().source_addr()),
                    IpAddr::V6(ip.header().destination_addr()),
                    40 + usize::from(ip.header().payload_length()),
                    fragment,
                    payload,
                )
            }
            _ => return Err("neither IPv4 nor IPv6".into()),
        };
        if len != bytes.len() {
            return Err(format!("a length of {len} in a packet of {}", bytes.len()));
        }
        let protocol = payload.ip_number.0;
        let whole = payload.payload;
        let what = match (&sliced.transport, fragment) {
            (_, Some((id, offset, more))) => What::Fragment(Fragment {
                id,
                protocol,
                offset,
                more,
                payload: whole.to_vec(),
            }),
            (Some(TransportSlice::Tcp(tcp)), _) => {
                let mut options = Options::default();
                for option in tcp.options_iterator() {
                    match option.map_err(|error| error.to_string())? {
                        TcpOptionElement::Noop => {}
                        TcpOptionElement::MaximumSegmentSize(mss) => options.mss = Some(mss),
                        TcpOptionElement::WindowScale(scale) => options.scale = Some(scale),
                        TcpOptionElement::SelectiveAcknowledgementPermitted => {
                            options.sack_ok = true;
                        }
                        TcpOptionElement::SelectiveAcknowledgement(first, more) => {
                            options.sack.push(first);
                            options.sack.extend(more.iter().flatten());
                        }
                        TcpOptionElement::Timestamp(value, echo) => {
                            options.stamps = Some((value, echo));
                        }
                    }
                }
                What::Tcp(Seg {
                    from: SocketAddr::new(from, tcp.source_port()),
                    to: SocketAddr::new(to, tcp.destination_port()),
                    seq: tcp.sequence_number(),
                    ack: tcp.acknowledgment_number(),
                    flags: whole[13] & 63,
                    window: tcp.window_size(),
                    urgent: tcp.urgent_pointer(),
                    options,
                    data: tcp.payload().to_vec(),
                })
            }
            (Some(TransportSlice::Udp(udp)), _) => What::Udp(Datagram {
                from: SocketAddr::new(from, udp.source_port()),
                to: SocketAddr::new(to, udp.destination_port()),
                checksum: udp.checksum(),
                data: udp.payload().to_vec(),
            }),
            (Some(TransportSlice::Icmpv4(_) | TransportSlice::Icmpv6(_)), _) => {
                What::Icmp(Message {
                    kind: whole[0],
                    code: whole[1],
                    body: whole[4..].to_vec(),
                })
            }
            _ => What::Other(protocol),
        };
        // The sum over bytes that contain their own right checksum is zero.
        if matches!(what, What::Tcp(_) | What::Udp(_) | What::Icmp(_))
            && checksum(whole, from, to, protocol) != 0
        {
            return Err(format!("a wrong checksum: {what:?}"));
        }
        Ok(Self {
            at,
            from,
            to,
            bytes: bytes.to_vec(),
            what,
        })
    }

    pub(crate) fn tcp(&self) -> Option<&Seg> {
        match &self.what {
            What::Tcp(seg) => Some(seg),
            _ => None,
        }
    }

    pub(crate) fn udp(&self) -> Option<&Datagram> {
        match &self.what {
            What::Udp(datagram) => Some(datagram),
            _ => None,
        }
    }

    pub(crate) fn icmp(&self) -> Option<&Message> {
        match &self.what {
            What::Icmp(message) => Some(message),
            _ => None,
        }
    }

    /// In one line.
    pub(crate) fn show(&self) -> String {
        let (from, to) = (self.from, self.to);
        match &self.what {
            What::Tcp(seg) => show(seg),
            What::Udp(udp) => {
                format!("{} > {} UDP, {} bytes", udp.from, udp.to, udp.data.len())
            }
            What::Icmp(message) => {
                let Message { kind, code, body } = message;
                format!("{from} > {to} ICMP {kind}/{code}, {} bytes", body.len())
            }
            What::Fragment(part) => format!(
                "{from} > {to} fragment {}+{}{}",
                part.offset,
                part.payload.len(),
                if part.more { "+" } else { "" }
            ),
            What::Other(protocol) => format!("{from} > {to} protocol {protocol}"),
        }
    }
}

/// Identification, offset and "more" of an IPv6 fragment.
fn fragment_facts(bytes: &[u8]) -> (u32, usize, bool) {
    let (mut kind, mut at) = (bytes[6], 40);
    while kind != 44 {
        kind = bytes[at];
        at += (usize::from(bytes[at + 1]) + 1) * 8;
    }
    let field = usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
    let id = [bytes[at + 4], bytes[at + 5], bytes[at + 6], bytes[at + 7]];
    (u32::from_be_bytes(id), field & !7, field & 1 == 1)
}

/// A segment in one line.
fn show(seg: &Seg) -> String {
    let flags: String = [
        (SYN, 'S'),
        (FIN, 'F'),
        (RST, 'R'),
        (PSH, 'P'),
        (ACK, '.'),
        (URG, 'U'),
    ]
    .iter()
    .filter(|(flag, _)| seg.has(*flag))
    .map(|(_, name)| *name)
    .collect();
    let mut line = format!(
        "{} > {} [{flags}] seq {} ack {} win {}, {} bytes",
        seg.from,
        seg.to,
        seg.seq,
        seg.ack,
        seg.window,
        seg.data.len()
    );
    if seg.options != Options::default() {
        line += &format!(" {:?}", seg.options);
    }
    line
}
