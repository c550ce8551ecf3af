//! One session.

use super::super::list::{Link, Linked};
use super::super::queue::Queue;
use crate::flow::UdpFlow;
use crate::session::SessionEnd;
use brooklet_packet::FlowKey;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

pub(crate) struct Session {
    pub(super) key: FlowKey,
    pub(crate) client: SocketAddr,
    /// The destination of the first datagram.
    pub(crate) destination: SocketAddr,
    /// The client has sent to other destinations as well.
    pub(super) many_destinations: bool,
    /// The device queue of the first datagram.
    pub(super) device_queue: usize,
    pub(crate) queue: Queue,
    /// Why the session has ended. It is in no list and not in the table then, and stays for its
    /// handles only.
    pub(crate) end: Option<SessionEnd>,
    /// Handles of the application.
    pub(super) handles: usize,
    /// Whether the session waits to be accepted.
    pub(super) waits: bool,
    pub(super) links: [Link; 3],
    /// The place of the source among [`Sessions::sources`](super::Sessions::sources).
    pub(super) source: usize,
    pub(super) opened: Instant,
    pub(super) last_activity: Instant,
    pub(super) received: Traffic,
    pub(super) sent: Traffic,
    /// Whether the session is in the list of finished DNS exchanges.
    pub(super) finished: bool,
    pub(super) dns: Dns,
    /// What [`Filtering::remote`](crate::Filtering) says of the addresses that the client has sent
    /// to, the latest last.
    pub(super) remotes: VecDeque<SocketAddr>,
    /// The remote addresses that the latest datagrams to the client came from, the latest last.
    pub(super) sent_from: VecDeque<SocketAddr>,
}

/// Datagrams of one direction, and the bytes of their payload.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    pub(super) datagrams: u64,
    pub(super) bytes: u64,
}

/// Datagrams that a session has sent in one packet or several.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SentDatagrams {
    /// The remote host.
    pub(crate) from: SocketAddr,
    pub(crate) datagrams: usize,
    /// The bytes of payload.
    pub(crate) bytes: usize,
}

/// Counts questions and answers.
#[derive(Default)]
pub(super) struct Dns {
    pub(super) questions: usize,
    pub(super) answers: usize,
    /// The client has sent to another port than that of DNS.
    pub(super) other: bool,
}

impl Dns {
    pub(super) fn is_finished(&self) -> bool {
        !self.other && self.answers >= self.questions
    }
}

impl Linked for Box<Session> {
    fn link(&mut self, list: usize) -> &mut Link {
        &mut self.links[list]
    }
}

impl Session {
    /// The session at `now`.
    pub(super) fn flow(&self, now: Instant) -> UdpFlow {
        UdpFlow {
            source: self.client,
            destination: (!self.many_destinations).then_some(self.destination),
            age: now.saturating_duration_since(self.opened),
            idle: now.saturating_duration_since(self.last_activity),
            datagrams_in: self.received.datagrams,
            datagrams_out: self.sent.datagrams,
            bytes_in: self.received.bytes,
            bytes_out: self.sent.bytes,
            recv_queue: self.queue.bytes(),
        }
    }

    /// Whether one of the latest datagrams to the client came from `remote`.
    pub(crate) fn has_sent_from(&self, remote: SocketAddr) -> bool {
        self.sent_from.contains(&remote)
    }
}

/// Makes `address` the last of at most `most` addresses. Returns how many bytes the list has
/// allocated for it.
pub(super) fn remember(
    addresses: &mut VecDeque<SocketAddr>,
    address: SocketAddr,
    most: usize,
) -> usize {
    // Most often it is the same address again.
    match addresses.iter().rposition(|known| *known == address) {
        Some(at) if at + 1 == addresses.len() => return 0,
        Some(at) => _ = addresses.remove(at),
        None if addresses.len() >= most => _ = addresses.pop_front(),
        None => {}
    }
    let room = addresses.capacity();
    addresses.push_back(address);
    (addresses.capacity() - room) * size_of::<SocketAddr>()
}
