//! What a filter over 10,000 networks or rules costs a packet.
//!
//! 10,000 networks are one [`CidrSet`], or a rule each, which are compared one after the other. 10,000
//! rules in a [`Ruleset`] have an index; the same rules compared one after the other stand beside it.

use brooklet_benches::Random;
use brooklet_filter::{
    CidrSet, Direction, Filter, IpNet, Ipv4Net, Match, Rule, Rules, Ruleset, Verdict, destination,
    destination_in,
};
use brooklet_packet::{Packet, Protocol, udp};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use std::{
    hint::black_box,
    net::{IpAddr, Ipv4Addr},
};

const NETWORKS: usize = 10_000;
/// Addresses asked about in turn, so that neither caches nor branch predictors know the answer.
const ADDRESSES: usize = 4096;

/// A unicast address.
fn addr(random: &mut Random) -> Ipv4Addr {
    Ipv4Addr::from_bits((random.draw() & 0x00ff_ffff) | (1 + random.draw() % 223) << 24)
}

/// From /16 to /28, every length as often.
fn networks(random: &mut Random) -> Vec<Ipv4Net> {
    let length = |random: &mut Random| 16 + (random.draw() % 13) as u8;
    (0..NETWORKS)
        .map(|_| {
            let (addr, length) = (addr(random), length(random));
            Ipv4Net::new(addr, length)
                .expect("a length up to 28 is one")
                .trunc()
        })
        .collect()
}

/// Addresses inside the networks, and addresses outside all of them.
fn addresses(random: &mut Random, networks: &[Ipv4Net], set: &CidrSet) -> [Vec<IpAddr>; 2] {
    let hits = (0..ADDRESSES).map(|_| {
        let network = networks[random.draw() as usize % networks.len()];
        let host = random.draw() & u32::from(network.hostmask());
        Ipv4Addr::from_bits(network.network().to_bits() | host).into()
    });
    let hits: Vec<IpAddr> = hits.collect();
    assert!(hits.iter().all(|addr| set.contains(*addr)));
    let misses = std::iter::repeat_with(|| addr(random).into());
    [
        hits,
        misses
            .filter(|addr| !set.contains(*addr))
            .take(ADDRESSES)
            .collect(),
    ]
}

fn packets(addresses: &[IpAddr]) -> Vec<Vec<u8>> {
    let from = ([10, 0, 0, 1], 5000).into();
    let write = |addr: &IpAddr| {
        let mut bytes = Vec::new();
        udp::write(&mut bytes, from, (*addr, 443).into(), 64, b"x").expect("both are IPv4");
        bytes
    };
    addresses.iter().map(write).collect()
}

