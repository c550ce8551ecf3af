//! Path MTUs that the program states while connections open.
#![cfg(shuttle)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use brooklet_cell::Threaded;
use brooklet_models::{addr, all, check, task};
use brooklet_packet::Packet;
use brooklet_tcp::{Clock, Config, Connector, Engine, Interface};
use shuttle::thread::JoinHandle;
use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

/// Begins a connection that nobody answers.
fn connect(connector: &Connector<Threaded>, port: u16) -> JoinHandle<()> {
    let connector = connector.clone();
    task(async move {
        let mut connect = Box::pin(connector.connect_from(addr(1, port), addr(2, 2)));
        poll_fn(|cx| {
            assert!(connect.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        std::mem::forget(connect); // dropped, it would send a reset
    })
}

/// States an MTU of the path to the peer, or takes it back.
fn state(connector: &Connector<Threaded>, mtu: Option<u16>) -> JoinHandle<()> {
    let connector = connector.clone();
    task(async move { connector.set_path_mtu(addr(2, 2).ip(), mtu) })
}

/// The MSS that each SYN announces which the engine sends now.
fn announced(engine: &mut Engine<Threaded>) -> Vec<u16> {
    let packets = std::iter::from_fn(|| engine.poll_transmit());
    packets
        .map(|packet| {
            let packet = Packet::parse(&packet).unwrap();
            let [kind, len, high, low] = packet.transport()[20..24] else {
                unreachable!("four bytes")
            };
            assert_eq!([kind, len], [2, 4], "the first option is the MSS");
            u16::from_be_bytes([high, low])
        })
        .collect()
}

#[test]
fn a_connection_has_the_last_of_the_path_mtus_stated_while_it_opened() {
    check(|| {
        let now = Instant::now();
        let clock = Clock::new(move || now);
        let (mut engine, listener, connector) =
            Engine::new(Interface::default(), Config::default(), clock, [1, 2]);
        drop(listener);
        all([
            connect(&connector, 1),
            state(&connector, Some(1300)),
            state(&connector, None),
            state(&connector, Some(1200)),
        ]);
        assert_eq!(announced(&mut engine).len(), 1);
        all([connect(&connector, 2)]);
        let last = announced(&mut engine);
        engine.handle_timeout(now + Duration::from_secs(2));
        engine.flush(now + Duration::from_secs(2));
        assert_eq!(announced(&mut engine), [last[0]; 2]);
    });
}
