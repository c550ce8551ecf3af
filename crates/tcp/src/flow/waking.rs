//! When a connection has a socket.

use super::socket::{Awake, Stage};
use super::{Flow, STILL, Unsaid, interface, isn};
use crate::context::Work;
use brooklet_cell::Flavor;
use brooklet_device::{OnePacket, Outbound};
use brooklet_io::PacketBuf;
use smoltcp::socket::tcp::{RecvError, SendError, State};
use smoltcp::wire::IpEndpoint;
use std::time::Instant;

impl Flow {
    /// Makes the socket of an established connection that has none. Says whether it did.
    pub(super) fn wake(&mut self) -> bool {
        let Stage::Asleep = self.stage else {
            return false;
        };
        let buffers = self.claim.take();
        let Some((iss, story)) = self.guard.introduce(buffers.recv_len()) else {
            return false;
        };
        let mut awake = Awake::new(buffers, self.ttl);
        let local = IpEndpoint::from(self.key.destination());
        // The port is not 0, and the socket is new.
        let _ = awake.socket(|socket| socket.listen(local));
        let mut unheard = Unheard(PacketBuf::default());
        let mut seed = isn::seed(iss);
        for segment in story {
            let packet = segment.packet(self.key);
            let mut device = OnePacket::new(self.shape(), Some(&packet), &mut unheard);
            let mut iface = interface(&mut device, seed);
            awake.sockets(|sockets| {
                iface.poll_ingress_single(STILL, &mut device, sockets);
                iface.poll_egress(STILL, &mut device, sockets)
            });
            seed = 0;
        }
        debug_assert_eq!(awake.socket(|socket| socket.state()), State::Established);
        self.stage = Stage::Awake(awake);
        self.idle_until = None;
        true
    }

    /// Gives the socket back if it has had nothing to do for a while, or at once if there is too
    /// little memory. Says when that is.
    pub(super) fn doze<F: Flavor>(
        &mut self,
        (state, busy): (State, bool),
        work: &Work<'_, F>,
    ) -> Option<Instant> {
        let Stage::Awake(awake) = &self.stage else {
            return None;
        };
        let quiet = !busy
            && !self.waiting
            && !self.write_shut
            && self.end.is_none()
            && state == State::Established
            && self.guard.at_rest()
            && awake.is_empty();
        if !quiet {
            self.idle_until = None;
            return None;
        }
        let sleep_after = work.context.fixed.config.sleep_after;
        let until = *self
            .idle_until
            .get_or_insert_with(|| work.now + sleep_after);
        if until > work.now && !awake.scarce {
            return Some(until);
        }
        self.stage = Stage::Asleep;
        self.idle_until = None;
        self.guard.rest();
        None
    }

    /// Reads what was received into `buf`, which is not empty, or only looks at it.
    pub(crate) fn receive<F: Flavor>(
        &mut self,
        buf: &mut [u8],
        peek: bool,
        work: &mut Work<'_, F>,
    ) -> Result<usize, RecvError> {
        let received = self.stage.receive(buf, peek);
        if let (Ok(n @ 1..), false) = (received, peek) {
            self.guard.consumed(n);
            self.settle(work); // the window may have opened
        }
        received
    }

    /// Writes `buf`, as far as there is room.
    pub(crate) fn write<F: Flavor>(
        &mut self,
        buf: &[u8],
        work: &mut Work<'_, F>,
    ) -> Result<usize, SendError> {
        self.wake();
        let written = self.stage.send(buf);
        if let Ok(1..) = written {
            self.settle(work);
        }
        written
    }

    /// Sizes of the receive buffer and the send buffer when there is memory enough, in bytes.
    pub(crate) fn buffer_sizes(&self) -> (usize, usize) {
        self.claim.most()
    }

    /// Ends the connection here; the peer is told with a reset.
    pub(super) fn break_off(&mut self) {
        match &mut self.stage {
            Stage::Awake(awake) => awake.socket(|socket| socket.abort()),
            Stage::Over { .. } => {}
            stage => {
                *stage = Stage::CLOSED;
                // A peer that has never heard of the connection need not hear of its end.
                self.unsaid = match self.guard.begun() {
                    true => Some(Unsaid::Reset),
                    false => None,
                };
            }
        }
    }

    pub(crate) fn set_ttl(&mut self, ttl: u8) {
        self.ttl = ttl;
        if let Stage::Awake(awake) = &mut self.stage {
            awake.socket(|socket| socket.set_hop_limit(Some(ttl)));
        }
    }
}

/// Takes what smoltcp says while it is told a story, and forgets it.
struct Unheard(PacketBuf);

impl Outbound for &mut Unheard {
    fn reserve(&mut self) -> bool {
        true
    }

    fn buffer(&mut self, _: usize) -> PacketBuf {
        std::mem::take(&mut self.0)
    }

    fn push(&mut self, packet: PacketBuf) {
        self.0 = packet;
    }
}
