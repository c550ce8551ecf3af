//! ipstack, set as its example `tun` does it.

use super::{Contender, ECHO, Link, MTU, Server, TUN, services};
use ::ipstack::{
    IpStack, IpStackConfig, IpStackStream, IpStackTcpStream, IpStackUdpStream, TcpConfig,
    TcpOptions,
};
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::{runtime, task, time};

pub(crate) const CONTENDER: Contender = Contender {
    key: "ipstack",
    name: "ipstack",
    about: "version 1.0.1 with tun2 3, as in its example `tun`: tokio with a thread for each \
            core, an MSS of 1,460 announced, 256 KiB unacknowledged at most; each write is of \
            one segment, and timeouts are longer than a run.",
    link: Link::Tun,
    server: Server::Here(serve),
    most_connections: None,
};

/// What fits into a segment. Of a longer write it copies all and sends this much.
const SEGMENT: u16 = MTU - 40;

/// Longer than a run.
const TIMEOUT: Duration = Duration::from_secs(600);

/// How often a shutdown is polled, and how often of these without a pause.
const ATTEMPTS: usize = 100;
const QUICK_ATTEMPTS: usize = 30;

fn serve() -> io::Result<()> {
    // Its streams need a runtime of several threads to be dropped.
    runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(stack())
}

async fn stack() -> io::Result<()> {
    let mut config = tun2::Configuration::default();
    config.layer(tun2::Layer::L3).tun_name(TUN).mtu(MTU).up();
    let device = tun2::create_as_async(&config).map_err(io::Error::other)?;

    let mut tcp = TcpConfig::default();
    tcp.options = Some(vec![TcpOptions::MaximumSegmentSize(SEGMENT)]);
    tcp.max_unacked_bytes = 256 * 1024;
    tcp.timeout = TIMEOUT;
    let mut config = IpStackConfig::default();
    config.mtu(MTU).map_err(io::Error::other)?;
    config.with_tcp_config(tcp).udp_timeout(TIMEOUT);
    let mut stack = IpStack::new(config, device);
    loop {
        match stack.accept().await.map_err(io::Error::other)? {
            IpStackStream::Tcp(mut stream) => {
                // Its peer is where the client wants to go.
                let port = stream.peer_addr().port();
                tokio::spawn(async move {
                    services::converse(&mut stream, port, SEGMENT.into()).await;
                    // How a connection ends is its peer's affair.
                    let _ = finish(&mut stream).await;
                });
            }
            IpStackStream::Udp(stream) if stream.peer_addr().port() == ECHO => {
                tokio::spawn(echo(stream));
            }
            _ => {}
        }
    }
}

/// Its shutdown sends the FIN when it is polled and nothing is unacknowledged, so it is polled until
/// that may have been.
async fn finish(stream: &mut IpStackTcpStream) -> io::Result<()> {
    for attempt in 0..ATTEMPTS {
        if let Poll::Ready(done) = futures::poll!(pin!(stream.shutdown())) {
            return done;
        }
        if attempt < QUICK_ATTEMPTS {
            task::yield_now().await;
        } else {
            time::sleep(Duration::from_millis(1)).await;
        }
    }
    stream.shutdown().await
}

async fn echo(mut stream: IpStackUdpStream) -> io::Result<()> {
    let mut buffer = vec![0; MTU.into()];
    loop {
        let n = stream.read(&mut buffer).await?;
        stream.write_all(&buffer[..n]).await?;
    }
}
