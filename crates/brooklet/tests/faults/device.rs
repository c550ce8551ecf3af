//! Errors of the device.

use crate::world::{Device, Node, SECOND, World, addr, now};
use brooklet::{Builder, DropReason, PacketBuf, PacketIo, Pipe};
use futures_lite::future::try_zip;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::io::ErrorKind;
use std::task::{Context, Waker};
use std::time::Duration;

const TRANSIENT: ErrorKind = ErrorKind::OutOfMemory;

fn node() -> (Node, Pipe) {
    let (here, wire) = brooklet::pipe(64);
    (Node::new(Builder::new(), Device::new(here)), wire)
}

fn send(node: &Node, payload: &[u8]) {
    let (from, to) = (addr("192.0.2.1:53"), addr("10.0.0.2:5000"));
    now(node.udp.send_to(payload, from, to)).unwrap().unwrap();
}

/// Puts a datagram on the wire.
fn put(wire: &mut Pipe, payload: &[u8]) {
    let (from, to) = (addr("10.0.0.2:5000"), addr("192.0.2.1:53"));
    let mut bytes = Vec::new();
    brooklet_packet::udp::write(&mut bytes, from, to, 64, payload).unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(wire.poll_send(&mut cx, &bytes.into()).is_ready());
}

/// The payloads of what the stack has sent.
fn sent(wire: &mut Pipe) -> Vec<Vec<u8>> {
    let (mut sent, mut packet) = (Vec::new(), PacketBuf::default());
    let mut cx = Context::from_waker(Waker::noop());
    while wire.poll_recv(&mut cx, &mut packet).is_ready() {
        sent.push(brooklet::Packet::parse(&packet).unwrap().payload().to_vec());
    }
    sent
}

#[test]
fn receiving_goes_on_after_transient_errors_with_a_growing_back_off() {
    for kind in [
        ErrorKind::WouldBlock,
        ErrorKind::Interrupted,
        ErrorKind::OutOfMemory,
        ErrorKind::NetworkDown,
    ] {
        let (mut node, mut wire) = node();
        node.script().always_recv = Some(kind);
        put(&mut wire, b"in");
        node.pass(10 * SECOND);
        let calls = node.script().recv_calls;
        assert!((90..110).contains(&calls), "{calls} calls in 10 s");
        assert!(node.polls <= 2 * calls, "{} polls", node.polls);
        assert_eq!(node.stack.stats().device_errors, calls as u64);
        node.script().always_recv = None;
        node.pass(SECOND);
        let mut buf = [0; 8];
        assert_eq!(now(node.udp.recv_from(&mut buf)).unwrap().unwrap().0, 2);
        // The next error is the first again.
        node.script().recv.extend([kind; 3]);
        put(&mut wire, b"again");
        node.pass(Duration::from_millis(4));
        assert_eq!(now(node.udp.recv_from(&mut buf)).unwrap().unwrap().0, 5);
    }
}

#[test]
fn a_packet_is_kept_and_sent_once_after_transient_errors() {
    let (mut node, mut wire) = node();
    node.script().always_send = Some(TRANSIENT);
    send(&node, b"first");
    send(&node, b"second");
    node.pass(10 * SECOND);
    let calls = node.script().send_calls;
    assert!((90..110).contains(&calls), "{calls} calls in 10 s");
    assert!(sent(&mut wire).is_empty());
    // Receiving goes on meanwhile.
    put(&mut wire, b"in");
    node.run();
    assert_eq!(now(node.udp.recv_from(&mut [0; 8])).unwrap().unwrap().0, 2);
    node.script().always_send = None;
    node.pass(SECOND);
    assert_eq!(sent(&mut wire), [&b"first"[..], b"second"]);
    let stats = node.stack.stats();
    assert_eq!((stats.packets_out, stats.device_errors), (2, calls as u64));
    assert_eq!(stats.drops().map(|(_, count)| count).sum::<u64>(), 0);
}

#[test]
fn a_single_error_costs_no_time() {
    let (mut node, mut wire) = node();
    node.script().send.push_back(ErrorKind::Interrupted);
    node.script().recv.push_back(ErrorKind::Interrupted);
    send(&node, b"out");
    put(&mut wire, b"in");
    node.run();
    assert_eq!(sent(&mut wire), [b"out"]);
    assert!(now(node.udp.recv_from(&mut [0; 8])).is_some());
    assert_eq!(node.stack.stats().device_errors, 2);
}

