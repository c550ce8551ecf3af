//! Two stacks at the two ends of a wire, in virtual time, with devices and clocks that can fail.

use brooklet::filter::{Filter, UnicastOnly};
use brooklet::{
    Builder, Checksum, Clock, Driver, Offload, Packet, PacketBuf, PacketIo, Parts, Pipe, Stack,
    TcpListener, TcpStream, Timer, TransparentUdpSocket, generic,
};
use futures_lite::future;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// What the calls of a device return in place of what its pipe returns.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// The results of the next calls.
    pub(crate) recv: VecDeque<ErrorKind>,
    pub(crate) send: VecDeque<ErrorKind>,
    /// The result of every call, after those.
    pub(crate) always_recv: Option<ErrorKind>,
    pub(crate) always_send: Option<ErrorKind>,
    /// The result of every third call.
    pub(crate) every_third: Option<ErrorKind>,
    /// The device takes this many packets more; `None` is no limit.
    pub(crate) room: Option<usize>,
    /// The next call of `poll_recv` panics.
    pub(crate) panics: bool,
    pub(crate) recv_calls: usize,
    pub(crate) send_calls: usize,
    pub(crate) taken: usize,
    pub(crate) longest: usize,
    sender: Option<Waker>,
}

impl Script {
    fn always(&self, always: Option<ErrorKind>, calls: usize) -> Option<ErrorKind> {
        always.or_else(|| self.every_third.filter(|_| calls.is_multiple_of(3)))
    }

    /// The waker of the driver that waits for room.
    pub(crate) fn take_sender(&mut self) -> Option<Waker> {
        self.sender.take()
    }
}

/// One end of a wire.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) pipe: Pipe,
    pub(crate) script: Arc<Mutex<Script>>,
    pub(crate) offload: Offload,
    pub(crate) mtu: Option<usize>,
}

