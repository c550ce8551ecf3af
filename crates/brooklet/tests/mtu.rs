//! The MTU, and a stack without IPv6, whose MTU may be less than 1,280 bytes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/host.rs"]
mod host;
#[path = "support/packets.rs"]
mod packets;
mod support;

use brooklet::{
    Builder, Datagram, DropReason, Headers, PacketBuf, PacketIo, TransparentUdpSocket, UdpSendError,
};
use futures_lite::{AsyncWriteExt, future};
use host::Host;
use packets::{ping, summed, syn, udp};
use smoltcp::wire::{TcpOption, TcpPacket};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::task::{Context, Poll};
use support::addr;

fn ends() -> (SocketAddr, SocketAddr) {
    (addr("10.0.0.2:5000"), addr("192.0.2.1:80"))
}

/// The MSS option of a SYN.
fn mss(packet: &[u8]) -> Option<u16> {
    let transport = Headers::parse(packet).unwrap().transport_range();
    let tcp = TcpPacket::new_checked(&packet[transport]).unwrap();
    assert!(tcp.syn());
    let mut options = tcp.options();
    while !options.is_empty() {
        let (rest, option) = TcpOption::parse(options).unwrap();
        if let TcpOption::MaxSegmentSize(mss) = option {
            return Some(mss);
        }
        options = rest;
    }
    None
}

/// A segment of the client with an MSS option of 1,460 bytes.
fn segment(flags: u8, seq: u32, ack: u32) -> Vec<u8> {
    let (from, to) = ends();
    let mut body = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    body.extend(seq.to_be_bytes());
    body.extend(ack.to_be_bytes());
    body.extend([0x60, flags, 0xff, 0xff, 0, 0, 0, 0, 2, 4]);
    body.extend(1460_u16.to_be_bytes());
    summed(from.ip(), to.ip(), 6, body, 16)
}

#[test]
fn the_mss_and_the_segments_follow_an_mtu_below_1280() {
    const SYN: u8 = 0x02;
    const ACK: u8 = 0x10;
    for mtu in [576, 600, 1279] {
        let mut host = Host::new(Builder::new().ipv6(false).mtu(mtu));
        let (_, to) = ends();

        let stack = host.stack.clone();
        let mut connect = Box::pin(stack.connect_from(to, addr("10.0.0.2:6000")));
        assert!(future::block_on(future::poll_once(&mut connect)).is_none());
        assert_eq!(mss(&host.run()[0]), Some(mtu as u16 - 40), "of the SYN");

        host.give([segment(SYN, 1000, 0)]);
        let listener = host.tcp.take().unwrap();
        let mut accept = Box::pin(listener.accept());
        assert!(future::block_on(future::poll_once(&mut accept)).is_none());
        let syn_ack = host.run().remove(0);
        assert_eq!(mss(&syn_ack), Some(mtu as u16 - 40), "of the SYN-ACK");

        let iss = Headers::parse(&syn_ack).unwrap().tcp().unwrap().seq;
        host.give([segment(ACK, 1001, iss.wrapping_add(1))]);
        let (mut stream, _) = future::block_on(accept).unwrap();
        future::block_on(stream.write_all(&[7; 3000])).unwrap();
        let lengths: Vec<usize> = host.run().iter().map(Vec::len).collect();
        let data: usize = lengths.iter().map(|len| len - 40).sum();
        assert_eq!((lengths[0], data), (mtu, 3000), "{lengths:?}");
        assert!(lengths.iter().all(|&len| len <= mtu), "{lengths:?}");
    }
}

#[test]
fn the_mss_follows_the_path_mtu_that_the_program_states() {
    let mut host = Host::new(Builder::new());
    let (from, to) = ends();
    host.stack.set_path_mtu(from.ip(), Some(1300));
    let listener = host.tcp.take().unwrap();
    let mut accept = Box::pin(listener.accept());
    assert!(future::block_on(future::poll_once(&mut accept)).is_none());
    host.give([syn(from, to, 1000)]);
    assert!(future::block_on(future::poll_once(&mut accept)).is_none());
    assert_eq!(mss(&host.run()[0]), Some(1260));
}

