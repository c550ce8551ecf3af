//! One connection: where it is, what it still owes, and who waits for it.

mod deadlines;
mod egress;
mod ending;
mod handshake;
mod info;
mod isn;
mod path;
mod socket;
mod waking;

use self::ending::Orphan;
use self::handshake::Unsaid;
pub use self::info::{TcpInfo, TcpState};
use self::socket::Stage;

use crate::TcpOptions;
use crate::context::{Fixed, Work};
use crate::error::End;
use crate::guard::{Answer, Guard, Waits};
use crate::hub::Port;
use crate::memory::Claim;
use crate::segment;
use crate::syn::Syn;
use crate::wake::{WakerSlot, Wakes};
use brooklet_cell::Flavor;
use brooklet_device::{OnePacket, Outbound, Shape};
use brooklet_packet::{FlowKey, Headers};
use foldhash::quality::FixedState;
use smoltcp::iface::{Config, Interface};
use smoltcp::socket::tcp::State;
use smoltcp::wire::HardwareAddress;
use std::hash::BuildHasher;
use std::io;
use std::time::{Duration, Instant};

/// smoltcp's time. It stands still: what is lost, late or to be probed is found out here.
const STILL: smoltcp::time::Instant = smoltcp::time::Instant::ZERO;

/// The longest packet that both versions of IP have. With it smoltcp's segments are as long as
/// the window that it is shown, and become packets of the path's size outside: smoltcp's own
/// segmentation offload loses the large ones of IPv6.
const LONGEST: usize = 65_535;

/// Answers to what might itself be an answer are at least so far apart (RFC 5961, 7).
const SELDOM: Duration = Duration::from_millis(500);

pub(crate) struct Flow {
    stage: Stage,
    unsaid: Option<Unsaid>,
    /// The buffers that it may have.
    claim: Claim,
    /// As the peer's packets have it: from the peer to here.
    key: FlowKey,
    /// The queue of the device through which it sends.
    queue: u8,
    pub(crate) guard: Guard,
    pub(crate) reader: WakerSlot,
    pub(crate) writer: WakerSlot,
    /// Tasks that wait until everything is acknowledged.
    pub(crate) flusher: WakerSlot,
    /// Streams that lead here.
    pub(crate) handles: usize,
    /// The listener answered it and nobody has collected it yet.
    pub(crate) listened: bool,
    pub(crate) connected: bool,
    pub(crate) end: Option<End>,
    pub(crate) read_shut: bool,
    pub(crate) write_shut: bool,
    /// smoltcp has been told so.
    finished: bool,
    all_acknowledged: bool,
    orphan: Option<Orphan>,
    handshake_by: Option<Instant>,
    /// Since when the peer has owed something and given nothing.
    owed_since: Option<Instant>,
    /// When the peer was heard of last.
    heard_at: Instant,
    /// When it was last asked whether it is there, and when that began.
    asked: Option<(Instant, Instant)>,
    /// The next moment at which there is something to do.
    wanted: Option<Instant>,
    /// The moment that stands for this connection among the timers: that one or an earlier one.
    armed: Option<Instant>,
    /// Noted in the outbound queue as having more to send.
    waiting: bool,
    /// On the engine's list of connections that the current batch touched.
    pub(crate) touched: bool,
    /// The acknowledgement of what has come waits for the application.
    pub(crate) owing: bool,
    /// No longer in the table.
    detached: bool,
    back_off: u32,
    /// When that was last answered which is answered seldom: the peer's, and what may be a
    /// stranger's.
    answered_at: [Option<Instant>; 2],
    /// The SYN that is still to be answered.
    syn: Option<Box<Syn>>,
    /// Our initial sequence number.
    iss: u32,
    /// When the socket is given back, if nothing happens until then.
    idle_until: Option<Instant>,
    pub(crate) user_timeout: Option<Duration>,
    pub(crate) keepalive: Option<Duration>,
    pub(crate) linger: Option<Duration>,
    pub(crate) ttl: u8,
    /// The largest packet that the path takes.
    mtu: usize,
    /// Longer ones are handed out all the same, and cut elsewhere.
    offload: bool,
    /// Nagle's algorithm (RFC 9293, 3.7.4).
    pub(crate) nagle: bool,
}

