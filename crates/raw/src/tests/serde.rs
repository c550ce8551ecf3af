//! The configurations and counters as text.

use crate::{Config, IcmpSocketConfig, RawConfig, Stats};

#[test]
fn configurations_come_back_from_their_text() {
    let config = Config::new().sockets(3);
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), config);

    let config = IcmpSocketConfig::new().echo_requests(false).outstanding(9);
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(
        serde_json::from_str::<IcmpSocketConfig>(&text).unwrap(),
        config
    );

    let config = RawConfig::new().protocol(2).protocol(58).multicast(true);
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<RawConfig>(&text).unwrap(), config);

    let stats: Stats = serde_json::from_str(r#"{"unmatched": 4}"#).unwrap();
    assert_eq!(stats.unmatched, 4);
}

#[test]
fn missing_fields_are_the_defaults_and_unknown_ones_an_error() {
    let config: RawConfig = serde_json::from_str(r#"{"protocols": ["89"]}"#).unwrap();
    assert_eq!(config, RawConfig::new().protocol(89));
    assert!(serde_json::from_str::<Config>(r#"{"socket": 1}"#).is_err());
}
