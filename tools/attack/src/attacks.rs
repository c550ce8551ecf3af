//! The attacks.

mod connected;
mod hostile;
mod spoofed;

use crate::packet::{Batch, Seen};
use std::time::Instant;

/// A source of hostile packets.
pub(crate) trait Attack {
    /// Appends at most `room` packets.
    fn fill(&mut self, now: Instant, room: usize, out: &mut Batch);

    /// Takes an answer of the victim, and may answer to it.
    fn receive(&mut self, _now: Instant, _seen: &Seen<'_>, _out: &mut Batch) {}

    /// Ends what is open.
    fn finish(&mut self, _out: &mut Batch) {}
}

/// What a victim may do under an attack, beside serving honest clients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The most resident memory more, in bytes.
    pub(crate) memory: u64,
    /// Whether the resident memory must be given back within a minute.
    pub(crate) given_back: bool,
    /// The most bytes in answer to each byte, and the most packets to each packet.
    pub(crate) answers: Option<f64>,
}

/// An attack by its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) bounds: Bounds,
    /// Which counters of the stack hold the packets of the attack: see `counters`.
    pub(crate) accounts: &'static [&'static str],
    /// How many connections or sources, and with `--quick`.
    pub(crate) size: usize,
    pub(crate) quick: usize,
    pub(crate) begin: fn(size: usize) -> Box<dyn Attack>,
}

const MIB: u64 = 1 << 20;
/// For packets of sources that may be spoofed. The few SYN-ACKs from before the pressure are sent again.
const SPOOFED: Bounds = Bounds {
    memory: 16 * MIB,
    given_back: true,
    answers: Some(1.01),
};
/// For datagrams that make sessions. The tasks of the victim and what the stack allocates for them lie
/// side by side, and the allocator of glibc keeps what is free in the middle of its heap.
const SESSIONS: Bounds = Bounds {
    given_back: false,
    ..SPOOFED
};
/// For peers with connections: they may hold memory, within the budget of the victim.
const CONNECTED: Bounds = Bounds {
    memory: crate::victim::BUDGET as u64,
    given_back: false,
    answers: None,
};

impl Kind {
    pub(crate) const ALL: &'static [Self] = &[
        Self {
            name: "syn-one",
            about: "SYNs from one address, its ports by turns",
            bounds: SPOOFED,
            accounts: &[],
            size: 1,
            quick: 1,
            begin: |size| Box::new(spoofed::Syns::new(size)),
        },
        Self {
            name: "syn-many",
            about: "SYNs from random addresses",
            bounds: SPOOFED,
            accounts: &[],
            size: 1 << 24,
            quick: 1 << 24,
            begin: |size| Box::new(spoofed::Syns::new(size)),
        },
        Self {
            name: "udp-many",
            about: "datagrams of 64 bytes from 100,000 addresses",
            bounds: SESSIONS,
            accounts: &["UDP datagrams in", "dropped, UDP*"],
            size: 100_000,
            quick: 5_000,
            begin: |size| Box::new(spoofed::Datagrams::new(size)),
        },
        Self {
            name: "fragments-open",
            about: "first fragments of packets that never become whole",
            bounds: SPOOFED,
            accounts: &["fragments in"],
            size: 1,
            quick: 1,
            begin: |_| Box::new(spoofed::Fragments::new(spoofed::Pattern::Open)),
        },
        Self {
            name: "fragments-overlap",
            about: "fragments that overlap each other",
            bounds: SPOOFED,
            accounts: &["fragments in"],
            size: 1,
            quick: 1,
            begin: |_| Box::new(spoofed::Fragments::new(spoofed::Pattern::Overlap)),
        },
        Self {
            name: "fragments-tiny",
            about: "fragments of 8 bytes, every second one missing",
            bounds: SPOOFED,
            accounts: &["fragments in"],
            size: 1,
            quick: 1,
            begin: |_| Box::new(spoofed::Fragments::new(spoofed::Pattern::Tiny)),
        },
        Self {
            name: "rst-storm",
            about: "RSTs to open connections at random sequence numbers, and to no connection",
            bounds: SPOOFED,
            accounts: &[],
            size: 64,
            quick: 16,
            begin: |size| Box::new(connected::Storm::new(size)),
        },
        Self {
            name: "ack-storm",
            about: "ACKs of no connection, which ask for a RST",
            bounds: SPOOFED,
            accounts: &[],
            size: 1 << 24,
            quick: 1 << 24,
            begin: |size| Box::new(spoofed::Acks::new(size)),
        },
        Self {
            name: "icmp-errors",
            about: "ICMP errors that quote segments which were not sent",
            bounds: SPOOFED,
            accounts: &["ICMP errors in"],
            size: 1,
            quick: 1,
            begin: |_| Box::new(spoofed::IcmpErrors::new()),
        },
        Self {
            name: "icmp-echoes",
            about: "echo requests of 64 bytes from random addresses",
            bounds: SPOOFED,
            accounts: &["echo replies", "dropped, queue of replies full"],
            size: 1,
            quick: 1,
            begin: |_| Box::new(spoofed::Echoes::new()),
        },
        Self {
            name: "tiny-windows",
            about: "peers that ask for data and open windows of 0 to 3 bytes",
            bounds: CONNECTED,
            accounts: &[],
            size: 1_000,
            quick: 100,
            begin: |size| Box::new(connected::TinyWindows::new(size)),
        },
        Self {
            name: "slow-readers",
            about: "peers that ask for data and acknowledge a segment each second",
            bounds: CONNECTED,
            accounts: &[],
            size: 1_000,
            quick: 200,
            begin: |size| Box::new(connected::SlowReaders::new(size)),
        },
        Self {
            name: "sack-holes",
            about: "SACK blocks of one byte at every second byte",
            bounds: CONNECTED,
            accounts: &[],
            size: 16,
            quick: 4,
            begin: |size| Box::new(connected::SackHoles::new(size)),
        },
        Self {
            name: "one-byte",
            about: "segments of one byte out of order, every second one missing",
            bounds: CONNECTED,
            accounts: &[],
            size: 64,
            quick: 8,
            begin: |size| Box::new(connected::OneByte::new(size)),
        },
        Self {
            name: "ack-division",
            about: "an ACK for each byte",
            bounds: CONNECTED,
            accounts: &[],
            size: 16,
            quick: 4,
            begin: |size| Box::new(connected::AckDivision::new(size)),
        },
        Self {
            name: "small-packets",
            about: "packets of 64 bytes: data of open connections, and datagrams",
            bounds: CONNECTED,
            accounts: &[],
            size: 16,
            quick: 4,
            begin: |size| Box::new(connected::SmallPackets::new(size)),
        },
        Self {
            name: "hostile",
            about: "segments of all kinds near the sequence numbers of open connections, damaged packets",
            bounds: CONNECTED,
            accounts: &[],
            size: 256,
            quick: 32,
            begin: |size| Box::new(hostile::Hostile::new(size, 1)),
        },
    ];

    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|kind| kind.name == name)
    }
}