impl std::fmt::Debug for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flow")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl Flow {
    /// Makes a connection that answers `syn` of `key` once it is [`open`](Self::open)ed.
    pub(crate) fn passive(
        (key, queue): (FlowKey, u8),
        syn: &Syn,
        options: &TcpOptions,
        fixed: &Fixed,
        now: Instant,
    ) -> Self {
        Self {
            syn: Some(Box::new(*syn)),
            ..Self::new((key, queue), options, fixed, now)
        }
    }

    /// Makes a connection that sends a SYN from the destination of `key` to its source once it is
    /// settled.
    pub(crate) fn active(
        (key, queue): (FlowKey, u8),
        options: &TcpOptions,
        fixed: &Fixed,
        now: Instant,
    ) -> Self {
        Self {
            stage: Stage::SynSent,
            unsaid: Some(Unsaid::Syn),
            ..Self::new((key, queue), options, fixed, now)
        }
    }

    fn new((key, queue): (FlowKey, u8), options: &TcpOptions, fixed: &Fixed, now: Instant) -> Self {
        let offset = isn::keyed_hash(key, fixed) as u32;
        Self {
            stage: Stage::Listen,
            unsaid: None,
            claim: fixed.memory.claim(options.recv_buffer, options.send_buffer),
            key,
            queue,
            guard: Guard::new(
                options.congestion,
                options.recv_buffer,
                options.send_buffer,
                offset,
                fixed.config.offload,
            ),
            reader: WakerSlot::default(),
            writer: WakerSlot::default(),
            flusher: WakerSlot::default(),
            handles: 0,
            listened: false,
            connected: false,
            end: None,
            read_shut: false,
            write_shut: false,
            finished: false,
            all_acknowledged: false,
            orphan: None,
            handshake_by: Some(now + fixed.config.handshake_timeout),
            owed_since: None,
            heard_at: now,
            asked: None,
            wanted: None,
            armed: None,
            waiting: false,
            touched: false,
            owing: false,
            detached: false,
            back_off: 0,
            answered_at: [None; 2],
            syn: None,
            iss: isn::initial(key, fixed, now),
            idle_until: None,
            user_timeout: options.user_timeout,
            keepalive: options.keepalive,
            linger: options.linger,
            ttl: options.ttl,
            mtu: fixed.config.mtu,
            offload: fixed.config.offload,
            nagle: !options.nodelay,
        }
    }

    pub(crate) fn key(&self) -> FlowKey {
        self.key
    }

    pub(crate) fn queue(&self) -> u8 {
        self.queue
    }

    fn state(&self) -> State {
        self.stage.state()
    }

    /// Takes in one packet of the peer, which so many segments were joined to. The caller settles
    /// the connection afterwards.
    pub(crate) fn ingress<F: Flavor>(
        &mut self,
        packet: &mut [u8],
        headers: &Headers,
        segments: usize,
        work: &mut Work<'_, F>,
    ) {
        let Some(mut tcp) = headers.tcp() else { return };
        let before = self.state();
        if self.detached || matches!(before, State::Closed | State::Listen | State::TimeWait) {
            return;
        }
        if before == State::SynSent {
            return self.answered(packet, headers, tcp, work);
        }
        if before == State::SynReceived && !self.greeted(packet, headers, &mut tcp, work) {
            return;
        }
        let now = work.context.fixed.micros(work.now);
        let waits = Waits {
            received: self.received(),
            unsent: self.unsent(),
            ended: self.ended(),
        };
        let admission = self.guard.admit(now, packet, headers, tcp, waits);
        if admission.credible {
            self.heard_at = work.now;
            self.asked = None;
            if admission.advanced || self.guard.send.closed() {
                self.owed_since = None; // the peer does what it can
            }
        }
        work.dropped += u64::from(admission.dropped);
        if before == State::SynReceived && admission.credible && self.guard.send.flight() == 0 {
            self.stage = Stage::Asleep;
        }
        let payload = headers.payload_range();
        let news = tcp.flags.fin() || !payload.is_empty();
        let woken = news && (admission.feed || admission.tell) && self.wake();
        let end = tcp.seq.wrapping_add(payload.len() as u32);
        if tcp.flags.rst() {
            if admission.feed {
                self.take_reset(packet, work);
            }
        } else if admission.feed && woken && self.guard.overflows(end) {
            self.guard.hold(tcp.seq, &packet[payload], tcp.flags.fin());
        } else if admission.feed {
            self.feed(packet, work);
        } else if admission.tell {
            self.tell(true, work);
        }
        if admission.feed || admission.tell {
            self.feed_held(work);
        }
        match admission.answer {
            Answer::No => {}
            Answer::Seldom => self.answer_seldom(0, work),
            Answer::Challenge => self.answer_seldom(1, work),
            Answer::Always => self.answer(work),
            Answer::Each => (0..segments).for_each(|_| self.answer(work)),
        }
        if self.orphan.is_some() || self.read_shut {
            self.discard();
        }
    }

    /// The most data that fits into a packet of ours.
    fn local_mss(&self) -> u32 {
        mss(self.mtu, self.key) as u32
    }

    /// What smoltcp is told of the device. Packets that are cut elsewhere may be of any length,
    /// but for Nagle's algorithm, which is about segments as they are on the path.
    pub(super) fn shape(&self) -> Shape {
        Shape {
            mtu: match self.offload && !self.nagle {
                true => LONGEST,
                false => self.mtu,
            },
            checksums: !self.offload,
        }
    }

    /// The peer has reset the connection. What came before stays there to be read.
    fn take_reset<F: Flavor>(&mut self, packet: &mut [u8], work: &mut Work<'_, F>) {
        let before = self.state();
        match self.stage {
            Stage::Awake(_) => self.feed(packet, work),
            _ => self.stage = Stage::CLOSED,
        }
        if before != State::Closed && self.state() == State::Closed {
            self.unsaid = None;
            self.end.get_or_insert(match before {
                State::SynSent => End::Refused,
                _ => End::Reset,
            });
        }
    }

    /// Shows smoltcp a packet.
    fn feed<F: Flavor>(&mut self, packet: &mut [u8], work: &mut Work<'_, F>) {
        let shape = self.shape();
        let Stage::Awake(awake) = &mut self.stage else {
            return; // there is nothing that it would have to know
        };
        let mut port = port(&mut self.guard, &mut self.waiting, self.key, work);
        let mut device = OnePacket::new(shape, Some(packet), &mut port);
        let mut iface = interface(&mut device, 0);
        awake.sockets(|sockets| iface.poll_ingress_single(STILL, &mut device, sockets));
    }

    /// Shows smoltcp what came too early and no longer is. Behind a FIN there is nothing.
    fn feed_held<F: Flavor>(&mut self, work: &mut Work<'_, F>) {
        while !self.ended() {
            let received = self.received();
            let Some(piece) = self.guard.piece(received) else {
                return;
            };
            let mut packet = self.guard.deliver(&piece).packet(self.key);
            self.feed(&mut packet, work);
        }
    }

    /// Tells smoltcp what it may send, if it does not know and would do something else.
    pub(super) fn tell<F: Flavor>(&mut self, always: bool, work: &mut Work<'_, F>) {
        if !always && self.state() == State::LastAck {
            return; // without anything new it would be taken for a repetition
        }
        let (received, unsent) = (self.received(), self.unsent());
        if let Some(word) = self.guard.word(received, unsent, always) {
            let mut out = [0; segment::BRIEF];
            self.feed(word.packet_in(self.key, &mut out), work);
        }
    }

    /// How far the peer's numbers have come beyond what has been read: what waits, and the FIN.
    fn received(&self) -> usize {
        self.stage.recv_queue() + usize::from(self.ended())
    }

    /// Whether the peer's FIN has come, with all before it.
    fn ended(&self) -> bool {
        matches!(
            self.state(),
            State::CloseWait | State::Closing | State::LastAck | State::TimeWait
        )
    }

    /// What was written and has never been sent, in bytes.
    fn unsent(&self) -> usize {
        let flight = self.guard.send.flight() as usize;
        self.stage.send_queue().saturating_sub(flight)
    }

    /// Tells the peer where this connection is, unless that was just done for the same `reason`.
    fn answer_seldom<F: Flavor>(&mut self, reason: usize, work: &mut Work<'_, F>) {
        let last = &mut self.answered_at[reason];
        if last.is_none_or(|at| work.now >= at + SELDOM) {
            *last = Some(work.now);
            self.answer(work);
        }
    }

    /// Tells the peer at once what has come.
    fn answer<F: Flavor>(&mut self, work: &mut Work<'_, F>) {
        let now = work.context.fixed.micros(work.now);
        let received = self.received();
        let ack = self.guard.answer(now, received, self.ttl);
        let ack = ack.packet(self.key.reversed());
        let driver = work.hub.with(|hub| hub.push(ack.into(), false));
        work.wakes.extend(driver);
    }

    /// Sends what there is to send, wakes who can go on, and arms the next deadline. Every piece
    /// of work on a connection ends with this.
    pub(crate) fn settle<F: Flavor>(&mut self, work: &mut Work<'_, F>) {
        if let Some(Orphan { late: true, .. }) = self.orphan
            && self.stage.send_queue() == 0
        {
            // Data for nobody: RFC 1122, 4.2.2.13 asks for a reset. What was written has arrived.
            self.break_off();
        }
        let deadline = self.egress(work);
        let state = self.state();
        if !self.connected
            && !matches!(
                state,
                State::Listen | State::SynSent | State::SynReceived | State::Closed
            )
        {
            self.connected = true;
            self.handshake_by = None;
            if self.listened {
                work.shaken = Some(true);
            }
        }
        let unsent = self.unsent();
        let owed = state != State::Closed && self.guard.send.owed(unsent);
        self.owed_since = if owed {
            self.owed_since.or(Some(work.now))
        } else {
            None
        };
        self.wake_tasks(&mut work.wakes);
        self.leave_when_over(state, work);
        if self.detached {
            self.stage.retire();
        } else {
            let bedtime = self.doze((state, deadline.is_some()), work);
            self.arm([deadline, bedtime], work);
        }
    }

    /// Whether a task waits to read what has come.
    pub(crate) fn wakes_reader(&self) -> bool {
        self.connected && self.reader.is_awaited() && self.stage.recv_queue() > 0
    }

    fn wake_tasks(&mut self, wakes: &mut Wakes) {
        let over = self.end.is_some();
        if !self.connected && !over {
            return;
        }
        self.note_acknowledged();
        let delivered = over || self.all_acknowledged;
        let readable = over || self.stage.readable();
        // A writer is woken for a good piece of the buffer, not for every acknowledgement.
        let writable = over || self.stage.writable();
        if readable {
            self.reader.drain_into(wakes);
        }
        if writable {
            self.writer.drain_into(wakes);
        }
        if delivered {
            self.flusher.drain_into(wakes);
        }
    }

    /// Notes whether the peer has acknowledged everything: a connection that ends later with an
    /// error has still delivered it.
    fn note_acknowledged(&mut self) {
        if self.end.is_none() {
            let finished = matches!(
                self.state(),
                State::FinWait2 | State::TimeWait | State::Closed
            );
            self.all_acknowledged = (finished || !self.write_shut) && self.stage.send_queue() == 0;
        }
    }

    /// There is room in the outbound queue again.
    pub(crate) fn on_room<F: Flavor>(&mut self, work: &mut Work<'_, F>) {
        self.waiting = false;
        work.turn = true;
        self.settle(work);
    }
}

