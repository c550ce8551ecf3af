//! A stack at one end of a pipe whose other end the test holds, and a clock that the test moves.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses a part of it"
)]

use brooklet::{
    Builder, Clock, Driver, PacketBuf, PacketIo, Parts, Pipe, Stack, TcpListener, Timer,
    TransparentUdpSocket, filter::Filter, generic,
};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// A clock that the test moves, and the deadline that the driver set last.
#[derive(Clone)]
pub struct ManualTimer {
    now: Arc<Mutex<Instant>>,
    deadline: Arc<Mutex<Option<Instant>>>,
}

impl ManualTimer {
    fn now(&self) -> Instant {
        *self.now.lock().unwrap()
    }
}

impl Timer for ManualTimer {
    fn clock(&self) -> Clock {
        let timer = self.clone();
        Clock::new(move || timer.now())
    }

    fn poll_deadline(&mut self, _: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        *self.deadline.lock().unwrap() = deadline;
        match deadline {
            Some(at) if at <= self.now() => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }
}

pub struct Host<P: Filter> {
    pub stack: Stack,
    pub tcp: Option<TcpListener>,
    pub udp: Option<TransparentUdpSocket>,
    driver: Driver<Pipe, ManualTimer, P>,
    wire: Pipe,
    timer: ManualTimer,
    wakes: Arc<Wakes>,
}

/// Counts how often the driver is woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl<P: Filter> Host<P> {
    pub fn new(builder: generic::Builder<brooklet::Threaded, P>) -> Self {
        let (here, wire) = brooklet::pipe(512);
        let timer = ManualTimer {
            now: Arc::new(Mutex::new(Instant::now())),
            deadline: Arc::default(),
        };
        let Parts {
            stack,
            tcp,
            udp,
            driver,
            ..
        } = builder.build_with_timer(here, timer.clone()).unwrap();
        Self {
            stack,
            tcp: Some(tcp),
            udp: Some(udp),
            driver,
            wire,
            timer,
            wakes: Arc::default(),
        }
    }

    /// Polls the driver once.
    pub fn poll(&mut self) -> Poll<std::io::Result<()>> {
        let waker = Waker::from(self.wakes.clone());
        let mut cx = Context::from_waker(&waker);
        Pin::new(&mut self.driver).poll(&mut cx)
    }

    /// How often the driver was woken.
    pub fn wakes(&self) -> usize {
        self.wakes.0.load(Ordering::Relaxed)
    }

    /// Lets the driver work, and takes what it sends.
    pub fn run(&mut self) -> Vec<Vec<u8>> {
        assert!(self.poll().is_pending());
        self.sent()
    }

    /// Takes what the driver has sent.
    pub fn sent(&mut self) -> Vec<Vec<u8>> {
        let mut cx = Context::from_waker(Waker::noop());
        let (mut sent, mut packet) = (Vec::new(), PacketBuf::default());
        while self.wire.poll_recv(&mut cx, &mut packet).is_ready() {
            sent.push(packet.to_vec());
        }
        sent
    }

    /// Lets the stack receive packets, one at a time, and returns what it sends.
    pub fn give<B: AsRef<[u8]>>(&mut self, packets: impl IntoIterator<Item = B>) -> Vec<Vec<u8>> {
        let give = |packet| {
            self.put(packet);
            self.run()
        };
        packets.into_iter().flat_map(give).collect()
    }

    /// Puts a packet on the wire, for the next run.
    pub fn put(&mut self, packet: impl AsRef<[u8]>) {
        let packet = PacketBuf::from(packet.as_ref().to_vec());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(self.wire.poll_send(&mut cx, &packet).is_ready());
    }

    /// How long the driver would sleep.
    pub fn sleeps_for(&self) -> Option<Duration> {
        let deadline = *self.timer.deadline.lock().unwrap();
        deadline.map(|at| at - self.timer.now())
    }

    pub fn pass(&mut self, time: Duration) -> Vec<Vec<u8>> {
        self.advance(time);
        self.run()
    }

    /// Moves the clock, without a poll of the driver.
    pub fn advance(&mut self, time: Duration) {
        *self.timer.now.lock().unwrap() += time;
    }

    /// The oldest datagram, if there is one.
    pub fn datagram(&self) -> Option<brooklet::Datagram> {
        let socket = self.udp.as_ref().expect("still there");
        futures_lite::future::block_on(futures_lite::future::poll_once(socket.recv_datagram()))
            .map(Result::unwrap)
    }
}

/// The default stack.
pub fn host() -> Host<brooklet::filter::UnicastOnly> {
    Host::new(Builder::new())
}
