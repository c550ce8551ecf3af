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
mod content;
mod differential;
mod fragments;
mod host;
mod input;
mod output;
mod pair;
mod parse;
mod plan;
mod ranges;
mod ruleset;
mod run;
mod seeds;
mod tcp;

pub use bytes::{Mutator, repair};
pub use differential::{Outcome, Reason, differential};
pub use fragments::{Tally, fragments};
pub use input::bytes_of_seed;
pub use pair::pair;
pub use parse::parse;
pub use plan::{Failure, Outcome as PlanOutcome, Plan, Scenario};
pub use ruleset::{RULES, ruleset};
pub use run::Run;
pub use seeds::seeds;
pub use tcp::tcp;
