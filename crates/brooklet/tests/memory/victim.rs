//! A stack under attack: a driver that the test polls, over a device that keeps nothing.

use crate::meter::Meter;
use brooklet::filter::UnicastOnly;
use brooklet::{
    Builder, Clock, Driver, MemoryStats, PacketBuf, PacketIo, Parts, Stack, Stats, TcpListener,
    Timer, TransparentUdpSocket,
};
use brooklet_packet::{FlowKey, Packet, TcpFlags, TcpHeader, tcp};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

pub(crate) const BUDGET: usize = 12 << 20;

#[derive(Clone)]
struct ManualTimer(Arc<Mutex<Instant>>);

impl Timer for ManualTimer {
    fn clock(&self) -> Clock {
        let now = self.0.clone();
        Clock::new(move || *now.lock().unwrap())
    }

    fn poll_deadline(&mut self, _: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        let now = *self.0.lock().unwrap();
        match deadline {
            Some(at) if at <= now => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }
}

/// A device with one packet to receive at most, which remembers the last packet sent.
struct Wire(Arc<Mutex<State>>);

struct State {
    inbound: Vec<u8>,
    has_inbound: bool,
    last: Vec<u8>,
    sent: usize,
    stuck: bool,
}

impl PacketIo for Wire {
    fn poll_recv(&mut self, _: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<()>> {
        let state = &mut *self.0.lock().unwrap();
        if !std::mem::take(&mut state.has_inbound) {
            return Poll::Pending;
        }
        packet.copy_from_slice(&state.inbound);
        Poll::Ready(Ok(()))
    }

    fn poll_send(&mut self, _: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>> {
        let state = &mut *self.0.lock().unwrap();
        if state.stuck {
            return Poll::Pending;
        }
        state.last.clear();
        state.last.extend_from_slice(packet);
        state.sent += 1;
        Poll::Ready(Ok(()))
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(crate) struct Victim {
    pub(crate) meter: Meter,
    pub(crate) stack: Stack,
    pub(crate) tcp: Option<TcpListener>,
    pub(crate) udp: Option<TransparentUdpSocket>,
    driver: Driver<Wire, ManualTimer, UnicastOnly>,
    wire: Arc<Mutex<State>>,
    now: Arc<Mutex<Instant>>,
    flag: Arc<Flag>,
    packet: Vec<u8>,
    pub(crate) budget: usize,
}

impl Victim {
    pub(crate) fn new(builder: Builder) -> Self {
        Self::with_budget(builder, BUDGET)
    }

    pub(crate) fn with_budget(builder: Builder, budget: usize) -> Self {
        let wire = Arc::new(Mutex::new(State {
            inbound: Vec::with_capacity(1 << 17),
            has_inbound: false,
            last: Vec::with_capacity(1 << 17),
            sent: 0,
            stuck: false,
        }));
        let now = Arc::new(Mutex::new(Instant::now()));
        let mut meter = Meter::new();
        let device = Wire(wire.clone());
        let timer = ManualTimer(now.clone());
        let Parts {
            stack,
            tcp,
            udp,
            driver,
            ..
        } = meter.run(|| {
            let builder = builder.memory(budget).address([192, 0, 2, 1]).seed(7);
            builder.build_with_timer(device, timer).unwrap()
        });
        let mut victim = Self {
            meter,
            stack,
            tcp: Some(tcp),
            udp: Some(udp),
            driver,
            wire,
            now,
            flag: Arc::new(Flag(AtomicBool::new(false))),
            packet: Vec::with_capacity(1 << 17),
            budget,
        };
        victim.settle();
        victim.meter.begin(victim.memory());
        victim
    }

    /// Lets the driver work until it sleeps.
    pub(crate) fn settle(&mut self) {
        let waker = Waker::from(self.flag.clone());
        let (driver, flag, wire) = (&mut self.driver, &self.flag, &self.wire);
        self.meter.run(|| {
            let mut cx = Context::from_waker(&waker);
            loop {
                flag.0.store(false, Ordering::Relaxed);
                assert!(Pin::new(&mut *driver).poll(&mut cx).is_pending());
                if !flag.0.load(Ordering::Relaxed) && !wire.lock().unwrap().has_inbound {
                    break;
                }
            }
        });
    }

    /// Calls a function of the program.
    pub(crate) fn program<R>(&mut self, f: impl FnOnce(&mut Program<'_>) -> R) -> R {
        let mut program = Program {
            tcp: self.tcp.as_ref(),
            udp: self.udp.as_ref(),
        };
        self.meter.run(|| f(&mut program))
    }

    pub(crate) fn receive(&mut self, packet: &[u8]) {
        {
            let state = &mut *self.wire.lock().unwrap();
            state.inbound.clear();
            state.inbound.extend_from_slice(packet);
            state.has_inbound = true;
        }
        self.settle();
    }

    /// A TCP segment of a client. The window is not scaled.
    pub(crate) fn segment(
        &mut self,
        client: SocketAddr,
        flags: TcpFlags,
        (seq, ack): (u32, u32),
        options: &[u8],
        payload: &[u8],
    ) {
        let key = FlowKey::new(client, server()).unwrap();
        let header = TcpHeader {
            seq,
            ack,
            window: u16::MAX,
            flags,
        };
        let mut packet = std::mem::take(&mut self.packet);
        tcp::write(&mut packet, key, header, options, 64, payload).unwrap();
        self.receive(&packet);
        self.packet = packet;
    }

    /// The header of the last packet that the stack has sent.
    pub(crate) fn last(&self) -> Option<TcpHeader> {
        let state = self.wire.lock().unwrap();
        Packet::parse(&state.last).ok()?.tcp()
    }

    pub(crate) fn sent(&self) -> usize {
        self.wire.lock().unwrap().sent
    }

    pub(crate) fn set_stuck(&self, stuck: bool) {
        self.wire.lock().unwrap().stuck = stuck;
    }

    /// Lets time pass, a second at a time.
    pub(crate) fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            *self.now.lock().unwrap() += Duration::from_secs(1);
            self.settle();
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        self.stack.stats()
    }

    pub(crate) fn memory(&self) -> MemoryStats {
        self.stats().memory
    }

    #[track_caller]
    pub(crate) fn check(&self, when: &str) {
        self.meter.check(self.memory(), self.budget, when);
    }

    /// Nothing of the attack is left: recycled buffers, and what the driver has anyway.
    #[track_caller]
    pub(crate) fn check_gone(&self) {
        let (memory, seen) = (self.memory(), self.meter.bytes());
        println!("  gone: {seen} seen, {} told", memory.total());
        let kept = memory.drivers
            + memory.tcp_pooled_buffers
            + memory.tcp_outbound
            + memory.udp_outbound
            + memory.raw_outbound;
        assert!(kept <= self.budget as u64 / 6, "{memory}");
        let rest = memory.total() - kept;
        assert!(rest <= 256 << 10, "{rest} bytes are left\n{memory}");
        assert!(
            seen <= memory.total() + (128 << 10),
            "{seen} bytes seen\n{memory}"
        );
    }
}

/// What the program has.
pub(crate) struct Program<'a> {
    pub(crate) tcp: Option<&'a TcpListener>,
    pub(crate) udp: Option<&'a TransparentUdpSocket>,
}

pub(crate) fn server() -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 1], 80))
}

/// A client's address, another for each number.
pub(crate) fn client(n: usize) -> SocketAddr {
    let [_, a, b, c] = (n as u32 + 1).to_be_bytes();
    SocketAddr::from(([10, a, b, c], 40_000 + (n % 1000) as u16))
}

/// The result of a future that is ready.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
