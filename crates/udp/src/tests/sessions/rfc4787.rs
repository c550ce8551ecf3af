//! Mapping and filtering (RFC 4787, sections 4.1 and 5).

use super::*;
use crate::{Datagram, Filtering, Mapping, SendError};

both_flavors!(
    a_session_is_of_one_client,
    endpoint_independent_mapping_has_one_session_for_a_client,
    address_dependent_mapping_has_one_session_for_each_destination_address,
    address_and_port_dependent_mapping_has_one_session_for_each_destination,
    endpoint_independent_filtering_lets_everyone_send,
    address_dependent_filtering_lets_known_addresses_send,
    address_and_port_dependent_filtering_lets_known_ports_send,
    the_filter_forgets_the_oldest_of_many_remotes,
    a_batch_ends_before_a_datagram_that_is_filtered,
    a_session_sends_to_its_client_only,
    ipv6_clients_have_sessions,
    the_addresses_are_those_of_the_datagrams,
);

fn a_session_is_of_one_client<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config);
    assert_eq!(arrive_at(&engine, b"1", CLIENT, STUN), QUEUED);
    assert_eq!(arrive_at(&engine, b"2", "10.0.0.1:5001", STUN), QUEUED);
    assert_eq!(arrive_at(&engine, b"3", "10.0.0.2:5000", STUN), QUEUED);
    assert_eq!(arrive_at(&engine, b"4", CLIENT, STUN), QUEUED);
    let sessions: Vec<_> = std::iter::from_fn(|| accepted(&listener)).collect();
    let clients: Vec<_> = sessions.iter().map(UdpSession::source).collect();
    let expected = [CLIENT, "10.0.0.1:5001", "10.0.0.2:5000"].map(addr);
    assert_eq!(clients, expected);
    assert_eq!(payload(&sessions[0]).unwrap(), b"1");
    assert_eq!(payload(&sessions[0]).unwrap(), b"4");
    assert_eq!(payload(&sessions[1]).unwrap(), b"2");
    assert_eq!(payload(&sessions[2]).unwrap(), b"3");
    assert_eq!(
        (engine.stats().sessions, engine.stats().sessions_opened),
        (3, 3)
    );
}

/// Sends to four destinations and returns the payloads of each session.
fn mapped<F: Flavor>(mapping: Mapping) -> Vec<Vec<u8>> {
    let (engine, listener) = listener::<F>(|config| config.mapping(mapping));
    for (payload, to) in [
        (b"1", STUN),
        (b"2", "1.1.1.1:3479"),
        (b"3", PEER),
        (b"4", STUN),
    ] {
        assert_eq!(arrive_at(&engine, payload, CLIENT, to), QUEUED);
    }
    let sessions = std::iter::from_fn(|| accepted(&listener));
    sessions
        .map(|session| std::iter::from_fn(|| payload(&session)).flatten().collect())
        .collect()
}

fn endpoint_independent_mapping_has_one_session_for_a_client<F: Flavor>() {
    assert_eq!(mapped::<F>(Mapping::EndpointIndependent), [b"1234"]);
}

fn address_dependent_mapping_has_one_session_for_each_destination_address<F: Flavor>() {
    let sessions = mapped::<F>(Mapping::AddressDependent);
    assert_eq!(sessions, [&b"124"[..], b"3"]);
}

fn address_and_port_dependent_mapping_has_one_session_for_each_destination<F: Flavor>() {
    let sessions = mapped::<F>(Mapping::AddressAndPortDependent);
    assert_eq!(sessions, [&b"14"[..], b"2", b"3"]);
}

/// A session of a client that has sent to the STUN server, and who may answer: the server, another
/// port of it, and a stranger.
fn may_send<F: Flavor>(filtering: Filtering) -> [bool; 3] {
    let (engine, listener) = listener::<F>(|config| config.filtering(filtering));
    assert_eq!(arrive_at(&engine, b"binding request", CLIENT, STUN), QUEUED);
    let session = accepted(&listener).unwrap();
    let results = [STUN, "1.1.1.1:3479", PEER].map(|from| {
        match now(session.send_to_client(b"answer", addr(from))) {
            Ok(len) => {
                assert_eq!(len, 6);
                assert_eq!(sent(&engine), [b"answer"]);
                true
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::PermissionDenied);
                let (from, to) = (addr(from), addr(CLIENT));
                let why = error.get_ref().unwrap().downcast_ref();
                assert_eq!(why, Some(&SendError::Filtered { from, to }));
                assert!(sent(&engine).is_empty());
                false
            }
        }
    });
    let filtered = results.iter().filter(|&&sent| !sent).count();
    assert_eq!(engine.stats().filtered, filtered as u64);
    // Once the client has sent to the peer, the peer may answer.
    assert_eq!(arrive_at(&engine, b"hello", CLIENT, PEER), QUEUED);
    now(session.send_to_client(b"hello", addr(PEER))).unwrap();
    results
}

fn endpoint_independent_filtering_lets_everyone_send<F: Flavor>() {
    assert_eq!(may_send::<F>(Filtering::EndpointIndependent), [true; 3]);
}

