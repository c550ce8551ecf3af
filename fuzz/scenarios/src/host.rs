//! A stack in virtual time, whose drivers and tasks run only when they are woken.

use brooklet::{Builder, Driver, Offload, PacketBuf, PacketIo, QueueParts, Stack, TcpListener};
use brooklet_sim::{VirtualTime, VirtualTimer};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// A stack does not work longer than this at one moment.
const MAX_POLLS: usize = 20_000;

/// Notes that a task was woken.
#[derive(Debug)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A task of the scenario: a waker, and whether the task waits.
#[derive(Debug)]
pub(crate) struct Task {
    flag: Arc<Flag>,
    waker: Waker,
    waits: bool,
}

impl Task {
    pub(crate) fn new() -> Self {
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        Self {
            waker: Waker::from(flag.clone()),
            flag,
            waits: false,
        }
    }

    /// Returns whether an executor would poll the task now.
    pub(crate) fn is_awake(&self) -> bool {
        !self.waits || self.flag.0.load(Ordering::Relaxed)
    }

    /// Polls, and panics if the task finds what it waited for although nobody has woken it.
    pub(crate) fn poll<T>(
        &mut self,
        what: &str,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let (ready, lost) = self.poll_unchecked(poll);
        assert!(!lost, "a lost wake-up: {what}");
        ready
    }

