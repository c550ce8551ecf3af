//! Counts the packets of one connection by kind.

use super::{CLIENT, Host, Peer, SERVER, Seg, Stream, now, pends};
use brooklet_tcp::{Config, TcpOptions};
use std::time::Duration;

/// How many packets of each kind the stack sent. A segment with data or a FIN counts once, under
/// its own kind, although it acknowledges as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub syns: usize,
    pub syn_acks: usize,
    /// Bare ACKs that acknowledge something new.
    pub acks: usize,
    /// Bare ACKs that move the right edge of the window and acknowledge nothing new.
    pub window_updates: usize,
    /// Bare ACKs that acknowledge nothing new and move no edge: duplicate ACKs, challenge ACKs.
    pub duplicate_acks: usize,
    /// Keepalive probes and window probes: bare ACKs with the number SND.NXT - 1.
    pub probes: usize,
    /// Segments with new data and without a FIN.
    pub data: usize,
    /// Segments with a FIN that was not sent before.
    pub fins: usize,
    /// Segments that begin with data or a FIN that was sent before.
    pub retransmissions: usize,
    pub rsts: usize,
}

/// No packets.
pub const NONE: Counts = Counts {
    syns: 0,
    syn_acks: 0,
    acks: 0,
    window_updates: 0,
    duplicate_acks: 0,
    probes: 0,
    data: 0,
    fins: 0,
    retransmissions: 0,
    rsts: 0,
};

/// Classifies what the stack sends on one connection.
#[derive(Debug)]
pub struct Counter {
    /// The number after the last one sent by the stack.
    nxt: u32,
    /// The last acknowledgment number and the furthest right edge.
    ack: u32,
    edge: Option<u32>,
    shift: u8,
    pub counts: Counts,
}

fn after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) as i32 > 0
}

impl Counter {
    /// Begins with an established connection, of which the stack has sent no window beside that
    /// of its SYN-ACK.
    pub fn new(peer: &Peer, syn_ack: &Seg) -> Self {
        let edge = syn_ack.ack.wrapping_add(syn_ack.window.into());
        Self {
            nxt: peer.ack,
            ack: peer.seq,
            edge: Some(edge),
            shift: syn_ack.scale.unwrap_or(0),
            counts: Counts::default(),
        }
    }

    /// Begins before the first SYN.
    pub fn before_syn() -> Self {
        Self {
            nxt: 0,
            ack: 0,
            edge: None,
            shift: 0,
            counts: Counts::default(),
        }
    }

    /// Counts `seg`.
    pub fn count(&mut self, seg: &Seg) {
        let counts = &mut self.counts;
        if seg.flags.rst() {
            counts.rsts += 1;
            return;
        }
        if seg.flags.syn() {
            self.nxt = seg.seq.wrapping_add(1);
            self.shift = seg.scale.unwrap_or(0);
            if seg.flags.ack() {
                counts.syn_acks += 1;
                self.ack = seg.ack;
                self.edge = Some(seg.ack.wrapping_add(seg.window.into()));
            } else {
                counts.syns += 1;
            }
            return;
        }
        let edge = seg.ack.wrapping_add(u32::from(seg.window) << self.shift);
        if !seg.is_bare_ack() {
            if after(self.nxt, seg.seq) {
                counts.retransmissions += 1;
            } else if seg.flags.fin() {
                counts.fins += 1;
            } else {
                counts.data += 1;
            }
            if after(seg.end(), self.nxt) {
                self.nxt = seg.end();
            }
        } else if seg.seq == self.nxt.wrapping_sub(1) {
            counts.probes += 1;
        } else if self.edge.is_none() || after(seg.ack, self.ack) {
            counts.acks += 1;
        } else if self.edge.is_some_and(|last| after(edge, last)) {
            counts.window_updates += 1;
        } else {
            counts.duplicate_acks += 1;
        }
        self.ack = seg.ack;
        if self.edge.is_none_or(|last| after(edge, last)) {
            self.edge = Some(edge);
        }
    }

    /// Counts everything that the stack has to send now, and returns it.
    pub fn take(&mut self, host: &mut Host) -> Vec<Seg> {
        let sent = host.all();
        for seg in &sent {
            self.count(seg);
        }
        sent
    }

    /// The counts since the last call.
    pub fn since(&mut self, host: &mut Host) -> Counts {
        self.take(host);
        std::mem::take(&mut self.counts)
    }
}

/// When the stack sends something within `time`, in milliseconds from now, rounded, once for each
/// packet.
/// `answer` is called with each packet.
pub fn times(host: &mut Host, time: Duration, mut answer: impl FnMut(&mut Host, Seg)) -> Vec<u64> {
    let start = host.now();
    let mut at = Vec::new();
    loop {
        while let Some(seg) = host.rx() {
            at.push((host.now() - start + Duration::from_micros(500)).as_millis() as u64);
            answer(host, seg);
        }
        let next = host.engine.poll_timeout(host.now());
        match next.filter(|next| *next <= start + time) {
            Some(next) => host.pass(next.saturating_duration_since(host.now())),
            None => {
                host.pass((start + time).saturating_duration_since(host.now()));
                return at;
            }
        }
    }
}

/// Asserts that `at` are the moments `expected`, in milliseconds, to 1 %: a smoothed round-trip
/// time is a little off.
#[track_caller]
pub fn assert_times(at: &[u64], expected: &[u64]) {
    let near = |(at, expected): (&u64, &u64)| at.abs_diff(*expected) * 100 <= *expected;
    assert!(
        at.len() == expected.len() && at.iter().zip(expected).all(near),
        "sent at {at:?}, not at {expected:?}"
    );
}

/// A stack with one connection from `peer`, and a counter of the packets after the handshake.
pub fn opened_with(options: TcpOptions, mut peer: Peer) -> (Host, Peer, Stream, Counter) {
    let mut host = Host::new(Config::new().options(options));
    host.tx(peer.syn());
    assert!(pends(host.listener().accept()));
    let syn_ack = peer.establish(&mut host);
    let stream = now(host.listener().accept()).unwrap().0;
    let counter = Counter::new(&peer, &syn_ack);
    (host, peer, stream, counter)
}

pub fn opened() -> (Host, Peer, Stream, Counter) {
    opened_with(TcpOptions::default(), Peer::new(CLIENT, SERVER))
}
