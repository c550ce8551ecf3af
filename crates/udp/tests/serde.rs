//! Configuration, counters and datagrams as JSON and back.
#![cfg(feature = "serde")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use brooklet_udp::{Config, Datagram, Filtering, Mapping, SessionConfig, Stats};

#[test]
fn a_missing_field_is_the_default_and_a_typo_is_an_error() {
    let config = Config::new().inbound_packets(7);
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), config);
    let partial: Config = serde_json::from_str(r#"{"inbound_packets":7}"#).unwrap();
    assert_eq!(partial, config);
    assert!(serde_json::from_str::<Config>(r#"{"inbound":7}"#).is_err());

    let config = SessionConfig::new()
        .mapping(Mapping::AddressAndPortDependent)
        .filtering(Filtering::AddressDependent)
        .per_source(7);
    let text = serde_json::to_string(&config).unwrap();
    assert!(
        text.starts_with(r#"{"mapping":"address_and_port_dependent""#),
        "{text}"
    );
    assert_eq!(
        serde_json::from_str::<SessionConfig>(&text).unwrap(),
        config
    );
    let default: SessionConfig = serde_json::from_str("{}").unwrap();
    assert_eq!(default, SessionConfig::new());
    assert!(serde_json::from_str::<SessionConfig>(r#"{"idle":7}"#).is_err());
}

#[test]
fn datagrams_and_counters_read_back_as_written() {
    let (from, to) = (
        "10.0.0.1:5".parse().unwrap(),
        "[fd00::1]:53".parse().unwrap(),
    );
    let datagram = Datagram::new(*b"hi", from, to);
    let text = serde_json::to_string(&datagram).unwrap();
    let addresses = r#"{"payload":[104,105],"from":"10.0.0.1:5","to":"[fd00::1]:53""#;
    let fields =
        r#","hop_limit":null,"traffic_class":0,"dont_fragment":false,"segment_size":null}"#;
    assert_eq!(text, format!("{addresses}{fields}"));
    assert_eq!(serde_json::from_str::<Datagram>(&text).unwrap(), datagram);
    let short = format!("{addresses}}}");
    assert_eq!(serde_json::from_str::<Datagram>(&short).unwrap(), datagram);
    let stats: Stats = serde_json::from_str(r#"{"bytes_in":3}"#).unwrap();
    let text = serde_json::to_string(&stats).unwrap();
    assert_eq!(serde_json::from_str::<Stats>(&text).unwrap(), stats);
}
