//! Frames through an adapter in virtual time, without a device.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod support;

use brooklet_ethernet::{Config, DropReason, MacAddr};
use std::net::IpAddr;
use support::*;

fn plain() -> Config {
    Config::new(OWN)
        .address([10, 0, 2, 2], 24)
        .address("fd00::2".parse::<IpAddr>().unwrap(), 64)
}

/// An adapter whose announcements have been sent.
fn adapter(config: Config) -> Wire {
    let mut wire = Wire::new(config);
    assert!(wire.recv().is_none());
    wire.sent();
    wire
}

#[test]
fn the_addresses_are_announced_once() {
    let mut wire = Wire::new(plain());
    assert!(wire.recv().is_none());
    let sent = wire.sent();
    let announcement = arp(REQUEST, OWN, "10.0.2.2", ZERO, "10.0.2.2");
    assert_eq!(
        sent[0],
        frame(OWN, MacAddr::BROADCAST, 0x0806, &announcement)
    );
    assert_eq!(sent[1][..6], [0x33, 0x33, 0, 0, 0, 1]);
    assert_eq!(ndisc(&sent[1]), Nd::Advertisement("fd00::2", 0b101));
    assert_eq!(sent.len(), 2);
    assert!(wire.recv().is_none() && wire.sent().is_empty());
}

#[test]
fn an_arp_request_for_an_own_address_is_answered() {
    let mut wire = adapter(plain());
    wire.deliver(frame(
        HOST,
        MacAddr::BROADCAST,
        0x0806,
        &arp(REQUEST, HOST, "10.0.2.15", ZERO, "10.0.2.2"),
    ));
    assert!(wire.recv().is_none());
    let reply = arp(REPLY, OWN, "10.0.2.2", HOST, "10.0.2.15");
    assert_eq!(wire.sent(), [frame(OWN, HOST, 0x0806, &reply)]);
    // The host is known now.
    wire.send(&udp("10.0.2.2:53", "10.0.2.15:5000", b"answer"));
    assert_eq!(wire.sent()[0][..6], HOST.octets());
    assert_eq!(wire.drops().total(), 0);
}

#[test]
fn a_probe_is_answered_for_an_own_address_and_never_by_a_proxy() {
    for (proxy, target, answered) in [
        (false, "10.0.2.2", true),
        (true, "10.0.2.2", true),
        (true, "10.0.2.15", false),
        (true, "192.0.2.1", false),
    ] {
        let mut wire = adapter(plain().proxy(proxy));
        wire.deliver(frame(
            HOST,
            MacAddr::BROADCAST,
            0x0806,
            &arp(REQUEST, HOST, "0.0.0.0", ZERO, target),
        ));
        assert!(wire.recv().is_none());
        assert_eq!(wire.sent().len(), usize::from(answered), "{proxy} {target}");
        assert_eq!(
            wire.drops().get(DropReason::Unanswered),
            u64::from(!answered)
        );
        assert_eq!(
            wire.ethernet.neighbors(),
            0,
            "a probe tells nothing of its sender"
        );
    }
}

#[test]
fn duplicate_address_detection_is_answered_for_an_own_address_and_never_by_a_proxy() {
    for (proxy, target, answered) in [
        (false, "fd00::2", true),
        (true, "fd00::2", true),
        (true, "fd00::15", false),
        (true, "fe80::15", false),
    ] {
        let mut wire = adapter(plain().proxy(proxy));
        wire.deliver(solicitation("::", target, None));
        assert!(wire.recv().is_none());
        let sent = wire.sent();
        assert_eq!(sent.len(), usize::from(answered), "{proxy} {target}");
        if answered {
            assert_eq!(sent[0][..6], [0x33, 0x33, 0, 0, 0, 1], "everybody hears it");
            assert_eq!(ndisc(&sent[0]), Nd::Advertisement("fd00::2", 0b101));
        }
    }
}

