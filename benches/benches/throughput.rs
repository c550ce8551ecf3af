//! What goes through two whole stacks that are joined in memory.
//!
//! ```text
//! cargo bench -p brooklet-benches --bench throughput
//! ```
//!
//! Both ends of the connection are stacks of this kind, and the wire copies each packet twice. So
//! a figure is for *both* sides' work: making packets, checksums, the filter, the wire, taking
//! packets in, acknowledging them, and the tasks that write and read blocks of 64 KiB. There is no
//! device and no system call for packets; on a real TUN those cost more than all of this.
//!
//! - `sync` and `local` are the two flavors, on one thread that does everything.
//! - `offload` is `sync` over a wire that takes packets of up to 64 KiB without checksums, as a TUN
//!   device with segmentation offload does.
//! - `two threads` has each stack, with its task, on a thread of its own. It says what the threads
//!   cost or spare, and nothing else that the others do not.

use brooklet::generic::{
    Builder, Parts, Pipe, Stack, TcpListener, TcpStream, TransparentUdpSocket,
};
use brooklet::{Datagram, Flavor, Offload, SingleThread, Threaded};
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

/// Bytes in a long datagram.
const LONG: usize = 1400;

const NOTHING: Offload = Offload::new()
    .checksum(false)
    .tso4(false)
    .tso6(false)
    .uso(false);
const ALL: Offload = Offload::new()
    .checksum(true)
    .tso4(true)
    .tso6(true)
    .uso(true);

fn tcp(c: &mut Criterion) {
    let mut group = c.benchmark_group("throughput/tcp");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .throughput(Throughput::Bytes(TRANSFER as u64));
    for mtu in [1500, 65_535] {
        group.bench_function(BenchmarkId::new("sync", mtu), |b| {
            let pair = Pair::<Threaded>::new(mtu, NOTHING);
            let streams = pair.connect();
            b.iter(|| pair.run(transfer(&streams)));
        });
        group.bench_function(BenchmarkId::new("local", mtu), |b| {
            let pair = Pair::<SingleThread>::new(mtu, NOTHING);
            let streams = pair.connect();
            b.iter(|| pair.run(transfer(&streams)));
        });
        group.bench_function(BenchmarkId::new("two threads", mtu), |b| {
            let pair = Threads::new(mtu, NOTHING);
            b.iter(|| pair.transfer());
        });
    }
    group.bench_function(BenchmarkId::new("offload", 1500), |b| {
        let pair = Pair::<Threaded>::new(1500, ALL);
        let streams = pair.connect();
        b.iter(|| pair.run(transfer(&streams)));
    });
    group.bench_function(BenchmarkId::new("offload, two threads", 1500), |b| {
        let pair = Threads::new(1500, ALL);
        b.iter(|| pair.transfer());
    });
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
            let pair = Pair::<Threaded>::new(1500, NOTHING);
            let server = pair.server_udp.clone();
            pair.executor.spawn(echo(server)).detach();
            let payload = vec![0x5a; size];
            b.iter(|| pair.run(ask(&pair.client_udp, &payload)));
        });
    }
}

/// Long datagrams one by one, and several at a time.
fn udp_batch(c: &mut Criterion) {
    let mut group = c.benchmark_group("throughput/udp batch");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .throughput(Throughput::Bytes((IN_FLIGHT * LONG) as u64));
    for (wire, offload) in [("plain", NOTHING), ("offload", ALL)] {
        group.bench_function(BenchmarkId::new("one by one", wire), |b| {
            let pair = Pair::<Threaded>::new(1500, offload);
            let server = pair.server_udp.clone();
            pair.executor.spawn(echo(server)).detach();
            let payload = vec![0x5a; LONG];
            b.iter(|| pair.run(ask(&pair.client_udp, &payload)));
        });
        group.bench_function(BenchmarkId::new("batch", wire), |b| {
            let pair = Pair::<Threaded>::new(1500, offload);
            let server = pair.server_udp.clone();
            pair.executor.spawn(echo_batch(server)).detach();
            let (from, to) = addresses();
            let datagram = Datagram::new(vec![0x5a; LONG], from, to);
            let datagrams = vec![datagram; IN_FLIGHT];
            let mut answers = Vec::new();
            b.iter(|| pair.run(ask_batch(&pair.client_udp, &datagrams, &mut answers)));
        });
    }
}

