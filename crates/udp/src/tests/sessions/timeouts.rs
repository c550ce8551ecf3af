//! The idle timeouts.

use super::*;
use crate::SessionEnd;

both_flavors!(
    an_idle_session_ends,
    datagrams_in_both_directions_keep_a_session,
    a_finished_dns_exchange_ends_early,
    what_is_not_sent_is_no_answer_and_no_activity,
    another_port_is_no_dns_exchange,
    an_unanswered_question_waits_for_the_idle_timeout,
    sessions_end_in_the_order_of_their_last_activity,
    a_session_that_nobody_has_accepted_ends_as_well,
    the_end_leaves_nothing_behind,
);

const IDLE: Duration = Duration::from_secs(120);
const DNS: Duration = Duration::from_secs(10);
const MS: Duration = Duration::from_millis(1);

pub(super) fn expire<F: Flavor>(engine: &Engine<F>) {
    engine.handle_timeout(time());
}

fn an_idle_session_ends<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config);
    assert_eq!(engine.poll_timeout(), None);
    assert_eq!(arrive_at(&engine, b"x", CLIENT, STUN), QUEUED);
    let (session, task) = (accepted(&listener).unwrap(), Task::new());
    assert_eq!(payload(&session).unwrap(), b"x");
    let mut recv = pin!(session.recv_datagram());
    assert!(task.poll(recv.as_mut()).is_pending());
    assert_eq!(engine.poll_timeout(), Some(time() + IDLE));
    pass(IDLE - MS);
    expire(&engine);
    assert_eq!((task.woken(), engine.stats().sessions), (0, 1));
    pass(MS);
    expire(&engine);
    assert_eq!((task.woken(), engine.poll_timeout()), (1, None));
    let Poll::Ready(Err(error)) = task.poll(recv) else {
        panic!("the session has ended");
    };
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let why = error.get_ref().unwrap().downcast_ref();
    assert_eq!(why, Some(&SessionEnd::Idle));
    assert_eq!(
        (engine.stats().sessions, engine.stats().sessions_idle),
        (0, 1)
    );
    let error = now(session.send_to_client(b"late", addr(STUN))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

fn datagrams_in_both_directions_keep_a_session<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config);
    assert_eq!(arrive_at(&engine, b"x", CLIENT, STUN), QUEUED);
    let session = accepted(&listener).unwrap();
    for _ in 0..3 {
        pass(IDLE - MS);
        expire(&engine);
        now(session.send_to_client(b"out", addr(STUN))).unwrap();
        pass(IDLE - MS);
        expire(&engine);
        assert_eq!(arrive_at(&engine, b"in", CLIENT, STUN), QUEUED);
    }
    assert_eq!(engine.poll_timeout(), Some(time() + IDLE));
    assert_eq!(engine.stats().sessions_idle, 0);
}

fn a_finished_dns_exchange_ends_early<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config);
    for _ in 0..2 {
        assert_eq!(arrive(&engine, b"question"), QUEUED);
    }
    let session = accepted(&listener).unwrap();
    assert_eq!(engine.poll_timeout(), Some(time() + IDLE));
    now(session.send_to_client(b"answer", addr(SERVER))).unwrap();
    assert_eq!(engine.poll_timeout(), Some(time() + IDLE), "one of two");
    now(session.send_to_client(b"answer", addr(SERVER))).unwrap();
    assert_eq!(engine.poll_timeout(), Some(time() + DNS));
    // One more question, and its answer.
    assert_eq!(arrive(&engine, b"question"), QUEUED);
    assert_eq!(engine.poll_timeout(), Some(time() + IDLE));
    now(session.send_to_client(b"answer", addr(SERVER))).unwrap();
    pass(DNS - MS);
    expire(&engine);
    assert_eq!(engine.stats().sessions, 1);
    pass(MS);
    expire(&engine);
    assert_eq!(
        (engine.stats().sessions, engine.stats().sessions_idle),
        (0, 1)
    );
}