fn filter(c: &mut Criterion) {
    let mut random = Random(7);
    let networks = networks(&mut random);
    let set = CidrSet::from_iter(networks.iter().copied());
    let [hits, misses] = addresses(&mut random, &networks, &set);
    println!("{NETWORKS} networks make {} ranges", set.ranges());

    let by_set = Rules::new(Verdict::Pass).rule(destination_in(set.clone()), Verdict::Drop);
    let by_rule = networks
        .iter()
        .fold(Rules::new(Verdict::Pass), |rules, network| {
            rules.rule(destination(*network), Verdict::Drop)
        });

    let mut group = c.benchmark_group("filter");
    for (name, addresses) in [("hit", &hits), ("miss", &misses)] {
        let mut next = addresses.iter().cycle();
        group.bench_function(format!("contains/{name}"), |b| {
            b.iter(|| set.contains(*black_box(next.next().expect("a cycle does not end"))));
        });

        let bytes = packets(addresses);
        let parsed: Vec<Packet<'_>> = bytes
            .iter()
            .map(|bytes| Packet::parse(bytes).expect("just written"))
            .collect();
        for (rules_name, rules) in [("set", &by_set), ("rule each", &by_rule)] {
            let mut next = parsed.iter().cycle();
            group.bench_function(format!("{rules_name}/{name}"), |b| {
                b.iter(|| {
                    let packet = next.next().expect("a cycle does not end");
                    rules.verdict(black_box(packet), Direction::Inbound)
                });
            });
        }
    }
    group.bench_function("build the set", |b| {
        let networks: Vec<IpNet> = networks.iter().copied().map(IpNet::from).collect();
        b.iter_batched(
            || networks.clone(),
            CidrSet::from_iter,
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

const RULES: usize = 10_000;

/// A rule of each kind, and a packet that it matches unless an earlier rule does.
type Draw = fn(&mut Random) -> (Rule, (Ipv4Addr, u16));

fn port(random: &mut Random) -> u16 {
    1 + (random.draw() % 65_000) as u16
}

/// One host, one port, UDP.
fn host_and_port(random: &mut Random) -> (Rule, (Ipv4Addr, u16)) {
    let (host, port) = (addr(random), port(random));
    let rule = Rule::new(Verdict::Drop).protocol(Protocol::Udp);
    (
        rule.destination([IpAddr::from(host)])
            .destination_port([port]),
        (host, port),
    )
}

/// One network from /8 to /32.
fn prefix(random: &mut Random) -> (Rule, (Ipv4Addr, u16)) {
    let (host, port) = (addr(random), port(random));
    let length = 8 + (random.draw() % 25) as u8;
    let network = Ipv4Net::new(host, length).expect("a length up to 32 is one");
    (
        Rule::new(Verdict::Drop).destination([network]),
        (host, port),
    )
}

/// One port.
fn one_port(random: &mut Random) -> (Rule, (Ipv4Addr, u16)) {
    let (host, port) = (addr(random), port(random));
    let rule = Rule::new(Verdict::Drop).protocol(Protocol::Udp);
    (rule.destination_port([port]), (host, port))
}

/// A source network and a range of ports. Many ranges contain one port.
fn source_and_ports(random: &mut Random) -> (Rule, (Ipv4Addr, u16)) {
    let (host, port) = (addr(random), port(random));
    let source = Ipv4Net::new(addr(random), 24).expect("24 is a length");
    let rule = Rule::new(Verdict::Drop).source([source]);
    (rule.destination_port([port..=port + 100]), (host, port))
}

/// Two DSCPs. Fewer than 10,000 such rules differ, and none matches the packets.
fn dscps(random: &mut Random) -> (Rule, (Ipv4Addr, u16)) {
    let target = (addr(random), port(random));
    let dscps = [1 + random.draw() % 63, 1 + random.draw() % 63].map(|dscp| dscp as u8);
    let rule = Rule::new(Verdict::Drop).direction(Direction::Inbound);
    (rule.dscp(dscps), target)
}

/// A host and a port, a network, or a port.
fn mixed(random: &mut Random) -> (Rule, (Ipv4Addr, u16)) {
    [host_and_port, prefix, one_port][random.draw() as usize % 3](random)
}

/// One of these, or a source network and a range of ports.
fn mixed_with_ranges(random: &mut Random) -> (Rule, (Ipv4Addr, u16)) {
    [host_and_port, prefix, one_port, source_and_ports][random.draw() as usize % 4](random)
}

fn ruleset(c: &mut Criterion) {
    let kinds: [(&str, Draw); 7] = [
        ("host and port", host_and_port),
        ("prefix", prefix),
        ("port", one_port),
        ("source and ports", source_and_ports),
        ("DSCPs", dscps),
        ("mixed", mixed),
        ("mixed with ranges", mixed_with_ranges),
    ];
    let mut group = c.benchmark_group("ruleset");
    for (kind, draw) in kinds {
        let mut random = Random(11);
        let (rules, targets): (Vec<Rule>, Vec<(Ipv4Addr, u16)>) =
            (0..RULES).map(|_| draw(&mut random)).unzip();
        let hits: Vec<_> = (0..ADDRESSES)
            .map(|_| targets[random.draw() as usize % targets.len()])
            .collect();
        // Ports above those of the rules.
        let misses: Vec<_> = (0..ADDRESSES)
            .map(|_| (addr(&mut random), 65_500))
            .collect();
        let ruleset = Ruleset::new(Verdict::Pass, rules.iter().cloned());
        for (name, targets) in [("hit", hits), ("miss", misses)] {
            let write = |(host, port): &(Ipv4Addr, u16)| {
                let mut bytes = Vec::new();
                let (from, to) = (([10, 0, 0, 1], 5000).into(), (*host, *port).into());
                udp::write(&mut bytes, from, to, 64, b"x").expect("both are IPv4");
                bytes
            };
            let bytes: Vec<Vec<u8>> = targets.iter().map(write).collect();
            let parsed: Vec<Packet<'_>> = bytes
                .iter()
                .map(|bytes| Packet::parse(bytes).expect("just written"))
                .collect();
            let mut next = parsed.iter().cycle();
            group.bench_function(format!("{kind}/{name}"), |b| {
                b.iter(|| {
                    let packet = next.next().expect("a cycle does not end");
                    ruleset.verdict(black_box(packet), Direction::Inbound)
                });
            });
            group.bench_function(format!("{kind}, one after the other/{name}"), |b| {
                b.iter(|| {
                    let packet = black_box(next.next().expect("a cycle does not end"));
                    rules
                        .iter()
                        .position(|rule| rule.matches(packet, Direction::Inbound))
                });
            });
        }
        group.bench_function(format!("{kind}/build"), |b| {
            b.iter_batched(
                || rules.clone(),
                |rules| Ruleset::new(Verdict::Pass, rules),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, filter, ruleset);
criterion_main!(benches);
