//! Packets that the kernel would not make.

use super::LIMIT;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, recvfrom, sendto,
    setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};

/// Puts bytes on an interface as they are, by a packet socket.
#[derive(Debug)]
pub struct Injector {
    socket: OwnedFd,
    interface: LinkAddr,
}

impl Injector {
    /// On the interface that the route to `through` uses.
    pub fn new(through: SocketAddr) -> Self {
        let (family, kind) = (AddressFamily::Packet, SockType::Raw);
        let socket = socket(family, kind, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)
            .expect("a packet socket, as root of the namespace");
        let limit = TimeVal::seconds(LIMIT.as_secs() as i64);
        setsockopt(&socket, sockopt::ReceiveTimeout, &limit).expect("a time limit");
        // A packet that the interface carries tells the interface's packet-socket address, which
        // takes no unsafe code then.
        let knock = UdpSocket::bind("0.0.0.0:0").expect("a socket");
        knock.send_to(KNOCK, through).expect("sent");
        let interface = loop {
            let mut packet = [0; 2000];
            let received = recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut packet);
            let (len, from) = received.expect("what this machine sends");
            if packet[..len].ends_with(KNOCK) {
                break from.expect("an interface");
            }
        };
        Self { socket, interface }
    }

    /// Sends the bytes of a packet.
    pub fn send(&self, packet: &[u8]) {
        let sent = sendto(
            self.socket.as_raw_fd(),
            packet,
            &self.interface,
            MsgFlags::empty(),
        );
        assert_eq!(sent, Ok(packet.len()));
    }
}

const KNOCK: &[u8] = b"which interface is it?";

/// A SYN, with these flags, that is right in every other way.
pub fn tcp_syn(from: SocketAddrV4, to: SocketAddrV4, flags: u8) -> Vec<u8> {
    let mut tcp = Vec::new();
    tcp.extend(from.port().to_be_bytes());
    tcp.extend(to.port().to_be_bytes());
    tcp.extend([0x12, 0x34, 0x56, 0x78]); // sequence
    tcp.extend([0; 4]); // acknowledgement
    tcp.extend([5 << 4, flags]); // five words of header
    tcp.extend(65_000u16.to_be_bytes()); // window
    tcp.extend([0; 4]); // checksum, urgent
    let mut pseudo = Vec::new();
    pseudo.extend(from.ip().octets());
    pseudo.extend(to.ip().octets());
    pseudo.extend([0, 6, 0, 20]);
    let sum = checksum(pseudo.iter().chain(&tcp));
    tcp[16..18].copy_from_slice(&sum);
    ipv4(*from.ip(), *to.ip(), 6, &tcp)
}

/// An IPv4 packet around `payload`.
pub fn ipv4(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let len: u16 = (20 + payload.len()).try_into().expect("a short packet");
    let mut packet = vec![0x45, 0];
    packet.extend(len.to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, protocol, 0, 0]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    let sum = checksum(packet.iter());
    packet[10..12].copy_from_slice(&sum);
    packet.extend(payload);
    packet
}

/// The Internet checksum (RFC 1071) of an even number of bytes.
fn checksum<'a>(bytes: impl Iterator<Item = &'a u8>) -> [u8; 2] {
    let bytes: Vec<u8> = bytes.copied().collect();
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|w| u32::from(w[0]) << 8 | u32::from(w[1]))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}
