//! No wake-up is lost between threads: a lost one shows as a test that does not end in time.

use super::*;
use brooklet_cell::Threaded;
use futures_lite::future::{block_on, poll_fn};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

const TASKS: usize = 4;
const EACH: usize = 2_000;

/// Drives until the engine has given out `count` packets.
async fn drive(engine: &Engine<Threaded>, count: usize) -> usize {
    let mut sent = 0;
    poll_fn(|cx| {
        loop {
            while let Some(packet) = engine.poll_transmit() {
                sent += 1;
                engine.recycle(packet);
            }
            if sent == count {
                return Poll::Ready(sent);
            }
            if !engine.register(cx.waker()) {
                return Poll::Pending;
            }
        }
    })
    .await
}

fn finish(done: &Sender<usize>, count: usize) {
    done.send(count).expect("the test waits for it");
}

fn total(finished: &Receiver<usize>, threads: usize) -> usize {
    (0..threads)
        .map(|_| {
            let limit = Duration::from_secs(60);
            finished.recv_timeout(limit).expect("a wake-up was lost")
        })
        .sum()
}

#[test]
fn every_sender_gets_through_a_small_queue() {
    let config = Config::new().outbound_packets(3);
    let stack = Stack::<Threaded>::with(Interface::new(), config);
    let (raw, icmp) = (stack.raw(), stack.icmp());
    let (done, finished) = channel();
    for task in 0..TASKS {
        let (raw, icmp, done) = (raw.clone(), icmp.clone(), done.clone());
        thread::spawn(move || {
            let bytes = datagram("10.0.0.1", "10.0.0.2", b"x");
            let (from, to) = (ip("10.0.0.1"), ip("10.0.0.2"));
            for _ in 0..EACH {
                if task % 2 == 0 {
                    block_on(raw.send(&bytes)).unwrap();
                } else {
                    block_on(icmp.send_echo_request(from, to, ECHO, b"")).unwrap();
                }
            }
            finish(&done, EACH);
        });
    }
    thread::spawn(move || finish(&done, block_on(drive(&stack.engine, TASKS * EACH))));
    assert_eq!(total(&finished, TASKS + 1), 2 * TASKS * EACH);
}

#[test]
fn every_message_reaches_one_receiver() {
    let stack = Stack::<Threaded>::new();
    let config = IcmpSocketConfig::new().inbound_packets(3);
    let icmp = stack.binder().bind_icmp_with(config).unwrap();
    let (done, finished) = channel();
    for _ in 0..TASKS {
        let (icmp, done) = (icmp.clone(), done.clone());
        thread::spawn(move || {
            let received = std::iter::from_fn(|| block_on(icmp.recv()).ok());
            finish(&done, received.count());
        });
    }
    drop(icmp);
    for _ in 0..TASKS * EACH {
        while stack.ping("10.0.0.1", "10.0.0.2", b"") == Echoed::Dropped {
            thread::yield_now();
        }
    }
    drop(stack);
    assert_eq!(total(&finished, TASKS), TASKS * EACH);
}

/// Sockets come and go while packets arrive: no lock is taken in two orders.
#[test]
fn sockets_come_and_go_while_packets_arrive() {
    let stack = Stack::<Threaded>::new();
    let (done, finished) = channel();
    for _ in 0..TASKS {
        let (binder, done) = (stack.binder(), done.clone());
        thread::spawn(move || {
            let (from, to) = (ip("10.0.0.2"), ip("10.0.0.1"));
            for _ in 0..EACH {
                let raw = binder.bind_raw(RawConfig::new()).unwrap();
                let pings = IcmpSocketConfig::new().echo_requests(false);
                let icmp = binder.bind_icmp_with(pings).unwrap();
                let mut cx = Context::from_waker(Waker::noop());
                let send = icmp.send_echo_request(from, to, ECHO, b"");
                let _ = pin!(send).poll(&mut cx);
                let _ = pin!(raw.recv_packet()).poll(&mut cx);
                let _ = icmp.poll_recv(&mut cx);
            }
            finish(&done, EACH);
        });
    }
    drop(done);
    let mut reply = Vec::new();
    let (mut ended, limit) = (0, Duration::from_secs(60));
    let start = stack.start;
    while ended < TASKS {
        while let Some(packet) = stack.engine.poll_transmit() {
            let request = Packet::parse(&packet).unwrap();
            assert!(icmp::echo_reply(&mut reply, &request));
            let reply = Packet::parse(&reply).unwrap();
            stack.engine.handle_echo_reply(stack.now(), &reply);
        }
        let _ = stack.divert("10.0.0.1", b"x");
        ended += finished.try_iter().count();
        assert!(start.elapsed() < limit, "the threads are stuck");
    }
    assert!(stack.engine.stats().raw_packets_in > 0);
}
