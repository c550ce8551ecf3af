//! One connection between an application and a peer that sends what a pattern says.

use brooklet_benches::rig::Still;
use brooklet_cell::Threaded;
use brooklet_packet::Headers;
use brooklet_tcp::{Config, Connector, Engine, Interface, TcpListener, TcpOptions, TcpStream};
use futures_lite::{AsyncRead, AsyncWrite};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const ACK: u8 = 16;

/// Bytes of the send buffer and of the receive buffer.
const BUFFER: usize = 4 << 20;

/// What the application does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Application {
    /// It writes as much as it may.
    Source,
    /// It sends back what arrives.
    Echo,
}

/// What the peer says in its SYN.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    pub(crate) mss: u16,
    pub(crate) window: u16,
    pub(crate) shift: u8,
    pub(crate) timestamps: bool,
}

impl Default for Offer {
    fn default() -> Self {
        Self {
            mss: 1460,
            window: u16::MAX,
            shift: 7,
            timestamps: false,
        }
    }
}

/// A packet of the peer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Send<'a> {
    pub(crate) flags: u8,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) window: u16,
    pub(crate) blocks: &'a [(u32, u32)],
    pub(crate) data: &'a [u8],
}

/// What one packet of the peer cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    time: Duration,
    /// Packets that went out because of it.
    pub(crate) out: usize,
}

impl Sample {
    /// The same packet in a further run: what disturbed only one of them does not count.
    pub(crate) fn least(&mut self, other: &Self) {
        debug_assert_eq!(self.out, other.out);
        self.time = self.time.min(other.time);
    }

    /// The time for one packet.
    pub(crate) fn cost(&self) -> Duration {
        self.time / (1 + self.out as u32)
    }
}

/// What a pattern has shown.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) samples: Vec<Sample>,
    /// The most bytes that the connection held at once beside its two buffers.
    pub(crate) heap: u64,
}

pub(crate) struct Connection {
    engine: Engine<Threaded>,
    listener: TcpListener<Threaded>,
    connector: Connector<Threaded>,
    stream: Option<TcpStream<Threaded>>,
    application: Application,
    still: Still,
    offer: Offer,
    block: Vec<u8>,
    packet: Vec<u8>,
    /// The next number of the peer.
    pub(crate) seq: u32,
    /// The number after the last one that the engine has sent.
    pub(crate) nxt: u32,
    /// The lowest number that the peer has not acknowledged.
    pub(crate) una: u32,
    /// The number and the length of each segment that the last packet made the engine send.
    pub(crate) sent: Vec<(u32, u32)>,
    /// The TSval that the peer echoes.
    tsval: u32,
    /// The packets of the peer are a part of the pattern, and measured.
    measures: bool,
    samples: Vec<Sample>,
    heap: u64,
}

