//! The fields of the IP header, one datagram at a time.

use super::*;
use crate::{Datagram, Ecn, TrafficClass};
use brooklet_packet::IpFields;
use std::num::NonZeroU8;

both_flavors!(
    a_received_datagram_has_the_fields_of_its_packet,
    a_sent_packet_has_the_fields_of_its_datagram,
    without_dont_fragment_each_packet_has_an_identification,
    queues_begin_with_different_identifications,
    a_long_datagram_leaves_as_one_packet,
    the_outbound_queue_is_bounded_in_bytes,
);

fn a_received_datagram_has_the_fields_of_its_packet<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    let class = TrafficClass::default().with_dscp(46).with_ecn(Ecn::Ect0);
    for (from, to, flag) in [
        (CLIENT, SERVER, true),
        (CLIENT, SERVER, false),
        (CLIENT6, SERVER6, true),
    ] {
        let fields = IpFields::new()
            .hop_limit(3)
            .traffic_class(class)
            .dont_fragment(flag);
        let mut bytes = Vec::new();
        udp::write_with(&mut bytes, addr(from), addr(to), fields, b"question").unwrap();
        assert_eq!(handle(&engine, &bytes, Arrival::new()), QUEUED);
        let datagram = now(socket.recv_datagram()).unwrap();
        assert_eq!(datagram.hop_limit, Some(3));
        assert_eq!(datagram.traffic_class, class);
        assert_eq!(datagram.dont_fragment, flag);
        // Its sender has fragmented it, and others may.
        let reassembled = Arrival::new().reassembled(true);
        assert_eq!(handle(&engine, &bytes, reassembled), QUEUED);
        assert!(!now(socket.recv_datagram()).unwrap().dont_fragment);
        let reply = datagram.reply(*b"answer");
        assert_eq!(reply, Datagram::new(*b"answer", addr(to), addr(from)));
        assert_eq!((reply.hop_limit, reply.dont_fragment), (None, false));
    }
}

fn a_sent_packet_has_the_fields_of_its_datagram<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    let class = TrafficClass::default().with_dscp(46).with_ecn(Ecn::Ect1);
    for (from, to) in [(SERVER, CLIENT), (SERVER6, CLIENT6)] {
        let datagram = Datagram::new(*b"answer", addr(from), addr(to));
        let sent = |datagram: &Datagram| {
            now(socket.send_datagram(datagram)).unwrap();
            let bytes = engine.poll_transmit().unwrap();
            let packet = Packet::parse(&bytes).unwrap();
            assert!(packet.verify_checksum());
            (
                packet.hop_limit(),
                packet.traffic_class(),
                packet.dont_fragment(),
            )
        };
        let none = TrafficClass::default();
        let is_ipv6 = addr(to).is_ipv6();
        assert_eq!(sent(&datagram), (64, none, is_ipv6));
        let datagram = datagram
            .hop_limit(Some(3))
            .traffic_class(class)
            .dont_fragment(true);
        assert_eq!(sent(&datagram), (3, class, true));
        assert_eq!(sent(&datagram.hop_limit(Some(0))).0, 1);
    }
}

fn identification(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[4], bytes[5]])
}

fn without_dont_fragment_each_packet_has_an_identification<F: Flavor>() {
    let (engine, socket) = engine_of::<F>(Interface::new().offload(true), Config::new());
    let datagram = Datagram::new(*b"onetwo+", addr(SERVER), addr(CLIENT));
    let next = |datagram: &Datagram| {
        now(socket.send_datagram(datagram)).unwrap();
        identification(&engine.poll_transmit().unwrap())
    };
    let first = next(&datagram);
    assert_eq!(next(&datagram), first.wrapping_add(1));
    // RFC 6864, 4.1: a packet that is not fragmented needs none.
    assert_eq!(next(&datagram.clone().dont_fragment(true)), 0);
    // The packets of a batch count on from that of the batch.
    let batch = datagram.clone().segment_size(std::num::NonZeroU16::new(3));
    assert_eq!(next(&batch), first.wrapping_add(2));
    assert_eq!(next(&datagram), first.wrapping_add(5));
}

fn queues_begin_with_different_identifications<F: Flavor>() {
    let queues = NonZeroU8::new(4).unwrap();
    let config = (Interface::default(), Config::default());
    let clock = Clock::new(time);
    let (engines, socket) = Engine::<F>::with_queues(queues, config.0, config.1, clock, [1, 2]);
    for port in 1..100 {
        let to = SocketAddr::new(addr(CLIENT).ip(), port);
        now(socket.send_to(b"x", addr(SERVER), to)).unwrap();
    }
    let first = |engine: &Engine<F>| identification(&engine.poll_transmit().unwrap());
    let mut starts: Vec<u16> = engines.iter().map(first).collect();
    starts.sort_unstable();
    assert!(starts.windows(2).all(|pair| pair[1] - pair[0] > 10_000));
}

fn a_long_datagram_leaves_as_one_packet<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    for (from, to, longest) in [(SERVER, CLIENT, 65_507), (SERVER6, CLIENT6, 65_527)] {
        for len in [1473, 4000, longest] {
            let (from, to) = (addr(from), addr(to));
            now(socket.send_to(&vec![7; len], from, to)).unwrap();
            let bytes = engine.poll_transmit().unwrap();
            assert_eq!(Packet::parse(&bytes).unwrap().payload(), vec![7; len]);
            engine.recycle(bytes);
        }
        let sent = now(socket.send_to(&vec![7; longest + 1], addr(from), addr(to)));
        let text = sent.unwrap_err().to_string();
        assert!(
            text.contains(&format!("limit of {longest} bytes")),
            "{text}"
        );
    }
}

fn the_outbound_queue_is_bounded_in_bytes<F: Flavor>() {
    let (engine, socket) = engine_with::<F>(|config| config.outbound_bytes = 100_000);
    let task = Task::new();
    for _ in 0..2 {
        now(answer(&socket, &[0; 60_000])).unwrap();
    }
    let mut send = pin!(answer(&socket, b"waits"));
    assert!(task.poll(send.as_mut()).is_pending());
    engine.poll_transmit().unwrap();
    assert_eq!(task.woken(), 0, "60,028 of 100,000 bytes");
    engine.poll_transmit().unwrap();
    assert_eq!(task.woken(), 1);
    assert!(task.poll(send).is_ready());
}
