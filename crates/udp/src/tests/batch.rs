//! Several datagrams at once, and segment batches.

use super::*;
use crate::{Datagram, SendError};
use brooklet_io::{Checksum, Meta};
use brooklet_packet::{Headers, Segmenter};
use std::io::ErrorKind;
use std::num::{NonZeroU8, NonZeroU16};

both_flavors!(
    a_batch_takes_what_is_in_the_queue,
    a_batch_waits_for_the_first_datagram_only,
    a_batch_uses_the_buffers_of_the_last_again,
    a_cancelled_batch_loses_nothing,
    a_batch_sends_what_there_is_room_for,
    a_batch_waits_for_room_for_the_first_datagram,
    a_datagram_that_fails_ends_the_batch_before_it,
    a_batch_goes_to_every_queue,
    a_segment_batch_arrives_one_by_one,
    a_segment_batch_arrives_whole_if_asked_for,
    a_segment_batch_takes_the_room_of_its_bytes,
    a_segment_batch_leaves_as_one_packet_with_offload,
    a_segment_batch_leaves_in_packets_without_offload,
    a_segment_batch_must_fit_the_path_mtu,
    datagrams_of_one_flow_leave_as_one_packet_with_offload,
    datagrams_that_differ_leave_in_packets_of_their_own,
    a_packet_has_a_limited_number_of_datagrams_and_bytes,
    datagrams_beyond_the_path_mtu_leave_in_packets_of_their_own,
);

fn datagram(payload: &[u8]) -> Datagram {
    Datagram::new(payload, addr(SERVER), addr(CLIENT))
}

fn size(size: u16) -> Option<NonZeroU16> {
    NonZeroU16::new(size)
}

fn payloads(datagrams: &[Datagram]) -> Vec<&[u8]> {
    datagrams.iter().map(|d| d.payload.as_slice()).collect()
}

fn a_batch_takes_what_is_in_the_queue<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    for payload in [b"1".as_slice(), b"2", b"3"] {
        assert_eq!(arrive(&engine, payload), QUEUED);
    }
    let mut datagrams = vec![datagram(b"old")];
    assert_eq!(now(socket.recv_batch(&mut datagrams, 2)).unwrap(), 2);
    assert_eq!(payloads(&datagrams), [b"1", b"2"]);
    assert_eq!(
        (datagrams[1].from, datagrams[1].to),
        (addr(CLIENT), addr(SERVER))
    );
    assert_eq!(now(socket.recv_batch(&mut datagrams, 0)).unwrap(), 0);
    assert_eq!(now(socket.recv_batch(&mut datagrams, 64)).unwrap(), 1);
    assert_eq!(payloads(&datagrams), [b"3"]);
    assert_eq!(engine.queued(), (0, 0, 0));
}

fn a_batch_waits_for_the_first_datagram_only<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    let (task, mut datagrams) = (Task::new(), Vec::new());
    let mut recv = pin!(socket.recv_batch(&mut datagrams, 64));
    assert!(task.poll(recv.as_mut()).is_pending());
    assert_eq!(arrive(&engine, b"1"), QUEUED);
    assert_eq!(task.woken(), 1);
    assert!(matches!(task.poll(recv.as_mut()), Poll::Ready(Ok(1))));
    engine.shutdown();
    let error = now(socket.recv_batch(&mut Vec::new(), 64)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NetworkDown);
}

fn a_batch_uses_the_buffers_of_the_last_again<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    let mut datagrams = Vec::new();
    assert_eq!(arrive(&engine, b"first"), QUEUED);
    now(socket.recv_batch(&mut datagrams, 64)).unwrap();
    let buffer = datagrams[0].payload.as_ptr();
    assert_eq!(arrive(&engine, b"other"), QUEUED);
    now(socket.recv_batch(&mut datagrams, 64)).unwrap();
    assert_eq!(engine.pooled().0, 1);
    assert_eq!(arrive(&engine, b"again"), QUEUED);
    now(socket.recv_batch(&mut datagrams, 64)).unwrap();
    assert_eq!(datagrams[0].payload.as_ptr(), buffer);
}

fn a_cancelled_batch_loses_nothing<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    let mut datagrams = vec![datagram(b"old")];
    assert!(
        Task::new()
            .poll(pin!(socket.recv_batch(&mut datagrams, 64)))
            .is_pending()
    );
    assert_eq!(payloads(&datagrams), [b"old"]);
    assert_eq!(arrive(&engine, b"new"), QUEUED);
    assert_eq!(now(socket.recv_datagram()).unwrap().payload, b"new");
}

