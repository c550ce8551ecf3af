//! The targets over good packets and changes of them, without a fuzzer.

use brooklet_fuzz::{
    Mutator, Outcome, RULES, Reason, Tally, differential, fragments, parse, repair, ruleset, seeds,
};
use brooklet_packet::Packet;

#[test]
fn seeds_are_good() {
    for seed in seeds() {
        parse(&seed);
        match differential(&seed) {
            Outcome::Both | Outcome::OnlyEtherparse(Reason::LongChain) => {}
            other => panic!("{other:?} for {seed:02x?}"),
        }
    }
    let taken = seeds()
        .iter()
        .filter(|seed| Packet::parse(seed).is_ok())
        .count();
    assert_eq!(taken, seeds().len() - 2, "all but the chains made too long");
}

#[test]
fn mutations_of_seeds() {
    let mut mutator = Mutator::new(20_261_122);
    let (mut both, mut neither) = (0, 0);
    for _ in 0..2000 {
        for mut packet in seeds() {
            mutator.mutate(&mut packet);
            parse(&packet);
            match differential(&packet) {
                Outcome::Both => both += 1,
                Outcome::Neither => neither += 1,
                _ => {}
            }
        }
    }
    // The changes are neither all harmless nor all fatal.
    assert!(
        both > 10_000 && neither > 10_000,
        "{both} taken and {neither} not"
    );
}

#[test]
fn mutations_of_rules() {
    let mut mutator = Mutator::new(20_261_126);
    // Words in any order, and bytes changed.
    let words: Vec<&str> = RULES.iter().flat_map(|rules| rules.split(' ')).collect();
    let (mut read, mut refused) = (0, 0);
    for rules in RULES {
        assert!(ruleset(rules.as_bytes()), "{rules}");
        for _ in 0..500 {
            let mut bytes = rules.as_bytes().to_vec();
            mutator.mutate(&mut bytes);
            let number = mutator.below(6);
            let drawn = (0..number).map(|_| words[mutator.below(words.len())]);
            let drawn: Vec<&str> = drawn.collect();
            for text in [bytes, drawn.join(" ").into_bytes()] {
                if ruleset(&text) {
                    read += 1;
                } else {
                    refused += 1;
                }
            }
        }
    }
    assert!(
        read > 100 && refused > 1000,
        "{read} read and {refused} not"
    );
}

#[test]
fn random_bytes() {
    let mut mutator = Mutator::new(7);
    for _ in 0..100_000 {
        let len = mutator.below(128);
        let mut packet: Vec<u8> = (0..len).map(|_| mutator.below(256) as u8).collect();
        if let Some(first) = packet.first_mut() {
            *first = if mutator.below(2) == 0 { 0x45 } else { 0x60 };
        }
        parse(&packet);
        differential(&packet);
    }
}

#[test]
fn random_fragments() {
    let mut mutator = Mutator::new(20_261_122);
    let mut all = Tally::default();
    for _ in 0..5000 {
        let len = mutator.below(600);
        let data: Vec<u8> = (0..len).map(|_| mutator.below(256) as u8).collect();
        let tally = fragments(&data);
        all.packets += tally.packets;
        all.conflicts += tally.conflicts;
        all.full += tally.full;
        all.expired += tally.expired;
    }
    // All of it happens, and not only once.
    let least = [all.packets, all.conflicts, all.full, all.expired]
        .into_iter()
        .min();
    assert!(least > Some(1000), "{all:?}");
}

/// IPv4 with this protocol and body.
fn v4(protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![
        0x45,
        0,
        0,
        20 + body.len() as u8,
        0,
        0,
        0,
        0,
        64,
        protocol,
        0,
        0,
    ];
    packet.extend([10, 0, 0, 1, 10, 0, 0, 2]);
    packet.extend(body);
    repair(&mut packet);
    packet
}

fn v6(next_header: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((body.len() as u16).to_be_bytes());
    packet.extend([next_header, 64]);
    packet.extend([0xfd; 32]);
    packet.extend(body);
    packet
}

#[test]
fn every_reason_has_its_packet() {
    use Outcome::{OnlyBrooklet, OnlyEtherparse};
    let long = [
        [60, 0, 1, 4, 0, 0, 0, 0].repeat(8),
        vec![59, 0, 1, 4, 0, 0, 0, 0],
    ]
    .concat();
    let cases = [
        (v6(60, &long), OnlyEtherparse(Reason::LongChain)),
        (
            v6(43, &[59, 0, 0, 1, 0, 0, 0, 0]),
            OnlyEtherparse(Reason::SegmentsLeft),
        ),
        (
            v6(60, &[59, 0, 0x9e, 4, 0, 0, 0, 0]),
            OnlyEtherparse(Reason::Options),
        ),
        (
            v6(60, &[59, 0, 1, 4, 0, 0, 0, 7]),
            OnlyEtherparse(Reason::Options),
        ),
        (
            v6(44, &[17, 0, 0, 9, 0, 0, 0, 0, 7]),
            OnlyEtherparse(Reason::Fragment),
        ),
        (
            v4(17, &[0, 1, 0, 2, 0, 0, 0, 0]),
            OnlyEtherparse(Reason::UdpLengthZero),
        ),
        (v4(51, &[6, 0]), OnlyBrooklet(Reason::Ipv4Authentication)),
        (
            v6(44, &[60, 0, 0, 9, 0, 0, 0, 0]),
            OnlyBrooklet(Reason::BehindFragment),
        ),
        (v4(58, &[128]), OnlyBrooklet(Reason::IcmpOfOtherVersion)),
        (v6(1, &[8]), OnlyBrooklet(Reason::IcmpOfOtherVersion)),
        (
            v4(1, &[13, 0, 0, 0, 0, 0, 0, 0]),
            OnlyBrooklet(Reason::IcmpTimestamp),
        ),
        (v4(2, &[0x11]), OnlyBrooklet(Reason::Igmp)),
    ];
    for (packet, outcome) in cases {
        assert_eq!(differential(&packet), outcome, "{packet:02x?}");
    }
}

#[test]
fn packets_that_the_comparison_got_wrong_once() {
    // The reserved bit beside "don't fragment" is part of the header checksum.
    let mut reserved = v4(47, b"data");
    reserved[6] = 0xc0;
    assert_eq!(differential(&reserved), Outcome::Both);
    // IGMP that is long enough and that etherparse does not take all the same.
    let igmp = v6(
        2,
        &[17, 0, 0, 0, 0, 0, 0, 0, 19, 136, 128, 53, 0, 8, 193, 95],
    );
    assert_eq!(differential(&igmp), Outcome::OnlyBrooklet(Reason::Igmp));
}