    /// Polls, and returns as well whether the task was ready although nobody has woken it.
    pub(crate) fn poll_unchecked<T>(
        &mut self,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> (Poll<T>, bool) {
        let woken = self.flag.0.swap(false, Ordering::Relaxed);
        let ready = poll(&mut Context::from_waker(&self.waker));
        let lost = self.waits && !woken && ready.is_ready();
        self.waits = ready.is_pending();
        (ready, lost)
    }

    /// The program itself has done something to what the task waits for.
    pub(crate) fn disturb(&mut self) {
        self.waits = false;
    }
}

/// The device of one queue.
#[derive(Debug, Default)]
struct Wire {
    inbound: VecDeque<PacketBuf>,
    outbound: Vec<PacketBuf>,
    /// How many packets it takes before it blocks.
    room: usize,
    offload: Offload,
    /// So many calls fail, in this way.
    faults: (u32, Option<ErrorKind>),
    receiver: Option<Waker>,
    sender: Option<Waker>,
    received: u64,
    sent: u64,
}

impl Wire {
    /// Returns the error of the next call, if it fails.
    fn fault(&mut self) -> Option<io::Error> {
        let (left, kind) = &mut self.faults;
        *left = left.checked_sub(1)?;
        kind.map(io::Error::from)
    }
}

/// The driver's handle to a [`Wire`].
#[derive(Debug)]
struct Device(Rc<RefCell<Wire>>);

impl PacketIo for Device {
    fn offload(&self) -> Offload {
        self.0.borrow().offload
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<()>> {
        let mut wire = self.0.borrow_mut();
        if let Some(error) = wire.fault() {
            return Poll::Ready(Err(error));
        }
        let Some(next) = wire.inbound.pop_front() else {
            wire.receiver = Some(cx.waker().clone());
            return Poll::Pending;
        };
        wire.received += 1;
        packet.copy_from_slice(&next);
        packet.set_meta(next.meta());
        Poll::Ready(Ok(()))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>> {
        let mut wire = self.0.borrow_mut();
        if let Some(error) = wire.fault() {
            return Poll::Ready(Err(error));
        }
        if wire.room == 0 {
            wire.sender = Some(cx.waker().clone());
            return Poll::Pending;
        }
        wire.room -= 1;
        wire.sent += 1;
        let mut copy = PacketBuf::from(packet.to_vec());
        copy.set_meta(packet.meta());
        wire.outbound.push(copy);
        Poll::Ready(Ok(()))
    }
}

struct Queue {
    driver: Driver<Device, VirtualTimer>,
    task: Task,
    wire: Rc<RefCell<Wire>>,
}

/// A stack with its devices.
pub(crate) struct Host {
    pub(crate) stack: Stack,
    queues: Vec<Queue>,
    time: VirtualTime,
    mtu: usize,
    offload: Offload,
    /// The stack is being shut down.
    pub(crate) may_end: bool,
}

impl Host {
    /// Builds a stack over `queues` devices. Returns it with the listener for all addresses.
    pub(crate) fn new(
        builder: Builder,
        time: &VirtualTime,
        (queues, mtu, offload): (usize, usize, Offload),
    ) -> (Self, TcpListener) {
        let wires: Vec<_> = (0..queues)
            .map(|_| {
                Rc::new(RefCell::new(Wire {
                    room: usize::MAX,
                    offload,
                    ..Wire::default()
                }))
            })
            .collect();
        let devices = wires
            .iter()
            .map(|wire| (Device(wire.clone()), time.timer()));
        let QueueParts {
            stack,
            tcp,
            drivers,
            ..
        } = builder
            .mtu(mtu)
            .build_queues_with_timers(devices)
            .expect("the scenario draws configurations that work");
        let queues = drivers.into_iter().zip(wires).map(|(driver, wire)| Queue {
            driver,
            task: Task::new(),
            wire,
        });
        let host = Self {
            stack,
            queues: queues.collect(),
            time: time.clone(),
            mtu,
            offload,
            may_end: false,
        };
        (host, tcp)
    }

    pub(crate) fn queues(&self) -> usize {
        self.queues.len()
    }

    /// A packet arrives.
    pub(crate) fn deliver(&mut self, queue: usize, packet: PacketBuf) {
        crate::trace::packet(self.time.elapsed(), "in", &packet);
        let mut wire = self.queues[queue].wire.borrow_mut();
        wire.inbound.push_back(packet);
        let receiver = wire.receiver.take();
        drop(wire);
        receiver.into_iter().for_each(Waker::wake);
    }

    /// The device of a queue takes so many packets from now on.
    pub(crate) fn set_room(&mut self, queue: usize, room: usize) {
        let mut wire = self.queues[queue].wire.borrow_mut();
        wire.room = room;
        let sender = wire.sender.take_if(|_| room > 0);
        drop(wire);
        sender.into_iter().for_each(Waker::wake);
    }

    /// So many calls of the device fail, in a way after which the driver goes on.
    pub(crate) fn fail(&mut self, queue: usize, calls: u32, kind: ErrorKind) {
        self.queues[queue].wire.borrow_mut().faults = (calls, Some(kind));
    }

    /// Ends the stack at once.
    pub(crate) fn drop_drivers(&mut self) {
        self.queues.clear();
    }

    /// Runs the drivers until they sleep. After a [shutdown](Stack::shutdown) they end, and are
    /// dropped.
    pub(crate) fn run(&mut self) {
        let mut polls = 0;
        loop {
            let mut ran = false;
            self.queues.retain_mut(|queue| {
                if !queue.task.is_awake() {
                    return true;
                }
                (ran, polls) = (true, polls + 1);
                let driver = Pin::new(&mut queue.driver);
                let (poll, _) = queue.task.poll_unchecked(|cx| driver.poll(cx));
                match poll {
                    Poll::Pending => true,
                    Poll::Ready(end) => {
                        assert!(end.is_ok() && self.may_end, "the driver has ended: {end:?}");
                        false
                    }
                }
            });
            if !ran {
                return;
            }
            assert!(polls < MAX_POLLS, "the drivers find no sleep");
        }
    }

    /// Returns whether a driver has been woken.
    pub(crate) fn is_awake(&self) -> bool {
        self.queues.iter().any(|queue| queue.task.is_awake())
    }

    /// Polls the drivers although nobody has woken them. They must have nothing to do.
    pub(crate) fn run_needlessly(&mut self) {
        self.run();
        let before = self.sent();
        for queue in &mut self.queues {
            let driver = Pin::new(&mut queue.driver);
            let (poll, _) = queue.task.poll_unchecked(|cx| driver.poll(cx));
            assert!(poll.is_pending(), "the driver has ended: {poll:?}");
        }
        self.run();
        assert_eq!(
            self.sent(),
            before,
            "a driver with packets to send was not woken"
        );
    }

    /// When a driver has something to do; a moment in the past is a fault.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let next = self.time.next_deadline();
        assert!(
            next.is_none_or(|at| at > self.time.now()),
            "a deadline that has passed"
        );
        next
    }

    /// Returns whether no packet waits to be received.
    pub(crate) fn has_received_all(&self) -> bool {
        let mut wires = self.queues.iter().map(|queue| queue.wire.borrow());
        wires.all(|wire| wire.inbound.is_empty())
    }

    /// Packets received and sent.
    pub(crate) fn received(&self) -> u64 {
        self.queues
            .iter()
            .map(|queue| queue.wire.borrow().received)
            .sum()
    }

    pub(crate) fn sent(&self) -> u64 {
        self.queues
            .iter()
            .map(|queue| queue.wire.borrow().sent)
            .sum()
    }

    /// Takes what the stack has sent, checked and as the device sends it.
    pub(crate) fn take_output(&mut self, mut each: impl FnMut(&brooklet::Packet<'_>)) {
        for queue in &self.queues {
            let sent = std::mem::take(&mut queue.wire.borrow_mut().outbound);
            for packet in sent {
                crate::output::check(packet, self.offload, self.mtu, |packet| {
                    crate::trace::packet(self.time.elapsed(), "out", packet.bytes());
                    each(packet);
                });
            }
        }
    }
}

/// The time from one moment to another.
pub(crate) fn since(time: &VirtualTime, moment: Instant) -> Duration {
    time.now().saturating_duration_since(moment)
}
