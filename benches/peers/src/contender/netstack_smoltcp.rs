//! netstack-smoltcp, put together as its README and its two examples do it.

mod offload;

use super::{Contender, ECHO, Link, MTU, Server, TUN, services};
use futures::{SinkExt, StreamExt};
use netstack_smoltcp::{Stack, StackBuilder, TcpListener, UdpSocket};
use std::io;
use tokio::runtime;

pub(crate) const PLAIN: Contender = Contender {
    key: "netstack-smoltcp",
    name: "netstack-smoltcp",
    about: "version 0.2.4 with tun2 3, as in its README: tokio with a thread for each core, \
            `stack_buffer_size(512)`, `tcp_buffer_size(4096)`, its default of 320 KiB for the \
            buffers each way; the MTU is that of the device.",
    link: Link::Tun,
    server: Server::Here(|| run(runtime::Builder::new_multi_thread(), plain())),
    most_connections: None,
};

pub(crate) const ONE_THREAD: Contender = Contender {
    key: "netstack-smoltcp-one-thread",
    name: "netstack-smoltcp, one thread",
    about: "the same with tokio's runtime of one thread, a flag of its examples.",
    link: Link::Tun,
    server: Server::Here(|| run(runtime::Builder::new_current_thread(), plain())),
    most_connections: None,
};

pub(crate) const OFFLOAD: Contender = Contender {
    key: "netstack-smoltcp-offload",
    name: "netstack-smoltcp, offload",
    about: "the same with tun-rs 2 and segmentation offload, as in its example \
            `forward-offload-linux`: what the kernel sends is split by tun-rs; in addition, the \
            packets that wait are joined by tun-rs (`send_multiple`) before they are written.",
    link: Link::TunWithHeader,
    server: Server::Here(|| run(runtime::Builder::new_multi_thread(), offload::serve())),
    most_connections: None,
};

fn run(
    mut runtime: runtime::Builder,
    server: impl Future<Output = io::Result<()>>,
) -> io::Result<()> {
    runtime.enable_all().build()?.block_on(server)
}

async fn plain() -> io::Result<()> {
    let mut config = tun2::Configuration::default();
    config.layer(tun2::Layer::L3).tun_name(TUN).mtu(MTU).up();
    let device = tun2::create_as_async(&config).map_err(io::Error::other)?;
    let (stack, listener, udp) = stack()?;
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
    accept(listener, udp).await
}

/// The stack, whose runner is on its way.
fn stack() -> io::Result<(Stack, TcpListener, UdpSocket)> {
    let (stack, runner, udp, listener) = StackBuilder::default()
        .stack_buffer_size(512)
        .tcp_buffer_size(4096)
        .enable_tcp(true)
        .enable_udp(true)
        .enable_icmp(true)
        .mtu(MTU.into())
        .build()?;
    let (Some(runner), Some(listener), Some(udp)) = (runner, listener, udp) else {
        return Err(io::Error::other("TCP and UDP were asked for"));
    };
    tokio::spawn(runner);
    Ok((stack, listener, udp))
}

async fn accept(mut listener: TcpListener, udp: UdpSocket) -> io::Result<()> {
    let (mut from_clients, mut to_clients) = udp.split();
    tokio::spawn(async move {
        while let Some((datagram, from, to)) = from_clients.next().await {
            if to.port() == ECHO {
                // A datagram that cannot be sent is lost, as datagrams are.
                let _ = to_clients.send((datagram, to, from)).await;
            }
        }
    });
    while let Some((stream, _, to)) = listener.next().await {
        tokio::spawn(services::serve(stream, to.port()));
    }
    Err(io::Error::other("the stack has ended"))
}
