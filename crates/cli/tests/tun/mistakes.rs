//! What the user has to mend: one line, before anything starts, and a status that is not 0.

use crate::support::BROOKLET;
use brooklet_testbed::{Folder, LIMIT, Process, in_namespace, ip, succeeded};
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
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
        for (make, parts) in [
            (":", ["/dev/net/tun is missing", "modprobe tun"]),
            (
                "touch /dev/net/tun",
                ["/dev/net/tun is another file", "mknod"],
            ),
        ] {
            let without = format!("mount -t tmpfs none /dev/net; {make}; exec $0");
            for (command, status) in [("forward --tun t0", 1), ("run true", 125)] {
                is_a_mistake(
                    &format!("exec unshare --mount sh -c '{without} {command}' $0"),
                    status,
                    &parts,
                );
            }
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

/// Expects the mistake of `forward` and of `run` with these flags.
#[track_caller]
fn are_mistakes(flags: &str, parts: &[&str]) {
    is_a_mistake(&format!("exec $0 forward --tun t0 {flags}"), 1, parts);
    is_a_mistake(&format!("exec $0 run {flags} -- true"), 125, parts);
}

#[test]
fn a_file_that_is_no_list_of_rules_is_named_with_the_line() {
    in_namespace(|| {
        let folder = Folder::new("mistakes-rules");
        let rules = folder.path("rules");
        for (text, about) in [
            ("tcp dport 25 reject\ntcp dport http reject\n", "line 2"),
            ("tcp dport 99999 drop\n", "line 1"),
            ("forbid everything\n", "forbid"),
            ("\n\n# a comment\nudp\n", "line 4"),
        ] {
            fs::write(&rules, text).expect("a file");
            are_mistakes(&format!("--rules {rules}"), &[&rules, about]);
        }
        let directory = folder.path("");
        are_mistakes(&format!("--rules {directory}"), &[&directory, "directory"]);
        let file = folder.path("no/such/folder");
        are_mistakes(&format!("--capture {file}"), &["--capture", &file]);
    });
}

#[test]
fn an_address_that_cannot_be_listened_on_is_named() {
    in_namespace(|| {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
        let udp = UdpSocket::bind("[::1]:0").expect("a port");
        let tcp_at = tcp.local_addr().expect("an address");
        let udp_at = udp.local_addr().expect("an address").to_string();
        let (at, port) = (tcp_at.to_string(), tcp_at.port());
        let parts = ["--metrics", &at, "choose another port"];
        are_mistakes(&format!("--metrics {at}"), &parts);
        let parts = [
            "--metrics",
            "192.0.2.1:80",
            "choose an address of this host",
        ];
        are_mistakes("--metrics 192.0.2.1:80", &parts);
        let in_use = ["cannot listen on TCP", &at, "in use"];
        let udp_in_use = ["cannot listen on UDP", &udp_at, "in use"];
        let foreign = ["cannot listen on TCP 192.0.2.1:8080", "`ip address`"];
        for (published, parts) in [
            (format!("{at}:80"), &in_use[..]),
            (format!("{port}:80"), &in_use),
            (format!("{udp_at}:53/udp"), &udp_in_use),
            ("192.0.2.1:8080:80".to_owned(), &foreign),
        ] {
            is_a_mistake(&format!("exec $0 run -p {published} true"), 125, parts);
        }
    });
}

#[test]
fn an_interface_that_is_no_tun_device_is_named() {
    in_namespace(|| {
        ip("tuntap add dev tap1 mode tap
            tuntap add dev tun1 mode tun");
        for (flags, parts) in [
            ("lo", ["`lo`", "choose another name"]),
            ("tap1", ["`tap1`", "choose another name"]),
            ("tun1 --queues 2", ["`tun1`", "multi_queue"]),
        ] {
            is_a_mistake(&format!("exec $0 forward --tun {flags}"), 1, &parts);
        }
    });
}

#[test]
fn a_namespace_that_cannot_be_had_is_named() {
    in_namespace(|| {
        let mend = "name a process, a name of `ip netns`, or a path";
        for (netns, parts) in [
            ("no-such-name", ["/run/netns/no-such-name", mend]),
            ("/no/such/path", ["/no/such/path", mend]),
            ("999999999", ["999999999", "no such process"]),
            (
                "/proc/thread-self/ns/net",
                ["brooklet is in this namespace itself", "name"],
            ),
            ("/etc/passwd", ["/etc/passwd", "not a network namespace"]),
            (
                "/proc/thread-self/ns/uts",
                ["not a network namespace", "ns/net"],
            ),
        ] {
            is_a_mistake(&format!("exec $0 run --netns {netns}"), 125, &parts);
        }
    });
}

#[test]
fn a_user_who_is_not_root_is_told_what_is_missing() {
    in_namespace(|| {
        let folder = Folder::new("mistakes-rights");
        // Where every user can execute it.
        let program = folder.path("brooklet");
        // By a process, so that no child of another test has the copy open for writing.
        let mut copy = Command::new("cp");
        succeeded(Process::start(copy.args([BROOKLET, &program])).finish(LIMIT));
        let secret = folder.path("secret");
        fs::write(&secret, "").expect("a file");
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("a file");
        let with_secret = format!("forward --tun t0 --rules {secret}");
        let netns = format!("run --netns {}", std::process::id());
        for (args, status, parts) in [
            ("forward --tun t0", 1, ["`t0`", "root"]),
            ("run -p 80:80 true", 125, ["TCP 127.0.0.1:80", "1024"]),
            (&netns, 125, ["another user's", "root"]),
            (&with_secret, 1, [&secret, "Permission denied"]),
        ] {
            let nobody = "exec setpriv --reuid 65534 --regid 65534 --clear-groups";
            is_a_mistake(&format!("{nobody} {program} {args}"), status, &parts);
        }
    });
}

#[test]
fn a_process_that_may_open_too_few_files_is_told_how_many() {
    in_namespace(|| {
        // With so few, some part or other of the program would fail.
        for files in [5, 12, 30, 63] {
            for (args, status) in [("forward --tun t0", 1), ("run true", 125)] {
                let command = format!("exec prlimit --nofile={files} $0 {args}");
                let few = format!("{files} open files are too few");
                is_a_mistake(&command, status, &[&few, "ulimit -n"]);
            }
        }
        let mut command = Command::new("prlimit");
        command.args(["--nofile=64", BROOKLET, "run", "true"]);
        succeeded(Process::start(&mut command).finish(LIMIT));
    });
}
