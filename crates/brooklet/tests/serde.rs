//! The counters of a stack and what it can be configured with, as JSON and back.
#![cfg(feature = "serde")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use brooklet::{DropReason, ParseError, Stats};

#[test]
fn the_counters_of_a_stack_read_back_as_written() {
    let text = r#"{"packets_in":9,"tcp":{"accepted":3},"udp":{"bytes_in":7},
        "reassembly":{"fragments":4,"invalid":2},"drops":[["ipv6_disabled",5]]}"#;
    let stats: Stats = serde_json::from_str(text).unwrap();
    assert_eq!((stats.packets_in, stats.tcp.accepted), (9, 3));
    assert_eq!(stats.dropped(DropReason::Ipv6Disabled), 5);
    assert_eq!(stats.dropped(DropReason::FragmentInvalid), 2);
    let text = serde_json::to_string(&stats).unwrap();
    assert_eq!(serde_json::from_str::<Stats>(&text).unwrap(), stats);
}

#[test]
fn every_reason_reads_back_as_written() {
    for reason in Stats::default().drops().map(|(reason, _)| reason) {
        let text = serde_json::to_string(&reason).unwrap();
        assert_eq!(serde_json::from_str::<DropReason>(&text).unwrap(), reason);
    }
    let reason = DropReason::Malformed(ParseError::Truncated);
    let text = serde_json::to_string(&reason).unwrap();
    assert_eq!(text, r#"{"malformed":"truncated"}"#);
}