#[test]
fn a_proxy_answers_for_every_address_but_those_of_neighbors() {
    let mut wire = adapter(plain().proxy(true));
    let ask = |target| {
        frame(
            HOST,
            MacAddr::BROADCAST,
            0x0806,
            &arp(REQUEST, HOST, "10.0.2.15", ZERO, target),
        )
    };
    for target in ["10.0.2.77", "192.0.2.1"] {
        wire.deliver(ask(target));
        assert!(wire.recv().is_none());
        let reply = arp(REPLY, OWN, target, HOST, "10.0.2.15");
        assert_eq!(wire.sent(), [frame(OWN, HOST, 0x0806, &reply)]);
    }
    wire.deliver(ip_frame(
        OTHER,
        OWN,
        &udp("10.0.2.77:1", "10.0.2.2:2", b"here"),
    ));
    assert!(wire.recv().is_some());
    // A neighbor, the host's own address, broadcast, multicast, loopback.
    for target in [
        "10.0.2.77",
        "10.0.2.15",
        "10.0.2.255",
        "224.0.0.1",
        "127.0.0.1",
    ] {
        wire.deliver(ask(target));
        assert!(wire.recv().is_none());
        assert!(wire.sent().is_empty(), "{target}");
    }
    assert_eq!(wire.drops().get(DropReason::Unanswered), 5);
}

#[test]
fn a_neighbor_solicitation_is_answered() {
    let mut wire = adapter(plain().proxy(true));
    for (target, flags) in [
        ("fd00::2", 0b111),
        ("fe80::ff:fe00:1", 0b111),
        ("2001:db8::1", 0b110),
    ] {
        wire.deliver(solicitation("fd00::15", target, Some(HOST)));
        assert!(wire.recv().is_none());
        let sent = wire.sent();
        assert_eq!(sent[0][..6], HOST.octets());
        assert_eq!(ndisc(&sent[0]), Nd::Advertisement(target, flags));
    }
    wire.send(&udp("[fd00::2]:53", "[fd00::15]:5000", b"answer"));
    assert_eq!(wire.sent()[0][..6], HOST.octets());
}

#[test]
fn an_unknown_neighbor_is_asked_three_times_and_its_packets_wait() {
    let mut wire = adapter(plain());
    wire.send(&udp("192.0.2.1:53", "10.0.2.15:5000", b"one"));
    wire.send(&udp("192.0.2.1:53", "10.0.2.15:5000", b"two"));
    let request = frame(
        OWN,
        MacAddr::BROADCAST,
        0x0806,
        &arp(REQUEST, OWN, "10.0.2.2", ZERO, "10.0.2.15"),
    );
    assert_eq!(wire.sent(), std::slice::from_ref(&request));
    wire.advance(999);
    assert!(wire.recv().is_none() && wire.sent().is_empty());
    wire.advance(1);
    assert!(wire.recv().is_none());
    assert_eq!(wire.sent(), std::slice::from_ref(&request));
    wire.deliver(frame(
        HOST,
        OWN,
        0x0806,
        &arp(REPLY, HOST, "10.0.2.15", OWN, "10.0.2.2"),
    ));
    assert!(wire.recv().is_none());
    let sent = wire.sent();
    assert!(sent[0].ends_with(b"one") && sent[1].ends_with(b"two") && sent.len() == 2);
    assert!(sent.iter().all(|frame| frame[..6] == HOST.octets()));

    wire.send(&udp("192.0.2.1:53", "10.0.2.16:5000", b"lost"));
    for _ in 0..4 {
        assert!(wire.recv().is_none());
        wire.advance(1000);
    }
    let requests = wire.sent();
    assert_eq!(requests.len(), 3);
    assert_eq!(wire.drops().get(DropReason::Unresolved), 1);
}

