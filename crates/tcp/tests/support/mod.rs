//! A scripted TCP peer, and a stack on a virtual clock for it to talk to.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may panic, and time begins somewhere"
)]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses a part of it"
)]

pub mod counts;

use brooklet_cell::Threaded;
use brooklet_io::{Checksum, Meta, PacketBuf};
use brooklet_packet::icmp::{self, IcmpErrorKind};
use brooklet_packet::{FlowKey, Headers, Packet, Segmenter, TcpFlags, TrafficClass};
use brooklet_tcp::{Clock, Config, Connector, Engine, Interface, TcpListener, TcpOptions};
use futures_lite::AsyncReadExt;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    IpAddress, IpProtocol, IpRepr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber, TcpTimestampRepr,
};
use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

pub type Stream = brooklet_tcp::TcpStream<Threaded>;

pub const CLIENT: &str = "10.0.0.2:40000";
pub const SERVER: &str = "192.0.2.1:80";

pub fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Polls once.
pub fn poll<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Poll<T> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// The result of a future that is ready at once.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("still pending"),
    }
}

/// Whether a future is still pending; it is dropped.
pub fn pends<T>(future: impl Future<Output = T>) -> bool {
    pin!(future)
        .poll(&mut Context::from_waker(Waker::noop()))
        .is_pending()
}

/// A short round-trip time: without a sample the initial RTO would stay.
pub const RTT: Duration = Duration::from_micros(100);

pub const SECOND: Duration = Duration::from_secs(1);

/// A stack with buffers of a fixed size, 128 KiB, and so a window scale of 2.
pub fn host() -> Host {
    Host::new(Config::new().options(fixed_buffers(128 * 1024)))
}

/// Options with buffers of `size` bytes that do not grow.
pub fn fixed_buffers(size: usize) -> TcpOptions {
    TcpOptions::new()
        .recv_buffer(size)
        .recv_buffer_max(size)
        .send_buffer(size)
        .send_buffer_max(size)
}

/// What there is to read, at once.
pub fn read(mut stream: &Stream) -> std::io::Result<Vec<u8>> {
    let mut buf = vec![0; 256 * 1024];
    let n = now(stream.read(&mut buf))?;
    buf.truncate(n);
    Ok(buf)
}

/// Connects.
pub async fn connect(
    connector: &Connector<Threaded>,
    from: SocketAddr,
    to: SocketAddr,
) -> std::io::Result<Stream> {
    connector.connect_from(from, to).await
}

/// A stack.
pub struct Host {
    pub engine: Engine<Threaded>,
    pub listener: Option<TcpListener<Threaded>>,
    pub connector: Connector<Threaded>,
    /// Packets that came of one of the stack's and are still to be looked at.
    cut: VecDeque<Vec<u8>>,
    time: Arc<Mutex<Instant>>,
    /// The round-trip time of a handshake.
    pub rtt: Duration,
}

/// What a packet of the stack says.
#[derive(Clone, Debug, PartialEq)]
pub struct Seg {
    pub key: FlowKey,
    pub seq: u32,
    pub ack: u32,
    pub window: u16,
    pub flags: TcpFlags,
    pub data: Vec<u8>,
    pub mss: Option<u16>,
    pub scale: Option<u8>,
    /// What it reports as received beyond a gap (RFC 2018).
    pub sack: Vec<(u32, u32)>,
    /// TSval and TSecr (RFC 7323).
    pub timestamp: Option<(u32, u32)>,
    /// TTL or hop limit.
    pub ttl: u8,
    pub traffic_class: TrafficClass,
    /// The whole packet.
    pub bytes: Vec<u8>,
}

impl Seg {
    /// The number after its data and its FIN.
    pub fn end(&self) -> u32 {
        let len = self.data.len() as u32 + u32::from(self.flags.fin());
        self.seq.wrapping_add(len)
    }

