//! `brooklet run --netns`: the network of a namespace that exists.

use crate::support::{BROOKLET, serving};
use brooklet_testbed::{
    Finished, Folder, LIMIT, Process, in_namespace, ip, program, require, succeeded, wait_until,
};
use nix::sys::signal::Signal;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

/// A process in a network namespace of its own, without a network.
fn isolated(flags: &[&str]) -> Process {
    let mut command = Command::new("unshare");
    let process = Process::start(command.args(flags).args(["--net", "sleep", "100"]));
    let namespace = |who: &str| {
        let path = format!("/proc/{who}/ns/net");
        fs::metadata(path).map(|file| file.ino()).ok()
    };
    let pid = process.pid().to_string();
    let here = namespace("thread-self");
    let apart = wait_until(LIMIT, || {
        // The program runs when the namespaces are ready.
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        namespace(&pid) != here && name == "sleep\n"
    });
    assert!(apart, "still in the namespace of the test");
    process
}

/// Runs a command in the namespace of a process.
fn inside(process: &Process, command: &[&str]) -> Finished {
    let pid = process.pid().to_string();
    let mut nsenter = Command::new("nsenter");
    nsenter.args(["--net", "--target", &pid]).args(command);
    Process::start(&mut nsenter).finish(LIMIT)
}

fn serve(flags: &[&str]) -> Process {
    let mut command = Command::new(BROOKLET);
    let mut process = Process::start(command.arg("run").args(flags));
    process.wait_for_start("run: serving --netns", LIMIT);
    process
}

/// A web server on the loopback of this namespace.
fn web_server(folder: &Folder) -> Process {
    let nc =
        "while :; do printf 'HTTP/1.0 200 OK\\r\\n\\r\\nhello' | nc -N -l 127.0.0.1 8080; done";
    let mut command = Command::new("sh");
    command.current_dir(folder.path("")).args(["-c", nc]);
    serving(&mut command, 8080)
}

#[test]
fn the_namespace_of_a_process_until_it_ends() {
    let programs = program("curl").and_then(|_| program("nc"));
    let Some(_) = require(programs.and_then(|_| program("nsenter"))) else {
        return;
    };
    in_namespace(|| {
        let folder = Folder::new("netns");
        let _web = web_server(&folder);
        let process = isolated(&[]);
        let pid = process.pid().to_string();
        let brooklet = serve(&["--netns", &pid, "-p", "7000:9000"]);
        let ended = inside(&process, &["curl", "-sSf", "http://10.77.0.1:8080/"]);
        assert_eq!(succeeded(ended).out, "hello");
        let route = succeeded(inside(
            &process,
            &["ip", "-6", "route", "get", "2001:db8::1"],
        ));
        assert!(route.out.contains("via fd77::1 dev tun0"), "{}", route.out);

        // A server inside, and a client outside.
        let server = format!("nsenter --net --target {pid} nc -l 9000");
        let server = Process::start(Command::new("sh").args(["-c", &server]));
        let listens = wait_until(LIMIT, || {
            let listeners = ["ss", "-Hltn", "sport", "=", ":9000"];
            !succeeded(inside(&process, &listeners)).out.is_empty()
        });
        assert!(listens, "{server:?}");
        let client = "echo question | nc -N 127.0.0.1 7000";
        let client = Process::start(Command::new("sh").args(["-c", client]));
        succeeded(client.finish(LIMIT));
        assert_eq!(succeeded(server.finish(LIMIT)).out, "question\n");

        process.signal(Signal::SIGKILL);
        let ended = succeeded(brooklet.finish(LIMIT));
        assert_eq!(ended.err, "");
    });
}

#[test]
fn a_namespace_by_its_path_until_sigterm() {
    let Some(_) = require(program("unshare")) else {
        return;
    };
    in_namespace(|| {
        let process = isolated(&[]);
        let path = format!("/proc/{}/ns/net", process.pid());
        for flags in [
            &["--netns", &path][..],
            &["--mtu", "1500", "--netns", &path],
        ] {
            let brooklet = serve(flags);
            brooklet.signal(Signal::SIGTERM);
            let ended = succeeded(brooklet.finish(LIMIT));
            let mtu = if flags.len() == 2 { "65520" } else { "1500" };
            let line = format!(
                "run: serving --netns {path}: tun0 with 10.77.0.2 and fd77::2, mtu {mtu}\n"
            );
            assert_eq!(ended.out, line);
        }
    });
}

#[test]
fn a_namespace_that_has_a_network() {
    let Some(_) = require(program("unshare")) else {
        return;
    };
    in_namespace(|| {
        let process = isolated(&[]);
        let path = format!("/proc/{}/ns/net", process.pid());
        ip(&format!(
            "link add near0 type veth peer name far0 netns {path}"
        ));
        for line in [
            "ip address add 192.0.2.1/24 dev far0",
            "ip link set far0 up",
            "ip route add default via 192.0.2.254",
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            succeeded(inside(&process, &words));
        }
        let mut command = Command::new(BROOKLET);
        let ended = Process::start(command.args(["run", "--netns", &path])).finish(LIMIT);
        assert_eq!(ended.status.code(), Some(125));
        assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
        assert!(ended.err.contains("default route already"), "{}", ended.err);
    });
}

/// A program that waits for the network reads a `1` and then the end.
#[test]
fn the_descriptor_of_who_waits() {
    let Some(_) = require(program("unshare")) else {
        return;
    };
    in_namespace(|| {
        let process = isolated(&[]);
        let folder = Folder::new("ready");
        let fifo = folder.path("fifo");
        nix::unistd::mkfifo(fifo.as_str(), nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
        let script = format!(
            "exec {BROOKLET} run --netns {} --ready-fd 5 5>{fifo}",
            process.pid()
        );
        let brooklet = Process::start(Command::new("sh").args(["-c", &script]));
        let mut ready = String::new();
        let mut reader = fs::File::open(&fifo).expect("a fifo");
        reader.read_to_string(&mut ready).expect("the end");
        assert_eq!(ready, "1");
        succeeded(inside(&process, &["ip", "address", "show", "tun0"]));
        brooklet.signal(Signal::SIGINT);
        succeeded(brooklet.finish(LIMIT));

        for (flag, about) in [("9", "9>file"), ("1", "from 3 on")] {
            let mut command = Command::new(BROOKLET);
            command.args(["run", "--netns", "1", "--ready-fd", flag]);
            let ended = Process::start(&mut command).finish(LIMIT);
            assert_eq!(ended.status.code(), Some(125));
            assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
            assert!(ended.err.contains(about), "{}", ended.err);
        }
    });
}
