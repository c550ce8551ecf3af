//! No wake-up is lost between threads: a lost one shows as a test that does not end in time.

use super::*;
use crate::SessionConfig;
use brooklet_cell::Threaded;
use futures_lite::future::{block_on, poll_fn};
use std::{
    sync::mpsc::{Sender, channel},
    thread,
    time::Duration,
};

const TASKS: usize = 4;
const EACH: usize = 5_000;

/// Drives until the engine has given out `count` packets.
async fn drive(engine: &Engine<Threaded>, count: usize) -> usize {
    let mut sent = 0;
    poll_fn(|cx| {
        loop {
            while let Some(packet) = engine.poll_transmit() {
                sent += 1;
                engine.recycle(packet);
            }
            if sent == count {
                return Poll::Ready(sent);
            }
            if !engine.register(cx.waker()) {
                return Poll::Pending;
            }
        }
    })
    .await
}

fn finish(done: &Sender<usize>, count: usize) {
    done.send(count).expect("the test waits for it");
}

#[test]
fn every_sender_gets_through_a_small_queue() {
    let (engine, socket) = engine_with::<Threaded>(|config| config.outbound_packets = 3);
    let (done, finished) = channel();
    for _ in 0..TASKS {
        let (socket, done) = (socket.clone(), done.clone());
        thread::spawn(move || {
            for _ in 0..EACH {
                block_on(answer(&socket, b"answer")).unwrap();
            }
            finish(&done, EACH);
        });
    }
    thread::spawn(move || finish(&done, block_on(drive(&engine, TASKS * EACH))));
    let total: usize = (0..=TASKS)
        .map(|_| {
            finished
                .recv_timeout(Duration::from_secs(60))
                .expect("a wake-up was lost")
        })
        .sum();
    assert_eq!(total, 2 * TASKS * EACH);
}

#[test]
fn every_datagram_reaches_one_reader() {
    let (engine, socket) = engine_with::<Threaded>(|config| config.inbound_packets = 3);
    let (done, finished) = channel();
    for _ in 0..TASKS {
        let (socket, done) = (socket.clone(), done.clone());
        thread::spawn(move || {
            let reads = std::iter::from_fn(|| block_on(socket.recv_from(&mut [0; 10])).ok());
            finish(&done, reads.count());
        });
    }
    drop(socket);
    for _ in 0..TASKS * EACH {
        while arrive(&engine, b"question") == Received::Dropped {
            thread::yield_now();
        }
    }
    assert_eq!(engine.stats().datagrams_in, (TASKS * EACH) as u64);
    drop(engine);
    let total: usize = (0..TASKS)
        .map(|_| {
            finished
                .recv_timeout(Duration::from_secs(60))
                .expect("a wake-up was lost")
        })
        .sum();
    assert_eq!(total, TASKS * EACH);
}

#[test]
fn every_session_reads_its_datagrams_and_its_end() {
    const EACH: usize = 500;
    let (engine, socket) = engine::<Threaded>();
    let config = SessionConfig::new().packets(8);
    let listener = socket.into_sessions(config);
    let (done, finished) = channel();
    let accept = thread::spawn(move || {
        for _ in 0..TASKS {
            let session = block_on(listener.accept()).unwrap();
            let done = done.clone();
            thread::spawn(move || {
                let mut read = 0;
                let end = loop {
                    match block_on(session.recv_datagram()) {
                        Ok(datagram) => {
                            assert_eq!(datagram.from, session.source());
                            block_on(session.send_datagram(&datagram.reply(*b"answer"))).unwrap();
                            read += 1;
                        }
                        Err(error) => break error,
                    }
                };
                assert_eq!(end.kind(), std::io::ErrorKind::TimedOut);
                finish(&done, read);
            });
        }
    });
    let start = time();
    for n in 0..TASKS * EACH {
        let from = format!("10.0.0.{}:5000", n % TASKS);
        while arrive_at(&engine, b"question", &from, SERVER) == Received::Dropped {
            thread::yield_now();
        }
        while let Some(packet) = engine.poll_transmit() {
            engine.recycle(packet);
        }
    }
    accept.join().unwrap();
    while engine.stats().datagrams_out < (TASKS * EACH) as u64 {
        if let Some(packet) = engine.poll_transmit() {
            engine.recycle(packet);
        }
        thread::yield_now();
    }
    // Each thread of this test has a time of its own, a little apart.
    engine.handle_timeout(start + Duration::from_secs(3_600));
    let total: usize = (0..TASKS)
        .map(|_| {
            finished
                .recv_timeout(Duration::from_secs(60))
                .expect("a wake-up was lost")
        })
        .sum();
    assert_eq!(total, TASKS * EACH);
}
