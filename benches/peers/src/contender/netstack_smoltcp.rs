//! netstack-smoltcp, put together as its README and its example `forward` do it.

use super::{ANSWER, BUFFER, CHARGEN, Contender, DISCARD, ECHO, Link, MTU, Server, TUN, WEB};
use futures::{SinkExt, StreamExt};
use netstack_smoltcp::{StackBuilder, TcpStream};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime;

pub(crate) const MANY_THREADS: Contender = Contender {
    name: "netstack-smoltcp",
    about: "version 0.2.4 with tun2 3, as in its README: tokio with a thread for each core, \
            `stack_buffer_size(512)`, `tcp_buffer_size(4096)`, its default of 320 KiB for the \
            buffers each way; the MTU is that of the device.",
    link: Link::Tun,
    server: Server::Here(|| serve(runtime::Builder::new_multi_thread())),
};

pub(crate) const ONE_THREAD: Contender = Contender {
    name: "netstack-smoltcp, one thread",
    about: "the same with tokio's runtime of one thread, a flag of its example.",
    link: Link::Tun,
    server: Server::Here(|| serve(runtime::Builder::new_current_thread())),
};

fn serve(mut runtime: runtime::Builder) -> io::Result<()> {
    runtime.enable_all().build()?.block_on(stack())
}

async fn stack() -> io::Result<()> {
    let mut config = tun2::Configuration::default();
    config.layer(tun2::Layer::L3).tun_name(TUN).mtu(MTU).up();
    let device = tun2::create_as_async(&config).map_err(io::Error::other)?;
    let (stack, runner, _, listener) = StackBuilder::default()
        .stack_buffer_size(512)
        .tcp_buffer_size(4096)
        .enable_tcp(true)
        .enable_icmp(true)
        .mtu(MTU.into())
        .build()?;
    let (Some(runner), Some(mut listener)) = (runner, listener) else {
        return Err(io::Error::other("TCP was asked for"));
    };
    tokio::spawn(runner);
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
    while let Some((stream, _, to)) = listener.next().await {
        tokio::spawn(async move {
            // How a connection ends is its peer's affair.
            let _ = match to.port() {
                ECHO => echo(stream).await,
                DISCARD => discard(stream).await,
                CHARGEN => chargen(stream).await,
                WEB => answer(stream).await,
                _ => Ok(()),
            };
        });
    }
    Err(io::Error::other("the stack has ended"))
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            return stream.shutdown().await;
        }
        stream.write_all(&buffer[..n]).await?;
    }
}

async fn discard(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    while stream.read(&mut buffer).await? > 0 {}
    stream.shutdown().await
}

async fn chargen(mut stream: TcpStream) -> io::Result<()> {
    let bytes = vec![b'#'; BUFFER];
    loop {
        stream.write_all(&bytes).await?;
    }
}

async fn answer(mut stream: TcpStream) -> io::Result<()> {
    if stream.read(&mut [0; 4096]).await? > 0 {
        stream.write_all(ANSWER).await?;
    }
    stream.shutdown().await
}
