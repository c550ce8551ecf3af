//! Programs that nobody here wrote, with brooklet between client and server: the servers on the
//! loopback of one namespace, the clients under the `brooklet run`, whose gateway leads there.

use crate::support::{BROOKLET, serving};
use brooklet_testbed::data::{hash, random};
use brooklet_testbed::succeeded;
use brooklet_testbed::{Finished, Folder, LIMIT, Process, in_namespace, ip, program, require};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The gateway of `run`, behind which the host's loopback is.
const HOST: &str = "10.77.0.1";

#[test]
fn download_and_upload() {
    let programs = program("curl").and_then(|_| program("nginx"));
    let Some(nginx) = require(programs) else {
        return;
    };
    in_namespace(|| {
        let folder = Folder::new("nginx");
        let sent = random(64 * 1024 * 1024, 7);
        fs::write(folder.path("download"), &sent).expect("64 MiB on disk");
        let _nginx = start_nginx(&nginx, &folder);
        let downloaded = folder.path("downloaded");
        let url = format!("http://{HOST}:8080");
        run(&[
            "curl",
            "-sSf",
            "-o",
            &downloaded,
            &format!("{url}/download"),
        ]);
        assert_same(&downloaded, &sent);
        run(&[
            "curl",
            "-sSf",
            "-T",
            &downloaded,
            &format!("{url}/uploaded"),
        ]);
        assert_same(&folder.path("uploaded"), &sent);
    });
}

fn start_nginx(nginx: &Path, folder: &Folder) -> Process {
    let root = folder.path("");
    let configuration = format!(
        "daemon off; master_process off; pid {root}/pid; error_log stderr;
         events {{ }}
         http {{
             access_log off; client_max_body_size 0;
             client_body_temp_path {root}/body; proxy_temp_path {root}/proxy;
             fastcgi_temp_path {root}/fastcgi; uwsgi_temp_path {root}/uwsgi;
             scgi_temp_path {root}/scgi;
             server {{ listen 127.0.0.1:8080; root {root}; dav_methods PUT; }}
         }}"
    );
    let file = folder.path("nginx.conf");
    fs::write(&file, configuration).expect("a configuration on disk");
    serving(
        Command::new(nginx).args(["-p", &root, "-e", "stderr", "-c", &file]),
        8080,
    )
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
fn iperf3_both_ways() {
    let Some(iperf3) = require(program("iperf3")) else {
        return;
    };
    in_namespace(|| {
        let server = ["-s", "-B", "127.0.0.1", "-p", "5201"];
        let _server = serving(Command::new(&iperf3).args(server), 5201);
        for direction in [&[][..], &["-R"]] {
            let flags = ["iperf3", "-c", HOST, "-p", "5201", "-t", "2", "-f", "m"];
            let ended = run(&[&flags[..], direction].concat());
            let received = ended.out.lines().find(|line| line.ends_with("receiver"));
            let rate = received.and_then(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                let unit = words.iter().position(|word| *word == "Mbits/sec")?;
                words.get(unit - 1)?.parse::<f64>().ok()
            });
            // Any rate that is one: how fast is a matter for the benches.
            assert!(
                rate.is_some_and(|rate| rate > 1.0),
                "{direction:?}: {}",
                ended.out
            );
        }
    });
}

#[test]
fn a_name_by_udp_and_by_tcp() {
    let programs = program("dig").and_then(|_| program("dnsmasq"));
    let Some(dnsmasq) = require(programs) else {
        return;
    };
    in_namespace(|| {
        let mut command = Command::new(dnsmasq);
        command.args([
            // It stays in the foreground, and who it is: a user namespace may have nobody else.
            "--no-daemon",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            "--listen-address=127.0.0.1",
            "--bind-interfaces",
            "--port=5353",
            "--address=/name.test/192.0.2.55",
            "--address=/name.test/2001:db8::55",
        ]);
        let _dnsmasq = serving(&mut command, 5353);
        let server = format!("@{HOST}");
        for (transport, kind, answer) in [
            ("+notcp", "A", "192.0.2.55\n"),
            ("+notcp", "AAAA", "2001:db8::55\n"),
            ("+tcp", "A", "192.0.2.55\n"),
        ] {
            let flags = [
                "+short",
                "+tries=1",
                transport,
                &server,
                "-p",
                "5353",
                "name.test",
                kind,
            ];
            let ended = run(&[&["dig"][..], &flags].concat());
            assert_eq!(ended.out, answer, "{transport} {kind}");
        }
    });
}

/// What the host cannot reach, the command cannot reach either, for the same reason.
#[test]
fn a_host_that_cannot_be_had() {
    let Some(bash) = require(program("bash")) else {
        return;
    };
    in_namespace(|| {
        ip("route add unreachable 198.51.100.0/24
            route add prohibit 203.0.113.0/24
            -6 route add unreachable 2001:db8:1::/48");
        for (to, why) in [
            ("10.77.0.1/1", "Connection refused"),
            ("fd77::1/1", "Connection refused"),
            ("198.51.100.1/80", "No route to host"),
            ("203.0.113.1/80", "No route to host"),
            ("192.0.2.1/80", "Network is unreachable"),
            ("2001:db8:1::1/80", "No route to host"),
            ("2001:db8::1/80", "Network is unreachable"),
        ] {
            let script = format!("exec 3<>/dev/tcp/{to}");
            let mut run = Command::new(BROOKLET);
            run.env("LC_ALL", "C")
                .args(["run", "--"])
                .arg(&bash)
                .args(["-c", &script]);
            let ended = Process::start(&mut run).finish(LIMIT);
            assert!(!ended.status.success(), "{to}");
            assert!(ended.err.contains(why), "{to}: {}", ended.err);
        }
    });
}

/// Runs a command on brooklet; it must succeed.
fn run(command: &[&str]) -> Finished {
    let mut run = Command::new(BROOKLET);
    succeeded(Process::start(run.args(["run", "--"]).args(command)).finish(2 * LIMIT))
}
