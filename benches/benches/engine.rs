//! What a data packet costs the TCP engine beside other connections.
//!
//! ```text
//! cargo bench -p brooklet-benches --bench engine
//! ```
//!
//! A packet of 1,460 bytes, in sequence, goes the whole way: parsed, its checksum verified, given
//! to the engine, flushed, read by the application, and its acknowledgement taken and its buffer
//! given back. All connections have been through a handshake and have carried a packet.
//!
//! `batch` is how the driver works: 64 packets are taken in, then the application reads, and then
//! the connections answer. They are of one connection, or of 64. Buffers are as by default. `send`
//! is the way back: a block of 64 segments is written and made into packets, and 32
//! acknowledgements of it are taken in. Their figures are for one data packet.
//!
//! In `engine` each packet is a batch of its own, which is the worst case. Either one connection of them is busy and the others idle, or each packet is of a random one,
//! so that what the engine knows of it has left the caches. Buffers are 4 KiB each way, for
//! 100,000 connections to fit in memory (1 GiB).
//!
//! For comparison the same packets go to smoltcp with all sockets in one `SocketSet` and one
//! `Interface::poll` a packet, which looks at every socket. 100,000 would take minutes.
//!
//! Packets are made in advance, 32 or 64 at a time, and no part of what is measured.

use brooklet_benches::rig::{BATCH, BLOCK, Rig};
use brooklet_benches::{Clients, MSS, Random, SERVER};
use brooklet_io::TxQueue;
use brooklet_packet::Headers;
use brooklet_tcp::{Clock, Config, TcpOptions};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main};
use futures_lite::AsyncRead;
use smoltcp::iface::{self, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::wire::HardwareAddress;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

const BUFFER: usize = 4096;
/// Packets that are made in advance: few enough to stay in the caches, as the driver's one
/// inbound buffer does.
const CHUNK: usize = 32;

/// Something that takes in data packets.
trait Stack {
    /// Opens one more connection.
    fn open(&mut self);
    fn clients(&mut self) -> &mut Clients;
    /// Takes in a packet of connection `n`, reads its data and sends the acknowledgement.
    fn packet(&mut self, n: usize, packet: &mut [u8], headers: &Headers);
}

/// Which connection the next packet is of.
#[derive(Clone, Copy)]
enum Pattern {
    OneBusy,
    Random,
}

impl Pattern {
    fn pick(self, random: &mut Random, flows: usize) -> usize {
        match self {
            Self::OneBusy => flows / 2,
            Self::Random => random.below(flows),
        }
    }
}

fn engine(c: &mut Criterion) {
    let mut group = group(c, "engine");
    let mut stack = Brooklet::new();
    for flows in [1, 100, 10_000, 100_000] {
        for (name, pattern, verify) in [
            ("one busy", Pattern::OneBusy, true),
            ("random", Pattern::Random, true),
            ("one busy, not verified", Pattern::OneBusy, false),
            ("random, not verified", Pattern::Random, false),
        ] {
            let id = BenchmarkId::new(name, flows);
            bench(&mut group, id, &mut stack, flows, pattern, verify);
        }
    }
}

fn batch(c: &mut Criterion) {
    let mut group = group(c, "batch");
    for flows in [1, BATCH] {
        group.bench_function(BenchmarkId::new("flows", flows), |b| {
            let mut rig = Rig::new(Config::default(), Clock::new(Instant::now));
            let mut packets = vec![Vec::new(); flows];
            for packet in &mut packets {
                let n = rig.open();
                rig.clients.send(n, packet);
            }
            // The first window is not scaled and has no place for a batch.
            work(&mut rig, flows, &mut packets);
            packets.resize(BATCH, Vec::new());
            b.iter_custom(|iterations| {
                let mut time = Duration::ZERO;
                for _ in 0..iterations.div_ceil(BATCH as u64) {
                    for (i, packet) in packets.iter_mut().enumerate() {
                        rig.clients.send(i % flows, packet);
                    }
                    let start = Instant::now();
                    work(&mut rig, flows, &mut packets);
                    time += start.elapsed();
                }
                per_packet(time, iterations)
            });
        });
    }

    /// Takes the packets in, has all of them read and answers.
    fn work(rig: &mut Rig, flows: usize, packets: &mut [Vec<u8>]) {
        rig.take_in(packets);
        let read: usize = (0..flows).map(|n| rig.read(n)).sum();
        assert_eq!(read, packets.len() * MSS);
        rig.flush();
        assert!(rig.transmit().0 >= flows);
    }
}

fn send(c: &mut Criterion) {
    let mut group = group(c, "send");
    group.bench_function("one busy", |b| {
        let mut rig = Rig::new(Config::default(), Clock::new(Instant::now));
        rig.open();
        let mut acks = vec![Vec::new(); BATCH / 2];
        // The congestion window has to grow, by being used.
        for _ in 0..50 {
            assert_eq!(rig.write(0), BLOCK);
            loop {
                let (sent, _) = rig.transmit();
                if sent == 0 {
                    break;
                }
                rig.clients.acknowledge(0, sent * MSS, &mut acks[0]);
                rig.take_in(&mut acks[..1]);
                rig.flush();
            }
        }
        b.iter_custom(|iterations| {
            let mut time = Duration::ZERO;
            for _ in 0..iterations.div_ceil(BATCH as u64) {
                for ack in &mut acks {
                    rig.clients.acknowledge(0, 2 * MSS, ack);
                }
                let start = Instant::now();
                assert_eq!(rig.write(0), BLOCK);
                assert_eq!(rig.transmit().0, BATCH);
                rig.take_in(&mut acks);
                rig.flush();
                assert_eq!(rig.transmit().0, 0);
                time += start.elapsed();
            }
            per_packet(time, iterations)
        });
    });
}

/// What so many packets take, of the time that whole batches took.
fn per_packet(time: Duration, packets: u64) -> Duration {
    let batches = packets.div_ceil(BATCH as u64) * BATCH as u64;
    time.mul_f64(packets as f64 / batches as f64)
}

fn shared_set(c: &mut Criterion) {
    let mut group = group(c, "one smoltcp set");
    let mut stack = SharedSet::new();
    for flows in [1, 100, 10_000] {
        for (name, pattern) in [("one busy", Pattern::OneBusy), ("random", Pattern::Random)] {
            let id = BenchmarkId::new(name, flows);
            bench(&mut group, id, &mut stack, flows, pattern, true);
        }
    }
}

criterion_group!(benches, batch, send, engine, shared_set);
criterion_main!(benches);

fn group<'c>(c: &'c mut Criterion, name: &str) -> BenchmarkGroup<'c, WallTime> {
    let mut group = c.benchmark_group(name);
    group
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(1500));
    group
}