#[test]
fn an_mtu_below_1280_needs_a_stack_without_ipv6_and_575_is_too_small() {
    let build = |builder: Builder| builder.build(brooklet::pipe(1).0).map(drop);
    let error = build(Builder::new().mtu(1279)).unwrap_err();
    let why = "an MTU of 1279 is out of range; use 1280 to 65535, or 576 to 65535 without IPv6";
    assert_eq!(error.to_string(), why);
    build(Builder::new().ipv6(false).mtu(576)).unwrap();
    for mtu in [0, 575, 65_536] {
        let error = build(Builder::new().ipv6(false).mtu(mtu)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().ends_with("use 576 to 65535"), "{error}");
    }
    let builder = Builder::new()
        .ipv6(false)
        .address(std::net::Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2));
    assert_eq!(build(builder).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_stack_without_ipv6_drops_and_counts_ipv6_packets() {
    let mut host = Host::new(Builder::new().ipv6(false));
    for (from, to) in [
        ("10.0.0.2:5000", "192.0.2.1:80"),
        ("[fd00::2]:5000", "[2001:db8::1]:80"),
    ] {
        let (from, to) = (addr(from), addr(to));
        host.give([udp(from, to, b"datagram"), syn(from, to, 1)]);
        let replies = host.give([ping(from.ip(), to.ip(), b"ping")]);
        assert_eq!(replies.len(), usize::from(from.is_ipv4()));
    }
    let stats = host.stack.stats();
    assert_eq!(stats.dropped(DropReason::Ipv6Disabled), 3);
    assert_eq!(stats.drops().map(|(_, n)| n).sum::<u64>(), 3);
    assert_eq!((stats.udp.datagrams_in, stats.tcp.requested), (1, 1));
}

#[test]
fn a_stack_without_ipv6_neither_connects_binds_nor_sends_to_an_ipv6_address() {
    let host = Host::new(Builder::new().ipv6(false));
    let (from, to) = (addr("[fd00::2]:5000"), addr("[2001:db8::1]:80"));
    let connected = future::block_on(host.stack.connect_from(from, to));
    assert_eq!(connected.unwrap_err().kind(), ErrorKind::Unsupported);
    let connected = future::block_on(host.stack.connect(to));
    assert_eq!(connected.unwrap_err().kind(), ErrorKind::Unsupported);
    let bound = host.stack.bind(addr("[::]:80"));
    assert_eq!(bound.unwrap_err().kind(), ErrorKind::Unsupported);
    let udp = host.udp.as_ref().unwrap();
    let error = future::block_on(udp.send_to(b"datagram", from, to)).unwrap_err();
    let why = error.get_ref().and_then(|why| why.downcast_ref());
    assert_eq!(why, Some(&UdpSendError::NoIpv6 { to }));
}

/// A device that says how long a packet it sends.
struct Limited(Option<usize>);

impl PacketIo for Limited {
    fn mtu(&self) -> Option<usize> {
        self.0
    }

    fn poll_recv(&mut self, _: &mut Context<'_>, _: &mut PacketBuf) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn poll_send(&mut self, _: &mut Context<'_>, _: &PacketBuf) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

/// The longest datagram that the stack sends in one packet, as a measure of its MTU.
fn mtu_of(udp: &TransparentUdpSocket) -> usize {
    let (from, to) = ends();
    let sends = |len| {
        let datagram = Datagram::new(vec![0; len], from, to).dont_fragment(true);
        future::block_on(udp.send_datagram(&datagram)).is_ok()
    };
    let fits = (500..65_508).rev().find(|&len| sends(len)).unwrap();
    fits + 28
}

#[test]
fn the_mtu_is_the_one_that_was_set_or_the_devices_or_1500() {
    for (set, device, mtu) in [
        (None, None, 1500),
        (None, Some(1420), 1420),
        (None, Some(9000), 9000),
        (None, Some(70_000), 65_535),
        (Some(1300), Some(1420), 1300),
        (Some(1420), Some(1420), 1420),
        (Some(9000), None, 9000),
    ] {
        let builder = set.into_iter().fold(Builder::new(), Builder::mtu);
        let parts = builder.build(Limited(device)).unwrap();
        assert_eq!(mtu_of(&parts.udp), mtu, "{set:?} on {device:?}");
    }
    // The queue with the least decides.
    let queues = [Limited(Some(9000)), Limited(Some(1400)), Limited(None)];
    let parts = Builder::new().build_queues(queues).unwrap();
    assert_eq!(mtu_of(&parts.udp), 1400);
}

#[test]
fn an_mtu_above_the_devices_or_a_device_too_small_for_ipv6_is_an_error() {
    let error = Builder::new()
        .mtu(1500)
        .build(Limited(Some(1420)))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let why = "an MTU of 1500 exceeds that of the device, which sends packets of up to 1420 bytes; \
               set an MTU of 1420 or less, or none to use the device's";
    assert_eq!(error.to_string(), why);
    let error = Builder::new().build(Limited(Some(1200))).unwrap_err();
    assert!(error.to_string().contains("without IPv6"), "{error}");
    let parts = Builder::new()
        .ipv6(false)
        .build(Limited(Some(1200)))
        .unwrap();
    assert_eq!(mtu_of(&parts.udp), 1200);
}
