//! Waiting tasks are woken outside of the cell, and cancelled futures remove their wakers.

use super::*;

both_flavors!(
    a_datagram_wakes_every_reader,
    poll_recv_from_registers_the_task,
    senders_wait_until_half_of_the_queue_is_free,
    a_later_sender_does_not_overtake,
    poll_send_to_registers_the_task,
    sending_wakes_the_driver_once,
    a_woken_reader_may_use_the_socket,
    a_woken_sender_may_use_the_socket,
    a_woken_driver_may_use_the_engine,
    a_dropped_waker_may_use_the_socket,
    a_cancelled_read_removes_its_waker,
    a_cancelled_send_removes_its_waker,
    poll_calls_with_always_new_wakers_keep_a_bounded_number_of_them,
    a_waker_that_panics_leaves_no_other_task_asleep,
);

fn a_datagram_wakes_every_reader<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    let other = socket.clone();
    let (one, two) = (Task::new(), Task::new());
    let (mut first, mut second) = (pin!(socket.recv_datagram()), pin!(other.recv_datagram()));
    assert!(one.poll(first.as_mut()).is_pending());
    assert!(two.poll(second.as_mut()).is_pending());
    assert_eq!(arrive(&engine, b"1"), QUEUED);
    assert_eq!((one.woken(), two.woken()), (1, 1));
    let Poll::Ready(Ok(read)) = two.poll(second.as_mut()) else {
        panic!("one is there")
    };
    assert_eq!(read.payload, b"1");
    // The other reader waits again and is woken again.
    assert!(one.poll(first.as_mut()).is_pending());
    assert_eq!(arrive(&engine, b"2"), QUEUED);
    assert_eq!((one.woken(), two.woken()), (1, 0));
    assert!(one.poll(first.as_mut()).is_ready());
}

fn poll_recv_from_registers_the_task<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    let tasks = [Task::new(), Task::new()];
    for _ in 0..3 {
        for task in &tasks {
            let waker = task.waker();
            let mut cx = Context::from_waker(&waker);
            assert!(socket.poll_recv_from(&mut cx, &mut [0; 10]).is_pending());
            assert!(socket.poll_recv_from(&mut cx, &mut [0; 10]).is_pending());
        }
        assert_eq!(arrive(&engine, b"1"), QUEUED);
        assert_eq!(tasks.each_ref().map(|task| task.woken()), [1, 1]);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(socket.poll_recv_from(&mut cx, &mut [0; 10]).is_ready());
    }
}

fn senders_wait_until_half_of_the_queue_is_free<F: Flavor>() {
    let (engine, socket) = engine_with::<F>(|config| config.outbound_packets = 4);
    for n in 0..4 {
        now(answer(&socket, &[n])).unwrap();
    }
    let (one, two) = (Task::new(), Task::new());
    let (mut first, mut second) = (pin!(answer(&socket, &[4])), pin!(answer(&socket, &[5])));
    assert!(one.poll(first.as_mut()).is_pending());
    assert!(two.poll(second.as_mut()).is_pending());
    assert_eq!(engine.poll_transmit().unwrap().last(), Some(&0));
    assert_eq!((one.woken(), two.woken()), (0, 0), "three of four");
    assert_eq!(engine.poll_transmit().unwrap().last(), Some(&1));
    assert_eq!((one.woken(), two.woken()), (1, 1));
    assert!(one.poll(first.as_mut()).is_ready());
    assert!(two.poll(second.as_mut()).is_ready());
    assert_eq!(sent(&engine), [[2], [3], [4], [5]]);
}

fn a_later_sender_does_not_overtake<F: Flavor>() {
    let (engine, socket) = engine_with::<F>(|config| config.outbound_packets = 4);
    for n in 0..4 {
        now(answer(&socket, &[n])).unwrap();
    }
    let (one, two) = (Task::new(), Task::new());
    let (mut first, mut second) = (pin!(answer(&socket, &[4])), pin!(answer(&socket, &[5])));
    assert!(one.poll(first.as_mut()).is_pending());
    assert!(engine.poll_transmit().is_some());
    // There is room for one packet, but the first sender has waited longer.
    assert!(two.poll(second.as_mut()).is_pending());
    assert!(engine.poll_transmit().is_some());
    assert_eq!((one.woken(), two.woken()), (1, 1));
    assert!(two.poll(second.as_mut()).is_ready());
    assert!(one.poll(first.as_mut()).is_ready());
}

