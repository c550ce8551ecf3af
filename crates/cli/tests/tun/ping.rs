//! `ping` through `brooklet run`, to hosts that answer late or never.

use crate::support::BROOKLET;
use brooklet::{Builder, IcmpMessage, Parts};
use brooklet_testbed::network::Namespace;
use brooklet_testbed::{Finished, LIMIT, Process, in_namespace, ip, program, require};
use brooklet_tun::TunBuilder;
use smol::Timer;
use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

/// The round trip to the hosts that exist.
const DELAY: Duration = Duration::from_millis(80);

/// The hop limit with which replies reach the host of `brooklet run`.
const HOPS_LEFT: u8 = 50;

/// Hosts that exist: those with an odd number at the end of the address.
fn exists(host: IpAddr) -> bool {
    let last = match host {
        IpAddr::V4(host) => host.octets()[3],
        IpAddr::V6(host) => host.octets()[15],
    };
    last % 2 == 1
}

/// A network behind a TUN device, with the known delay, in the namespace of this thread.
fn distant_network() -> smol::Task<()> {
    let tun = TunBuilder::new("distant").open().expect("a TUN device");
    ip("address add 192.0.2.254/24 dev distant
        address add 2001:db8::fe/64 dev distant nodad
        link set distant up");
    let Parts { stack, driver, .. } = Builder::new().build(tun).expect("a stack");
    let socket = stack.bind_icmp().expect("the only ICMP socket");
    smol::spawn(async move {
        let answers = async {
            while let Ok(message) = socket.recv().await {
                if let IcmpMessage::EchoRequest(request) = message
                    && exists(request.destination())
                {
                    smol::spawn(async {
                        Timer::after(DELAY).await;
                        request.reply_with(HOPS_LEFT).expect("room");
                    })
                    .detach();
                }
            }
        };
        let ended = futures_lite::future::zip(driver, answers).await.0;
        ended.expect("a device that works");
    })
}

fn with_ping_group(range: &str, test: impl FnOnce() + Send) {
    if require(program("ping")).is_none() {
        return;
    }
    in_namespace(|| {
        Namespace::of_this_thread().set("net/ipv4/ping_group_range", range);
        let _hosts = distant_network();
        test();
    });
}

fn ping(flags: &[&str], host: &str) -> Finished {
    let mut command = Command::new(BROOKLET);
    command
        .arg("run")
        .args(flags)
        .args(["--", "ping", "-n", "-i", "0.2"]);
    command.args(["-c", "3", "-W", "2", host]);
    Process::start(&mut command).finish(LIMIT)
}

fn shows_the_true_round_trip() {
    for host in ["192.0.2.1", "2001:db8::1"] {
        let pinged = ping(&[], host).out;
        assert!(pinged.contains(" 3 received, 0% packet loss"), "{pinged}");
        // The relay is one more router on the way.
        let hops = format!("ttl={}", HOPS_LEFT - 1);
        assert_eq!(pinged.matches(&hops).count(), 3, "{pinged}");
        // rtt min/avg/max/mdev = 80.2/80.4/80.9/0.1 ms
        let times = pinged.lines().find_map(|line| line.split_once(" = "));
        let least = times.and_then(|(_, times)| times.split('/').next()?.parse::<f64>().ok());
        let least = least.unwrap_or_else(|| panic!("no times in {pinged}"));
        assert!(least >= DELAY.as_millis() as f64, "{host}: {pinged}");
    }
}

#[test]
fn the_round_trip_is_the_true_one_without_privileges() {
    with_ping_group("0 2147483647", shows_the_true_round_trip);
}

#[test]
fn the_round_trip_is_the_true_one_by_a_raw_socket() {
    with_ping_group("1 0", shows_the_true_round_trip);
}

#[test]
fn a_dead_host_is_silent() {
    with_ping_group("0 2147483647", || {
        for host in ["192.0.2.2", "2001:db8::2"] {
            let pinged = ping(&[], host);
            assert_eq!(pinged.status.code(), Some(1), "{}", pinged.err);
            let none = "3 packets transmitted, 0 received, 100% packet loss";
            assert!(pinged.out.contains(none), "{}", pinged.out);
            assert!(!pinged.out.contains("nreachable"), "{}", pinged.out);
        }
    });
}

#[test]
fn the_stack_answers_if_it_is_told_to() {
    with_ping_group("0 2147483647", || {
        let pinged = ping(&["--answer-ping"], "192.0.2.2").out;
        assert!(pinged.contains(" 3 received, 0% packet loss"), "{pinged}");
    });
}

#[test]
fn the_gateway_answers() {
    with_ping_group("0 2147483647", || {
        for gateway in ["10.77.0.1", "fd77::1"] {
            let pinged = ping(&[], gateway).out;
            assert!(pinged.contains(" 3 received, 0% packet loss"), "{pinged}");
        }
    });
}
