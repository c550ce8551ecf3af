//! The limits of the reassembly: time, bytes, packets, packets of a source.

use super::*;

#[test]
fn time_runs_from_the_first_fragment_and_frees_everything() {
    let mut bench = Bench::default();
    let start = bench.now;
    bench.push(&fragment_v4(1, 0, true, &[0; 800]));
    bench.now += Duration::from_secs(10);
    bench.push(&fragment_v4(2, 0, true, &[0; 800]));
    bench.push(&fragment_v4(1, 800, true, &[0; 800]));
    assert_eq!(
        bench.reassembler.poll_timeout(),
        Some(start + Duration::from_secs(15))
    );
    bench.expire(start + Duration::from_millis(14_999));
    assert_eq!(bench.stats().expired, 0);
    bench.expire(start + Duration::from_secs(15));
    let stats = bench.stats();
    assert_eq!(
        (stats.expired, stats.queued_packets, stats.queued_fragments),
        (2, 1, 1)
    );
    assert_eq!(
        bench.reassembler.poll_timeout(),
        Some(start + Duration::from_secs(25))
    );
    // A late fragment begins anew, beside the fragments that wait for `handle_timeout`.
    bench.now = start + Duration::from_secs(25);
    assert_eq!(bench.push(&fragment_v4(2, 800, false, b"end")), None);
    let stats = bench.stats();
    assert_eq!(
        (stats.expired, stats.queued_packets, stats.packets),
        (2, 2, 0)
    );
    assert_eq!(bench.reassembler.poll_timeout(), Some(bench.now));
    bench.expire(start + Duration::from_secs(40));
    assert_eq!(bench.stats().expired, 4);
    assert_eq!(
        (bench.stats().queued_bytes, bench.stats().queued_packets),
        (0, 0)
    );
}

#[test]
fn an_expired_packet_hands_out_its_first_fragment() {
    let with_options = |more: bool| {
        let mut packet = v4(17, &[1; 8], &[7; 16]);
        packet[1] = 0xb8;
        packet[6] = if more { 0x20 } else { 0 };
        fix_v4(&mut packet);
        packet
    };
    let behind_a_chain = {
        let fragment = [fragment_header(17, 0, true, 9), vec![7; 16]].concat();
        v6(60, &[ext(44, 1), fragment].concat())
    };
    for first in [
        with_options(true),
        fragment_v6(3, 0, true, &[7; 16]),
        behind_a_chain,
    ] {
        let mut bench = Bench::default();
        bench.push(&first);
        let end = bench.now + Duration::from_secs(15);
        assert_eq!(bench.expire(end - Duration::from_millis(1)), [[0u8; 0]; 0]);
        assert_eq!(bench.expire(end), [first]);
        assert_eq!(bench.stats().queued_bytes, 0);
    }
}

#[test]
fn an_expired_packet_without_its_first_fragment_hands_out_nothing() {
    let mut bench = Bench::default();
    bench.push(&fragment_v4(1, 8, true, &[7; 16]));
    bench.push(&fragment_v6(1, 16, false, &[7; 16]));
    // Nor does one whose fragments overlap: all of them were dropped.
    bench.push(&fragment_v4(2, 0, true, &[7; 16]));
    bench.push(&fragment_v4(2, 8, true, &[8; 16]));
    let first = fragment_v4(3, 0, true, &[7; 16]);
    bench.push(&first);
    bench.push(&fragment_v4(3, 24, true, &[7; 16]));
    assert_eq!(bench.expire(bench.now + Duration::from_secs(15)), [first]);
    assert_eq!((bench.stats().expired, bench.stats().conflicts), (4, 2));
}

#[test]
fn a_lifetime_without_end() {
    let mut bench = Bench::new(Config {
        lifetime: Duration::MAX,
        ..Config::default()
    });
    let packet = fragment_v4(1, 0, true, &[0; 8]);
    let mut out = Vec::new();
    let packet = Packet::parse(&packet).unwrap();
    assert!(
        !bench
            .reassembler
            .handle_fragment(bench.now, &packet, &mut out)
    );
    assert_eq!(bench.reassembler.poll_timeout(), None);
}

