//! What a connection sends: what smoltcp makes, and what is sent again.

use super::{Flow, STILL, Stage, Unsaid, interface, port};
use crate::context::Work;
use crate::guard::Guard;
use crate::segment;
use crate::seq::{Micros, after, seq};
use brooklet_cell::Flavor;
use brooklet_device::{OnePacket, Outbound};
use brooklet_io::PacketBuf;
use smoltcp::iface::{Interface, PollResult, SocketSet};
use smoltcp::socket::tcp::State;
use smoltcp::wire::TcpPacket;
use std::time::{Duration, Instant};

/// Packets that a connection may make before others have their turn.
const QUOTA: usize = 64;

/// The same in bytes, for packets that stand for many.
const QUOTA_BYTES: usize = 128 * 1024;

/// How long to leave alone a socket that says it has work and does none; doubles each time.
const BACK_OFF: Duration = Duration::from_millis(10);

impl Flow {
    /// Makes packets until there are none, the queue is full or others should have their turn.
    /// Returns when it wants to be called again.
    pub(super) fn egress<F: Flavor>(&mut self, work: &mut Work<'_, F>) -> Option<Instant> {
        if self.detached {
            return None;
        }
        if self.guard.send.lost() > 0 && matches!(self.state(), State::SynSent | State::SynReceived)
        {
            self.unsaid = Some(Unsaid::Syn);
        }
        if !self.say(work) {
            return None;
        }
        self.tell(false, work);
        self.finish(work);
        if self.owing && self.unsent() == 0 && self.state() == State::Established {
            return self.next_deadline(work); // it is called again in a moment
        }
        let mut busy = self.make(work);
        if !self.waiting && self.finish(work) {
            busy = self.make(work);
        }
        if !self.waiting {
            self.open_window(work);
        }
        if !self.waiting {
            self.send_again(work);
        }
        if self.waiting {
            return None; // called again when there is room
        }
        if busy {
            // smoltcp says "now" in some states in which it then does nothing.
            let pause = BACK_OFF * (1 << self.back_off.min(10));
            self.back_off += 1;
            return Some(work.now + pause);
        }
        self.back_off = 0;
        self.next_deadline(work)
    }

    fn next_deadline<F: Flavor>(&mut self, work: &mut Work<'_, F>) -> Option<Instant> {
        if matches!(self.state(), State::Closed | State::TimeWait) {
            return None;
        }
        let unsent = self.unsent();
        let fixed = &work.context.fixed;
        let at = self.guard.send.deadline(fixed.micros(work.now), unsent)?;
        Some(fixed.instant(at))
    }

