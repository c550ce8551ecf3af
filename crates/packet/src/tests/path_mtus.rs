//! Path MTUs: which one counts, for how long, and for how many destinations.

use crate::PathMtus;
use proptest::prelude::*;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

const A: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const B: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1));
const LIFETIME: Duration = Duration::from_secs(600);
const TICK: Duration = Duration::from_millis(1);

#[allow(
    clippy::disallowed_methods,
    reason = "the clock of the tests starts somewhere"
)]
fn start() -> Instant {
    Instant::now()
}

fn host(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + number).into()
}

#[test]
fn a_learned_mtu_expires_and_a_stated_one_does_not() {
    let (now, mut mtus) = (start(), PathMtus::new());
    assert!(mtus.learn(now, A, 1400));
    mtus.set(now, B, Some(1420));
    assert_eq!(mtus.get(now + LIFETIME - TICK, A), Some(1400));
    assert_eq!(mtus.get(now + LIFETIME, A), None);
    assert_eq!(mtus.get(now + 100 * LIFETIME, B), Some(1420));
    // A clock that stands still or goes backwards is no reason to panic.
    assert!(mtus.get(now - TICK, A).is_some());
}

#[test]
fn the_same_report_again_prolongs_the_lifetime() {
    let (now, mut mtus) = (start(), PathMtus::new());
    assert!(mtus.learn(now, A, 1400));
    assert!(!mtus.learn(now + LIFETIME / 2, A, 1400));
    assert_eq!(mtus.get(now + LIFETIME, A), Some(1400));
    assert_eq!(mtus.get(now + LIFETIME + LIFETIME / 2, A), None);
    // A report after that counts as new.
    assert!(mtus.learn(now + 2 * LIFETIME, A, 1400));
}

#[test]
fn a_report_lowers_the_mtu_and_never_raises_it() {
    let (now, mut mtus) = (start(), PathMtus::new());
    assert!(mtus.learn(now, A, 1400));
    assert!(!mtus.learn(now, A, 1401));
    assert!(mtus.learn(now, A, 1399));
    assert_eq!(mtus.get(now, A), Some(1399));
    // A greater report does not prolong the lifetime of the less one either.
    mtus.learn(now + LIFETIME - TICK, A, 1500);
    assert_eq!(mtus.get(now + LIFETIME, A), None);
}

#[test]
fn a_report_has_a_floor() {
    let (now, mut mtus) = (start(), PathMtus::new());
    for mtu in [0, 68, 551] {
        mtus.learn(now, A, mtu);
        assert_eq!(mtus.get(now, A), Some(552));
    }
    for mtu in [0, 1279] {
        assert!(!mtus.learn(now, B, mtu));
        assert_eq!(mtus.get(now, B), None);
    }
    assert!(mtus.learn(now, B, 1280));
    // The program may state less.
    mtus.set(now, A, Some(100));
    assert_eq!(mtus.get(now, A), Some(100));
}

#[test]
fn the_lesser_of_stated_and_learned_counts() {
    let (now, mut mtus) = (start(), PathMtus::new());
    mtus.set(now, A, Some(1420));
    assert!(!mtus.learn(now, A, 1440));
    assert!(mtus.learn(now, A, 1400));
    assert_eq!(mtus.get(now, A), Some(1400));
    assert_eq!(mtus.get(now + LIFETIME, A), Some(1420));
    // Another statement leaves the report alone, and none forgets both.
    mtus.set(now, A, Some(1480));
    assert_eq!(mtus.get(now, A), Some(1400));
    mtus.set(now, A, None);
    assert_eq!(mtus.get(now, A), None);
    assert!(mtus.is_empty());
    mtus.set(now, A, Some(usize::MAX));
    assert_eq!(mtus.get(now, A), Some(u32::MAX as usize));
}

#[test]
fn a_full_table_forgets_the_oldest_report_and_keeps_what_is_stated() {
    let (now, mut mtus) = (start(), PathMtus::new());
    mtus.set(now, A, Some(1420));
    for number in 0..4096 {
        mtus.learn(now, host(number), 1400);
    }
    assert_eq!(mtus.get(now, host(0)), None);
    assert_eq!(mtus.get(now, host(1)), Some(1400));
    // Another report about a destination makes it the newest.
    mtus.learn(now, host(1), 1300);
    mtus.learn(now, B, 1300);
    assert_eq!(mtus.get(now, host(1)), Some(1300));
    assert_eq!(mtus.get(now, host(2)), None);
    assert_eq!(mtus.get(now, A), Some(1420));
    // When all are stated, the one stated first goes.
    for number in 0..4096 {
        mtus.set(now, host(number), Some(1400));
    }
    assert_eq!(mtus.get(now, A), None);
    assert_eq!(mtus.get(now, host(0)), Some(1400));
    assert_eq!(mtus.get(now, host(4095)), Some(1400));
    assert!(mtus.learn(now, B, 1300));
    assert_eq!(mtus.get(now, host(0)), None);
}

