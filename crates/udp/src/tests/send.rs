use super::*;
use crate::{Datagram, SendError};
use std::io::ErrorKind;

both_flavors!(
    sent_packets_are_complete,
    the_mtu_is_the_limit_of_a_datagram_that_must_not_be_fragmented,
    an_mtu_beyond_the_ip_length_field,
    the_address_families_of_a_datagram_must_agree,
    a_refused_datagram_is_not_counted,
    the_buffer_pools_are_bounded,
    zeros_in_the_config_count_as_one,
);

fn sent_packets_are_complete<F: Flavor>() {
    let (engine, socket) = engine_with::<F>(|config| config.hop_limit = 7);
    for (from, to) in [(SERVER, CLIENT), (SERVER6, CLIENT6)] {
        for payload in [b"answer".as_slice(), b""] {
            let len = now(socket.send_to(payload, addr(from), addr(to))).unwrap();
            assert_eq!(len, payload.len());
            let bytes = engine.poll_transmit().unwrap();
            let packet = Packet::parse(&bytes).unwrap();
            assert_eq!(packet.total_len(), bytes.len());
            assert_eq!(packet.key().source(), addr(from));
            assert_eq!(packet.key().destination(), addr(to));
            assert_eq!(packet.hop_limit(), 7);
            assert_eq!(packet.payload(), payload);
            assert!(packet.verify_checksum());
            assert!(engine.poll_transmit().is_none());
            engine.recycle(bytes);
        }
    }
    let stats = engine.stats();
    assert_eq!((stats.datagrams_out, stats.bytes_out), (4, 12));
}

fn the_mtu_is_the_limit_of_a_datagram_that_must_not_be_fragmented<F: Flavor>() {
    let (engine, socket) = engine_of::<F>(Interface::new().mtu(1400), Config::default());
    for (from, to, most) in [(SERVER, CLIENT, 1372), (SERVER6, CLIENT6, 1352)] {
        let (from, to) = (addr(from), addr(to));
        assert_eq!(now(socket.send_to(&vec![1; most], from, to)).unwrap(), most);
        assert_eq!(engine.poll_transmit().unwrap().len(), 1400);
        let datagram = |len: usize| Datagram::new(vec![1; len], from, to).dont_fragment(true);
        now(socket.send_datagram(&datagram(most))).unwrap();
        assert_eq!(engine.poll_transmit().unwrap().len(), 1400);
        let error = now(socket.send_datagram(&datagram(most + 1))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let text = error.to_string();
        assert!(text.contains(&format!("limit of {most} bytes")), "{text}");
        let why = error.get_ref().unwrap().downcast_ref();
        assert_eq!(
            why,
            Some(&SendError::TooLong {
                len: most + 1,
                limit: most,
                mtu: 1400
            })
        );
    }
}

fn an_mtu_beyond_the_ip_length_field<F: Flavor>() {
    let (engine, socket) = engine_of::<F>(Interface::new().mtu(usize::MAX), Config::default());
    let (from, to) = (addr(SERVER), addr(CLIENT));
    assert_eq!(now(socket.send_to(&[1; 65_507], from, to)).unwrap(), 65_507);
    assert_eq!(engine.poll_transmit().unwrap().len(), 65_535);
    let error = now(socket.send_to(&[1; 65_508], from, to)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(engine.poll_transmit().is_none());
}

fn the_address_families_of_a_datagram_must_agree<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    for (from, to) in [
        (SERVER, CLIENT6),
        (SERVER6, CLIENT),
        ("[::ffff:9.9.9.9]:53", CLIENT),
    ] {
        let (from, to) = (addr(from), addr(to));
        let error = now(socket.send_to(b"x", from, to)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let why = error.get_ref().unwrap().downcast_ref();
        assert_eq!(why, Some(&SendError::Families { from, to }));
    }
    assert!(engine.poll_transmit().is_none());
}

fn a_refused_datagram_is_not_counted<F: Flavor>() {
    let (engine, socket) = engine_with::<F>(|config| config.outbound_packets = 1);
    now(socket.send_to(b"x", addr(SERVER), addr(CLIENT6))).unwrap_err();
    assert_eq!(engine.stats(), Default::default());
    now(answer(&socket, b"goes")).unwrap();
    // The error comes at once, although the queue is full.
    now(answer(&socket, &[0; 65_508])).unwrap_err();
    assert_eq!(sent(&engine), [b"goes"]);
}

fn the_buffer_pools_are_bounded<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    for _ in 0..20 {
        engine.recycle(Vec::with_capacity(65_535).into());
    }
    assert_eq!(engine.pooled(), (0, 0, 8));
    engine.recycle(Vec::with_capacity(1 << 20).into());
    assert_eq!(engine.pooled(), (0, 0, 8));
    for _ in 0..100 {
        engine.recycle(Vec::with_capacity(1500).into());
    }
    assert_eq!(engine.pooled().1, 64);
    now(answer(&socket, b"answer")).unwrap();
    assert_eq!(engine.pooled().1, 63);
    let packet = engine.poll_transmit().unwrap();
    let packet = packet.into_vec();
    assert_eq!(packet.capacity(), 1500, "one of them");
    engine.recycle(packet.into());
    // The buffer of a datagram that was read goes to the pool, too.
    assert_eq!(arrive(&engine, b"question"), QUEUED);
    assert_eq!(engine.pooled().0, 0);
    now(socket.recv_from(&mut [0; 10])).unwrap();
    assert_eq!(engine.pooled().0, 1);
}

fn zeros_in_the_config_count_as_one<F: Flavor>() {
    let (engine, socket) = engine_with::<F>(|config| {
        config.inbound_packets = 0;
        config.outbound_packets = 0;
        config.hop_limit = 0;
    });
    assert_eq!(arrive(&engine, b"question"), QUEUED);
    now(answer(&socket, b"answer")).unwrap();
    assert_eq!(
        Packet::parse(&engine.poll_transmit().unwrap())
            .unwrap()
            .hop_limit(),
        1
    );
}