#[test]
fn a_device_that_fails_for_a_minute_ends_the_driver_with_its_error() {
    for receives in [true, false] {
        let (mut node, _wire) = node();
        send(&node, b"out");
        match receives {
            true => node.script().always_recv = Some(TRANSIENT),
            false => node.script().always_send = Some(TRANSIENT),
        }
        let start = node.timer.now();
        while node.ended.is_none() {
            let sleep = node.timer.sleeps_for().unwrap_or_default();
            node.timer.forward(sleep);
            node.run();
        }
        let passed = node.timer.now() - start;
        assert!((59 * SECOND..61 * SECOND).contains(&passed), "{passed:?}");
        assert_eq!(node.error().kind(), TRANSIENT);
        assert_eq!(node.stack.stats().device_errors, 599);
    }
}

#[test]
fn a_suspended_system_does_not_make_one_more_error_the_last() {
    let (mut node, mut wire) = node();
    node.script().always_recv = Some(TRANSIENT);
    node.pass(SECOND);
    node.timer.forward(8 * 3600 * SECOND);
    node.run();
    node.script().always_recv = None;
    put(&mut wire, b"in");
    node.pass(SECOND);
    assert!(now(node.udp.recv_from(&mut [0; 8])).is_some());
}

#[test]
fn a_packet_that_the_device_refuses_is_dropped_and_counted() {
    let (mut node, mut wire) = node();
    node.script().send.push_back(ErrorKind::InvalidInput);
    send(&node, b"refused");
    send(&node, b"taken");
    node.run();
    assert_eq!(sent(&mut wire), [b"taken"]);
    let stats = node.stack.stats();
    assert_eq!(stats.dropped(DropReason::DeviceRefused), 1);
    assert_eq!((stats.packets_out, stats.device_errors), (1, 1));
}

#[test]
fn a_packet_that_is_refused_after_a_transient_error_lets_the_driver_sleep() {
    let (mut node, mut wire) = node();
    node.script()
        .send
        .extend([TRANSIENT, ErrorKind::InvalidInput]);
    send(&node, b"refused");
    node.run();
    let polls = node.polls;
    node.pass(SECOND);
    assert!(node.polls < polls + 5, "{} polls", node.polls);
    assert!(sent(&mut wire).is_empty());
}

#[test]
fn a_fatal_error_ends_the_driver_at_once() {
    for kind in [
        ErrorKind::UnexpectedEof,
        ErrorKind::BrokenPipe,
        ErrorKind::NotConnected,
        ErrorKind::Unsupported,
        ErrorKind::Other,
    ] {
        for receives in [true, false] {
            let (mut node, _wire) = node();
            send(&node, b"out");
            match receives {
                true => node.script().recv.push_back(kind),
                false => node.script().send.push_back(kind),
            }
            node.run();
            assert_eq!(node.error().kind(), kind);
            let error = now(node.tcp.accept()).unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NetworkDown);
        }
    }
}

#[test]
fn every_byte_arrives_over_devices_that_fail_at_every_third_call() {
    let mut world = World::new();
    let (stream, peer) = world.connect(1000);
    for node in [&world.near, &world.far] {
        node.script().every_third = Some(TRANSIENT);
    }
    world.transfer(&stream, &peer, 300_000);
    world.transfer(&peer, &stream, 300_000);
    let stats = world.near.stack.stats();
    assert!(stats.device_errors > 50, "{stats}");
    assert_eq!(stats.tcp.retransmits, 0, "no segment is lost");
}

#[test]
fn a_device_that_takes_nothing_for_a_minute_costs_no_polls_and_no_byte() {
    const LEN: usize = 300_000;
    let mut world = World::new();
    let (stream, peer) = world.connect(1000);
    world.near.script().room = Some(0);
    let data: Vec<u8> = (0..LEN).map(|n| (n / 7) as u8).collect();
    let mut got = vec![0; LEN];
    let (mut writer, mut reader) = (&stream, &peer);
    let polls = world.near.polls;
    {
        let mut both = std::pin::pin!(try_zip(
            writer.write_all(&data),
            reader.read_exact(&mut got)
        ));
        assert!(world.try_run(60 * SECOND, both.as_mut()).is_none());
        let polls = world.near.polls - polls;
        assert!(polls < 100, "{polls} polls in a minute");
        let waker = {
            let mut script = world.near.script();
            script.room = None;
            script.take_sender()
        };
        waker.expect("the driver waits for the device").wake();
        world.run(60 * SECOND, both).unwrap();
    }
    assert!(got == data);
}
