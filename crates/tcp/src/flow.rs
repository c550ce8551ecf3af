//! One connection: a smoltcp socket of its own and what surrounds it.

mod deadlines;
mod ending;
mod repair;

use self::ending::Orphan;

use crate::TcpOptions;
use crate::context::{Fixed, Work};
use crate::error::End;
use crate::guard::{Admission, Guard};
use crate::hub::Port;
use crate::segment::Segment;
use crate::syn::Syn;
use crate::wake::{WakerSlot, Wakes};
use brooklet_cell::Flavor;
use brooklet_device::{OnePacket, Outbound};
use brooklet_packet::{FlowKey, Headers};
use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer, State};
use smoltcp::wire::{HardwareAddress, IpEndpoint};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::time::{Duration, Instant};

/// Packets that a connection may make before others have their turn.
const QUOTA: usize = 64;

/// How long to leave alone a socket that says it has work and does none; doubles each time.
const BACK_OFF: Duration = Duration::from_millis(10);

/// Challenge acknowledgements are at least so far apart (RFC 5961, 7).
const CHALLENGE: Duration = Duration::from_secs(1);

pub(crate) struct Flow {
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    /// As the peer's packets have it: from the peer to here.
    key: FlowKey,
    pub(crate) guard: Guard,
    pub(crate) reader: WakerSlot,
    pub(crate) writer: WakerSlot,
    /// Streams that lead here.
    pub(crate) handles: usize,
    /// The listener answered it and nobody has collected it yet.
    pub(crate) listened: bool,
    pub(crate) connected: bool,
    pub(crate) end: Option<End>,
    pub(crate) read_shut: bool,
    orphan: Option<Orphan>,
    handshake_by: Option<Instant>,
    /// Since when the peer owes an acknowledgement and has not been heard of.
    owed_since: Option<Instant>,
    /// The next moment at which there is something to do.
    wanted: Option<Instant>,
    /// The moment that stands for this connection among the timers: that one or an earlier one.
    armed: Option<Instant>,
    /// Noted in the outbound queue as having more to send.
    waiting: bool,
    /// On the engine's list of connections that the current batch touched.
    pub(crate) touched: bool,
    /// No longer in the table.
    detached: bool,
    back_off: u32,
    /// When the FIN is sent again from here, and how long that was waited for.
    fin_again: Option<(Instant, Duration)>,
    challenged_at: Option<Instant>,
    /// The SYN that is still to be answered.
    syn: Option<Syn>,
    user_timeout: Option<Duration>,
}

