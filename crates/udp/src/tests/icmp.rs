//! ICMP errors about datagrams that were sent.

use super::*;
use crate::{FlowError, SessionConfig};
use brooklet_packet::icmp::{self, IcmpErrorKind, Unreachable};
use std::io::{self, ErrorKind};

both_flavors!(
    a_connected_socket_reports_an_error_once,
    an_error_wakes_the_reader,
    an_error_comes_before_the_datagrams_in_the_queue,
    the_kind_of_the_error_tells_the_reason,
    an_error_about_another_flow_is_ignored,
    an_unconnected_socket_reports_errors_if_asked_for,
    an_error_about_a_datagram_that_was_not_sent_is_ignored,
    a_session_reports_that_its_client_is_unreachable,
    errors_about_other_protocols_are_ignored,
);

/// Delivers an error about a packet.
fn fail<F: Flavor>(engine: &Engine<F>, packet: &[u8], kind: impl Into<IcmpErrorKind>) -> bool {
    let mut error = Vec::new();
    let packet = Packet::parse(packet).unwrap();
    assert!(icmp::error(&mut error, &packet, kind));
    let error = icmp::parse_error(&Packet::parse(&error).unwrap()).unwrap();
    engine.handle_icmp_error(time(), &error)
}

fn flow_error(error: &io::Error) -> FlowError {
    *error.get_ref().unwrap().downcast_ref().unwrap()
}

fn connected<F: Flavor>(engine: &Engine<F>) -> UdpSocket<F> {
    let socket = engine.binder().bind(addr(SERVER)).unwrap();
    now(socket.connect(addr(CLIENT))).unwrap();
    socket
}

