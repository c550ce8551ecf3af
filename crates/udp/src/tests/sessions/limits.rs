//! Caps, queues and shares.

use super::*;
use std::num::NonZeroU16;

both_flavors!(
    a_new_session_ends_the_least_recently_used_one,
    a_new_session_of_a_source_ends_one_of_the_source,
    the_ports_of_an_ipv6_64_are_one_source,
    an_answered_dns_exchange_is_no_more_recent_than_others,
    a_full_backlog_drops_new_sessions,
    a_source_leaves_places_in_the_backlog_to_others,
    half_a_backlog_is_congested,
    each_session_has_a_queue_of_its_own,
    a_session_is_congested_when_its_queue_becomes_half_full,
    all_sessions_share_the_bytes,
    a_source_leaves_bytes_to_others,
    an_ended_session_frees_the_bytes,
    a_segment_batch_fits_a_session,
    zeros_in_the_configuration_count_as_one,
);

/// Opens sessions of these clients and accepts them.
fn open<F: Flavor>(
    engine: &Engine<F>,
    listener: &UdpListener<F>,
    clients: &[&str],
) -> Vec<UdpSession<F>> {
    let open = |from: &&str| {
        assert_eq!(arrive_at(engine, b"x", from, STUN), QUEUED);
        pass(Duration::from_millis(1));
        let session = accepted(listener).unwrap();
        assert_eq!(payload(&session).unwrap(), b"x");
        session
    };
    clients.iter().map(open).collect()
}

fn ends<F: Flavor>(sessions: &[UdpSession<F>]) -> Vec<Option<ErrorKind>> {
    sessions.iter().map(end).collect()
}

const EVICTED: Option<ErrorKind> = Some(ErrorKind::ConnectionAborted);

fn a_new_session_ends_the_least_recently_used_one<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config.sessions(3));
    let clients = ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"];
    let mut sessions = open(&engine, &listener, &clients);
    now(sessions[0].send_to_client(b"x", addr(STUN))).unwrap();
    let task = Task::new();
    let second = sessions[1].clone();
    let mut recv = pin!(second.recv_datagram());
    assert!(task.poll(recv.as_mut()).is_pending());
    let new = open(&engine, &listener, &["10.0.0.4:1"]);
    assert_eq!(task.woken(), 1);
    assert!(matches!(task.poll(recv), Poll::Ready(Err(_))));
    sessions.extend(new);
    assert_eq!(ends(&sessions), [None, EVICTED, None, None]);
    let stats = engine.stats();
    assert_eq!((stats.sessions, stats.sessions_evicted), (3, 1));
    // A datagram of the client opens another session.
    sessions.extend(open(&engine, &listener, &["10.0.0.2:1"]));
    assert_eq!(ends(&sessions), [None, EVICTED, EVICTED, None, None]);
}

fn a_new_session_of_a_source_ends_one_of_the_source<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config.sessions(10).per_source(2));
    let clients = ["10.0.0.9:1", "10.0.0.1:1", "10.0.0.1:2"];
    let mut sessions = open(&engine, &listener, &clients);
    now(sessions[1].send_to_client(b"x", addr(STUN))).unwrap();
    sessions.extend(open(&engine, &listener, &["10.0.0.1:3"]));
    assert_eq!(ends(&sessions), [None, None, EVICTED, None]);
    sessions.extend(open(&engine, &listener, &["10.0.0.1:4"]));
    assert_eq!(ends(&sessions), [None, EVICTED, EVICTED, None, None]);
}

fn the_ports_of_an_ipv6_64_are_one_source<F: Flavor>() {
    let (engine, socket) = engine::<F>();
    let listener = socket.into_sessions(SessionConfig::new().per_source(1));
    let arrives = |from: &str| {
        assert_eq!(arrive_at(&engine, b"x", from, SERVER6), QUEUED);
        accepted(&listener).unwrap()
    };
    let one = arrives("[fd00::1]:1");
    let elsewhere = arrives("[fd00:0:0:1::1]:1");
    let two = arrives("[fd00::2]:1");
    assert_eq!(
        (payload(&one).unwrap(), end(&one)),
        (b"x".to_vec(), EVICTED)
    );
    for session in [elsewhere, two] {
        assert_eq!(
            (payload(&session).unwrap(), end(&session)),
            (b"x".to_vec(), None)
        );
    }
}

