//! The construction of the index.

use super::prefixes::{Number, PrefixMap, prefixes_of, prefixes_where};
use super::region::{ALL, EVERY_DSCP, Range, Region};
use super::{Entry, Index, NONE, Networks, Restricted, Split, Subtree, Tree};
use crate::IpNet;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

/// The most regions that the index compares one after the other if it can divide them.
const MAX_LEAF: usize = 4;

/// The same where only fields with few values divide them: a region can be in many subtrees of these.
const MAX_SIMILAR: usize = 16;

/// Builds the index of `regions`, which are in the order of their rules.
pub(super) fn build(regions: Vec<Region>) -> Index {
    let mut builder = Builder::default();
    let root = builder.tree(regions);
    let Builder {
        splits,
        entries,
        regions,
    } = builder;
    Index {
        root,
        splits,
        entries,
        regions,
    }
}

#[derive(Clone, Copy)]
enum Field {
    Destination,
    Source,
    Service,
    SourcePort,
    Dscp,
    Flags,
    PacketType,
}

/// The regions with one prefix.
type Groups<K> = BTreeMap<(K, Reverse<K>), Vec<Region>>;

#[derive(Default)]
struct Builder {
    splits: Vec<Split>,
    entries: Vec<Entry>,
    regions: Vec<Region>,
}

impl Builder {
    fn tree(&mut self, mut regions: Vec<Region>) -> Tree {
        // No packet comes to the rules behind one that matches all packets.
        if let Some(last) = regions.iter().position(Region::is_everything) {
            regions.truncate(last + 1);
        }
        if regions.len() > 1 {
            let mut seen = HashSet::with_capacity(regions.len());
            regions.retain(|region| seen.insert(region.packets()));
        }
        let field = (regions.len() > MAX_LEAF).then(|| most_divided(&regions));
        let similar = || (regions.len() > MAX_SIMILAR).then(|| most_restricted(&regions));
        if let Some(field) = field.flatten().or_else(|| similar().flatten()) {
            let split = self.split(regions, field);
            self.splits.push(split);
            return Tree::Split(self.splits.len() as u32 - 1);
        }
        if let [region] = regions[..] {
            return Tree::One(self.entry(region));
        }
        let start = self.entries.len() as u32;
        for region in regions {
            let entry = self.entry(region);
            self.entries.push(entry);
        }
        let end = self.entries.len() as u32;
        Tree::Leaf { start, end }
    }

    fn entry(&mut self, region: Region) -> Entry {
        let (rule, service) = (region.rule, region.service);
        let rest = Region {
            service: ALL,
            ..region
        };
        if rest.is_everything() {
            return Entry {
                rule,
                service,
                region: NONE,
            };
        }
        self.regions.push(rest);
        let region = self.regions.len() as u32 - 1;
        Entry {
            rule,
            service,
            region,
        }
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
            Field::Dscp => Restricted::Dscp(self.numbers(restrict, |region| {
                let dscps = std::mem::replace(&mut region.dscps, EVERY_DSCP);
                prefixes_where(64, move |dscp| dscps >> dscp & 1 == 1)
            })),
            Field::Flags => Restricted::Flags(self.numbers(restrict, |region| {
                let wanted = region.flags.take();
                prefixes_where(256, move |flags| {
                    wanted.is_none_or(|wanted| wanted.matches(Some(flags as u8)))
                })
            })),
            Field::PacketType => Restricted::PacketType(self.numbers(restrict, |region| {
                let wanted = region.packet_type.take();
                prefixes_where(3, move |number| {
                    wanted.is_none_or(|wanted| wanted as u32 == number)
                })
            })),
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
        self.numbers(regions, |region| {
            let (first, last) = std::mem::replace(range(region), ALL);
            prefixes_of(first, last)
        })
    }

    /// `take` takes the numbers of the field out of a region.
    fn numbers<P: Iterator<Item = Range>>(
        &mut self,
        regions: Vec<Region>,
        take: impl Fn(&mut Region) -> P,
    ) -> PrefixMap<u32> {
        let mut groups = Groups::new();
        for mut region in regions {
            for (first, last) in take(&mut region) {
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
        Field::Dscp => region.dscps != EVERY_DSCP,
        Field::Flags => region.flags.is_some(),
        Field::PacketType => region.packet_type.is_some(),
    }
}

/// Returns the field with few values that most regions restrict.
fn most_restricted(regions: &[Region]) -> Option<Field> {
    let count = |field: Field| {
        let restricting = regions.iter().filter(|region| restricts(region, field));
        (restricting.count(), field)
    };
    let (most, field) = [Field::Dscp, Field::Flags, Field::PacketType]
        .map(count)
        .into_iter()
        .max_by_key(|(count, _)| *count)?;
    (most > 0).then_some(field)
}

/// Returns the first field that the regions restrict to at least half as many values as any other. A
/// range counts less the more prefixes it has, since it is in the subtree of each.
fn most_divided(regions: &[Region]) -> Option<Field> {
    // Addresses first: networks are one prefix, and few contain one another.
    let fields = [
        Field::Destination,
        Field::Source,
        Field::Service,
        Field::SourcePort,
    ];
    let weights = fields.map(|field| {
        let regions = regions.iter().filter(|region| restricts(region, field));
        let value = |region: &Region| match field {
            Field::Destination => (region.destination, ALL),
            Field::Source => (region.source, ALL),
            Field::Service => (None, region.service),
            _ => (None, region.source_port),
        };
        let values: HashSet<(Option<IpNet>, Range)> = regions.map(value).collect();
        let weight = |(_, (first, last)): &(_, Range)| 64 / prefixes_of(*first, *last).count();
        values.iter().map(weight).sum::<usize>()
    });
    let most = weights.into_iter().max().filter(|most| *most > 0)?;
    let (field, _) = fields
        .into_iter()
        .zip(weights)
        .find(|(_, weight)| weight * 2 >= most)?;
    Some(field)
}
