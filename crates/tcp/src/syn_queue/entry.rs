//! An entry of the SYN queue.

use super::completed::Completed;
use super::lifetime::Lifetime;
use super::list::{KINDS, Link, Linked, ListKind};
use crate::syn::Syn;
use brooklet_packet::{FlowKey, Packet};

/// A SYN that waits for the program's answer.
#[derive(Debug)]
pub(crate) struct SynEntry {
    pub(crate) key: FlowKey,
    /// The queue of the device on which the SYN arrived.
    pub(crate) queue: u8,
    pub(super) stage: Stage,
    pub(crate) listener: u32,
    pub(crate) isn: u32,
    pub(super) content: Content,
    /// Distinguishes the entry from earlier ones of the same 4-tuple.
    pub(super) serial: u32,
    pub(super) lifetime: Lifetime,
    pub(super) links: [Link; KINDS],
}

/// What the program has done about an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// No listener was given it: it is in the lists of pending and of evictable entries.
    Pending,
    /// The program works on it.
    Given,
    /// The program leaves it unanswered: it is in the list of evictable entries.
    Unanswered,
}

/// The packet of an entry.
#[derive(Debug)]
pub(super) enum Content {
    /// The SYN, without data.
    Syn(Box<[u8]>),
    /// In a box: few entries have one, and every host can make SYNs.
    Completed(Box<Completed>),
}

impl Linked for SynEntry {
    fn link(&mut self, kind: ListKind) -> &mut Link {
        &mut self.links[kind as usize]
    }
}

impl SynEntry {
    /// Whether it is in the list of evictable entries while it is in `stage`.
    pub(super) fn is_evictable(&self, stage: Stage) -> bool {
        match stage {
            Stage::Pending => self.completed().is_none(),
            Stage::Given => false,
            Stage::Unanswered => true,
        }
    }

    /// The SYN, without data, or of a completed entry the segment to take in once the program accepts.
    pub(crate) fn packet(&self) -> &[u8] {
        match &self.content {
            Content::Syn(packet) => packet,
            Content::Completed(completed) => completed.packet(),
        }
    }

    /// The heap bytes of the content.
    pub(super) fn content_bytes(&self) -> usize {
        match &self.content {
            Content::Syn(packet) => packet.len(),
            Content::Completed(completed) => size_of::<Completed>() + completed.packet().len(),
        }
    }

    /// The parsed SYN. Never `None`: the packet was parsed before it was kept.
    pub(crate) fn parse(&self) -> Option<Syn> {
        if let Some(completed) = self.completed() {
            return Some(completed.cookie.syn);
        }
        let packet = Packet::parse(self.packet()).ok()?;
        Some(Syn::parse(packet.bytes(), packet.headers(), packet.tcp()?))
    }
}
