//! brooklet's programs beside others that connect a namespace to the host's network: `brooklet run`
//! beside pasta and slirp4netns, `brooklet forward` beside tun2proxy.
//!
//! ```sh
//! apt-get install passt slirp4netns strace
//! sudo cargo run --release --manifest-path benches/peers/Cargo.toml --bin relays
//! ```
//!
//! Every run has three network namespaces: the server's, the host's, in which the program under
//! test has its sockets, and the client's, whose packets go into the program's device. Client and
//! server are the same for all. The tables go to the screen and into `RELAYS.md`.
//!
//! `--brooklet PATH` measures a program that is built already, and `--before PATH` lets an earlier one
//! take part in the same rounds. A path is that of the program `brooklet`, or of a folder with the
//! programs `run` and `forward`, as earlier revisions had them:
//!
//! ```sh
//! git worktree add /tmp/before REVISION
//! cargo build --release --example run --example forward --manifest-path /tmp/before/Cargo.toml
//! sudo cargo run --release --manifest-path benches/peers/Cargo.toml --bin relays -- \
//!     --before /tmp/before/target/release/examples --into /tmp
//! ```

use std::process::ExitCode;

fn main() -> ExitCode {
    brooklet_peers::relays()
}
