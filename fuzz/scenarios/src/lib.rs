//! The bodies of the fuzz targets, as functions that any compiler builds and any test can call.
//!
//! From the root of the repository:
//!
//! ```text
//! cargo test -p brooklet-fuzz    # on stable
//! cargo run -p brooklet-fuzz --release -- --seeds 100000    # the stateful ones, by seed
//! just fuzz                      # each target for a minute: a nightly compiler and cargo-fuzz
//! just fuzz udp                  # one target, until stopped
//! ```

mod bytes;
mod content;
mod differential;
mod dns;
mod fragments;
mod host;
mod icmp;
mod input;
mod output;
mod pair;
mod parse;
mod plan;
mod ranges;
mod reassembly;
mod ruleset;
mod run;
mod seeds;
mod socks;
mod targets;
mod tcp;
mod trace;
mod udp;
mod vnet;

pub use bytes::{Mutator, repair};
pub use differential::{Outcome, Reason, differential};
pub use dns::dns;
pub use fragments::{Tally, fragments};
pub use icmp::icmp;
pub use input::bytes_of_seed;
pub use pair::pair;
pub use parse::parse;
pub use plan::{Failure, Outcome as PlanOutcome, Plan, Scenario};
pub use reassembly::reassembly;
pub use ruleset::{RULES, ruleset};
pub use run::Run;
pub use seeds::seeds;
pub use socks::socks;
pub use targets::{TARGETS, Target, corpus};
pub use tcp::tcp;
pub use trace::trace;
pub use udp::{UdpTally, udp};
pub use vnet::vnet;