#[test]
fn an_unknown_neighbor_of_ipv6_is_asked_for_in_its_group() {
    let mut wire = adapter(plain());
    wire.send(&udp("[2001:db8::1]:53", "[fd00::12:3456]:5000", b"one"));
    let sent = wire.sent();
    assert_eq!(sent[0][..6], [0x33, 0x33, 0xff, 0x12, 0x34, 0x56]);
    assert_eq!(ndisc(&sent[0]), Nd::Solicitation("fd00::12:3456"));
    wire.deliver(advertisement("fd00::12:3456", HOST, 0b011));
    assert!(wire.recv().is_none());
    let sent = wire.sent();
    assert!(sent[0].ends_with(b"one") && sent[0][..6] == HOST.octets());
}

/// A router without an IPv4 address of its own asks in the name of the packet's source, for which
/// it is a proxy.
#[test]
fn a_proxy_without_an_address_asks_from_the_source_of_the_packet() {
    let mut wire = adapter(Config::new(OWN).proxy(true));
    wire.send(&udp("192.0.2.1:53", "10.0.2.15:5000", b"one"));
    let request = arp(REQUEST, OWN, "192.0.2.1", ZERO, "10.0.2.15");
    assert_eq!(
        wire.sent(),
        [frame(OWN, MacAddr::BROADCAST, 0x0806, &request)]
    );
}

#[test]
fn the_source_of_a_packet_is_learned_and_changes_nothing() {
    let packet = udp("10.0.2.15:5000", "192.0.2.1:53", b"question");
    let mut wire = adapter(plain());
    wire.deliver(ip_frame(HOST, OWN, &packet));
    assert_eq!(wire.recv().as_deref(), Some(&packet[..]));
    wire.advance(5000);
    wire.deliver(ip_frame(OTHER, OWN, &packet));
    assert!(wire.recv().is_some());
    wire.send(&udp("192.0.2.1:53", "10.0.2.15:5000", b"answer"));
    assert_eq!(wire.sent()[0][..6], HOST.octets());

    let mut wire = adapter(plain().learn(false));
    wire.deliver(ip_frame(HOST, OWN, &packet));
    assert!(wire.recv().is_some());
    assert_eq!(wire.ethernet.neighbors(), 0);
}

#[test]
fn a_gratuitous_arp_changes_a_known_neighbor_and_adds_none() {
    let gratuitous = frame(
        OTHER,
        MacAddr::BROADCAST,
        0x0806,
        &arp(REQUEST, OTHER, "10.0.2.15", ZERO, "10.0.2.15"),
    );
    let mut wire = adapter(plain().proxy(true));
    wire.deliver(gratuitous.clone());
    assert!(wire.recv().is_none());
    assert_eq!(wire.ethernet.neighbors(), 0);
    wire.deliver(ip_frame(
        HOST,
        OWN,
        &udp("10.0.2.15:1", "10.0.2.2:2", b"here"),
    ));
    assert!(wire.recv().is_some());
    wire.deliver(gratuitous.clone());
    assert!(wire.recv().is_none());
    assert_eq!(wire.drops().get(DropReason::Flapping), 1, "within a second");
    wire.advance(1000);
    wire.deliver(gratuitous);
    assert!(wire.recv().is_none());
    wire.send(&udp("192.0.2.1:53", "10.0.2.15:5000", b"answer"));
    assert_eq!(wire.sent()[0][..6], OTHER.octets());
}

#[test]
fn an_own_address_is_defended_at_most_every_ten_seconds() {
    let mut wire = adapter(plain());
    let claim = frame(
        OTHER,
        MacAddr::BROADCAST,
        0x0806,
        &arp(REQUEST, OTHER, "10.0.2.2", ZERO, "10.0.2.2"),
    );
    for (after, defences) in [(0, 1), (9_999, 0), (1, 1)] {
        wire.advance(after);
        wire.deliver(claim.clone());
        assert!(wire.recv().is_none());
        assert_eq!(wire.sent().len(), defences);
    }
    wire.deliver(advertisement("fd00::2", OTHER, 0b001));
    assert!(wire.recv().is_none());
    assert_eq!(wire.drops().get(DropReason::Conflict), 4);
    assert_eq!(wire.ethernet.neighbors(), 0);
}

