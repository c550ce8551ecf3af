use crate::outlet::Outlet;
use crate::stats::Stats;
use crate::timer::Timer;
use brooklet_cell::{Flavor, Shared};
use brooklet_device::{PacketBuf, PacketIo};
use brooklet_filter::{Direction, Filter, Verdict};
use brooklet_packet::{Headers, Packet, Protocol, icmp};
use brooklet_udp::Received;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

/// A batch ends after this many packets or bytes, so that answers are not kept waiting.
const BATCH_PACKETS: usize = 64;
const BATCH_BYTES: usize = 256 * 1024;

/// Batches in one call, so that one busy stack leaves the executor to others.
const BATCHES: usize = 4;

/// Any IP packet fits.
const LARGEST: usize = 65_535;

/// Moves packets between the device and the stack: a future to be spawned or awaited.
///
/// It ends only when the device fails, with the device's error. When it has ended, or is dropped,
/// every pending and later call on the stack's handles gives
/// [`NetworkDown`](io::ErrorKind::NetworkDown).
///
/// It is `Send` when the flavor, the device, the timer and the filter are.
///
/// # Panics
///
/// If polled after it has ended.
#[must_use = "a stack does nothing unless its driver runs"]
pub struct Driver<F: Flavor, D: PacketIo, T: Timer, P: Filter> {
    device: D,
    timer: T,
    filter: P,
    tcp: brooklet_tcp::Engine<F>,
    udp: brooklet_udp::Engine<F>,
    outlet: Outlet,
    inbound: PacketBuf,
    icmp_echo: bool,
    stats: Stats,
    published: Shared<F, Stats>,
    ended: bool,
}

// Nothing in it is ever pinned.
impl<F: Flavor, D: PacketIo, T: Timer, P: Filter> Unpin for Driver<F, D, T, P> {}

impl<F: Flavor, D: PacketIo, T: Timer, P: Filter> std::fmt::Debug for Driver<F, D, T, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

impl<F: Flavor, D: PacketIo, T: Timer, P: Filter> Driver<F, D, T, P> {
    pub(crate) fn new(
        (tcp, udp): (brooklet_tcp::Engine<F>, brooklet_udp::Engine<F>),
        (device, timer, filter): (D, T, P),
        published: Shared<F, Stats>,
        icmp_echo: bool,
    ) -> Self {
        Self {
            device,
            timer,
            filter,
            tcp,
            udp,
            outlet: Outlet::default(),
            inbound: PacketBuf::with_capacity(LARGEST),
            icmp_echo,
            stats: Stats::default(),
            published,
            ended: false,
        }
    }

    /// The device, for what only it knows.
    pub fn device(&self) -> &D {
        &self.device
    }

    fn run(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp.awake();
        let clock = self.timer.clock();
        for _ in 0..BATCHES {
            let now = clock.now();
            let more = self.receive(cx, now)?;
            if self.tcp.poll_timeout(now).is_some_and(|at| at <= now) {
                self.tcp.handle_timeout(now);
            }
            self.tcp.settle(now);
            let blocked = self.transmit(cx)?;
            if more {
                continue;
            }
            let until = self.tcp.poll_timeout(now);
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

    /// Judges the packet in `inbound` and gives it to whom it is for.
    fn handle(&mut self, now: Instant) {
        let Self { stats, outlet, .. } = self;
        stats.packets_in += 1;
        stats.bytes_in += self.inbound.len() as u64;
        let headers = match Headers::parse(&self.inbound) {
            Ok(headers) => headers,
            Err(error) => {
                stats.dropped.malformed[error.index()] += 1;
                return;
            }
        };
        let packet = Packet::new(&self.inbound, headers);
        if self.filter.verdict(&packet, Direction::Inbound) != Verdict::Pass {
            stats.dropped.filtered_in += 1;
            return;
        }
        if packet.fragment().is_some() {
            stats.dropped.fragment += 1;
            return;
        }
        if !packet.verify_checksum() {
            stats.dropped.checksum += 1;
            return;
        }
        let answered = match packet.protocol() {
            Protocol::Tcp => return self.tcp.handle_packet(now, &mut self.inbound, &headers),
            Protocol::Udp => match self.udp.handle_packet(&packet) {
                Received::NoListener => {
                    outlet.icmp(|out| icmp::unreachable(out, &packet, icmp::Unreachable::Port))
                }
                Received::Queued | Received::Dropped => return,
            },
            Protocol::Icmpv4 | Protocol::Icmpv6 if self.icmp_echo => {
                match outlet.icmp(|out| icmp::echo_reply(out, &packet)) {
                    Some(true) => return stats.echo_replies += 1,
                    Some(false) => return stats.dropped.icmp += 1,
                    None => None,
                }
            }
            Protocol::Icmpv4 | Protocol::Icmpv6 => return stats.dropped.icmp += 1,
            _ => {
                stats.dropped.protocol += 1;
                outlet.icmp(|out| icmp::unreachable(out, &packet, icmp::Unreachable::Protocol))
            }
        };
        if answered.is_none() {
            stats.dropped.icmp_full += 1;
        }
    }

    /// Sends until there is nothing left or the device takes no more. Says whether it is that.
    fn transmit(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        loop {
            let Some(packet) = self.outlet.next(&mut self.tcp, &self.udp) else {
                return Ok(false);
            };
            // A packet that waited for the device is judged again: the filter may have changed.
            let parsed = Packet::parse(packet);
            let passes = parsed.is_ok_and(|packet| {
                self.filter.verdict(&packet, Direction::Outbound) == Verdict::Pass
            });
            if passes {
                match self.device.poll_send(cx, packet) {
                    Poll::Ready(sent) => sent?,
                    Poll::Pending => return Ok(true),
                }
                self.stats.packets_out += 1;
                self.stats.bytes_out += packet.len() as u64;
            } else {
                self.stats.dropped.filtered_out += 1;
            }
            self.outlet.done(&mut self.tcp, &self.udp);
        }
    }
}

impl<F: Flavor, D: PacketIo, T: Timer, P: Filter> Future for Driver<F, D, T, P> {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        assert!(!self.ended, "the driver was polled after its end");
        let poll = self.run(cx);
        let stats = self.stats;
        self.published.with(|published| *published = stats);
        if poll.is_ready() {
            // At once, and not only when the finished future is dropped.
            self.ended = true;
            self.tcp.shutdown();
            self.udp.shutdown();
        }
        poll
    }
}