fn an_answered_dns_exchange_is_no_more_recent_than_others<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config.sessions(2));
    assert_eq!(arrive(&engine, b"question"), QUEUED);
    let dns = accepted(&listener).unwrap();
    now(dns.send_to_client(b"answer", addr(SERVER))).unwrap();
    pass(Duration::from_millis(1));
    let other = open(&engine, &listener, &["10.0.0.2:1"]);
    open(&engine, &listener, &["10.0.0.3:1"]);
    assert_eq!(
        (payload(&dns), end(&dns)),
        (Some(b"question".to_vec()), EVICTED)
    );
    assert_eq!(ends(&other), [None]);
}

fn a_full_backlog_drops_new_sessions<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config.backlog(2));
    let results = [1, 2, 3].map(|n| arrive_at(&engine, b"x", &client(n), STUN));
    assert_eq!(results, [QUEUED, QUEUED, Received::Dropped]);
    assert_eq!(
        (engine.stats().dropped_backlog, engine.stats().sessions),
        (1, 2)
    );
    assert_eq!(
        arrive_at(&engine, b"y", &client(1), STUN),
        QUEUED,
        "it has a session"
    );
    accepted(&listener).unwrap();
    assert_eq!(arrive_at(&engine, b"x", &client(3), STUN), QUEUED);
}

fn a_source_leaves_places_in_the_backlog_to_others<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config.backlog(100));
    let floods = || {
        let opens =
            |port: &u64| arrive_at(&engine, b"x", &format!("10.0.0.66:{port}"), STUN) == QUEUED;
        let first = engine.stats().sessions_opened + 1;
        (first..).take_while(opens).count()
    };
    assert_eq!(floods(), 76, "three quarters");
    assert_eq!(arrive_at(&engine, b"x", CLIENT, STUN), QUEUED);
    let stats = engine.stats();
    assert_eq!((stats.dropped_source, stats.dropped_backlog), (1, 0));
    // A session that is accepted, and one that ends, leave a place.
    let accepts = || accepted(&listener).unwrap();
    let sessions = [(); 4].map(|()| accepts());
    assert_eq!(floods(), 3, "one place is taken by another");
    pass(Duration::from_secs(120));
    engine.handle_timeout(time());
    drop(sessions);
    assert_empty(&engine);
    assert_eq!(floods(), 76);
    let sessions: Vec<_> = std::iter::from_fn(|| accepted(&listener)).collect();
    assert_eq!((sessions.len(), floods()), (76, 76));
}

fn half_a_backlog_is_congested<F: Flavor>() {
    let (engine, _listener) = listener::<F>(|config| config.backlog(4));
    let congested = [1, 2, 2].map(|n| {
        let bytes = packet(b"x", &client(n), STUN);
        let received =
            engine.handle_packet(time(), &Packet::parse(&bytes).unwrap(), Arrival::new());
        received == (Received::Queued { congested: true })
    });
    assert_eq!(congested, [false, true, false]);
}

fn each_session_has_a_queue_of_its_own<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config.packets(2).bytes(100));
    let results = [(); 3].map(|()| arrive_at(&engine, b"busy", &client(1), STUN));
    assert_eq!(results, [QUEUED, QUEUED, Received::Dropped]);
    assert_eq!(arrive_at(&engine, b"quiet", &client(2), STUN), QUEUED);
    assert_eq!(engine.stats().dropped_full, 1);
    let (busy, quiet) = (accepted(&listener).unwrap(), accepted(&listener).unwrap());
    let task = Task::new();
    assert_eq!(payload(&quiet).unwrap(), b"quiet");
    let mut recv = pin!(quiet.recv_datagram());
    assert!(task.poll(recv.as_mut()).is_pending());
    assert_eq!(payload(&busy).unwrap(), b"busy");
    assert_eq!(
        arrive_at(&engine, &[0; 97], &client(1), STUN),
        Received::Dropped,
        "bytes"
    );
    assert_eq!(arrive_at(&engine, &[0; 96], &client(1), STUN), QUEUED);
    assert_eq!(task.woken(), 0, "that was another session");
    assert_eq!(arrive_at(&engine, b"quiet", &client(2), STUN), QUEUED);
    assert_eq!(task.woken(), 1);
}

