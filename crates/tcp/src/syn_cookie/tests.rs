use super::*;
use crate::{Clock, Config, Interface};
use brooklet_cell::Threaded;
use brooklet_packet::{Packet, TcpFlags};
use std::time::Instant;

#[allow(clippy::disallowed_methods, reason = "time begins somewhere")]
fn stack(secret: u64) -> StackConfig<Threaded> {
    let clock = Clock::new(Instant::now);
    StackConfig::new(
        Interface::new(),
        Config::new(),
        clock,
        [secret, 2],
        std::num::NonZeroU8::MIN,
    )
}

fn key(ipv6: bool) -> FlowKey {
    let (from, to) = match ipv6 {
        true => ("[fd00::2]:40000", "[fd00::1]:80"),
        false => ("10.0.0.2:40000", "192.0.2.1:80"),
    };
    FlowKey::new(from.parse().unwrap(), to.parse().unwrap()).unwrap()
}

fn syn() -> Syn {
    Syn {
        isn: 1000,
        mss: Some(1460),
        window: 64_240,
        window_scale: Some(7),
        sack_permitted: true,
        timestamp: Some((5_000_000, 0)),
        hop_limit: 64,
        traffic_class: Default::default(),
    }
}

const NOW: Micros = 1_000_000_000;

fn answer(key: FlowKey, syn: &Syn, now: Micros) -> Segment {
    syn_ack(key, syn, (&TcpOptions::new(), None), &stack(1), now)
}

/// The third packet of the handshake that `syn_ack` answers.
fn third(syn_ack: &Segment) -> Segment {
    Segment {
        seq: syn_ack.ack.unwrap(),
        ack: Some(syn_ack.seq.wrapping_add(1)),
        window: 502,
        timestamp: syn_ack.timestamp.map(|(tsval, tsecr)| (tsecr + 30, tsval)),
        ..Segment::default()
    }
}

fn check_at(key: FlowKey, third: &Segment, secret: u64, now: Micros) -> Option<SynCookie> {
    let bytes = third.packet(key);
    let packet = Packet::parse(&bytes).unwrap();
    let tcp = packet.tcp().unwrap();
    assert_eq!(tcp.flags, TcpFlags::ACK);
    check(&bytes, packet.headers(), tcp, &stack(secret), now)
}

#[test]
fn a_cookie_keeps_mss_window_scale_sack_and_timestamps() {
    for ipv6 in [false, true] {
        for scale in (0..=14).map(Some).chain([None]) {
            for (mss, kept) in [
                (None, if ipv6 { 1220 } else { 536 }),
                (Some(1), 48),
                (Some(1219), 536),
                (Some(1380), 1360),
                (Some(1460), 1460),
                (Some(65_495), 8940),
            ] {
                for sack_permitted in [true, false] {
                    let (key, mut syn) = (key(ipv6), syn());
                    (syn.mss, syn.window_scale, syn.sack_permitted) = (mss, scale, sack_permitted);
                    let syn_ack = answer(key, &syn, NOW);
                    let cookie = check_at(key, &third(&syn_ack), 1, NOW + 500_000).unwrap();
                    assert_eq!(cookie.iss, syn_ack.seq);
                    let back = cookie.syn;
                    assert_eq!(back.isn, syn.isn);
                    assert_eq!(back.mss, Some(kept));
                    assert_eq!(back.window_scale, scale);
                    assert_eq!(back.sack_permitted, sack_permitted);
                    assert_eq!(back.timestamp.map(|(tsval, _)| tsval), Some(5_000_030));
                    assert_eq!(back.window, 502);
                }
            }
        }
    }
}

