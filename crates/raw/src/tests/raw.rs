//! Raw sockets.

use super::*;
use crate::SendError;
use brooklet_io::{PacketBuf, PacketIo};
use brooklet_packet::Protocol;
use brooklet_packet::icmp::Unreachable;
use std::io::ErrorKind;

both_flavors!(
    a_diverted_packet_arrives_whole,
    each_socket_that_asks_for_a_packet_receives_a_copy,
    a_diverted_packet_tells_whether_the_stack_has_made_it,
    icmp_errors_about_a_protocol_come_with_it,
    a_diverted_packet_that_no_socket_takes_is_counted,
    a_packet_that_no_socket_asks_for_is_left_to_the_driver,
    multicast_and_broadcast_are_received_on_request,
    a_protocol_is_received_on_request,
    tcp_and_udp_are_refused_as_protocols,
    a_full_queue_leaves_the_other_sockets_their_copies,
    a_short_buffer_cuts_the_packet,
    a_sent_packet_leaves_as_it_is,
    packets_that_cannot_be_sent_are_refused,
    a_socket_is_a_device,
    a_device_drops_what_cannot_be_sent,
);

/// A packet of another protocol than TCP, UDP and ICMP.
fn packet_of(protocol: u8, to: &str) -> Vec<u8> {
    let mut bytes = datagram("10.0.0.1", to, b"hello");
    bytes[9] = protocol;
    bytes[10..12].fill(0);
    let sum: u32 = bytes[..20]
        .chunks(2)
        .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
        .sum();
    let checksum = !((sum & 0xffff) + (sum >> 16)) as u16;
    bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

fn handle<F: Flavor>(stack: &Stack<F>, bytes: &[u8]) -> RawReceived {
    stack.engine.handle_raw(&Packet::parse(bytes).unwrap())
}

fn a_diverted_packet_arrives_whole<F: Flavor>() {
    let stack = Stack::<F>::new();
    let socket = stack.raw();
    for (from, to, _) in PINGS {
        let bytes = datagram(from, to, b"discover");
        let mut padded = bytes.clone();
        padded.extend_from_slice(b"padding");
        let received = stack
            .engine
            .handle_diverted(&Packet::parse(&padded).unwrap(), false);
        assert_eq!(received, RawReceived::Queued);
        assert_eq!(now(socket.recv_packet()).unwrap().bytes, bytes);
    }
    assert_eq!(stack.engine.stats().raw_packets_in, 2);
}

fn each_socket_that_asks_for_a_packet_receives_a_copy<F: Flavor>() {
    let stack = Stack::<F>::new();
    let (one, two) = (stack.raw(), stack.raw());
    let config = RawConfig::new().diverted(false).multicast(true);
    let other = stack.binder().bind_raw(config).unwrap();
    assert_eq!(stack.divert("10.0.0.1", b"x"), RawReceived::Queued);
    assert_eq!(
        now(one.recv_packet()).unwrap(),
        now(two.recv_packet()).unwrap()
    );
    assert!(Task::new().poll(pin!(other.recv_packet())).is_pending());
    assert_eq!(stack.engine.stats().raw_packets_in, 2);

    // Of clones, one receives the packet.
    let clone = one.clone();
    drop(two);
    assert_eq!(stack.divert("10.0.0.1", b"x"), RawReceived::Queued);
    now(clone.recv_packet()).unwrap();
    assert!(Task::new().poll(pin!(one.recv_packet())).is_pending());
}

fn a_diverted_packet_tells_whether_the_stack_has_made_it<F: Flavor>() {
    let stack = Stack::<F>::new();
    let socket = stack.raw();
    let bytes = datagram("10.0.0.1", "192.0.2.7", b"x");
    for outbound in [false, true] {
        let packet = Packet::parse(&bytes).unwrap();
        let received = stack.engine.handle_diverted(&packet, outbound);
        assert_eq!(received, RawReceived::Queued);
        assert_eq!(now(socket.recv_packet()).unwrap().outbound, outbound);
    }
}

fn icmp_errors_about_a_protocol_come_with_it<F: Flavor>() {
    let stack = Stack::<F>::new();
    let config = RawConfig::new().protocol(47);
    let socket = stack.binder().bind_raw(config).unwrap();
    let handle = |sent: &[u8]| {
        let (mut bytes, sent) = (Vec::new(), Packet::parse(sent).unwrap());
        assert!(icmp::error(&mut bytes, &sent, Unreachable::Host));
        let packet = Packet::parse(&bytes).unwrap();
        let error = icmp::parse_error(&packet).unwrap();
        let known = stack.engine.handle_icmp_error(stack.now(), &packet, &error);
        (known, bytes)
    };
    let (known, bytes) = handle(&packet_of(47, "10.0.0.2"));
    assert!(known);
    assert_eq!(now(socket.recv_packet()).unwrap().bytes, bytes);
    let (known, _) = handle(&packet_of(132, "10.0.0.2"));
    assert!(!known);
}

fn a_diverted_packet_that_no_socket_takes_is_counted<F: Flavor>() {
    let stack = Stack::<F>::new();
    let config = RawConfig::new().diverted(false).multicast(true);
    let _socket = stack.binder().bind_raw(config).unwrap();
    assert_eq!(stack.divert("10.0.0.1", b"x"), RawReceived::NoListener);
    assert_eq!(stack.engine.stats().no_listener, 1);
}

fn a_packet_that_no_socket_asks_for_is_left_to_the_driver<F: Flavor>() {
    let stack = Stack::<F>::new();
    let _socket = stack.raw();
    let igmp = packet_of(2, "224.0.0.1");
    assert_eq!(handle(&stack, &igmp), RawReceived::NoListener);
    assert_eq!(stack.engine.stats(), Default::default());
}

fn multicast_and_broadcast_are_received_on_request<F: Flavor>() {
    let stack = Stack::<F>::new();
    let config = RawConfig::new().multicast(true);
    let socket = stack.binder().bind_raw(config).unwrap();
    let groups = [
        ("10.0.0.1", "224.0.0.251"),
        ("10.0.0.1", "255.255.255.255"),
        ("fd00::1", "ff02::fb"),
    ];
    for (from, to) in groups {
        let bytes = datagram(from, to, b"who");
        assert_eq!(handle(&stack, &bytes), RawReceived::Queued);
        assert_eq!(now(socket.recv_packet()).unwrap().bytes, bytes);
    }
    let unicast = datagram("10.0.0.1", "10.0.0.2", b"who");
    assert_eq!(handle(&stack, &unicast), RawReceived::NoListener);
    drop(socket);
}

fn a_protocol_is_received_on_request<F: Flavor>() {
    let stack = Stack::<F>::new();
    let config = RawConfig::new().protocol(2).protocol(89);
    let socket = stack.binder().bind_raw(config).unwrap();
    for (protocol, to) in [(2, "224.0.0.1"), (89, "224.0.0.5"), (89, "10.0.0.2")] {
        let bytes = packet_of(protocol, to);
        assert_eq!(handle(&stack, &bytes), RawReceived::Queued);
        assert_eq!(now(socket.recv_packet()).unwrap().bytes, bytes);
    }
    assert_eq!(
        handle(&stack, &packet_of(47, "10.0.0.2")),
        RawReceived::NoListener
    );
}

fn tcp_and_udp_are_refused_as_protocols<F: Flavor>() {
    let stack = Stack::<F>::new();
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        let config = RawConfig::new().protocol(protocol);
        let error = stack.binder().bind_raw(config).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(&protocol.to_string()), "{error}");
    }
    for protocol in [Protocol::Icmpv4, Protocol::Icmpv6] {
        let config = RawConfig::new().protocol(protocol);
        stack.binder().bind_raw(config).unwrap();
    }
}

