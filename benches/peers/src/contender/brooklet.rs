//! brooklet, by the example `inetd` of the root workspace.

use super::{Contender, Link, Server, TUN};
use std::io;
use std::path::{Path, PathBuf};

pub(crate) const PLAIN: Contender = Contender {
    key: "brooklet",
    name: "brooklet",
    about: "`examples/inetd.rs` with `--connections 200000`, else by default: one thread, no offload.",
    link: Link::Tun,
    server: Server::Inetd(&["--tun", TUN, "--connections", "200000"]),
    most_connections: None,
};

pub(crate) const OFFLOAD: Contender = Contender {
    key: "brooklet-offload",
    name: "brooklet, offload",
    about: "the same with `--offload`: segmentation and checksums are left to the kernel.",
    link: Link::TunWithHeader,
    server: Server::Inetd(&["--tun", TUN, "--connections", "200000", "--offload"]),
    most_connections: None,
};

pub(crate) const LOCAL: Contender = Contender {
    key: "brooklet-local",
    name: "brooklet, local",
    about: "the same with `--local`: handles that stay on their thread, and no lock.",
    link: Link::Tun,
    server: Server::Inetd(&["--tun", TUN, "--connections", "200000", "--local"]),
    most_connections: None,
};

pub(crate) const LOCAL_OFFLOAD: Contender = Contender {
    key: "brooklet-local-offload",
    name: "brooklet, local, offload",
    about: "the same with both.",
    link: Link::TunWithHeader,
    server: Server::Inetd(&[
        "--tun",
        TUN,
        "--connections",
        "200000",
        "--local",
        "--offload",
    ]),
    most_connections: None,
};

/// Builds `inetd` as it is in the tree, so that no old one is measured.
pub(crate) fn build_inetd() -> io::Result<PathBuf> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
    build(Path::new(manifest), None)
}

/// Builds the `inetd` of a tree.
pub(super) fn build(manifest: &Path, target: Option<&Path>) -> io::Result<PathBuf> {
    let build = escargot::CargoBuild::new()
        .package("brooklet-examples")
        .example("inetd");
    finish(build, "inetd", manifest, target)
}

/// Builds the program `brooklet` as it is in the tree.
pub(crate) fn build_program() -> io::Result<PathBuf> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");
    let build = escargot::CargoBuild::new()
        .package("brooklet-cli")
        .bin("brooklet");
    finish(build, "brooklet", Path::new(manifest), None)
}

/// Builds for debugging if this program is built so.
fn finish(
    build: escargot::CargoBuild,
    name: &str,
    manifest: &Path,
    target: Option<&Path>,
) -> io::Result<PathBuf> {
    let mut build = build.manifest_path(manifest);
    if let Some(target) = target {
        build = build.target_dir(target);
    }
    let build = match cfg!(debug_assertions) {
        true => build,
        false => build.release(),
    };
    let built = build
        .run()
        .map_err(|why| io::Error::other(format!("{name} does not build: {why}")))?;
    Ok(built.path().to_owned())
}
