//! Packets that are wrong: counted by their reason, and nothing else happens.

use crate::support::{each_mode, on_inetd};
use crate::tcp::{request, somewhere, somewhere6};
use brooklet_testbed::packets::{Injector, ipv4, tcp_syn};
use brooklet_testbed::{LIMIT, wait_until};
use std::collections::BTreeMap;
use std::net::SocketAddrV4;

each_mode! {
    bad_packets,
}

fn bad_packets(mode: &[&str]) {
    let client = SocketAddrV4::new([10, 77, 0, 1].into(), 5000);
    let server = SocketAddrV4::new([192, 0, 2, 7].into(), 7);
    let no_port = SocketAddrV4::new([192, 0, 2, 7].into(), 0);
    let good = tcp_syn(client, server, SYN);
    let bent = |at: usize, to: u8| {
        let mut packet = good.clone();
        packet[at] = to;
        packet
    };
    let udp = |datagram: &[u8]| ipv4(*client.ip(), *server.ip(), 17, datagram);
    let packets = [
        (
            vec![0xf5; 60],
            "malformed: the version is neither IPv4 nor IPv6",
        ),
        (vec![0x45], "malformed: the packet is cut short"),
        (good[..19].to_vec(), "malformed: the packet is cut short"),
        (good[..39].to_vec(), "malformed: the packet is cut short"),
        (vec![0x60; 39], "malformed: the packet is cut short"),
        (
            bent(0, 0x44),
            "malformed: the IPv4 header length is below 20 bytes",
        ),
        (
            bent(10, !good[10]),
            "malformed: the IPv4 header checksum is wrong",
        ),
        // A SYN with a wrong checksum.
        (bent(36, !good[36]), "wrong TCP, UDP or ICMP checksum"),
        // The header says 24 bytes, or 16, of the 20 that there are.
        (
            bent(32, 6 << 4),
            "malformed: the TCP header does not fit the segment",
        ),
        (
            bent(32, 4 << 4),
            "malformed: the TCP header does not fit the segment",
        ),
        (
            tcp_syn(client, server, SYN | FIN),
            "TCP control bits that contradict each other",
        ),
        (
            tcp_syn(client, no_port, SYN),
            "TCP segment with an unusable address or port 0",
        ),
        (
            tcp_syn(server, server, SYN),
            "TCP segment with an unusable address or port 0",
        ),
        // From port 1 to 7, with a length of 7, of 200, and with a wrong checksum.
        (
            udp(&[0, 1, 0, 7, 0, 7, 0, 0]),
            "malformed: the UDP header does not fit the datagram",
        ),
        (
            udp(&[0, 1, 0, 7, 0, 200, 0, 0]),
            "malformed: the UDP header does not fit the datagram",
        ),
        (
            udp(&[0, 1, 0, 7, 0, 8, 0xba, 0xad]),
            "wrong TCP, UDP or ICMP checksum",
        ),
    ];
    on_inetd(mode, |inetd| {
        let tun = Injector::new(somewhere(9));
        let mut expected = counters(&inetd.stats());
        for (packet, reason) in &packets {
            tun.send(packet);
            *expected.entry(format!("dropped, {reason}")).or_default() += 1;
        }
        // All goes on, and nothing came of the bad ones but two good requests.
        request(somewhere(80));
        request(somewhere6(80));
        *expected.entry("TCP requested".into()).or_default() += 2;
        // Without what the kernel says of its own accord, and packets that are counted but not judged.
        let judged = |mut counters: BTreeMap<String, u64>| {
            counters.retain(|name, _| {
                name == "TCP requested"
                    || name.starts_with("dropped, ") && name != "dropped, filtered, inbound"
            });
            counters
        };
        let (expected, mut found) = (judged(expected), BTreeMap::new());
        // The packets are spread over the queues of the device, which do not wait for each other.
        wait_until(LIMIT, || {
            found = judged(counters(&inetd.stats()));
            found == expected
        });
        assert_eq!(found, expected);
    });
}

const FIN: u8 = 1;
const SYN: u8 = 2;

/// The lines `name: count`.
fn counters(stats: &str) -> BTreeMap<String, u64> {
    let split = |line: &str| {
        let (name, count) = line.rsplit_once(": ")?;
        Some((name.to_owned(), count.parse().ok()?))
    };
    stats.lines().filter_map(split).collect()
}
