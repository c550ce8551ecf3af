//! ICMP errors: written, changed on the way, and read.

use crate::bytes::{fold, words};
use crate::input::Input;
use crate::targets::named;
use brooklet_packet::icmp::{
    self, Echo, IcmpError, IcmpErrorKind, ParameterProblem, ParameterProblemKind, Unreachable,
};
use brooklet_packet::{IpFields, Packet, Protocol, udp};
use etherparse::{NetSlice, SlicedPacket};
use std::net::{IpAddr, SocketAddr};

/// Reads `data` as a kind of error, changes of the message on its way, and a packet that is the
/// cause. What is read of the message is what a second reading finds in its quotation. Returns whether
/// the message was read as an error.
///
/// # Panics
///
/// When the two readings differ, or a message does not have the form that RFC 792, RFC 4443 and
/// RFC 1812 give it.
pub fn icmp(data: &[u8]) -> bool {
    let (head, cause) = data.split_at(data.len().min(HEAD));
    let mut input = Input::new(head);
    let kind = kind(&mut input);
    let changes: [_; 3] = std::array::from_fn(|_| (input.byte(), input.byte()));
    let echo = (input.u16(), input.u16());
    echoes(echo, cause);

    let mut cause = cause.to_vec();
    crate::repair(&mut cause);
    let Ok(packet) = Packet::parse(&cause) else {
        return false;
    };
    let mut message = vec![1];
    if !icmp::error(&mut message, &packet, kind) {
        assert!(message.is_empty());
        return false;
    }
    let longest = if packet.key().is_ipv6() { 1280 } else { 576 };
    assert!(message.len() <= longest, "{} bytes", message.len());
    let from = packet.source();
    let mut elsewhere = Vec::new();
    assert!(icmp::error_from(&mut elsewhere, from, &packet, kind));
    assert_eq!(elsewhere.len(), message.len());

    for (at, value) in changes {
        // Behind the addresses, mostly in the quoted headers.
        let at = packet_start(&message) + usize::from(at) % 96;
        if let Some(byte) = message.get_mut(at) {
            *byte ^= value;
        }
    }
    correct(&mut message);
    let Ok(packet) = Packet::parse(&message) else {
        return false;
    };
    let read = icmp::parse_error(&packet);
    if let Some(error) = read {
        agrees(&error, &packet);
        // A stranger's message has another checksum.
        let mut bad = message.clone();
        let last = bad.len() - 1;
        bad[last] ^= 1;
        if let Ok(packet) = Packet::parse(&bad) {
            assert_eq!(icmp::parse_error(&packet), None);
        }
    }
    read.is_some()
}

/// The bytes of an input before those of the packet.
const HEAD: usize = 16;

fn kind(input: &mut Input<'_>) -> IcmpErrorKind {
    let choice = input.byte() % 10;
    let mtu = u32::from(input.u16());
    let pointer = u32::from(input.byte());
    let problem = |kind| ParameterProblem { pointer, kind }.into();
    match choice {
        0 => Unreachable::Network.into(),
        1 => Unreachable::Host.into(),
        2 => Unreachable::Protocol.into(),
        3 => Unreachable::Port.into(),
        4 => Unreachable::Prohibited.into(),
        5 => Unreachable::PacketTooBig { mtu }.into(),
        6 => IcmpErrorKind::HopLimitExceeded,
        7 => IcmpErrorKind::ReassemblyTimeExceeded,
        8 => problem(ParameterProblemKind::HeaderField),
        _ => problem(ParameterProblemKind::Option),
    }
}

fn packet_start(message: &[u8]) -> usize {
    if message[0] >> 4 == 4 { 20 } else { 40 }
}

/// Writes a right checksum into an ICMP message without extension headers.
fn correct(message: &mut [u8]) {
    let start = packet_start(message);
    message[start + 2..start + 4].fill(0);
    let mut sum = words(&message[start..]);
    if start == 40 {
        sum += words(&message[8..40]) + 58 + (message.len() - start) as u64;
    }
    let checksum = !fold(sum);
    message[start + 2..start + 4].copy_from_slice(&checksum.to_be_bytes());
}

