//! The UDP engine alone, with the parse and the checksum before it, and the application behind it.

use super::{Path, each};
use brooklet_cell::Threaded;
use brooklet_packet::{Packet, udp};
use brooklet_udp::{Arrival, Clock, Config, Engine, Interface, Received, TransparentUdpSocket};
use std::hint::black_box;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// Bytes in a datagram.
const LEN: usize = 64;

fn engine() -> (Engine<Threaded>, TransparentUdpSocket<Threaded>) {
    let clock = Clock::new(Instant::now);
    Engine::new(Interface::default(), Config::default(), clock, [1, 2])
}

pub(super) fn datagram_in() -> Box<dyn Path> {
    let (engine, socket) = engine();
    let mut bytes = Vec::new();
    let (from, to) = (([10, 0, 0, 2], 5000).into(), ([192, 0, 2, 1], 53).into());
    udp::write(&mut bytes, from, to, 1, &[0x5a; LEN]).expect("it fits");
    let mut buf = [0; 1500];
    let now = Instant::now();
    each(move || {
        let packet = Packet::parse(black_box(&bytes)).expect("just made");
        assert!(packet.verify_checksum());
        let received = engine.handle_packet(now, &packet, Arrival::new());
        assert_eq!(received, Received::Queued { congested: false });
        let mut cx = Context::from_waker(Waker::noop());
        let received = socket.poll_recv_from(&mut cx, &mut buf);
        assert!(matches!(received, Poll::Ready(Ok((LEN, ..)))));
    })
}

pub(super) fn datagram_out() -> Box<dyn Path> {
    let (engine, socket) = engine();
    let (from, to) = (([192, 0, 2, 1], 53).into(), ([10, 0, 0, 2], 5000).into());
    each(move || {
        let mut cx = Context::from_waker(Waker::noop());
        let sent = socket.poll_send_to(&mut cx, black_box(&[0x5a; LEN]), from, to);
        assert!(matches!(sent, Poll::Ready(Ok(LEN))));
        let packet = engine.poll_transmit().expect("just sent");
        engine.recycle(packet);
    })
}