#[test]
fn one_source_has_sixteen_places() {
    let mut bench = Bench::default();
    let start = |host, id| from(host, fragment_v4(id, 0, true, &[0; 8]));
    let end = |host, id| from(host, fragment_v4(id, 8, false, b"end"));
    bench.push(&start(7, 1));
    for id in 0..17 {
        bench.push(&start(8, id));
    }
    let stats = bench.stats();
    assert_eq!((stats.queued_packets, stats.full), (17, 1));
    assert!(
        bench.push(&end(7, 1)).is_some(),
        "another source has lost nothing"
    );
    assert!(bench.push(&end(8, 1)).is_some());
    assert!(bench.push(&end(8, 16)).is_some());
    assert_eq!(bench.push(&end(8, 0)), None, "the oldest had to go");
}

#[test]
fn the_addresses_of_one_ipv6_network_share_their_places() {
    let mut bench = Bench::new(Config::new().per_source(2));
    let first = |network, host, id| {
        let mut packet = fragment_v6(id, 0, true, &[0; 8]);
        packet[8..24].fill(0);
        (packet[15], packet[23]) = (network, host);
        packet
    };
    bench.push(&first(1, 1, 1));
    for host in 1..4 {
        bench.push(&first(2, host, 1));
    }
    // Three hosts of one /64 have two places; another /64 has its own.
    assert_eq!((bench.stats().queued_packets, bench.stats().full), (3, 1));
    bench.push(&first(1, 9, 1));
    assert_eq!((bench.stats().queued_packets, bench.stats().full), (4, 1));
}

#[test]
fn sixty_four_places_in_all() {
    let mut bench = Bench::default();
    let start = |host| from(host, fragment_v4(1, 0, true, &[0; 8]));
    let end = |host| from(host, fragment_v4(1, 8, false, b"end"));
    for host in 0..65 {
        bench.push(&start(host));
    }
    assert_eq!((bench.stats().queued_packets, bench.stats().full), (64, 1));
    assert!(bench.push(&end(64)).is_some());
    assert!(bench.push(&end(1)).is_some());
    assert_eq!(bench.push(&end(0)), None);
}

#[test]
fn bytes_are_bounded_and_the_oldest_goes() {
    let config = Config {
        bytes: 4 * (1024 + FRAGMENT as usize + PACKET as usize) + 20 * 4,
        ..Config::default()
    };
    let mut bench = Bench::new(config);
    for id in 0..4 {
        bench.push(&fragment_v4(id, 0, true, &[0; 1024]));
    }
    assert_eq!((bench.stats().queued_packets, bench.stats().full), (4, 0));
    assert_eq!(bench.stats().queued_bytes, config.bytes as u64);
    // Every byte is taken: the smallest fragment displaces.
    bench.push(&fragment_v4(3, 1024, true, &[0; 8]));
    assert_eq!((bench.stats().queued_packets, bench.stats().full), (3, 1));
    // A packet can displace itself when it is the oldest.
    bench.push(&fragment_v4(1, 1024, true, &[0; 4096]));
    assert_eq!((bench.stats().queued_packets, bench.stats().full), (2, 3));
    // Larger than all there is: nothing stays.
    bench.push(&fragment_v4(9, 0, true, &[0; 8192]));
    assert_eq!(
        (bench.stats().queued_packets, bench.stats().queued_bytes),
        (0, 0)
    );
}

#[test]
fn a_packet_has_at_most_128_fragments() {
    let mut bench = Bench::default();
    for at in 0..128 {
        assert_eq!(bench.push(&fragment_v6(1, at * 8, true, &[0; 8])), None);
    }
    assert_eq!(bench.stats().queued_fragments, 128);
    bench.push(&fragment_v6(1, 128 * 8, false, &[0; 8]));
    assert_eq!(
        (bench.stats().conflicts, bench.stats().queued_fragments),
        (129, 0)
    );
}

#[test]
fn zero_limits_do_not_panic() {
    let mut bench = Bench::new(Config {
        bytes: 0,
        packets: 1,
        per_source: 1,
        lifetime: Duration::ZERO,
    });
    bench.reassembler = Reassembler::new(Config {
        packets: 0,
        per_source: 0,
        ..bench.config
    });
    assert_eq!(bench.push(&fragment_v4(1, 0, true, &[0; 8])), None);
    assert_eq!(bench.stats().full, 1);
}
