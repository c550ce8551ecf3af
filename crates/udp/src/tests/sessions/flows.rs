//! The list of the sessions.

use super::timeouts::expire;
use super::*;
use crate::{Datagram, UdpFlow};
use std::num::NonZeroU16;

both_flavors! {
    a_flow_counts_both_directions,
    a_batch_counts_its_datagrams,
    what_is_dropped_does_not_count,
    many_sessions_are_listed_in_the_order_of_their_clients,
    a_session_that_has_ended_is_not_listed,
    the_text_of_a_flow_is_one_line,
}

const MS: Duration = Duration::from_millis(1);

fn flows<F: Flavor>(engine: &Engine<F>) -> Vec<UdpFlow> {
    engine.counters().flows()
}

fn a_flow_counts_both_directions<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config);
    assert!(flows(&engine).is_empty());
    assert_eq!(arrive_at(&engine, b"question", CLIENT, STUN), QUEUED);
    pass(5 * MS);
    let session = accepted(&listener).unwrap();
    now(session.send_to_client(b"an", addr(STUN))).unwrap();
    session.try_send_to_client(b"swer", addr(STUN)).unwrap();
    pass(2 * MS);
    let [flow] = flows(&engine)[..] else {
        panic!("one session");
    };
    assert_eq!(flow.source, addr(CLIENT));
    assert_eq!(flow.destination, Some(addr(STUN)));
    assert_eq!((flow.datagrams_in, flow.bytes_in), (1, 8));
    assert_eq!((flow.datagrams_out, flow.bytes_out), (2, 6));
    assert_eq!((flow.age, flow.idle), (7 * MS, 2 * MS));
    assert_eq!(flow.recv_queue, 8);
    assert_eq!(payload(&session).unwrap(), b"question");
    assert_eq!(flows(&engine)[0].recv_queue, 0);
    assert_eq!(arrive_at(&engine, b"x", CLIENT, PEER), QUEUED);
    let flow = flows(&engine)[0];
    assert_eq!((flow.destination, flow.datagrams_in), (None, 2));
}

fn a_batch_counts_its_datagrams<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config);
    let size = NonZeroU16::new(10);
    let arrival = Arrival::new().gso_size(size);
    assert_eq!(
        handle(&engine, &packet(&[1; 25], CLIENT, STUN), arrival),
        QUEUED
    );
    let session = accepted(&listener).unwrap();
    let mut answers = Datagram::new([2; 40], addr(STUN), addr(CLIENT));
    answers.segment_size = size;
    now(session.send_datagram(&answers)).unwrap();
    now(session.send_batch(&[answers.clone(), answers])).unwrap();
    let flow = flows(&engine)[0];
    assert_eq!((flow.datagrams_in, flow.bytes_in), (3, 25));
    assert_eq!((flow.datagrams_out, flow.bytes_out), (12, 120));
}

fn what_is_dropped_does_not_count<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config.packets(2));
    for _ in 0..5 {
        let _ = arrive_at(&engine, b"question", CLIENT, STUN);
    }
    let session = accepted(&listener).unwrap();
    now(session.send_to_client(&[0; 65_508], addr(STUN))).unwrap_err();
    let flow = flows(&engine)[0];
    assert_eq!((flow.datagrams_in, flow.bytes_in), (2, 16));
    assert_eq!((flow.datagrams_out, flow.bytes_out), (0, 0));
}

fn many_sessions_are_listed_in_the_order_of_their_clients<F: Flavor>() {
    let (engine, _listener) = listener::<F>(|config| config);
    for n in (0..1000).rev() {
        assert_eq!(arrive_at(&engine, b"x", &client(n), STUN), QUEUED);
    }
    let sources: Vec<_> = flows(&engine).iter().map(|flow| flow.source).collect();
    let clients: Vec<_> = (0..1000).map(|n| addr(&client(n))).collect();
    assert_eq!(sources, clients);
}

fn a_session_that_has_ended_is_not_listed<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config);
    assert_eq!(arrive_at(&engine, b"x", CLIENT, STUN), QUEUED);
    let session = accepted(&listener).unwrap();
    pass(Duration::from_secs(120));
    expire(&engine);
    assert!(flows(&engine).is_empty());
    assert_eq!(payload(&session).unwrap(), b"x");
}

fn the_text_of_a_flow_is_one_line<F: Flavor>() {
    let (engine, listener) = listener::<F>(|config| config);
    assert_eq!(arrive_at(&engine, b"question", CLIENT, STUN), QUEUED);
    pass(1250 * MS);
    let session = accepted(&listener).unwrap();
    now(session.send_to_client(b"answer", addr(STUN))).unwrap();
    assert_eq!(
        flows(&engine)[0].to_string(),
        "UDP 1.1.1.1:3478 10.0.0.1:5000 age=1.250s idle=0.000s in=8 out=6 datagrams_in=1 \
         datagrams_out=1 recv_queue=8"
    );
    assert_eq!(arrive_at(&engine, b"x", CLIENT, PEER), QUEUED);
    let line = flows(&engine)[0].to_string();
    assert!(line.starts_with("UDP * 10.0.0.1:5000 "), "{line}");
}
