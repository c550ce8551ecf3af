//! The link between two stacks.

use crate::host::Host;
use crate::input::Input;
use crate::run::Hash;
use brooklet::{Packet, PacketBuf, Unreachable};
use brooklet_packet::icmp;
use brooklet_sim::VirtualTime;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// A packet on its way: when it arrives, its number and its destination.
type Flight = (Instant, u64, usize, Vec<u8>);

/// Delays packets, and loses, duplicates, reorders and corrupts them as the input says.
pub(super) struct Link {
    time: VirtualTime,
    random: u64,
    flights: BinaryHeap<Reverse<Flight>>,
    number: u64,
    delay: Duration,
    /// The delay varies by this.
    spread: Duration,
    /// Of 256 packets so many are lost, come twice and are damaged.
    loss: u64,
    double: u64,
    damage: u64,
    /// The longest packet that passes, and whether the sender of a longer one is told.
    mtu: usize,
    tells: bool,
    /// Nothing passes.
    silent: bool,
    hash: Hash,
}

impl Link {
    pub(super) fn new(input: &mut Input<'_>, time: &VirtualTime) -> Self {
        let mut link = Self {
            time: time.clone(),
            random: u64::from(input.u16()) + 1,
            flights: BinaryHeap::new(),
            number: 0,
            delay: Duration::from_millis(1),
            spread: Duration::ZERO,
            loss: 0,
            double: 0,
            damage: 0,
            mtu: 65_535,
            tells: input.chance(128),
            silent: false,
            hash: Hash::default(),
        };
        for _ in 0..3 {
            link.change(input);
        }
        link
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash.value()
    }

    /// One property of the link changes.
    pub(super) fn change(&mut self, input: &mut Input<'_>) {
        match input.below(8) {
            0 => self.loss = input.pick([0, 0, 3, 12, 50]),
            1 => self.double = input.pick([0, 3, 50]),
            2 => self.damage = input.pick([0, 3, 25]),
            3 => self.delay = Duration::from_millis(input.pick([0, 1, 20, 150])),
            4 => self.spread = Duration::from_millis(input.pick([0, 0, 2, 20, 100])),
            5 => self.mtu = input.pick([65_535, 1500, 1400, 1281]),
            6 => self.tells = input.chance(128),
            _ => self.silent = input.chance(128),
        }
    }

    /// The link does no more harm.
    pub(super) fn calm(&mut self) {
        (self.loss, self.double, self.damage) = (0, 0, 0);
        (self.silent, self.spread) = (false, Duration::ZERO);
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        ((self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) * limit) >> 32
    }

    /// Takes a packet of the stack `from`.
    pub(super) fn send(&mut self, from: usize, packet: &Packet<'_>) {
        self.hash.add(packet.bytes());
        if self.silent {
            return;
        }
        if packet.total_len() > self.mtu {
            let mut error = Vec::new();
            let mtu = self.mtu as u32;
            if self.tells && icmp::error(&mut error, packet, Unreachable::PacketTooBig { mtu }) {
                self.begin(from, error);
            }
            return;
        }
        if self.below(256) < self.loss {
            return;
        }
        let copies = 1 + u64::from(self.below(256) < self.double);
        for _ in 0..copies {
            let mut bytes = packet.bytes().to_vec();
            if self.below(256) < self.damage {
                let at = self.below(bytes.len() as u64) as usize;
                bytes[at] ^= 1 << self.below(8);
            }
            self.begin(1 - from, bytes);
        }
    }

    fn begin(&mut self, to: usize, bytes: Vec<u8>) {
        let spread = self.spread.as_micros() as u64;
        let late = Duration::from_micros(self.below(spread + 1));
        self.number += 1;
        let arrival = self.time.now() + self.delay + late;
        self.flights
            .push(Reverse((arrival, self.number, to, bytes)));
    }

    /// When the next packet arrives.
    pub(super) fn next_arrival(&self) -> Option<Instant> {
        self.flights.peek().map(|Reverse(flight)| flight.0)
    }

    /// Delivers what has arrived, as long as the next packet is for the stack `to`.
    pub(super) fn deliver(&mut self, to: usize, host: &mut Host) {
        let now = self.time.now();
        while let Some(Reverse(flight)) = self.flights.peek()
            && flight.0 <= now
            && flight.2 == to
        {
            let Some(Reverse((_, _, _, bytes))) = self.flights.pop() else {
                return;
            };
            let queue = self.below(host.queues() as u64) as usize;
            host.deliver(queue, PacketBuf::from(bytes));
        }
    }
}
