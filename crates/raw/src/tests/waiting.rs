//! Waiting tasks are woken outside of the cell, and cancelled futures remove their wakers.

use super::*;
use brooklet_packet::icmp::Unreachable;

both_flavors!(
    a_message_wakes_every_receiver,
    senders_wait_until_half_of_the_queue_is_free,
    a_later_sender_does_not_overtake,
    each_kind_of_packet_wakes_the_driver_once,
    a_woken_receiver_may_use_the_stack,
    a_woken_driver_may_use_the_stack,
    a_dropped_waker_may_use_the_socket,
    a_cancelled_receive_removes_its_waker,
    a_cancelled_send_removes_its_waker,
    a_waker_that_panics_leaves_no_other_task_asleep,
);

fn ping<F: Flavor>(stack: &Stack<F>) -> Echoed {
    stack.ping("10.0.0.1", "10.0.0.2", b"")
}

fn a_message_wakes_every_receiver<F: Flavor>() {
    let stack = Stack::<F>::new();
    let socket = stack.icmp();
    let tasks = [Task::new(), Task::new(), Task::new()];
    let (mut first, mut second) = (pin!(socket.recv()), pin!(socket.recv()));
    let waker = tasks[2].waker();
    let mut cx = Context::from_waker(&waker);
    for _ in 0..2 {
        assert!(tasks[0].poll(first.as_mut()).is_pending());
        assert!(tasks[1].poll(second.as_mut()).is_pending());
        assert!(socket.poll_recv(&mut cx).is_pending());
        assert!(socket.poll_recv(&mut cx).is_pending());
        assert_eq!(ping(&stack), Echoed::Queued);
        assert_eq!(tasks.each_ref().map(|task| task.woken()), [1; 3]);
        assert!(socket.poll_recv(&mut cx).is_ready());
    }
    // A raw packet is nothing for this socket.
    assert!(tasks[0].poll(first.as_mut()).is_pending());
    let _raw = stack.raw();
    assert_eq!(stack.divert("10.0.0.1", b""), RawReceived::Queued);
    assert_eq!(tasks[0].woken(), 0);
}

fn senders_wait_until_half_of_the_queue_is_free<F: Flavor>() {
    let stack = Stack::<F>::with(Interface::new(), Config::new().outbound_packets(4));
    let (socket, task) = (stack.raw(), Task::new());
    let bytes = datagram("10.0.0.1", "10.0.0.2", b"");
    for _ in 0..4 {
        now(socket.send(&bytes)).unwrap();
    }
    let mut send = pin!(socket.send(&bytes));
    assert!(task.poll(send.as_mut()).is_pending());
    stack.sent();
    assert_eq!(task.woken(), 0, "three of four places are taken");
    stack.sent();
    assert_eq!(task.woken(), 1);
    assert!(task.poll(send.as_mut()).is_ready());
}

fn a_later_sender_does_not_overtake<F: Flavor>() {
    let stack = Stack::<F>::with(Interface::new(), Config::new().outbound_packets(4));
    let (socket, tasks) = (stack.raw(), [Task::new(), Task::new()]);
    let bytes = datagram("10.0.0.1", "10.0.0.2", b"");
    for _ in 0..4 {
        now(socket.send(&bytes)).unwrap();
    }
    let (mut first, mut later) = (pin!(socket.send(&bytes)), pin!(socket.send(&bytes)));
    assert!(tasks[0].poll(first.as_mut()).is_pending());
    stack.sent();
    assert!(
        tasks[1].poll(later.as_mut()).is_pending(),
        "room, but not its turn"
    );
    // An answer does not wait.
    let answered = stack
        .binder()
        .send_error(&Packet::parse(&bytes).unwrap(), Unreachable::Port)
        .unwrap();
    assert_eq!(answered, crate::Answered::Queued);
    stack.sent();
    stack.sent();
    assert_eq!(tasks.each_ref().map(|task| task.woken()), [1, 1]);
}

fn each_kind_of_packet_wakes_the_driver_once<F: Flavor>() {
    let stack = Stack::<F>::new();
    let (icmp, raw) = (stack.icmp(), stack.raw());
    let driver = Task::new();
    let bytes = datagram("10.0.0.1", "10.0.0.2", b"");
    let (from, to) = (ip("10.0.0.1"), ip("10.0.0.2"));
    let sends: [&dyn Fn(); 4] = [
        &|| assert_eq!(now(raw.send(&bytes)).unwrap(), bytes.len()),
        &|| now(icmp.send_echo_request(from, to, ECHO, b"")).unwrap(),
        &|| {
            let sent = stack
                .binder()
                .send_error(&Packet::parse(&bytes).unwrap(), Unreachable::Port);
            assert!(sent.is_ok());
        },
        &|| {
            assert_eq!(ping(&stack), Echoed::Queued);
            received(&icmp).reply().unwrap();
        },
    ];
    for send in sends {
        assert!(!stack.engine.register(&driver.waker()));
        send();
        assert_eq!(driver.woken(), 1);
        send();
        assert_eq!(driver.woken(), 0, "woken already");
        assert!(stack.engine.register(&driver.waker()), "a packet waits");
        assert_eq!(stack.sent().len(), stack.sent().len());
        assert_eq!(stack.engine.poll_transmit(), None);
    }
}

