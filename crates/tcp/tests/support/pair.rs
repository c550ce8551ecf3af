//! Two stacks with a connection between them, in every flavor.
#![allow(
    clippy::unwrap_used,
    clippy::new_without_default,
    dead_code,
    unreachable_pub,
    reason = "a test may panic, and each test file uses a part of it"
)]

use crate::support::{CLIENT, SERVER, addr, fixed_buffers, host, now, poll};
use brooklet_cell::Flavor;
use brooklet_packet::{Headers, TcpFlags};
use brooklet_tcp::{Clock, Config, Engine, Interface, TcpListener, TcpOptions, TcpStream};
use futures_lite::AsyncWriteExt;
use std::io::{self, IoSlice, IoSliceMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;
use std::time::Instant;

/// Makes a test of each function for each flavor.
macro_rules! in_every_flavor {
    ($($test:ident)*) => {
        mod sync {
            $(#[test] fn $test() { super::$test::<brooklet_cell::Threaded>() })*
        }
        #[cfg(feature = "local")]
        mod local {
            $(#[test] fn $test() { super::$test::<brooklet_cell::SingleThread>() })*
        }
    };
}

pub(crate) use in_every_flavor;

/// Two stacks with a connection between them, on a clock that stands still.
pub struct Pair<F: Flavor> {
    pub engines: [Engine<F>; 2],
    /// The ends, in the order of the engines.
    pub streams: [TcpStream<F>; 2],
    pub at: Instant,
    _listeners: [TcpListener<F>; 2],
}

/// A packet that went from one stack to the other.
#[derive(Debug)]
pub struct Sent {
    pub from: usize,
    pub flags: TcpFlags,
    pub len: usize,
}

pub fn carry<F: Flavor>(engines: &mut [Engine<F>; 2], at: Instant) -> Vec<Sent> {
    let mut sent = Vec::new();
    loop {
        let before = sent.len();
        for from in [0, 1] {
            while let Some(packet) = engines[from].poll_transmit() {
                let headers = Headers::parse(&packet).unwrap();
                sent.push(Sent {
                    from,
                    flags: headers.tcp().unwrap().flags,
                    len: headers.payload_range().len(),
                });
                engines[1 - from].handle_packet(at, &packet, &headers);
                engines[from].recycle(packet);
            }
            engines[from].flush(at);
            engines[1 - from].flush(at);
        }
        if sent.len() == before {
            return sent;
        }
    }
}

impl<F: Flavor> Pair<F> {
    pub fn new() -> Self {
        Self::with(fixed_buffers(64 * 1024))
    }

    pub fn with(options: TcpOptions) -> Self {
        let at = host().now();
        let stack = |secret| {
            let config = Config::new().options(options.clone());
            let clock = Clock::new(move || at);
            Engine::<F>::new(Interface::default(), config, clock, secret)
        };
        let (near, near_listener, connector) = stack([1, 2]);
        let (far, far_listener, _) = stack([3, 4]);
        let mut engines = [near, far];
        let mut connect = Box::pin(connector.connect_from(addr(CLIENT), addr(SERVER)));
        let mut accept = Box::pin(far_listener.accept());
        assert!(poll(&mut connect).is_pending());
        carry(&mut engines, at);
        assert!(poll(&mut accept).is_pending());
        carry(&mut engines, at);
        let streams = [now(connect).unwrap(), now(accept).unwrap().0];
        Self {
            engines,
            streams,
            at,
            _listeners: [near_listener, far_listener],
        }
    }

    pub fn carry(&mut self) -> Vec<Sent> {
        carry(&mut self.engines, self.at)
    }

    /// The far end writes, as far as there is room. Returns how much it was.
    pub fn send(&mut self, data: &[u8]) -> usize {
        let n = now((&self.streams[1]).write(data)).unwrap();
        self.carry();
        n
    }

    /// Bytes of the buffers in use at the near end.
    pub fn buffers(&self) -> u64 {
        self.engines[0].stats().buffers
    }
}

pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n / 7) as u8).collect()
}

/// Copies up to `most` bytes out of the lent slices.
pub fn take(data: &[IoSlice<'_>], most: usize, into: &mut Vec<u8>) -> io::Result<usize> {
    let bytes = data.iter().flat_map(|slice| slice.iter().copied());
    let before = into.len();
    into.extend(bytes.take(most));
    Ok(into.len() - before)
}

/// Copies `from` into the lent slices, as far as there is room.
pub fn fill(room: &mut [IoSliceMut<'_>], from: &[u8]) -> io::Result<usize> {
    let places = room.iter_mut().flat_map(|slice| slice.iter_mut());
    Ok(places.zip(from).map(|(to, from)| *to = *from).count())
}

/// Reads everything that waits by lending.
pub fn read_all<F: Flavor>(stream: &TcpStream<F>) -> Vec<u8> {
    let mut got = Vec::new();
    while stream
        .try_read_with(|data| take(data, usize::MAX, &mut got))
        .is_ok_and(|n| n > 0)
    {}
    got
}

/// Counts the wakes of a task.
#[derive(Default)]
pub struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Count {
    pub fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}