    /// Whether it is an acknowledgement and nothing else.
    pub fn is_bare_ack(&self) -> bool {
        let flags = self.flags;
        flags.ack() && !flags.syn() && !flags.fin() && !flags.rst() && self.data.is_empty()
    }
}

impl Host {
    pub fn new(config: Config) -> Self {
        Self::on(Interface::default(), config)
    }

    pub fn on(interface: Interface, config: Config) -> Self {
        let time = Arc::new(Mutex::new(Instant::now()));
        let clock = {
            let time = time.clone();
            Clock::new(move || *time.lock().unwrap())
        };
        let (engine, listener, connector) = Engine::new(interface, config, clock, [1, 2]);
        Self {
            engine,
            listener: Some(listener),
            connector,
            cut: VecDeque::new(),
            time,
            rtt: RTT,
        }
    }

    pub fn now(&self) -> Instant {
        *self.time.lock().unwrap()
    }

    pub fn listener(&self) -> &TcpListener<Threaded> {
        self.listener.as_ref().unwrap()
    }

    /// The driver says that the device takes nothing.
    pub fn block(&mut self) {
        let until = self.engine.poll_timeout(self.now());
        assert!(self.engine.sleep(Waker::noop(), until, true));
    }

    /// Lets time pass, doing at each moment what is due.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now() + time;
        for _ in 0..10_000 {
            match self.engine.poll_timeout(self.now()) {
                Some(at) if at <= end => {
                    let now = at.max(self.now());
                    *self.time.lock().unwrap() = now;
                    self.engine.handle_timeout(now);
                    self.engine.flush(now);
                }
                _ => {
                    *self.time.lock().unwrap() = end;
                    return;
                }
            }
        }
        panic!("the stack asks to be called without end");
    }

    pub fn tx(&mut self, packet: Vec<u8>) {
        self.take_in(packet);
        self.engine.flush(self.now());
    }

    /// Gives the stack a packet that does not end the batch.
    pub fn take_in(&mut self, packet: Vec<u8>) {
        let now = self.now();
        let headers = Headers::parse(&packet).unwrap();
        assert!(headers.verify_checksum(&packet));
        self.engine.handle_packet(now, &packet, &headers);
    }

    /// What becomes of the next packet of the stack on a wire.
    pub fn transmit(&mut self) -> Option<Vec<Vec<u8>>> {
        let packet = self.engine.poll_transmit()?;
        let on_the_wire = on_the_wire(&packet);
        self.engine.recycle(packet);
        Some(on_the_wire)
    }

    /// The next packet of the stack, whose checksums must be right.
    pub fn rx(&mut self) -> Option<Seg> {
        let now = self.now();
        if self.cut.is_empty() {
            let packets = self.transmit()?;
            self.cut.extend(packets);
        }
        let bytes = self.cut.pop_front()?;
        let packet = Packet::parse(&bytes).unwrap();
        assert!(packet.verify_checksum(), "a packet with a wrong checksum");
        let tcp = packet.tcp().unwrap();
        let repr = TcpRepr::parse(
            &TcpPacket::new_checked(packet.transport()).unwrap(),
            &IpAddress::from(packet.source()),
            &IpAddress::from(packet.destination()),
            &ChecksumCapabilities::default(),
        )
        .unwrap();
        let seg = Seg {
            key: packet.key(),
            seq: tcp.seq,
            ack: tcp.ack,
            window: tcp.window,
            flags: tcp.flags,
            data: packet.payload().to_vec(),
            mss: repr.max_seg_size,
            scale: repr.window_scale,
            sack: repr.sack_ranges.into_iter().flatten().collect(),
            timestamp: repr
                .timestamp
                .map(|timestamp| (timestamp.tsval, timestamp.tsecr)),
            ttl: packet.hop_limit(),
            traffic_class: packet.traffic_class(),
            bytes,
        };
        self.engine.flush(now); // room for those who wait
        Some(seg)
    }

    pub fn all(&mut self) -> Vec<Seg> {
        std::iter::from_fn(|| self.rx()).collect()
    }

    /// The one packet that the stack has to say now.
    pub fn one(&mut self) -> Seg {
        let mut said = self.all();
        assert_eq!(said.len(), 1, "the stack said {said:?}");
        said.remove(0)
    }

    /// A router says why `seg` did not arrive.
    pub fn icmp(&mut self, seg: &Seg, why: impl Into<IcmpErrorKind>) {
        let mut answer = Vec::new();
        let packet = Packet::parse(&seg.bytes).unwrap();
        assert!(icmp::error(&mut answer, &packet, why));
        let error = icmp::parse_error(&Packet::parse(&answer).unwrap()).unwrap();
        let now = self.now();
        self.engine.handle_icmp_error(now, &error);
        self.engine.flush(now);
    }

    pub fn silent(&mut self) {
        let said = self.all();
        assert!(said.is_empty(), "the stack said {said:?}");
    }
}

