//! Outgoing segments, and the options of incoming segments.
//!
//! Every header field is read and written through `smoltcp::wire`.

mod options;

pub(crate) use self::options::{Options, each as each_option};

use brooklet_io::PacketBuf;
use brooklet_packet::{FlowKey, TrafficClass, tcp};
use smoltcp::phy::{Checksum, ChecksumCapabilities};
use smoltcp::wire::{
    IPV4_HEADER_LEN, IPV6_HEADER_LEN, IpProtocol, Ipv4Packet, Ipv4Repr, Ipv6Packet, Ipv6Repr,
    TcpControl, TcpOption, TcpPacket, TcpSeqNumber,
};
use std::net::IpAddr;

/// The longest TCP header: 15 words of 32 bits (RFC 9293, 3.1).
const MAX_HEADER: usize = 60;

/// A TCP segment without its data. By default an ACK of nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) control: TcpControl,
    pub(crate) push: bool,
    pub(crate) seq: u32,
    pub(crate) ack: Option<u32>,
    pub(crate) window: u16,
    pub(crate) mss: Option<u16>,
    pub(crate) window_scale: Option<u8>,
    pub(crate) sack_permitted: bool,
    /// Blocks of the SACK option (RFC 2018), the most recent first.
    pub(crate) sack: [Option<(u32, u32)>; 3],
    /// TSval and TSecr (RFC 7323).
    pub(crate) timestamp: Option<(u32, u32)>,
    pub(crate) ttl: u8,
    pub(crate) traffic_class: TrafficClass,
}

impl Default for Segment {
    fn default() -> Self {
        Self {
            control: TcpControl::None,
            push: false,
            seq: 0,
            ack: None,
            window: 0,
            mss: None,
            window_scale: None,
            sack_permitted: false,
            sack: [None; 3],
            timestamp: None,
            ttl: 64,
            traffic_class: TrafficClass::default(),
        }
    }
}

impl Segment {
    /// Writes the packet that carries the segment from the source of `key` to its destination.
    pub(crate) fn packet(&self, key: FlowKey) -> Vec<u8> {
        let mut packet = PacketBuf::default();
        self.write(key, (&[], &[]), true, &mut packet);
        packet.into_vec()
    }

    /// Writes the packet that carries the segment and `data` from the source of `key` to its
    /// destination. Without `checksum` the field of the TCP checksum holds 0.
    ///
    /// `data` comes in two pieces, as a ring holds it.
    pub(crate) fn write(
        &self,
        key: FlowKey,
        data: (&[u8], &[u8]),
        checksum: bool,
        packet: &mut PacketBuf,
    ) {
        let mut options = [0; MAX_HEADER - 20];
        let option_len = self.write_options(&mut options);
        let header_len = 20 + option_len;
        let tcp_len = header_len + data.0.len() + data.1.len();
        let ip_len = self.write_ip(key, tcp_len, packet);
        let segment = &mut packet[ip_len..];
        let mut tcp = TcpPacket::new_unchecked(&mut *segment);
        let (source, destination) = key.ports();
        tcp.set_src_port(source);
        tcp.set_dst_port(destination);
        tcp.set_seq_number(TcpSeqNumber(self.seq as i32));
        tcp.set_ack_number(TcpSeqNumber(self.ack.unwrap_or(0) as i32));
        tcp.clear_flags();
        tcp.set_header_len(header_len as u8); // at most MAX_HEADER
        match self.control {
            TcpControl::None => {}
            TcpControl::Psh => tcp.set_psh(true),
            TcpControl::Syn => tcp.set_syn(true),
            TcpControl::Fin => tcp.set_fin(true),
            TcpControl::Rst => tcp.set_rst(true),
        }
        if self.push {
            tcp.set_psh(true);
        }
        tcp.set_ack(self.ack.is_some());
        tcp.set_window_len(self.window);
        tcp.set_checksum(0);
        tcp.set_urgent_at(0);
        segment[20..header_len].copy_from_slice(&options[..option_len]);
        let (first, second) = segment[header_len..].split_at_mut(data.0.len());
        first.copy_from_slice(data.0);
        second.copy_from_slice(data.1);
        if checksum {
            tcp::fill_checksum(key, segment);
        }
    }