impl std::fmt::Debug for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flow")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl Flow {
    /// Makes a connection that answers the SYN of `key` once it is [`open`](Self::open)ed.
    pub(crate) fn passive(
        key: FlowKey,
        syn: &Syn,
        options: &TcpOptions,
        fixed: &Fixed,
        now: Instant,
    ) -> io::Result<Self> {
        let mut flow = Self::new(key, options, fixed, now);
        flow.guard.begin(syn.isn);
        flow.syn = Some(*syn);
        let local = IpEndpoint::from(key.destination());
        flow.socket().listen(local).map_err(|_| unaddressable())?;
        Ok(flow)
    }

    /// Makes a connection that sends a SYN from the destination of `key` to its source.
    pub(crate) fn active(
        key: FlowKey,
        options: &TcpOptions,
        fixed: &Fixed,
        now: Instant,
    ) -> io::Result<Self> {
        let mut flow = Self::new(key, options, fixed, now);
        let mut device = OnePacket::new(fixed.config.mtu, None, NoRoom);
        let seed = flow.seed(fixed, now);
        let mut iface = interface(&mut device, fixed.smoltcp_now(now), seed);
        let (peer, local) = (
            IpEndpoint::from(key.source()),
            IpEndpoint::from(key.destination()),
        );
        flow.socket()
            .connect(iface.context(), peer, local)
            .map_err(|_| unaddressable())?;
        Ok(flow)
    }

    fn new(key: FlowKey, options: &TcpOptions, fixed: &Fixed, now: Instant) -> Self {
        let config = &fixed.config;
        let mut socket = Socket::new(
            SocketBuffer::new(vec![0; options.recv_buffer]),
            SocketBuffer::new(vec![0; options.send_buffer]),
        );
        // Each batch of packets is answered once when it ends, so nothing is gained by waiting.
        socket.set_ack_delay(None);
        socket.set_nagle_enabled(false);
        // Said outright: another crate's choice of smoltcp features would change the default.
        socket.set_congestion_control(CongestionControl::None);
        // smoltcp's timeout ends connections that are merely idle. It serves where the peer is
        // asked now and then; otherwise time is kept here, and only while the peer owes an answer.
        if let Some(keepalive) = options.keepalive {
            socket.set_keep_alive(Some(keepalive.into()));
            // It counts from the last word of the peer, not from the first question.
            socket.set_timeout(options.user_timeout.map(|time| (keepalive + time).into()));
        }
        let mut sockets = SocketSet::new(Vec::with_capacity(1));
        let handle = sockets.add(socket);
        Self {
            sockets,
            handle,
            key,
            guard: Guard::default(),
            reader: WakerSlot::default(),
            writer: WakerSlot::default(),
            handles: 0,
            listened: false,
            connected: false,
            end: None,
            read_shut: false,
            orphan: None,
            handshake_by: Some(now + config.handshake_timeout),
            owed_since: None,
            wanted: None,
            armed: None,
            waiting: false,
            touched: false,
            detached: false,
            back_off: 0,
            fin_again: None,
            challenged_at: None,
            syn: None,
            user_timeout: options.user_timeout,
        }
    }

    /// Answers the SYN that the connection was made for. The caller settles it afterwards.
    pub(crate) fn open<F: Flavor>(&mut self, work: &mut Work<'_, F>) {
        let Some(syn) = self.syn.take() else { return };
        let mut packet = syn.packet(self.key, None, syn.window, syn.scale);
        if let Ok(headers) = Headers::parse(&packet) {
            self.ingress(&mut packet, &headers, work);
        }
    }

    pub(crate) fn key(&self) -> FlowKey {
        self.key
    }

    pub(crate) fn socket(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.handle)
    }

    fn state(&mut self) -> State {
        self.socket().state()
    }

    /// Feeds one packet of the peer. The caller settles the connection afterwards.
    pub(crate) fn ingress<F: Flavor>(
        &mut self,
        packet: &mut [u8],
        headers: &Headers,
        work: &mut Work<'_, F>,
    ) {
        let Some(tcp) = headers.tcp() else { return };
        if self.detached {
            return;
        }
        self.owed_since = None; // the peer is there
        let before = self.state();
        let received = self.received();
        let synchronized = !matches!(
            before,
            State::Closed | State::Listen | State::SynSent | State::SynReceived
        );
        match self
            .guard
            .admit(packet, headers, tcp, received, synchronized)
        {
            Admission::Granted => {}
            Admission::Refused => return,
            Admission::Challenged => return self.challenge(work),
        }

        let fixed = &*work.context.fixed;
        // The seed decides our initial sequence number, and nothing else.
        let seed = if before == State::Listen {
            self.seed(fixed, work.now)
        } else {
            0
        };
        let now = fixed.smoltcp_now(work.now);
        let mut port = port(&mut self.guard, &mut self.waiting, self.key, work);
        let mut device = OnePacket::new(fixed.config.mtu, Some(packet), &mut port);
        let mut iface = interface(&mut device, now, seed);
        iface.poll_ingress_single(now, &mut device, &mut self.sockets);
        drop(port);

        let state = self.state();
        if tcp.flags.rst() && before != state && matches!(state, State::Closed | State::Listen) {
            self.end.get_or_insert(match before {
                State::SynSent => End::Refused,
                _ => End::Reset,
            });
            // A reset in SYN-RECEIVED would leave a socket that takes any client's SYN.
            self.socket().close();
        }
        if self.orphan.is_some() || self.read_shut {
            self.discard();
        }
    }

    /// How far the peer's numbers have come beyond what has been read: what waits, and the FIN.
    fn received(&mut self) -> usize {
        let fin = matches!(
            self.state(),
            State::CloseWait | State::Closing | State::LastAck | State::TimeWait
        );
        self.socket().recv_queue() + usize::from(fin)
    }

    /// Tells the peer where this connection is (RFC 5961, 3.2 and 4.2), once a second at most.
    fn challenge<F: Flavor>(&mut self, work: &mut Work<'_, F>) {
        if self
            .challenged_at
            .is_some_and(|at| work.now < at + CHALLENGE)
        {
            return;
        }
        self.challenged_at = Some(work.now);
        let (seq, ack, window) = self.guard.present();
        let ack = Segment {
            seq,
            ack: Some(ack),
            window,
            ..Segment::default()
        }
        .packet(self.key.reversed());
        let driver = work.context.hub.with(|hub| hub.push(ack.into(), false));
        work.wakes.extend(driver);
    }

    /// Sends what there is to send, wakes who can go on, and arms the next deadline. Every piece
    /// of work on a connection ends with this.
    pub(crate) fn settle<F: Flavor>(&mut self, work: &mut Work<'_, F>) {
        if let Some(Orphan { late: true, .. }) = self.orphan
            && self.socket().send_queue() == 0
        {
            // Data for nobody: RFC 1122, 4.2.2.13 asks for a reset. What was written has arrived.
            self.socket().abort();
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
        let owed = self.owes();
        self.owed_since = if owed {
            self.owed_since.or(Some(work.now))
        } else {
            None
        };
        self.wake_tasks(&mut work.wakes);
        self.leave_when_over(state, work);
        if !self.detached {
            self.arm(deadline, work);
        }
    }

    /// Makes packets until there are none, the queue is full or others should have their turn.
    /// Returns when smoltcp wants to be called again.
    fn egress<F: Flavor>(&mut self, work: &mut Work<'_, F>) -> Option<Instant> {
        if self.detached {
            return None;
        }
        let before = self.state();
        let fixed = &*work.context.fixed;
        let now = fixed.smoltcp_now(work.now);
        let mut port = port(&mut self.guard, &mut self.waiting, self.key, work);
        let mut device = OnePacket::new(fixed.config.mtu, None, &mut port);
        let mut iface = interface(&mut device, now, 0);
        // A place is reserved before smoltcp makes a packet: it forgets a fast retransmission, and
        // with it the whole flight, when it finds none halfway.
        let mut at = iface.poll_at(now, &self.sockets);
        let mut rounds = 0;
        while at.is_some_and(|at| at <= now) {
            if rounds == QUOTA {
                device.outbound().wait();
                break;
            }
            if !device.outbound().reserve() {
                break;
            }
            rounds += 1;
            let made = iface.poll_egress(now, &mut device, &mut self.sockets);
            at = iface.poll_at(now, &self.sockets);
            if made == PollResult::None {
                break;
            }
        }
        drop(port);
        // With keepalive smoltcp itself finds that the peer is gone.
        if self.state() == State::Closed && !matches!(before, State::Closed | State::TimeWait) {
            self.end.get_or_insert(End::TimedOut);
        }
        if self.waiting {
            return None; // called again when there is room
        }
        if at.is_none() && self.connected && self.owes() {
            if self.socket().send_queue() == 0 {
                return Some(self.finish_again(work));
            }
            at = self.start_probing(fixed, now);
        }
        self.fin_again = None;
        let at = fixed.std_instant(at?);
        if at > work.now {
            self.back_off = 0;
            return Some(at);
        }
        // smoltcp says "now" in some states in which it then does nothing.
        let pause = BACK_OFF * (1 << self.back_off.min(10));
        self.back_off += 1;
        Some(work.now + pause)
    }

    /// Whether the peer has something to acknowledge.
    fn owes(&mut self) -> bool {
        let socket = self.socket();
        match socket.state() {
            State::Closed => false,
            State::FinWait1 | State::Closing | State::LastAck => true,
            _ => socket.send_queue() > 0,
        }
    }

    fn wake_tasks(&mut self, wakes: &mut Wakes) {
        let over = self.end.is_some();
        if !self.connected && !over {
            return;
        }
        let socket = self.socket();
        let readable = over || socket.can_recv() || !socket.may_recv();
        // A writer is woken for a good piece of the buffer, not for every acknowledgement.
        let room = socket.send_capacity() - socket.send_queue();
        let writable = over || !socket.may_send() || room * 4 >= socket.send_capacity();
        if readable {
            self.reader.drain_into(wakes);
        }
        if writable {
            self.writer.drain_into(wakes);
        }
    }

    /// There is room in the outbound queue again.
    pub(crate) fn on_room<F: Flavor>(&mut self, work: &mut Work<'_, F>) {
        self.waiting = false;
        self.settle(work);
    }

    /// A hash of the tuple, the time and a secret: initial sequence numbers cannot be guessed
    /// from those of other tuples (RFC 6528).
    fn seed(&self, fixed: &Fixed, now: Instant) -> u64 {
        let mut hasher = DefaultHasher::new();
        fixed.secret.hash(&mut hasher);
        self.key.hash(&mut hasher);
        // A tick of 4 us, as in RFC 6528, 3.
        (now.saturating_duration_since(fixed.epoch).as_micros() / 4).hash(&mut hasher);
        hasher.finish()
    }
}

