//! The smoltcp device over a `PacketIo` that the test controls.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use brooklet_device::PacketDevice;
use brooklet_io::{Checksum, Meta, Offload, PacketBuf, PacketIo};
use brooklet_packet::{Headers, Packet, Protocol, udp};
use futures_lite::future::poll_once;
use futures_lite::{FutureExt, future};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, RxToken, TxToken};
use smoltcp::socket::{tcp, udp as udp_socket};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::ready;
use std::io;
use std::num::NonZeroU16;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

const MTU: usize = 1500;
const LOCAL: IpAddress = IpAddress::v4(10, 0, 0, 1);
const REMOTE: IpAddress = IpAddress::v4(10, 0, 0, 2);

/// A `PacketIo` that delivers `inbound` and takes `room` more packets.
#[derive(Default)]
struct State {
    inbound: VecDeque<PacketBuf>,
    sent: Vec<PacketBuf>,
    room: usize,
    offload: Offload,
    error: Option<io::ErrorKind>,
    waker: Option<Waker>,
}

#[derive(Clone, Default)]
struct Io(Rc<RefCell<State>>);

impl Io {
    fn with_room(room: usize) -> Self {
        let io = Self::default();
        io.0.borrow_mut().room = room;
        io
    }

    fn device(&self) -> PacketDevice<Self> {
        PacketDevice::new(self.clone(), MTU)
    }

    fn deliver(&self, packet: impl Into<PacketBuf>) {
        let mut state = self.0.borrow_mut();
        state.inbound.push_back(packet.into());
        state.waker.take().into_iter().for_each(Waker::wake);
    }

    fn make_room(&self, packets: usize) {
        let mut state = self.0.borrow_mut();
        state.room += packets;
        state.waker.take().into_iter().for_each(Waker::wake);
    }

    fn sent(&self) -> usize {
        self.0.borrow().sent.len()
    }
}