fn a_connected_socket_reports_an_error_once<F: Flavor>() {
    let (engine, _all) = engine::<F>();
    let socket = connected(&engine);
    now(socket.send(b"anyone?")).unwrap();
    let bytes = engine.poll_transmit().unwrap();
    assert!(fail(&engine, &bytes, Unreachable::Port));
    let error = now(socket.recv(&mut [0; 10])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    let flow = flow_error(&error);
    assert_eq!((flow.from, flow.to), (addr(SERVER), addr(CLIENT)));
    assert_eq!(flow.reporter, addr(CLIENT).ip());
    assert_eq!(flow.kind, Unreachable::Port.into());
    assert!(
        Task::new()
            .poll(pin!(socket.recv(&mut [0; 10])))
            .is_pending()
    );
    // A send reports it, too, and sends nothing then.
    assert!(fail(&engine, &bytes, Unreachable::Port));
    now(socket.send(b"anyone?")).unwrap_err();
    assert!(engine.poll_transmit().is_none());
    now(socket.send(b"anyone?")).unwrap();
    assert_eq!(engine.stats().icmp_errors, 2);
}

fn an_error_wakes_the_reader<F: Flavor>() {
    let (engine, _all) = engine::<F>();
    let (socket, task) = (connected(&engine), Task::new());
    let mut buf = [0; 10];
    let mut recv = pin!(socket.recv(&mut buf));
    assert!(task.poll(recv.as_mut()).is_pending());
    assert!(fail(
        &engine,
        &packet(b"x", SERVER, CLIENT),
        Unreachable::Port
    ));
    assert_eq!(task.woken(), 1);
    assert!(matches!(task.poll(recv), Poll::Ready(Err(_))));
}

fn an_error_comes_before_the_datagrams_in_the_queue<F: Flavor>() {
    let (engine, _all) = engine::<F>();
    let socket = connected(&engine);
    assert_eq!(arrive(&engine, b"question"), QUEUED);
    assert!(fail(
        &engine,
        &packet(b"x", SERVER, CLIENT),
        Unreachable::Host
    ));
    now(socket.recv(&mut [0; 10])).unwrap_err();
    assert_eq!(now(socket.recv_datagram()).unwrap().payload, b"question");
}

/// Linux tells "protocol unreachable" by `ENOPROTOOPT`, and "prohibited" in IPv4 by `EHOSTUNREACH`.
fn the_kind_of_the_error_tells_the_reason<F: Flavor>() {
    let (engine, _all) = engine::<F>();
    let socket = connected(&engine);
    for (why, kind) in [
        (Unreachable::Port, ErrorKind::ConnectionRefused),
        (Unreachable::Protocol, ErrorKind::ConnectionRefused),
        (Unreachable::Host, ErrorKind::HostUnreachable),
        (Unreachable::Network, ErrorKind::NetworkUnreachable),
        (Unreachable::Prohibited, ErrorKind::PermissionDenied),
    ] {
        assert!(fail(&engine, &packet(b"x", SERVER, CLIENT), why));
        let error = socket.try_recv_datagram().unwrap_err();
        assert_eq!(error.kind(), kind, "{why}");
        assert!(error.to_string().contains(&why.to_string()), "{error}");
    }
    // A router's "time exceeded" may be about one datagram.
    let exceeded = IcmpErrorKind::HopLimitExceeded;
    assert!(fail(&engine, &packet(b"x", SERVER, CLIENT), exceeded));
    assert_eq!(
        socket.try_recv_datagram().unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
}

fn an_error_about_another_flow_is_ignored<F: Flavor>() {
    let (engine, _all) = engine::<F>();
    let socket = connected(&engine);
    for (from, to) in [
        ("9.9.9.9:54", CLIENT),
        ("9.9.9.8:53", CLIENT),
        (SERVER, "10.0.0.1:5001"),
        (SERVER, "10.0.0.2:5000"),
    ] {
        let known = fail(&engine, &packet(b"x", from, to), Unreachable::Port);
        assert!(!known, "{from} to {to}");
    }
    assert_eq!(
        socket.try_recv_datagram().unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    assert_eq!(engine.stats().icmp_errors, 0);
}

fn an_unconnected_socket_reports_errors_if_asked_for<F: Flavor>() {
    let (engine, _all) = engine::<F>();
    let socket = engine.binder().bind(addr(SERVER)).unwrap();
    now(socket.send_to(b"x", addr(CLIENT))).unwrap();
    let bytes = engine.poll_transmit().unwrap();
    assert!(
        fail(&engine, &bytes, Unreachable::Port),
        "the flow is known"
    );
    assert_eq!(
        socket.try_recv_datagram().unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    socket.set_recv_errors(true);
    for kind in [Unreachable::Port.into(), IcmpErrorKind::HopLimitExceeded] {
        assert!(fail(&engine, &bytes, kind));
        let error = socket.try_recv_datagram().unwrap_err();
        assert_eq!(
            (flow_error(&error).kind, flow_error(&error).to),
            (kind, addr(CLIENT))
        );
    }
}

fn an_error_about_a_datagram_that_was_not_sent_is_ignored<F: Flavor>() {
    let (engine, _all) = engine::<F>();
    let socket = engine.binder().bind(addr("0.0.0.0:53")).unwrap();
    socket.set_recv_errors(true);
    let bytes = packet(b"x", SERVER, CLIENT);
    assert!(!fail(&engine, &bytes, Unreachable::Port));
    assert_eq!(engine.stats().icmp_errors, 0);
    let error = socket.try_recv_datagram().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

fn a_session_reports_that_its_client_is_unreachable<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    let listener = socket.into_sessions(SessionConfig::new());
    assert_eq!(arrive(&engine, b"question"), QUEUED);
    let session = now(listener.accept()).unwrap();
    assert!(
        !fail(&engine, &packet(b"x", SERVER, CLIENT), Unreachable::Port),
        "nothing was sent"
    );
    now(session.send_to_client(&[0; 65_508], addr(SERVER))).unwrap_err();
    assert!(
        !fail(&engine, &packet(b"x", SERVER, CLIENT), Unreachable::Port),
        "what was refused was not sent"
    );
    now(session.send_to_client(b"answer", addr(SERVER))).unwrap();
    assert!(!fail(
        &engine,
        &packet(b"x", "9.9.9.8:53", CLIENT),
        Unreachable::Port
    ));
    assert!(!fail(
        &engine,
        &packet(b"x", SERVER, "10.0.0.1:5001"),
        Unreachable::Port
    ));
    assert!(fail(
        &engine,
        &packet(b"x", SERVER, CLIENT),
        Unreachable::Port
    ));
    let error = now(session.recv_datagram()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(flow_error(&error).from, addr(SERVER));
    assert_eq!(
        now(session.recv_datagram()).unwrap().payload,
        b"question",
        "no end"
    );
}

fn errors_about_other_protocols_are_ignored<F: Flavor>() {
    let (engine, _all) = engine::<F>();
    let _socket = connected(&engine);
    let mut error = Vec::new();
    let bytes = packet(b"x", SERVER, CLIENT);
    assert!(icmp::error(
        &mut error,
        &Packet::parse(&bytes).unwrap(),
        Unreachable::Port
    ));
    let mut error = icmp::parse_error(&Packet::parse(&error).unwrap()).unwrap();
    error.protocol = brooklet_packet::Protocol::Tcp;
    assert!(!engine.handle_icmp_error(time(), &error));
}
