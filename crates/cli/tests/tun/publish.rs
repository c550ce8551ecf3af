//! `brooklet run --publish`: clients on the host, and servers in the namespace.

use crate::support::{BROOKLET, serving};
use brooklet_testbed::data::{hash, random};
use brooklet_testbed::{
    Folder, LIMIT, Process, in_namespace, program, require, succeeded, wait_until,
};
use nix::sys::signal::Signal;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

fn run(flags: &[&str], command: &[&str]) -> Command {
    let mut run = Command::new(BROOKLET);
    run.arg("run").args(flags).arg("--").args(command);
    run
}

#[test]
fn a_web_server_in_the_namespace() {
    let programs = program("curl").and_then(|_| program("nginx"));
    let Some(nginx) = require(programs) else {
        return;
    };
    in_namespace(|| {
        let folder = Folder::new("published-nginx");
        let root = folder.path("");
        let sent = random(16 * 1024 * 1024, 11);
        fs::write(folder.path("download"), &sent).expect("a file");
        let configuration = format!(
            "daemon off; master_process off; pid {root}/pid; error_log stderr;
             events {{ }}
             http {{
                 access_log {root}/log; client_max_body_size 0;
                 client_body_temp_path {root}/body; proxy_temp_path {root}/proxy;
                 fastcgi_temp_path {root}/fastcgi; uwsgi_temp_path {root}/uwsgi;
                 scgi_temp_path {root}/scgi;
                 server {{ listen 81; root {root}; dav_methods PUT; }}
             }}"
        );
        let file = folder.path("nginx.conf");
        fs::write(&file, configuration).expect("a configuration on disk");
        let nginx = nginx.to_str().expect("a path in UTF-8");
        let command = [nginx, "-p", &root, "-e", "stderr", "-c", &file];
        let run = Process::start(&mut run(&["-p", "8080-8081:80-81"], &command));
        let url = |host: &str, path: &str| format!("http://{host}:8081/{path}");
        let curl = |args: &[&str]| {
            let curl = Process::start(Command::new("curl").args(["-sSf"]).args(args));
            curl.finish(LIMIT)
        };
        let up = wait_until(LIMIT, || curl(&[&url("127.0.0.1", "pid")]).status.success());
        assert!(up, "nginx does not answer: {run:?}");

        // The server listens for IPv4 alone, and the clients of ::1 reach it all the same.
        for host in ["127.0.0.1", "[::1]"] {
            let downloaded = folder.path("downloaded");
            succeeded(curl(&["-o", &downloaded, &url(host, "download")]));
            assert_same(&downloaded, &sent);
            succeeded(curl(&["-T", &downloaded, &url(host, "uploaded")]));
            assert_same(&folder.path("uploaded"), &sent);
        }
        let log = fs::read_to_string(folder.path("log")).expect("a log");
        let gateway = log.lines().all(|line| line.starts_with("10.77.0.1 "));
        assert!(gateway, "{log}");
        // Nobody listens on port 80 of the namespace.
        let refused = curl(&["http://127.0.0.1:8080/"]);
        assert!(!refused.status.success());
        run.signal(Signal::SIGTERM);
        run.finish(LIMIT);
    });
}

fn assert_same(file: &str, expected: &[u8]) {
    let bytes = fs::read(file).expect("the file came");
    assert_eq!(
        (bytes.len(), hash(&bytes)),
        (expected.len(), hash(expected)),
        "{file}"
    );
}

#[test]
fn a_name_server_in_the_namespace() {
    let programs = program("dig").and_then(|_| program("dnsmasq"));
    let Some(dnsmasq) = require(programs) else {
        return;
    };
    in_namespace(|| {
        let dnsmasq = dnsmasq.to_str().expect("a path in UTF-8");
        let command = [
            dnsmasq,
            "--no-daemon",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            // A client of ::1 reaches it all the same.
            "--listen-address=10.77.0.2",
            "--bind-interfaces",
            "--port=53",
            "--address=/name.test/192.0.2.55",
        ];
        let flags = ["-p", "5300:53/udp", "-p", "127.0.0.1:5300:53"];
        let run = Process::start(&mut run(&flags, &command));
        let dig = |host: &str, transport: &str| {
            let server = format!("@{host}");
            let args = ["+short", "+tries=1", "+timeout=2", transport, &server];
            let mut dig = Command::new("dig");
            dig.args(args).args(["-p", "5300", "name.test", "A"]);
            Process::start(&mut dig).finish(LIMIT).out
        };
        let up = wait_until(LIMIT, || dig("127.0.0.1", "+tcp") == "192.0.2.55\n");
        assert!(up, "dnsmasq does not answer: {run:?}");
        for host in ["127.0.0.1", "::1"] {
            assert_eq!(dig(host, "+notcp"), "192.0.2.55\n", "{host}");
        }
        run.signal(Signal::SIGTERM);
        run.finish(LIMIT);
    });
}