    /// Makes room for the packet and writes its IP header. Returns the length of that.
    fn write_ip(&self, key: FlowKey, payload_len: usize, packet: &mut PacketBuf) -> usize {
        let (next_header, hop_limit) = (IpProtocol::Tcp, self.ttl);
        // The header is written with class 0, which nearly every packet has.
        let class = Some(self.traffic_class).filter(|class| *class != TrafficClass::default());
        match key.addresses() {
            (IpAddr::V4(src_addr), IpAddr::V4(dst_addr)) => {
                packet.resize(IPV4_HEADER_LEN + payload_len);
                let repr = Ipv4Repr {
                    src_addr,
                    dst_addr,
                    next_header,
                    payload_len,
                    hop_limit,
                };
                let mut capabilities = ChecksumCapabilities::ignored();
                capabilities.ipv4 = Checksum::Tx;
                let mut header = Ipv4Packet::new_unchecked(&mut packet[..]);
                repr.emit(&mut header, &capabilities);
                if let Some(class) = class {
                    header.set_dscp(class.dscp());
                    header.fill_checksum();
                }
                IPV4_HEADER_LEN
            }
            (IpAddr::V6(src_addr), IpAddr::V6(dst_addr)) => {
                packet.resize(IPV6_HEADER_LEN + payload_len);
                let repr = Ipv6Repr {
                    src_addr,
                    dst_addr,
                    next_header,
                    payload_len,
                    hop_limit,
                };
                let mut header = Ipv6Packet::new_unchecked(&mut packet[..]);
                repr.emit(&mut header);
                if let Some(class) = class {
                    header.set_traffic_class(class.bits());
                }
                IPV6_HEADER_LEN
            }
            _ => unreachable!("a key has addresses of one family"),
        }
    }

    /// Writes the options to the front of `out`, filled up to a whole number of words. Says how
    /// many bytes they take.
    fn write_options(&self, out: &mut [u8; MAX_HEADER - 20]) -> usize {
        let whole = out.len();
        let mut rest = &mut out[..];
        if let Some(mss) = self.mss {
            rest = TcpOption::MaxSegmentSize(mss).emit(rest);
        }
        // Timestamps are aligned as RFC 7323, Appendix A recommends: receivers have a fast path for
        // that. SACK-permitted takes the place of the padding, as in Linux.
        if self.sack_permitted != self.timestamp.is_some() {
            rest = TcpOption::NoOperation.emit(rest);
            rest = TcpOption::NoOperation.emit(rest);
        }
        if self.sack_permitted {
            rest = TcpOption::SackPermitted.emit(rest);
        }
        if let Some((tsval, tsecr)) = self.timestamp {
            rest = TcpOption::TimeStamp { tsval, tsecr }.emit(rest);
        }
        if let Some(shift) = self.window_scale {
            rest = TcpOption::NoOperation.emit(rest);
            rest = TcpOption::WindowScale(shift).emit(rest);
        }
        if self.sack[0].is_some() {
            rest = TcpOption::NoOperation.emit(rest);
            rest = TcpOption::NoOperation.emit(rest);
            rest = TcpOption::SackRange(self.sack).emit(rest);
        }
        whole - rest.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use brooklet_packet::Packet;

    #[test]
    fn an_ack_with_sack_blocks_and_data_parses_back() {
        for (from, to) in [
            ("10.0.0.1:80", "10.0.0.2:1234"),
            ("[fd00::1]:80", "[fd00::2]:1234"),
        ] {
            let key = FlowKey::new(from.parse().unwrap(), to.parse().unwrap()).unwrap();
            let segment = Segment {
                seq: 7,
                ack: Some(0xffff_fff0),
                sack: [Some((1, 5)), Some((9, 10)), Some((20, 30))],
                timestamp: Some((3, 4)),
                push: true,
                ..Segment::default()
            };
            let mut out = PacketBuf::default();
            segment.write(key, (b"ab", b"cde"), true, &mut out);
            let packet = Packet::parse(&out).unwrap();
            assert!(packet.verify_checksum());
            assert_eq!(packet.key(), key);
            assert_eq!(packet.payload(), b"abcde");
            let tcp = packet.tcp().unwrap();
            assert_eq!((tcp.seq, tcp.ack, tcp.window), (7, 0xffff_fff0, 0));
            assert!(tcp.flags.ack() && tcp.flags.psh() && !tcp.flags.syn() && !tcp.flags.fin());
            let options = Options::parse(TcpPacket::new_unchecked(packet.transport()).options());
            assert_eq!(options.sack(), [(1, 5), (9, 10), (20, 30)]);
            assert_eq!(options.timestamp, Some((3, 4)));
        }
    }

    #[test]
    fn a_syn_with_all_options_is_a_whole_number_of_words() {
        let segment = Segment {
            control: TcpControl::Syn,
            mss: Some(1460),
            window_scale: Some(7),
            sack_permitted: true,
            timestamp: Some((1, 0)),
            ..Segment::default()
        };
        let mut out = [0; MAX_HEADER - 20];
        assert_eq!(segment.write_options(&mut out), 20); // as long as Linux's
        let bare = Segment::default();
        assert_eq!(bare.write_options(&mut out), 0);
    }
}
