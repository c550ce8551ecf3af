//! What the user has to mend: one line, before anything starts, and a status that is not 0.

use crate::support::BROOKLET;
use brooklet_testbed::{LIMIT, Process, in_namespace};
use std::process::Command;

/// Runs a shell command in which `$0` is the program, and expects this status and one line with these parts.
#[track_caller]
fn is_a_mistake(command: &str, status: i32, parts: &[&str]) {
    let mut shell = Command::new("sh");
    let ended = Process::start(shell.args(["-c", command, BROOKLET])).finish(LIMIT);
    assert_eq!(
        ended.status.code(),
        Some(status),
        "{command}: {}",
        ended.err
    );
    assert_eq!(ended.err.lines().count(), 1, "{command}: {}", ended.err);
    assert_eq!(ended.out, "", "{command}");
    for part in parts {
        assert!(
            ended.err.contains(part),
            "{command}: no {part} in {}",
            ended.err
        );
    }
}

#[test]
fn a_process_without_rights_is_told_which() {
    in_namespace(|| {
        let without = "exec setpriv --bounding-set -net_admin,-sys_admin --inh-caps -all $0";
        is_a_mistake(
            &format!("{without} forward --tun t0"),
            1,
            &[
                "brooklet forward: ",
                "`t0`",
                "run as root or with CAP_NET_ADMIN",
            ],
        );
        is_a_mistake(
            &format!("{without} run true"),
            125,
            &["brooklet run: ", "run as root", "--cap-add=SYS_ADMIN"],
        );
    });
}

#[test]
fn a_system_without_tun_devices_is_told_how_to_get_them() {
    in_namespace(|| {
        let without = "mount -t tmpfs none /dev/net; exec $0";
        for (command, status) in [("forward --tun t0", 1), ("run true", 125)] {
            is_a_mistake(
                &format!("exec unshare --mount sh -c '{without} {command}' $0"),
                status,
                &["/dev/net/tun is missing", "modprobe tun"],
            );
        }
    });
}

#[test]
fn a_device_that_another_process_has_is_busy() {
    in_namespace(|| {
        let mut first = Command::new(BROOKLET);
        let mut first = Process::start(first.args(["forward", "--tun", "t0"]));
        first.wait_for_start("forward: forwarding from t0", LIMIT);
        is_a_mistake(
            "exec $0 forward --tun t0",
            1,
            &["`t0`", "in use by another process", "choose another name"],
        );
    });
}

#[test]
fn the_flags_are_checked_before_anything_starts() {
    for (command, status, part) in [
        ("forward --tun t0 --mtu 900", 2, "at least 1280"),
        (
            "forward --tun a-name-that-is-too-long",
            1,
            "at most 15 bytes",
        ),
        ("forward --tun t0 --rules /no/such/file", 1, "/no/such/file"),
        ("run --mtu 900 true", 125, "at least 1280"),
        ("run --rules /no/such/file true", 125, "/no/such/file"),
        ("run", 125, "COMMAND"),
    ] {
        is_a_mistake(&format!("exec $0 {command}"), status, &[part]);
    }
}
