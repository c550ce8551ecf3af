//! Bound sockets.

use super::*;
use crate::{Datagram, SendError, SessionConfig, TrafficClass, UdpBinder};
use std::collections::HashSet;
use std::io::{self, ErrorKind};

both_flavors!(
    a_bound_socket_takes_its_datagrams_before_the_one_for_all,
    a_bound_socket_takes_its_datagrams_before_sessions,
    the_most_specific_socket_receives,
    a_connected_socket_receives_from_its_peer_only,
    a_wildcard_socket_receives_for_every_address_of_its_family,
    an_address_is_bound_once,
    the_number_of_sockets_is_bounded,
    ephemeral_ports_are_dynamic_and_distinct,
    the_last_handle_frees_the_address,
    addresses_that_no_host_has_are_not_available,
    a_socket_sends_from_its_address,
    a_wildcard_socket_sends_from_the_address_of_the_stack,
    send_needs_a_peer,
    destinations_are_checked,
    the_options_are_in_the_header,
    a_socket_that_must_not_fragment_refuses_long_datagrams,
    calls_that_would_wait_fail,
    poll_calls_wait_for_datagrams_and_for_room,
    peek_leaves_the_datagram,
    a_reader_of_one_socket_is_not_woken_for_another,
    a_full_socket_drops_no_datagram_of_another,
    shutdown_ends_sockets_and_the_binder,
    the_halves_of_a_dialogue_between_two_sockets,
);

const OWN: &str = "10.0.0.9";

fn stack<F: Flavor>() -> (Engine<F>, UdpBinder<F>, TransparentUdpSocket<F>) {
    let interface = Interface::new().ipv4(Some(OWN.parse().unwrap()));
    let (engine, all) = engine_of(interface, Config::default());
    let binder = engine.binder();
    (engine, binder, all)
}

fn payload<F: Flavor>(socket: &UdpSocket<F>) -> Option<Vec<u8>> {
    match socket.try_recv_datagram() {
        Ok(datagram) => Some(datagram.payload),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            None
        }
    }
}

fn a_bound_socket_takes_its_datagrams_before_the_one_for_all<F: Flavor>() {
    let (engine, binder, all) = stack::<F>();
    let socket = binder.bind(addr(SERVER)).unwrap();
    assert_eq!(arrive_at(&engine, b"1", CLIENT, SERVER), QUEUED);
    assert_eq!(arrive_at(&engine, b"2", CLIENT, "9.9.9.9:54"), QUEUED);
    assert_eq!(arrive_at(&engine, b"3", CLIENT, "9.9.9.8:53"), QUEUED);
    let mut buf = [0; 10];
    assert_eq!(now(socket.recv_from(&mut buf)).unwrap(), (1, addr(CLIENT)));
    assert_eq!(buf[0], b'1');
    assert_eq!(payload(&socket), None);
    assert_eq!(now(all.recv_datagram()).unwrap().payload, b"2");
    assert_eq!(now(all.recv_datagram()).unwrap().payload, b"3");
}

fn a_bound_socket_takes_its_datagrams_before_sessions<F: Flavor>() {
    let (engine, binder, all) = stack::<F>();
    let listener = all.into_sessions(SessionConfig::new());
    assert_eq!(arrive(&engine, b"1"), QUEUED);
    let session = now(listener.accept()).unwrap();
    let socket = binder.bind(addr(SERVER)).unwrap();
    assert_eq!(arrive(&engine, b"2"), QUEUED);
    assert_eq!(payload(&socket).unwrap(), b"2");
    assert_eq!(now(session.recv_datagram()).unwrap().payload, b"1");
    drop(socket);
    assert_eq!(arrive(&engine, b"3"), QUEUED);
    assert_eq!(now(session.recv_datagram()).unwrap().payload, b"3");
}