    /// Has smoltcp make its packets. Says whether it claims to have more and makes none.
    fn make<F: Flavor>(&mut self, work: &mut Work<'_, F>) -> bool {
        let shape = self.shape();
        let Stage::Awake(awake) = &mut self.stage else {
            return false;
        };
        awake.socket(|socket| socket.set_nagle_enabled(self.nagle));
        let mut port = port(&mut self.guard, &mut self.waiting, self.key, work);
        let mut device = OnePacket::new(shape, None, &mut port);
        let mut iface = interface(&mut device, 0);
        // A place is reserved before smoltcp makes a packet: it forgets some when it finds none
        // halfway.
        let due = |iface: &mut Interface, sockets: &SocketSet<'_>| {
            iface.poll_at(STILL, sockets).is_some_and(|at| at <= STILL)
        };
        awake.sockets(|sockets| {
            let mut rounds = 0;
            while due(&mut iface, sockets) {
                if rounds == QUOTA || device.outbound().sent >= QUOTA_BYTES {
                    device.outbound().wait();
                    return false;
                }
                if !device.outbound().reserve() {
                    return false;
                }
                rounds += 1;
                let made = iface.poll_egress(STILL, &mut device, sockets);
                if made == PollResult::None {
                    return due(&mut iface, sockets);
                }
            }
            false
        })
    }

    /// Has smoltcp tell of a window that has grown by a good piece of the buffer
    /// (RFC 9293, 3.8.6.2.2). By itself it waits until the window has doubled, and so lets a peer
    /// wait that has filled the first half of it.
    fn open_window<F: Flavor>(&mut self, work: &mut Work<'_, F>) {
        if !matches!(
            self.state(),
            State::Established | State::FinWait1 | State::FinWait2
        ) {
            return;
        }
        let (received, shape) = (self.received(), self.shape());
        let Stage::Awake(awake) = &mut self.stage else {
            return;
        };
        let capacity = awake.socket(|socket| socket.recv_capacity());
        if self.guard.lags(received, capacity - received, capacity)
            // It answers a byte that it has with all that it knows.
            && let Some(old) = self.guard.old_byte(received)
        {
            let mut port = port(&mut self.guard, &mut self.waiting, self.key, work);
            if !Outbound::reserve(&mut &mut port) {
                return; // the answer would be lost
            }
            let mut out = [0; segment::BRIEF];
            let packet = old.packet_in(self.key, &mut out);
            let mut device = OnePacket::new(shape, Some(packet), &mut port);
            let mut iface = interface(&mut device, 0);
            awake.sockets(|sockets| iface.poll_ingress_single(STILL, &mut device, sockets));
        }
    }

    /// Sends again what is lost, as far as the path may be given it.
    fn send_again<F: Flavor>(&mut self, work: &mut Work<'_, F>) {
        if self.guard.send.lost() == 0 {
            return;
        }
        if matches!(
            self.state(),
            State::SynSent | State::SynReceived | State::Closed | State::TimeWait
        ) {
            return;
        }
        let now = work.context.fixed.micros(work.now);
        if self.guard.send.wants_copies() {
            self.copy(now, work);
        }
        let ttl = self.ttl;
        for _ in 0..QUOTA {
            let mut port = port(&mut self.guard, &mut self.waiting, self.key, work);
            if !Outbound::reserve(&mut &mut port) {
                return;
            }
            let again = port.guard.resend(now, ttl);
            let Some(packet) = again.map(|segment| segment.packet(self.key.reversed())) else {
                return;
            };
            port.send(packet.into());
        }
        port(&mut self.guard, &mut self.waiting, self.key, work).wait();
    }

    /// Gets out of smoltcp once more everything that is not acknowledged, to send parts of it
    /// again. It happens once for all losses that are found until they are mended.
    fn copy<F: Flavor>(&mut self, now: Micros, work: &mut Work<'_, F>) {
        let received = self.received();
        if let Some(word) = self.guard.word_for_copies(received) {
            let mut out = [0; segment::BRIEF];
            self.feed(word.packet_in(self.key, &mut out), work);
        }
        let shape = self.shape();
        let Stage::Awake(awake) = &mut self.stage else {
            return;
        };
        // Nagle's algorithm would wait for what is sent here to be acknowledged.
        awake.socket(|socket| socket.set_nagle_enabled(false));
        let mut copier = Copier {
            reached: self.guard.send.una(),
            guard: &mut self.guard,
            now,
            buffer: PacketBuf::default(),
        };
        let mut device = OnePacket::new(shape, None, &mut copier);
        let mut iface = interface(&mut device, 0);
        // At the time of its retransmission timer smoltcp begins anew with the first byte that is
        // not acknowledged, and then goes on as far as its peer's window lets it. What it has to
        // do at once comes before that: the window, in whole units, may reach beyond what has been
        // sent.
        let mut anew = false;
        awake.sockets(|sockets| {
            while let Some(at) = iface.poll_at(STILL, sockets) {
                if at > STILL {
                    if anew {
                        break; // all of it has been there
                    }
                    anew = true;
                    device.outbound().guard.send.forget_copies();
                }
                let made = iface.poll_egress(at, &mut device, sockets);
                let copier = device.outbound();
                let all = anew && !after(copier.guard.send.nxt(), copier.reached);
                if made == PollResult::None || all {
                    break;
                }
            }
        });
    }
}

/// Takes what smoltcp sends, and sends nothing.
struct Copier<'a> {
    guard: &'a mut Guard,
    now: Micros,
    /// The number after the last one seen.
    reached: u32,
    buffer: PacketBuf,
}

impl Outbound for &mut Copier<'_> {
    fn reserve(&mut self) -> bool {
        true
    }

    fn buffer(&mut self, _: usize) -> PacketBuf {
        std::mem::take(&mut self.buffer)
    }

    fn push(&mut self, packet: PacketBuf) {
        let tcp = TcpPacket::new_unchecked(&packet[segment::behind_ip(&packet)..]);
        let start = seq(tcp.seq_number());
        self.reached = start.wrapping_add(tcp.segment_len() as u32);
        self.guard
            .send
            .copy(self.now, start, tcp.payload(), tcp.fin());
        self.buffer = packet;
    }
}
