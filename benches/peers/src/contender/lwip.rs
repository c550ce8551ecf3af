//! lwIP, the stack in C, by the crate `lwip`.

use super::{Contender, ECHO, Link, MTU, Server, TUN, services};
use ::lwip::NetStack;
use futures::{SinkExt, StreamExt};
use std::io;
use tokio::runtime;

pub(crate) const CONTENDER: Contender = Contender {
    key: "lwip",
    name: "lwIP",
    about: "the crate `lwip` 0.4.0 with tun2 3, as in its README, on one thread; 512 packets and \
            512 datagrams may wait; 46,720 bytes of window and 1,024 connections are compiled in.",
    link: Link::Tun,
    server: Server::Here(serve),
    most_connections: Some(1024),
};

/// Packets, and datagrams, that may wait.
const WAITING: usize = 512;

fn serve() -> io::Result<()> {
    // The stack is in C and has one lock around it: more threads only wait for it.
    runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(stack())
}

async fn stack() -> io::Result<()> {
    let mut config = tun2::Configuration::default();
    config.layer(tun2::Layer::L3).tun_name(TUN).mtu(MTU).up();
    let device = tun2::create_as_async(&config).map_err(io::Error::other)?;
    let (stack, mut listener, udp) =
        NetStack::with_buffer_size(WAITING, WAITING).map_err(io::Error::other)?;
    let (mut tun_sink, mut tun_stream) = device.into_framed().split();
    let (mut stack_sink, mut stack_stream) = stack.split();
    tokio::spawn(async move {
        while let Some(packet) = stack_stream.next().await {
            if let Ok(packet) = packet {
                // A packet that is not taken is lost, as packets are.
                let _ = tun_sink.send(packet).await;
            }
        }
    });
    tokio::spawn(async move {
        while let Some(packet) = tun_stream.next().await {
            if let Ok(packet) = packet {
                let _ = stack_sink.send(packet).await;
            }
        }
    });
    let (to_clients, mut from_clients) = udp.split();
    tokio::spawn(async move {
        while let Ok((datagram, from, to)) = from_clients.recv_from().await {
            if to.port() == ECHO {
                // A datagram that cannot be sent is lost, as datagrams are.
                let _ = to_clients.send_to(&datagram, &to, &from);
            }
        }
    });
    while let Some((stream, _, to)) = listener.next().await {
        tokio::spawn(services::serve(stream, to.port()));
    }
    Err(io::Error::other("the stack has ended"))
}