fn the_most_specific_socket_receives<F: Flavor>() {
    let (engine, binder, _all) = stack::<F>();
    let any = binder.bind(addr("0.0.0.0:53")).unwrap();
    let exact = binder.bind(addr(SERVER)).unwrap();
    assert_eq!(arrive(&engine, b"1"), QUEUED);
    assert_eq!(
        (payload(&any), payload(&exact)),
        (None, Some(b"1".to_vec()))
    );
    // A connected socket comes before both.
    let own = format!("{OWN}:53");
    let exact_own = binder.bind(addr(&own)).unwrap();
    now(any.connect(addr(CLIENT))).unwrap();
    assert_eq!(arrive_at(&engine, b"2", CLIENT, &own), QUEUED);
    assert_eq!(
        (payload(&any), payload(&exact_own)),
        (Some(b"2".to_vec()), None)
    );
    assert_eq!(arrive_at(&engine, b"3", "10.0.0.1:5001", &own), QUEUED);
    assert_eq!(
        (payload(&any), payload(&exact_own)),
        (None, Some(b"3".to_vec()))
    );
}

fn a_connected_socket_receives_from_its_peer_only<F: Flavor>() {
    let (engine, binder, all) = stack::<F>();
    let socket = binder.bind(addr(SERVER)).unwrap();
    assert_eq!(
        socket.peer_addr().unwrap_err().kind(),
        ErrorKind::NotConnected
    );
    now(socket.connect(addr(CLIENT))).unwrap();
    assert_eq!(socket.peer_addr().unwrap(), addr(CLIENT));
    assert_eq!(arrive_at(&engine, b"1", "10.0.0.1:5001", SERVER), QUEUED);
    assert_eq!(arrive(&engine, b"2"), QUEUED);
    assert_eq!(payload(&socket).unwrap(), b"2");
    assert_eq!(now(all.recv_datagram()).unwrap().payload, b"1");
    now(socket.connect(addr("10.0.0.1:5001"))).unwrap();
    assert_eq!(arrive_at(&engine, b"3", "10.0.0.1:5001", SERVER), QUEUED);
    assert_eq!(payload(&socket).unwrap(), b"3");
}

fn a_wildcard_socket_receives_for_every_address_of_its_family<F: Flavor>() {
    let (engine, binder, all) = stack::<F>();
    let four = binder.bind(addr("0.0.0.0:53")).unwrap();
    let six = binder.bind(addr("[::]:53")).unwrap();
    assert_eq!(arrive_at(&engine, b"4", CLIENT, "1.2.3.4:53"), QUEUED);
    assert_eq!(arrive_at(&engine, b"6", CLIENT6, "[fd00::53]:53"), QUEUED);
    assert_eq!(arrive_at(&engine, b"x", CLIENT, "1.2.3.4:54"), QUEUED);
    assert_eq!(
        (payload(&four), payload(&four)),
        (Some(b"4".to_vec()), None)
    );
    assert_eq!((payload(&six), payload(&six)), (Some(b"6".to_vec()), None));
    assert_eq!(now(all.recv_datagram()).unwrap().payload, b"x");
}

