//! Configuration, counters and datagrams as JSON and back.
#![cfg(feature = "serde")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use brooklet_udp::{Config, Datagram, Stats};

#[test]
fn a_missing_field_is_the_default_and_a_typo_is_an_error() {
    let config = Config::new().inbound_packets(7);
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), config);
    let partial: Config = serde_json::from_str(r#"{"inbound_packets":7}"#).unwrap();
    assert_eq!(partial, config);
    assert!(serde_json::from_str::<Config>(r#"{"inbound":7}"#).is_err());
}

#[test]
fn datagrams_and_counters_read_back_as_written() {
    let (from, to) = (
        "10.0.0.1:5".parse().unwrap(),
        "[fd00::1]:53".parse().unwrap(),
    );
    let datagram = Datagram::new(*b"hi", from, to);
    let text = serde_json::to_string(&datagram).unwrap();
    assert_eq!(
        text,
        r#"{"payload":[104,105],"from":"10.0.0.1:5","to":"[fd00::1]:53"}"#
    );
    assert_eq!(serde_json::from_str::<Datagram>(&text).unwrap(), datagram);
    let stats: Stats = serde_json::from_str(r#"{"bytes_in":3}"#).unwrap();
    let text = serde_json::to_string(&stats).unwrap();
    assert_eq!(serde_json::from_str::<Stats>(&text).unwrap(), stats);
}
