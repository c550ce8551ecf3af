//! Two stacks back to back, each with an address and a listener of its own.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![cfg(all(feature = "sync", feature = "async-io"))]

mod support;

use brooklet::{Builder, Stack, TcpListener};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use std::io;
use std::net::{IpAddr, SocketAddr};
use support::addr;

/// Echoes one connection.
async fn serve(listener: &TcpListener) -> io::Result<SocketAddr> {
    let (stream, peer) = listener.accept().await?;
    support::echo(stream).await?;
    Ok(peer)
}

async fn ask(stack: &Stack, to: SocketAddr) -> io::Result<SocketAddr> {
    let mut stream = stack.connect(to).await?;
    stream.write_all(b"both ways").await?;
    stream.close().await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    assert_eq!(answer, "both ways");
    stream.local_addr()
}

#[test]
fn two_stacks_talk_as_two_hosts_do() {
    let (here, there) = brooklet::pipe(64);
    let host = |device, v4: &str, v6: &str| {
        let builder = Builder::new().address(v4.parse::<IpAddr>().unwrap());
        builder
            .address(v6.parse::<IpAddr>().unwrap())
            .build(device)
            .unwrap()
    };
    let a = host(here, "10.0.0.1", "fd00::1");
    let b = host(there, "10.0.0.2", "fd00::2");
    let talk = async {
        for (one, other) in [("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")] {
            let [one, other]: [IpAddr; 2] = [one.parse().unwrap(), other.parse().unwrap()];
            // Either listens, and either connects.
            let at_a = a.stack.bind(SocketAddr::new(one, 7))?;
            let at_b = b.stack.bind(SocketAddr::new(other, 0))?;
            let (from_a, from_b) = (
                ask(&a.stack, at_b.local_addr()?),
                ask(&b.stack, at_a.local_addr()?),
            );
            let served = future::zip(serve(&at_a), serve(&at_b));
            let ((from_a, from_b), (peer_at_a, peer_at_b)) =
                future::zip(future::zip(from_a, from_b), served).await;
            let (from_a, from_b) = (from_a?, from_b?);
            assert_eq!((from_a.ip(), from_b.ip()), (one, other));
            assert_eq!((peer_at_a?, peer_at_b?), (from_b, from_a));
        }
        // What nobody is bound to goes to the listener for the rest; without that it is refused.
        drop(b.tcp);
        let refused = a.stack.connect(addr("10.0.0.2:7")).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        Ok(())
    };
    async_io::block_on(future::or(talk, future::or(a.driver, b.driver))).unwrap();
}

#[test]
fn an_address_that_is_not_of_one_host_is_refused() {
    let bad = [
        "0.0.0.0",
        "127.0.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "ff02::1",
        "::ffff:10.0.0.2",
    ];
    for bad in bad {
        let (device, _other) = brooklet::pipe(1);
        let built = Builder::new()
            .address(bad.parse::<IpAddr>().unwrap())
            .build(device);
        assert_eq!(
            built.unwrap_err().kind(),
            io::ErrorKind::InvalidInput,
            "{bad}"
        );
    }
}

#[test]
fn a_second_address_of_a_family_is_refused() {
    for [first, second] in [["10.0.0.1", "10.0.0.2"], ["fd00::1", "fd00::2"]] {
        let builder = Builder::new().address(first.parse::<IpAddr>().unwrap());
        let built = builder
            .address(second.parse::<IpAddr>().unwrap())
            .build(brooklet::pipe(1).0);
        let error = built.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let text = error.to_string();
        assert!(text.contains(first) && text.contains(second), "{text}");
    }
}

#[test]
fn an_address_that_no_host_has_on_a_link_is_neither_connected_nor_bound() {
    let parts = Builder::new().build(brooklet::pipe(1).0).unwrap();
    let stack = parts.stack;
    for [bad, good] in [
        ["127.0.0.1:80", "10.0.0.1:80"],
        ["[::1]:80", "[fd00::1]:80"],
        ["[::ffff:10.0.0.1]:80", "[fd00::1]:80"],
    ] {
        let (bad, good) = (addr(bad), addr(good));
        let results = [
            future::block_on(stack.connect(bad)).map(drop),
            future::block_on(stack.connect_from(bad, good)).map(drop),
            future::block_on(stack.connect_from(good, bad)).map(drop),
            stack.bind(bad).map(drop),
        ];
        for result in results {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable, "{bad}");
            assert!(error.to_string().contains(&bad.ip().to_string()), "{error}");
        }
    }
}

#[test]
fn a_tcp_configuration_that_cannot_work_is_an_error_that_names_the_field() {
    use brooklet::{TcpConfig, TcpOptions};
    let cases = [
        (TcpConfig::new().backlog(0), "backlog of 0"),
        (TcpConfig::new().max_connections(0), "max_connections of 0"),
        (TcpConfig::new().max_half_open(0), "max_half_open of 0"),
        (
            TcpConfig::new().options(TcpOptions::new().ttl(0)),
            "ttl of 0",
        ),
        (
            TcpConfig::new().options(TcpOptions::new().recv_buffer(1)),
            "recv_buffer of 1",
        ),
    ];
    for (config, text) in cases {
        let (device, _wire) = brooklet::pipe(1);
        let error = Builder::new().tcp_config(config).build(device).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains(text), "{error}");
    }
}
