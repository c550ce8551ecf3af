//! Good packets to start from, written by etherparse.

use etherparse::{IpNumber, Ipv4Header, PacketBuilder, TcpOptionElement};

const A4: [u8; 4] = [10, 0, 0, 1];
const B4: [u8; 4] = [192, 0, 2, 7];
const A6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const B6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];

/// One good packet or more of every kind that the parser tells from the others.
pub fn seeds() -> Vec<Vec<u8>> {
    let v4 = || PacketBuilder::ipv4(A4, B4, 64);
    let v6 = || PacketBuilder::ipv6(A6, B6, 64);
    let mss = [
        TcpOptionElement::MaximumSegmentSize(1460),
        TcpOptionElement::WindowScale(7),
    ];
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    let mut add = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut packet = Vec::new();
        write(&mut packet);
        seeds.push(packet);
    };
    const WRITES: &str = "a vector takes everything";
    for data in [&b""[..], b"a few bytes of data"] {
        add(&|out| {
            let syn = v4()
                .tcp(4000, 80, 99, 1024)
                .syn()
                .options(&mss)
                .expect("they fit");
            syn.write(out, data).expect(WRITES);
        });
        add(&|out| {
            let syn = v6()
                .tcp(4000, 80, 99, 1024)
                .syn()
                .options(&mss)
                .expect("they fit");
            syn.write(out, data).expect(WRITES);
        });
        add(&|out| {
            v4().tcp(4000, 80, 99, 1024)
                .ack(7)
                .fin()
                .write(out, data)
                .expect(WRITES)
        });
        add(&|out| {
            v6().tcp(4000, 80, 99, 1024)
                .rst()
                .write(out, data)
                .expect(WRITES)
        });
        add(&|out| v4().udp(5000, 53).write(out, data).expect(WRITES));
        add(&|out| v6().udp(5000, 53).write(out, data).expect(WRITES));
        add(&|out| {
            v4().icmpv4_echo_request(1, 2)
                .write(out, data)
                .expect(WRITES)
        });
        add(&|out| {
            v6().icmpv6_echo_request(1, 2)
                .write(out, data)
                .expect(WRITES)
        });
        add(&|out| {
            v4().icmpv4_raw(3, 3, [0; 4])
                .write(out, data)
                .expect(WRITES)
        });
        add(&|out| {
            v6().icmpv6_raw(1, 4, [0; 4])
                .write(out, data)
                .expect(WRITES)
        });
        add(&|out| v4().write(out, IpNumber(47), data).expect(WRITES));
        add(&|out| v6().write(out, IpNumber(59), data).expect(WRITES));
    }
    let tcp_v4 = seeds[0].clone();
    let udp_v6 = seeds[5].clone();
    seeds.push(with_v4_options(&tcp_v4));
    seeds.push(with_fragment_field(&tcp_v4, 0x2000));
    seeds.push(with_fragment_field(&tcp_v4, 0x0003));
    let fragment = |offset: u8, more: u8| vec![0, 0, 0, offset | more, 1, 2, 3, 4];
    for chain in [
        vec![(0, options(0))],
        vec![(0, options(0)), (60, options(2)), (43, routing(1))],
        vec![(51, authentication()), (60, options(0))],
        vec![(44, fragment(0, 0))],
        vec![(44, fragment(0, 1))],
        vec![(60, options(0)), (44, fragment(8, 0))],
        vec![(60, options(0)); 8],
        vec![(60, options(0)); 9],
        vec![(60, options(255))],
        vec![(60, options(255)), (60, options(0))],
    ] {
        seeds.push(with_chain(&udp_v6, &chain));
    }
    seeds
}

/// An options header, to be named by the one before it and to name the one after it. Its options are
/// of an experimental type that a host skips (RFC 4727).
fn options(units: u8) -> Vec<u8> {
    let mut header = vec![0, units];
    let mut room = (usize::from(units) + 1) * 8 - 2;
    while room > 0 {
        let len = room.min(256);
        header.extend([0x1e, (len - 2) as u8]);
        header.resize(header.len() + len - 2, 7);
        room -= len;
    }
    header
}

fn routing(units: u8) -> Vec<u8> {
    let mut header = vec![0; (usize::from(units) + 1) * 8];
    header[1] = units;
    header
}

fn authentication() -> Vec<u8> {
    let mut header = vec![0; 24];
    header[1] = 4;
    header
}

fn with_chain(packet: &[u8], chain: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut out = packet[..40].to_vec();
    let mut named_at = 6;
    let last = packet[6];
    for (kind, header) in chain {
        out[named_at] = *kind;
        named_at = out.len();
        out.extend(header);
    }
    out[named_at] = last;
    out.extend(&packet[40..]);
    let length = (out.len() - 40) as u16;
    out[4..6].copy_from_slice(&length.to_be_bytes());
    out
}

fn with_v4_options(packet: &[u8]) -> Vec<u8> {
    let (mut header, body) = Ipv4Header::from_slice(packet).expect("a good packet");
    header.options = [1u8; 8].into();
    header.total_len += 8;
    header.header_checksum = header.calc_header_checksum();
    let mut out = header.to_bytes().to_vec();
    out.extend(body);
    out
}

fn with_fragment_field(packet: &[u8], field: u16) -> Vec<u8> {
    let mut out = packet.to_vec();
    out[6..8].copy_from_slice(&field.to_be_bytes());
    crate::repair(&mut out);
    out
}