fn a_session_is_congested_when_its_queue_becomes_half_full<F: Flavor>() {
    let (engine, _listener) = listener::<F>(|config| config.packets(4));
    let congested = [(); 4].map(|()| {
        let bytes = packet(b"x", CLIENT, STUN);
        let received =
            engine.handle_packet(time(), &Packet::parse(&bytes).unwrap(), Arrival::new());
        received == (Received::Queued { congested: true })
    });
    assert_eq!(congested, [false, true, false, false]);
}

fn all_sessions_share_the_bytes<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config.total_bytes(100));
    assert_eq!(arrive_at(&engine, &[0; 60], &client(1), STUN), QUEUED);
    assert_eq!(
        arrive_at(&engine, &[0; 41], &client(2), STUN),
        Received::Dropped
    );
    assert_eq!(
        engine.stats().sessions,
        1,
        "no session without its datagram"
    );
    assert_eq!(arrive_at(&engine, &[0; 40], &client(2), STUN), QUEUED);
    assert_eq!(
        arrive_at(&engine, b"", &client(2), STUN),
        QUEUED,
        "no bytes"
    );
    let session = accepted(&listener).unwrap();
    assert_eq!(payload(&session).unwrap().len(), 60);
    assert_eq!(arrive_at(&engine, &[0; 60], &client(3), STUN), QUEUED);
}

fn a_source_leaves_bytes_to_others<F: Flavor>() {
    let (engine, _listener) = listener::<F>(|config| config.total_bytes(1_000));
    let floods = |address: &str| {
        let from = |port: u16| format!("{address}:{port}");
        (1..)
            .take_while(|&n| arrive_at(&engine, &[0; 10], &from(n), STUN) == QUEUED)
            .count()
    };
    assert_eq!(floods("10.0.0.66"), 76, "three quarters");
    assert!(engine.stats().dropped_source > 0);
    assert_eq!(arrive_at(&engine, &[0; 10], CLIENT, STUN), QUEUED);
}

fn an_ended_session_frees_the_bytes<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config.total_bytes(100));
    for _ in 0..3 {
        assert_eq!(arrive_at(&engine, &[0; 60], CLIENT, STUN), QUEUED);
        drop(accepted(&listener).unwrap());
        // One that nobody accepts.
        assert_eq!(arrive_at(&engine, &[0; 60], CLIENT, STUN), QUEUED);
        pass(Duration::from_secs(120));
        engine.handle_timeout(time());
        // One that is read after its end.
        assert_eq!(arrive_at(&engine, &[0; 60], CLIENT, STUN), QUEUED);
        let session = accepted(&listener).unwrap();
        pass(Duration::from_secs(120));
        engine.handle_timeout(time());
        assert_eq!(payload(&session).unwrap().len(), 60);
        assert_eq!(engine.session_memory().2, 0);
    }
    assert_eq!(engine.stats().sessions_closed, 3);
    assert_eq!(engine.stats().sessions_idle, 6);
}

fn a_segment_batch_fits_a_session<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config);
    // The most datagrams of one packet of Linux, and the longest packet.
    for size in [511, 1472] {
        let bytes = packet(&vec![0; 65_408 / size * size], CLIENT, STUN);
        let arrival = Arrival::new().gso_size(NonZeroU16::new(size as u16));
        assert_eq!(handle(&engine, &bytes, arrival), QUEUED);
    }
    assert_eq!(engine.stats().dropped_full, 0);
    let session = accepted(&listener).unwrap();
    let mut batch = Vec::new();
    assert_eq!(
        now(session.recv_batch(&mut batch, 1_000)).unwrap(),
        128 + 44
    );
    drop(session);
    let (engine, listener) = self::listener::<F>(|config| config.gro(true));
    let arrival = Arrival::new().gso_size(NonZeroU16::new(3));
    let bytes = packet(b"onetwo+", CLIENT, STUN);
    assert_eq!(handle(&engine, &bytes, arrival), QUEUED);
    let batch = now(accepted(&listener).unwrap().recv_datagram()).unwrap();
    assert_eq!(
        (batch.payload.len(), batch.segment_size),
        (7, NonZeroU16::new(3))
    );
}

fn zeros_in_the_configuration_count_as_one<F: Flavor>() {
    let (engine, listener) =
        listener::<F>(|config| config.sessions(0).per_source(0).backlog(0).packets(0));
    assert_eq!(arrive_at(&engine, b"x", CLIENT, STUN), QUEUED);
    let session = accepted(&listener).unwrap();
    assert_eq!(payload(&session).unwrap(), b"x");
}
