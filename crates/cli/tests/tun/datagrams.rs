//! Datagrams of any size through the `forward` example, and the path MTU of the far network.

use crate::support::Forward;
use brooklet_testbed::data::random;
use brooklet_testbed::network::Network;
use brooklet_testbed::{LIMIT, in_namespace};
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, ip_mtu, ipv6_mtu, set_ip_mtu_discover,
    set_ipv6_mtu_discover,
};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::thread;

/// Echoes every datagram until the test ends.
fn echo(network: &Network, far: IpAddr) {
    let server = network.far().run(|| UdpSocket::bind((far, 7)));
    let server = server.expect("port 7");
    thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Ok((n, from)) = server.recv_from(&mut buffer) {
            if server.send_to(&buffer[..n], from).is_err() {
                return;
            }
        }
    });
}

fn client(forward: &Forward, far: IpAddr) -> UdpSocket {
    let any = if far.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
    let client = forward.clients().run(|| UdpSocket::bind(any));
    let client = client.expect("a socket");
    client.set_read_timeout(Some(LIMIT)).expect("a limit");
    client.connect((far, 7)).expect("a route");
    client
}

#[test]
fn the_longest_datagrams_are_echoed() {
    in_namespace(|| {
        let network = Network::new(1500);
        let forward = Forward::start(&[]);
        for (far, longest) in Network::FAR.into_iter().zip([65_507, 65_487]) {
            echo(&network, far);
            let client = client(&forward, far);
            for length in [0, 1, 1472, 1473, 4000, 40_000, longest] {
                let sent = random(length, length as u64);
                client.send(&sent).expect("sent");
                let mut received = vec![0; 65_536];
                let n = client.recv(&mut received);
                let n = n.unwrap_or_else(|why| panic!("{length} bytes to {far}: {why}"));
                assert!(received[..n] == sent, "{length} bytes to {far}");
            }
        }
        forward.stop();
    });
}

/// The client learns the MTU of a link that only the host's packets meet.
#[test]
fn the_mtu_of_a_far_link_reaches_the_client() {
    in_namespace(|| {
        let network = Network::new(1280);
        let forward = Forward::start(&[]);
        for far in Network::FAR {
            echo(&network, far);
            let client = client(&forward, far);
            whole(&client, far.is_ipv6());
            client.send(&[1; 1400]).expect("sent");
            let error = client.recv(&mut [0; 2000]).expect_err("too long");
            assert_eq!(error.raw_os_error(), Some(nix::libc::EMSGSIZE), "{error}");
            let mtu = match far {
                IpAddr::V4(_) => ip_mtu(&client),
                IpAddr::V6(_) => ipv6_mtu(&client),
            };
            assert_eq!(mtu, Ok(1280), "{far}");
            // A client that fragments gets through.
            let plain = self::client(&forward, far);
            plain.send(&[2; 1400]).expect("sent");
            assert_eq!(plain.recv(&mut [0; 2000]).expect("an echo"), 1400, "{far}");
        }
        forward.stop();
    });
}

/// Sets "don't fragment".
fn whole(socket: &UdpSocket, ipv6: bool) {
    let set = if ipv6 {
        set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::DO)
    } else {
        set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::DO)
    };
    set.expect("a socket option");
}

#[test]
fn an_ipv4_stack_works_from_an_mtu_of_576() {
    in_namespace(|| {
        let network = Network::new(1500);
        let [far, _] = Network::FAR;
        echo(&network, far);
        let forward = Forward::start(&["--no-ipv6", "--mtu", "576"]);
        let client = client(&forward, far);
        for length in [1, 548, 549, 4000] {
            let sent = random(length, 1);
            client.send(&sent).expect("sent");
            let mut received = vec![0; 5000];
            let n = client.recv(&mut received).expect("an echo");
            assert!(received[..n] == sent, "{length} bytes");
        }
        let closed = SocketAddr::new(far, 9);
        let socket = forward.clients().run(|| UdpSocket::bind("0.0.0.0:0"));
        let socket = socket.expect("a socket");
        socket.set_read_timeout(Some(LIMIT)).expect("a limit");
        socket.connect(closed).expect("a route");
        socket.send(b"refused").expect("sent");
        let error = socket.recv(&mut [0; 10]).expect_err("a refusal");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
        forward.stop();
    });
}

/// A client takes a refusal for the answer of the host, so the forwarder does not refuse.
#[test]
fn a_forwarder_without_files_does_not_refuse() {
    in_namespace(|| {
        let network = Network::new(1500);
        let [far, _] = Network::FAR;
        echo(&network, far);
        // Fewer than the sessions that there may be at least.
        let forward = Forward::with_files(24);
        let clients: Vec<UdpSocket> = (0..50).map(|_| client(&forward, far)).collect();
        let mut errors = Vec::new();
        for client in &clients {
            client.send(b"echo").expect("sent");
            if let Err(error) = client.recv(&mut [0; 10]) {
                errors.push(error.kind());
            }
        }
        assert!(
            !errors.is_empty() && errors.len() < clients.len(),
            "{errors:?}"
        );
        let expected = std::io::ErrorKind::HostUnreachable; // administratively prohibited
        assert!(errors.iter().all(|kind| *kind == expected), "{errors:?}");
        let connect = || std::net::TcpStream::connect_timeout(&(far, 7).into(), LIMIT);
        let error = forward.clients().run(connect).expect_err("no file is left");
        assert_eq!(error.kind(), expected);
    });
}
