//! Comparisons over real TUN devices: [`peers()`], of brooklet with other stacks, and [`relays()`], of
//! brooklet's programs with other programs that connect a namespace to the host's network.
//!
//! Both share the works, the measuring of a process, the turns and the tables.

mod arena;
mod awake;
mod contender;
mod holder;
mod machine;
mod options;
mod peers;
mod plot;
mod relays;
mod report;
mod results;
mod rounds;
mod server;
mod targets;
mod work;

pub use peers::peers;
pub use relays::relays;
