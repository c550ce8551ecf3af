//! QUIC and STUN through the forwarder: real protocols on UDP sockets of a stack, a link that loses
//! packets, and the host's own sockets behind it.

mod link;
mod quic;
mod stun;

use async_io::Timer;
use brooklet::{Builder, Stack};
use brooklet_relay::{Limits, Map, Relay, Router, Spawner};
use futures_lite::future;
use link::Link;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// How long a test may take. Most take a second.
const LIMIT: Duration = Duration::from_secs(20);

/// The addresses by which the clients reach 127.0.0.1 and 127.0.0.2 of the host.
const LOOPBACK: [Ipv4Addr; 2] = [
    Ipv4Addr::new(198, 51, 100, 1),
    Ipv4Addr::new(198, 51, 100, 2),
];

/// Returns the stack of a client. Behind the link is a forwarder.
fn client(link: &Arc<Link>) -> Stack {
    let (near, far) = brooklet::pipe(256);
    let client = Builder::new().address([10, 0, 0, 1]);
    let client = client.build(link.end(near, 1)).expect("a client");
    let forwarder = Builder::new().build(link.end(far, 2)).expect("a forwarder");
    smol::spawn(client.driver).detach();
    smol::spawn(forwarder.driver).detach();
    let map = Map::new(|to| {
        let host = LOOPBACK.iter().position(|address| to.ip() == *address);
        let host = host.map(|number| IpAddr::from([127, 0, 0, number as u8 + 1]));
        Some(SocketAddr::new(host.unwrap_or_else(|| to.ip()), to.port()))
    });
    let (router, limits) = (Router::default(), Limits::default());
    let spawner = Spawner::new(|task| smol::spawn(task).detach());
    Relay::new(forwarder.stack, map, router, limits, spawner)
        .start(forwarder.tcp, forwarder.udp, false)
        .expect("the forwarder starts");
    client.stack
}

/// Runs a test that must not take long.
fn in_time<T>(what: impl Future<Output = T>) -> T {
    let late = async {
        Timer::after(LIMIT).await;
        panic!("not done after {LIMIT:?}")
    };
    smol::block_on(future::or(what, late))
}