fn a_batch_sends_what_there_is_room_for<F: Flavor>() {
    let (engine, socket) = engine_with::<F>(|config| config.outbound_packets = 3);
    let datagrams: Vec<_> = (0..5).map(|n| datagram(&[n])).collect();
    assert_eq!(now(socket.send_batch(&[])).unwrap(), 0);
    assert_eq!(now(socket.send_batch(&datagrams)).unwrap(), 3);
    assert_eq!(sent(&engine), [[0], [1], [2]]);
    assert_eq!(now(socket.send_batch(&datagrams[3..])).unwrap(), 2);
    assert_eq!(sent(&engine), [[3], [4]]);
    assert_eq!(
        (engine.stats().datagrams_out, engine.stats().bytes_out),
        (5, 5)
    );
}

fn a_batch_waits_for_room_for_the_first_datagram<F: Flavor>() {
    let (engine, socket) = engine_with::<F>(|config| config.outbound_packets = 2);
    let (driver, task) = (Task::new(), Task::new());
    assert!(!engine.register(&driver.waker()));
    let datagrams = [datagram(b"1"), datagram(b"2"), datagram(b"3")];
    assert_eq!(now(socket.send_batch(&datagrams)).unwrap(), 2);
    assert_eq!(driver.woken(), 1, "once for all");
    let mut send = pin!(socket.send_batch(&datagrams[2..]));
    assert!(task.poll(send.as_mut()).is_pending());
    assert_eq!(sent(&engine), [b"1", b"2"]);
    assert_eq!(task.woken(), 1);
    assert!(matches!(task.poll(send), Poll::Ready(Ok(1))));
}

fn a_datagram_that_fails_ends_the_batch_before_it<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    let wrong = Datagram::new(*b"x", addr(SERVER), addr(CLIENT6));
    let datagrams = [datagram(b"1"), wrong, datagram(b"3")];
    assert_eq!(now(socket.send_batch(&datagrams)).unwrap(), 1);
    let error = now(socket.send_batch(&datagrams[1..])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(sent(&engine), [b"1"]);
}

fn a_batch_goes_to_every_queue<F: Flavor>() {
    let (engines, socket) = Engine::<F>::with_queues(
        NonZeroU8::new(3).unwrap(),
        Interface::default(),
        Config::default(),
        Clock::new(time),
        [1, 2],
    );
    let drivers: Vec<_> = engines.iter().map(|_| Task::new()).collect();
    for (engine, driver) in engines.iter().zip(&drivers) {
        assert!(!engine.register(&driver.waker()));
    }
    let to = |port| SocketAddr::new(addr(CLIENT).ip(), port);
    let datagrams: Vec<_> = (1..100)
        .map(|port| Datagram::new([port as u8], addr(SERVER), to(port)))
        .collect();
    assert_eq!(now(socket.send_batch(&datagrams)).unwrap(), 99);
    let mut all: Vec<_> = engines.iter().flat_map(sent).flatten().collect();
    all.sort_unstable();
    assert_eq!(all, (1..100).collect::<Vec<u8>>());
    assert!(drivers.iter().all(|driver| driver.woken() == 1));
}

fn a_segment_batch_arrives_one_by_one<F: Flavor>() {
    for (from, to) in [(CLIENT, SERVER), (CLIENT6, SERVER6)] {
        let (engine, socket) = engine::<F>();
        let bytes = packet(b"onetwo+", from, to);
        let arrival = Arrival::new().gso_size(size(3));
        assert_eq!(handle(&engine, &bytes, arrival), QUEUED);
        let mut datagrams = Vec::new();
        assert_eq!(now(socket.recv_batch(&mut datagrams, 64)).unwrap(), 3);
        assert_eq!(payloads(&datagrams), [&b"one"[..], b"two", b"+"]);
        assert!(datagrams.iter().all(|d| d.segment_size.is_none()));
        assert!(datagrams.iter().all(|d| d.from == addr(from)));
        assert_eq!(
            (engine.stats().datagrams_in, engine.stats().bytes_in),
            (3, 7)
        );
        // A batch of one, and an empty one.
        for payload in [b"on".as_slice(), b""] {
            assert_eq!(handle(&engine, &packet(payload, from, to), arrival), QUEUED);
            assert_eq!(now(socket.recv_datagram()).unwrap().payload, payload);
        }
    }
}