fn address_dependent_filtering_lets_known_addresses_send<F: Flavor>() {
    let may_send = may_send::<F>(Filtering::AddressDependent);
    assert_eq!(may_send, [true, true, false]);
}

fn address_and_port_dependent_filtering_lets_known_ports_send<F: Flavor>() {
    let may_send = may_send::<F>(Filtering::AddressAndPortDependent);
    assert_eq!(may_send, [true, false, false]);
}

fn the_filter_forgets_the_oldest_of_many_remotes<F: Flavor>() {
    let filtering = Filtering::AddressAndPortDependent;
    let (engine, listener) = listener::<F>(|config| config.filtering(filtering).packets(1000));
    let remote = |n: u16| format!("2.2.2.2:{}", 1000 + n);
    for n in (0..64).chain([0, 64]) {
        assert_eq!(arrive_at(&engine, b"x", CLIENT, &remote(n)), QUEUED);
    }
    let session = accepted(&listener).unwrap();
    let may_send = |n| now(session.send_to_client(b"x", addr(&remote(n)))).is_ok();
    assert!(may_send(0), "the client has sent there again");
    assert!(!may_send(1), "the oldest of 65");
    assert!(may_send(2) && may_send(64));
}

fn a_batch_ends_before_a_datagram_that_is_filtered<F: Flavor>() {
    let filtering = Filtering::AddressDependent;
    let (engine, listener) = listener::<F>(|config| config.filtering(filtering));
    assert_eq!(arrive_at(&engine, b"x", CLIENT, STUN), QUEUED);
    let session = accepted(&listener).unwrap();
    let batch = [(b"1", STUN), (b"2", STUN), (b"3", PEER), (b"4", STUN)]
        .map(|(payload, from)| Datagram::new(*payload, addr(from), addr(CLIENT)));
    assert_eq!(now(session.send_batch(&batch)).unwrap(), 2);
    assert_eq!(engine.stats().filtered, 0, "the next call reports it");
    let error = now(session.send_batch(&batch[2..])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!(engine.stats().filtered, 1);
    assert_eq!(now(session.send_batch(&batch[3..])).unwrap(), 1);
    assert_eq!(sent(&engine), [b"1", b"2", b"4"]);
}

fn a_session_sends_to_its_client_only<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config);
    assert_eq!(arrive_at(&engine, b"x", CLIENT, STUN), QUEUED);
    let session = accepted(&listener).unwrap();
    let other = Datagram::new(*b"x", addr(STUN), addr("10.0.0.1:5001"));
    for error in [
        now(session.send_datagram(&other)).unwrap_err(),
        now(session.send_batch(&[other])).unwrap_err(),
    ] {
        let (to, client) = (addr("10.0.0.1:5001"), addr(CLIENT));
        let why = error.get_ref().unwrap().downcast_ref();
        assert_eq!(why, Some(&SendError::OtherClient { to, client }));
    }
    now(session.send_datagram(&Datagram::new(*b"y", addr(STUN), addr(CLIENT)))).unwrap();
    assert_eq!(session.try_send_to_client(b"z", addr(STUN)).unwrap(), 1);
    assert_eq!(sent(&engine), [b"y", b"z"]);
}

fn ipv6_clients_have_sessions<F: Flavor>() {
    let (engine, listener) =
        listener::<F>(|config| config.mapping(Mapping::AddressAndPortDependent));
    assert_eq!(arrive_at(&engine, b"question", CLIENT6, SERVER6), QUEUED);
    let session = accepted(&listener).unwrap();
    assert_eq!(
        (session.source(), session.destination()),
        (addr(CLIENT6), addr(SERVER6))
    );
    now(session.send_to_client(b"answer", addr(SERVER6))).unwrap();
    assert_eq!(sent(&engine), [b"answer"]);
}

fn the_addresses_are_those_of_the_datagrams<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config);
    assert_eq!(arrive_at(&engine, b"one", CLIENT, STUN), QUEUED);
    assert_eq!(arrive_at(&engine, b"two", CLIENT, PEER), QUEUED);
    let session = accepted(&listener).unwrap();
    assert_eq!(session.destination(), addr(STUN));
    let mut buf = [0; 10];
    assert_eq!(now(session.recv(&mut buf)).unwrap(), (3, addr(STUN)));
    let datagram = now(session.recv_datagram()).unwrap();
    assert_eq!((datagram.from, datagram.to), (addr(CLIENT), addr(PEER)));
    assert_eq!(datagram.hop_limit, Some(64));
    // The same through batches.
    for to in [STUN, PEER] {
        assert_eq!(arrive_at(&engine, b"x", CLIENT, to), QUEUED);
    }
    let mut batch = Vec::new();
    assert_eq!(now(session.recv_batch(&mut batch, 64)).unwrap(), 2);
    assert_eq!((batch[0].to, batch[1].to), (addr(STUN), addr(PEER)));
    for datagram in &mut batch {
        std::mem::swap(&mut datagram.from, &mut datagram.to);
    }
    assert_eq!(now(session.send_batch(&batch)).unwrap(), 2);
    assert_eq!(sent(&engine).len(), 2);
}
