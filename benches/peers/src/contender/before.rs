//! brooklet as it was: the example `inetd` of another revision, to show what a change did.

use super::{Contender, Server, brooklet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The root of the tree, for git.
const TREE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Where other revisions are unpacked and built.
const REVISIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/before");

/// These take part only where `--before` says which revision they are of.
pub(crate) const ALL: &[Contender] = &[
    before(
        &brooklet::PLAIN,
        "brooklet-before",
        "brooklet before",
        "`inetd` of the revision that `--before` names, with the flags of **brooklet**.",
    ),
    before(
        &brooklet::OFFLOAD,
        "brooklet-before-offload",
        "brooklet before, offload",
        "the same with `--offload`.",
    ),
    before(
        &brooklet::LOCAL,
        "brooklet-before-local",
        "brooklet before, local",
        "the same with `--local`.",
    ),
    before(
        &brooklet::LOCAL_OFFLOAD,
        "brooklet-before-local-offload",
        "brooklet before, local, offload",
        "the same with both.",
    ),
];

const fn before(
    now: &Contender,
    key: &'static str,
    name: &'static str,
    about: &'static str,
) -> Contender {
    let Server::Inetd(flags) = now.server else {
        panic!("brooklet is served by inetd");
    };
    Contender {
        key,
        name,
        about,
        link: now.link,
        server: Server::InetdBefore(flags),
        most_connections: now.most_connections,
    }
}

/// Finds the earlier `inetd`: the file of this name, or else a revision of this tree, which is
/// unpacked beside the builds of this program and built there.
pub(crate) fn find_inetd(named: &str) -> io::Result<PathBuf> {
    if Path::new(named).is_file() {
        return fs::canonicalize(named);
    }
    let commit = commit(named)?;
    let folder = Path::new(REVISIONS).join(&commit);
    if !folder.exists() {
        unpack(&commit, &folder)?;
    }
    brooklet::build(&folder.join("Cargo.toml"), Some(&folder.join("target")))
}

/// The full name of a revision.
fn commit(named: &str) -> io::Result<String> {
    let revision = format!("{named}^{{commit}}");
    let output = Command::new("git")
        .args(["-C", TREE, "rev-parse", "--verify", "--quiet"])
        .args(["--end-of-options", &revision])
        .output()?;
    if !output.status.success() {
        let text = format!("--before {named}: neither a file nor a revision");
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    }
    let commit = String::from_utf8_lossy(&output.stdout);
    Ok(commit.trim().to_owned())
}

/// Writes the tree of a commit into a folder. `git archive` in place of a worktree: nothing is
/// left in the repository.
fn unpack(commit: &str, folder: &Path) -> io::Result<()> {
    // Renamed at the end, so that an interrupted attempt is not taken for a tree.
    let partial = folder.with_extension("partial");
    fs::create_dir_all(&partial)?;
    let mut archive = Command::new("git")
        .args(["-C", TREE, "archive", "--format=tar", commit])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut tar = Command::new("tar");
    tar.arg("-x").arg("-C").arg(&partial);
    if let Some(stdout) = archive.stdout.take() {
        tar.stdin(stdout);
    }
    let unpacked = tar.status();
    let archived = archive.wait()?;
    if !unpacked?.success() || !archived.success() {
        let text = format!("the tree of {commit} cannot be unpacked");
        return Err(io::Error::other(text));
    }
    fs::rename(partial, folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Entrant;

    #[test]
    fn a_file_is_taken_as_it_is_and_an_unknown_revision_is_refused() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let found = find_inetd(file).unwrap();
        assert!(found.is_absolute() && found.ends_with("Cargo.toml"));
        let why = find_inetd("no-such-revision").unwrap_err();
        assert_eq!(why.kind(), io::ErrorKind::NotFound);
        assert!(find_inetd("--help").is_err());
    }

    #[test]
    fn a_contender_before_is_run_as_its_successor() {
        let now = [
            &brooklet::PLAIN,
            &brooklet::OFFLOAD,
            &brooklet::LOCAL,
            &brooklet::LOCAL_OFFLOAD,
        ];
        assert_eq!(now.len(), ALL.len());
        for (before, now) in ALL.iter().zip(now) {
            assert_eq!(before.key, now.key.replace("brooklet", "brooklet-before"));
            assert!(!before.is_brooklet() && now.is_brooklet());
        }
    }
}