fn a_woken_receiver_may_use_the_stack<F: Flavor>() {
    let stack = Stack::<F>::new();
    let (icmp, raw) = (stack.icmp(), stack.raw());
    let (other, binder, counters) = (icmp.clone(), stack.binder(), stack.engine.binder());
    let (waker, runs) = Hook::waker(move || {
        drop(binder.bind_raw(RawConfig::new()).unwrap());
        let _ = counters.stats();
        let _ = other.poll_recv(&mut Context::from_waker(Waker::noop()));
    });
    let mut cx = Context::from_waker(&waker);
    {
        let mut receive = pin!(icmp.recv());
        assert!(receive.as_mut().poll(&mut cx).is_pending());
        assert_eq!(ping(&stack), Echoed::Queued);
        assert_eq!(runs.load(Ordering::Relaxed), 1);
    }
    {
        let mut receive = pin!(raw.recv_packet());
        assert!(receive.as_mut().poll(&mut cx).is_pending());
        assert_eq!(stack.divert("10.0.0.1", b""), RawReceived::Queued);
        assert_eq!(runs.load(Ordering::Relaxed), 2);
    }
}

fn a_woken_driver_may_use_the_stack<F: Flavor>() {
    let stack = Stack::<F>::new();
    let raw = stack.raw();
    let (binder, counters) = (stack.binder(), stack.engine.binder());
    let (waker, runs) = Hook::waker(move || {
        drop(binder.bind_raw(RawConfig::new()).unwrap());
        let _ = counters.stats();
    });
    stack.engine.register(&waker);
    now(raw.send(&datagram("10.0.0.1", "10.0.0.2", b""))).unwrap();
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

fn a_dropped_waker_may_use_the_socket<F: Flavor>() {
    let stack = Stack::<F>::new();
    let icmp = stack.icmp();
    let other = icmp.clone();
    let (waker, runs) = Hook::waker(move || {
        let _ = other.poll_recv(&mut Context::from_waker(Waker::noop()));
    });
    let mut receive = pin!(icmp.recv());
    assert!(
        receive
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    drop(waker);
    assert_eq!(runs.load(Ordering::Relaxed), 0);
    // Another task replaces the waker, whose last clone is dropped.
    assert!(Task::new().poll(receive.as_mut()).is_pending());
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

fn a_cancelled_receive_removes_its_waker<F: Flavor>() {
    let stack = Stack::<F>::new();
    let (icmp, raw) = (stack.icmp(), stack.raw());
    let task = Task::new();
    {
        let (mut one, mut two) = (pin!(icmp.recv()), pin!(raw.recv_packet()));
        assert!(task.poll(one.as_mut()).is_pending());
        assert!(task.poll(two.as_mut()).is_pending());
        assert_eq!(Arc::strong_count(&task), 3);
    }
    assert_eq!(Arc::strong_count(&task), 1);
}

fn a_cancelled_send_removes_its_waker<F: Flavor>() {
    let stack = Stack::<F>::with(Interface::new(), Config::new().outbound_packets(1));
    let (socket, task) = (stack.raw(), Task::new());
    let bytes = datagram("10.0.0.1", "10.0.0.2", b"");
    now(socket.send(&bytes)).unwrap();
    {
        let mut send = pin!(socket.send(&bytes));
        assert!(task.poll(send.as_mut()).is_pending());
        assert_eq!(Arc::strong_count(&task), 2);
    }
    assert_eq!(Arc::strong_count(&task), 1);
    // The next sender does not wait behind the one that is gone.
    stack.sent();
    now(socket.send(&bytes)).unwrap();
}

fn a_waker_that_panics_leaves_no_other_task_asleep<F: Flavor>() {
    let stack = Stack::<F>::new();
    let socket = stack.icmp();
    let task = Task::new();
    let (mut first, mut second) = (pin!(socket.recv()), pin!(socket.recv()));
    let panics = Panics::waker();
    assert!(
        first
            .as_mut()
            .poll(&mut Context::from_waker(&panics))
            .is_pending()
    );
    assert!(task.poll(second.as_mut()).is_pending());
    let _ = ping(&stack);
    assert_eq!(task.woken(), 1);
    assert!(task.poll(second.as_mut()).is_ready());
}

/// A task whose waker panics.
struct Panics;

impl Panics {
    fn waker() -> Waker {
        Arc::new(Self).into()
    }
}

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("the waker panics");
    }
}
