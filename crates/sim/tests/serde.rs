//! Links as JSON and back.
#![cfg(feature = "serde")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use brooklet_sim::{LinkConfig, LinkOutcome, LinkStats, LossPoint};
use std::time::Duration;

#[test]
fn a_link_reads_back_as_written() {
    let config = LinkConfig::new()
        .delay(Duration::from_micros(1500))
        .loss(0.01)
        .loss_point(LossPoint::BehindBottleneck)
        .rate(Some(20_000_000));
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<LinkConfig>(&text).unwrap(), config);
    let stats: LinkStats = serde_json::from_str(r#"{"sent":3}"#).unwrap();
    let text = serde_json::to_string(&stats).unwrap();
    assert_eq!(serde_json::from_str::<LinkStats>(&text).unwrap(), stats);
    let outcome: LinkOutcome = serde_json::from_str(r#""queue_full""#).unwrap();
    assert_eq!(outcome, LinkOutcome::QueueFull);
}

#[test]
fn a_missing_field_is_the_default_and_a_typo_is_an_error() {
    let text = r#"{"loss":0.5,"loss_point":"behind_bottleneck"}"#;
    let partial: LinkConfig = serde_json::from_str(text).unwrap();
    let config = LinkConfig::new()
        .loss(0.5)
        .loss_point(LossPoint::BehindBottleneck);
    assert_eq!(partial, config);
    assert!(serde_json::from_str::<LinkConfig>(r#"{"losses":0.5}"#).is_err());
}