/// Opens connections until there are `flows`, and lets each carry a packet.
fn grow(stack: &mut impl Stack, flows: usize) {
    let mut packet = Vec::new();
    for n in stack.clients().count()..flows {
        stack.open();
        stack.clients().send(n, &mut packet);
        let headers = Headers::parse(&packet).expect("just made");
        stack.packet(n, &mut packet, &headers);
    }
}

fn bench(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    stack: &mut impl Stack,
    flows: usize,
    pattern: Pattern,
    verify: bool,
) {
    let mut random = Random(7);
    let mut chunk = vec![(0, Vec::new()); CHUNK];
    group.bench_function(id, |b| {
        grow(stack, flows); // here, so that a bench which is not asked for costs nothing
        b.iter_custom(|iterations| {
            let mut time = Duration::ZERO;
            let mut left = iterations as usize;
            while left > 0 {
                let chunk = &mut chunk[..left.min(CHUNK)];
                left -= chunk.len();
                for (n, packet) in chunk.iter_mut() {
                    *n = pattern.pick(&mut random, flows);
                    stack.clients().send(*n, packet);
                }
                let start = Instant::now();
                for (n, packet) in chunk {
                    let headers = Headers::parse(packet).expect("just made");
                    assert!(!verify || headers.verify_checksum(packet));
                    stack.packet(*n, packet, &headers);
                }
                time += start.elapsed();
            }
            time
        });
    });
}

/// The engine of brooklet-tcp.
struct Brooklet {
    rig: Rig,
    data: [u8; MSS],
}

impl Brooklet {
    fn new() -> Self {
        // The window scale is that of the buffer: 4 KiB in units of the default maximum's scale are
        // advertised with an update for some segments.
        let options = TcpOptions::new()
            .recv_buffer(BUFFER)
            .send_buffer(BUFFER)
            .recv_buffer_max(BUFFER)
            .send_buffer_max(BUFFER);
        let config = Config::new().options(options).max_connections(100_000);
        Self {
            rig: Rig::new(config, Clock::new(Instant::now)),
            data: [0; MSS],
        }
    }
}

impl Stack for Brooklet {
    fn open(&mut self) {
        self.rig.open();
    }

    fn clients(&mut self) -> &mut Clients {
        &mut self.rig.clients
    }