#[test]
fn multicast_and_broadcast_go_to_their_group_address() {
    let mut wire = adapter(plain());
    for (to, mac) in [
        ("224.0.0.251:5353", "01:00:5e:00:00:fb"),
        ("255.255.255.255:67", "ff:ff:ff:ff:ff:ff"),
        ("10.0.2.255:137", "ff:ff:ff:ff:ff:ff"),
    ] {
        wire.send(&udp("10.0.2.2:53", to, b""));
        assert_eq!(
            wire.sent()[0][..6],
            mac.parse::<MacAddr>().unwrap().octets()
        );
    }
    wire.send(&udp("[fd00::2]:53", "[ff02::fb]:5353", b""));
    assert_eq!(wire.sent()[0][..6], [0x33, 0x33, 0, 0, 0, 0xfb]);
}

#[test]
fn frames_that_are_of_no_use_are_dropped_and_counted() {
    let packet = udp("10.0.2.15:5000", "192.0.2.1:53", b"question");
    let tagged = |vlan: u8| {
        let rest = [&[0, vlan, 0x08, 0][..], &packet].concat();
        frame(HOST, OWN, 0x8100, &rest)
    };
    let mut hop_limit = solicitation("fd00::15", "fd00::2", Some(HOST));
    hop_limit[14 + 7] = 254;
    let long = udp("10.0.2.15:5000", "192.0.2.1:53", &[0; 1473]);
    for (bytes, reason) in [
        (vec![0; 13], DropReason::Runt),
        (ip_frame(HOST, OWN, &long), DropReason::Giant),
        (vec![0x02; 3000], DropReason::InvalidSource),
        (tagged(5), DropReason::Vlan),
        (
            frame(HOST, OWN, 0x88cc, &[0; 50]),
            DropReason::UnknownProtocol,
        ),
        (ip_frame(HOST, OTHER, &packet), DropReason::OtherDestination),
        (
            ip_frame(OWN, MacAddr::BROADCAST, &packet),
            DropReason::InvalidSource,
        ),
        (
            ip_frame(MacAddr::BROADCAST, OWN, &packet),
            DropReason::InvalidSource,
        ),
        (
            ip_frame(HOST, MacAddr::BROADCAST, &packet),
            DropReason::UnicastInBroadcast,
        ),
        (
            frame(HOST, OWN, 0x0800, &packet[..19]),
            DropReason::Malformed,
        ),
        (frame(HOST, OWN, 0x86dd, &packet), DropReason::Malformed),
        (frame(HOST, OWN, 0x0806, &[0; 27]), DropReason::Malformed),
        (hop_limit, DropReason::Malformed),
    ] {
        let mut wire = adapter(plain());
        let bytes = match reason {
            DropReason::InvalidSource if bytes.len() == 3000 => {
                [&OWN.octets()[..], &OWN.octets(), &bytes].concat()
            }
            _ => bytes,
        };
        wire.deliver(bytes);
        assert!(wire.recv().is_none(), "{reason}");
        assert_eq!(
            (wire.drops().get(reason), wire.drops().total()),
            (1, 1),
            "{reason}"
        );
        assert!(wire.sent().is_empty(), "{reason}");
    }
    let mut wire = adapter(plain());
    wire.deliver(tagged(0));
    assert_eq!(wire.recv().as_deref(), Some(&packet[..]), "VLAN 0 is none");
}

#[test]
fn packets_that_cannot_be_sent_are_dropped_and_counted() {
    let mut wire = adapter(plain());
    wire.send(&[0x50; 40]);
    wire.send(&[]);
    wire.send(&udp("10.0.2.2:1", "10.0.2.15:2", &[0; 1473]));
    assert_eq!(wire.drops().get(DropReason::NotIp), 2);
    assert_eq!(wire.drops().get(DropReason::TooLong), 1);
    assert!(wire.sent().is_empty());
}