/// A client of one connection.
#[derive(Clone, Debug)]
pub struct Peer {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub seq: u32,
    pub ack: u32,
    pub window: u16,
    /// Offers selective acknowledgements.
    pub sack: bool,
    pub scale: Option<u8>,
    pub mss: Option<u16>,
    /// TSval and TSecr, if it sends timestamps.
    pub timestamp: Option<(u32, u32)>,
    /// What it reports as received beyond a gap, or twice (RFC 2018, 2883).
    pub blocks: [Option<(u32, u32)>; 3],
}

impl Peer {
    pub fn new(from: &str, to: &str) -> Self {
        Self {
            from: addr(from),
            to: addr(to),
            seq: 1000,
            ack: 0,
            window: 65_535,
            sack: true,
            scale: Some(7),
            mss: Some(1460),
            timestamp: None,
            blocks: [None; 3],
        }
    }

    /// A segment with these flags at the present sequence number.
    pub fn seg(&self, flags: u8, data: &[u8]) -> Vec<u8> {
        self.at(self.seq, flags, data)
    }

    pub fn at(&self, seq: u32, flags: u8, data: &[u8]) -> Vec<u8> {
        let syn = flags & 2 != 0;
        let tcp = TcpRepr {
            src_port: self.from.port(),
            dst_port: self.to.port(),
            control: TcpControl::None,
            seq_number: TcpSeqNumber(seq as i32),
            ack_number: (flags & 16 != 0).then_some(TcpSeqNumber(self.ack as i32)),
            window_len: self.window,
            window_scale: self.scale.filter(|_| syn),
            max_seg_size: self.mss.filter(|_| syn),
            sack_permitted: syn && self.sack,
            sack_ranges: self.blocks,
            timestamp: self
                .timestamp
                .map(|(val, ecr)| TcpTimestampRepr::new(val, ecr)),
            payload: data,
        };
        let (from, to): (IpAddress, IpAddress) = (self.from.ip().into(), self.to.ip().into());
        let ip = IpRepr::new(from, to, IpProtocol::Tcp, tcp.buffer_len(), 64);
        let mut bytes = vec![0; ip.buffer_len()];
        ip.emit(&mut bytes[..], &ChecksumCapabilities::default());
        let mut packet = TcpPacket::new_unchecked(&mut bytes[ip.header_len()..]);
        tcp.emit(&mut packet, &from, &to, &ChecksumCapabilities::default());
        packet.set_fin(flags & FIN != 0);
        packet.set_syn(flags & SYN != 0);
        packet.set_rst(flags & RST != 0);
        packet.set_psh(flags & PSH != 0);
        packet.set_urg(flags & URG != 0);
        packet.fill_checksum(&from, &to);
        bytes
    }

    pub fn syn(&self) -> Vec<u8> {
        self.seg(SYN, &[])
    }

