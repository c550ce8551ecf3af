use super::*;
use futures_core::Stream;
use futures_sink::Sink;
use std::io::{Error, ErrorKind};

both_flavors!(
    the_stream_yields_tuples_and_ends_with_the_stack,
    a_dropped_stream_removes_its_waker,
    the_sink_sends_tuples,
    the_sink_keeps_one_datagram_and_waits_for_room,
    two_sinks_share_the_last_place,
    a_bad_datagram_does_not_end_the_sink,
    the_sink_fails_after_shutdown,
);

type Item = (Vec<u8>, SocketAddr, SocketAddr);

fn item(payload: &[u8]) -> Item {
    (payload.to_vec(), addr(SERVER), addr(CLIENT))
}

fn next<F: Flavor>(task: &Arc<Task>, half: &mut UdpReadHalf<F>) -> Poll<Option<Item>> {
    Pin::new(half).poll_next(&mut Context::from_waker(&task.waker()))
}

fn ready<F: Flavor>(task: &Arc<Task>, half: &mut UdpWriteHalf<F>) -> Poll<Result<(), Error>> {
    Pin::new(half).poll_ready(&mut Context::from_waker(&task.waker()))
}

fn flush<F: Flavor>(task: &Arc<Task>, half: &mut UdpWriteHalf<F>) -> Poll<Result<(), Error>> {
    Pin::new(half).poll_flush(&mut Context::from_waker(&task.waker()))
}

fn the_stream_yields_tuples_and_ends_with_the_stack<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    let (mut read, _write) = socket.split();
    let task = Task::new();
    for payload in [b"question".as_slice(), b""] {
        assert!(next(&task, &mut read).is_pending());
        assert_eq!(arrive(&engine, payload), QUEUED);
        assert_eq!(task.woken(), 1);
        let tuple = (payload.to_vec(), addr(CLIENT), addr(SERVER));
        assert_eq!(next(&task, &mut read), Poll::Ready(Some(tuple)));
    }
    assert_eq!(arrive(&engine, b"last"), QUEUED);
    engine.shutdown();
    assert!(
        matches!(next(&task, &mut read), Poll::Ready(Some((payload, ..))) if payload == b"last")
    );
    assert_eq!(next(&task, &mut read), Poll::Ready(None));
    assert_eq!(next(&task, &mut read), Poll::Ready(None));
}

fn a_dropped_stream_removes_its_waker<F: Flavor>() {
    let (_engine, socket) = engine::<F>();
    let (mut read, _write) = socket.split();
    let (old, task) = (Task::new(), Task::new());
    assert!(next(&old, &mut read).is_pending());
    assert!(next(&task, &mut read).is_pending());
    assert_eq!((Arc::strong_count(&old), Arc::strong_count(&task)), (1, 2));
    drop(read);
    assert_eq!(Arc::strong_count(&task), 1);
}

fn the_sink_sends_tuples<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    let (_read, mut write) = socket.split();
    let (task, driver) = (Task::new(), Task::new());
    engine.register(&driver.waker());
    assert!(matches!(ready(&task, &mut write), Poll::Ready(Ok(()))));
    Pin::new(&mut write).start_send(item(b"answer")).unwrap();
    assert_eq!(driver.woken(), 1);
    assert!(matches!(flush(&task, &mut write), Poll::Ready(Ok(()))));
    let bytes = engine.poll_transmit().unwrap();
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.key().source(), addr(SERVER));
    assert_eq!(packet.payload(), b"answer");
}

fn the_sink_keeps_one_datagram_and_waits_for_room<F: Flavor>() {
    let (engine, socket) = engine_with::<F>(|config| config.outbound_packets = 1);
    let (_read, mut write) = socket.split();
    let task = Task::new();
    for payload in [b"1", b"2"] {
        assert!(matches!(ready(&task, &mut write), Poll::Ready(Ok(()))));
        Pin::new(&mut write).start_send(item(payload)).unwrap();
    }
    assert!(ready(&task, &mut write).is_pending());
    assert!(flush(&task, &mut write).is_pending());
    assert_eq!(engine.poll_transmit().unwrap().last(), Some(&b'1'));
    assert_eq!(task.woken(), 1);
    assert!(matches!(flush(&task, &mut write), Poll::Ready(Ok(()))));
    assert_eq!(sent(&engine), [b"2"]);
}

fn two_sinks_share_the_last_place<F: Flavor>() {
    let (engine, socket) = engine_with::<F>(|config| config.outbound_packets = 1);
    let (_read, mut one) = socket.split();
    let mut two = one.clone();
    let (first, second) = (Task::new(), Task::new());
    // Both sinks are ready before either sends.
    assert!(ready(&first, &mut one).is_ready());
    assert!(ready(&second, &mut two).is_ready());
    Pin::new(&mut one).start_send(item(b"1")).unwrap();
    Pin::new(&mut two).start_send(item(b"2")).unwrap();
    assert!(flush(&first, &mut one).is_ready());
    assert!(flush(&second, &mut two).is_pending());
    assert!(engine.poll_transmit().is_some());
    assert_eq!((first.woken(), second.woken()), (0, 1));
    assert!(matches!(flush(&second, &mut two), Poll::Ready(Ok(()))));
    assert_eq!(sent(&engine), [b"2"]);
}

fn a_bad_datagram_does_not_end_the_sink<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    let (_read, mut write) = socket.split();
    let task = Task::new();
    assert!(ready(&task, &mut write).is_ready());
    let error = Pin::new(&mut write)
        .start_send(item(&[0; 65_508]))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(matches!(ready(&task, &mut write), Poll::Ready(Ok(()))));
    Pin::new(&mut write).start_send(item(b"good")).unwrap();
    assert_eq!(sent(&engine), [b"good"]);
}

fn the_sink_fails_after_shutdown<F: Flavor>() {
    let (engine, socket) = engine_with::<F>(|config| config.outbound_packets = 1);
    let (_read, mut write) = socket.split();
    let task = Task::new();
    for payload in [b"1", b"2"] {
        assert!(ready(&task, &mut write).is_ready());
        Pin::new(&mut write).start_send(item(payload)).unwrap();
    }
    assert!(flush(&task, &mut write).is_pending());
    drop(engine);
    assert_eq!(task.woken(), 1);
    let down =
        |poll| matches!(poll, Poll::Ready(Err(e)) if Error::kind(&e) == ErrorKind::NetworkDown);
    assert!(down(flush(&task, &mut write)));
    assert!(down(ready(&task, &mut write)));
}
