//! What the program says when it cannot do what it is told: one line that names the mend, and a status
//! other than 0.

use crate::support::BROOKLET;
use brooklet_testbed::{Folder, LIMIT, Process, in_namespace, ip, program, require};
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// Runs the program by `runner`, a shell command whose last words are another command. It has to fail
/// with one line that has all the parts.
fn fails(runner: &str, args: &str, parts: &[&str]) {
    let line = format!("exec {runner} {args}");
    let mut sh = Command::new("sh");
    let ended = Process::start(sh.args(["-c", &line]).env("LC_ALL", "C")).finish(LIMIT);
    let status = if args.starts_with("run") { 125 } else { 1 };
    let err = &ended.err;
    assert_eq!(ended.status.code(), Some(status), "{line}: {err}");
    assert_eq!(err.lines().count(), 1, "{line}: {err}");
    assert_eq!(ended.out, "", "{line}");
    let command = args.split(' ').next().expect("a command");
    let start = format!("brooklet {command}: ");
    assert!(err.starts_with(&start), "{line}: {err}");
    for part in parts {
        assert!(err.contains(part), "{line}: no {part:?} in {err}");
    }
}

/// Both commands, each with what it takes to run.
fn both_fail(flags: &str, parts: &[&str]) {
    fails(BROOKLET, &format!("forward --tun t0 {flags}"), parts);
    fails(BROOKLET, &format!("run {flags} -- true"), parts);
}

#[test]
fn a_file_that_cannot_be_had_is_named() {
    in_namespace(|| {
        let folder = Folder::new("faults-files");
        let rules = folder.path("rules");
        let missing = folder.path("missing");
        both_fail(&format!("--rules {missing}"), &[&missing, "No such file"]);
        let directory = folder.path("");
        both_fail(&format!("--rules {directory}"), &[&directory, "directory"]);
        for (text, about) in [
            ("tcp dport 25 reject\ntcp dport http reject\n", "line 2"),
            ("tcp dport 99999 drop\n", "line 1"),
            ("forbid everything\n", "forbid"),
            ("\n\n# a comment\nudp\n", "line 4"),
        ] {
            fs::write(&rules, text).expect("a file");
            both_fail(&format!("--rules {rules}"), &[&rules, about]);
        }
        let file = folder.path("no/such/folder");
        both_fail(&format!("--capture {file}"), &["--capture", &file]);
    });
}

#[test]
fn a_port_in_use_is_named_with_what_to_do() {
    in_namespace(|| {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
        let tcp = tcp.local_addr().map(|at| (at, tcp)).expect("an address");
        let udp = UdpSocket::bind("[::1]:0").expect("a port");
        let udp = udp.local_addr().map(|at| (at, udp)).expect("an address");
        let (at, port) = (tcp.0.to_string(), tcp.0.port());
        both_fail(
            &format!("--metrics {at}"),
            &["--metrics", &at, "choose another port"],
        );
        let parts = ["cannot listen on TCP", &at, "in use"];
        fails(BROOKLET, &format!("run -p {at}:80 true"), &parts);
        fails(BROOKLET, &format!("run -p {port}:80 true"), &parts);
        let at = udp.0.to_string();
        let parts = ["cannot listen on UDP", &at, "in use"];
        fails(BROOKLET, &format!("run -p {at}:53/udp true"), &parts);
        // An address that this machine does not have.
        let parts = ["cannot listen on TCP", "192.0.2.1:8080", "address"];
        fails(BROOKLET, "run -p 192.0.2.1:8080:80 true", &parts);
    });
}

#[test]
fn a_device_that_cannot_be_had_is_named() {
    in_namespace(|| {
        let mut command = Command::new(BROOKLET);
        let mut other = Process::start(command.args(["forward", "--tun", "t1"]));
        other.wait_for_start("forward: forwarding from t1", LIMIT);
        fails(BROOKLET, "forward --tun t1", &["t1", "in use"]);
        fails(BROOKLET, "forward --tun lo", &["lo", "choose another name"]);
        let long = "a-name-that-is-too-long";
        fails(BROOKLET, &format!("forward --tun {long}"), &[long, "15"]);
        ip("tuntap add dev tap1 mode tap");
        fails(
            BROOKLET,
            "forward --tun tap1",
            &["tap1", "choose another name"],
        );
        // The queues that a device has are those that it was made with.
        ip("tuntap add dev tun1 mode tun");
        fails(
            BROOKLET,
            "forward --tun tun1 --queues 2",
            &["tun1", "multi_queue"],
        );
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
            fails(BROOKLET, &format!("run --netns {netns}"), &parts);
        }
        fails(
            BROOKLET,
            "run --netns 1 --ready-fd 77",
            &["--ready-fd 77", "77>file"],
        );
    });
}

#[test]
fn a_machine_without_the_tun_driver_is_told_what_to_do() {
    let Some(_) = require(program("unshare")) else {
        return;
    };
    in_namespace(|| {
        let empty = "mount -t tmpfs none /dev/net && exec \"$@\"";
        let runner = format!("unshare --mount sh -c '{empty}' sh {BROOKLET}");
        let parts = ["/dev/net/tun", "modprobe tun"];
        fails(&runner, "run true", &parts);
        fails(&runner, "forward --tun t0", &parts);
    });
}

#[test]
fn a_right_that_is_missing_is_named() {
    let Some(_) = require(program("setpriv")) else {
        return;
    };
    in_namespace(|| {
        let without = |right: &str| format!("setpriv --bounding-set=-{right} {BROOKLET}");
        fails(
            &without("net_admin"),
            "forward --tun t0",
            &["CAP_NET_ADMIN"],
        );
        fails(&without("net_admin"), "run true", &["CAP_NET_ADMIN"]);
        fails(&without("sys_admin"), "run true", &["root", "SYS_ADMIN"]);

        // Where everyone can execute it.
        let folder = Folder::new("faults-rights");
        let path = folder.path("brooklet");
        fs::copy(BROOKLET, &path).expect("a copy");
        let nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups";
        let nobody = format!("{nobody} {path}");
        fails(&nobody, "forward --tun t0", &["t0", "root"]);
        fails(&nobody, "run -p 80:80 true", &["TCP 127.0.0.1:80", "1024"]);
        let other = format!("run --netns {}", std::process::id());
        fails(&nobody, &other, &["another user's", "root"]);
        let secret = folder.path("secret");
        fs::write(&secret, "").expect("a file");
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("a file");
        let rules = format!("forward --tun t0 --rules {secret}");
        fails(&nobody, &rules, &[&secret, "Permission denied"]);
    });
}