fn what_is_not_sent_is_no_answer_and_no_activity<F: Flavor>() {
    let (engine, socket) = engine_with::<F>(|config| config.outbound_packets = 1);
    let listener = socket.into_sessions(SessionConfig::new());
    for _ in 0..3 {
        assert_eq!(arrive(&engine, b"question"), QUEUED);
    }
    let end = time() + IDLE;
    let session = accepted(&listener).unwrap();
    let answer = || session.try_send_to_client(b"answer", addr(SERVER));
    answer().unwrap();
    pass(MS);
    let (batch, task) = (vec![session_answer(); 3], Task::new());
    for _ in 0..3 {
        assert_eq!(answer().unwrap_err().kind(), ErrorKind::WouldBlock);
        now(session.send_to_client(&[0; 65_508], addr(SERVER))).unwrap_err();
        assert!(task.poll(pin!(session.send_batch(&batch))).is_pending());
    }
    assert_eq!(engine.poll_timeout(), Some(end), "one of three");
    // A batch of which one finds room.
    assert_eq!(sent(&engine).len(), 1);
    assert_eq!(now(session.send_batch(&batch)).unwrap(), 1);
    assert_eq!(engine.poll_timeout(), Some(time() + IDLE), "two of three");
    // One that waits for room counts once.
    let mut waits = pin!(session.send_to_client(b"answer", addr(SERVER)));
    for _ in 0..3 {
        assert!(task.poll(waits.as_mut()).is_pending());
    }
    assert_eq!(arrive(&engine, b"question"), QUEUED);
    assert_eq!(sent(&engine).len(), 1);
    assert!(task.poll(waits).is_ready());
    assert_eq!(engine.poll_timeout(), Some(time() + IDLE), "three of four");
    assert_eq!(sent(&engine).len(), 1);
    answer().unwrap();
    assert_eq!(engine.poll_timeout(), Some(time() + DNS));
}

/// An answer of the server.
fn session_answer() -> crate::Datagram {
    crate::Datagram::new(*b"answer", addr(SERVER), addr(CLIENT))
}

fn another_port_is_no_dns_exchange<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config);
    assert_eq!(arrive(&engine, b"question"), QUEUED);
    assert_eq!(arrive_at(&engine, b"x", CLIENT, STUN), QUEUED);
    let session = accepted(&listener).unwrap();
    for _ in 0..2 {
        now(session.send_to_client(b"answer", addr(SERVER))).unwrap();
    }
    assert_eq!(engine.poll_timeout(), Some(time() + IDLE));
}

fn an_unanswered_question_waits_for_the_idle_timeout<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config);
    assert_eq!(arrive(&engine, b"question"), QUEUED);
    let session = accepted(&listener).unwrap();
    pass(DNS);
    expire(&engine);
    assert_eq!(engine.stats().sessions, 1);
    now(session.send_to_client(b"from elsewhere", addr(STUN))).unwrap();
    assert_eq!(engine.poll_timeout(), Some(time() + IDLE));
}

fn sessions_end_in_the_order_of_their_last_activity<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config);
    let sessions: Vec<_> = (0..3)
        .map(|n| {
            assert_eq!(arrive_at(&engine, b"x", &client(n), STUN), QUEUED);
            pass(MS);
            let session = accepted(&listener).unwrap();
            assert_eq!(payload(&session).unwrap(), b"x");
            session
        })
        .collect();
    now(sessions[0].send_to_client(b"x", addr(STUN))).unwrap();
    let ends = || [0, 1, 2].map(|n| end(&sessions[n]).is_some());
    pass(IDLE - 2 * MS);
    expire(&engine);
    assert_eq!(ends(), [false, true, false]);
    pass(MS);
    expire(&engine);
    assert_eq!(ends(), [false, true, true]);
    pass(MS);
    expire(&engine);
    assert_eq!(ends(), [true; 3]);
}

fn a_session_that_nobody_has_accepted_ends_as_well<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config);
    assert_eq!(arrive_at(&engine, b"1", &client(1), STUN), QUEUED);
    pass(MS);
    assert_eq!(arrive_at(&engine, b"2", &client(2), STUN), QUEUED);
    pass(IDLE - MS);
    expire(&engine);
    assert_eq!(payload(&accepted(&listener).unwrap()).unwrap(), b"2");
    assert!(accepted(&listener).is_none());
    assert_empty(&engine);
}

fn the_end_leaves_nothing_behind<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config.backlog(10_000));
    let sessions: Vec<_> = (0..5_000)
        .map(|n| {
            assert_eq!(arrive_at(&engine, b"question", &client(n), SERVER), QUEUED);
            accepted(&listener).unwrap()
        })
        .collect();
    assert_eq!(engine.session_memory().0, 5_000);
    pass(IDLE);
    expire(&engine);
    assert_eq!(engine.stats().sessions_idle, 5_000);
    // What is in the queues can still be read.
    assert_eq!(payload(&sessions[7]).unwrap(), b"question");
    assert_eq!(end(&sessions[7]), Some(ErrorKind::TimedOut));
    assert_eq!(engine.session_memory().2, 4_999 * 8, "bytes");
    drop(sessions);
    assert_empty(&engine);
}
