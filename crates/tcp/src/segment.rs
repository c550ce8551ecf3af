use brooklet_packet::{FlowKey, Headers};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    IPV6_HEADER_LEN, IpAddress, IpProtocol, IpRepr, Ipv4Packet, Ipv6Packet, TcpControl, TcpPacket,
    TcpRepr, TcpSeqNumber,
};

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

/// Writes a bare acknowledgement from the source of `key` to its destination: sequence number,
/// acknowledgement and window.
pub(crate) fn acknowledge(out: &mut Vec<u8>, key: FlowKey, numbers: (u32, u32, u16)) {
    write(out, key, TcpControl::None, numbers);
}

/// Writes the end of a stream.
pub(crate) fn finish(out: &mut Vec<u8>, key: FlowKey, (seq, ack, window): (u32, u32, u16)) {
    write(out, key, TcpControl::Fin, (seq, ack, window));
}

fn write(
    out: &mut Vec<u8>,
    key: FlowKey,
    control: TcpControl,
    (seq, ack, window): (u32, u32, u16),
) {
    let (from, to) = (key.source(), key.destination());
    let tcp = TcpRepr {
        src_port: from.port(),
        dst_port: to.port(),
        control,
        seq_number: TcpSeqNumber(seq as i32),
        ack_number: Some(TcpSeqNumber(ack as i32)),
        window_len: window,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    };
    let (from, to): (IpAddress, IpAddress) = (from.ip().into(), to.ip().into());
    let ip = IpRepr::new(from, to, IpProtocol::Tcp, tcp.buffer_len(), 64);
    let checksums = ChecksumCapabilities::default();
    out.clear();
    out.resize(ip.buffer_len(), 0);
    ip.emit(&mut out[..], &checksums);
    let header = ip.header_len();
    tcp.emit(
        &mut TcpPacket::new_unchecked(&mut out[header..]),
        &from,
        &to,
        &checksums,
    );
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
            let mut out = Vec::new();
            acknowledge(&mut out, key, (7, 0xffff_fff0, 0));
            let packet = Packet::parse(&out).unwrap();
            assert!(packet.verify_checksum());
            assert_eq!(packet.key(), key);
            let tcp = packet.tcp().unwrap();
            assert_eq!((tcp.seq, tcp.ack, tcp.window), (7, 0xffff_fff0, 0));
            assert!(tcp.flags.ack() && !tcp.flags.syn() && !tcp.flags.fin());
        }
    }
}