fn port<'a, F: Flavor>(
    guard: &'a mut Guard,
    waiting: &'a mut bool,
    key: FlowKey,
    work: &'a mut Work<'_, F>,
) -> Port<'a, F> {
    Port {
        hub: &work.context.hub,
        guard,
        key,
        waiting,
        wakes: &mut work.wakes,
        reserved: false,
    }
}

/// An interface for the length of one call. It takes a few nanoseconds to make, so none is kept.
fn interface<O: Outbound>(
    device: &mut OnePacket<'_, O>,
    now: smoltcp::time::Instant,
    seed: u64,
) -> Interface {
    let mut config = Config::new(HardwareAddress::Ip);
    config.random_seed = seed;
    let mut iface = Interface::new(config, device, now);
    iface.set_any_ip(true);
    iface
}

pub(crate) fn unaddressable() -> io::Error {
    io::Error::new(
        io::ErrorKind::AddrNotAvailable,
        "both ends need a unicast address of one family and a port other than 0",
    )
}

/// A device that takes nothing, for calls that make no packet.
struct NoRoom;

impl Outbound for NoRoom {
    fn reserve(&mut self) -> bool {
        false
    }
    fn buffer(&mut self) -> brooklet_device::PacketBuf {
        brooklet_device::PacketBuf::default()
    }
    fn push(&mut self, _: brooklet_device::PacketBuf) {}
}
