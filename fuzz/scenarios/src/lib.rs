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
//!
//! # Stateful scenarios
//!
//! [`tcp`] and [`pair`] are simulations in virtual time, which bytes describe: those of a fuzzer, or
//! those that a seed stands for ([`bytes_of_seed`]). The same bytes make the same packets in every
//! run. The program of this package runs seeds and names those that fail; `--trace` prints the packets
//! of a seed.
//!
//! - [`tcp`] is a stack between hostile peers that learn its sequence numbers, and an application that
//!   calls everything. The model of a 4-tuple notes what has arrived at the stack and rejects what no
//!   host could conclude from that.
//! - [`pair`] is two stacks over a link that loses, duplicates, reorders, delays and corrupts packets
//!   and changes its MTU.
//!
//! In both, drivers and tasks run only when they are woken. A scenario panics when one of these does
//! not hold:
//!
//! - Every packet of a stack parses, fits the MTU or is a super-packet of segments that do, and has
//!   right checksums; an acknowledgment and a SACK block cover only what has arrived; data is what the
//!   application wrote, within the peer's window and segment size, and follows a handshake.
//! - What is read is a prefix of what that very peer sent without a gap. The end of a stream comes
//!   where the peer put it, and a reset only from a RST at exactly the next sequence number.
//! - No stream comes without a handshake, and nothing wakes too late: a task that finds what it waited
//!   for has been woken, and so has a driver that has a packet to send.
//! - No deadline has passed when the drivers sleep, and they find sleep. The stack sends no more packets
//!   without data than arrive, times four.
//! - Memory stays within the budget. The counters agree with the packets. When all have let go, no
//!   connection, buffer, fragment or deadline is left. When the stack ends, every call that waits fails.
//!
//! # What the scenarios find
//!
//! Each row is a fault that was put into the stack, and the first seed from 0 on that fails.
//!
//! | fault | [`tcp`] | [`pair`] |
//! |---|---|---|
//! | data beyond a gap is delivered | 2 | 1 |
//! | a FIN is taken although the window cut data off before it | 97 | 253 |
//! | a wrong checksum in segments of one length of sixteen | 0 | 1 |
//! | a RST anywhere in the window resets | 1 | none sends such a RST |
//! | a reader of one byte is not woken | 7 | 5 |
//! | a driver is not woken for a single packet | 2 | 0 |
//! | data beyond the peer's window is sent | 1 | no peer checks it |
//! | a connection without a handle never times out | 4 | 25 |
//! | other segments than the first carry data of the byte before | 0 | 0 |
//! | segments are 8 bytes too long | 0 | 1 |
//! | a SACK block ends one byte late | 4 | no peer checks it |

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
