//! UDP sessions and bound sockets, between the driver and the tasks that read.
#![cfg(shuttle)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use brooklet_cell::Threaded;
use brooklet_models::{addr, all, briefly, check, run, task};
use brooklet_packet::{Packet, udp};
use brooklet_udp::{Arrival, Clock, Config, Engine, Interface, SessionConfig, SessionEnd};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const CLIENT: SocketAddr = addr(1, 1);
const SERVER: SocketAddr = addr(2, 2);

fn engine(
    now: Instant,
) -> (
    Engine<Threaded>,
    brooklet_udp::TransparentUdpSocket<Threaded>,
) {
    let clock = Clock::new(move || now);
    Engine::new(Interface::new(), Config::new(), clock, [1, 2])
}

fn arrive(engine: &Engine<Threaded>, now: Instant, payload: u8) {
    arrive_from(CLIENT, engine, now, payload);
}

fn arrive_from(client: SocketAddr, engine: &Engine<Threaded>, now: Instant, payload: u8) {
    let mut bytes = Vec::new();
    udp::write(&mut bytes, client, SERVER, 64, &[payload]).unwrap();
    let packet = Packet::parse(&bytes).unwrap();
    let _ = engine.handle_packet(now, &packet, Arrival::new());
}

#[test]
fn a_session_that_ends_is_read_to_its_end() {
    check(|| {
        let now = Instant::now();
        let (engine, socket) = engine(now);
        let listener = socket.into_sessions(SessionConfig::new());
        arrive(&engine, now, 1);
        // A session that nobody has accepted would end without a trace.
        let session = run(listener.accept()).unwrap();
        let reader = task(async move {
            let fickle = session.clone();
            // Another reader gives up, and takes no wake-up with it.
            let other = task(async move {
                briefly(fickle.recv_datagram()).await;
            });
            let mut read = 0;
            let end = loop {
                match session.recv_datagram().await {
                    Ok(_) => read += 1,
                    Err(error) => break error,
                }
            };
            all([other]);
            // The other reader may have read one.
            assert!((1..=2).contains(&read));
            assert!(end.get_ref().unwrap().is::<SessionEnd>());
        });
        let driver = task(async move {
            arrive(&engine, now, 2);
            engine.handle_timeout(now + Duration::from_secs(120));
            assert_eq!(engine.stats().sessions, 0);
            engine
        });
        all([reader]);
        drop(all([driver]));
    });
}

#[test]
fn a_session_that_is_evicted_ends_its_readers_and_the_next_one_is_accepted() {
    check(|| {
        let now = Instant::now();
        let (engine, socket) = engine(now);
        let listener = socket.into_sessions(SessionConfig::new().sessions(1));
        arrive(&engine, now, 1);
        let session = run(listener.accept()).unwrap();
        let readers = [0, 1].map(|_| {
            let session = session.clone();
            task(async move {
                loop {
                    if let Err(error) = session.recv_datagram().await {
                        assert!(error.get_ref().unwrap().is::<SessionEnd>());
                        break;
                    }
                }
            })
        });
        let acceptor = task(async move {
            let next = listener.accept().await.unwrap();
            assert_eq!(next.recv_datagram().await.unwrap().payload, [2]);
            (listener, next)
        });
        let driver = task(async move {
            arrive_from(addr(1, 9), &engine, now, 2);
            engine
        });
        all(readers);
        drop((session, all([acceptor]), all([driver])));
    });
}

#[test]
fn a_session_that_is_dropped_while_it_ends_leaves_nothing() {
    check(|| {
        let now = Instant::now();
        let (engine, socket) = engine(now);
        let listener = socket.into_sessions(SessionConfig::new().sessions(1));
        arrive(&engine, now, 1);
        let session = run(listener.accept()).unwrap();
        let dropper = task(async move {
            briefly(session.recv_datagram()).await;
            drop(session);
        });
        let sender = task(async move {
            engine.handle_timeout(now + Duration::from_secs(120));
            arrive(&engine, now, 2);
            engine
        });
        all([dropper]);
        let engines = all([sender]);
        let session = run(listener.accept()).unwrap();
        let payload = run(session.recv_datagram()).unwrap().payload;
        assert_eq!(payload, [2]);
        drop((session, listener, engines));
    });
}

#[test]
fn a_bound_socket_misses_no_datagram() {
    check(|| {
        let now = Instant::now();
        let (engine, all_others) = engine(now);
        let socket = engine.binder().bind(SERVER).unwrap();
        let fickle = socket.clone();
        let other = task(async move {
            briefly(fickle.peek_from(&mut [0])).await;
        });
        let reader = task(async move {
            for n in 1..=3 {
                assert_eq!(socket.recv_datagram().await.unwrap().payload, [n]);
            }
            socket.recv_datagram().await.unwrap_err();
        });
        let driver = task(async move {
            for n in 1..=3 {
                arrive(&engine, now, n);
            }
            engine.shutdown();
        });
        all([other, reader, driver]);
        drop(all_others);
    });
}
