//! What is done to every packet before it is known whose it is.

use super::{Path, each};
use brooklet_benches::{Clients, Random};
use brooklet_filter::{CidrSet, Direction, Filter, IpNet, Ipv4Net, Rules, UnicastOnly, Verdict};
use brooklet_filter::{destination_in, source_in};
use brooklet_packet::{Headers, Packet, udp};
use std::hint::black_box;
use std::net::Ipv4Addr;

pub(super) fn parse() -> Box<dyn Path> {
    let bytes = tcp();
    each(move || {
        let headers = Headers::parse(black_box(&bytes));
        assert!(black_box(headers).is_ok());
    })
}

/// A datagram that is `len` bytes long with its headers.
pub(super) fn checksum(len: usize) -> Box<dyn Path> {
    let mut bytes = Vec::new();
    let (from, to) = (([10, 0, 0, 2], 5000).into(), ([192, 0, 2, 1], 53).into());
    udp::write(&mut bytes, from, to, 1, &vec![0x5a; len - 28]).expect("it fits");
    assert_eq!(bytes.len(), len);
    let headers = Headers::parse(&bytes).expect("just made");
    each(move || assert!(black_box(&headers).verify_checksum(&bytes)))
}

pub(super) fn filter_unicast() -> Box<dyn Path> {
    filter(UnicastOnly)
}

/// Two sets of networks that do not have the addresses, which are looked for in vain.
pub(super) fn filter_networks() -> Box<dyn Path> {
    let mut random = Random(3);
    let mut set = || {
        let networks = (0..10_000).map(|_| {
            let addr = Ipv4Addr::from_bits((20 << 24) + (random.draw() >> 2));
            let net = Ipv4Net::new(addr, 24).expect("a length up to 32 is one");
            IpNet::V4(net.trunc())
        });
        networks.collect::<CidrSet>()
    };
    let rules = Rules::new(Verdict::Pass)
        .rule(source_in(set()), Verdict::Drop)
        .rule(destination_in(set()), Verdict::Drop);
    filter(rules)
}

fn filter(filter: impl Filter + 'static) -> Box<dyn Path> {
    let bytes = tcp();
    let headers = Headers::parse(&bytes).expect("just made");
    each(move || {
        let packet = Packet::new(&bytes, headers);
        let verdict = filter.verdict(black_box(&packet), Direction::Inbound);
        assert_eq!(verdict, Verdict::Pass);
    })
}

fn tcp() -> Vec<u8> {
    let mut clients = Clients::default();
    let (n, _) = clients.connect();
    let mut bytes = Vec::new();
    clients.send(n, &mut bytes);
    bytes
}
