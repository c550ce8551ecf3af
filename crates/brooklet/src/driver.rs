use crate::common::{Common, Settings};
use crate::stats::Stats;
use crate::timer::Timer;
use crate::tx_scheduler::TxScheduler;
use brooklet_cell::Flavor;
use brooklet_filter::{Direction, Filter, UnicastOnly, Verdict};
use brooklet_io::{Checksum, PacketBuf, PacketIo, StackClosed};
use brooklet_packet::icmp::{self, Unreachable};
use brooklet_packet::{Headers, Packet, Protocol, Segmenter};
use brooklet_udp::Received;
use std::io;
use std::num::NonZeroU16;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A batch ends after this many packets or bytes, so that answers are not kept waiting.
const BATCH_PACKETS: usize = 64;
const BATCH_BYTES: usize = 256 * 1024;

/// Batches in one call, so that one busy stack leaves the executor to others.
const BATCHES: usize = 4;

/// A time-out that is overdue by this much shows that the process was paused: suspended, stopped by
/// a debugger, or without a CPU. The segments that arrived meanwhile, which may acknowledge what
/// the time-out is about, wait in the device.
const PAUSE: Duration = Duration::from_millis(20);

/// After a pause the driver reads this many batches at most before it judges time-outs: 4,096
/// packets, several times the queue of a TUN device.
const BATCHES_AFTER_PAUSE: u32 = 64;

/// Any IP packet fits: that of IPv6 does not count its header.
const LARGEST: usize = 40 + 65_535;

/// "No next header" (RFC 8200, 4.7): nothing follows, and that is no error.
const IPV6_NO_NEXT_HEADER: Protocol = Protocol::Other(59);

/// Moves packets between the device and the stack: a future to be spawned or awaited.
///
/// It ends only when the device fails, with the device's error. When it has ended, or is dropped,
/// every pending and later call on the stack's handles gives
/// [`NetworkDown`](io::ErrorKind::NetworkDown).
///
/// A stack over [several queues](crate::generic::Builder::build_queues_with_timers) has a driver
/// for each, to be run on as many threads. The end of one is the end of the stack: the others are woken, and
/// end with [`NetworkDown`](io::ErrorKind::NetworkDown).
///
/// It is `Send` when the flavor, the device, the timer and the filter are.
///
/// # Panics
///
/// If polled after it has ended.
#[must_use = "a stack does nothing unless its driver runs"]
pub struct Driver<F: Flavor, D, T, P = UnicastOnly> {
    device: D,
    timer: T,
    filter: P,
    tcp: brooklet_tcp::Engine<F>,
    udp: brooklet_udp::Engine<F>,
    tx_scheduler: TxScheduler,
    inbound: PacketBuf,
    /// When the oldest fragments, as they were when one came here last, have waited long enough.
    fragments_until: Option<Instant>,
    /// The packet that fragments made.
    whole: Vec<u8>,
    icmp_echo: bool,
    /// Batches read since a pause, while time-outs wait.
    batches_after_pause: u32,
    stats: Stats,
    /// Which of the drivers it is.
    queue: u8,
    common: Common<F>,
    ended: bool,
}

// No field is ever pinned.
impl<F: Flavor, D, T, P> Unpin for Driver<F, D, T, P> {}

impl<F: Flavor, D, T, P> std::fmt::Debug for Driver<F, D, T, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

impl<F: Flavor, D, T, P> Driver<F, D, T, P> {
    /// Returns the device.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// Returns the device, to change its settings. Packets that are received or sent through the
    /// device directly bypass the stack.
    pub fn device_mut(&mut self) -> &mut D {
        &mut self.device
    }

    /// Ends the stack and returns the device, with which another stack can be built.
    ///
    /// Every pending and later call on the stack's handles fails with
    /// [`NetworkDown`](io::ErrorKind::NetworkDown), as if the driver had been dropped.
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
    pub(crate) fn new(
        (tcp, udp): (brooklet_tcp::Engine<F>, brooklet_udp::Engine<F>),
        (device, timer, filter): (D, T, P),
        (queue, common): (u8, Common<F>),
        settings: Settings,
    ) -> Self {
        let offload = device.offload();
        Self {
            device,
            timer,
            filter,
            tcp,
            udp,
            tx_scheduler: TxScheduler::new(settings.mtu, offload, settings.identification),
            inbound: PacketBuf::with_capacity(LARGEST),
            fragments_until: None,
            whole: Vec::new(),
            icmp_echo: settings.icmp_echo,
            batches_after_pause: 0,
            stats: Stats::default(),
            queue,
            common,
            ended: false,
        }
    }