impl Connection {
    /// Carries out the handshake.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub(crate) fn open(application: Application, offer: Offer) -> Self {
        let still = Still::default();
        let options = TcpOptions::new()
            .user_timeout(None)
            .send_buffer(BUFFER)
            .send_buffer_max(BUFFER)
            .recv_buffer(BUFFER)
            .recv_buffer_max(BUFFER);
        let config = Config::new().options(options);
        let (engine, listener, connector) =
            Engine::new(Interface::default(), config, still.clock(), [1, 2]);
        let mut connection = Self {
            engine,
            listener,
            connector,
            stream: None,
            application,
            still,
            offer,
            block: vec![0x5a; 64 << 10],
            packet: Vec::new(),
            seq: 1000,
            nxt: 0,
            una: 0,
            sent: Vec::new(),
            tsval: 0,
            measures: true,
            samples: Vec::new(),
            heap: 0,
        };
        connection.give(Send {
            flags: SYN,
            seq: 999,
            window: offer.window,
            ..Send::default()
        });
        assert!(
            connection.accept().is_none(),
            "accepted before the handshake"
        );
        connection.take_out();
        connection.una = connection.nxt;
        connection.pass(Duration::from_micros(100));
        connection.send(&[], &[]);
        connection.stream = connection.accept();
        assert!(
            connection.stream.is_some(),
            "no connection after the handshake"
        );
        connection.work();
        connection.take_out();
        connection.samples.clear();
        connection
    }

    fn accept(&mut self) -> Option<TcpStream<Threaded>> {
        let mut cx = Context::from_waker(Waker::noop());
        match pin!(self.listener.accept()).poll(&mut cx) {
            Poll::Ready(Ok((stream, _))) => Some(stream),
            _ => None,
        }
    }

    /// Lets time pass, and the engine do what is due.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.still.pass(time);
        let now = self.now();
        if self.engine.poll_timeout(now).is_some_and(|at| at <= now) {
            self.engine.handle_timeout(now);
            self.engine.flush(now);
            self.take_out();
        }
    }

    fn now(&self) -> Instant {
        self.still.clock().now()
    }

    /// Sends an ACK of `una` with these blocks and this data.
    pub(crate) fn send(&mut self, blocks: &[(u32, u32)], data: &[u8]) {
        let send = Send {
            flags: ACK,
            seq: self.seq,
            ack: self.una,
            window: self.offer.window,
            blocks,
            data,
        };
        self.seq = self.seq.wrapping_add(data.len() as u32);
        self.give(send);
    }

    /// Sends a packet, and measures what it costs.
    pub(crate) fn give(&mut self, send: Send<'_>) {
        self.write(send);
        let packet = std::mem::take(&mut self.packet);
        let now = self.now();
        let began = processor_time();
        let headers = Headers::parse(&packet).expect("a packet");
        self.engine.handle_packet(now, &packet, &headers);
        self.engine.flush(now);
        self.work();
        let out = self.take_out();
        let time = processor_time() - began;
        self.packet = packet;
        if self.measures {
            self.samples.push(Sample { time, out });
        }
        self.heap = self.heap.max(self.connector.memory().connections);
    }

    /// Has the application do its part.
    fn work(&mut self) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        let mut cx = Context::from_waker(Waker::noop());
        match self.application {
            Application::Source => {
                while let Poll::Ready(Ok(1..)) =
                    Pin::new(&mut *stream).poll_write(&mut cx, &self.block)
                {}
            }
            Application::Echo => {
                while let Poll::Ready(Ok(read @ 1..)) =
                    Pin::new(&mut *stream).poll_read(&mut cx, &mut self.block)
                {
                    let _ = Pin::new(&mut *stream).poll_write(&mut cx, &self.block[..read]);
                }
            }
        }
    }

    /// Takes out what the engine sends. Says how many packets it was.
    fn take_out(&mut self) -> usize {
        self.sent.clear();
        let mut packets = 0;
        while let Some(packet) = self.engine.poll_transmit() {
            packets += 1;
            let headers = Headers::parse(&packet).expect("a packet");
            if let Some(tcp) = headers.tcp() {
                let len = headers.payload_range().len() as u32
                    + u32::from(tcp.flags.syn())
                    + u32::from(tcp.flags.fin());
                let end = tcp.seq.wrapping_add(len);
                if self.una == 0 || end.wrapping_sub(self.nxt) as i32 > 0 {
                    self.nxt = end;
                }
                if len > 0 {
                    self.sent.push((tcp.seq, len));
                }
                let options = headers.transport_range().start + 20;
                if packet[options..].starts_with(&[1, 1, 8, 10]) {
                    let tsval = packet[options + 4..options + 8].try_into();
                    self.tsval = u32::from_be_bytes(tsval.expect("four bytes"));
                }
            }
            self.engine.recycle(packet);
            let now = self.now();
            self.engine.flush(now);
        }
        packets
    }

    /// Writes a packet of the peer.
    fn write(&mut self, send: Send<'_>) {
        let mut options = Vec::with_capacity(40);
        let syn = send.flags & SYN != 0;
        if syn {
            let [high, low] = self.offer.mss.to_be_bytes();
            options.extend([2, 4, high, low, 1, 3, 3, self.offer.shift, 1, 1, 4, 2]);
        }
        if self.offer.timestamps {
            let now = self.now();
            let millis = now.duration_since(self.still.start()).as_millis() as u32;
            options.extend([1, 1, 8, 10]);
            options.extend((1 + millis).to_be_bytes());
            options.extend(self.tsval.to_be_bytes());
        }
        if !send.blocks.is_empty() {
            options.extend([1, 1, 5, 2 + 8 * send.blocks.len() as u8]);
            for (start, end) in send.blocks {
                options.extend(start.to_be_bytes());
                options.extend(end.to_be_bytes());
            }
        }
        let header = 20 + options.len();
        let total = (20 + header + send.data.len()) as u16;
        let packet = &mut self.packet;
        packet.clear();
        packet.extend([0x45, 0]);
        packet.extend(total.to_be_bytes());
        packet.extend([0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 2, 192, 0, 2, 1]);
        let words = packet.chunks_exact(2);
        let sum: u32 = words
            .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]))
            .sum();
        let checksum = !(((sum & 0xffff) + (sum >> 16)) as u16);
        packet[10..12].copy_from_slice(&checksum.to_be_bytes());
        packet.extend(40_000u16.to_be_bytes());
        packet.extend(80u16.to_be_bytes());
        packet.extend(send.seq.to_be_bytes());
        packet.extend(send.ack.to_be_bytes());
        packet.extend([(header as u8 / 4) << 4, send.flags]);
        packet.extend(send.window.to_be_bytes());
        packet.extend([0; 4]); // the driver verifies the checksum of TCP
        packet.extend(&options);
        packet.extend(send.data);
    }

    /// What the pattern has shown.
    pub(crate) fn finish(mut self) -> Run {
        // The first packets grow buffers and tables.
        let warm = self.samples.len() / 100;
        Run {
            samples: self.samples.split_off(warm),
            heap: self.heap,
        }
    }

    /// Lets `prepare` send packets that are no part of the pattern.
    pub(crate) fn unmeasured(&mut self, prepare: impl FnOnce(&mut Self)) {
        self.measures = false;
        prepare(self);
        self.measures = true;
    }

    /// Begins anew with another connection like this one.
    pub(crate) fn reopen(&mut self) {
        let samples = std::mem::take(&mut self.samples);
        let heap = self.heap;
        *self = Self::open(self.application, self.offer);
        self.samples = samples;
        self.heap = self.heap.max(heap);
    }

    /// Whether a segment has room for three SACK blocks only.
    pub(crate) fn has_timestamps(&self) -> bool {
        self.offer.timestamps
    }

    /// The number of packets so far.
    pub(crate) fn packets(&self) -> usize {
        self.samples.len()
    }
}

/// The time that this thread has had on the processor.
#[cfg(target_os = "linux")]
fn processor_time() -> Duration {
    let clock = nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID;
    nix::time::clock_gettime(clock).map_or(Duration::ZERO, Duration::from)
}

#[cfg(not(target_os = "linux"))]
fn processor_time() -> Duration {
    use std::sync::OnceLock;
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    BEGAN.get_or_init(Instant::now).elapsed()
}