fn an_address_is_bound_once<F: Flavor>() {
    let (_engine, binder, _all) = stack::<F>();
    for address in [SERVER, SERVER6, "0.0.0.0:53", "[::]:53"] {
        let socket = binder.bind(addr(address)).unwrap();
        assert_eq!(socket.local_addr().unwrap(), addr(address));
        let error = binder.bind(addr(address)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        drop(socket);
        binder.bind(addr(address)).unwrap();
    }
}

fn the_number_of_sockets_is_bounded<F: Flavor>() {
    let (engine, _all) = engine_with::<F>(|config| config.sockets = 2);
    let binder = engine.binder();
    let bind = || binder.bind(addr("0.0.0.0:0"));
    let sockets = [bind().unwrap(), bind().unwrap()];
    assert_eq!(bind().unwrap_err().kind(), ErrorKind::QuotaExceeded);
    drop(sockets);
    bind().unwrap();
}

fn ephemeral_ports_are_dynamic_and_distinct<F: Flavor>() {
    let (_engine, binder, _all) = stack::<F>();
    let any = addr("0.0.0.0:0");
    let sockets: Vec<_> = (0..500).map(|_| binder.bind(any).unwrap()).collect();
    let ports: HashSet<u16> = sockets
        .iter()
        .map(|socket| socket.local_addr().unwrap().port())
        .collect();
    assert_eq!(ports.len(), 500);
    assert!(ports.iter().all(|&port| port >= 49_152));
    // Another address has all ports.
    let one = binder.bind(addr("10.0.0.1:0")).unwrap();
    assert_eq!(one.local_addr().unwrap().ip(), addr(CLIENT).ip());
}

fn the_last_handle_frees_the_address<F: Flavor>() {
    let (engine, binder, all) = stack::<F>();
    drop(all);
    let socket = binder.bind(addr(SERVER)).unwrap();
    let clone = socket.clone();
    drop(socket);
    assert_eq!(arrive(&engine, b"1"), QUEUED);
    assert_eq!(payload(&clone).unwrap(), b"1");
    assert_eq!(arrive(&engine, b"2"), QUEUED);
    drop(clone);
    assert_eq!(arrive(&engine, b"3"), Received::NoListener);
    let socket = binder.bind(addr(SERVER)).unwrap();
    assert_eq!(payload(&socket), None, "the datagrams went with the socket");
}

fn addresses_that_no_host_has_are_not_available<F: Flavor>() {
    let (_engine, binder, _all) = stack::<F>();
    for address in [
        "224.0.0.251:53",
        "255.255.255.255:53",
        "127.0.0.1:53",
        "[::1]:53",
        "[ff02::fb]:53",
        "[::ffff:10.0.0.1]:53",
    ] {
        let error = binder.bind(addr(address)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable, "{address}");
    }
    let (engine, _all) = engine_of::<F>(Interface::new().ipv6_enabled(false), Config::new());
    let error = engine.binder().bind(addr("[::]:53")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
    engine.binder().bind(addr("0.0.0.0:53")).unwrap();
}

/// The addresses of the packet that leaves next.
fn flow<F: Flavor>(engine: &Engine<F>) -> (SocketAddr, SocketAddr) {
    let bytes = engine.poll_transmit().unwrap();
    let key = Packet::parse(&bytes).unwrap().key();
    (key.source(), key.destination())
}

fn a_socket_sends_from_its_address<F: Flavor>() {
    let (engine, binder, _all) = stack::<F>();
    for (from, to) in [(SERVER, CLIENT), (SERVER6, CLIENT6)] {
        let (from, to) = (addr(from), addr(to));
        let socket = binder.bind(from).unwrap();
        assert_eq!(now(socket.send_to(b"answer", to)).unwrap(), 6);
        assert_eq!(flow(&engine), (from, to));
        now(socket.connect(to)).unwrap();
        assert_eq!(now(socket.send(b"answer")).unwrap(), 6);
        assert_eq!(flow(&engine), (from, to));
        // The source of the datagram is not used.
        now(socket.send_datagram(&Datagram::new(*b"x", to, to))).unwrap();
        assert_eq!(flow(&engine), (from, to));
        assert_eq!(
            now(socket.send_batch(&[Datagram::new(*b"x", to, to)])).unwrap(),
            1
        );
        assert_eq!(flow(&engine), (from, to));
    }
}

fn a_wildcard_socket_sends_from_the_address_of_the_stack<F: Flavor>() {
    let (engine, binder, _all) = stack::<F>();
    let own = SocketAddr::new(OWN.parse().unwrap(), 53);
    let socket = binder.bind(addr("0.0.0.0:53")).unwrap();
    now(socket.send_to(b"x", addr(CLIENT))).unwrap();
    assert_eq!(flow(&engine), (own, addr(CLIENT)));
    assert_eq!(socket.local_addr().unwrap(), addr("0.0.0.0:53"));
    now(socket.connect(addr(CLIENT))).unwrap();
    assert_eq!(socket.local_addr().unwrap(), own);
    // The stack has no IPv6 address.
    let socket = binder.bind(addr("[::]:53")).unwrap();
    let error = now(socket.send_to(b"x", addr(CLIENT6))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
    let error = now(socket.connect(addr(CLIENT6))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
    assert!(socket.peer_addr().is_err());
}

fn send_needs_a_peer<F: Flavor>() {
    let (_engine, binder, _all) = stack::<F>();
    let socket = binder.bind(addr(SERVER)).unwrap();
    assert_eq!(
        now(socket.send(b"x")).unwrap_err().kind(),
        ErrorKind::NotConnected
    );
    assert_eq!(
        socket.try_send(b"x").unwrap_err().kind(),
        ErrorKind::NotConnected
    );
}

fn destinations_are_checked<F: Flavor>() {
    let (engine, binder, _all) = stack::<F>();
    let socket = binder.bind(addr(SERVER)).unwrap();
    let kinds = |to: &str| -> [ErrorKind; 2] {
        let sent: io::Error = now(socket.send_to(b"x", addr(to))).unwrap_err();
        [
            sent.kind(),
            now(socket.connect(addr(to))).unwrap_err().kind(),
        ]
    };
    for to in ["10.0.0.1:0", "0.0.0.0:53", CLIENT6] {
        assert_eq!(kinds(to), [ErrorKind::InvalidInput; 2], "{to}");
    }
    assert!(engine.poll_transmit().is_none());
    let error = now(socket.send_to(b"x", addr(CLIENT6))).unwrap_err();
    let (from, to) = (addr(SERVER), addr(CLIENT6));
    let why = error.get_ref().unwrap().downcast_ref();
    assert_eq!(why, Some(&SendError::Families { from, to }));
}

fn the_options_are_in_the_header<F: Flavor>() {
    let (engine, binder, _all) = stack::<F>();
    let socket = binder.bind(addr(SERVER)).unwrap();
    let header = || {
        now(socket.send_to(b"x", addr(CLIENT))).unwrap();
        let bytes = engine.poll_transmit().unwrap();
        let packet = Packet::parse(&bytes).unwrap();
        (
            packet.hop_limit(),
            packet.traffic_class(),
            packet.dont_fragment(),
        )
    };
    assert_eq!(header(), (64, TrafficClass::default(), false));
    let class = TrafficClass::default().with_dscp(46);
    socket.set_ttl(9).unwrap();
    socket.set_traffic_class(class);
    socket.set_dont_fragment(true);
    assert_eq!(header(), (9, class, true));
    assert_eq!(socket.clone().ttl().unwrap(), 9);
    assert_eq!(
        (socket.traffic_class(), socket.dont_fragment()),
        (class, true)
    );
    for ttl in [0, 256] {
        let error = socket.set_ttl(ttl).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    // A datagram has its own fields, except that the hop limit may be left open.
    now(socket.send_datagram(&Datagram::new(*b"x", addr(SERVER), addr(CLIENT)))).unwrap();
    let bytes = engine.poll_transmit().unwrap();
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!((packet.hop_limit(), packet.dont_fragment()), (9, false));
}

fn a_socket_that_must_not_fragment_refuses_long_datagrams<F: Flavor>() {
    let (_engine, binder, _all) = stack::<F>();
    let socket = binder.bind(addr(SERVER)).unwrap();
    now(socket.send_to(&[0; 1473], addr(CLIENT))).unwrap();
    socket.set_dont_fragment(true);
    let error = now(socket.send_to(&[0; 1473], addr(CLIENT))).unwrap_err();
    let (len, limit, mtu) = (1473, 1472, 1500);
    let why = error.get_ref().unwrap().downcast_ref();
    assert_eq!(why, Some(&SendError::TooLong { len, limit, mtu }));
}

fn calls_that_would_wait_fail<F: Flavor>() {
    let config = Config::new().outbound_packets(1);
    let (engine, _all) = engine_of::<F>(Interface::new(), config);
    let socket = engine.binder().bind(addr(SERVER)).unwrap();
    let error = socket.try_recv_from(&mut [0; 10]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert_eq!(arrive(&engine, b"question"), QUEUED);
    assert_eq!(
        socket.try_recv_from(&mut [0; 10]).unwrap(),
        (8, addr(CLIENT))
    );
    assert_eq!(socket.try_send_to(b"answer", addr(CLIENT)).unwrap(), 6);
    let error = socket.try_send_to(b"answer", addr(CLIENT)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    let task = Task::new();
    let waker = task.waker();
    let mut cx = Context::from_waker(&waker);
    assert!(
        socket
            .poll_send_to(&mut cx, b"answer", addr(CLIENT))
            .is_pending()
    );
    assert_eq!(sent(&engine), [b"answer"]);
    assert_eq!(task.woken(), 1);
    assert!(socket.poll_recv_from(&mut cx, &mut [0; 10]).is_pending());
    assert_eq!(arrive(&engine, b"question"), QUEUED);
    assert_eq!(task.woken(), 1);
    let received = socket.poll_recv_from(&mut cx, &mut [0; 10]);
    assert!(matches!(received, Poll::Ready(Ok((8, _)))));
}

fn poll_calls_wait_for_datagrams_and_for_room<F: Flavor>() {
    let config = Config::new().outbound_packets(1);
    let (engine, all) = engine_of::<F>(Interface::new(), config);
    let socket = engine.binder().bind(addr(SERVER)).unwrap();
    let task = Task::new();
    let waker = task.waker();
    let mut cx = Context::from_waker(&waker);

    assert!(socket.poll_recv_datagram(&mut cx).is_pending());
    assert_eq!(arrive(&engine, b"question"), QUEUED);
    assert_eq!(task.woken(), 1);
    let Poll::Ready(Ok(question)) = socket.poll_recv_datagram(&mut cx) else {
        panic!("the datagram is there")
    };
    assert_eq!(
        (&question.payload[..], question.from),
        (&b"question"[..], addr(CLIENT))
    );

    assert!(matches!(socket.poll_writable(&mut cx), Poll::Ready(Ok(()))));
    socket
        .try_send_datagram(&question.reply(*b"answer"))
        .unwrap();
    let error = socket.try_send_datagram(&question.reply(*b"more"));
    assert_eq!(error.unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(socket.poll_writable(&mut cx).is_pending());
    assert_eq!(task.woken(), 0);
    assert_eq!(sent(&engine), [b"answer"]);
    assert_eq!(task.woken(), 1);
    assert!(socket.poll_writable(&mut cx).is_ready());

    // The end of the driver wakes the task, too.
    socket.try_send_datagram(&question.reply(*b"last")).unwrap();
    assert!(socket.poll_writable(&mut cx).is_pending());
    drop(all);
    engine.shutdown();
    assert_eq!(task.woken(), 1);
    let Poll::Ready(Err(error)) = socket.poll_writable(&mut cx) else {
        panic!("the driver has ended")
    };
    assert_eq!(error.kind(), ErrorKind::NetworkDown);
}

fn peek_leaves_the_datagram<F: Flavor>() {
    let (engine, binder, _all) = stack::<F>();
    let socket = binder.bind(addr(SERVER)).unwrap();
    assert_eq!(arrive(&engine, b"question"), QUEUED);
    assert_eq!(now(socket.peek(&mut [0; 3])).unwrap(), 3);
    assert_eq!(
        now(socket.peek_from(&mut [0; 9])).unwrap(),
        (8, addr(CLIENT))
    );
    assert_eq!(now(socket.recv(&mut [0; 9])).unwrap(), 8);
    assert_eq!(payload(&socket), None);
}

fn a_reader_of_one_socket_is_not_woken_for_another<F: Flavor>() {
    let (engine, binder, all) = stack::<F>();
    let sockets = [SERVER, "9.9.9.9:54"].map(|address| binder.bind(addr(address)).unwrap());
    let tasks = [Task::new(), Task::new(), Task::new()];
    let mut reads = [
        pin!(sockets[0].recv_datagram()),
        pin!(sockets[1].recv_datagram()),
    ];
    for (read, task) in reads.iter_mut().zip(&tasks) {
        assert!(task.poll(read.as_mut()).is_pending());
    }
    assert!(tasks[2].poll(pin!(all.recv_datagram())).is_pending());
    assert_eq!(arrive_at(&engine, b"x", CLIENT, "9.9.9.9:54"), QUEUED);
    assert_eq!(tasks.each_ref().map(|task| task.woken()), [0, 1, 0]);
}

fn a_full_socket_drops_no_datagram_of_another<F: Flavor>() {
    let config = Config::new().inbound_packets(2);
    let (engine, all) = engine_of::<F>(Interface::new(), config);
    let socket = engine.binder().bind(addr(SERVER)).unwrap();
    let results = [(); 3].map(|()| arrive(&engine, b"x"));
    assert_eq!(results, [QUEUED, QUEUED, Received::Dropped]);
    assert_eq!(arrive_at(&engine, b"x", CLIENT, "9.9.9.9:54"), QUEUED);
    assert_eq!(engine.stats().dropped_full, 1);
    assert_eq!(now(all.recv_datagram()).unwrap().to, addr("9.9.9.9:54"));
    assert_eq!(payload(&socket).unwrap(), b"x");
}

fn shutdown_ends_sockets_and_the_binder<F: Flavor>() {
    let (engine, binder, _all) = stack::<F>();
    let (socket, task) = (binder.bind(addr(SERVER)).unwrap(), Task::new());
    let mut recv = pin!(socket.recv_datagram());
    assert!(task.poll(recv.as_mut()).is_pending());
    let other = binder.bind(addr("9.9.9.9:54")).unwrap();
    assert_eq!(arrive_at(&engine, b"x", CLIENT, "9.9.9.9:54"), QUEUED);
    engine.shutdown();
    assert_eq!(task.woken(), 1);
    let Poll::Ready(Err(error)) = task.poll(recv) else {
        panic!("the stack has ended");
    };
    assert_eq!(error.kind(), ErrorKind::NetworkDown);
    assert_eq!(payload(&other).unwrap(), b"x", "it was in the queue");
    for error in [
        other.try_recv_datagram().unwrap_err(),
        now(other.send_to(b"x", addr(CLIENT))).unwrap_err(),
        binder.bind(addr("9.9.9.9:55")).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::NetworkDown);
    }
}

fn the_halves_of_a_dialogue_between_two_sockets<F: Flavor>() {
    let (engine, binder, _all) = stack::<F>();
    let [server, client] = [SERVER, CLIENT].map(|address| binder.bind(addr(address)).unwrap());
    now(client.connect(addr(SERVER))).unwrap();
    now(client.send(b"question")).unwrap();
    let loop_back = || {
        let bytes = engine.poll_transmit().unwrap();
        assert_eq!(handle(&engine, &bytes, Arrival::new()), QUEUED);
        engine.recycle(bytes);
    };
    loop_back();
    let (_, from) = now(server.recv_from(&mut [0; 10])).unwrap();
    now(server.send_to(b"answer", from)).unwrap();
    loop_back();
    let mut buf = [0; 10];
    assert_eq!(now(client.recv(&mut buf)).unwrap(), 6);
    assert_eq!(&buf[..6], b"answer");
}
