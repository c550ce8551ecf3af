//! A whole stack: its driver, and the application. The one at the other end of the wire, which is
//! of the same kind, is not counted.

use super::{Path, Whole};
use brooklet::{Offload, Threaded, generic::TcpStream};
use brooklet_benches::pair::{BLOCK, Pair, addresses};
use brooklet_benches::rig::BATCH;
use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A block of data taken in, read and acknowledged.
pub(super) fn tcp_in(offload: bool) -> Box<dyn Path> {
    tcp(offload, Bench::send, Bench::receive)
}

/// A block of data written and sent.
pub(super) fn tcp_out(offload: bool) -> Box<dyn Path> {
    let mut first = true;
    let before = move |bench: &mut Bench| {
        if !std::mem::take(&mut first) {
            bench.receive();
            bench.pair.here.drive();
        }
    };
    tcp(offload, before, Bench::send)
}

/// Datagrams taken in, read, and sent back.
pub(super) fn udp_echo() -> Box<dyn Path> {
    const LEN: usize = 64;
    let pair = Rc::new(RefCell::new(Pair::new(1500, Offload::default())));
    let same = pair.clone();
    let (from, to) = addresses();
    let before = move || {
        let mut cx = Context::from_waker(Waker::noop());
        let mut buf = [0; 1500];
        let here = &mut same.borrow_mut().here;
        here.drive();
        while here.udp.poll_recv_from(&mut cx, &mut buf).is_ready() {}
        for _ in 0..BATCH {
            let sent = here.udp.poll_send_to(&mut cx, &[0x5a; LEN], from, to);
            assert!(sent.is_ready());
        }
        here.drive();
    };
    let run = move || {
        let mut cx = Context::from_waker(Waker::noop());
        let mut buf = [0; 1500];
        let there = &mut pair.borrow_mut().there;
        there.drive();
        let mut echoed = 0;
        while let Poll::Ready(received) = there.udp.poll_recv_from(&mut cx, &mut buf) {
            let (len, from, to) = received.expect("no error");
            let sent = there.udp.poll_send_to(&mut cx, &buf[..len], to, from);
            assert!(sent.is_ready());
            echoed += 1;
        }
        assert_eq!(echoed, BATCH);
        there.drive();
    };
    Box::new(Whole {
        before,
        run,
        done: true,
    })
}

struct Bench {
    pair: Pair,
    streams: [TcpStream<Threaded>; 2],
}

fn tcp(
    offload: bool,
    mut before: impl FnMut(&mut Bench) + 'static,
    mut run: impl FnMut(&mut Bench) + 'static,
) -> Box<dyn Path> {
    let mut pair = Pair::new(
        1500,
        Offload::new()
            .checksum(offload)
            .tso4(offload)
            .tso6(offload)
            .uso(offload),
    );
    let streams = pair.connect();
    // The windows have to grow, by being used.
    for _ in 0..300 {
        pair.here.write(&streams[0]);
        pair.turn();
        pair.there.read(&streams[1]);
    }
    for _ in 0..10 {
        pair.turn();
        pair.there.read(&streams[1]);
    }
    let bench = Rc::new(RefCell::new(Bench { pair, streams }));
    let same = bench.clone();
    Box::new(Whole {
        before: move || before(&mut same.borrow_mut()),
        run: move || run(&mut bench.borrow_mut()),
        done: true,
    })
}

impl Bench {
    fn send(&mut self) {
        let here = &mut self.pair.here;
        here.drive();
        assert_eq!(here.write(&self.streams[0]), BLOCK);
        here.drive();
        self.pair.pass(Duration::from_micros(200));
    }

    fn receive(&mut self) {
        let there = &mut self.pair.there;
        there.drive();
        assert_eq!(there.read(&self.streams[1]), BLOCK);
        there.drive();
    }
}
