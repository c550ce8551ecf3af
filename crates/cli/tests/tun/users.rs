//! `brooklet run` by a user who is not root, with a `/dev/net/tun` for everybody.

use crate::support::BROOKLET;
use brooklet_testbed::{
    Folder, LIMIT, Missing, Process, in_namespace, program, require, succeeded,
};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// Prepares a device for everybody, and runs the script as another user, for whom `brooklet` is the
/// program.
fn as_user(folder: &Folder, script: &str) -> Option<Process> {
    require(program("setpriv").and_then(|_| program("unshare")))?;
    let (tun, brooklet) = (folder.path("tun"), folder.path("brooklet"));
    fs::set_permissions(folder.path(""), fs::Permissions::from_mode(0o755)).expect("a folder");
    let made = Command::new("mknod")
        .args([&tun, "c", "10", "200"])
        .status();
    require(match made {
        Ok(status) if status.success() => Ok(()),
        _ => Err(Missing(
            "no permission for mknod: run the tests as root".into(),
        )),
    })?;
    fs::set_permissions(&tun, fs::Permissions::from_mode(0o666)).expect("a device");
    fs::copy(BROOKLET, &brooklet).expect("a copy that other users can read");
    let path = std::env::var("PATH").unwrap_or_default();
    let script = format!(
        "mount --bind {tun} /dev/net/tun && cd / && PATH={}:{path} &&
         exec setpriv --reuid=12345 --regid=12345 --clear-groups sh -c '{script}'",
        folder.path("")
    );
    let mut unshare = Command::new("unshare");
    Some(Process::start(
        unshare.args(["--mount", "sh", "-c", &script]),
    ))
}

#[test]
fn a_command_of_a_user() {
    in_namespace(|| {
        let folder = Folder::new("user-command");
        let script = "brooklet run sh -c \"id -u; ip -o address show tun0\"";
        let Some(run) = as_user(&folder, script) else {
            return;
        };
        let ended = succeeded(run.finish(LIMIT));
        for part in ["0\n", "10.77.0.2/24", "fd77::2/64"] {
            assert!(ended.out.contains(part), "no {part:?} in {}", ended.out);
        }
    });
}

/// As rootless containers are: a network namespace that a user namespace of the user owns.
#[test]
fn a_container_of_a_user() {
    in_namespace(|| {
        let folder = Folder::new("user-container");
        let script = "
            unshare --user --map-root-user --net sleep 100 &
            container=$!
            until grep -q sleep /proc/$container/comm; do :; done
            brooklet run --netns $container &
            brooklet=$!
            until nsenter -t $container -U -n --preserve-credentials ip -o address show tun0; do :; done
            kill $container
            wait $brooklet";
        let Some(run) = as_user(&folder, script) else {
            return;
        };
        let ended = succeeded(run.finish(LIMIT));
        let served = ended.out.contains("run: serving --netns");
        assert!(
            served && ended.out.contains("10.77.0.2/24"),
            "{}",
            ended.out
        );
    });
}

#[test]
fn a_port_for_root_alone() {
    in_namespace(|| {
        let folder = Folder::new("user-port");
        let Some(run) = as_user(&folder, "brooklet run -p 80:80 true") else {
            return;
        };
        let ended = run.finish(LIMIT);
        assert_eq!(ended.status.code(), Some(125));
        assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
        assert!(ended.err.contains("from 1024 on"), "{}", ended.err);
    });
}

/// The namespace of a process that is root's.
#[test]
fn a_namespace_of_another_user() {
    in_namespace(|| {
        let folder = Folder::new("user-foreign");
        let Some(run) = as_user(&folder, "brooklet run --netns 1") else {
            return;
        };
        let ended = run.finish(LIMIT);
        assert_eq!(ended.status.code(), Some(125));
        assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
        assert!(ended.err.contains("as root"), "{}", ended.err);
    });
}

/// Each right that is missing is named, and how to get it.
#[test]
fn rights_that_are_missing() {
    let programs = program("setpriv").and_then(|_| program("unshare"));
    let Some(_) = require(programs) else {
        return;
    };
    in_namespace(|| {
        for (before, about) in [
            // A user namespace whose user is nobody in it.
            (&["unshare", "--user"][..], "user.max_user_namespaces"),
            (
                &[
                    "setpriv",
                    "--bounding-set=-sys_admin",
                    "--inh-caps=-sys_admin",
                ],
                "--cap-add=SYS_ADMIN",
            ),
            (
                &[
                    "setpriv",
                    "--bounding-set=-net_admin",
                    "--inh-caps=-net_admin",
                ],
                "CAP_NET_ADMIN",
            ),
        ] {
            let mut command = Command::new(before[0]);
            command.args(&before[1..]).args([BROOKLET, "run", "true"]);
            let ended = Process::start(&mut command).finish(LIMIT);
            assert_eq!(ended.status.code(), Some(125), "{before:?}: {}", ended.err);
            assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
            assert!(ended.err.contains(about), "{before:?}: {}", ended.err);
        }
    });
}
