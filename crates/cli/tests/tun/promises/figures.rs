//! What `--metrics` and `--top` say of a transfer.

use super::Way;
use crate::support::{BROOKLET, Forward};
use crate::terminal::Terminal;
use brooklet_testbed::network::Network;
use brooklet_testbed::{
    Folder, LIMIT, Process, in_namespace, program, require, succeeded, wait_until,
};
use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;

const UP: usize = 3_000_000;
const DOWN: usize = 20_000_000;

const OPEN: &str = "relay_connections{state=\"open\"}";
const BYTES_UP: &str = "relay_connection_bytes_total{direction=\"up\"}";
const BYTES_DOWN: &str = "relay_connection_bytes_total{direction=\"down\"}";

/// A port of the far host.
fn listen(network: &Network) -> (TcpListener, SocketAddr) {
    let listen = || TcpListener::bind((Ipv4Addr::UNSPECIFIED, 80)).expect("a port");
    (network.far().run(listen), (Network::FAR[0], 80).into())
}

/// The samples by their names.
fn samples(url: &str) -> HashMap<String, f64> {
    let mut curl = Command::new("curl");
    curl.args(["-sSf", url]);
    let text = succeeded(Process::start(&mut curl).finish(LIMIT)).out;
    assert!(text.ends_with("# EOF\n"), "{text}");
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let pair = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    samples.map(|line| pair(line).expect("a sample")).collect()
}

#[test]
fn the_metrics_of_a_transfer_are_its_bytes() {
    let Some(_) = require(program("curl")) else {
        return;
    };
    in_namespace(|| {
        let network = Network::new(1500);
        let (listener, to) = listen(&network);
        let forward = Forward::start(&["--metrics", "127.0.0.1:0"]);
        let printed = |text: &str| text.ends_with("/metrics\n");
        let line = forward
            .process()
            .errors_after(0, LIMIT, printed)
            .expect("a URL");
        let url = line.split_whitespace().last().expect("a URL").to_owned();
        let of = |name: &str| {
            let samples = samples(&url);
            let value = samples.get(&format!("brooklet_{name}"));
            *value.unwrap_or_else(|| panic!("no {name} in {samples:?}"))
        };
        let mut client = forward
            .clients()
            .run(|| TcpStream::connect_timeout(&to, LIMIT))
            .expect("a connection");
        let (mut server, _) = listener.accept().expect("a client");
        assert_eq!(of(OPEN), 1.0);
        client.write_all(&vec![1; 1000]).expect("open");
        server.read_exact(&mut [0; 1000]).expect("bytes");
        assert_eq!(of(BYTES_UP), 1000.0);
        let mut seen = Vec::new();
        thread::scope(|scope| {
            scope.spawn(|| {
                server.write_all(&vec![2; DOWN]).expect("open");
                let mut bytes = Vec::new();
                server.read_to_end(&mut bytes).expect("an upload");
                assert_eq!(bytes.len(), UP - 1000);
                server.shutdown(Shutdown::Write).expect("open");
            });
            // The rest waits while the figures are read.
            let mut part = vec![0; DOWN / 4];
            for _ in 0..4 {
                client.read_exact(&mut part).expect("bytes");
                seen.push(of(BYTES_DOWN));
            }
            client.write_all(&vec![3; UP - 1000]).expect("open");
            client.shutdown(Shutdown::Write).expect("open");
            assert_eq!(client.read(&mut [0]).expect("an end"), 0);
        });
        for (n, seen) in seen.iter().enumerate() {
            let read = ((n + 1) * DOWN / 4) as f64;
            assert!(
                *seen >= read && *seen <= DOWN as f64,
                "{seen} when {read} were read"
            );
        }
        let closed = wait_until(LIMIT, || of(OPEN) == 0.0);
        assert!(closed);
        assert_eq!(of(BYTES_UP), UP as f64);
        assert_eq!(of(BYTES_DOWN), DOWN as f64);
        assert_eq!(of("relay_requests_total"), 1.0);
        forward.stop();
    });
}

/// The server sends for three seconds, and the view is new every second.
#[test]
fn the_view_has_the_flow_of_a_transfer() {
    let Some(_) = require(program("script").and_then(|_| program("nc"))) else {
        return;
    };
    in_namespace(|| {
        let network = Network::new(1500);
        let (listener, to) = listen(&network);
        thread::spawn(move || {
            let (mut server, _) = listener.accept().expect("a client");
            for _ in 0..30 {
                thread::sleep(std::time::Duration::from_millis(100));
                if server.write_all(&[b'a'; 10_000]).is_err() {
                    return;
                }
            }
        });
        let folder = Folder::new("top-flow");
        let out = folder.path("out");
        let (host, port) = (to.ip(), to.port());
        let line = format!(
            "stty cols 150 rows 30; {BROOKLET} run --top -- nc -d {host} {port} >{out} 2>&1"
        );
        let ended = Terminal::start(&folder, &line).finish();
        assert_eq!(ended.status, 0, "{}", ended.out);
        assert_eq!(fs::read(&out).expect("a file").len(), 300_000);
        let flow = |part: &str| part.contains("TCP 10.77.0.2:") && part.contains(&to.to_string());
        let flows: Vec<&str> = ended.out.lines().filter(|line| flow(line)).collect();
        assert!(!flows.is_empty(), "{:?}", ended.out);
        assert!(
            flows.iter().any(|flow| flow.contains("ESTABLISHED")),
            "{flows:?}"
        );
        assert!(ended.out.ends_with("\x1b[?1049l"), "{:?}", ended.out);
    });
}

/// Each way has its figures at the end.
#[test]
fn the_counters_at_the_end_are_those_of_the_transfer() {
    in_namespace(|| {
        let network = Network::new(1500);
        let (listener, to) = listen(&network);
        for way in [Way::forward(&[]), Way::run(&["--stats"])] {
            let connect = || TcpStream::connect_timeout(&to, LIMIT).expect("a connection");
            let mut client = way.clients().run(connect);
            let (mut server, _) = listener.accept().expect("a client");
            client.write_all(b"question").expect("open");
            client.shutdown(Shutdown::Write).expect("open");
            let mut question = Vec::new();
            server.read_to_end(&mut question).expect("a question");
            server.write_all(b"the answer").expect("open");
            drop(server);
            let mut answer = String::new();
            client.read_to_string(&mut answer).expect("an answer");
            assert_eq!(answer, "the answer");
            let ended = match way {
                Way::Forward(forward) => forward.stop(),
                Way::Run(process, _) => {
                    process.signal(nix::sys::signal::Signal::SIGTERM);
                    succeeded(process.finish(LIMIT))
                }
                Way::Direct(_) => continue,
            };
            for line in [
                "connections accepted: 1\n",
                "connection bytes to hosts: 8\n",
                "connection bytes to clients: 10\n",
            ] {
                assert!(ended.err.contains(line), "no {line} in {}", ended.err);
            }
        }
    });
}