/// The quotation says the same to another reader.
fn agrees(error: &IcmpError, packet: &Packet<'_>) {
    let quoted = packet.payload();
    assert_eq!(error.from, packet.source());
    assert_eq!(error.key.source().ip(), packet.destination());
    assert_eq!(error.key.is_ipv6(), packet.key().is_ipv6());
    let (protocol, addresses, transport) = if packet.key().is_ipv6() {
        let Some((protocol, at)) = behind_extensions(quoted) else {
            panic!("no transport header in {quoted:02x?}");
        };
        (protocol, (&quoted[8..24], &quoted[24..40]), &quoted[at..])
    } else {
        let at = usize::from(quoted[0] & 15) * 4;
        (quoted[9], (&quoted[12..16], &quoted[16..20]), &quoted[at..])
    };
    assert!(transport.len() >= 8);
    assert_eq!(u8::from(error.protocol), protocol);
    assert_eq!(octets(error.key.source().ip()), addresses.0);
    assert_eq!(octets(error.key.destination().ip()), addresses.1);
    let number = |at: usize| u16::from_be_bytes([transport[at], transport[at + 1]]);
    let has_ports = matches!(error.protocol, Protocol::Tcp | Protocol::Udp);
    let ports = if has_ports {
        (number(0), number(2))
    } else {
        (0, 0)
    };
    assert_eq!(error.key.ports(), ports);
    let seq = u32::from(number(4)) << 16 | u32::from(number(6));
    assert_eq!(error.seq, (protocol == 6).then_some(seq));
    let request = if packet.key().is_ipv6() {
        (58, 128)
    } else {
        (1, 8)
    };
    let is_request = (protocol, transport[0]) == request;
    assert_eq!(error.echo.is_some(), is_request);
    if let Some(echo) = error.echo {
        assert_eq!((echo.identifier, echo.sequence), (number(4), number(6)));
    }
}

/// The protocol behind the extension headers of an IPv6 packet, and where it begins.
fn behind_extensions(packet: &[u8]) -> Option<(u8, usize)> {
    let (mut next, mut at) = (packet[6], 40);
    loop {
        let header = packet.get(at..)?;
        let len = match next {
            0 | 43 | 60 => (usize::from(*header.get(1)?) + 1) * 8,
            44 => 8,
            51 => (usize::from(*header.get(1)?) + 2) * 4,
            _ => return Some((next, at)),
        };
        next = header[0];
        at += len;
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// An echo request is answered by the same identifier, number and data, and is read by another parser.
fn echoes((id, seq): (u16, u16), data: &[u8]) {
    let data = &data[..data.len().min(1000)];
    let ends: [(SocketAddr, SocketAddr); 2] = [
        (([10, 0, 0, 1], 1).into(), ([192, 0, 2, 7], 2).into()),
        (
            ([0xfd, 0, 0, 0, 0, 0, 0, 1], 1).into(),
            ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 7], 2).into(),
        ),
    ];
    for (from, to) in ends {
        let mut request = Vec::new();
        let echo = Echo {
            identifier: id,
            sequence: seq,
        };
        icmp::write_echo_request(
            &mut request,
            from.ip(),
            to.ip(),
            IpFields::new(),
            echo,
            data,
        )
        .expect("1,000 bytes fit");
        let packet = Packet::parse(&request).expect("a request is a packet");
        let read = icmp::parse_echo_request(&packet).expect("it is one");
        assert_eq!(read, echo);
        assert_eq!(packet.payload(), data);
        let sliced = SlicedPacket::from_ip(&request).expect("to the other one as well");
        assert!(matches!(
            sliced.net,
            Some(NetSlice::Ipv4(_) | NetSlice::Ipv6(_))
        ));
        let mut reply = Vec::new();
        assert!(icmp::echo_reply(&mut reply, &packet));
        let packet = Packet::parse(&reply).expect("a reply is a packet");
        let read = icmp::parse_echo_reply(&packet).expect("it is one");
        assert_eq!((read, packet.payload()), (echo, data));
        assert!(!icmp::echo_reply(&mut Vec::new(), &packet));
    }
}

pub(crate) fn corpus() -> Vec<(String, Vec<u8>)> {
    let input = |kind: u8, cause: &[u8]| {
        let mut bytes = vec![kind, 5, 120, 6];
        bytes.resize(HEAD, 0);
        bytes.extend(cause);
        bytes
    };
    let mut datagram = Vec::new();
    let (from, to) = (([10, 0, 0, 1], 5000).into(), ([192, 0, 2, 7], 53).into());
    udp::write(&mut datagram, from, to, 64, b"question").expect("it fits");
    let packets = crate::seeds();
    named([
        ("port-unreachable", input(3, &datagram)),
        ("packet-too-big-tcp-v4", input(5, &packets[0])),
        ("packet-too-big-tcp-v6", input(5, &packets[1])),
        ("time-exceeded-echo-v4", input(6, &packets[6])),
        ("time-exceeded-echo-v6", input(6, &packets[7])),
        ("parameter-problem-udp-v6", input(8, &packets[5])),
    ])
}