    fn run(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.tcp.awake() {
            return Poll::Ready(Err(StackClosed.into()));
        }
        let clock = self.timer.clock();
        for _ in 0..BATCHES {
            let now = clock.now();
            // What was put off for the sake of the tasks that were woken the last time.
            self.tcp.flush(now);
            self.transmit(cx)?;
            let more = self.receive(cx, now)?;
            // Deadlines that become earlier from here on keep the driver from its sleep.
            let mut until = self.poll_timeout(now);
            if self.is_due(now, until, more) {
                self.handle_timeout(now);
                until = self.poll_timeout(now);
            }
            let deferred = self.tcp.defer(now);
            let blocked = self.transmit(cx)?;
            if deferred {
                break; // those who were woken come first
            }
            if more {
                continue;
            }
            if self.timer.poll_deadline(cx, until).is_ready() {
                continue;
            }
            // A device that takes nothing more wakes this task when it does, and then everything
            // is looked at; until then new packets need not.
            if self.tcp.sleep(cx.waker(), until, blocked)
                && (blocked || !self.udp.register(cx.waker()))
            {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Returns the earliest time-out.
    fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        let tcp = self.tcp.poll_timeout(now);
        tcp.into_iter().chain(self.fragments_until).min()
    }

    /// Handles the time-outs that have passed.
    fn handle_timeout(&mut self, now: Instant) {
        self.expire_fragments(now);
        self.tcp.handle_timeout(now);
    }

    /// Returns whether time-outs have passed and may be handled, `until` being the earliest one.
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

    /// Takes in a batch of packets. Says whether there may be more at once.
    fn receive(&mut self, cx: &mut Context<'_>, now: Instant) -> io::Result<bool> {
        let mut bytes = 0;
        for _ in 0..BATCH_PACKETS {
            match self.device.poll_recv(cx, &mut self.inbound) {
                Poll::Ready(received) => received?,
                Poll::Pending => return Ok(false),
            }
            bytes += self.inbound.len();
            self.handle(now);
            if bytes >= BATCH_BYTES {
                break;
            }
        }
        Ok(true)
    }

    /// Takes in the packet in `inbound`: a whole one is delivered, a fragment when it completes one.
    fn handle(&mut self, now: Instant) {
        self.stats.packets_in += 1;
        self.stats.bytes_in += self.inbound.len() as u64;
        let headers = match Headers::parse(&self.inbound) {
            Ok(headers) => headers,
            Err(error) => return self.stats.dropped.malformed[error.index()] += 1,
        };
        if headers.key().is_ipv6() && !self.common.ipv6 {
            return self.stats.dropped.ipv6 += 1;
        }
        if headers.fragment().is_some() {
            return self.handle_fragment(now, headers);
        }
        let mut packet = std::mem::take(&mut self.inbound);
        let meta = packet.meta();
        let verified = meta.checksum != Checksum::Complete;
        match meta.gso_size {
            // TCP is a stream: many segments in one are as good as one.
            Some(size) if headers.protocol() == Protocol::Udp => {
                self.deliver_each(now, &mut packet, headers, size);
            }
            _ => self.deliver(now, &mut packet, headers, verified),
        }
        self.inbound = packet;
    }

    /// Delivers the datagrams of which `packet` consists, where they are.
    fn deliver_each(
        &mut self,
        now: Instant,
        packet: &mut [u8],
        headers: Headers,
        size: NonZeroU16,
    ) {
        let mut segmenter = Segmenter::new(&headers, size);
        while let Some(place) = segmenter.next_in_place(packet) {
            let datagram = &mut packet[place];
            if let Ok(headers) = Headers::parse(datagram) {
                self.deliver(now, datagram, headers, true);
            }
        }
    }

    fn handle_fragment(&mut self, now: Instant, headers: Headers) {
        let Some(reassembler) = &self.common.reassembler else {
            return self.stats.dropped.fragment += 1;
        };
        let fragment = Packet::new(&self.inbound, headers);
        let whole = &mut self.whole;
        let (complete, until) = reassembler.with(|reassembler| {
            let complete = reassembler.handle_fragment(now, &fragment, whole);
            (complete, reassembler.poll_timeout())
        });
        self.fragments_until = until;
        if !complete {
            return;
        }
        let mut whole = std::mem::take(&mut self.whole);
        match Headers::parse(&whole) {
            // Nobody has a reason to cut what is cut, and so it ends here.
            Ok(headers) if headers.fragment().is_some() => self.stats.dropped.fragment += 1,
            Ok(headers) => self.deliver(now, &mut whole, headers, false),
            Err(error) => self.stats.dropped.malformed[error.index()] += 1,
        }
        self.whole = whole;
    }

    /// Forgets fragments whose time is over. Drivers that never see one need not look.
    fn expire_fragments(&mut self, now: Instant) {
        if self.fragments_until.is_some_and(|at| at <= now)
            && let Some(reassembler) = &self.common.reassembler
        {
            self.fragments_until = reassembler.with(|reassembler| {
                reassembler.handle_timeout(now);
                reassembler.poll_timeout()
            });
        }
    }

    /// Judges a whole packet and gives it to whom it is for.
    fn deliver(&mut self, now: Instant, bytes: &mut [u8], headers: Headers, verified: bool) {
        let packet = Packet::new(bytes, headers);
        if self.filter.verdict(&packet, Direction::Inbound) != Verdict::Pass {
            return self.stats.dropped.filtered_in += 1;
        }
        if !verified && !packet.verify_checksum() {
            return self.stats.dropped.checksum += 1;
        }
        match packet.protocol() {
            Protocol::Tcp => self.tcp.handle_packet(now, bytes, &headers),
            Protocol::Udp => {
                if self.udp.handle_packet(&packet) == Received::NoListener {
                    self.send_icmp_error(now, &packet, Unreachable::Port);
                }
            }
            Protocol::Icmpv4 | Protocol::Icmpv6 => self.handle_icmp(now, &packet),
            protocol => {
                self.stats.dropped.protocol += 1;
                if protocol != IPV6_NO_NEXT_HEADER || !packet.key().is_ipv6() {
                    self.send_icmp_error(now, &packet, Unreachable::Protocol);
                }
            }
        }
    }

    fn handle_icmp(&mut self, now: Instant, packet: &Packet<'_>) {
        let stats = &mut self.stats;
        if let Some(error) = icmp::parse_error(packet) {
            stats.icmp_errors += 1;
            if error.protocol == Protocol::Tcp {
                self.tcp.handle_icmp_error(now, &error);
            }
            return;
        }
        if !self.icmp_echo {
            return stats.dropped.icmp += 1;
        }
        match self.tx_scheduler.icmp(|out| icmp::echo_reply(out, packet)) {
            Some(true) => stats.echo_replies += 1,
            Some(false) => stats.dropped.icmp += 1,
            None => stats.dropped.icmp_full += 1,
        }
    }

    /// Answers with an ICMP error, where one may be sent and not too many have been.
    fn send_icmp_error(&mut self, now: Instant, packet: &Packet<'_>, why: Unreachable) {
        let dropped = &mut self.stats.dropped;
        let queued = self.tx_scheduler.icmp(|out| {
            // An error that may not be sent is not counted as one.
            let may = icmp::unreachable(out, packet, why);
            let limited = may && !self.common.icmp_errors.with(|bucket| bucket.take(now));
            dropped.icmp_limited += u64::from(limited);
            may && !limited
        });
        if queued.is_none() {
            dropped.icmp_full += 1;
        }
    }

    /// Sends until there is nothing left or the device takes no more. Says whether it is that.
    fn transmit(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        loop {
            let Some(packet) = self.tx_scheduler.next(&mut self.tcp, &self.udp) else {
                return Ok(false);
            };
            let len = packet.bytes().len() as u64;
            // A packet that waited for the device is judged again: the filter may have changed.
            if self.filter.verdict(&packet, Direction::Outbound) == Verdict::Pass {
                match self.tx_scheduler.poll_send(cx, &mut self.device) {
                    Poll::Ready(sent) => sent?,
                    Poll::Pending => return Ok(true),
                }
                self.stats.packets_out += 1;
                self.stats.bytes_out += len;
            } else {
                self.stats.dropped.filtered_out += 1;
            }
            self.tx_scheduler.done(&mut self.tcp, &self.udp);
        }
    }
}

impl<F: Flavor, D: PacketIo, T: Timer, P: Filter> Future for Driver<F, D, T, P> {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        assert!(!self.ended, "the driver was polled after its end");
        let poll = self.run(cx);
        let stats = self.stats;
        self.common.published[usize::from(self.queue)].with(|published| *published = stats);
        if poll.is_ready() {
            // At once, and not only when the finished future is dropped.
            self.ended = true;
            self.tcp.shutdown();
            self.udp.shutdown();
        }
        poll
    }
}