fn a_segment_batch_arrives_whole_if_asked_for<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    socket.set_gro(true);
    let arrival = Arrival::new().gso_size(size(3));
    for payload in [b"onetwo+".as_slice(), b"one"] {
        assert_eq!(
            handle(&engine, &packet(payload, CLIENT, SERVER), arrival),
            QUEUED
        );
    }
    let batch = now(socket.recv_datagram()).unwrap();
    assert_eq!(
        (batch.payload.as_slice(), batch.segment_size),
        (&b"onetwo+"[..], size(3))
    );
    let single = now(socket.recv_datagram()).unwrap();
    assert_eq!(
        (single.payload.as_slice(), single.segment_size),
        (&b"one"[..], None)
    );
}

fn a_segment_batch_takes_the_room_of_its_bytes<F: Flavor>() {
    let (engine, socket) = engine_with::<F>(|config| config.inbound_bytes = 8);
    let arrival = Arrival::new().gso_size(size(3));
    let bytes = packet(b"onetwosix", CLIENT, SERVER);
    assert_eq!(handle(&engine, &bytes, arrival), QUEUED);
    assert_eq!(
        (engine.queued(), engine.stats().dropped_full),
        ((2, 6, 1), 1)
    );
    assert_eq!(handle(&engine, &bytes, arrival), Received::Dropped);
    assert_eq!(now(socket.recv_datagram()).unwrap().payload, b"one");
}

fn a_segment_batch_leaves_as_one_packet_with_offload<F: Flavor>() {
    for (from, to) in [(SERVER, CLIENT), (SERVER6, CLIENT6)] {
        let (engine, socket) = engine_of::<F>(Interface::new().offload(true), Config::new());
        let batch = Datagram::new(*b"onetwo+", addr(from), addr(to)).segment_size(size(3));
        now(socket.send_datagram(&batch)).unwrap();
        let bytes = engine.poll_transmit().unwrap();
        assert!(engine.poll_transmit().is_none());
        let meta = Meta::new().checksum(Checksum::Partial).gso_size(size(3));
        assert_eq!(bytes.meta(), meta);
        let headers = Headers::parse(&bytes).unwrap();
        assert_eq!(Packet::new(&bytes, headers).payload(), b"onetwo+");
        // The driver segments the packet if the device does not.
        let mut segmenter = Segmenter::new(&headers, NonZeroU16::new(3).unwrap());
        let mut payloads = Vec::new();
        let mut segment = vec![0; segmenter.longest()];
        while let Some(len) = segmenter.next(&bytes, &mut segment) {
            let packet = Packet::parse(&segment[..len]).unwrap();
            assert!(packet.verify_checksum());
            assert_eq!(packet.key().destination(), addr(to));
            payloads.push(packet.payload().to_vec());
        }
        assert_eq!(payloads, [&b"one"[..], b"two", b"+"]);
        assert_eq!(
            (engine.stats().datagrams_out, engine.stats().bytes_out),
            (3, 7)
        );
        engine.recycle(bytes);
    }
}

fn a_segment_batch_leaves_in_packets_without_offload<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    now(socket.send_datagram(&datagram(b"onetwo+").segment_size(size(3)))).unwrap();
    assert_eq!(sent(&engine), [&b"one"[..], b"two", b"+"]);
    // One datagram is no batch.
    now(socket.send_datagram(&datagram(b"one").segment_size(size(3)))).unwrap();
    assert_eq!(engine.poll_transmit().unwrap().meta(), Meta::new());
}

