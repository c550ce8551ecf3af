//! The construction of the index.

use super::prefixes::{Number, PrefixMap, prefixes_of};
use super::region::{ALL, Range, Region};
use super::{Field, MAX_LEAF, NONE, Networks, Restricted, Split, Subtree, Tree};
use crate::IpNet;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

/// The regions with one prefix.
type Groups<K> = BTreeMap<(K, Reverse<K>), Vec<Region>>;

#[derive(Default)]
pub(super) struct Builder {
    pub(super) regions: Vec<Region>,
}

impl Builder {
    /// Builds the tree of `regions`, which are in the order of their rules.
    pub(super) fn tree(&mut self, mut regions: Vec<Region>) -> Tree {
        // No packet comes to the rules behind one that matches all packets.
        if let Some(last) = regions.iter().position(Region::is_everything) {
            regions.truncate(last + 1);
        }
        if regions.len() > MAX_LEAF
            && let Some(field) = most_divided(&regions)
        {
            return Tree::Split(Box::new(self.split(regions, field)));
        }
        let start = self.regions.len() as u32;
        self.regions.extend(regions);
        let end = self.regions.len() as u32;
        Tree::Leaf { start, end }
    }

    fn split(&mut self, regions: Vec<Region>, field: Field) -> Split {
        let (restrict, rest): (Vec<Region>, Vec<Region>) = regions
            .into_iter()
            .partition(|region| restricts(region, field));
        let restricted = match field {
            Field::Destination => {
                Restricted::Destination(self.networks(restrict, |region| region.destination.take()))
            }
            Field::Source => {
                Restricted::Source(self.networks(restrict, |region| region.source.take()))
            }
            Field::Service => {
                Restricted::Service(self.ranges(restrict, |region| &mut region.service))
            }
            Field::SourcePort => {
                Restricted::SourcePort(self.ranges(restrict, |region| &mut region.source_port))
            }
        };
        Split {
            restricted,
            lowest: lowest(&rest),
            unrestricted: self.tree(rest),
        }
    }

    /// `take` takes the network of the field out of a region: the way to the subtree tells it.
    fn networks(
        &mut self,
        regions: Vec<Region>,
        take: impl Fn(&mut Region) -> Option<IpNet>,
    ) -> Networks {
        let (mut v4, mut v6) = (Groups::new(), Groups::new());
        for mut region in regions {
            match take(&mut region) {
                Some(IpNet::V4(net)) => {
                    let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
                    add(&mut v4, first, last, region);
                }
                Some(IpNet::V6(net)) => {
                    let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
                    add(&mut v6, first, last, region);
                }
                None => {}
            }
        }
        Networks {
            v4: self.prefixes(v4),
            v6: self.prefixes(v6),
        }
    }

    /// `range` returns the range of the field in a region.
    fn ranges(
        &mut self,
        regions: Vec<Region>,
        range: impl Fn(&mut Region) -> &mut Range,
    ) -> PrefixMap<u32> {
        let mut groups = Groups::new();
        for mut region in regions {
            let (first, last) = std::mem::replace(range(&mut region), ALL);
            for (first, last) in prefixes_of(first, last) {
                add(&mut groups, first, last, region);
            }
        }
        self.prefixes(groups)
    }

    fn prefixes<K: Number>(&mut self, groups: Groups<K>) -> PrefixMap<K> {
        let subtrees = groups.into_iter().map(|(prefix, regions)| {
            let lowest = lowest(&regions);
            let certain = regions.iter().find(|region| region.is_everything());
            let certain = certain.map_or(NONE, |region| region.rule);
            let tree = self.tree(regions);
            (
                prefix,
                Subtree {
                    tree,
                    lowest,
                    certain,
                },
            )
        });
        PrefixMap::new(subtrees)
    }
}

fn add<K: Number>(groups: &mut Groups<K>, first: K, last: K, region: Region) {
    groups
        .entry((first, Reverse(last)))
        .or_default()
        .push(region);
}

fn lowest(regions: &[Region]) -> u32 {
    regions.first().map_or(NONE, |region| region.rule)
}

fn restricts(region: &Region, field: Field) -> bool {
    match field {
        Field::Destination => region.destination.is_some(),
        Field::Source => region.source.is_some(),
        Field::Service => region.service != ALL,
        Field::SourcePort => region.source_port != ALL,
    }
}

/// Returns the field that the regions restrict to the most values.
fn most_divided(regions: &[Region]) -> Option<Field> {
    let fields = [
        Field::Destination,
        Field::Source,
        Field::Service,
        Field::SourcePort,
    ];
    let values = |field| {
        let regions = regions.iter().filter(|region| restricts(region, field));
        let value = |region: &Region| match field {
            Field::Destination => (region.destination, ALL),
            Field::Source => (region.source, ALL),
            Field::Service => (None, region.service),
            Field::SourcePort => (None, region.source_port),
        };
        regions.map(value).collect::<HashSet<_>>().len()
    };
    let divided = fields.map(|field| (values(field), field));
    // The first of those that divide alike.
    let divided = divided.into_iter().filter(|(values, _)| *values > 0);
    divided
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map(|(_, field)| field)
}
