//! Segments of any length, which others cut, and acknowledgements that wait for an answer.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_packet::icmp::Unreachable;
use brooklet_tcp::{Config, Interface, TcpOptions};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use support::*;

fn host(options: TcpOptions) -> Host {
    Host::on(
        Interface::new().offload(true),
        Config::new().options(options),
    )
}

/// Data of the next packet of the stack, and of the segments that it is to be cut into.
fn next(host: &mut Host) -> (usize, Option<u16>) {
    let packet = host.engine.poll_transmit().unwrap();
    let meta = packet.meta();
    let data = on_the_wire(&packet)
        .iter()
        .map(|bytes| {
            let packet = brooklet_packet::Packet::parse(bytes).unwrap();
            assert!(packet.verify_checksum());
            packet.payload().len()
        })
        .sum();
    (data, meta.gso_size.map(Into::into))
}

#[test]
fn what_is_written_leaves_in_one_piece_to_be_cut_at_the_mss() {
    let clients = [
        ("10.0.0.2:40000", "192.0.2.1:80", 1460),
        ("[2001:db8::2]:40000", "[2001:db8::1]:80", 1440),
    ];
    for (client, server, our_mss) in clients {
        for (timestamp, place) in [(None, 0), (Some((7, 0)), 12)] {
            let mut host = host(TcpOptions::default());
            let mut peer = Peer::new(client, server);
            peer.mss = Some(1000);
            peer.timestamp = timestamp;
            host.tx(peer.syn());
            assert!(pends(host.listener().accept()));
            let syn_ack = peer.establish(&mut host);
            assert_eq!(syn_ack.mss, Some(our_mss), "as the path has it");
            let stream = now(host.listener().accept()).unwrap().0;
            // The first ten segments (RFC 6928).
            assert_eq!(now((&stream).write(&[1; 8000])).unwrap(), 8000);
            assert_eq!(next(&mut host), (8000, Some(1000 - place)));
            assert!(host.engine.poll_transmit().is_none());
            now((&stream).write_all(&[1; 500])).unwrap();
            assert_eq!(next(&mut host), (500, None));
        }
    }
}

#[test]
fn a_segment_is_never_longer_than_a_packet_of_ip() {
    let mut host = host(
        TcpOptions::new()
            .send_buffer(1 << 20)
            .congestion(brooklet_tcp::Congestion::None),
    );
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    host.tx(peer.seg(ACK, &[]));
    now((&stream).write_all(&[1; 1 << 20])).unwrap();
    let mut sent = 0;
    let mut longest = 0;
    while sent < 1 << 20 {
        let packet = host.engine.poll_transmit().unwrap();
        longest = longest.max(packet.len());
        assert!(packet.len() <= 65_535);
        let len = packet.len() - 40;
        let size = packet.meta().gso_size.map(u16::from);
        assert_eq!(size, (len > 1460).then_some(1460));
        sent += len;
        if sent < 1 << 20 {
            assert_eq!(len % 1460, 0, "a small segment inside of the stream");
        }
        peer.ack += packet.len() as u32 - 40;
        host.tx(peer.seg(ACK, &[]));
    }
    assert_eq!(longest, 40 + 65_463 / 1460 * 1460);
    assert_eq!(sent, 1 << 20);
}

#[test]
fn with_nagles_algorithm_segments_are_those_of_the_path() {
    let mut host = host(TcpOptions::new().nodelay(false));
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    now((&stream).write_all(&[1; 2000])).unwrap();
    assert_eq!(next(&mut host), (1460, None));
    assert!(host.engine.poll_transmit().is_none(), "540 bytes wait");
    peer.ack += 1460;
    host.tx(peer.seg(ACK, &[]));
    assert_eq!(next(&mut host), (540, None));
}

#[test]
fn a_path_that_is_narrower_has_it_cut_smaller() {
    let mut host = host(TcpOptions::default());
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    now((&stream).write_all(&[1; 5000])).unwrap();
    let sent = host.all();
    assert_eq!(sent.iter().map(|seg| seg.data.len()).max(), Some(1460));
    host.icmp(&sent[0], Unreachable::PacketTooBig { mtu: 1000 });
    assert_eq!(peer.drain(&mut host).0.len(), 5000);
    now((&stream).write_all(&[1; 5000])).unwrap();
    assert_eq!(next(&mut host), (5000, Some(960)));
}

#[test]
fn an_answer_carries_the_acknowledgement_that_was_put_off() {
    let mut host = Host::new(Config::default());
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    for answers in [true, false] {
        assert!(pends((&stream).read(&mut [0; 8])), "a task waits");
        host.take_in(peer.seg(ACK | PSH, b"question"));
        peer.seq += 8;
        assert!(host.engine.defer(host.now()));
        host.silent();
        assert_eq!(now((&stream).read(&mut [0; 8])).unwrap(), 8);
        assert!(pends((&stream).read(&mut [0; 8])));
        host.silent();
        if answers {
            now((&stream).write_all(b"answer")).unwrap();
            let answer = host.one();
            assert_eq!((&answer.data[..], answer.ack), (&b"answer"[..], peer.seq));
            peer.ack += 6;
        }
        host.engine.flush(host.now());
        match answers {
            true => host.silent(),
            false => assert_eq!(host.one().ack, peer.seq),
        }
    }
}

#[test]
fn nothing_waits_for_an_application_that_does_not_wait() {
    let mut host = Host::new(Config::default());
    let mut peer = Peer::new(CLIENT, SERVER);
    let _stream = peer.open(&mut host);
    host.take_in(peer.seg(ACK | PSH, b"question"));
    peer.seq += 8;
    assert!(!host.engine.defer(host.now()));
    assert_eq!(host.one().ack, peer.seq);
}

#[test]
fn what_closes_while_an_acknowledgement_waits_says_so_at_once() {
    let mut host = Host::new(Config::default());
    let mut peer = Peer::new(CLIENT, SERVER);
    let mut stream = peer.open(&mut host);
    assert!(pends(stream.read(&mut [0; 8])));
    host.take_in(peer.seg(ACK | PSH, b"question"));
    peer.seq += 8;
    assert!(host.engine.defer(host.now()));
    assert_eq!(now(stream.read(&mut [0; 8])).unwrap(), 8);
    assert!(pends(stream.close()), "it waits for the other side");
    let fin = host.one();
    assert!(fin.flags.fin());
    assert_eq!(fin.ack, peer.seq);
}
