//! Another network namespace.

use crate::builder::settings::Settings;
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Component, Path, PathBuf};
use std::thread;

/// Where `ip netns add` binds namespaces.
const NAMED: &str = "/var/run/netns";

/// Runs `work` on a thread of its own inside the namespace. A thread that has entered a namespace
/// is not used for anything else, and cannot always return.
pub(super) fn in_namespace<T: Send>(
    wanted: &Settings,
    namespace: &Path,
    work: impl FnOnce() -> T + Send,
) -> io::Result<T> {
    let path = path_of(namespace);
    let failed = |error: io::Error| {
        let (path, kind) = (path.display(), error.kind());
        let code = error.raw_os_error().map(Errno::from_raw_os_error);
        match code {
            Some(Errno::NOENT) => wanted.error(
                kind,
                format_args!(
                    "there is no network namespace {path}: make one with `ip netns add NAME`, or \
                     give a path such as /proc/PID/ns/net"
                ),
            ),
            Some(Errno::PERM | Errno::ACCESS) => wanted.error(
                kind,
                format_args!(
                    "not permitted to enter the network namespace {path}: run as root or with \
                     CAP_SYS_ADMIN"
                ),
            ),
            Some(Errno::INVAL) => wanted.error(
                kind,
                format_args!(
                    "{path} is no network namespace: give a name of `ip netns list`, or a path \
                     such as /proc/PID/ns/net"
                ),
            ),
            _ => wanted.error(kind, format_args!("the network namespace {path}: {error}")),
        }
    };
    let file = File::open(&path).map_err(failed)?;
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("brooklet-tun-netns".into())
            .spawn_scoped(scope, || {
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
                Ok(work())
            })?;
        match thread.join() {
            Ok(entered) => entered.map_err(failed),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// A single component is a name; anything else is a path.
fn path_of(namespace: &Path) -> PathBuf {
    let mut components = namespace.components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(name)), None) => Path::new(NAMED).join(name),
        _ => namespace.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_of_ip_netns_and_a_path_is_itself() {
        for (given, wanted) in [
            ("blue", "/var/run/netns/blue"),
            ("/proc/1/ns/net", "/proc/1/ns/net"),
            ("./blue", "./blue"),
            ("a/b", "a/b"),
            ("..", ".."),
        ] {
            assert_eq!(path_of(Path::new(given)), Path::new(wanted), "{given}");
        }
    }

    #[test]
    fn a_file_that_is_no_namespace_is_refused_with_advice() {
        let settings = Settings::new("tun3".into());
        for (path, word) in [
            ("no-such-namespace", "ip netns add"),
            ("/dev/null", "is no network namespace"),
            ("/proc/self/ns/uts", "is no network namespace"),
        ] {
            let error = in_namespace(&settings, Path::new(path), || ()).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("`tun3`") && text.contains(word), "{text}");
            assert!(!text.contains('\n') && !text.contains("  "), "{text}");
        }
    }
}
