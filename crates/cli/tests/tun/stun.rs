//! STUN behind the `forward` example, with the server and the client of coturn: each client learns
//! the address that others see, and others reach the client there.

use crate::support::Forward;
use brooklet_testbed::network::Network;
use brooklet_testbed::succeeded;
use brooklet_testbed::{LIMIT, Process, in_namespace, program, require, wait_until};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;

/// The second address that a server needs to tell the kinds of NAT apart (RFC 5780, section 4).
const SECOND: &str = "203.0.113.2";

fn server(turnserver: &Path, network: &Network) -> Process {
    let [far, _] = Network::FAR;
    network
        .far()
        .ip(&format!("address add {SECOND}/24 dev far0"));
    let mut command = Command::new(turnserver);
    command.args([
        "-n",
        "-S",
        "--no-tls",
        "--no-dtls",
        "--no-cli",
        "--log-file",
        "stdout",
    ]);
    command.args(["--simple-log", "-L", &far.to_string(), "-L", SECOND]);
    // Where it may write, in place of /var/run.
    let pid = std::env::temp_dir().join(format!("brooklet-turn-{}", std::process::id()));
    command.arg("--pidfile").arg(pid);
    let server = network.far().run(|| Process::start(&mut command));
    let open = wait_until(LIMIT, || {
        let taken = network.far().run(|| UdpSocket::bind((far, 3478)));
        taken.is_err()
    });
    assert!(open, "no STUN server: {server:?}");
    server
}

#[test]
fn the_mapping_and_the_filtering_are_endpoint_independent() {
    let programs = program("turnutils_natdiscovery").and_then(|_| program("turnserver"));
    let Some(turnserver) = require(programs) else {
        return;
    };
    in_namespace(|| {
        let network = Network::new(1500);
        let _server = server(&turnserver, &network);
        let forward = Forward::start(&[]);
        let [far, _] = Network::FAR;
        let mut command = Command::new("turnutils_natdiscovery");
        command.args(["-L", "10.78.0.1", "-m", "-f", &far.to_string()]);
        let client = forward.clients().run(|| Process::start(&mut command));
        let found = succeeded(client.finish(LIMIT)).out;
        for kind in ["Mapping", "Filtering"] {
            let kind = format!("NAT with Endpoint Independent {kind}!");
            assert!(found.contains(&kind), "no {kind:?} in {found}");
        }
        assert!(!found.contains("No NAT"), "nothing was forwarded: {found}");
    });
}

#[test]
fn two_clients_reach_each_other() {
    let Some(turnserver) = require(program("turnserver")) else {
        return;
    };
    in_namespace(|| {
        let network = Network::new(1500);
        let _server = server(&turnserver, &network);
        let forward = Forward::start(&[]);
        let [far, _] = Network::FAR;
        let clients = [1, 2].map(|n| {
            let address = (Ipv4Addr::new(10, 78, 0, n), 5000);
            let client = forward.clients().run(|| UdpSocket::bind(address));
            let client = client.expect("a port");
            client.set_read_timeout(Some(LIMIT)).expect("a limit");
            let mapped = mapped_address(&client, (far, 3478).into());
            (client, mapped)
        });
        for (sender, receiver) in [(0, 1), (1, 0)] {
            clients[sender]
                .0
                .send_to(b"hello", clients[receiver].1)
                .expect("sent");
            let mut buffer = [0; 100];
            let (n, from) = clients[receiver].0.recv_from(&mut buffer).expect("hello");
            assert_eq!(&buffer[..n], b"hello");
            assert_eq!(from, clients[sender].1);
        }
    });
}

/// Asks a STUN server for the address that it sees (RFC 8489, section 14.2).
fn mapped_address(client: &UdpSocket, server: SocketAddr) -> SocketAddr {
    const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
    let mut request = vec![0, 1, 0, 0]; // binding request, no attributes
    request.extend(COOKIE);
    request.extend([7; 12]);
    client.send_to(&request, server).expect("sent");
    let mut response = [0; 500];
    let n = client.recv(&mut response).expect("an answer");
    let mut attributes = response.get(20..n).expect("a header");
    while let [high, low, _, length, rest @ ..] = attributes {
        let length = usize::from(*length);
        if [*high, *low] == [0, 0x20] {
            let port = u16::from_be_bytes([rest[2] ^ COOKIE[0], rest[3] ^ COOKIE[1]]);
            let ip = [0, 1, 2, 3].map(|n| rest[4 + n] ^ COOKIE[n]);
            return (Ipv4Addr::from(ip), port).into();
        }
        attributes = &rest[length.next_multiple_of(4)..];
    }
    panic!("no mapped address in {:?}", &response[..n]);
}