fn poll_send_to_registers_the_task<F: Flavor>() {
    let (engine, socket) = engine_with::<F>(|config| config.outbound_packets = 1);
    let (from, to) = (addr(SERVER), addr(CLIENT));
    now(answer(&socket, b"1")).unwrap();
    let tasks = [Task::new(), Task::new()];
    for task in &tasks {
        let waker = task.waker();
        let mut cx = Context::from_waker(&waker);
        assert!(socket.poll_send_to(&mut cx, b"2", from, to).is_pending());
        assert!(socket.poll_send_to(&mut cx, b"2", from, to).is_pending());
    }
    assert!(engine.poll_transmit().is_some());
    assert_eq!(tasks.each_ref().map(|task| task.woken()), [1, 1]);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(
        socket.poll_send_to(&mut cx, b"2", from, to),
        Poll::Ready(Ok(1))
    ));
}

fn sending_wakes_the_driver_once<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    let (old, driver) = (Task::new(), Task::new());
    assert!(!engine.register(&old.waker()));
    assert!(!engine.register(&driver.waker()));
    assert!(!engine.register(&driver.waker()));
    now(answer(&socket, b"1")).unwrap();
    now(answer(&socket, b"2")).unwrap();
    assert_eq!(
        (old.woken(), driver.woken()),
        (0, 1),
        "the last to register, once"
    );
    // A packet that is in the queue already wakes nobody.
    assert!(engine.register(&driver.waker()));
    assert_eq!(driver.woken(), 0);
    assert_eq!(sent(&engine).len(), 2);
    now(answer(&socket, b"3")).unwrap();
    assert_eq!(driver.woken(), 1);
}

fn a_woken_reader_may_use_the_socket<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    let inside = socket.clone();
    let (waker, runs) = Hook::waker(move || {
        drop(now(inside.peek_from(&mut [0; 10])));
        drop(inside.clone());
    });
    let mut cx = Context::from_waker(&waker);
    assert!(socket.poll_recv_from(&mut cx, &mut [0; 10]).is_pending());
    assert_eq!(arrive(&engine, b"question"), QUEUED);
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    assert_eq!(now(socket.recv_datagram()).unwrap().payload, b"question");
    // At the shutdown, too.
    assert!(socket.poll_recv_from(&mut cx, &mut [0; 10]).is_pending());
    engine.shutdown();
    assert_eq!(runs.load(Ordering::Relaxed), 2);
}

fn a_woken_sender_may_use_the_socket<F: Flavor>() {
    let (engine, socket) = engine_with::<F>(|config| config.outbound_packets = 1);
    now(answer(&socket, b"1")).unwrap();
    let inside = socket.clone();
    let (waker, runs) = Hook::waker(move || drop(now(answer(&inside, b"from inside"))));
    let mut cx = Context::from_waker(&waker);
    let (from, to) = (addr(SERVER), addr(CLIENT));
    assert!(socket.poll_send_to(&mut cx, b"2", from, to).is_pending());
    assert!(engine.poll_transmit().is_some());
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    assert!(
        socket.poll_send_to(&mut cx, b"2", from, to).is_pending(),
        "the room is taken"
    );
    engine.shutdown();
    assert_eq!(runs.load(Ordering::Relaxed), 2);
}

fn a_woken_driver_may_use_the_engine<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    let engine = std::rc::Rc::new(engine);
    let inside = engine.clone();
    let (waker, runs) = Hook::waker(move || {
        inside.poll_transmit();
        inside.register(Waker::noop());
    });
    assert!(!engine.register(&waker));
    now(answer(&socket, b"1")).unwrap();
    assert_eq!(runs.load(Ordering::Relaxed), 1);
    assert!(engine.poll_transmit().is_none(), "taken while woken");
}