/// The end of each direction passes, and the command ends before its last bytes are out.
#[test]
fn everything_arrives_of_a_command_that_ends() {
    let Some(_) = require(program("nc")) else {
        return;
    };
    in_namespace(|| {
        let folder = Folder::new("published-nc");
        let (up, down) = (random(3_000_000, 1), random(3_000_000, 2));
        let (question, answer) = (folder.path("question"), folder.path("answer"));
        fs::write(&answer, &down).expect("a file");
        let script = format!("nc -N -l 9001 <{answer} >{question}");
        let run = Process::start(&mut run(&["-p", "7001:9001"], &["sh", "-c", &script]));
        let mut stream = connected(&run, 7001);
        let mut received = Vec::new();
        std::thread::scope(|scope| {
            let mut writer = stream.try_clone().expect("a handle");
            let up = &up;
            scope.spawn(move || {
                writer.write_all(up).expect("sent");
                writer.shutdown(Shutdown::Write).expect("half closed");
            });
            stream.read_to_end(&mut received).expect("an answer");
        });
        assert_eq!((received.len(), hash(&received)), (down.len(), hash(&down)));
        succeeded(run.finish(LIMIT));
        assert_same(&question, &up);
    });
}

/// A connection that a server in the namespace has accepted: others end at once.
fn connected(run: &Process, port: u16) -> TcpStream {
    let mut stream = None;
    let up = wait_until(LIMIT, || {
        let Ok(new) = TcpStream::connect(("127.0.0.1", port)) else {
            return false;
        };
        // A relay that is refused resets the connection.
        let wait = std::time::Duration::from_millis(200);
        new.set_read_timeout(Some(wait)).expect("a limit");
        let waiting = match new.peek(&mut [0]) {
            Ok(n) => n > 0,
            Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
        };
        new.set_read_timeout(Some(LIMIT)).expect("a limit");
        stream = waiting.then_some(new);
        waiting
    });
    assert!(up, "nobody serves port {port}: {run:?}");
    stream.expect("a connection")
}

#[test]
fn a_port_in_use_is_known_before_the_command_starts() {
    in_namespace(|| {
        let _taken = TcpListener::bind("127.0.0.1:8080").expect("a port");
        let folder = Folder::new("published-in-use");
        let started = folder.path("started");
        let mut run = run(&["-p", "8080:80"], &["touch", &started]);
        let ended = Process::start(&mut run).finish(LIMIT);
        assert_eq!(ended.status.code(), Some(125));
        assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
        assert!(ended.err.contains("127.0.0.1:8080"), "{}", ended.err);
        assert!(!Path::new(&started).exists(), "the command has started");
    });
}

/// A host without IPv6 has no `::1`, and the default is the other loopback address alone.
#[test]
fn a_host_without_ipv6_publishes_for_ipv4() {
    let programs = program("curl").and_then(|_| program("nc"));
    let Some(_) = require(programs) else {
        return;
    };
    in_namespace(|| {
        let set = fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
        if set.is_err() {
            return; // no IPv6 here anyway
        }
        let run = Process::start(&mut run(&["-p", "7002:9002"], &["nc", "-l", "9002"]));
        drop(connected(&run, 7002));
        succeeded(run.finish(LIMIT));
    });
}

/// `--dns` names the server behind port 53 of both gateways.
#[test]
fn a_name_server_of_choice() {
    let programs = program("dig").and_then(|_| program("dnsmasq"));
    let Some(dnsmasq) = require(programs) else {
        return;
    };
    in_namespace(|| {
        brooklet_testbed::ip("address add 127.0.0.5/8 dev lo");
        let mut command = Command::new(dnsmasq);
        command.args([
            "--no-daemon",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            "--listen-address=127.0.0.5,127.0.0.1",
            "--bind-interfaces",
            "--port=53",
            "--address=/name.test/192.0.2.55",
        ]);
        let _dnsmasq = serving(&mut command, 53);
        for server in ["@10.77.0.1", "@fd77::1"] {
            let dig = ["dig", "+short", "+tries=1", server, "name.test", "A"];
            let mut run = run(&["--dns", "127.0.0.5"], &dig);
            let ended = succeeded(Process::start(&mut run).finish(LIMIT));
            assert_eq!(ended.out, "192.0.2.55\n", "{server}");
        }
    });
}
