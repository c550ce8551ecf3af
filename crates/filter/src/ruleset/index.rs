//! The search for the first rule that matches a packet.
//!
//! The index is a tree. Each rule is divided into *regions*, which are products of a network of
//! destinations, a network of sources, a range of services (protocol and destination port, or ICMP
//! type) and a range of source ports. A split of the tree maps the prefixes of one of these fields to
//! subtrees, and has one more subtree for the regions that do not restrict the field. A leaf has
//! regions in the order of their rules.
//!
//! A region is in the subtree of each of its prefixes and in no other: a network is one prefix, and a
//! range of ports at most 30. So a search visits, at each split, the prefixes that contain the
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
use build::Builder;
use prefixes::{Node, PrefixMap};
use region::{Fields, Region, regions};
use std::net::IpAddr;

/// The most regions that the index compares one after the other if it can divide them.
const MAX_LEAF: usize = 4;

/// Behind every rule.
const NONE: u32 = u32::MAX;

/// The index of the rules for one direction.
#[derive(Debug)]
pub(super) struct Index {
    root: Tree,
    /// The regions of all leaves, without the fields that the way to the leaf tells.
    regions: Vec<Region>,
}

#[derive(Debug)]
enum Tree {
    Leaf { start: u32, end: u32 },
    Split(Box<Split>),
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Destination,
    Source,
    Service,
    SourcePort,
}

impl Index {
    pub(super) fn new(rules: &[Rule], direction: Direction) -> Self {
        let mut all = Vec::new();
        for (number, rule) in rules.iter().enumerate() {
            if rule.direction.is_none_or(|wanted| wanted == direction) {
                regions(number as u32, rule, &mut all);
            }
        }
        let mut builder = Builder::default();
        let root = builder.tree(all);
        Self {
            root,
            regions: builder.regions,
        }
    }

    /// Returns the number of the first rule that matches.
    pub(super) fn first_match(
        &self,
        rules: &[Rule],
        packet: &Packet<'_>,
        direction: Direction,
    ) -> Option<usize> {
        let mut search = Search {
            regions: &self.regions,
            fields: Fields::new(packet),
            matches: |rule: u32| rules[rule as usize].matches(packet, direction),
            best: NONE,
        };
        search.tree(&self.root);
        (search.best != NONE).then_some(search.best as usize)
    }
}

struct Search<'a, M> {
    regions: &'a [Region],
    fields: Fields,
    /// Whether all conditions of a rule hold.
    matches: M,
    /// The lowest rule that is known to match.
    best: u32,
}

impl<M: Fn(u32) -> bool> Search<'_, M> {
    fn tree(&mut self, tree: &Tree) {
        match tree {
            Tree::Leaf { start, end } => self.leaf(*start as usize, *end as usize),
            Tree::Split(split) => self.split(split),
        }
    }

    fn split(&mut self, split: &Split) {
        let Fields {
            destination,
            source,
            service,
            source_port,
        } = self.fields;
        match &split.restricted {
            Restricted::Destination(networks) => self.networks(networks, destination),
            Restricted::Source(networks) => self.networks(networks, source),
            Restricted::Service(services) => self.prefixes(services.of(service)),
            Restricted::SourcePort(ports) => self.prefixes(ports.of(source_port)),
        }
        if split.lowest < self.best {
            self.tree(&split.unrestricted);
        }
    }

    fn leaf(&mut self, start: usize, end: usize) {
        let regions = &self.regions[start..end];
        let regions = regions.iter().take_while(|region| region.rule < self.best);
        let matches = |region: &&Region| {
            region.contains(&self.fields) && (!region.more || (self.matches)(region.rule))
        };
        if let Some(region) = { regions }.find(matches) {
            self.best = region.rule;
        }
    }

    fn networks(&mut self, networks: &Networks, addr: IpAddr) {
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

    fn prefixes<'t>(&mut self, prefixes: impl Iterator<Item = &'t Node>) {
        for node in prefixes {
            self.best = self.best.min(node.certain);
            if node.lowest >= self.best {
                return;
            }
            if node.subtree.lowest < self.best {
                self.tree(&node.subtree.tree);
            }
        }
    }
}
