//! UDP with the kernel's own sockets.

use crate::support::{each_mode, on_inetd};
use crate::tcp::{somewhere, somewhere6};
use brooklet_testbed::LIMIT;
use brooklet_testbed::data::random;
use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};
use std::net::{SocketAddr, UdpSocket};

each_mode! {
    echo_ipv4,
    echo_ipv6,
    many_destinations,
    rows,
}

fn echo_ipv4(mode: &[&str]) {
    // The last one fills a packet.
    on_inetd(mode, |_| echo(somewhere(7), &[0, 1, 2, 3, 512, 1400, 1472]));
}

fn echo_ipv6(mode: &[&str]) {
    on_inetd(mode, |_| {
        echo(somewhere6(7), &[0, 1, 2, 3, 512, 1400, 1452])
    });
}

fn echo(to: SocketAddr, lengths: &[usize]) {
    let socket = socket(to);
    for &len in lengths {
        let sent = random(len, len as u64);
        socket.send_to(&sent, to).expect("sent");
        let mut received = [0; 2000];
        let (n, from) = socket
            .recv_from(&mut received)
            .unwrap_or_else(|why| panic!("{len} bytes to {to}: no answer: {why}"));
        // From the address that was asked, not from one of the stack's.
        assert_eq!(from, to);
        assert!(
            received[..n] == sent,
            "{len} bytes to {to}: {n} others came back"
        );
    }
}

/// What is sent as one comes back one by one, and in its order.
fn rows(mode: &[&str]) {
    on_inetd(mode, |_| {
        for to in [somewhere(7), somewhere6(7)] {
            let socket = socket(to);
            setsockopt(&socket, UdpGsoSegment, &1000).expect("Linux 4.18");
            for seed in 0..20 {
                let sent = random(40_500, seed);
                socket.send_to(&sent, to).expect("sent");
                for (at, part) in sent.chunks(1000).enumerate() {
                    let mut received = [0; 2000];
                    let (n, from) = socket
                        .recv_from(&mut received)
                        .unwrap_or_else(|why| panic!("{at} of row {seed} to {to}: {why}"));
                    assert_eq!(from, to);
                    assert!(received[..n] == *part, "{at} of row {seed} to {to}");
                }
            }
        }
    });
}

fn many_destinations(mode: &[&str]) {
    on_inetd(mode, |_| {
        let socket = socket(somewhere(7));
        let mut expected: Vec<SocketAddr> =
            (1..=200).map(|n| ([198, 51, 100, n], 7).into()).collect();
        for to in &expected {
            socket.send_to(to.to_string().as_bytes(), to).expect("sent");
        }
        while !expected.is_empty() {
            let mut received = [0; 100];
            let (n, from) = socket
                .recv_from(&mut received)
                .expect("an answer from each");
            assert_eq!(String::from_utf8_lossy(&received[..n]), from.to_string());
            expected.retain(|to| *to != from);
        }
    });
}

fn socket(to: SocketAddr) -> UdpSocket {
    let any = if to.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
    let socket = UdpSocket::bind(any).expect("a socket");
    socket
        .set_read_timeout(Some(LIMIT))
        .expect("a socket option");
    socket
}
