//! Path MTUs.

use super::*;
use crate::{Datagram, SendError};
use brooklet_packet::IpFields;
use brooklet_packet::icmp::{self, Unreachable};
use std::num::NonZeroU16;

both_flavors!(
    a_path_mtu_limits_datagrams_that_must_not_be_fragmented,
    a_path_mtu_is_learned_from_an_icmp_error_about_a_flow,
    a_forged_error_teaches_no_path_mtu,
    a_packet_that_exceeds_the_path_mtu_is_too_big,
    a_learned_path_mtu_is_not_about_packets_that_arrive,
    what_the_programs_sockets_learn_is_about_packets_that_arrive,
    the_engines_of_a_stack_share_path_mtus,
);

fn a_path_mtu_limits_datagrams_that_must_not_be_fragmented<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    let (client, other) = (addr(CLIENT), addr("10.0.0.2:5000"));
    engine.set_path_mtu(time(), client.ip(), Some(1280));
    let send = |len: usize, to, flag| {
        let datagram = Datagram::new(vec![0; len], addr(SERVER), to).dont_fragment(flag);
        now(socket.send_datagram(&datagram))
    };
    send(1252, client, true).unwrap();
    let error = send(1253, client, true).unwrap_err();
    let (len, limit, mtu) = (1253, 1252, 1280);
    let why = error.get_ref().unwrap().downcast_ref();
    assert_eq!(why, Some(&SendError::TooLong { len, limit, mtu }));
    send(1253, client, false).unwrap();
    send(1253, other, true).unwrap();
    engine.set_path_mtu(time(), client.ip(), None);
    send(1253, client, true).unwrap();
    // A path MTU above that of the device does not count.
    engine.set_path_mtu(time(), client.ip(), Some(9000));
    assert_eq!(engine.path_mtu(time(), client.ip()), 1500);
    send(1473, client, true).unwrap_err();
}

/// The ICMP error that says that the packet is too long.
fn too_big<F: Flavor>(engine: &Engine<F>, packet: &[u8], mtu: u32) -> bool {
    let mut error = Vec::new();
    let packet = Packet::parse(packet).unwrap();
    assert!(icmp::error(
        &mut error,
        &packet,
        Unreachable::PacketTooBig { mtu }
    ));
    let error = icmp::parse_error(&Packet::parse(&error).unwrap()).unwrap();
    engine.handle_icmp_error(time(), &error)
}

fn a_path_mtu_is_learned_from_an_icmp_error_about_a_flow<F: Flavor>() {
    let (engine, all) = engine::<F>();
    let client = addr(CLIENT).ip();
    drop(all);
    let socket = engine.binder().bind(addr(SERVER)).unwrap();
    now(socket.connect(addr(CLIENT))).unwrap();
    socket.set_dont_fragment(true);
    now(socket.send(&[0; 1400])).unwrap();
    let bytes = engine.poll_transmit().unwrap();
    // An error about a flow that no socket has.
    assert!(!too_big(&engine, &packet(b"x", "9.9.9.9:54", CLIENT), 1300));
    assert_eq!(engine.path_mtu(time(), client), 1500);
    assert!(too_big(&engine, &bytes, 1300));
    assert_eq!(engine.path_mtu(time(), client), 1300);
    // The error is not reported.
    now(socket.send(b"x")).unwrap();
    pass(Duration::from_secs(601));
    assert_eq!(
        engine.path_mtu(time(), client),
        1500,
        "forgotten (RFC 8201, 4)"
    );
    assert_eq!(engine.stats().icmp_errors, 1);
}

fn a_forged_error_teaches_no_path_mtu<F: Flavor>() {
    let (engine, all) = engine::<F>();
    let (client, forged) = (addr(CLIENT), packet(&[1; 800], "9.9.9.9:7777", CLIENT));
    assert!(!too_big(&engine, &forged, 600), "the transparent socket");
    let socket = engine.binder().bind(addr("0.0.0.0:7777")).unwrap();
    assert!(!too_big(&engine, &forged, 600), "an unconnected socket");
    assert_eq!(engine.path_mtu(time(), client.ip()), 1500);
    drop(socket);
    // What was refused was not sent.
    now(all.send_to(&[0; 65_508], addr("9.9.9.9:7777"), client)).unwrap_err();
    assert!(!too_big(&engine, &forged, 600));
    now(all.send_to(&[1; 800], addr("9.9.9.9:7777"), client)).unwrap();
    now(all.send_to(b"x", addr("9.9.9.9:7778"), client)).unwrap();
    assert!(too_big(&engine, &forged, 600), "this one was sent");
    assert_eq!(engine.path_mtu(time(), client.ip()), 600);
}

