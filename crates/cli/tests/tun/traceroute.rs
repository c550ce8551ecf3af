//! The path behind the forwarder, as `traceroute` and `ping` see it: under the `brooklet run`, in a
//! namespace with a router and a host behind the router.

use crate::support::BROOKLET;
use crate::support::Forward;
use brooklet_testbed::network::Network;
use brooklet_testbed::{Finished, LIMIT, Process, in_namespace, program, require};
use std::net::{IpAddr, TcpListener};
use std::process::Command;

/// The gateway of `run`: the first hop.
const GATEWAY: [IpAddr; 2] = [
    IpAddr::V4(std::net::Ipv4Addr::new(10, 77, 0, 1)),
    IpAddr::V6(std::net::Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1)),
];

/// Runs `traceroute` on brooklet and compares the hops with the true ones.
fn shows_every_hop(flags: &[&str], prepare: impl FnOnce(&Network) -> Vec<TcpListener> + Send) {
    if require(program("traceroute")).is_none() {
        return;
    }
    in_namespace(|| {
        let network = Network::new(1500);
        let _servers = prepare(&network);
        for (version, far) in Network::FAR.into_iter().enumerate() {
            let expected = [GATEWAY[version], Network::ROUTER[version], far];
            let far = far.to_string();
            let command = [&["traceroute", "-n", "-q", "2", "-w", "5"], flags, &[&far]].concat();
            let traced = run(&command);
            assert_eq!(hops(&traced.out), expected, "{flags:?}: {}", traced.out);
            // A star stands for a probe without an answer.
            assert!(!traced.out.contains('*'), "{flags:?}: {}", traced.out);
        }
    });
}

/// The address of each line behind the first.
fn hops(out: &str) -> Vec<IpAddr> {
    let addresses = out.lines().skip(1).map(|line| {
        let address = line.split_whitespace().nth(1)?;
        // A link-local address has the name of its link behind it.
        address.split('%').next()?.parse().ok()
    });
    addresses.map_while(|address| address).collect()
}

#[test]
fn by_udp() {
    shows_every_hop(&["-U", "-p", "33434"], |_| Vec::new());
}

#[test]
fn by_udp_with_a_port_for_each_probe() {
    shows_every_hop(&[], |_| Vec::new());
}

#[test]
fn by_echo_requests() {
    shows_every_hop(&["-I"], |_| Vec::new());
}

#[test]
fn by_syns_to_a_closed_port() {
    shows_every_hop(&["-T", "-p", "81"], |_| Vec::new());
}

#[test]
fn by_syns_to_an_open_port() {
    shows_every_hop(&["-T", "-p", "80"], |network| {
        let listen = |far: IpAddr| {
            let listener = network.far().run(|| TcpListener::bind((far, 80)));
            listener.expect("a free port")
        };
        Network::FAR.into_iter().map(listen).collect()
    });
}

/// Without an address of its own, `forward` has the dummy address of RFC 7600.
#[test]
fn forward_is_the_first_hop() {
    let Some(traceroute) = require(program("traceroute")) else {
        return;
    };
    in_namespace(|| {
        let _network = Network::new(1500);
        let chosen = ["10.78.0.254", "fd78::fe"];
        for (flags, names) in [
            (&[][..], ["192.0.0.8", "fe80::1"]),
            (&["--router", chosen[0], "--router", chosen[1]], chosen),
        ] {
            let forward = Forward::start(flags);
            for (version, name) in names.into_iter().enumerate() {
                let far = Network::FAR[version];
                let mut command = Command::new(&traceroute);
                command.args(["-n", "-q", "1", &far.to_string()]);
                let traced = forward.clients().run(|| Process::start(&mut command));
                let traced = traced.finish(LIMIT).out;
                let router = name.parse().expect("an address");
                assert_eq!(
                    hops(&traced),
                    [router, Network::ROUTER[version], far],
                    "{traced}"
                );
            }
            forward.stop();
        }
    });
}

fn run(command: &[&str]) -> Finished {
    let mut run = Command::new(BROOKLET);
    Process::start(run.args(["run", "--"]).args(command)).finish(2 * LIMIT)
}
