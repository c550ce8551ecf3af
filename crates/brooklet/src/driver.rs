//! The driver: it moves packets between a device, the engines and ICMP.

mod icmp;
mod receive;
mod retry;
mod swap;
mod transmit;
mod verdict;

use self::receive::Batch;
use self::retry::Retry;
use crate::capture::Tap;
use crate::common::Common;
use crate::engines::Engines;
use crate::shutdown::{EndGuard, Progress, Step};
use crate::stats::Stats;
#[cfg(feature = "async-io")]
use crate::timer::AsyncIoTimer;
use crate::timer::Timer;
use crate::tx_scheduler::TxScheduler;
use brooklet_cell::Flavor;
use brooklet_filter::{Filter, UnicastOnly};
use brooklet_io::{PacketBuf, PacketIo, StackClosed};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The most batches in one poll, so that a busy stack leaves the executor to other tasks.
const BATCHES: usize = 4;

/// A timeout that is overdue by this much shows that the process was paused: suspended, stopped by
/// a debugger, or without a CPU. The segments that arrived meanwhile, one of which may be the ACK
/// that the timeout is about, wait in the device.
const PAUSE: Duration = Duration::from_millis(20);

/// After a pause the driver reads this many batches at most before it handles timeouts: 4,096
/// packets, several times the queue of a TUN device.
const BATCHES_AFTER_PAUSE: u32 = 64;

/// The longest IP packet, in bytes: the payload length of IPv6 does not count the header.
const MAX_PACKET: usize = 40 + 65_535;

/// Moves the packets between a device and the stack. The driver is a future that the program spawns
/// or awaits.
///
/// A driver is one task. It yields after four batches of packets. For the most throughput give it a
/// thread of its own.
///
/// # The end of the stack
///
/// The driver ends with `Ok` after a [shutdown](crate::generic::Stack::shutdown), and with the
/// device's error if the device fails. Await the driver's task, or log its result: its error is why
/// the stack ended.
///
/// The end of the driver, or its drop, is the end of the stack. Calls that need the network then
/// fail with [`NetworkDown`](io::ErrorKind::NetworkDown). A stream first returns data that it has
/// received, and an end that it already knows (see
/// [the close contract](crate::generic::TcpStream#the-close-contract)). A UDP socket first returns
/// the datagrams in its queue.
///
/// When the device fails or the driver is dropped, the peers are not told: no FIN or RST is sent. To
/// close connections first, call [`Stack::shutdown`](crate::generic::Stack::shutdown) while the
/// driver runs. After a `Driver` ends, build a new stack; handles cannot be moved to it.
///
/// A stack over [several queues](crate::generic::Builder::build_queues_with_timers) has a driver
/// for each queue. The end of one driver is the end of the stack: the others are woken, and end
/// with `NetworkDown`, or with `Ok` after a shutdown.
///
/// The driver is `Send` if the flavor, the device, the timer and the filter are.
///
/// # Addresses
///
/// A received packet with an impossible address (a martian) is dropped before the filter runs.
/// Loopback addresses do not work on a stack; use any other address in tests.
///
/// The driver counts martians as [`DropReason::Martian`](crate::DropReason::Martian). A packet is
/// one if it has:
///
/// - A source that is loopback, unspecified, multicast or broadcast, or in 0.0.0.0/8 or
///   240.0.0.0/4 (RFC 1122, 3.2.1.3; RFC 4291, 2.5.2, 2.5.3 and 2.7).
/// - A destination that is loopback or unspecified, or in 0.0.0.0/8 or, except for
///   255.255.255.255, in 240.0.0.0/4.
/// - A source or destination that is an IPv4 address mapped into IPv6.
///
/// # Errors of the device
///
/// A [fatal](crate::DeviceFault) error of the device ends the driver. After any other the driver goes
/// on, and counts it as [`device_errors`](crate::Stats::device_errors):
///
/// - After a transient error the driver calls the device again: at once, then after 1 ms, and after
///   twice the time of before up to 100 ms. The packet that was to be sent is kept meanwhile, so
///   that none is lost. After 600 errors in a row, about a minute, the driver ends with the last one.
///   Errors of receiving and of sending count apart.
/// - A packet that the device refuses is dropped, and counted as
///   [`DeviceRefused`](crate::DropReason::DeviceRefused).
///
/// # The clock
///
/// The clock of the [`Timer`] may jump. If it jumps forwards, as after a suspension of the system,
/// the timeouts that have passed are handled once each, after the packets that wait in the device. If
/// it is set back by a second or more, the time of the stack goes on from where it was.
///
/// # Panics of the program
///
/// - A packet over which the filter panics is dropped, and counted as
///   [`FilterPanicked`](crate::DropReason::FilterPanicked). An echo request over which the
///   [policy](crate::generic::Stack::set_echo_policy) panics is ignored.
/// - The panic of a [`Waker`](std::task::Waker) ends there: the other tasks are woken, and the panic
///   is [counted](crate::waker_panics).
/// - A task that panics drops its streams: their connections are reset.
/// - A panic of the device, of the timer or of its clock passes through the poll of the driver. An
///   executor usually drops the driver then, and the stack ends. A program that catches the panic
///   may poll the driver again: it goes on.
///
/// # Panics
///
/// If the driver is polled after it has ended.
///
/// ```
/// # #[cfg(all(feature = "sync", feature = "async-io"))] fn main() -> std::io::Result<()> {
/// use brooklet::{Builder, Parts};
///
/// let (device, other_end) = brooklet::pipe(64);
/// let Parts { driver, .. } = Builder::new().build(device)?;
/// let driver = std::thread::spawn(|| async_io::block_on(driver));
/// drop(other_end);
/// assert!(driver.join().unwrap().is_err(), "the device has failed");
/// # Ok(())
/// # }
/// # #[cfg(not(all(feature = "sync", feature = "async-io")))] fn main() {}
/// ```
#[must_use = "a stack does nothing unless its driver runs"]
pub struct Driver<
    F: Flavor,
    D,
    #[cfg(feature = "async-io")] T = AsyncIoTimer,
    #[cfg(not(feature = "async-io"))] T,
    P = UnicastOnly,
