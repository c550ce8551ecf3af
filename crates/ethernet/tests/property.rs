//! Frames and packets of random bytes, and of bytes that are nearly right.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod support;

use brooklet_ethernet::{Config, MacAddr};
use proptest::collection::vec;
use proptest::prelude::*;
use support::*;

#[derive(Clone, Debug)]
enum Step {
    Deliver(Vec<u8>),
    Send(Vec<u8>),
    Advance(u64),
    Fill(bool),
}

/// A frame that the adapter reads further than its header.
fn template() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(frame(
            HOST,
            MacAddr::BROADCAST,
            0x0806,
            &arp(REQUEST, HOST, "10.0.2.15", ZERO, "10.0.2.2"),
        )),
        Just(frame(
            HOST,
            OWN,
            0x0806,
            &arp(REPLY, HOST, "10.0.2.15", OWN, "10.0.2.2"),
        )),
        Just(solicitation("fd00::15", "fd00::2", Some(HOST))),
        Just(advertisement("fd00::15", HOST, 0b011)),
        Just(router_solicitation("fe80::15")),
        Just(ip_frame(
            HOST,
            OWN,
            &udp("10.0.2.15:1", "192.0.2.1:2", b"payload"),
        )),
        Just(ip_frame(
            HOST,
            OWN,
            &udp("[fd00::15]:1", "[2001:db8::1]:2", b"payload"),
        )),
    ]
}

/// A template with some bytes changed, cut off or added. The address stays that of the adapter, so
/// that the frame is read.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    (
        template(),
        vec((6..100usize, any::<u8>()), 0..4),
        0..120usize,
    )
        .prop_map(|(mut frame, changes, len)| {
            for (at, byte) in changes {
                if let Some(place) = frame.get_mut(at) {
                    *place = byte;
                }
            }
            if len > 20 {
                frame.resize(len, 0);
            }
            frame
        })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => mutated().prop_map(Step::Deliver),
        1 => vec(any::<u8>(), 0..80).prop_map(Step::Deliver),
        2 => (1..40u8).prop_map(|last| {
            Step::Send(udp("192.0.2.1:2", &format!("10.0.2.{last}:1"), b"answer"))
        }),
        1 => vec(any::<u8>(), 0..60).prop_map(Step::Send),
        1 => (0..5000u64).prop_map(Step::Advance),
        1 => any::<bool>().prop_map(Step::Fill),
    ]
}

proptest! {
    #[test]
    fn no_sequence_of_frames_and_packets_panics(
        steps in vec(step(), 0..60),
        proxy in any::<bool>(),
        learn in any::<bool>(),
    ) {
        let config = Config::new(OWN)
            .address([10, 0, 2, 2], 24)
            .proxy(proxy)
            .learn(learn)
            .neighbors(8)
            .advertise("fd00::".parse().unwrap());
        let mut wire = Wire::new(config);
        for step in steps {
            match step {
                Step::Deliver(frame) => wire.deliver(frame),
                Step::Send(packet) => drop(wire.try_send(&packet)),
                Step::Advance(milliseconds) => wire.advance(milliseconds),
                Step::Fill(full) => wire.fill(full),
            }
            while let Some(packet) = wire.recv() {
                prop_assert!(packet.len() <= 1500);
            }
            prop_assert!(wire.ethernet.neighbors() <= 8);
            for frame in wire.sent() {
                prop_assert!((14..=1514).contains(&frame.len()));
                prop_assert_eq!(&frame[6..12], &OWN.octets());
            }
        }
    }
}