impl PacketIo for Io {
    fn offload(&self) -> Offload {
        self.0.borrow().offload
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<()>> {
        let mut state = self.0.borrow_mut();
        let Some(next) = state.inbound.pop_front() else {
            if let Some(error) = state.error.take() {
                return Poll::Ready(Err(error.into()));
            }
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        };
        packet.copy_from_slice(&next);
        packet.set_meta(next.meta());
        Poll::Ready(Ok(()))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>> {
        let mut state = self.0.borrow_mut();
        if state.room == 0 {
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.room -= 1;
        state.sent.push(packet.clone());
        Poll::Ready(Ok(()))
    }
}

/// A datagram to port 7 of `LOCAL`.
fn datagram(payload: &[u8]) -> Vec<u8> {
    let (from, to) = (([10, 0, 0, 2], 4000).into(), ([10, 0, 0, 1], 7).into());
    let mut bytes = Vec::new();
    udp::write(&mut bytes, from, to, 64, payload).unwrap();
    bytes
}

fn with_meta(bytes: Vec<u8>, gso_size: u16) -> PacketBuf {
    let mut packet = PacketBuf::from(bytes);
    packet.set_meta(
        Meta::new()
            .checksum(Checksum::Partial)
            .gso_size(NonZeroU16::new(gso_size)),
    );
    packet
}

/// A timer that never completes.
fn never(_: std::time::Duration) -> future::Pending<()> {
    future::pending()
}

/// One poll of `wait` without a delay: whether it returned.
fn returns(device: &mut PacketDevice<Io>, delay: Option<Duration>) -> bool {
    let wait = poll_once(device.wait(delay, never));
    future::block_on(wait).transpose().unwrap().is_some()
}

/// The packets of the inbound queue, as smoltcp receives them.
fn received(device: &mut PacketDevice<Io>) -> Vec<Vec<u8>> {
    let next = || {
        let (rx, _) = device.receive(Instant::ZERO)?;
        Some(rx.consume(<[u8]>::to_vec))
    };
    std::iter::from_fn(next).collect()
}

/// An interface with a TCP socket that connects to `REMOTE`, and a UDP socket with one datagram.
fn interface(device: &mut PacketDevice<Io>) -> (Interface, SocketSet<'static>, SocketHandle) {
    let config = Config::new(HardwareAddress::Ip);
    let mut interface = Interface::new(config, device, Instant::ZERO);
    interface.update_ip_addrs(|addresses| addresses.push(IpCidr::new(LOCAL, 24)).unwrap());
    let buffer = || tcp::SocketBuffer::new(vec![0; 65_535]);
    let mut socket = tcp::Socket::new(buffer(), buffer());
    socket
        .connect(interface.context(), (REMOTE, 80), 4000)
        .unwrap();
    let mut sockets = SocketSet::new(vec![]);
    sockets.add(socket);

    let buffer = || {
        let metadata = vec![udp_socket::PacketMetadata::EMPTY; 64];
        udp_socket::PacketBuffer::new(metadata, vec![0; 65_535])
    };
    let mut socket = udp_socket::Socket::new(buffer(), buffer());
    socket.bind(7).unwrap();
    socket.send_slice(b"datagram", (REMOTE, 7)).unwrap();
    let udp = sockets.add(socket);
    (interface, sockets, udp)
}

#[test]
fn a_partial_checksum_is_completed_before_smoltcp_receives_the_packet() {
    let io = Io::default();
    let mut device = io.device();
    let mut bytes = datagram(b"partial");
    let complete = bytes.clone();
    bytes[26..28].fill(0xaa);
    io.deliver(with_meta(bytes, 0));
    assert!(returns(&mut device, None));
    assert_eq!(received(&mut device), [complete]);
}

#[test]
fn a_super_packet_reaches_smoltcp_in_segments_however_short_the_queue_is() {
    let io = Io::default();
    let mut device = io.device().queue_len(4);
    let payload: Vec<u8> = (0..30_000_u32).map(|i| (i % 251) as u8).collect();
    io.deliver(with_meta(datagram(&payload), 1000));
    io.deliver(datagram(b"next"));
    let mut got = Vec::new();
    while got.len() < 31 {
        assert!(returns(&mut device, None));
        let packets = received(&mut device);
        assert!(packets.len() <= 4);
        got.extend(packets);
    }
    let payloads = got.iter().map(|bytes| {
        let packet = Packet::parse(bytes).unwrap();
        assert!(bytes.len() <= MTU && packet.verify_checksum());
        packet.payload().to_vec()
    });
    assert_eq!(
        payloads.collect::<Vec<_>>().concat(),
        [&payload[..], b"next"].concat()
    );
}

#[test]
fn a_super_packet_whose_headers_are_malformed_is_dropped_and_counted() {
    let io = Io::default();
    let mut device = io.device();
    io.deliver(with_meta(vec![0x45; 60], 20));
    io.deliver(datagram(b"good"));
    assert!(returns(&mut device, None));
    assert_eq!(received(&mut device), [datagram(b"good")]);
    assert_eq!(device.malformed(), 1);
}

#[test]
fn only_the_tcp_checksum_is_left_to_a_device_that_offloads_checksums() {
    for checksum in [false, true] {
        let io = Io::with_room(8);
        io.0.borrow_mut().offload.checksum = checksum;
        let mut device = io.device();
        let (mut interface, mut sockets, _) = interface(&mut device);
        interface.poll(Instant::ZERO, &mut device, &mut sockets);
        assert!(!returns(&mut device, None));

        let sent = std::mem::take(&mut io.0.borrow_mut().sent);
        let mut protocols = Vec::new();
        for mut packet in sent {
            let headers = Headers::parse(&packet).unwrap();
            protocols.push(headers.protocol());
            if checksum && headers.protocol() == Protocol::Tcp {
                assert_eq!(packet.meta().checksum, Checksum::Partial);
                let before = packet.to_vec();
                headers.fill_partial_checksum(&mut packet);
                assert_eq!(
                    before[..],
                    packet[..],
                    "the field holds the pseudo-header's sum"
                );
            } else {
                assert_eq!(packet.meta(), Meta::default());
                assert!(headers.verify_checksum(&packet));
            }
        }
        assert_eq!(protocols, [Protocol::Tcp, Protocol::Udp]);
    }
}

#[test]
fn a_full_outbound_queue_holds_smoltcp_back_until_half_of_it_is_free() {
    let io = Io::default();
    let mut device = io.device().queue_len(8);
    let (mut interface, mut sockets, udp) = interface(&mut device);
    let socket = sockets.get_mut::<udp_socket::Socket<'_>>(udp);
    for _ in 0..20 {
        socket.send_slice(b"datagram", (REMOTE, 7)).unwrap();
    }
    interface.poll(Instant::ZERO, &mut device, &mut sockets);
    let delay = interface.poll_delay(Instant::ZERO, &sockets);
    assert_eq!(delay, Some(Duration::ZERO), "smoltcp has more to send");
    assert!(!returns(&mut device, delay), "the device takes nothing");

    // The packet that the device has been offered has left the queue.
    for sent in 1..=3 {
        io.make_room(1);
        assert_eq!(returns(&mut device, delay), sent == 3);
        assert_eq!(io.sent(), sent);
    }

    io.make_room(100);
    while io.sent() < 22 {
        assert!(returns(&mut device, delay) || io.sent() == 22);
        interface.poll(Instant::ZERO, &mut device, &mut sockets);
    }
    assert_eq!(device.dropped_replies(), 0);
}

#[test]
fn wait_returns_when_the_delay_of_smoltcp_has_passed() {
    let mut device = Io::default().device();
    let mut asked = None;
    let delay = Duration::from_millis(40);
    let timer = |delay| {
        asked = Some(delay);
        ready(())
    };
    future::block_on(device.wait(Some(delay), timer)).unwrap();
    assert_eq!(asked, Some(std::time::Duration::from_millis(40)));
    assert!(!returns(&mut device, Some(delay)));
    assert!(returns(&mut device, Some(Duration::ZERO)));
}

#[test]
fn wait_returns_when_a_packet_arrives() {
    let io = Io::default();
    let mut device = io.device();
    let arrive = async {
        future::yield_now().await;
        io.deliver(datagram(b"late"));
        future::pending::<io::Result<()>>().await
    };
    future::block_on(device.wait(None, never).or(arrive)).unwrap();
    assert_eq!(received(&mut device).len(), 1);
}

#[test]
fn a_busy_device_yields_to_the_executor() {
    let io = Io::default();
    let mut device = io.device();
    let mut immediate = 0;
    for _ in 0..90 {
        io.deliver(datagram(b"busy"));
        immediate += u32::from(returns(&mut device, None));
        received(&mut device);
    }
    assert_eq!(immediate, 80);
}

#[test]
fn a_reply_for_which_there_is_no_room_is_dropped_and_counted() {
    let io = Io::default();
    let mut device = io.device().queue_len(2);
    // One reply is offered to the device, two fill the queue.
    for _ in 0..4 {
        io.deliver(datagram(b""));
    }
    while device.dropped_replies() == 0 {
        assert!(returns(&mut device, None));
        while let Some((_, reply)) = device.receive(Instant::ZERO) {
            reply.consume(20, |bytes| bytes.fill(0));
        }
    }
    io.make_room(9);
    future::block_on(device.flush()).unwrap();
    assert_eq!(io.sent(), 3);
}

#[test]
fn packets_that_arrived_before_an_error_are_received_before_it() {
    let io = Io::default();
    let mut device = io.device();
    io.deliver(datagram(b"before"));
    io.0.borrow_mut().error = Some(io::ErrorKind::ConnectionAborted);
    assert!(returns(&mut device, None));
    assert_eq!(received(&mut device).len(), 1);
    let error = future::block_on(device.wait(None, never)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
}
