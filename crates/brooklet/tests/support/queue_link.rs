//! Two devices with several queues each, joined back to back: a packet comes out of any queue of
//! the other one.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses a part of it"
)]

use brooklet::{Flavor, FlowKey, Packet, PacketBuf, PacketIo};
use brooklet_cell::Shared;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::task::{Context, Poll, Waker};

/// Packets in one queue.
const LIMIT: usize = 64;

/// One queue of a device.
pub struct LinkQueue<F: Flavor> {
    number: usize,
    inbox: Shared<F, Inbox>,
    others: Vec<Shared<F, Inbox>>,
    seen: Shared<F, Seen>,
    random: u64,
}

#[derive(Default)]
struct Inbox {
    packets: VecDeque<Vec<u8>>,
    receiver: Option<Waker>,
    senders: Vec<Waker>,
}

/// Which queues the segments with data of each flow took, as bits.
#[derive(Clone, Default)]
pub struct Seen {
    pub left_by: HashMap<FlowKey, u32>,
    pub came_by: HashMap<FlowKey, u32>,
}

/// The queues of both devices, and what is seen of the packets.
pub fn queue_links<F: Flavor>(queues: usize) -> ([Vec<LinkQueue<F>>; 2], Shared<F, Seen>) {
    let seen = Shared::new(Seen::default());
    let inboxes = || -> Vec<Shared<F, Inbox>> {
        (0..queues).map(|_| Shared::new(Inbox::default())).collect()
    };
    let (here, there) = (inboxes(), inboxes());
    let device = |own: &[Shared<F, Inbox>], others: &[Shared<F, Inbox>], seed| {
        let queue_link = |(number, inbox): (usize, &Shared<F, Inbox>)| LinkQueue {
            number,
            inbox: inbox.clone(),
            others: others.to_vec(),
            seen: seen.clone(),
            random: seed + number as u64,
        };
        own.iter().enumerate().map(queue_link).collect()
    };
    let devices = [device(&here, &there, 100), device(&there, &here, 200)];
    (devices, seen)
}

impl<F: Flavor> LinkQueue<F> {
    /// SplitMix64.
    fn draw(&mut self) -> usize {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z >> 33) as usize % self.others.len()
    }

    fn note(&self, packet: &[u8], to: usize) {
        let packet = Packet::parse(packet).unwrap();
        if packet.tcp().is_some() && !packet.payload().is_empty() {
            self.seen.with(|seen| {
                *seen.left_by.entry(packet.key()).or_default() |= 1 << self.number;
                *seen.came_by.entry(packet.key()).or_default() |= 1 << to;
            });
        }
    }
}

impl<F: Flavor> PacketIo for LinkQueue<F> {
    fn poll_recv(&mut self, cx: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<()>> {
        let (poll, senders, _old) = self.inbox.with(|inbox| match inbox.packets.pop_front() {
            Some(bytes) => {
                packet.copy_from_slice(&bytes);
                (
                    Poll::Ready(Ok(())),
                    std::mem::take(&mut inbox.senders),
                    None,
                )
            }
            None => {
                let old = inbox.receiver.replace(cx.waker().clone());
                (Poll::Pending, Vec::new(), old)
            }
        });
        senders.into_iter().for_each(Waker::wake);
        poll
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>> {
        let to = self.draw();
        let sent = self.others[to].with(|inbox| {
            if inbox.packets.len() == LIMIT {
                inbox.senders.push(cx.waker().clone());
                return Poll::Pending;
            }
            inbox.packets.push_back(packet.to_vec());
            Poll::Ready(inbox.receiver.take())
        });
        sent.map(|receiver| {
            receiver.into_iter().for_each(Waker::wake);
            self.note(packet, to);
            Ok(())
        })
    }
}
