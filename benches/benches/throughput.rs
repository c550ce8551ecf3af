//! What goes through two whole stacks, joined in memory and on one thread.
//!
//! ```text
//! cargo bench -p brooklet-benches --bench throughput
//! ```
//!
//! All of the work of both sides is done by one core: making packets, checksums, filter, copying
//! them over the wire and taking them in.

use brooklet::generic::{Builder, Parts, Pipe, Stack, TcpListener, TcpStream, UdpSocket};
use brooklet::{Flavor, Local, Sync};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future, io};
use smol::LocalExecutor;
use std::net::SocketAddr;
use std::time::Duration;

/// Packets on the wire, in each direction.
const WIRE: usize = 256;
/// Bytes of a transfer.
const TRANSFER: usize = 4 << 20;
/// Bytes in a read or write.
const BLOCK: usize = 64 << 10;
/// Datagrams on their way at a time: fewer than any queue holds, so that none is lost.
const IN_FLIGHT: usize = 64;

fn tcp(c: &mut Criterion) {
    let mut group = c.benchmark_group("throughput/tcp");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .throughput(Throughput::Bytes(TRANSFER as u64));
    for mtu in [1500, 65_535] {
        group.bench_function(BenchmarkId::new("sync", mtu), |b| {
            let pair = Pair::<Sync>::new(mtu);
            let streams = pair.connect();
            b.iter(|| pair.run(transfer(&streams)));
        });
        group.bench_function(BenchmarkId::new("local", mtu), |b| {
            let pair = Pair::<Local>::new(mtu);
            let streams = pair.connect();
            b.iter(|| pair.run(transfer(&streams)));
        });
    }
}

fn udp(c: &mut Criterion) {
    let mut group = c.benchmark_group("throughput/udp echo");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .throughput(Throughput::Elements(IN_FLIGHT as u64));
    for size in [64, 1400] {
        group.bench_function(BenchmarkId::new("sync", size), |b| {
            let pair = Pair::<Sync>::new(1500);
            let server = pair.server_udp.clone();
            pair.executor.spawn(echo(server)).detach();
            let payload = vec![0x5a; size];
            b.iter(|| pair.run(ask(&pair.client_udp, &payload)));
        });
    }
}

criterion_group!(benches, tcp, udp);
criterion_main!(benches);

/// Two stacks, and the executor that runs both.
struct Pair<F: Flavor> {
    executor: LocalExecutor<'static>,
    stack: Stack<F>,
    listener: TcpListener<F>,
    client_udp: UdpSocket<F>,
    server_udp: UdpSocket<F>,
}

impl<F: Flavor> Pair<F> {
    fn new(mtu: usize) -> Self {
        let (here, there) = Pipe::<F>::pair(WIRE);
        let build = |device| {
            let builder = Builder::<F>::new().mtu(mtu);
            builder.build(device).expect("the MTU is in range")
        };
        let Parts {
            stack,
            udp: client_udp,
            driver: client,
            ..
        } = build(here);
        let Parts {
            tcp: listener,
            udp: server_udp,
            driver: server,
            ..
        } = build(there);
        let executor = LocalExecutor::new();
        executor.spawn(client).detach();
        executor.spawn(server).detach();
        Self {
            executor,
            stack,
            listener,
            client_udp,
            server_udp,
        }
    }

    /// A connection: its client's end and its server's.
    fn connect(&self) -> [TcpStream<F>; 2] {
        let (from, to) = addresses();
        self.run(async {
            let accept = async { Ok(self.listener.accept().await?.0) };
            let (client, server) =
                future::try_zip(self.stack.connect_from(from, to), accept).await?;
            Ok([client, server])
        })
    }

    fn run<T>(&self, future: impl Future<Output = io::Result<T>>) -> T {
        let done = smol::block_on(self.executor.run(future));
        done.expect("nothing is lost in memory")
    }
}

fn addresses() -> (SocketAddr, SocketAddr) {
    (
        ([10, 0, 0, 2], 40_000).into(),
        ([93, 184, 216, 34], 7).into(),
    )
}

/// Sends [`TRANSFER`] bytes from the first to the second.
async fn transfer<F: Flavor>([client, server]: &[TcpStream<F>; 2]) -> io::Result<()> {
    let (mut client, mut server) = (client, server);
    let write = async {
        let block = vec![0x5a; BLOCK];
        for _ in 0..TRANSFER / BLOCK {
            client.write_all(&block).await?;
        }
        Ok(())
    };
    let read = async {
        let mut block = vec![0; BLOCK];
        for _ in 0..TRANSFER / BLOCK {
            server.read_exact(&mut block).await?;
        }
        io::Result::Ok(())
    };
    future::try_zip(write, read).await?;
    Ok(())
}

/// Sends [`IN_FLIGHT`] datagrams and waits for as many answers.
async fn ask<F: Flavor>(udp: &UdpSocket<F>, payload: &[u8]) -> io::Result<()> {
    let (from, to) = addresses();
    for _ in 0..IN_FLIGHT {
        udp.send_to(payload, from, to).await?;
    }
    let mut buf = [0; 1500];
    for _ in 0..IN_FLIGHT {
        let (len, ..) = udp.recv_from(&mut buf).await?;
        assert_eq!(len, payload.len());
    }
    Ok(())
}

async fn echo<F: Flavor>(udp: UdpSocket<F>) -> io::Result<()> {
    let mut buf = [0; 1500];
    loop {
        let (len, from, to) = udp.recv_from(&mut buf).await?;
        udp.send_to(&buf[..len], to, from).await?;
    }
}