fn a_dropped_waker_may_use_the_socket<F: Flavor>() {
    let (engine, socket) = engine_with::<F>(|config| config.outbound_packets = 1);
    let (noop, inside) = (Waker::noop(), socket.clone());
    let hook = || {
        let inside = inside.clone();
        Hook::waker(move || drop(inside.clone()))
    };
    let dropped = |runs: &AtomicUsize| assert_eq!(runs.load(Ordering::Relaxed), 1);

    // The waker of a reader, a sender and the driver, replaced by another one.
    let mut read = pin!(socket.recv_datagram());
    let (waker, runs) = hook();
    assert!(
        read.as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    drop(waker);
    assert!(
        read.as_mut()
            .poll(&mut Context::from_waker(noop))
            .is_pending()
    );
    dropped(&runs);

    now(answer(&socket, b"1")).unwrap();
    let mut send = Box::pin(answer(&socket, b"2"));
    let (waker, runs) = hook();
    assert!(
        send.as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    drop(waker);
    assert!(
        send.as_mut()
            .poll(&mut Context::from_waker(noop))
            .is_pending()
    );
    dropped(&runs);

    let (waker, runs) = hook();
    engine.register(&waker);
    drop(waker);
    engine.register(noop);
    dropped(&runs);

    // The waker of a future that is dropped.
    let (waker, runs) = hook();
    assert!(
        send.as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    drop(waker);
    drop(send);
    dropped(&runs);

    // The waker of the driver at the shutdown: dropped, not woken.
    let (waker, runs) = hook();
    engine.register(&waker);
    drop(waker);
    engine.shutdown();
    dropped(&runs);
}

fn a_cancelled_read_removes_its_waker<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    let task = Task::new();
    let mut stays = pin!(socket.recv_datagram());
    assert!(task.poll(stays.as_mut()).is_pending());
    for _ in 0..3 {
        let mut buf = [0; 10];
        assert!(task.poll(pin!(socket.recv_from(&mut buf))).is_pending());
        // A waker of its own, as for a future in a `FuturesUnordered`.
        let other = Task::new();
        assert!(other.poll(pin!(socket.peek_from(&mut buf))).is_pending());
        assert_eq!(Arc::strong_count(&other), 1, "its waker is gone");
    }
    assert_eq!(Arc::strong_count(&task), 2, "the one that waits on");
    assert_eq!(arrive(&engine, b"question"), QUEUED);
    assert_eq!(task.woken(), 1);
    // A future that is dropped after it was woken leaves the datagram.
    {
        let woken = Task::new();
        let mut read = Box::pin(socket.recv_datagram());
        let Poll::Ready(Ok(_)) = task.poll(stays.as_mut()) else {
            panic!("it is there")
        };
        assert!(woken.poll(read.as_mut()).is_pending());
        assert_eq!(arrive(&engine, b"again"), QUEUED);
        assert_eq!(woken.woken(), 1);
    }
    assert_eq!(now(socket.recv_datagram()).unwrap().payload, b"again");
}

fn a_cancelled_send_removes_its_waker<F: Flavor>() {
    let (engine, socket) = engine_with::<F>(|config| config.outbound_packets = 3);
    for n in 0..3 {
        now(answer(&socket, &[n])).unwrap();
    }
    let task = Task::new();
    assert!(task.poll(pin!(answer(&socket, b"never"))).is_pending());
    assert_eq!(Arc::strong_count(&task), 1);
    assert!(engine.poll_transmit().is_some());
    // The cancelled sender delays no other sender.
    now(answer(&socket, &[3])).unwrap();
    assert_eq!(sent(&engine), [[1], [2], [3]]);
}

fn poll_calls_with_always_new_wakers_keep_a_bounded_number_of_them<F: Flavor>() {
    let (_engine, socket) = engine_with::<F>(|config| config.outbound_packets = 1);
    now(answer(&socket, b"1")).unwrap();
    /// One of many wakers of one task.
    struct Fresh(Arc<Task>);
    impl Wake for Fresh {
        fn wake(self: Arc<Self>) {
            self.0.clone().wake();
        }
    }
    let (from, to) = (addr(SERVER), addr(CLIENT));
    let (reader, sender) = (Task::new(), Task::new());
    for polls in 1..=3_000 {
        let fresh = |task: &Arc<Task>| Waker::from(Arc::new(Fresh(task.clone())));
        let read = fresh(&reader);
        let cx = &mut Context::from_waker(&read);
        assert!(socket.poll_recv_from(cx, &mut [0; 10]).is_pending());
        let send = fresh(&sender);
        let cx = &mut Context::from_waker(&send);
        assert!(socket.poll_send_to(cx, b"2", from, to).is_pending());
        for task in [&reader, &sender] {
            assert!(Arc::strong_count(task) <= 1_026, "{polls} polls");
        }
        if polls == 1_000 {
            assert_eq!((reader.woken(), sender.woken()), (0, 0));
        }
    }
    // All wakers of a full set are woken at once.
    assert_eq!((reader.woken(), sender.woken()), (2_048, 2_048));
}

fn a_waker_that_panics_leaves_no_other_task_asleep<F: Flavor>() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker panics");
        }
    }
    let (engine, socket) = engine_with::<F>(|config| config.outbound_packets = 1);
    let panicking = Waker::from(Arc::new(Panics));
    let (reader, sender) = (Task::new(), Task::new());
    let wait = || {
        now(answer(&socket, b"1")).unwrap();
        for waker in [&panicking, &reader.waker(), &sender.waker()] {
            let cx = &mut Context::from_waker(waker);
            if !waker.will_wake(&sender.waker()) {
                assert!(socket.poll_recv_from(cx, &mut [0; 10]).is_pending());
            }
            if !waker.will_wake(&reader.waker()) {
                let (from, to) = (addr(SERVER), addr(CLIENT));
                assert!(socket.poll_send_to(cx, b"2", from, to).is_pending());
            }
        }
    };
    wait();
    let _ = arrive(&engine, b"question");
    drop(engine.poll_transmit());
    assert_eq!((reader.woken(), sender.woken()), (1, 1));
    now(socket.recv_datagram()).unwrap();
    // The end reaches the senders although the waker of a reader panics.
    wait();
    engine.shutdown();
    assert_eq!((reader.woken(), sender.woken()), (1, 1));
}
