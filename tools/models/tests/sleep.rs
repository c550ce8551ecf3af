//! The engine and a driver made by hand: what it may sleep on, and until when.
#![cfg(shuttle)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use brooklet_cell::Threaded;
use brooklet_models::{addr, all, check, task};
use brooklet_tcp::{Clock, Config, Connector, Engine, Interface};
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

fn engine() -> (Engine<Threaded>, Connector<Threaded>, Instant) {
    let now = Instant::now();
    let (engine, listener, connector) = Engine::new(
        Interface::default(),
        Config::default(),
        Clock::new(move || now),
        [1, 2],
    );
    drop(listener);
    (engine, connector, now)
}

/// Begins a connection that nobody answers, from each of two tasks.
fn connects(connector: &Connector<Threaded>) -> [shuttle::thread::JoinHandle<()>; 2] {
    [1, 2].map(|port| {
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
    })
}

#[test]
fn packets_of_tasks_wake_a_driver_that_sleeps() {
    check(|| {
        let (mut engine, connector, now) = engine();
        let driver = task(async move {
            let (mut sent, mut polls) = (0, 0);
            poll_fn(|cx| {
                // Polled in vain, as a part of a larger task is; and it does not say that it is
                // awake.
                polls += 1;
                if polls < 5 {
                    cx.waker().wake_by_ref();
                }
                loop {
                    while let Some(packet) = engine.poll_transmit() {
                        engine.recycle(packet);
                        sent += 1;
                    }
                    if sent == 2 {
                        return Poll::Ready(());
                    }
                    let until = engine.poll_timeout(now);
                    if engine.sleep(cx.waker(), until, false) {
                        return Poll::Pending;
                    }
                }
            })
            .await;
            engine // its end would end the connections
        });
        all(connects(&connector));
        all([driver]);
    });
}

#[test]
fn deadlines_of_tasks_wake_a_driver_that_would_oversleep() {
    check(|| {
        let (mut engine, connector, now) = engine();
        // Sleeps, blocked by its device, until it knows of a retransmission a second away.
        let driver = task(async move {
            poll_fn(|cx: &mut Context<'_>| {
                engine.awake();
                loop {
                    let until = engine.poll_timeout(now);
                    if until.is_some_and(|at| at <= now + Duration::from_secs(1)) {
                        return Poll::Ready(());
                    }
                    if engine.sleep(cx.waker(), until, true) {
                        return Poll::Pending;
                    }
                }
            })
            .await;
            engine // its end would end the connections
        });
        all(connects(&connector));
        all([driver]);
    });
}
