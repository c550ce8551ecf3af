//! `inetd` as a program: how it starts, ends and complains.

use crate::support::{Inetd, example, on_inetd};
use crate::tcp::{connect, request, somewhere};
use brooklet_testbed::{Finished, LIMIT, Missing, Process, in_namespace, ip, require};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::process::CommandExt;
use std::process::Command;

#[test]
fn interrupt_ends_it() {
    in_namespace(|| {
        let mut command = Command::new(example("inetd"));
        command.args(["--tun", "brooklet0", "--mtu", "1400"]);
        let mut process = Process::start(&mut command);
        process.wait_for("inetd: serving on brooklet0, mtu 1400", LIMIT);
        assert!(ip("link show brooklet0").contains("mtu 1400"));
        process.signal(Signal::SIGINT);
        let ended = process.finish(LIMIT);
        assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
    });
}

/// The kernel hands over segments longer than the MTU when it is asked to, and only then.
#[test]
fn offload_is_switched_on_by_its_flag() {
    for (flags, long) in [(&["--offload"][..], true), (&[], false)] {
        on_inetd(flags, |inetd| {
            let mut stream = connect(somewhere(7));
            let mut reader = stream.try_clone().expect("a second handle");
            let sent = vec![7; 4 << 20];
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    stream.write_all(&sent).expect("sent");
                    stream.shutdown(Shutdown::Write).expect("the end");
                });
                let mut back = Vec::new();
                reader.read_to_end(&mut back).expect("echoed");
                assert!(back == sent, "{} bytes came back", back.len());
            });
            let stats = inetd.stats();
            let count = |name: &str| {
                let line = stats.lines().find_map(|line| line.strip_prefix(name));
                let number = line.and_then(|number| number.trim().parse::<u64>().ok());
                number.unwrap_or_else(|| panic!("no `{name}` in {stats}"))
            };
            let average = count("bytes in:") / count("packets in:");
            assert_eq!(average > 1500, long, "{average} bytes: {stats}");
        });
    }
}

#[test]
fn attaches_to_a_device_that_exists() {
    in_namespace(|| {
        ip("tuntap add dev brooklet0 mode tun");
        let inetd = Inetd::start(&[]);
        request(somewhere(80));
        inetd.stop();
        assert!(
            ip("link show brooklet0").contains("brooklet0"),
            "it was not ours to remove"
        );
    });
}

#[test]
fn device_in_use() {
    in_namespace(|| {
        let inetd = Inetd::start(&[]);
        complains(&inetd_with(&["--tun", inetd.tun()]), 1, "brooklet0");
        inetd.stop();
    });
}

#[test]
fn bad_flags() {
    for (flags, about) in [
        (&["--tun", "t0", "--fast"][..], "--fast"),
        (&[], "--tun"),
        (&["--tun"], "--tun"),
        (&["--tun", "t0", "--mtu", "many"], "many"),
        (&["--tun", "t0", "--mtu", "1000"], "1280"),
        (&["--tun", "t0", "--mtu", "70000"], "70000"),
        (&["--tun", "t0", "--workers", "0"], "--workers"),
        (&["--tun", "t0", "--queues", "0"], "--queues"),
        (&["--tun", "t0", "--workers", "2", "--local"], "--local"),
        (&["--tun", "t0", "extra"], "extra"),
    ] {
        complains(&inetd_with(flags), 2, about);
    }
}

#[test]
fn help() {
    let ended = inetd_with(&["--help"]);
    assert_eq!((ended.status.code(), ended.err.as_str()), (Some(0), ""));
    assert!(ended.out.starts_with("Usage: inetd "), "{}", ended.out);
}

#[test]
fn name_too_long() {
    in_namespace(|| {
        complains(
            &inetd_with(&["--tun", "a-name-of-17-char"]),
            1,
            "a-name-of-17-char",
        );
    });
}

#[test]
fn no_permission() {
    let Some(()) = require(another_user()) else {
        return;
    };
    in_namespace(|| {
        // Where the one without permission can read it, whatever the target folder's mode is.
        let folder = std::env::temp_dir().join(format!("brooklet-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a temporary folder");
        let copy = folder.join("inetd");
        fs::copy(example("inetd"), &copy).expect("a copy");
        let mut command = Command::new(&copy);
        let ended = Process::start(command.args(["--tun", "t0"]).uid(NOBODY)).finish(LIMIT);
        fs::remove_dir_all(folder).expect("removed");
        complains(&ended, 1, "CAP_NET_ADMIN");
    });
}

/// Nobody's number, where there is more than one user.
const NOBODY: u32 = 65_534;

fn another_user() -> Result<(), Missing> {
    // First, first outside, and how many: all there are, or one under `unshare --map-root-user`.
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let count = map.split_whitespace().nth(2).and_then(|n| n.parse().ok());
    if count.is_some_and(|count: u32| count > NOBODY) {
        Ok(())
    } else {
        let why = "no other user than root in this user namespace: run the tests as root";
        Err(Missing(why.into()))
    }
}

#[test]
fn no_tun_device() {
    in_namespace(|| {
        unshare(CloneFlags::CLONE_NEWNS).expect("mounts of its own, as root");
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("private");
        mount(none, "/dev/net", Some("tmpfs"), MsFlags::empty(), none).expect("an empty folder");
        complains(&inetd_with(&["--tun", "t0"]), 1, "/dev/net/tun");
    });
}

#[test]
fn device_taken_away() {
    in_namespace(|| {
        let inetd = Inetd::start(&[]);
        request(somewhere(80));
        ip("link delete brooklet0");
        let ended = inetd.finish();
        assert_eq!(ended.status.code(), Some(1), "{}", ended.err);
        assert!(
            ended.err.lines().any(|line| line.starts_with("inetd: ")),
            "{}",
            ended.err
        );
    });
}

fn inetd_with(flags: &[&str]) -> Finished {
    Process::start(Command::new(example("inetd")).args(flags)).finish(LIMIT)
}

/// One line, which says what it is about.
fn complains(ended: &Finished, status: i32, about: &str) {
    let Finished {
        status: ended,
        out,
        err,
    } = ended;
    assert_eq!(ended.code(), Some(status), "{err}");
    assert_eq!(out, "");
    assert_eq!(err.lines().count(), 1, "more than a line: {err}");
    assert!(
        err.starts_with("inetd: ") && err.contains(about),
        "nothing about {about}: {err}"
    );
}