fn a_full_queue_leaves_the_other_sockets_their_copies<F: Flavor>() {
    let stack = Stack::<F>::new();
    let small = || {
        let config = RawConfig::new().inbound_packets(1);
        stack.binder().bind_raw(config).unwrap()
    };
    // The order in which the sockets were bound does not matter.
    let (first, socket, last) = (small(), stack.raw(), small());
    for _ in 0..2 {
        assert_eq!(stack.divert("10.0.0.1", b"x"), RawReceived::Queued);
        now(socket.recv_packet()).unwrap();
    }
    drop(socket);
    assert_eq!(stack.divert("10.0.0.1", b"x"), RawReceived::Dropped);
    let stats = stack.engine.stats();
    assert_eq!((stats.raw_packets_in, stats.dropped_full), (4, 4));
    drop((first, last));
}

fn a_short_buffer_cuts_the_packet<F: Flavor>() {
    let stack = Stack::<F>::new();
    let socket = stack.raw();
    let bytes = datagram("10.0.0.1", "192.0.2.7", b"x");
    for len in [0, 20, 1500] {
        assert_eq!(stack.divert("10.0.0.1", b"x"), RawReceived::Queued);
        let mut buf = vec![0; len];
        let read = now(socket.recv(&mut buf)).unwrap();
        assert_eq!(read, len.min(bytes.len()));
        assert_eq!(buf[..read], bytes[..read]);
    }
}

