//! brooklet, by the example `inetd` of the root workspace.

use super::{Contender, Link, Server, TUN};
use std::io;
use std::path::PathBuf;

pub(crate) const CONTENDER: Contender = Contender {
    name: "brooklet",
    about: "`examples/inetd.rs` as it is by default: one thread, buffers of 128 KiB each way.",
    link: Link::Tun,
    server: Server::Inetd(&["--tun", TUN]),
};

pub(crate) const LOCAL: Contender = Contender {
    name: "brooklet, local",
    about: "the same with `--local`: handles that stay on their thread, and no lock.",
    link: Link::Tun,
    server: Server::Inetd(&["--tun", TUN, "--local"]),
};

/// Builds `inetd` as it is in the tree, so that no old one is measured.
pub(crate) fn build_inetd() -> io::Result<PathBuf> {
    let built = escargot::CargoBuild::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"))
        .package("brooklet-examples")
        .example("inetd")
        .release()
        .run()
        .map_err(|why| io::Error::other(format!("inetd does not build: {why}")))?;
    Ok(built.path().to_owned())
}
