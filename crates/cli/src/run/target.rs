//! A network namespace that exists already, such as a container's.

use brooklet_reactor::Async;
use futures_lite::future;
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where `ip netns add` puts the namespaces.
const NAMED: &str = "/run/netns";

/// The value of `--netns`, opened.
#[derive(Debug)]
pub(super) struct Target {
    name: String,
    net: File,
    /// The user namespace to join before.
    user: Option<File>,
    /// The process that is in the namespace.
    process: Option<OwnedFd>,
}

impl Target {
    /// Opens the namespace of a process, or the one with this name or path. `userns` is the user
    /// namespace that owns it; by default this is the one of the process.
    ///
    /// # Errors
    ///
    /// One line that says what to do.
    pub(super) fn open(netns: &OsStr, userns: Option<&Path>) -> io::Result<Self> {
        let name = netns.to_string_lossy().into_owned();
        let mut process = None;
        let net = match name.parse() {
            Ok(number) => {
                // First of all: the number may belong to another process later.
                process = Some(open_process(number)?);
                PathBuf::from(format!("/proc/{number}/ns/net"))
            }
            Err(_) if name.contains('/') => PathBuf::from(netns),
            Err(_) => Path::new(NAMED).join(netns),
        };
        let user = match userns {
            Some(path) => Some(path.to_owned()),
            None if nix::unistd::geteuid().is_root() => None,
            None => user_of(&net),
        };
        let user = match user {
            Some(path) => foreign(&path).map_err(|error| unopened(&name, &path, &error))?,
            None => None,
        };
        let file = File::open(&net).map_err(|error| unopened(&name, &net, &error))?;
        if is_own(&file, "/proc/thread-self/ns/net")? {
            let why = "brooklet is in this namespace itself, and its sockets would lead back into it: \
                       name the namespace of a container";
            let text = format!("--netns {name}: {why}");
            return Err(io::Error::new(ErrorKind::InvalidInput, text));
        }
        Ok(Self {
            name,
            net: file,
            user,
            process,
        })
    }

    /// Joins the user namespace, while the process has one thread.
    ///
    /// # Errors
    ///
    /// One line, if the user is not the owner of the user namespace.
    pub(super) fn join_user(&self) -> io::Result<()> {
        let Some(user) = &self.user else {
            return Ok(());
        };
        setns(user, CloneFlags::CLONE_NEWUSER).map_err(|error| {
            let help = "the user namespace is another user's: run as that user, or as root";
            failed(&self.name, help, &error.into())
        })
    }

    /// Moves the calling thread into the network namespace.
    ///
    /// # Errors
    ///
    /// One line, without `CAP_SYS_ADMIN` in the namespace.
    pub(super) fn enter(&self) -> io::Result<()> {
        setns(&self.net, CloneFlags::CLONE_NEWNET).map_err(|error| {
            let help = match error {
                Errno::EPERM => {
                    "run as root, or as the owner of the namespace's user namespace and name that \
                     one by --userns, such as /proc/PID/ns/user"
                }
                Errno::EINVAL => {
                    "this is not a network namespace: name one such as /proc/PID/ns/net"
                }
                _ => "cannot enter it",
            };
            failed(&self.name, help, &error.into())
        })
    }

    /// Waits until the process has ended; a namespace with a name has no end.
    pub(super) async fn ended(self) -> io::Result<()> {
        match self.process {
            Some(process) => Async::new_nonblocking(process)?.readable().await,
            None => future::pending().await,
        }
    }
}

fn open_process(number: i32) -> io::Result<OwnedFd> {
    let pid = (number > 0).then_some(number).and_then(Pid::from_raw);
    let error = match pid.map(|pid| pidfd_open(pid, PidfdFlags::empty())) {
        Some(Ok(process)) => return Ok(process),
        Some(Err(rustix::io::Errno::SRCH)) | None => {
            let text = format!("--netns {number}: there is no such process");
            return Err(io::Error::new(ErrorKind::NotFound, text));
        }
        Some(Err(error)) => error,
    };
    let help = "cannot watch the process";
    Err(failed(&number.to_string(), help, &error.into()))
}

/// Returns the user namespace beside a `/proc/PID/ns/net`.
fn user_of(net: &Path) -> Option<PathBuf> {
    let is_process = net.starts_with("/proc") && net.ends_with("ns/net");
    is_process.then(|| net.with_file_name("user"))
}

/// Opens a user namespace, unless this process is in it already.
fn foreign(path: &Path) -> io::Result<Option<File>> {
    let file = File::open(path)?;
    Ok(match is_own(&file, "/proc/self/ns/user")? {
        true => None,
        false => Some(file),
    })
}

/// Returns whether a namespace is the one of this process at `own`.
fn is_own(namespace: &File, own: &str) -> io::Result<bool> {
    let (there, here) = (namespace.metadata()?, std::fs::metadata(own)?);
    Ok((there.dev(), there.ino()) == (here.dev(), here.ino()))
}

fn unopened(name: &str, path: &Path, error: &io::Error) -> io::Error {
    let path = path.display();
    let help = match error.kind() {
        ErrorKind::PermissionDenied => "it is another user's: run as that user, or as root",
        _ => "name a process, a name of `ip netns`, or a path",
    };
    failed(name, &format!("cannot open {path}: {help}"), error)
}

fn failed(name: &str, help: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("--netns {name}: {help}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_namespace_is_the_one_beside() {
        let user = user_of(Path::new("/proc/4711/ns/net"));
        assert_eq!(user.as_deref(), Some(Path::new("/proc/4711/ns/user")));
        assert_eq!(user_of(Path::new("/run/netns/blue")), None);
        assert!(foreign(Path::new("/proc/self/ns/user")).unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_opened_is_named() {
        for (netns, about) in [
            ("no-such-name", "/run/netns/no-such-name"),
            ("/no/such/path", "/no/such/path"),
            ("2147483647", "no such process"),
            ("0", "no such process"),
            ("-1", "no such process"),
            ("/proc/thread-self/ns/net", "in this namespace itself"),
        ] {
            let error = Target::open(OsStr::new(netns), None).unwrap_err();
            let error = error.to_string();
            assert!(
                error.contains(about) && !error.contains('\n'),
                "{netns}: {error}"
            );
        }
    }

    #[test]
    fn a_file_is_no_namespace() {
        let target = Target::open(OsStr::new("/etc/passwd"), None).unwrap();
        let error = std::thread::spawn(move || target.enter())
            .join()
            .unwrap()
            .unwrap_err()
            .to_string();
        assert!(error.contains("not a network namespace"), "{error}");
    }
}
