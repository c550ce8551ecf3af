//! The `forward` example with rules from a file.

use crate::support::BROOKLET;
use crate::support::Forward;
use brooklet_testbed::network::Network;
use brooklet_testbed::{Folder, LIMIT, Process, in_namespace};
use nix::sys::signal::Signal;
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

/// How soon a client knows that it is refused.
const AT_ONCE: Duration = Duration::from_millis(5);

/// Sends a datagram and returns the error that comes back, and how long that takes: the shortest of
/// some attempts, because the machine may be busy.
fn refused(forward: &Forward, to: SocketAddr) -> (io::Error, Duration) {
    let attempt = || {
        let any = if to.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
        let socket = UdpSocket::bind(any).expect("a socket");
        socket.set_read_timeout(Some(LIMIT)).expect("a limit");
        socket.connect(to).expect("a route");
        let start = Instant::now();
        socket.send(b"initial").expect("sent");
        let error = socket.recv(&mut [0; 100]).expect_err("a refusal");
        (error, start.elapsed())
    };
    forward.clients().run(|| {
        let attempts = (0..20).map(|_| attempt());
        attempts
            .min_by_key(|(_, time)| *time)
            .expect("some attempts")
    })
}

#[test]
fn a_rule_refuses_quic_at_once() {
    in_namespace(|| {
        let network = Network::new(1500);
        let folder = Folder::new("rules");
        let file = folder.path("rules");
        fs::write(&file, "udp dport 443 reject\n").expect("a file");
        let forward = Forward::start(&["--rules", &file]);
        for far in Network::FAR {
            let (why, time) = refused(&forward, (far, 443).into());
            assert_eq!(why.kind(), ErrorKind::ConnectionRefused, "{far}");
            assert!(time <= AT_ONCE, "{far}: {time:?}");
            // Another port reaches the host.
            assert_eq!(echo(&network, &forward, far), b"echo");
        }
        let counters = forward.stop().err;
        let line = counters
            .lines()
            .find(|line| line.starts_with("udp dport 443"));
        let line = line.unwrap_or_else(|| panic!("no counter of the rule: {counters}"));
        assert!(line.ends_with(": 40 packets, 1800 bytes"), "{line}");
    });
}

fn echo(network: &Network, forward: &Forward, far: IpAddr) -> Vec<u8> {
    let server = network
        .far()
        .run(|| UdpSocket::bind((far, 7)).expect("a port"));
    server.set_read_timeout(Some(LIMIT)).expect("a limit");
    let client = forward.clients().run(|| {
        let any = if far.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
        UdpSocket::bind(any).expect("a socket")
    });
    client.set_read_timeout(Some(LIMIT)).expect("a limit");
    client.send_to(b"echo", (far, 7)).expect("sent");
    let mut buffer = [0; 100];
    let (n, from) = server.recv_from(&mut buffer).expect("a datagram");
    server.send_to(&buffer[..n], from).expect("sent");
    let n = client.recv(&mut buffer).expect("an answer");
    buffer[..n].to_vec()
}

#[test]
fn a_refused_upstream_refuses_at_once() {
    in_namespace(|| {
        let _network = Network::new(1500);
        let forward = Forward::start(&[]);
        for far in Network::FAR {
            let (why, time) = refused(&forward, (far, 9).into());
            assert_eq!(why.kind(), ErrorKind::ConnectionRefused, "{far}");
            assert!(time <= AT_ONCE, "{far}: {time:?}");
        }
        forward.stop();
    });
}

#[test]
fn the_rules_are_read_again_and_bad_ones_are_not_taken() {
    in_namespace(|| {
        let network = Network::new(1500);
        let folder = Folder::new("reload");
        let file = folder.path("rules");
        fs::write(&file, "# none yet\n").expect("a file");
        let forward = Forward::start(&["--rules", &file]);
        let [far, _] = Network::FAR;
        let reload = |text: &str, printed: &str| {
            let seen = forward.process().errors_seen();
            fs::write(&file, text).expect("a file");
            forward.process().signal(Signal::SIGHUP);
            if printed.is_empty() {
                return String::new();
            }
            let line = forward
                .process()
                .errors_after(seen, LIMIT, |text| text.ends_with('\n'));
            line.expect("an error")
        };
        assert_eq!(echo(&network, &forward, far), b"echo");

        reload("udp dport 7 reject with icmp admin-prohibited\n", "");
        let why = refused(&forward, (far, 7).into()).0;
        assert_ne!(
            why.kind(),
            ErrorKind::WouldBlock,
            "the rule does not count: {why}"
        );

        let error = reload("udp dport 7 pass\nudp dport seven pass\n", "an error");
        assert_eq!(error.lines().count(), 1, "{error}");
        for part in ["forward: the old rules stay", &file, "line 2, column 11"] {
            assert!(error.contains(part), "no {part:?} in {error}");
        }
        let again = refused(&forward, (far, 7).into()).0;
        assert_eq!(again.kind(), why.kind(), "the old rules have gone");
        forward.stop();
    });
}

#[test]
fn a_bad_file_does_not_start() {
    let folder = Folder::new("bad-rules");
    let file = folder.path("rules");
    fs::write(&file, "udp dport 443 refuse\n").expect("a file");
    let mut command = Command::new(BROOKLET);
    let ended =
        Process::start(command.args(["forward", "--tun", "t0", "--rules", &file])).finish(LIMIT);
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
    assert!(ended.err.contains("line 1, column 15"), "{}", ended.err);
}
