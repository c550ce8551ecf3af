//! The end of the stack.

use super::*;
use crate::{EchoAction, StackClosed};
use brooklet_packet::icmp::Unreachable;
use std::io::{Error, ErrorKind};
use std::num::NonZeroU8;

both_flavors!(
    shutdown_wakes_and_fails_waiting_tasks,
    queued_messages_can_still_be_received,
    after_shutdown_packets_and_calls_are_refused,
    dropping_the_engine_shuts_it_down,
    the_shutdown_of_one_engine_is_that_of_all,
    the_end_frees_the_policy,
);

#[track_caller]
fn is_the_end(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::NetworkDown);
    assert!(error.get_ref().unwrap().is::<StackClosed>());
}

fn shutdown_wakes_and_fails_waiting_tasks<F: Flavor>() {
    let stack = Stack::<F>::with(Interface::new(), Config::new().outbound_packets(1));
    let (icmp, raw) = (stack.icmp(), stack.raw());
    let bytes = datagram("10.0.0.1", "10.0.0.2", b"");
    now(raw.send(&bytes)).unwrap();
    let tasks = [Task::new(), Task::new(), Task::new(), Task::new()];
    let (from, to) = (ip("10.0.0.1"), ip("10.0.0.2"));
    let (mut one, mut two) = (pin!(icmp.recv()), pin!(raw.recv_packet()));
    let mut three = pin!(raw.send(&bytes));
    let mut four = pin!(icmp.send_echo_request(from, to, ECHO, b""));
    assert!(tasks[0].poll(one.as_mut()).is_pending());
    assert!(tasks[1].poll(two.as_mut()).is_pending());
    assert!(tasks[2].poll(three.as_mut()).is_pending());
    assert!(tasks[3].poll(four.as_mut()).is_pending());
    stack.engine.shutdown();
    assert_eq!(tasks.each_ref().map(|task| task.woken()), [1; 4]);
    is_the_end(&now(one).unwrap_err());
    is_the_end(&now(two).unwrap_err());
    is_the_end(&now(three).unwrap_err());
    is_the_end(&now(four).unwrap_err());
}

fn queued_messages_can_still_be_received<F: Flavor>() {
    let stack = Stack::<F>::new();
    let (icmp, raw) = (stack.icmp(), stack.raw());
    assert_eq!(stack.ping("10.0.0.1", "10.0.0.2", b""), Echoed::Queued);
    assert_eq!(stack.divert("10.0.0.1", b""), RawReceived::Queued);
    stack.engine.shutdown();
    let request = received(&icmp);
    now(raw.recv_packet()).unwrap();
    for _ in 0..2 {
        is_the_end(&now(icmp.recv()).unwrap_err());
        is_the_end(&now(raw.recv_packet()).unwrap_err());
    }
    is_the_end(&request.reply().unwrap_err());
}

fn after_shutdown_packets_and_calls_are_refused<F: Flavor>() {
    let stack = Stack::<F>::new();
    let (icmp, raw) = (stack.icmp(), stack.raw());
    let bytes = datagram("10.0.0.1", "10.0.0.2", b"");
    now(raw.send(&bytes)).unwrap();
    stack.engine.shutdown();
    stack.engine.shutdown();
    assert_eq!(stack.engine.poll_transmit(), None, "dropped");
    assert!(!stack.engine.register(Waker::noop()));
    assert_eq!(stack.ping("10.0.0.1", "10.0.0.2", b""), Echoed::Dropped);
    assert_eq!(stack.divert("10.0.0.1", b""), RawReceived::Dropped);
    assert_eq!(stack.engine.stats().dropped_other, 2);

    let binder = stack.binder();
    is_the_end(&now(raw.send(&bytes)).unwrap_err());
    let (from, to) = (ip("10.0.0.1"), ip("10.0.0.2"));
    is_the_end(&now(icmp.send_echo_request(from, to, ECHO, b"")).unwrap_err());
    let packet = Packet::parse(&bytes).unwrap();
    is_the_end(&binder.send_error(&packet, Unreachable::Port).unwrap_err());
    drop((icmp, raw));
    is_the_end(&binder.bind_icmp().unwrap_err());
    is_the_end(&binder.bind_raw(RawConfig::new()).unwrap_err());
}

fn dropping_the_engine_shuts_it_down<F: Flavor>() {
    let stack = Stack::<F>::new();
    let (socket, counters) = (stack.icmp(), stack.engine.binder());
    let task = Task::new();
    let mut receive = pin!(socket.recv());
    assert!(task.poll(receive.as_mut()).is_pending());
    drop(stack);
    assert_eq!(task.woken(), 1);
    is_the_end(&now(receive).unwrap_err());
    assert_eq!(counters.stats(), Default::default());
}

#[expect(
    clippy::disallowed_methods,
    reason = "the clock is not the matter here"
)]
fn the_shutdown_of_one_engine_is_that_of_all<F: Flavor>() {
    let (two, clock) = (NonZeroU8::new(2).unwrap(), Clock::new(Instant::now));
    let engines = Engine::<F>::with_queues(two, Interface::new(), Config::new(), clock);
    let raw = engines[0].binder().bind_raw(RawConfig::new()).unwrap();

    // The packets of one flow leave through one engine, and those of many through both.
    let mut flows = [0, 0];
    for n in 0..32 {
        let bytes = datagram(&format!("10.0.0.{n}"), "10.0.1.1", b"");
        for _ in 0..2 {
            now(raw.send(&bytes)).unwrap();
        }
        let sent = |engine: &Engine<F>| std::iter::from_fn(|| engine.poll_transmit()).count();
        let sent = [sent(&engines[0]), sent(&engines[1])];
        assert!(matches!(sent, [2, 0] | [0, 2]), "{sent:?}");
        flows[usize::from(sent[1] == 2)] += 1;
    }
    assert!(flows.iter().all(|flows| *flows > 0), "{flows:?}");

    let drivers = [Task::new(), Task::new()];
    for (engine, driver) in engines.iter().zip(&drivers) {
        engine.register(&driver.waker());
    }
    engines[0].shutdown();
    assert_eq!(drivers.each_ref().map(|driver| driver.woken()), [0, 1]);
    is_the_end(&now(raw.recv_packet()).unwrap_err());
}

fn the_end_frees_the_policy<F: Flavor>() {
    let stack = Stack::<F>::new();
    let policy_with = |value: &Arc<()>| {
        let value = value.clone();
        move |_| {
            let _ = &value;
            EchoAction::Answer
        }
    };
    let value = Arc::new(());
    let binder = stack.binder();
    binder.set_echo_policy(policy_with(&value));
    assert_eq!(Arc::strong_count(&value), 2);
    stack.engine.shutdown();
    assert_eq!(Arc::strong_count(&value), 1);
    binder.set_echo_policy(policy_with(&value));
    assert_eq!(Arc::strong_count(&value), 1);
}