fn a_sent_packet_leaves_as_it_is<F: Flavor>() {
    let stack = Stack::<F>::new();
    let socket = stack.raw();
    for (from, to, _) in PINGS {
        let bytes = datagram(from, to, b"offer");
        let mut padded = bytes.clone();
        padded.extend_from_slice(b"padding");
        assert_eq!(now(socket.send(&padded)).unwrap(), bytes.len());
        assert_eq!(stack.sent(), bytes);
    }
    let igmp = packet_of(2, "224.0.0.1");
    now(socket.send(&igmp)).unwrap();
    assert_eq!(stack.sent(), igmp);
    // The driver fragments these two.
    let mut long = datagram("10.0.0.1", "10.0.0.2", &[0; 3000]);
    long[6] = 0;
    let checksum = u16::from_be_bytes([long[10], long[11]]);
    long[10..12].copy_from_slice(&checksum.wrapping_add(0x4000).to_be_bytes());
    now(socket.send(&long)).unwrap();
    assert_eq!(stack.sent(), long);
    let long = datagram("fd00::1", "fd00::2", &[0; 3000]);
    now(socket.send(&long)).unwrap();
    assert_eq!(stack.sent(), long);
    assert_eq!(stack.engine.stats().raw_packets_out, 5);
}

fn packets_that_cannot_be_sent_are_refused<F: Flavor>() {
    let interface = Interface::new().ipv6(false);
    let stack = Stack::<F>::with(interface, Config::new());
    let socket = stack.raw();
    let send = |bytes: &[u8]| {
        let error = now(socket.send(bytes)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        *error
            .get_ref()
            .unwrap()
            .downcast_ref::<SendError>()
            .unwrap()
    };
    let bytes = datagram("10.0.0.1", "10.0.0.2", b"offer");
    assert!(matches!(send(&[]), SendError::Malformed(_)));
    assert!(matches!(send(&bytes[..30]), SendError::Malformed(_)));
    let mut corrupted = bytes;
    corrupted[8] ^= 1;
    assert!(matches!(send(&corrupted), SendError::Malformed(_)));
    let long = datagram("10.0.0.1", "10.0.0.2", &[0; 1473]);
    let (len, limit) = (1501, 1500);
    assert_eq!(send(&long), SendError::TooLong { len, limit });
    let to = ip("fd00::2");
    assert_eq!(
        send(&datagram("fd00::1", "fd00::2", b"")),
        SendError::NoIpv6 { to }
    );
    assert_eq!(stack.engine.poll_transmit(), None);
}

fn a_socket_is_a_device<F: Flavor>() {
    let interface = Interface::new().mtu(1280);
    let stack = Stack::<F>::with(interface, Config::new().outbound_packets(1));
    let (mut device, task) = (stack.raw(), Task::new());
    let waker = task.waker();
    let mut cx = Context::from_waker(&waker);
    assert_eq!(device.mtu(), Some(1280));

    let mut packet = PacketBuf::default();
    assert!(device.poll_recv(&mut cx, &mut packet).is_pending());
    assert_eq!(stack.divert("10.0.0.1", b"x"), RawReceived::Queued);
    assert_eq!(task.woken(), 1);
    assert!(matches!(
        device.poll_recv(&mut cx, &mut packet),
        Poll::Ready(Ok(()))
    ));
    let bytes = datagram("10.0.0.1", "192.0.2.7", b"x");
    assert_eq!(packet[..], bytes);

    assert!(matches!(
        device.poll_send(&mut cx, &packet),
        Poll::Ready(Ok(()))
    ));
    assert!(device.poll_send(&mut cx, &packet).is_pending(), "full");
    assert_eq!(stack.sent(), bytes);
    assert_eq!(task.woken(), 1);
    assert!(matches!(
        device.poll_send(&mut cx, &packet),
        Poll::Ready(Ok(()))
    ));
    assert_eq!(stack.sent(), bytes);

    // What is queued can still be received.
    assert_eq!(stack.divert("10.0.0.1", b"x"), RawReceived::Queued);
    stack.engine.shutdown();
    assert!(matches!(
        device.poll_recv(&mut cx, &mut packet),
        Poll::Ready(Ok(()))
    ));
    let ended = |poll| matches!(poll, Poll::Ready(Err(error)) if std::io::Error::kind(&error) == ErrorKind::UnexpectedEof);
    assert!(ended(device.poll_recv(&mut cx, &mut packet)));
    packet.copy_from_slice(&bytes);
    assert!(ended(device.poll_send(&mut cx, &packet)));
}

fn a_device_drops_what_cannot_be_sent<F: Flavor>() {
    let stack = Stack::<F>::new();
    let mut device = stack.raw();
    let mut cx = Context::from_waker(Waker::noop());
    for bytes in [vec![0x45; 3], datagram("10.0.0.1", "10.0.0.2", &[0; 1473])] {
        let sent = device.poll_send(&mut cx, &PacketBuf::from(bytes));
        assert!(matches!(sent, Poll::Ready(Ok(()))));
    }
    assert_eq!(stack.engine.stats().invalid_out, 2);
    assert_eq!(stack.engine.poll_transmit(), None);
}
