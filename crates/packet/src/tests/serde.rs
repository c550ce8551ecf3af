//! Plain data as JSON and back.

use crate::icmp::{IcmpErrorKind, ParameterProblem, ParameterProblemKind, Unreachable};
use crate::reassembly::{Config, Stats};
use crate::{Ecn, FlowKey, Fragment, ParseError, Protocol, TcpFlags, TcpHeader, TrafficClass};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::time::Duration;

fn is<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, json: &str) {
    assert_eq!(serde_json::to_string(value).unwrap(), json);
    assert_eq!(&serde_json::from_str::<T>(json).unwrap(), value);
}

#[test]
fn keys_protocols_and_flags_are_texts() {
    let key = |text: &str| text.parse::<FlowKey>().unwrap();
    is(
        &key("10.0.0.1:5 -> 9.9.9.9:53"),
        r#""10.0.0.1:5 -> 9.9.9.9:53""#,
    );
    is(&key("[fd00::1]:5->[::1]:0"), r#""[fd00::1]:5 -> [::1]:0""#);
    is(&Protocol::Icmpv6, r#""ICMPv6""#);
    is(&Protocol::from(47), r#""protocol 47""#);
    is(&(TcpFlags::SYN | TcpFlags::ACK), r#""[S.]""#);
    let error = serde_json::from_str::<Protocol>(r#""sctp""#).unwrap_err();
    assert!(
        error.to_string().starts_with("`sctp`: neither tcp"),
        "{error}"
    );
}

#[test]
fn headers_and_errors_are_named() {
    let fragment = Fragment {
        id: 7,
        offset: 8,
        more: true,
    };
    is(&fragment, r#"{"id":7,"offset":8,"more":true}"#);
    let header = TcpHeader {
        seq: 1,
        ack: 2,
        window: 3,
        flags: TcpFlags::RST,
    };
    is(&header, r#"{"seq":1,"ack":2,"window":3,"flags":"[R]"}"#);
    is(
        &IcmpErrorKind::Unreachable(Unreachable::PacketTooBig { mtu: 1400 }),
        r#"{"unreachable":{"packet_too_big":{"mtu":1400}}}"#,
    );
    is(&IcmpErrorKind::HopLimitExceeded, r#""hop_limit_exceeded""#);
    let problem = ParameterProblem {
        pointer: 42,
        kind: ParameterProblemKind::Option,
    };
    is(
        &IcmpErrorKind::ParameterProblem(problem),
        r#"{"parameter_problem":{"pointer":42,"kind":"option"}}"#,
    );
    is(&TrafficClass::from_bits(0xb8), "184");
    is(&Ecn::Ect0, r#""ect0""#);
    is(&ParseError::HeaderLength, r#""header_length""#);
}

#[test]
fn a_config_may_be_partial_and_a_typo_is_an_error() {
    let config = Config::new()
        .packets(7)
        .lifetime(Duration::from_millis(1500));
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), config);
    let partial: Config = serde_json::from_str(r#"{"packets":7}"#).unwrap();
    assert_eq!(partial, Config::new().packets(7));
    let error = serde_json::from_str::<Config>(r#"{"packet":7}"#).unwrap_err();
    assert!(error.to_string().contains("unknown field"), "{error}");
}

#[test]
fn counters_of_an_older_version_read_as_zero() {
    let stats = Stats {
        fragments: 3,
        ..Stats::default()
    };
    assert_eq!(
        serde_json::from_str::<Stats>(r#"{"fragments":3}"#).unwrap(),
        stats
    );
    let text = serde_json::to_string(&stats).unwrap();
    assert_eq!(serde_json::from_str::<Stats>(&text).unwrap(), stats);
}
