use super::*;
use brooklet_packet::icmp;

both_flavors!(
    a_datagram_carries_both_addresses,
    bytes_beyond_the_buffer_are_discarded,
    empty_datagrams_arrive,
    peek_leaves_the_datagram_in_the_queue,
    a_full_queue_drops_the_newest,
    a_queue_full_of_bytes_drops_the_newest,
    fragments_and_other_protocols_are_dropped,
    without_a_reader_there_is_no_listener,
);

fn a_datagram_carries_both_addresses<F: Flavor>() {
    for (from, to) in [(CLIENT, SERVER), (CLIENT6, SERVER6)] {
        let (engine, socket) = engine::<F>();
        for _ in 0..2 {
            let bytes = packet(b"question", from, to);
            assert_eq!(handle(&engine, &bytes, Arrival::new()), QUEUED);
        }
        let mut buf = [0; 100];
        assert_eq!(
            now(socket.recv_from(&mut buf)).unwrap(),
            (8, addr(from), addr(to))
        );
        assert_eq!(&buf[..8], b"question");
        let datagram = now(socket.recv_datagram()).unwrap();
        assert_eq!((datagram.from, datagram.to), (addr(from), addr(to)));
        assert_eq!(datagram.payload, b"question");
        assert!(
            !format!("{datagram:?}").contains("113"),
            "{datagram:?} shows the payload"
        );
        let stats = engine.stats();
        assert_eq!((stats.datagrams_in, stats.bytes_in), (2, 16));
        assert_eq!(engine.counters().stats(), stats);
    }
}

fn bytes_beyond_the_buffer_are_discarded<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    for payload in [b"first".as_slice(), b"second"] {
        assert_eq!(arrive(&engine, payload), QUEUED);
    }
    let mut buf = [0; 3];
    assert_eq!(now(socket.recv_from(&mut buf)).unwrap().0, 3);
    assert_eq!(&buf, b"fir");
    assert_eq!(now(socket.recv_datagram()).unwrap().payload, b"second");
}

fn empty_datagrams_arrive<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    for _ in 0..2 {
        assert_eq!(arrive(&engine, b""), QUEUED);
    }
    let read = now(socket.recv_from(&mut [0; 10])).unwrap();
    assert_eq!(read, (0, addr(CLIENT), addr(SERVER)));
    assert_eq!(now(socket.recv_datagram()).unwrap().payload, b"");
}

fn peek_leaves_the_datagram_in_the_queue<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    assert_eq!(arrive(&engine, b"question"), QUEUED);
    let mut buf = [0; 3];
    for _ in 0..2 {
        let peeked = now(socket.peek_from(&mut buf)).unwrap();
        assert_eq!((peeked, &buf), ((3, addr(CLIENT), addr(SERVER)), b"que"));
    }
    assert_eq!(now(socket.recv_datagram()).unwrap().payload, b"question");
    assert!(Task::new().poll(pin!(socket.recv_datagram())).is_pending());
}

fn a_full_queue_drops_the_newest<F: Flavor>() {
    let (engine, socket) = engine_with::<F>(|config| config.inbound_packets = 2);
    assert_eq!(arrive(&engine, b"1"), QUEUED);
    assert_eq!(arrive(&engine, b"2"), QUEUED);
    assert_eq!(arrive(&engine, b"3"), Received::Dropped);
    let stats = engine.stats();
    assert_eq!(
        (stats.datagrams_in, stats.dropped_full, stats.dropped_other),
        (2, 1, 0)
    );
    assert_eq!(now(socket.recv_datagram()).unwrap().payload, b"1");
    assert_eq!(arrive(&engine, b"4"), QUEUED);
    assert_eq!(now(socket.recv_datagram()).unwrap().payload, b"2");
    assert_eq!(now(socket.recv_datagram()).unwrap().payload, b"4");
}

fn a_queue_full_of_bytes_drops_the_newest<F: Flavor>() {
    let (engine, socket) = engine_with::<F>(|config| config.inbound_bytes = 10);
    assert_eq!(
        arrive(&engine, &[0; 11]),
        Received::Dropped,
        "larger than the budget"
    );
    assert_eq!(arrive(&engine, &[0; 6]), QUEUED);
    assert_eq!(arrive(&engine, &[0; 5]), Received::Dropped);
    assert_eq!(arrive(&engine, &[0; 4]), QUEUED);
    assert_eq!(arrive(&engine, &[]), QUEUED, "no bytes, no room needed");
    assert_eq!(engine.stats().dropped_full, 2);
    // Each kind of read frees the bytes.
    assert_eq!(now(socket.recv_from(&mut [])).unwrap().0, 0);
    assert_eq!(arrive(&engine, &[0; 6]), QUEUED);
    for len in [4, 0, 6] {
        assert_eq!(now(socket.recv_datagram()).unwrap().payload.len(), len);
    }
    assert_eq!(arrive(&engine, &[0; 10]), QUEUED);
}

fn fragments_and_other_protocols_are_dropped<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    // The first fragment of an IPv4 datagram: "more fragments", and the header checksum amended
    // for it (RFC 1624).
    let mut fragment = packet(b"question", CLIENT, SERVER);
    assert_eq!(fragment[6] & 0x20, 0);
    fragment[6] = 0x20 | fragment[6] & 0x40;
    let (sum, carry) = u16::from_be_bytes([fragment[10], fragment[11]]).overflowing_sub(0x2000);
    fragment[10..12].copy_from_slice(&(sum - u16::from(carry)).to_be_bytes());
    assert!(Packet::parse(&fragment).unwrap().fragment().is_some());
    let received = handle(&engine, &fragment, Arrival::new());
    assert_eq!(received, Received::Dropped);

    // An ICMP packet.
    let mut error = Vec::new();
    let bytes = packet(b"question", CLIENT, SERVER);
    let question = Packet::parse(&bytes).unwrap();
    assert!(icmp::error(&mut error, &question, icmp::Unreachable::Port));
    assert_eq!(handle(&engine, &error, Arrival::new()), Received::Dropped);

    assert_eq!(engine.stats().dropped_other, 2);
    assert!(Task::new().poll(pin!(socket.recv_datagram())).is_pending());
}

fn without_a_reader_there_is_no_listener<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    let other = socket.clone();
    drop(socket);
    assert_eq!(arrive(&engine, b"1"), QUEUED, "a clone listens");
    let (read, write) = other.split();
    let clone = read.clone();
    drop(read);
    assert_eq!(arrive(&engine, b"2"), QUEUED, "a reading half listens");
    assert_eq!(now(clone.recv_datagram()).unwrap().payload, b"1");
    assert_eq!(engine.queued(), (1, 1, 1));
    drop(clone);
    assert_eq!(engine.queued(), (0, 0, 0), "nobody can read them");
    assert_eq!(
        arrive(&engine, b"3"),
        Received::NoListener,
        "a writing half does not listen"
    );
    assert_eq!(engine.stats().no_listener, 1);
    // The write half still sends, and its packets outlive it.
    now(write.send_to(b"answer", addr(SERVER), addr(CLIENT))).unwrap();
    drop(write);
    assert_eq!(sent(&engine), [b"answer"]);
}
