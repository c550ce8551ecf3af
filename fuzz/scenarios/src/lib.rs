//! The bodies of the fuzz targets, as functions that any compiler builds and any test can call.
//!
//! From the root of the repository:
//!
//! ```text
//! cargo test -p brooklet-fuzz    # on stable
//! cargo run -p brooklet-fuzz --example corpus fuzz/corpus/{parse,differential,ruleset}    # once
//! cargo +nightly fuzz run parse -- -max_total_time=60
//! cargo +nightly fuzz run differential -- -max_total_time=60
//! cargo +nightly fuzz run fragments -- -max_total_time=60
//! cargo +nightly fuzz run ruleset -- -max_total_time=60
//! ```

mod bytes;
mod differential;
mod fragments;
mod parse;
mod ruleset;
mod seeds;

pub use bytes::{Mutator, repair};
pub use differential::{Outcome, Reason, differential};
pub use fragments::{Tally, fragments};
pub use parse::parse;
pub use ruleset::{RULES, ruleset};
pub use seeds::seeds;