#[test]
fn padding_is_taken_off() {
    let packet = udp("10.0.2.15:5000", "192.0.2.1:53", b"q");
    let mut wire = adapter(plain());
    let mut padded = ip_frame(HOST, OWN, &packet);
    padded.resize(60, 0);
    wire.deliver(padded);
    assert_eq!(wire.recv().as_deref(), Some(&packet[..]));
}

#[test]
fn a_router_advertises_its_prefix_at_its_start_when_asked_and_every_200_seconds() {
    let mut wire = Wire::new(Config::new(OWN).advertise("fd01::".parse().unwrap()));
    assert!(wire.recv().is_none());
    let first = wire.sent();
    assert_eq!(ndisc(&first[0]), Nd::Router("fd01::", 1500));
    assert_eq!(first.len(), 1);
    wire.deliver(router_solicitation("fe80::15"));
    assert!(wire.recv().is_none());
    assert!(wire.sent().is_empty(), "not within 3 s of the last one");
    wire.advance(3000);
    assert!(wire.recv().is_none());
    assert_eq!(wire.sent(), first);
    wire.advance(3000);
    wire.deliver(router_solicitation("fe80::15"));
    assert!(wire.recv().is_none());
    assert_eq!(wire.sent(), first);
    for _ in 0..3 {
        wire.advance(200_000);
        assert!(wire.recv().is_none());
        assert_eq!(wire.sent(), first);
    }
    // Without the setting nobody is answered.
    let mut wire = adapter(plain());
    wire.deliver(router_solicitation("fe80::15"));
    assert!(wire.recv().is_none());
    assert!(wire.sent().is_empty());
}

#[test]
fn a_device_that_takes_nothing_holds_packets_back_and_bounds_the_messages() {
    let mut wire = adapter(plain().proxy(true));
    wire.deliver(ip_frame(
        HOST,
        OWN,
        &udp("10.0.2.15:1", "10.0.2.2:2", b"here"),
    ));
    assert!(wire.recv().is_some());
    wire.fill(true);
    let packet = udp("192.0.2.1:53", "10.0.2.15:5000", b"answer");
    assert!(!wire.try_send(&packet));
    for last in 0..100 {
        let target = format!("192.0.2.{last}");
        wire.deliver(frame(
            HOST,
            MacAddr::BROADCAST,
            0x0806,
            &arp(REQUEST, HOST, "10.0.2.15", ZERO, &target),
        ));
    }
    while wire.is_waiting() {
        assert!(wire.recv().is_none());
    }
    // One of them waits in front of the device.
    assert_eq!(wire.drops().get(DropReason::ControlQueueFull), 100 - 65);
    wire.fill(false);
    assert!(wire.try_send(&packet));
    let sent = wire.sent();
    assert_eq!(sent.len(), 66);
    assert!(sent[65].ends_with(b"answer"));
}

#[test]
fn a_flood_of_frames_without_packets_leaves_other_tasks_their_turn() {
    let mut wire = adapter(plain());
    for _ in 0..100 {
        wire.deliver(vec![0; 10]);
    }
    assert!(wire.recv().is_none());
    assert_eq!(wire.drops().get(DropReason::Runt), 64);
    assert!(wire.woken(), "the rest would wait for another frame");
}

/// The driver may not receive again before it sleeps.
#[test]
fn a_packet_to_an_unknown_neighbor_wakes_the_task_for_the_next_request() {
    let mut wire = adapter(plain());
    wire.send(&udp("192.0.2.1:53", "10.0.2.15:5000", b"one"));
    assert!(!wire.woken());
    wire.advance(1000);
    assert!(wire.woken());
}

#[test]
fn the_mtu_is_14_bytes_less_than_that_of_the_frames() {
    use brooklet_io::PacketIo;
    assert_eq!(Wire::new(plain()).ethernet.mtu(), Some(1500));
    assert_eq!(Wire::new(plain().mtu(9000)).ethernet.mtu(), Some(9000));
}
