//! Where the programs are.

use super::contender::{Revision, Route};
use super::options::Options;
use crate::contender::brooklet;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The version that takes part.
const TUN2PROXY: &str = "0.8.7";

/// Where it is built.
const TUN2PROXY_FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/tun2proxy");

/// The programs that do not come from a package.
#[derive(Debug)]
pub(crate) struct Programs {
    now: Option<Brooklet>,
    before: Option<Brooklet>,
    /// Or why there is none.
    tun2proxy: Result<PathBuf, String>,
}

/// brooklet's programs.
#[derive(Debug)]
enum Brooklet {
    /// One with subcommands.
    One(PathBuf),
    /// A folder with a program for each subcommand.
    Each(PathBuf),
}

impl Programs {
    /// Builds what takes part and is not built.
    pub(crate) fn find(options: &Options) -> io::Result<Self> {
        let takes_part = |is: fn(Route) -> bool| options.contenders.iter().any(|r| is(r.route));
        let now = match &options.brooklet {
            Some(path) => Some(Brooklet::at(path)?),
            None if takes_part(|route| revision(route) == Some(Revision::Now)) => {
                Some(Brooklet::One(brooklet::build_program()?))
            }
            None => None,
        };
        let before = options.before.as_deref().map(Brooklet::at).transpose()?;
        let tun2proxy = match takes_part(|route| route == Route::Tun2proxy) {
            true => install_tun2proxy().map_err(|why| why.to_string()),
            false => Err("it does not take part".into()),
        };
        Ok(Self {
            now,
            before,
            tun2proxy,
        })
    }

    /// brooklet's program for a subcommand.
    pub(crate) fn brooklet(&self, revision: Revision, subcommand: &str) -> io::Result<Command> {
        let found = match revision {
            Revision::Now => &self.now,
            Revision::Before => &self.before,
        };
        let found = found.as_ref();
        let found = found.ok_or_else(|| io::Error::other("no program was named"))?;
        Ok(found.command(subcommand))
    }

    pub(crate) fn tun2proxy(&self) -> io::Result<Command> {
        match &self.tun2proxy {
            Ok(path) => Ok(Command::new(path)),
            Err(why) => Err(io::Error::other(why.clone())),
        }
    }
}

fn revision(route: Route) -> Option<Revision> {
    match route {
        Route::Run(revision, _) | Route::Forward(revision, _) => Some(revision),
        _ => None,
    }
}

impl Brooklet {
    fn at(path: &Path) -> io::Result<Self> {
        let found = path.canonicalize().map_err(|why| {
            let text = format!("{}: {why}", path.display());
            io::Error::new(why.kind(), text)
        })?;
        Ok(match found.is_dir() {
            true => Self::Each(found),
            false => Self::One(found),
        })
    }

    fn command(&self, subcommand: &str) -> Command {
        match self {
            Self::One(path) => {
                let mut command = Command::new(path);
                command.arg(subcommand);
                command
            }
            Self::Each(folder) => Command::new(folder.join(subcommand)),
        }
    }
}

/// Installs it into a folder of this workspace, once.
fn install_tun2proxy() -> io::Result<PathBuf> {
    let program = Path::new(TUN2PROXY_FOLDER).join("bin/tun2proxy-bin");
    if program.is_file() {
        return Ok(program);
    }
    let version = format!("={TUN2PROXY}");
    let status = Command::new("cargo")
        .args(["install", "--quiet", "--locked", "tun2proxy", "--version"])
        .args([&version, "--root", TUN2PROXY_FOLDER])
        .args(["--bin", "tun2proxy-bin"])
        .stdin(Stdio::null())
        .status()?;
    match status.success() && program.is_file() {
        true => Ok(program),
        false => Err(io::Error::other(format!(
            "tun2proxy does not install: {status}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_a_program_for_each_subcommand() {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = Brooklet::at(manifest).unwrap().command("run");
        assert!(Path::new(folder.get_program()).ends_with("peers/run"));
        assert_eq!(folder.get_args().count(), 0);

        let one = Brooklet::at(&manifest.join("Cargo.toml")).unwrap();
        let one = one.command("run");
        assert!(Path::new(one.get_program()).ends_with("Cargo.toml"));
        assert_eq!(one.get_args().collect::<Vec<_>>(), ["run"]);

        let why = Brooklet::at(Path::new("no/such/program")).unwrap_err();
        assert!(why.to_string().starts_with("no/such/program: "), "{why}");
    }
}
