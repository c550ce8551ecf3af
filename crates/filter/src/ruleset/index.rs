//! The search for the first rule that matches a packet.
//!
//! The index is a tree. Each rule is divided into *regions*, which are products of a network of
//! destinations, a network of sources, a range of services (protocol and destination port, or ICMP
//! type), a range of source ports, a set of DSCPs, a value of some TCP flags and a packet type. A split
//! of the tree maps the prefixes of one of these fields to subtrees, and has one more subtree for the
//! regions that do not restrict the field. A leaf has regions in the order of their rules.
//!
//! A region is in the subtree of each of its prefixes and in no other: a network is one prefix, a
//! range of ports at most 30, a set of DSCPs at most 32 and TCP flags at most 128. Of regions with the
//! same packets, a tree has the one of the first rule: so the number of DSCPs, flags and packet types
//! bounds the number of regions that differ in nothing else. A search visits, at each split, the prefixes that contain the
//! packet's field and the subtree without a restriction, and leaves out those whose lowest rule comes
//! behind the best one found so far.
//!
//! Many rules have no condition but a network or a port. For these, each prefix knows the first rule
//! that matches all packets of the prefix, so that the search visits no subtree.
//!
//! Each direction has an index of its own.

mod build;
mod prefixes;
mod region;

use super::rule::Rule;
use crate::{Direction, Match};
use brooklet_packet::Packet;
use build::build;
use prefixes::{Node, PrefixMap};
use region::{Fields, Range, Region, regions};
use std::collections::HashSet;
use std::net::IpAddr;

/// Behind every rule.
const NONE: u32 = u32::MAX;

/// The index of the rules for one direction. Everything that a search visits is small and close
/// together: with 10,000 rules, most of its time is cache misses.
#[derive(Debug)]
pub(super) struct Index {
    root: Tree,
    splits: Vec<Split>,
    /// The entries of all leaves with another number of entries than one.
    entries: Vec<Entry>,
    /// The regions of entries for which the way to the leaf and the service do not tell everything.
    regions: Vec<Region>,
}

#[derive(Clone, Copy, Debug)]
enum Tree {
    One(Entry),
    Leaf { start: u32, end: u32 },
    Split(u32),
}

/// A region in a leaf.
#[derive(Clone, Copy, Debug)]
struct Entry {
    rule: u32,
    service: Range,
    /// The place of the region among the regions, or `NONE`.
    region: u32,
}

#[derive(Debug)]
struct Split {
    restricted: Restricted,
    /// The regions that do not restrict the field.
    unrestricted: Tree,
    /// The lowest rule of `unrestricted`.
    lowest: u32,
}

/// The regions that restrict a field.
#[derive(Debug)]
enum Restricted {
    Destination(Networks),
    Source(Networks),
    Service(PrefixMap<u32>),
    SourcePort(PrefixMap<u32>),
    Dscp(PrefixMap<u32>),
    Flags(PrefixMap<u32>),
    PacketType(PrefixMap<u32>),
}

#[derive(Debug)]
struct Networks {
    v4: PrefixMap<u32>,
    v6: PrefixMap<u128>,
}

/// The regions with one prefix.
#[derive(Debug)]
struct Subtree {
    tree: Tree,
    /// The lowest rule.
    lowest: u32,
    /// The lowest rule that matches every packet of the prefix.
    certain: u32,
}

impl Index {
    pub(super) fn new(rules: &[Rule], direction: Direction) -> Self {
        let mut all = Vec::new();
        let mut conditions = HashSet::new();
        for (number, rule) in rules.iter().enumerate() {
            // A rule with the conditions of an earlier one decides nothing.
            if rule.direction.is_none_or(|wanted| wanted == direction)
                && conditions.insert(rule.conditions())
            {
                regions(number as u32, rule, &mut all);
            }
        }
        build(all)
    }

    /// Returns the number of the first rule that matches.
    pub(super) fn first_match(
        &self,
        rules: &[Rule],
        packet: &Packet<'_>,
        direction: Direction,
    ) -> Option<usize> {
        let mut search = Search {
            index: self,
            fields: Fields::new(packet),
            matches: |rule: u32| rules[rule as usize].matches(packet, direction),
            best: NONE,
        };
        search.tree(self.root);
        (search.best != NONE).then_some(search.best as usize)
    }
}

struct Search<'a, M> {
    index: &'a Index,
    fields: Fields,
    /// Whether all conditions of a rule hold.
    matches: M,
    /// The lowest rule that is known to match.
    best: u32,
}

impl<'a, M: Fn(u32) -> bool> Search<'a, M> {
    fn tree(&mut self, tree: Tree) {
        match tree {
            Tree::One(entry) => {
                self.entry(&entry);
            }
            Tree::Leaf { start, end } => {
                let entries = &self.index.entries[start as usize..end as usize];
                // The first match is the lowest.
                let _ = entries.iter().any(|entry| self.entry(entry));
            }
            Tree::Split(at) => self.split(&self.index.splits[at as usize]),
        }
    }

    /// Returns whether the rule matches, or is not lower than the best one.
    fn entry(&mut self, entry: &Entry) -> bool {
        if entry.rule >= self.best {
            return true;
        }
        let (first, last) = entry.service;
        let matches = (first..=last).contains(&self.fields.service)
            && self
                .index
                .regions
                .get(entry.region as usize)
                .is_none_or(|region| self.region(region));
        if matches {
            self.best = entry.rule;
        }
        matches
    }

    fn region(&self, region: &Region) -> bool {
        region.contains(&self.fields) && (!region.more || (self.matches)(region.rule))
    }

    fn split(&mut self, split: &'a Split) {
        let Fields {
            destination,
            source,
            service,
            source_port,
            dscp,
            flags,
            packet_type,
        } = self.fields;
        match &split.restricted {
            Restricted::Destination(networks) => self.networks(networks, destination),
            Restricted::Source(networks) => self.networks(networks, source),
            Restricted::Service(services) => self.prefixes(services.of(service)),
            Restricted::SourcePort(ports) => self.prefixes(ports.of(source_port)),
            Restricted::Dscp(dscps) => self.prefixes(dscps.of(dscp.into())),
            Restricted::Flags(values) => {
                if let Some(flags) = flags {
                    self.prefixes(values.of(flags.into()));
                }
            }
            Restricted::PacketType(types) => self.prefixes(types.of(packet_type as u32)),
        }
        if split.lowest < self.best {
            self.tree(split.unrestricted);
        }
    }

    fn networks(&mut self, networks: &'a Networks, addr: IpAddr) {
        match addr {
            IpAddr::V4(addr) => self.prefixes(networks.v4.of(addr.to_bits())),
            IpAddr::V6(addr) => {
                self.prefixes(networks.v6.of(addr.to_bits()));
                // A mapped address is in networks of both families.
                if let Some(addr) = addr.to_ipv4_mapped() {
                    self.prefixes(networks.v4.of(addr.to_bits()));
                }
            }
        }
    }

    fn prefixes(&mut self, prefixes: impl Iterator<Item = &'a Node>) {
        for node in prefixes {
            self.best = self.best.min(node.certain);
            if node.lowest >= self.best {
                return;
            }
            if node.subtree.lowest < self.best {
                self.tree(node.subtree.tree);
            }
        }
    }
}
