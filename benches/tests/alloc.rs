//! A packet costs no allocation once everything is warm: not in the stack that sends it, and not
//! in the one that takes it in.

use allocation_counter::{AllocationInfo, measure};
use brooklet::{Offload, Threaded, generic::TcpStream};
use brooklet_benches::pair::{Pair, addresses};
use std::task::{Context, Poll, Waker};

/// Turns that are counted together.
const TURNS: usize = 100;
/// How often so many turns may allocate before they no longer do: buffers, queues and windows grow
/// in them, and the last buffer of a queue grows when the queue is for once as long as it can be.
const WARM: usize = 10;

/// Everything that a device can take over.
const ALL: Offload = Offload::new()
    .checksum(true)
    .tso4(true)
    .tso6(true)
    .uso(true);

#[test]
fn bulk_in_both_directions() {
    for (mtu, offload) in [
        (1500, Offload::default()),
        (65_535, Offload::default()),
        (1500, ALL),
    ] {
        let mut pair = Pair::new(mtu, offload);
        let streams = pair.connect();
        let (allocations, packets) = settled(&mut pair, |pair| bulk(pair, &streams));
        let least = if offload == ALL || mtu > 1500 { 2 } else { 64 };
        assert!(packets >= (least * TURNS) as u64, "{packets} packets");
        assert_eq!(
            allocations.count_total, 0,
            "for {packets} packets, MTU {mtu}, {offload:?}: {allocations:?}"
        );
    }
}

#[test]
fn datagrams_that_come_back() {
    for (size, offload) in [
        (64, Offload::default()),
        (1400, Offload::default()),
        (1400, ALL),
    ] {
        let mut pair = Pair::new(1500, offload);
        let payload = vec![0x5a; size];
        let (allocations, packets) = settled(&mut pair, |pair| echo(pair, &payload));
        assert!(packets >= (2 * TURNS) as u64, "{packets} packets");
        assert_eq!(
            allocations.count_total, 0,
            "for {packets} packets of {size} bytes, {offload:?}: {allocations:?}"
        );
    }
}

/// Counts what [`TURNS`] turns allocate once everything has grown, and the packets that both
/// stacks take in.
fn settled(pair: &mut Pair, turn: impl Fn(&mut Pair)) -> (AllocationInfo, u64) {
    let packets =
        |pair: &Pair| pair.here.stack.stats().packets_in + pair.there.stack.stats().packets_in;
    let mut last = (AllocationInfo::default(), 0);
    for _ in 0..=WARM {
        let before = packets(pair);
        let allocations = measure(|| (0..TURNS).for_each(|_| turn(pair)));
        last = (allocations, packets(pair) - before);
        if allocations.count_total == 0 {
            break;
        }
    }
    last
}

/// Both sides write what there is room for, and read what there is.
fn bulk(pair: &mut Pair, [here, there]: &[TcpStream<Threaded>; 2]) {
    pair.here.write(here);
    pair.there.write(there);
    pair.turn();
    pair.here.read(here);
    pair.there.read(there);
}

/// Sends some datagrams there and back.
fn echo(pair: &mut Pair, payload: &[u8]) {
    const IN_FLIGHT: usize = 64;
    let (from, to) = addresses();
    let mut cx = Context::from_waker(Waker::noop());
    let mut buf = [0; 1500];
    for _ in 0..IN_FLIGHT {
        assert!(
            pair.here
                .udp
                .poll_send_to(&mut cx, payload, from, to)
                .is_ready()
        );
    }
    pair.turn();
    let mut echoed = 0;
    while let Poll::Ready(received) = pair.there.udp.poll_recv_from(&mut cx, &mut buf) {
        let (len, from, to) = received.expect("no error");
        assert!(
            pair.there
                .udp
                .poll_send_to(&mut cx, &buf[..len], to, from)
                .is_ready()
        );
        echoed += 1;
    }
    assert_eq!(echoed, IN_FLIGHT);
    pair.turn();
    pair.turn();
    let mut back = 0;
    while let Poll::Ready(received) = pair.here.udp.poll_recv_from(&mut cx, &mut buf) {
        assert_eq!(received.expect("no error").0, payload.len());
        back += 1;
    }
    assert_eq!(back, IN_FLIGHT);
}
