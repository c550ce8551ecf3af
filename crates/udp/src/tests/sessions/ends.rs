//! Handles, and the end of a session and of the stack.

use super::*;

both_flavors!(
    dropping_a_session_ends_it,
    clones_share_a_session,
    an_ended_session_does_not_disturb_its_successor,
    datagrams_before_the_listener_become_sessions,
    without_a_listener_no_session_opens,
    sessions_go_on_without_a_listener,
    other_handles_receive_nothing_beside_a_listener,
    a_listener_wakes_for_a_session,
    a_cancelled_accept_loses_no_session,
    a_cancelled_read_leaves_no_waker,
    shutdown_ends_sessions_and_the_listener,
    a_reader_that_is_woken_may_drop_the_session,
);

fn dropping_a_session_ends_it<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config);
    assert_eq!(arrive_at(&engine, b"1", CLIENT, STUN), QUEUED);
    drop(accepted(&listener).unwrap());
    let stats = engine.stats();
    assert_eq!((stats.sessions, stats.sessions_closed), (0, 1));
    assert_eq!(engine.poll_timeout(), None);
    assert_eq!(arrive_at(&engine, b"2", CLIENT, STUN), QUEUED);
    assert_eq!(payload(&accepted(&listener).unwrap()).unwrap(), b"2");
    assert_eq!(engine.stats().sessions_opened, 2);
}

fn clones_share_a_session<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config);
    assert_eq!(arrive_at(&engine, b"1", CLIENT, STUN), QUEUED);
    let session = accepted(&listener).unwrap();
    let clone = session.clone();
    drop(session);
    assert_eq!(
        (clone.source(), clone.destination()),
        (addr(CLIENT), addr(STUN))
    );
    assert_eq!(payload(&clone).unwrap(), b"1");
    assert_eq!(engine.stats().sessions, 1);
    drop(clone);
    assert_empty(&engine);
}

fn an_ended_session_does_not_disturb_its_successor<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config);
    assert_eq!(arrive_at(&engine, b"1", CLIENT, STUN), QUEUED);
    let old = accepted(&listener).unwrap();
    pass(Duration::from_secs(120));
    engine.handle_timeout(time());
    assert_eq!(arrive_at(&engine, b"2", CLIENT, STUN), QUEUED);
    let new = accepted(&listener).unwrap();
    assert_eq!(payload(&old).unwrap(), b"1");
    assert_eq!(end(&old), Some(ErrorKind::TimedOut));
    drop(old);
    assert_eq!(arrive_at(&engine, b"3", CLIENT, STUN), QUEUED);
    assert_eq!(payload(&new).unwrap(), b"2");
    assert_eq!(payload(&new).unwrap(), b"3");
    assert_eq!(engine.stats().sessions_closed, 0);
}

fn datagrams_before_the_listener_become_sessions<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    for (payload, n) in [(b"1", 1), (b"2", 2), (b"3", 1)] {
        assert_eq!(arrive_at(&engine, payload, &client(n), STUN), QUEUED);
    }
    let listener = socket.into_sessions(SessionConfig::new());
    let (one, two) = (accepted(&listener).unwrap(), accepted(&listener).unwrap());
    assert_eq!(payload(&one).unwrap(), b"1");
    assert_eq!(now(one.recv_datagram()).unwrap().hop_limit, Some(64));
    assert_eq!(payload(&two).unwrap(), b"2");
    assert_eq!(
        (engine.stats().datagrams_in, engine.stats().bytes_in),
        (3, 3)
    );
    assert_eq!(engine.queued(), (0, 0, 0));
}

fn without_a_listener_no_session_opens<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config);
    assert_eq!(arrive_at(&engine, b"x", &client(1), STUN), QUEUED);
    let clone = listener.clone();
    drop(listener);
    assert_eq!(
        arrive_at(&engine, b"x", &client(2), STUN),
        QUEUED,
        "a clone listens"
    );
    drop(clone);
    assert_eq!(
        (engine.stats().sessions, engine.stats().sessions_closed),
        (0, 2)
    );
    assert_empty(&engine);
    assert_eq!(
        arrive_at(&engine, b"x", &client(1), STUN),
        Received::NoListener
    );
}

fn sessions_go_on_without_a_listener<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config);
    assert_eq!(arrive_at(&engine, b"1", CLIENT, STUN), QUEUED);
    let session = accepted(&listener).unwrap();
    drop(listener);
    assert_eq!(arrive_at(&engine, b"2", CLIENT, STUN), QUEUED);
    assert_eq!(
        arrive_at(&engine, b"x", &client(1), STUN),
        Received::NoListener
    );
    assert_eq!(payload(&session).unwrap(), b"1");
    assert_eq!(payload(&session).unwrap(), b"2");
}

