use super::*;
use crate::StackClosed;
use std::io::{Error, ErrorKind};

both_flavors!(
    shutdown_wakes_and_fails_waiting_tasks,
    queued_datagrams_can_still_be_read,
    after_shutdown_packets_and_datagrams_are_refused,
    dropping_the_engine_shuts_it_down,
);

#[track_caller]
fn is_the_end(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::NetworkDown);
    assert!(error.get_ref().unwrap().is::<StackClosed>());
    assert!(error.to_string().contains("driver"), "{error}");
}

fn shutdown_wakes_and_fails_waiting_tasks<F: Flavor>() {
    let (engine, socket) = engine_with::<F>(|config| config.outbound_packets = 1);
    now(answer(&socket, b"1")).unwrap();
    let (reader, sender, driver) = (Task::new(), Task::new(), Task::new());
    let (mut read, mut send) = (pin!(socket.recv_datagram()), pin!(answer(&socket, b"2")));
    assert!(reader.poll(read.as_mut()).is_pending());
    assert!(sender.poll(send.as_mut()).is_pending());
    engine.register(&driver.waker());
    engine.shutdown();
    assert_eq!((reader.woken(), sender.woken(), driver.woken()), (1, 1, 0));
    let Poll::Ready(Err(error)) = reader.poll(read) else {
        panic!("ended")
    };
    is_the_end(&error);
    let Poll::Ready(Err(error)) = sender.poll(send) else {
        panic!("ended")
    };
    is_the_end(&error);
}

fn queued_datagrams_can_still_be_read<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    assert_eq!(arrive(&engine, b"1"), QUEUED);
    assert_eq!(arrive(&engine, b"2"), QUEUED);
    engine.shutdown();
    let mut buf = [0; 10];
    assert_eq!(now(socket.peek_from(&mut buf)).unwrap().0, 1);
    assert_eq!(now(socket.recv_from(&mut buf)).unwrap().0, 1);
    assert_eq!(now(socket.recv_datagram()).unwrap().payload, b"2");
    for _ in 0..2 {
        is_the_end(&now(socket.recv_datagram()).unwrap_err());
        is_the_end(&now(socket.peek_from(&mut buf)).unwrap_err());
    }
}

fn after_shutdown_packets_and_datagrams_are_refused<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    now(answer(&socket, b"1")).unwrap();
    engine.shutdown();
    engine.shutdown();
    assert!(engine.poll_transmit().is_none(), "dropped");
    assert!(!engine.register(Waker::noop()));
    assert_eq!(arrive(&engine, b"2"), Received::Dropped);
    assert_eq!(engine.stats().dropped_other, 1);
    is_the_end(&now(answer(&socket, b"3")).unwrap_err());
    is_the_end(&now(socket.clone().recv_datagram()).unwrap_err());
    // An invalid datagram is still reported as such.
    let error = now(answer(&socket, &[0; 65_508])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

fn dropping_the_engine_shuts_it_down<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    let counters = engine.counters();
    let task = Task::new();
    let mut read = pin!(socket.recv_datagram());
    assert!(task.poll(read.as_mut()).is_pending());
    drop(engine);
    assert_eq!(task.woken(), 1);
    let Poll::Ready(Err(error)) = task.poll(read) else {
        panic!("ended")
    };
    is_the_end(&error);
    is_the_end(&now(answer(&socket, b"1")).unwrap_err());
    assert_eq!(counters.stats(), Default::default());
}