criterion_group!(benches, tcp, udp, udp_batch);
criterion_main!(benches);

/// Two stacks, and the executor that runs both.
struct Pair<F: Flavor> {
    executor: LocalExecutor<'static>,
    stack: Stack<F>,
    listener: TcpListener<F>,
    client_udp: TransparentUdpSocket<F>,
    server_udp: TransparentUdpSocket<F>,
}

impl<F: Flavor> Pair<F> {
    fn new(mtu: usize, offload: Offload) -> Self {
        let (here, there) = Pipe::<F>::pair(WIRE);
        let build = |device: Pipe<F>| {
            let builder = Builder::<F>::new().mtu(mtu);
            let built = builder.build(device.with_offload(offload));
            built.expect("the MTU is in range")
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

/// Two stacks, each on a thread of its own: that of the bench has the client.
struct Threads {
    executor: LocalExecutor<'static>,
    stream: TcpStream<Threaded>,
}

impl Threads {
    fn new(mtu: usize, offload: Offload) -> Self {
        let (here, there) = Pipe::<Threaded>::pair(WIRE);
        let build = |device: Pipe<Threaded>| {
            let builder = Builder::<Threaded>::new().mtu(mtu);
            let built = builder.build(device.with_offload(offload));
            built.expect("the MTU is in range")
        };
        let (client, server) = (build(here), build(there));
        // It ends with the wire, whose other end goes with the client.
        std::thread::spawn(move || {
            let Parts { tcp, driver, .. } = server;
            let serve = async {
                let (stream, _) = tcp.accept().await?;
                let mut block = vec![0; BLOCK];
                loop {
                    for _ in 0..TRANSFER / BLOCK {
                        (&stream).read_exact(&mut block).await?;
                    }
                    (&stream).write_all(&[1]).await?;
                }
            };
            let _end: io::Result<()> = smol::block_on(future::or(serve, driver));
        });
        let executor = LocalExecutor::new();
        executor.spawn(client.driver).detach();
        let (from, to) = addresses();
        let connect = executor.run(client.stack.connect_from(from, to));
        let stream = smol::block_on(connect).expect("nothing is lost in memory");
        Self { executor, stream }
    }

    /// Sends [`TRANSFER`] bytes, and waits until the other side has them.
    fn transfer(&self) {
        let mut stream = &self.stream;
        let done = smol::block_on(self.executor.run(async {
            let block = vec![0x5a; BLOCK];
            for _ in 0..TRANSFER / BLOCK {
                stream.write_all(&block).await?;
            }
            stream.read_exact(&mut [0]).await
        }));
        done.expect("nothing is lost in memory");
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
async fn ask<F: Flavor>(udp: &TransparentUdpSocket<F>, payload: &[u8]) -> io::Result<()> {
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

/// [`ask`] with batches.
async fn ask_batch<F: Flavor>(
    udp: &TransparentUdpSocket<F>,
    datagrams: &[Datagram],
    answers: &mut Vec<Datagram>,
) -> io::Result<()> {
    let mut sent = 0;
    while sent < datagrams.len() {
        sent += udp.send_batch(&datagrams[sent..]).await?;
    }
    let mut received = 0;
    while received < datagrams.len() {
        received += udp.recv_batch(answers, IN_FLIGHT).await?;
        assert!(answers.iter().all(|answer| answer.payload.len() == LONG));
    }
    Ok(())
}

async fn echo_batch<F: Flavor>(udp: TransparentUdpSocket<F>) -> io::Result<()> {
    let mut datagrams = Vec::new();
    loop {
        udp.recv_batch(&mut datagrams, IN_FLIGHT).await?;
        for datagram in &mut datagrams {
            std::mem::swap(&mut datagram.from, &mut datagram.to);
        }
        let mut sent = 0;
        while sent < datagrams.len() {
            sent += udp.send_batch(&datagrams[sent..]).await?;
        }
    }
}

async fn echo<F: Flavor>(udp: TransparentUdpSocket<F>) -> io::Result<()> {
    let mut buf = [0; 1500];
    loop {
        let (len, from, to) = udp.recv_from(&mut buf).await?;
        udp.send_to(&buf[..len], to, from).await?;
    }
}
