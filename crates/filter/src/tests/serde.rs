//! Sets, directions and verdicts as JSON and back.

use super::*;
use crate::Verdict;

#[test]
fn a_set_is_a_list_of_strings() {
    let set: CidrSet = "10.0.0.0/9\n10.128.0.0/9\nfd00::1".parse().unwrap();
    let text = serde_json::to_string(&set).unwrap();
    assert_eq!(text, r#"["10.0.0.0/8","fd00::1/128"]"#);
    assert_eq!(serde_json::from_str::<CidrSet>(&text).unwrap(), set);
    let read: CidrSet = serde_json::from_str(r#"["10.1.2.3/8", "fd00::1"]"#).unwrap();
    assert_eq!(read, set);
    let error = serde_json::from_str::<CidrSet>(r#"["10.0.0.0/33"]"#).unwrap_err();
    assert!(error.to_string().starts_with("`10.0.0.0/33`: the prefix"));
}

#[test]
fn directions_and_verdicts_are_words() {
    for (direction, verdict, text) in [
        (Direction::Inbound, Verdict::Pass, r#"["inbound","pass"]"#),
        (Direction::Outbound, Verdict::Drop, r#"["outbound","drop"]"#),
    ] {
        let pair = (direction, verdict);
        assert_eq!(serde_json::to_string(&pair).unwrap(), text);
        let read: (Direction, Verdict) = serde_json::from_str(text).unwrap();
        assert_eq!(read, pair);
    }
}

#[test]
fn rules_and_verdicts_are_their_text() {
    let rules: Ruleset = "policy drop\nudp dport 53 reject".parse().unwrap();
    let text = serde_json::to_string(&rules).unwrap();
    assert_eq!(text, r#""policy drop\nudp dport 53 reject\n""#);
    assert_eq!(serde_json::from_str::<Ruleset>(&text).unwrap(), rules);
    let rule: crate::Rule = serde_json::from_str(r#""icmp type 8 pass""#).unwrap();
    assert_eq!(
        serde_json::to_string(&rule).unwrap(),
        r#""icmp type echo-request pass""#
    );
    let error = serde_json::from_str::<Verdict>(r#""accept""#).unwrap_err();
    assert!(error.to_string().starts_with("not a verdict"), "{error}");
}