fn a_segment_batch_must_fit_the_path_mtu<F: Flavor>() {
    let (engine, socket) = engine_of::<F>(Interface::new().offload(true), Config::new());
    let batch = |len: usize, each| datagram(&vec![0; len]).segment_size(size(each));
    now(socket.send_datagram(&batch(1472 * 44, 1472))).unwrap();
    engine.set_path_mtu(time(), addr(CLIENT).ip(), Some(1280));
    let error = now(socket.send_datagram(&batch(3000, 1253))).unwrap_err();
    let why = error.get_ref().unwrap().downcast_ref();
    let (len, limit, mtu) = (1253, 1252, 1280);
    assert_eq!(why, Some(&SendError::TooLong { len, limit, mtu }));
    now(socket.send_datagram(&batch(3000, 1252))).unwrap();

    let error = now(socket.send_datagram(&batch(65, 1))).unwrap_err();
    let why = error.get_ref().unwrap().downcast_ref();
    assert_eq!(
        why,
        Some(&SendError::TooMany {
            count: 65,
            limit: 64
        })
    );
    now(socket.send_datagram(&batch(64, 1))).unwrap();
    assert_eq!(engine.stats().datagrams_out, 44 + 3 + 64);
}

fn with_offload<F: Flavor>() -> (Engine<F>, TransparentUdpSocket<F>) {
    engine_of(Interface::new().offload(true), Config::new())
}

/// Sends the batch. Returns the payload of each packet, and its segment size.
fn packets<F: Flavor>(
    engine: &Engine<F>,
    socket: &TransparentUdpSocket<F>,
    batch: &[Datagram],
) -> Vec<(Vec<u8>, u16)> {
    assert_eq!(now(socket.send_batch(batch)).unwrap(), batch.len());
    std::iter::from_fn(|| engine.poll_transmit())
        .map(|bytes| {
            let gso_size = bytes.meta().gso_size.map_or(0, NonZeroU16::get);
            let payload = Packet::parse(&bytes).unwrap().payload().to_vec();
            engine.recycle(bytes);
            (payload, gso_size)
        })
        .collect()
}

fn datagrams_of_one_flow_leave_as_one_packet_with_offload<F: Flavor>() {
    let (engine, socket) = with_offload::<F>();
    let batch = [b"one".as_slice(), b"two", b"+", b"new"].map(datagram);
    let sent = packets(&engine, &socket, &batch);
    assert_eq!(sent, [(b"onetwo+".to_vec(), 3), (b"new".to_vec(), 0)]);
    assert_eq!(
        (engine.stats().datagrams_out, engine.stats().bytes_out),
        (4, 10)
    );
    // Without it each datagram has a packet.
    let (engine, socket) = self::engine::<F>();
    assert_eq!(packets(&engine, &socket, &batch).len(), 4);
}

fn datagrams_that_differ_leave_in_packets_of_their_own<F: Flavor>() {
    let (engine, socket) = with_offload::<F>();
    let one = || datagram(b"one");
    let other_port = Datagram::new(*b"one", addr(SERVER), addr("10.0.0.1:5001"));
    let class = crate::TrafficClass::from_bits(4);
    for other in [
        other_port,
        one().hop_limit(Some(9)),
        one().dont_fragment(true),
        one().traffic_class(class),
        one().segment_size(size(1)),
        datagram(b""),
    ] {
        let batch = [one(), one(), other.clone(), one()];
        let sent = packets(&engine, &socket, &batch);
        assert_eq!(sent.len(), 3, "{other:?}");
        assert_eq!((sent[0].0.len(), sent[2].0.len()), (6, 3));
        assert_eq!(sent[1].0, other.payload);
    }
    assert_eq!(
        packets(&engine, &socket, &[datagram(b""), datagram(b"")]).len(),
        2
    );
}

fn a_packet_has_a_limited_number_of_datagrams_and_bytes<F: Flavor>() {
    let (engine, socket) = with_offload::<F>();
    let lens = |batch: Vec<Datagram>| -> Vec<usize> {
        let sent = packets(&engine, &socket, &batch);
        sent.iter().map(|(payload, _)| payload.len()).collect()
    };
    assert_eq!(lens(vec![datagram(b"x"); 130]), [64, 64, 2]);
    let long = vec![datagram(&[0; 1400]); 50];
    assert_eq!(lens(long), [46 * 1400, 4 * 1400]);
}

fn datagrams_beyond_the_path_mtu_leave_in_packets_of_their_own<F: Flavor>() {
    let (engine, socket) = with_offload::<F>();
    let batch = vec![datagram(&[0; 1400]); 2];
    assert_eq!(packets(&engine, &socket, &batch), [(vec![0; 2800], 1400)]);
    engine.set_path_mtu(time(), addr(CLIENT).ip(), Some(1280));
    assert_eq!(
        packets(&engine, &socket, &batch),
        [(vec![0; 1400], 0), (vec![0; 1400], 0)]
    );
}