> {
    device: D,
    timer: T,
    filter: P,
    engines: Engines<F>,
    tx_scheduler: TxScheduler,
    /// The buffer of the packet that is received.
    inbound: PacketBuf,
    /// When the oldest fragments expire, as of the last fragment that this driver received.
    fragments_until: Option<Instant>,
    /// The buffer of a reassembled packet.
    reassembled: Vec<u8>,
    /// The answer to a packet of the stack that the filter has rejected.
    answer: Vec<u8>,
    /// A datagram has filled the first half of its queue since the last look.
    udp_congested: bool,
    /// Batches read since a pause, while timeouts wait.
    batches_after_pause: u32,
    /// The errors of the device.
    recv_retry: Retry,
    send_retry: Retry,
    stats: Stats,
    /// The number of the driver's queue.
    queue: u8,
    common: Common<F>,
    tap: Tap<F>,
    /// After the engines, which end the stack when they are dropped.
    end_guard: EndGuard<F>,
    ended: bool,
    /// [`run`](Self::run). As a field it needs no bounds where the future is implemented, so that
    /// the compiler reports a device of the wrong type where the stack is built and nowhere else.
    run: Run<Self>,
}

type Run<D> = fn(&mut D, &mut Context<'_>) -> Poll<io::Result<()>>;

// No field is ever pinned.
impl<F: Flavor, D, T, P> Unpin for Driver<F, D, T, P> {}

impl<F: Flavor, D, T, P> std::fmt::Debug for Driver<F, D, T, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

impl<F: Flavor, D, T, P> Driver<F, D, T, P> {
    /// Returns the device.
    ///
    /// ```
    /// # #[cfg(all(feature = "sync", feature = "async-io"))] {
    /// use brooklet::{Builder, PacketIo, Parts};
    ///
    /// let (device, _) = brooklet::pipe(64);
    /// let Parts { driver, .. } = Builder::new().build(device)?;
    /// assert!(!driver.device().offload().checksum);
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn device(&self) -> &D {
        &self.device
    }

    /// Returns the device, to change its settings. Packets that are received or sent through the
    /// device directly bypass the stack.
    pub fn device_mut(&mut self) -> &mut D {
        &mut self.device
    }

    /// Ends the stack at once, as a drop of the driver does, and returns the device. Another stack
    /// can be built on the device.
    ///
    /// ```
    /// # #[cfg(all(feature = "sync", feature = "async-io"))] {
    /// use brooklet::{Builder, Parts};
    ///
    /// let (device, _) = brooklet::pipe(64);
    /// let Parts { driver, .. } = Builder::new().build(device)?;
    /// let device = driver.into_device();
    /// let Parts { driver, .. } = Builder::new().mtu(1280).build(device)?;
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn into_device(self) -> D {
        self.device
    }
}

impl<F: Flavor, D: PacketIo, T: Timer, P: Filter> Driver<F, D, T, P> {
    /// Makes a driver. `identification` is the IP identification of the first packet that the driver
    /// fragments, and the step to the next one: no two drivers of a stack use the same.
    pub(crate) fn new(
        engines: Engines<F>,
        (device, timer, filter): (D, T, P),
        (queue, common): (u8, Common<F>),
        identification: (u32, u32),
    ) -> Self {
        let offload = device.offload();
        Self {
            device,
            timer,
            filter,
            engines,
            tx_scheduler: TxScheduler::new(offload, identification),
            inbound: PacketBuf::with_capacity(MAX_PACKET),
            fragments_until: None,
            reassembled: Vec::new(),
            answer: Vec::new(),
            udp_congested: false,
            batches_after_pause: 0,
            recv_retry: Retry::default(),
            send_retry: Retry::default(),
            stats: Stats::default(),
            queue,
            end_guard: EndGuard(common.shutdown.clone()),
            tap: Tap::new(&common.captures, queue, common.clock.clone()),
            common,
            ended: false,
            run: Self::run,
        }
    }

    fn run(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.engines.tcp.awake() {
            return Poll::Ready(match self.common.shutdown.is_complete() {
                true => Ok(()),
                false => Err(StackClosed.into()),
            });
        }
        for _ in 0..BATCHES {
            let now = self.common.time.now();
            // The ACKs that were deferred for the tasks that the last batch woke.
            self.engines.tcp.flush(now);
            self.transmit(cx, now)?;
            let batch = self.receive(cx, now)?;
            let more = batch != Batch::Drained;
            // Deadlines that become earlier from here on keep the driver from its sleep.
            let mut until = self.poll_timeout(now);
            if self.is_due(now, until, more) {
                self.handle_timeout(now);
                until = self.poll_timeout(now);
            }
            let deferred = self.engines.tcp.defer(now);
            let blocked = self.transmit(cx, now)?;
            if self.engines.tcp.is_closing() {
                match self.shut_down(now, blocked) {
                    Step::Wait(at) => until = until.into_iter().chain(at).min(),
                    Step::Reset => continue,
                    Step::End => return Poll::Ready(Ok(())),
                }
            }
            if deferred || batch == Batch::Congested {
                break; // the woken tasks run first
            }
            if more {
                continue;
            }
            let retries = [self.recv_retry.deadline(), self.send_retry.deadline()];
            until = until.into_iter().chain(retries.into_iter().flatten()).min();
            let deadline = until.map(|at| self.common.time.of_timer(at));
            if self.timer.poll_deadline(cx, deadline).is_ready() {
                continue;
            }
            // A device that takes no packet now wakes this task once it does. Until then a new
            // packet to send need not wake it.
            if self.engines.tcp.sleep(cx.waker(), until, blocked)
                && (blocked || !self.engines.register(cx.waker()))
            {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Takes the next step of a graceful shutdown.
    fn shut_down(&mut self, now: Instant, blocked: bool) -> Step {
        let progress = Progress {
            has_connections: self.engines.tcp.connections() > 0,
            has_output: self.engines.tcp.has_output(),
            blocked,
        };
        let step = self.common.shutdown.step(self.queue, now, progress);
        if step == Step::Reset {
            self.engines.tcp.reset_connections(now);
            self.common.shutdown.connections_reset();
            self.engines.tcp.wake_drivers();
        }
        step
    }

    /// Returns the earliest timeout.
    fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        let tcp = self.engines.tcp.poll_timeout(now);
        let udp = self.engines.udp.poll_timeout();
        let all = tcp.into_iter().chain(udp);
        all.chain(self.fragments_until).min()
    }

    /// Handles the timeouts that have passed.
    fn handle_timeout(&mut self, now: Instant) {
        self.expire_fragments(now);
        self.engines.udp.handle_timeout(now);
        self.engines.tcp.handle_timeout(now);
    }

    /// Returns whether timeouts have passed and may be handled, `until` being the earliest one.
    ///
    /// After a pause of the process the driver handles them only once it has read all packets that
    /// the device has, or [`BATCHES_AFTER_PAUSE`]: otherwise it would reset a connection whose
    /// peer has answered in time.
    fn is_due(&mut self, now: Instant, until: Option<Instant>, more: bool) -> bool {
        let Some(overdue) = until.and_then(|at| now.checked_duration_since(at)) else {
            self.batches_after_pause = 0;
            return false;
        };
        if more && overdue > PAUSE && self.batches_after_pause < BATCHES_AFTER_PAUSE {
            self.batches_after_pause += 1;
            return false;
        }
        self.batches_after_pause = 0;
        true
    }
}

impl<F: Flavor, D, T, P> Driver<F, D, T, P> {
    /// The bytes of the driver's packet buffers.
    fn allocated(&self) -> usize {
        self.inbound.allocated()
            + self.reassembled.capacity()
            + self.answer.capacity()
            + self.tx_scheduler.allocated()
    }
}

impl<F: Flavor, D, T, P> Future for Driver<F, D, T, P> {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        assert!(!self.ended, "the driver was polled after its end");
        let poll = (self.run)(&mut self, cx);
        self.stats.memory.drivers = self.allocated() as u64;
        let stats = self.stats;
        self.common.published[usize::from(self.queue)].with(|published| *published = stats);
        if poll.is_ready() {
            // At once: a finished future may be kept for long before it is dropped.
            self.ended = true;
            self.engines.tcp.shutdown();
            self.engines.udp.shutdown();
            self.engines.raw.shutdown();
            self.end_guard.end();
            self.tap.end();
        }
        poll
    }
}
