use super::*;
use crate::VirtualTime;

const MS: Duration = Duration::from_millis(1);

/// What arrives, and when, of `count` packets of 1,250 bytes sent at one moment.
fn burst(seed: u64, config: LinkConfig, count: u32) -> (Vec<(Duration, u32)>, LinkStats) {
    let mut channel = Channel::new(seed, config);
    let start = VirtualTime::new().now();
    for n in 0..count {
        let mut packet = vec![0; 1250];
        packet[..4].copy_from_slice(&n.to_be_bytes());
        channel.send(start, &packet);
    }
    let mut arrived = Vec::new();
    while let Some(at) = channel.next_arrival() {
        let packet = channel.receive(at).unwrap();
        let n = u32::from_be_bytes(packet[..4].try_into().unwrap());
        arrived.push((at - start, n));
    }
    (arrived, channel.stats())
}

#[test]
fn a_rate_spaces_packets_and_its_queue_is_as_long_as_it_says() {
    let config = LinkConfig {
        delay: 10 * MS,
        rate: Some(10_000_000), // 1,250 bytes in 1 ms
        queue: 3,
        ..LinkConfig::default()
    };
    let (arrived, stats) = burst(1, config, 10);
    assert_eq!(
        arrived,
        [(11 * MS, 0), (12 * MS, 1), (13 * MS, 2), (14 * MS, 3)]
    );
    assert_eq!((stats.queue_full, stats.delivered), (6, 4));
}

#[test]
fn a_queue_empties_as_time_passes() {
    let config = LinkConfig {
        rate: Some(10_000_000),
        queue: 0,
        ..LinkConfig::default()
    };
    let mut channel = Channel::new(1, config);
    let start = VirtualTime::new().now();
    assert_ne!(channel.send(start, &[0; 1250]), LinkOutcome::QueueFull);
    assert_eq!(channel.send(start, &[0; 1250]), LinkOutcome::QueueFull);
    assert_ne!(channel.send(start + MS, &[0; 1250]), LinkOutcome::QueueFull);
    assert_eq!(channel.next_arrival(), Some(start + MS));
}

#[test]
fn a_packet_lost_behind_the_bottleneck_takes_its_time_and_its_place() {
    // A packet takes 1 ms.
    let config = LinkConfig::new().rate(Some(10_000_000)).queue(1);
    let lossy = config.loss(1.0);
    for (point, outcome, arrival) in [
        (LossPoint::BeforeQueue, LinkOutcome::Lost, MS),
        (LossPoint::BehindBottleneck, LinkOutcome::QueueFull, 2 * MS),
    ] {
        let mut channel = Channel::new(1, lossy.loss_point(point));
        let start = VirtualTime::new().now();
        assert_eq!(channel.send(start, &[0; 1250]), LinkOutcome::Lost);
        channel.configure(config);
        assert_ne!(channel.send(start, &[0; 1250]), LinkOutcome::QueueFull);
        assert_eq!(channel.next_arrival(), Some(start + arrival));
        // Of two places, the lost packet has one or none.
        channel.configure(lossy.loss_point(point));
        assert_eq!(channel.send(start, &[0; 1250]), outcome);
        let stats = channel.stats();
        assert_eq!((stats.sent, stats.lost + stats.queue_full), (3, 2));
    }
}

#[test]
fn the_place_of_the_loss_does_not_choose_the_packets() {
    let config = LinkConfig::new().loss(0.3);
    let (before, _) = burst(3, config, 100);
    let (behind, _) = burst(3, config.loss_point(LossPoint::BehindBottleneck), 100);
    assert_eq!(before, behind);
}

#[test]
fn chances_are_met_and_a_seed_is_a_run() {
    let config = LinkConfig {
        loss: 0.05,
        duplicate: 0.02,
        reorder: 0.1,
        ..LinkConfig::default()
    };
    let (arrived, stats) = burst(7, config, 10_000);
    assert!((400..600).contains(&stats.lost), "{stats:?}");
    assert!((150..250).contains(&stats.duplicated), "{stats:?}");
    assert!((850..1050).contains(&stats.reordered), "{stats:?}");
    assert_eq!(stats.delivered, 10_000 - stats.lost + stats.duplicated);
    let late = arrived
        .iter()
        .filter(|(at, _)| *at == config.reorder_delay)
        .count();
    let at_once = arrived.iter().filter(|(at, _)| at.is_zero()).count();
    assert_eq!(late + at_once, arrived.len());
    // Doubles of those that are held back are held back as well.
    assert!((stats.reordered..1100).contains(&(late as u64)), "{late}");
    assert_eq!((arrived.clone(), stats), burst(7, config, 10_000));
    assert_ne!(arrived, burst(8, config, 10_000).0);
}

#[test]
fn jitter_keeps_the_order() {
    let config = LinkConfig {
        jitter: 5 * MS,
        ..LinkConfig::default()
    };
    let (arrived, _) = burst(1, config, 100);
    assert!(arrived.iter().map(|(_, n)| *n).eq(0..100));
    assert!(arrived.iter().all(|(at, _)| *at <= 5 * MS));
    assert!(arrived.last().unwrap().0 > 4 * MS);
}

#[test]
fn one_bit_is_turned_round() {
    let config = LinkConfig {
        corrupt: 1.0,
        ..LinkConfig::default()
    };
    let mut channel = Channel::new(1, config);
    let now = VirtualTime::new().now();
    for _ in 0..100 {
        channel.send(now, &[0; 20]);
        let packet = channel.receive(now).unwrap();
        assert_eq!(packet.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
    }
}