impl Device {
    pub(crate) fn new(pipe: Pipe) -> Self {
        Self {
            pipe,
            script: Arc::default(),
            offload: Offload::new(),
            mtu: None,
        }
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        lock(&self.script)
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PacketIo for Device {
    fn offload(&self) -> Offload {
        self.offload
    }

    fn mtu(&self) -> Option<usize> {
        self.mtu
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<()>> {
        assert!(packet.capacity() >= 65_575, "room for the longest packet");
        let mut script = lock(&self.script);
        script.recv_calls += 1;
        assert!(!std::mem::take(&mut script.panics), "the device panics");
        if let Some(kind) = script
            .recv
            .pop_front()
            .or_else(|| script.always(script.always_recv, script.recv_calls))
        {
            return Poll::Ready(Err(kind.into()));
        }
        drop(script);
        self.pipe.poll_recv(cx, packet)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>> {
        self.check(packet);
        let mut script = lock(&self.script);
        script.send_calls += 1;
        if let Some(kind) = script
            .send
            .pop_front()
            .or_else(|| script.always(script.always_send, script.send_calls))
        {
            return Poll::Ready(Err(kind.into()));
        }
        if script.room == Some(0) {
            script.sender = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let sent = self.pipe.poll_send(cx, packet);
        if sent.is_ready() {
            script.room = script.room.map(|room| room - 1);
            script.taken += 1;
            script.longest = script.longest.max(packet.len());
        }
        sent
    }
}

impl Device {
    /// A packet for this device has the work done that the device does not do.
    fn check(&self, packet: &PacketBuf) {
        let (meta, parsed) = (packet.meta(), Packet::parse(packet).unwrap());
        match meta.checksum {
            Checksum::Partial => assert!(self.offload.checksum),
            _ => assert!(parsed.verify_checksum()),
        }
        let longest = match meta.gso_size {
            None => packet.len(),
            Some(size) => {
                assert!(match (parsed.tcp(), parsed.key().is_ipv6()) {
                    (None, _) => self.offload.uso,
                    (_, true) => self.offload.tso6,
                    (_, false) => self.offload.tso4,
                });
                packet.len() - parsed.payload().len() + usize::from(size.get())
            }
        };
        if let Some(mtu) = self.mtu {
            assert!(longest <= mtu, "a packet of {longest} bytes");
        }
    }
}

/// A clock that the test moves, and the deadline that the driver has set.
#[derive(Clone)]
pub(crate) struct TestTimer {
    now: Arc<Mutex<Instant>>,
    deadline: Arc<Mutex<Option<Instant>>>,
    pub(crate) panics: Arc<AtomicBool>,
}

impl TestTimer {
    pub(crate) fn new() -> Self {
        Self {
            // Far from the beginning of the system's time, so that it can be set back.
            now: Arc::new(Mutex::new(Instant::now() + 48 * 3600 * SECOND)),
            deadline: Arc::default(),
            panics: Arc::default(),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        *lock(&self.now)
    }

    pub(crate) fn forward(&self, time: Duration) {
        *lock(&self.now) += time;
    }

    pub(crate) fn back(&self, time: Duration) {
        *lock(&self.now) -= time;
    }

    /// How long the driver sleeps.
    pub(crate) fn sleeps_for(&self) -> Option<Duration> {
        let deadline = *lock(&self.deadline);
        deadline.map(|at| at.saturating_duration_since(self.now()))
    }
}

impl Timer for TestTimer {
    fn clock(&self) -> Clock {
        let timer = self.clone();
        Clock::new(move || timer.now())
    }

    fn poll_deadline(&mut self, _: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        assert!(
            !self.panics.swap(false, Ordering::Relaxed),
            "the timer panics"
        );
        *lock(&self.deadline) = deadline;
        match deadline {
            Some(at) if at <= self.now() => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }
}

/// Whether a task was woken.
#[derive(Debug, Default)]
pub(crate) struct Flag(AtomicBool);

impl Flag {
    pub(crate) fn set() -> Arc<Self> {
        let flag = Arc::<Self>::default();
        flag.0.store(true, Ordering::SeqCst);
        flag
    }

    pub(crate) fn take(&self) -> bool {
        self.0.swap(false, Ordering::SeqCst)
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A stack with its driver, which the test polls.
pub(crate) struct Node<P: Filter = UnicastOnly> {
    pub(crate) stack: Stack,
    pub(crate) tcp: TcpListener,
    pub(crate) udp: TransparentUdpSocket,
    pub(crate) driver: Option<Driver<Device, TestTimer, P>>,
    pub(crate) timer: TestTimer,
    pub(crate) woken: Arc<Flag>,
    pub(crate) polls: usize,
    pub(crate) ended: Option<io::Result<()>>,
    /// The driver that has ended, so that the wire has both ends still.
    finished: Option<Driver<Device, TestTimer, P>>,
}

impl<P: Filter> Node<P> {
    pub(crate) fn new(builder: generic::Builder<brooklet::Threaded, P>, device: Device) -> Self {
        let timer = TestTimer::new();
        let Parts {
            stack,
            tcp,
            udp,
            driver,
            ..
        } = builder.build_with_timer(device, timer.clone()).unwrap();
        Self {
            stack,
            tcp,
            udp,
            driver: Some(driver),
            timer,
            woken: Flag::set(),
            polls: 0,
            ended: None,
            finished: None,
        }
    }

    pub(crate) fn driver(&mut self) -> &mut Driver<Device, TestTimer, P> {
        self.driver.as_mut().expect("the driver has not ended")
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.driver.as_ref().unwrap().device().script()
    }

    /// Polls the driver once.
    pub(crate) fn poll(&mut self) {
        let waker = Waker::from(self.woken.clone());
        self.polls += 1;
        if let Some(driver) = &mut self.driver
            && let Poll::Ready(result) = Pin::new(driver).poll(&mut Context::from_waker(&waker))
        {
            self.ended = Some(result);
            self.finished = self.driver.take();
        }
    }

    /// Polls the driver until it sleeps.
    pub(crate) fn run(&mut self) {
        self.poll();
        while self.woken.take() {
            self.poll();
        }
    }

    /// Lets the driver sleep, as often as it has to, for `time`.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.timer.now() + time;
        self.run();
        while let Some(sleep) = self.timer.sleeps_for()
            && self.driver.is_some()
            && self.timer.now() + sleep <= end
        {
            self.timer.forward(sleep);
            self.run();
        }
        self.timer.forward(end - self.timer.now());
    }

    /// How the driver has ended.
    pub(crate) fn error(&mut self) -> io::Error {
        self.ended
            .take()
            .expect("the driver has ended")
            .unwrap_err()
    }
}

/// Two stacks, connected by a wire.
pub(crate) struct World<P: Filter = UnicastOnly> {
    pub(crate) near: Node<P>,
    pub(crate) far: Node,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Builder::new())
    }
}

impl<P: Filter> World<P> {
    pub(crate) fn with(builder: generic::Builder<brooklet::Threaded, P>) -> Self {
        let (near, far) = brooklet::pipe(64);
        Self {
            near: Node::new(builder, Device::new(near)),
            far: Node::new(Builder::new(), Device::new(far)),
        }
    }

    /// Runs both drivers and `future` in virtual time, for `limit` at most.
    pub(crate) fn run<T>(&mut self, limit: Duration, future: impl Future<Output = T>) -> T {
        self.try_run(limit, future)
            .expect("the future does not end")
    }

    pub(crate) fn try_run<T>(
        &mut self,
        limit: Duration,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        let mut future = pin!(future);
        let woken = Flag::set();
        let waker = Waker::from(woken.clone());
        let mut left = limit;
        loop {
            let mut idle = true;
            if woken.take() {
                idle = false;
                let poll = future.as_mut().poll(&mut Context::from_waker(&waker));
                if let Poll::Ready(output) = poll {
                    return Some(output);
                }
            }
            if self.near.woken.take() {
                idle = false;
                self.near.poll();
            }
            if self.far.woken.take() {
                idle = false;
                self.far.poll();
            }
            if idle {
                let sleeps = [self.near.timer.sleeps_for(), self.far.timer.sleeps_for()];
                let sleep = sleeps
                    .into_iter()
                    .flatten()
                    .min()?
                    .max(Duration::from_micros(1));
                left = left.checked_sub(sleep)?;
                self.advance(sleep);
            }
        }
    }

    /// Lets the drivers run for `time`.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.near.timer.now() + time;
        assert!(self.try_run(time, future::pending::<()>()).is_none());
        let left = end.saturating_duration_since(self.near.timer.now());
        self.advance(left);
        assert!(
            self.try_run(Duration::ZERO, future::pending::<()>())
                .is_none()
        );
    }

    /// Moves both clocks and wakes the drivers, as their timers do.
    pub(crate) fn advance(&mut self, time: Duration) {
        for timer in [&self.near.timer, &self.far.timer] {
            timer.forward(time);
        }
        for woken in [&self.near.woken, &self.far.woken] {
            woken.clone().wake();
        }
    }

    /// Connects from the near stack to the far one.
    pub(crate) fn connect(&mut self, port: u16) -> (TcpStream, TcpStream) {
        let (stack, tcp) = (self.near.stack.clone(), self.far.tcp.clone());
        let from = SocketAddr::new(addr("10.0.0.2:0").ip(), port);
        let connect = stack.connect_from(from, addr("192.0.2.1:80"));
        let accept = async { Ok(tcp.accept().await?.0) };
        self.run(10 * SECOND, future::try_zip(connect, accept))
            .unwrap()
    }

    /// Sends through `stream` to `peer` and compares.
    pub(crate) fn transfer(&mut self, stream: &TcpStream, peer: &TcpStream, len: usize) {
        use futures_lite::{AsyncReadExt, AsyncWriteExt};
        let data: Vec<u8> = (0..len).map(|n| (n / 7) as u8).collect();
        let mut got = vec![0; len];
        let (mut writer, mut reader) = (stream, peer);
        let both = future::try_zip(writer.write_all(&data), reader.read_exact(&mut got));
        self.run(600 * SECOND, both).unwrap();
        assert!(got == data);
    }
}

/// What a call returns now, or that it waits.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    future::block_on(future::poll_once(future))
}