    /// Takes the SYN-ACK and completes the handshake.
    pub fn establish(&mut self, host: &mut Host) -> Seg {
        let syn_ack = host.rx().expect("a SYN-ACK");
        host.pass(host.rtt);
        assert!(syn_ack.flags.syn() && syn_ack.flags.ack(), "{syn_ack:?}");
        assert_eq!(
            (syn_ack.key.source(), syn_ack.key.destination()),
            (self.to, self.from)
        );
        assert_eq!(syn_ack.ack, self.seq.wrapping_add(1));
        self.seq = self.seq.wrapping_add(1);
        self.ack = syn_ack.seq.wrapping_add(1);
        host.tx(self.seg(ACK, &[]));
        syn_ack
    }

    /// Sends data.
    pub fn send(&mut self, host: &mut Host, data: &[u8]) {
        host.tx(self.seg(ACK | PSH, data));
        self.seq = self.seq.wrapping_add(data.len() as u32);
    }

    /// Opens a connection that the listener's `accept` takes.
    pub fn open(&mut self, host: &mut Host) -> Stream {
        host.tx(self.syn());
        assert!(
            pends(host.listener().accept()),
            "a stream before the handshake was done"
        );
        self.establish(host);
        now(host.listener().accept()).unwrap().0
    }

    /// Takes in all that the stack sends and acknowledges it. Says what came and whether with a
    /// FIN.
    pub fn drain(&mut self, host: &mut Host) -> (Vec<u8>, bool) {
        let mut data = Vec::new();
        while let Some(seg) = host.rx() {
            assert!(!seg.flags.rst(), "a reset: {seg:?}");
            if seg.seq != self.ack {
                continue;
            }
            self.ack = self.ack.wrapping_add(seg.data.len() as u32);
            data.extend(&seg.data);
            if seg.flags.fin() {
                self.ack = self.ack.wrapping_add(1);
            }
            if !seg.data.is_empty() || seg.flags.fin() {
                host.tx(self.seg(ACK, &[]));
            }
            if seg.flags.fin() {
                return (data, true);
            }
        }
        (data, false)
    }
}

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const PSH: u8 = 8;
pub const ACK: u8 = 16;
pub const URG: u8 = 32;

/// Numbers that look random and are the same in every run (splitmix64).
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number less than `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// Whether something happens that happens so many times in a thousand.
    pub fn chance(&mut self, of_a_thousand: u64) -> bool {
        self.below(1000) < of_a_thousand
    }
}

/// The packet with another hop limit and another traffic class.
pub fn with_ip_fields(mut packet: Vec<u8>, hop_limit: u8, class: u8) -> Vec<u8> {
    use smoltcp::wire::{Ipv4Packet, Ipv6Packet};
    if packet[0] >> 4 == 4 {
        let mut ip = Ipv4Packet::new_unchecked(&mut packet[..]);
        ip.set_hop_limit(hop_limit);
        ip.set_dscp(class >> 2);
        ip.set_ecn(class & 3);
        ip.fill_checksum();
    } else {
        let mut ip = Ipv6Packet::new_unchecked(&mut packet[..]);
        ip.set_hop_limit(hop_limit);
        ip.set_traffic_class(class);
    }
    packet
}

/// A packet of the stack, cut and completed as its meta says.
pub fn on_the_wire(packet: &PacketBuf) -> Vec<Vec<u8>> {
    let mut whole = packet.to_vec();
    let headers = Headers::parse(&whole).unwrap();
    let Meta {
        checksum, gso_size, ..
    } = packet.meta();
    if let Some(size) = gso_size {
        assert_eq!(checksum, Checksum::Partial);
        let mut segmenter = Segmenter::new(&headers, size);
        let mut out = vec![0; segmenter.longest()];
        return std::iter::from_fn(|| segmenter.next(packet, &mut out).map(|n| out[..n].to_vec()))
            .collect();
    }
    if checksum == Checksum::Partial {
        headers.fill_checksum(&mut whole);
    }
    vec![whole]
}