#[test]
fn expired_reports_make_room() {
    let (now, mut mtus) = (start(), PathMtus::new());
    for number in 0..100 {
        mtus.learn(now, host(number), 1400);
    }
    mtus.set(now + LIFETIME, A, Some(1400));
    mtus.set(now + LIFETIME, A, None);
    assert!(mtus.is_empty());
}

#[test]
fn a_statement_for_a_while_expires_and_never_raises_the_mtu() {
    let (now, mut mtus) = (start(), PathMtus::new());
    assert!(mtus.set_expiring(now, A, 1400));
    assert!(!mtus.set_expiring(now + LIFETIME / 2, A, 1400)); // prolonged
    assert!(!mtus.set_expiring(now + LIFETIME / 2, A, 1401));
    assert_eq!(mtus.stated(now + LIFETIME, A), Some(1400));
    assert_eq!(mtus.stated(now + LIFETIME + LIFETIME / 2, A), None);
    // What does not expire stays, and replaces it when it is stated again.
    mtus.set(now, B, Some(1450));
    assert!(mtus.set_expiring(now, B, 1300));
    assert_eq!(mtus.stated(now, B), Some(1300));
    assert_eq!(mtus.stated(now + LIFETIME, B), Some(1450));
    mtus.set(now, B, Some(1420));
    assert_eq!(mtus.stated(now, B), Some(1420));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Set(Option<usize>),
    SetExpiring(usize),
    Learn(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let mtu = || prop_oneof![Just(1280usize), Just(1400), 0usize..1600];
    prop_oneof![
        prop::option::of(mtu()).prop_map(Step::Set),
        mtu().prop_map(Step::SetExpiring),
        mtu().prop_map(Step::Learn),
        (0u64..900).prop_map(Step::Wait),
    ]
}

/// The stated MTU, the one that is stated for a while with its time, and the learned one with its
/// time.
type Plain = (
    Option<usize>,
    Option<(usize, Instant)>,
    Option<(usize, Instant)>,
);

proptest! {
    /// The table against the rules without bounds and without order.
    #[test]
    fn the_table_follows_the_rules(steps in prop::collection::vec((0u32..4, step()), 1..60)) {
        let (mut now, mut mtus) = (start(), PathMtus::new());
        let mut plain: HashMap<u32, Plain> = HashMap::new();
        let value = |entry: &Plain, now: Instant| {
            let valid = |timed: Option<(usize, Instant)>| {
                timed.filter(|(_, at)| now - *at < LIFETIME).map(|(mtu, _)| mtu)
            };
            entry.0.into_iter().chain(valid(entry.1)).chain(valid(entry.2)).min()
        };
        for (number, step) in steps {
            let entry = plain.entry(number).or_default();
            match step {
                Step::Wait(seconds) => now += Duration::from_secs(seconds),
                Step::Set(mtu) => {
                    mtus.set(now, host(number), mtu);
                    entry.0 = mtu;
                    entry.1 = None;
                    entry.2 = entry.2.filter(|_| mtu.is_some());
                }
                Step::SetExpiring(mtu) => {
                    let before = value(entry, now);
                    if before.is_none_or(|before| mtu <= before) {
                        entry.1 = Some((mtu, now));
                    }
                    prop_assert_eq!(
                        mtus.set_expiring(now, host(number), mtu),
                        value(entry, now) != before
                    );
                }
                Step::Learn(mtu) => {
                    let before = value(entry, now);
                    let mtu = mtu.max(552);
                    if before.is_none_or(|before| mtu <= before) {
                        entry.2 = Some((mtu, now));
                    }
                    prop_assert_eq!(
                        mtus.learn(now, host(number), mtu),
                        value(entry, now) != before
                    );
                }
            }
            for (number, entry) in &plain {
                prop_assert_eq!(mtus.get(now, host(*number)), value(entry, now));
            }
        }
    }
}
