//! Offloads and metadata as JSON and back.
#![cfg(feature = "serde")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use brooklet_io::{Checksum, Meta, Offload};
use std::num::NonZeroU16;

#[test]
fn offloads_and_metadata_read_back_as_written() {
    let offload = Offload::new().checksum(true).uso(true);
    let text = serde_json::to_string(&offload).unwrap();
    assert_eq!(serde_json::from_str::<Offload>(&text).unwrap(), offload);
    let meta = Meta::new()
        .checksum(Checksum::Partial)
        .gso_size(NonZeroU16::new(1448));
    let text = serde_json::to_string(&meta).unwrap();
    assert_eq!(text, r#"{"checksum":"partial","gso_size":1448}"#);
    assert_eq!(serde_json::from_str::<Meta>(&text).unwrap(), meta);
}

#[test]
fn a_missing_field_is_the_default_and_a_typo_is_an_error() {
    let partial: Offload = serde_json::from_str(r#"{"tso4":true}"#).unwrap();
    assert_eq!(partial, Offload::new().tso4(true));
    assert!(serde_json::from_str::<Offload>(r#"{"tso":true}"#).is_err());
}
