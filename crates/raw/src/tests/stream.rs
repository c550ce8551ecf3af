//! The sockets as streams.

use super::*;
use futures_lite::StreamExt;

both_flavors!(
    a_stream_yields_messages_and_ends_with_the_stack,
    a_dropped_stream_removes_its_waker,
);

fn a_stream_yields_messages_and_ends_with_the_stack<F: Flavor>() {
    let stack = Stack::<F>::new();
    let (mut icmp, mut raw) = (stack.icmp(), stack.raw());
    assert_eq!(stack.ping("10.0.0.1", "10.0.0.2", b"ping"), Echoed::Queued);
    assert_eq!(stack.divert("10.0.0.1", b"x"), RawReceived::Queued);
    stack.engine.shutdown();
    let messages: Vec<_> = now((&mut icmp).collect());
    assert!(matches!(&messages[..], [IcmpMessage::EchoRequest(_)]));
    assert_eq!(
        now(raw.next()).map(|packet| packet.bytes),
        Some(datagram("10.0.0.1", "192.0.2.7", b"x"))
    );
    assert_eq!(now(raw.next()), None);
}

fn a_dropped_stream_removes_its_waker<F: Flavor>() {
    let stack = Stack::<F>::new();
    let task = Task::new();
    let (mut icmp, mut raw) = (stack.icmp(), stack.raw());
    // Other handles keep the queues.
    let _others = (icmp.clone(), raw.clone());
    assert!(task.poll(pin!(icmp.next())).is_pending());
    assert!(task.poll(pin!(raw.next())).is_pending());
    assert_eq!(Arc::strong_count(&task), 3);
    assert_eq!(stack.ping("10.0.0.1", "10.0.0.2", b""), Echoed::Queued);
    assert_eq!(task.woken(), 1);
    drop((icmp, raw));
    assert_eq!(Arc::strong_count(&task), 1);
}