fn other_handles_receive_nothing_beside_a_listener<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    let other = socket.clone();
    let listener = socket.into_sessions(SessionConfig::new());
    assert_eq!(arrive(&engine, b"1"), QUEUED);
    assert_eq!(
        other.try_recv_datagram().unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    now(answer(&other, b"it sends")).unwrap();
    // Another handle of the same listener.
    let second = other.into_sessions(SessionConfig::new());
    drop(listener);
    assert_eq!(payload(&accepted(&second).unwrap()).unwrap(), b"1");
    let (engine, socket) = self::engine::<F>();
    drop(socket.clone().into_sessions(SessionConfig::new()));
    assert_eq!(arrive(&engine, b"2"), QUEUED);
    assert_eq!(
        now(socket.recv_datagram()).unwrap().payload,
        b"2",
        "without a listener"
    );
}

fn a_listener_wakes_for_a_session<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config);
    let (task, polling) = (Task::new(), Task::new());
    let mut accept = pin!(listener.accept());
    assert!(task.poll(accept.as_mut()).is_pending());
    let waker = polling.waker();
    let mut cx = Context::from_waker(&waker);
    assert!(listener.poll_accept(&mut cx).is_pending());
    assert_eq!(arrive_at(&engine, b"1", CLIENT, STUN), QUEUED);
    assert_eq!((task.woken(), polling.woken()), (1, 1));
    let Poll::Ready(Ok(session)) = task.poll(accept) else {
        panic!("a session waits");
    };
    assert!(listener.poll_accept(&mut cx).is_pending());
    assert_eq!(arrive_at(&engine, b"2", CLIENT, STUN), QUEUED);
    assert_eq!(polling.woken(), 0, "no new session");
    assert_eq!(payload(&session).unwrap(), b"1");
    assert!(session.poll_recv_datagram(&mut cx).is_ready());
    assert!(session.poll_recv_datagram(&mut cx).is_pending());
    assert_eq!(arrive_at(&engine, b"3", CLIENT, STUN), QUEUED);
    assert_eq!(polling.woken(), 1);
}

fn a_cancelled_accept_loses_no_session<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config);
    let task = Task::new();
    {
        let mut accept = pin!(listener.accept());
        assert!(task.poll(accept.as_mut()).is_pending());
        assert_eq!(arrive_at(&engine, b"1", CLIENT, STUN), QUEUED);
    }
    assert!(accepted(&listener).is_some());
    assert_eq!(task.woken(), 1);
    assert!(task.poll(pin!(listener.accept())).is_pending());
    assert_eq!(arrive_at(&engine, b"1", &client(1), STUN), QUEUED);
    assert_eq!(task.woken(), 0, "the future is gone");
}

fn a_cancelled_read_leaves_no_waker<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config);
    assert_eq!(arrive_at(&engine, b"1", CLIENT, STUN), QUEUED);
    let (session, task) = (accepted(&listener).unwrap(), Task::new());
    assert_eq!(payload(&session).unwrap(), b"1");
    assert!(task.poll(pin!(session.recv_datagram())).is_pending());
    assert_eq!(Arc::strong_count(&task), 1);
    assert_eq!(arrive_at(&engine, b"2", CLIENT, STUN), QUEUED);
    assert_eq!(task.woken(), 0);
}

fn shutdown_ends_sessions_and_the_listener<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config);
    assert_eq!(arrive_at(&engine, b"1", &client(1), STUN), QUEUED);
    let (session, reader, acceptor) = (accepted(&listener).unwrap(), Task::new(), Task::new());
    assert_eq!(payload(&session).unwrap(), b"1");
    let (mut recv, mut accept) = (pin!(session.recv_datagram()), pin!(listener.accept()));
    assert!(reader.poll(recv.as_mut()).is_pending());
    assert!(acceptor.poll(accept.as_mut()).is_pending());
    engine.shutdown();
    assert_eq!((reader.woken(), acceptor.woken()), (1, 1));
    let Poll::Ready(Err(error)) = reader.poll(recv) else {
        panic!("the stack has ended");
    };
    assert_eq!(error.kind(), ErrorKind::NetworkDown);
    let Poll::Ready(Err(error)) = acceptor.poll(accept) else {
        panic!("the stack has ended");
    };
    assert_eq!(error.kind(), ErrorKind::NetworkDown);
    let error = now(session.send_to_client(b"x", addr(STUN))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NetworkDown);
}

fn a_reader_that_is_woken_may_drop_the_session<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config);
    assert_eq!(arrive_at(&engine, b"1", CLIENT, STUN), QUEUED);
    let session = accepted(&listener).unwrap();
    assert_eq!(payload(&session).unwrap(), b"1");
    let kept = std::rc::Rc::new(RefCell::new(Some(session.clone())));
    let (waker, runs) = Hook::waker(move || drop(kept.borrow_mut().take()));
    assert!(
        session
            .poll_recv_datagram(&mut Context::from_waker(&waker))
            .is_pending()
    );
    drop((session, waker));
    // The end wakes the reader, which drops the last handle.
    pass(Duration::from_secs(120));
    engine.handle_timeout(time());
    assert!(runs.load(Ordering::Relaxed) >= 1);
    assert_empty(&engine);
    assert_eq!(arrive_at(&engine, b"2", CLIENT, STUN), QUEUED);
    assert!(accepted(&listener).is_some());
}
