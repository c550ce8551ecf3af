//! brooklet beside other stacks: the same works, over a real TUN, in the same run.
//!
//! ```sh
//! sudo cargo run --release --manifest-path benches/peers/Cargo.toml
//! ```
//!
//! Every contender serves the same ports to the same client, a program with sockets of the kernel
//! in a network namespace of its own. They take turns round by round, in an order that changes,
//! and the ratios are those of a round, so that what else the machine does meets all of them. The
//! tables go to the screen and into `RESULTS.md`, and a picture of them into `RESULTS.svg`.
//!
//! With `--before REVISION` the `inetd` of that revision takes part as well, in the same rounds
//! (`brooklet-before`, `brooklet-before-offload` and so on), and the ratios show what has changed
//! since. The revision is unpacked into `target/before` and built there; the path of an `inetd`
//! that is built already serves too:
//!
//! ```sh
//! git worktree add /tmp/before REVISION
//! cargo build --release --example inetd --manifest-path /tmp/before/Cargo.toml
//! sudo cargo run --release --manifest-path benches/peers/Cargo.toml -- \
//!     --before /tmp/before/target/release/examples/inetd \
//!     --contenders brooklet,brooklet-offload,brooklet-before,brooklet-before-offload --into /tmp
//! ```
//!
//! A contender is a file in `src/contender` and a line in `contender::ALL`; a work is a file in
//! `src/work` and a line in `work::ALL`. lwIP is in C: its crate needs a C compiler and libclang
//! (`apt-get install libclang1 libclang-common-14-dev`); `--no-default-features` does without it.

use std::process::ExitCode;

fn main() -> ExitCode {
    brooklet_peers::peers()
}