/// The most data that fits into a packet of `mtu` bytes.
fn mss(mtu: usize, key: FlowKey) -> usize {
    mtu.saturating_sub(if key.is_ipv6() { 60 } else { 40 })
}

fn port<'a, F: Flavor>(
    guard: &'a mut Guard,
    waiting: &'a mut bool,
    key: FlowKey,
    work: &'a mut Work<'_, F>,
) -> Port<'a, F> {
    Port {
        hub: work.hub,
        guard,
        now: work.context.fixed.micros(work.now),
        key,
        waiting,
        wakes: &mut work.wakes,
        sent: 0,
        turn: work.turn,
        reserved: false,
        spare: None,
    }
}

/// An interface for the length of one call. It takes a few nanoseconds to make, so none is kept.
fn interface<O: Outbound>(device: &mut OnePacket<'_, O>, seed: u64) -> Interface {
    let mut config = Config::new(HardwareAddress::Ip);
    config.random_seed = seed;
    let mut iface = Interface::new(config, device, STILL);
    iface.set_any_ip(true);
    iface
}

/// The queue, of so many, through which a connection that begins here sends.
///
/// Any would do: a device that spreads packets over its queues learns from ours.
pub(crate) fn queue_of(key: FlowKey, queues: usize) -> u8 {
    match queues {
        1 => 0,
        // There are no more than 255.
        _ => (FixedState::default().hash_one(key) % queues as u64) as u8,
    }
}

pub(crate) fn unaddressable() -> io::Error {
    io::Error::new(
        io::ErrorKind::AddrNotAvailable,
        "both ends need a unicast address of one family and a port other than 0",
    )
}
