//! Segments that smoltcp does not make.

use brooklet_packet::{FlowKey, Headers};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    IPV6_HEADER_LEN, IpAddress, IpProtocol, IpRepr, Ipv4Packet, Ipv6Packet, TcpControl, TcpPacket,
    TcpRepr, TcpSeqNumber, TcpTimestampRepr,
};

/// A TCP segment before it is one. By default an empty acknowledgement of nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment<'a> {
    pub(crate) control: TcpControl,
    pub(crate) seq: u32,
    pub(crate) ack: Option<u32>,
    pub(crate) window: u16,
    pub(crate) mss: Option<u16>,
    pub(crate) scale: Option<u8>,
    pub(crate) sack_permitted: bool,
    /// What has been received beyond the acknowledgement (RFC 2018), the latest first.
    pub(crate) sack: [Option<(u32, u32)>; 3],
    /// TSval and TSecr (RFC 7323).
    pub(crate) timestamp: Option<(u32, u32)>,
    pub(crate) ttl: u8,
    pub(crate) payload: &'a [u8],
}

impl Default for Segment<'_> {
    fn default() -> Self {
        Self {
            control: TcpControl::None,
            seq: 0,
            ack: None,
            window: 0,
            mss: None,
            scale: None,
            sack_permitted: false,
            sack: [None; 3],
            timestamp: None,
            ttl: 64,
            payload: &[],
        }
    }
}

impl Segment<'_> {
    /// The packet that carries it from the source of `key` to its destination.
    pub(crate) fn packet(&self, key: FlowKey) -> Vec<u8> {
        let (ip, tcp) = self.parts(key);
        let mut out = vec![0; ip.buffer_len()];
        emit(&ip, &tcp, &mut out);
        out
    }

    /// The same at the beginning of `out`, for one that has little or no data.
    pub(crate) fn packet_in<'a>(&self, key: FlowKey, out: &'a mut [u8; BRIEF]) -> &'a mut [u8] {
        let (ip, tcp) = self.parts(key);
        let out = &mut out[..ip.buffer_len()];
        emit(&ip, &tcp, out);
        out
    }

    fn parts(&self, key: FlowKey) -> (IpRepr, TcpRepr<'_>) {
        let (from, to) = (key.source(), key.destination());
        let tcp = TcpRepr {
            src_port: from.port(),
            dst_port: to.port(),
            control: self.control,
            seq_number: TcpSeqNumber(self.seq as i32),
            ack_number: self.ack.map(|ack| TcpSeqNumber(ack as i32)),
            window_len: self.window,
            window_scale: self.scale,
            max_seg_size: self.mss,
            sack_permitted: self.sack_permitted,
            sack_ranges: self.sack,
            timestamp: self
                .timestamp
                .map(|(val, ecr)| TcpTimestampRepr::new(val, ecr)),
            payload: self.payload,
        };
        let (from, to): (IpAddress, IpAddress) = (from.ip().into(), to.ip().into());
        let ip = IpRepr::new(from, to, IpProtocol::Tcp, tcp.buffer_len(), self.ttl);
        (ip, tcp)
    }
}

/// The longest packet of [`Segment::packet_in`]: the header of IPv6, the longest of TCP, and a few
/// bytes.
pub(crate) const BRIEF: usize = IPV6_HEADER_LEN + 60 + 4;

fn emit(ip: &IpRepr, tcp: &TcpRepr<'_>, out: &mut [u8]) {
    let checksums = ChecksumCapabilities::default();
    ip.emit(&mut *out, &checksums);
    let mut segment = TcpPacket::new_unchecked(&mut out[ip.header_len()..]);
    tcp.emit(&mut segment, &ip.src_addr(), &ip.dst_addr(), &checksums);
}

/// Where TCP begins in a packet that smoltcp made, which writes no extension headers.
pub(crate) fn behind_ip(packet: &[u8]) -> usize {
    match packet.first() {
        Some(first) if first >> 4 == 4 => {
            usize::from(Ipv4Packet::new_unchecked(packet).header_len())
        }
        _ => IPV6_HEADER_LEN,
    }
}

/// The packet up to its data, with an IP header that says so. Data in a SYN is not taken, so it is
/// not kept either. The TCP checksum, already verified, is not kept up to date.
pub(crate) fn without_data<'a>(packet: &'a mut [u8], headers: &Headers) -> &'a [u8] {
    let len = headers.payload_range().start;
    let packet = &mut packet[..len];
    // No header is longer than its length field can say.
    if headers.key().is_ipv6() {
        Ipv6Packet::new_unchecked(&mut *packet).set_payload_len((len - IPV6_HEADER_LEN) as u16);
    } else {
        let mut ip = Ipv4Packet::new_unchecked(&mut *packet);
        ip.set_total_len(len as u16);
        ip.fill_checksum();
    }
    packet
}

#[cfg(test)]
mod tests {
    use super::*;
    use brooklet_packet::Packet;

    #[test]
    fn an_acknowledgement_parses_back() {
        for (from, to) in [
            ("10.0.0.1:80", "10.0.0.2:1234"),
            ("[fd00::1]:80", "[fd00::2]:1234"),
        ] {
            let key = FlowKey::new(from.parse().unwrap(), to.parse().unwrap()).unwrap();
            let out = Segment {
                seq: 7,
                ack: Some(0xffff_fff0),
                sack: [Some((1, 5)), None, None],
                timestamp: Some((3, 4)),
                ..Segment::default()
            }
            .packet(key);
            let packet = Packet::parse(&out).unwrap();
            assert!(packet.verify_checksum());
            assert_eq!(packet.key(), key);
            let tcp = packet.tcp().unwrap();
            assert_eq!((tcp.seq, tcp.ack, tcp.window), (7, 0xffff_fff0, 0));
            assert!(tcp.flags.ack() && !tcp.flags.syn() && !tcp.flags.fin());
        }
    }
}
