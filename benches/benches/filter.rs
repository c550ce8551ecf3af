//! What a filter over 10,000 networks costs a packet.
//!
//! As one [`CidrSet`], which is how it is meant to be done, and as a rule each, which shows why.

use brooklet_benches::Random;
use brooklet_filter::{
    CidrSet, Direction, Filter, IpNet, Ipv4Net, Rules, Verdict, destination, destination_in,
};
use brooklet_packet::{Packet, udp};
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

criterion_group!(benches, filter);
criterion_main!(benches);
