//! Configuration and counters as JSON and back.
#![cfg(feature = "serde")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use brooklet_tcp::{Config, Congestion, Stats, TcpOptions, TcpState};
use std::time::Duration;

#[test]
fn a_config_reads_back_as_written() {
    let options = TcpOptions::new()
        .recv_buffer(4096)
        .keepalive(Some(Duration::from_secs(30)))
        .user_timeout(None)
        .delayed_ack(Some(Duration::from_millis(40)))
        .congestion(Congestion::None);
    let config = Config::new()
        .backlog(7)
        .time_wait(Duration::from_millis(1500))
        .options(options);
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), config);
}

#[test]
fn a_missing_field_is_the_default_and_a_typo_is_an_error() {
    let text = r#"{"backlog":7,"options":{"ttl":9,"congestion":"none"}}"#;
    let options = TcpOptions::new().ttl(9).congestion(Congestion::None);
    let config = Config::new().backlog(7).options(options);
    assert_eq!(serde_json::from_str::<Config>(text).unwrap(), config);
    for typo in [r#"{"backlogs":7}"#, r#"{"options":{"tll":9}}"#] {
        let error = serde_json::from_str::<Config>(typo).unwrap_err();
        assert!(error.to_string().contains("unknown field"), "{error}");
    }
}

#[test]
fn states_are_words_and_missing_counters_are_zero() {
    let text = serde_json::to_string(&TcpState::FinWait2).unwrap();
    assert_eq!(text, r#""fin_wait2""#);
    let state: TcpState = serde_json::from_str(&text).unwrap();
    assert_eq!(state, TcpState::FinWait2);
    let stats: Stats = serde_json::from_str(r#"{"accepted":3}"#).unwrap();
    assert_eq!(stats.accepted, 3);
    let text = serde_json::to_string(&stats).unwrap();
    assert_eq!(serde_json::from_str::<Stats>(&text).unwrap(), stats);
}