#[test]
fn without_timestamps_the_mss_alone_is_kept_and_offered() {
    let mut syn = syn();
    syn.timestamp = None;
    let syn_ack = answer(key(false), &syn, NOW);
    assert_eq!(syn_ack.window_scale, None);
    assert!(!syn_ack.sack_permitted && syn_ack.timestamp.is_none());
    let back = check_at(key(false), &third(&syn_ack), 1, NOW).unwrap();
    assert_eq!(back.syn.mss, Some(1460));
    assert_eq!(back.syn.window_scale, None);
    assert!(!back.syn.sack_permitted && back.syn.timestamp.is_none());
}

#[test]
fn a_cookie_is_good_for_one_to_two_periods() {
    let syn_ack = answer(key(false), &syn(), NOW);
    let third = third(&syn_ack);
    let good = |now| check_at(key(false), &third, 1, now).is_some();
    let end = (NOW / PERIOD + 2) * PERIOD;
    assert!(good(NOW) && good(NOW + PERIOD) && good(end - 1));
    for periods in 0..40 {
        assert!(!good(end + periods * PERIOD), "{periods} periods later");
    }
    // Nor is there a time before the first period.
    assert!(!good(0));
}

#[test]
fn a_cookie_belongs_to_its_client_and_its_stack() {
    let syn_ack = answer(key(false), &syn(), NOW);
    let ack = third(&syn_ack);
    assert!(check_at(key(false), &ack, 1, NOW).is_some());
    assert!(
        check_at(key(false), &ack, 3, NOW).is_none(),
        "another secret"
    );
    let neighbour = FlowKey::new(
        "10.0.0.2:40001".parse().unwrap(),
        "192.0.2.1:80".parse().unwrap(),
    );
    assert!(check_at(neighbour.unwrap(), &ack, 1, NOW).is_none());
    let other_irs = Segment {
        seq: ack.seq + 1,
        ..ack
    };
    assert!(check_at(key(false), &other_irs, 1, NOW).is_none());
    for bit in 0..32 {
        let forged = Segment {
            ack: ack
                .ack
                .map(|ack| ack.wrapping_sub(1) ^ (1 << bit))
                .map(|iss| iss.wrapping_add(1)),
            ..ack
        };
        assert!(check_at(key(false), &forged, 1, NOW).is_none(), "bit {bit}");
    }
    // A timestamp that was never sent.
    for tsecr in [0, ack.timestamp.unwrap().1.wrapping_add(1 << 10)] {
        let forged = Segment {
            timestamp: ack.timestamp.map(|(tsval, _)| (tsval, tsecr)),
            ..ack
        };
        assert!(check_at(key(false), &forged, 1, NOW).is_none());
    }
}

#[test]
fn tsval_does_not_go_backwards_behind_a_cookie() {
    let stack = stack(1);
    for millis in 0..100 {
        let now = NOW + millis * 1000;
        let (tsval, _) = answer(key(false), &syn(), now).timestamp.unwrap();
        let clock = clock(key(false), &stack, now);
        let behind = clock.wrapping_sub(tsval);
        assert!(behind <= OPTION_BITS, "{behind} ms");
    }
}

#[test]
fn a_syn_ack_is_no_longer_than_its_syn() {
    let has = |bit: u32, bits: u32| bits & 1 << bit != 0;
    for bits in 0..16 {
        let (mss, scale, sack, timestamps) =
            (has(0, bits), has(1, bits), has(2, bits), has(3, bits));
        let mut syn = syn();
        syn.mss = syn.mss.filter(|_| mss);
        syn.window_scale = syn.window_scale.filter(|_| scale);
        syn.sack_permitted = sack;
        syn.timestamp = syn.timestamp.filter(|_| timestamps);
        // Without padding, as no stack leaves it out.
        let options = [(mss, 4), (scale, 3), (sack, 2), (timestamps, 10)];
        let len: usize = options
            .iter()
            .map(|&(is_there, len)| if is_there { len } else { 0 })
            .sum();
        let syn_ack = answer(key(false), &syn, NOW).packet(key(false).reversed());
        assert!(syn_ack.len() <= 40 + len.next_multiple_of(4), "{syn:?}");
    }
}