fn a_learned_path_mtu_is_not_about_packets_that_arrive<F: Flavor>() {
    let (engine, _all) = engine::<F>();
    engine.learn_path_mtu(time(), addr(SERVER).ip(), 600);
    let fields = IpFields::new().dont_fragment(true);
    let mut bytes = Vec::new();
    udp::write_with(&mut bytes, addr(CLIENT), addr(SERVER), fields, &[1; 1200]).unwrap();
    assert_eq!(handle(&engine, &bytes, Arrival::new()), QUEUED);
    // A stated one is, whatever was learned.
    engine.set_path_mtu(time(), addr(SERVER).ip(), Some(1000));
    let mtu = 1000;
    assert_eq!(
        handle(&engine, &bytes, Arrival::new()),
        Received::TooBig { mtu }
    );
}

fn what_the_programs_sockets_learn_is_about_packets_that_arrive<F: Flavor>() {
    let (engine, _socket) = engine::<F>();
    let (binder, server) = (engine.binder(), addr(SERVER).ip());
    assert!(!binder.learn_path_mtu(server, 1500), "that of the device");
    assert!(binder.learn_path_mtu(server, 1200));
    assert!(!binder.learn_path_mtu(server, 1200));
    let mut bytes = Vec::new();
    let fields = IpFields::new();
    udp::write_with(&mut bytes, addr(CLIENT), addr(SERVER), fields, &[1; 1200]).unwrap();
    let packet = Packet::parse(&bytes).unwrap();
    let mtu = 1200;
    let received = engine.handle_packet(time(), &packet, Arrival::new());
    assert_eq!(received, Received::TooBig { mtu });
    let later = time() + Duration::from_secs(601);
    let received = engine.handle_packet(later, &packet, Arrival::new());
    assert_eq!(received, QUEUED);
}

fn a_packet_that_exceeds_the_path_mtu_is_too_big<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    for (from, to) in [(CLIENT, SERVER), (CLIENT6, SERVER6)] {
        let headers = packet(b"", from, to).len();
        engine.set_path_mtu(time(), addr(to).ip(), Some(1300));
        let received = |len: usize, flag, arrival| {
            let fields = IpFields::new().dont_fragment(flag);
            let mut bytes = Vec::new();
            let payload = vec![0; len - headers];
            udp::write_with(&mut bytes, addr(from), addr(to), fields, &payload).unwrap();
            handle(&engine, &bytes, arrival)
        };
        let (one, mtu) = (Arrival::new(), 1300);
        assert_eq!(received(1300, true, one), QUEUED);
        assert_eq!(received(1301, true, one), Received::TooBig { mtu });
        // What was reassembled can be fragmented again.
        assert_eq!(received(1301, true, one.reassembled(true)), QUEUED);
        let batch = |size: usize| one.gso_size(NonZeroU16::new((size - headers) as u16));
        assert_eq!(received(4000, true, batch(1300)), QUEUED);
        assert_eq!(received(4000, true, batch(1301)), Received::TooBig { mtu });
        if addr(to).is_ipv4() {
            assert_eq!(received(1301, false, one), QUEUED);
        }
        // A socket of the stack itself is at no path's end.
        let bound = engine.binder().bind(addr(to)).unwrap();
        assert_eq!(received(1301, true, one), QUEUED);
        drop(bound);
    }
    assert_eq!(engine.stats().dropped_too_big, 4);
    drop(socket);
}

fn the_engines_of_a_stack_share_path_mtus<F: Flavor>() {
    let queues = std::num::NonZeroU8::new(2).unwrap();
    let clock = Clock::new(time);
    let (engines, _socket) =
        Engine::<F>::with_queues(queues, Interface::new(), Config::new(), clock, [1, 2]);
    engines[0].set_path_mtu(time(), addr(CLIENT).ip(), Some(1280));
    assert_eq!(engines[1].path_mtu(time(), addr(CLIENT).ip()), 1280);
}