    fn packet(&mut self, n: usize, packet: &mut [u8], headers: &Headers) {
        self.rig.take_in_one(packet, headers);

        let mut cx = Context::from_waker(Waker::noop());
        let read = Pin::new(&mut self.rig.streams[n]).poll_read(&mut cx, &mut self.data);
        assert!(matches!(read, Poll::Ready(Ok(MSS))));

        assert_eq!(self.rig.transmit().0, 1, "an acknowledgement");
    }
}

/// smoltcp as its examples use it: all sockets in one set.
struct SharedSet {
    interface: Interface,
    sockets: SocketSet<'static>,
    handles: Vec<SocketHandle>,
    queue: Queue,
    clients: Clients,
    data: [u8; MSS],
}

impl SharedSet {
    fn new() -> Self {
        let mut queue = Queue(TxQueue::new(8, 8 * 1500));
        let mut device = OnePacket {
            inbound: None,
            outbound: &mut queue,
        };
        let config = iface::Config::new(HardwareAddress::Ip);
        let mut interface = Interface::new(config, &mut device, smoltcp::time::Instant::now());
        interface.set_any_ip(true);
        Self {
            interface,
            sockets: SocketSet::new(Vec::new()),
            handles: Vec::new(),
            queue,
            clients: Clients::default(),
            data: [0; MSS],
        }
    }
}

impl Stack for SharedSet {
    fn open(&mut self) {
        let mut socket = tcp::Socket::new(
            tcp::SocketBuffer::new(vec![0; BUFFER]),
            tcp::SocketBuffer::new(vec![0; BUFFER]),
        );
        socket.set_ack_delay(None);
        socket.set_nagle_enabled(false);
        socket.set_congestion_control(tcp::CongestionControl::None);
        socket.listen(SERVER).expect("it is closed");
        // A set of its own for the handshake: it would take as long as a data packet.
        let mut alone = SocketSet::new(Vec::new());
        let handle = alone.add(socket);
        let (n, syn) = self.clients.connect();
        poll_set(&mut self.interface, &mut alone, &mut self.queue, &syn);
        let syn_ack = self.queue.0.pop().expect("a SYN-ACK");
        let ack = self.clients.establish(n, &syn_ack);
        poll_set(&mut self.interface, &mut alone, &mut self.queue, &ack);
        let smoltcp::socket::Socket::Tcp(socket) = alone.remove(handle) else {
            unreachable!("the only socket is a TCP socket");
        };
        assert_eq!(socket.state(), tcp::State::Established);
        self.handles.push(self.sockets.add(socket));
    }

    fn clients(&mut self) -> &mut Clients {
        &mut self.clients
    }

    fn packet(&mut self, n: usize, packet: &mut [u8], _: &Headers) {
        let Self {
            interface,
            sockets,
            queue,
            ..
        } = self;
        poll_set(interface, sockets, queue, packet);

        let socket = sockets.get_mut::<tcp::Socket<'_>>(self.handles[n]);
        assert_eq!(socket.recv_slice(&mut self.data), Ok(MSS));

        let ack = queue.0.pop().expect("an acknowledgement");
        queue.0.recycle(ack);
        assert!(queue.0.is_empty());
    }
}

/// Gives `packet` to smoltcp, and lets it send what it has to.
fn poll_set(
    interface: &mut Interface,
    sockets: &mut SocketSet<'static>,
    queue: &mut Queue,
    packet: &[u8],
) {
    let mut device = OnePacket {
        inbound: Some(packet),
        outbound: queue,
    };
    interface.poll(smoltcp::time::Instant::now(), &mut device, sockets);
}

/// smoltcp's packets on their way out.
struct Queue(TxQueue<()>);

/// smoltcp's device for one call: at most one packet in, and what smoltcp sends out. smoltcp
/// verifies no TCP checksum, as brooklet's engine does not: the driver has done so.
struct OnePacket<'a> {
    inbound: Option<&'a [u8]>,
    outbound: &'a mut Queue,
}

impl Device for OnePacket<'_> {
    type RxToken<'a>
        = Inbound<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = &'a mut Queue
    where
        Self: 'a;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Inbound<'_>, &mut Queue)> {
        Some((Inbound(self.inbound.take()?), self.outbound))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<&mut Queue> {
        self.outbound.0.has_room().then_some(&mut *self.outbound)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = 1500;
        capabilities.checksum.ipv4 = Checksum::Tx;
        capabilities.checksum.tcp = Checksum::Tx;
        capabilities
    }
}

struct Inbound<'a>(&'a [u8]);

impl RxToken for Inbound<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

impl TxToken for &mut Queue {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut packet = self.0.buffer(len);
        packet.resize(len);
        let result = f(&mut packet);
        self.0.push(packet).expect("each is taken at once");
        result
    }
}
