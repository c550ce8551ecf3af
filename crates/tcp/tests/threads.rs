//! One stream in the hands of several threads, and a driver on a thread of its own.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may panic, and threads run in real time"
)]

use brooklet_cell::Threaded;
use brooklet_packet::Headers;
use brooklet_tcp::{
    Clock, Config, Connector, Engine, Interface, TcpListener, TcpOptions, TcpStream,
};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future::block_on};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// What each way carries. Byte `n` of a writer is `n / STEP`, so that it tells its place roughly.
const LEN: usize = 250 * STEP;
const STEP: usize = 4096;

/// It takes a second; a machine may be slow.
const PATIENCE: Duration = Duration::from_secs(120);

const WRITERS: usize = 2;
const READERS: usize = 3;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Carries packets between two stacks until told to stop, and sleeps when there is nothing to do.
fn drive(engines: &mut [Engine<Threaded>; 2], stop: &AtomicBool) {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    while !stop.load(Ordering::Acquire) {
        let now = Instant::now();
        let [a, b] = engines;
        for _ in 0..2 {
            a.awake();
            while let Some(packet) = a.poll_transmit() {
                let headers = Headers::parse(&packet).unwrap();
                b.handle_packet(now, &packet, &headers);
                a.recycle(packet);
            }
            if a.poll_timeout(now).is_some_and(|at| at <= now) {
                a.handle_timeout(now);
            }
            a.flush(now);
            b.flush(now);
            std::mem::swap(a, b);
        }
        let until = engines.each_mut().map(|engine| engine.poll_timeout(now));
        let mut asleep = true;
        for (engine, until) in engines.iter_mut().zip(until) {
            asleep &= engine.sleep(&waker, until, false);
        }
        if asleep {
            let until = until.into_iter().flatten().min();
            let pause = until.map_or(Duration::from_secs(60), |at| at.duration_since(now));
            thread::park_timeout(pause);
        }
    }
}

/// A stack with so little room that whoever reads or writes waits most of the time.
fn stack() -> (Engine<Threaded>, TcpListener<Threaded>, Connector<Threaded>) {
    let config = Config::new()
        .options(TcpOptions::new().recv_buffer(8192).send_buffer(8192))
        .outbound_packets(4);
    Engine::new(
        Interface::default(),
        config,
        Clock::new(Instant::now),
        [1, 2],
    )
}

/// Writes by turns out of a buffer of its own and into the room that it is lent.
fn write(mut stream: &TcpStream<Threaded>) {
    let data: Vec<u8> = (0..LEN).map(|n| (n / STEP) as u8).collect();
    for (n, mut piece) in data.chunks(1000).enumerate() {
        while n % 2 == 0 && !piece.is_empty() {
            let n = block_on(stream.write_with(|room| {
                let places = room.iter_mut().flat_map(|slice| slice.iter_mut());
                Ok(places.zip(piece).map(|(to, from)| *to = *from).count())
            }));
            piece = &piece[n.unwrap()..];
        }
        block_on(stream.write_all(piece)).unwrap();
    }
}

/// Reads to the end by turns into a buffer of its own and out of what it is lent. Returns how often
/// it saw each byte.
fn read(mut stream: &TcpStream<Threaded>) -> [usize; 256] {
    let (mut buf, mut seen) = ([0; 1500], [0; 256]);
    let mut last = [0; WRITERS];
    for lends in [false, true].into_iter().cycle() {
        let n = match lends {
            false => block_on(stream.read(&mut buf)).unwrap(),
            true => block_on(stream.read_with(|data| {
                let bytes = data.iter().flat_map(|slice| slice.iter());
                Ok(bytes.zip(&mut buf).map(|(from, to)| *to = *from).count())
            }))
            .unwrap(),
        };
        if n == 0 {
            return seen;
        }
        for &byte in &buf[..n] {
            seen[usize::from(byte)] += 1;
            // What comes later of one writer is not less: each byte follows one of as many.
            let follows = last.iter_mut().filter(|last| **last <= byte).max();
            *follows.expect("bytes out of order") = byte;
        }
    }
    unreachable!("the stream has an end")
}

/// Several threads write and several others read, all by reference to one stream. Returns what
/// each reader saw.
fn use_from_all_sides(stream: &TcpStream<Threaded>) -> Vec<[usize; 256]> {
    thread::scope(|scope| {
        let readers = [(); READERS].map(|()| scope.spawn(|| read(stream)));
        let writers = [(); WRITERS].map(|()| scope.spawn(|| write(stream)));
        for writer in writers {
            writer.join().unwrap();
        }
        stream.shutdown(Shutdown::Write).unwrap();
        let seen = readers.into_iter().map(|reader| reader.join().unwrap());
        seen.collect()
    })
}

#[test]
fn threads_share_both_ends_of_a_connection_and_no_byte_is_lost() {
    let test = thread::spawn(share_both_ends);
    let began = Instant::now();
    while !test.is_finished() {
        assert!(began.elapsed() < PATIENCE, "somebody waits for ever");
        thread::sleep(Duration::from_millis(10));
    }
    test.join().unwrap();
}

fn share_both_ends() {
    let (near, _, connector) = stack();
    let (far, listener, _) = stack();
    let stop = Arc::new(AtomicBool::new(false));
    let driver = {
        let stop = stop.clone();
        thread::spawn(move || drive(&mut [near, far], &stop))
    };
    let server = thread::spawn(move || {
        let (stream, _) = block_on(listener.accept()).unwrap();
        use_from_all_sides(&stream)
    });
    let (from, to) = ("10.0.0.1:1".parse().unwrap(), "10.0.0.2:2".parse().unwrap());
    let stream = block_on(connector.connect_from(from, to)).unwrap();
    let here = use_from_all_sides(&stream);
    let there = server.join().unwrap();
    for seen in [here, there] {
        for byte in 0..LEN / STEP {
            let total: usize = seen.iter().map(|seen| seen[byte]).sum();
            assert_eq!(total, WRITERS * STEP, "of byte {byte}");
        }
    }
    stop.store(true, Ordering::Release);
    driver.thread().unpark();
    driver.join().unwrap();
}
