//! One TCP engine with connections to scripted clients, worked as the driver works it.

use crate::{Clients, MSS};
use brooklet_cell::Threaded;
use brooklet_packet::Headers;
use brooklet_tcp::{Clock, Config, Engine, Interface, TcpListener, TcpStream};
use futures_lite::{AsyncRead, AsyncWrite};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Packets that the driver takes in before it lets the connections answer.
pub const BATCH: usize = 64;

/// What an application reads or writes at a time.
pub const BLOCK: usize = BATCH * MSS;

/// An engine and the applications on top of it.
#[derive(Debug)]
pub struct Rig {
    // Dropped first: the streams then have nothing left to say.
    engine: Engine<Threaded>,
    listener: TcpListener<Threaded>,
    /// The applications' ends; the clients have the same numbers.
    pub streams: Vec<TcpStream<Threaded>>,
    /// The others' ends.
    pub clients: Clients,
    clock: Clock,
    block: Vec<u8>,
    /// The last SYN-ACK.
    syn_ack: Vec<u8>,
}

impl Rig {
    /// Makes an engine without connections.
    pub fn new(config: Config, clock: Clock) -> Self {
        let (engine, listener, _) =
            Engine::new(Interface::default(), config, clock.clone(), [1, 2]);
        Self {
            engine,
            listener,
            streams: Vec::new(),
            clients: Clients::default(),
            clock,
            block: vec![0; BLOCK],
            syn_ack: Vec::new(),
        }
    }

    /// Opens one more connection and returns its number.
    pub fn open(&mut self) -> usize {
        let (n, mut syn) = self.clients.connect();
        self.request(&mut syn);
        let mut ack = self.establish(n);
        let stream = self.established(&mut ack);
        self.streams.push(stream);
        n
    }

    /// Takes in a SYN, accepts it and gives out the SYN-ACK.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn request(&mut self, syn: &mut [u8]) {
        let now = self.clock.now();
        self.handle(now, syn);
        self.engine.flush(now);
        assert!(poll(self.listener.accept()).is_pending());
        let syn_ack = self.engine.poll_transmit().expect("a SYN-ACK");
        self.syn_ack.clear();
        self.syn_ack.extend_from_slice(&syn_ack);
        self.engine.recycle(syn_ack);
    }

    /// Has client `n` take the SYN-ACK, and returns the end of the handshake.
    pub fn establish(&mut self, n: usize) -> Vec<u8> {
        self.clients.establish(n, &self.syn_ack)
    }

    /// Takes in the end of a handshake and gives out the connection.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn established(&mut self, ack: &mut [u8]) -> TcpStream<Threaded> {
        let now = self.clock.now();
        self.handle(now, ack);
        self.engine.flush(now);
        let Poll::Ready(Ok((stream, _))) = poll(self.listener.accept()) else {
            panic!("no connection after the handshake");
        };
        stream
    }

    /// Takes in a batch of packets up to the moment at which connections answer and readers are
    /// woken.
    pub fn take_in(&mut self, packets: &mut [Vec<u8>]) {
        let now = self.clock.now();
        for packet in packets {
            self.handle(now, packet);
        }
        self.engine.defer(now);
    }

    /// Lets the connections answer that waited for their readers.
    pub fn flush(&mut self) {
        self.engine.flush(self.clock.now());
    }

    /// Takes in one packet that is a batch of its own.
    pub fn take_in_one(&mut self, packet: &mut [u8], headers: &Headers) {
        let now = self.clock.now();
        self.engine.handle_packet(now, packet, headers);
        self.engine.flush(now);
    }

    fn handle(&mut self, now: Instant, packet: &mut [u8]) {
        let headers = Headers::parse(packet).expect("just made");
        assert!(headers.verify_checksum(packet));
        self.engine.handle_packet(now, packet, &headers);
    }

    /// Reads connection `n` until there is nothing left, and waits for more. Says how much it was.
    ///
    /// # Panics
    ///
    /// If the connection has ended.
    pub fn read(&mut self, n: usize) -> usize {
        let mut cx = Context::from_waker(Waker::noop());
        let mut all = 0;
        while let Poll::Ready(read) =
            Pin::new(&mut self.streams[n]).poll_read(&mut cx, &mut self.block)
        {
            all += read.expect("no error");
        }
        all
    }

    /// Writes [`BLOCK`] bytes to connection `n`. Says how many it took.
    ///
    /// # Panics
    ///
    /// If it takes none.
    pub fn write(&mut self, n: usize) -> usize {
        let mut cx = Context::from_waker(Waker::noop());
        let written = Pin::new(&mut self.streams[n]).poll_write(&mut cx, &self.block);
        let Poll::Ready(Ok(written)) = written else {
            panic!("no room: {written:?}");
        };
        written
    }

    /// Gives out all packets and takes their buffers back. Says how many and of how many bytes
    /// they were.
    pub fn transmit(&mut self) -> (usize, usize) {
        let (mut packets, mut bytes) = (0, 0);
        while let Some(packet) = self.engine.poll_transmit() {
            packets += 1;
            bytes += packet.len();
            self.engine.recycle(packet);
        }
        (packets, bytes)
    }

    /// Connections in the table.
    pub fn connections(&self) -> u64 {
        self.engine.stats().connections
    }
}

/// A clock that stands still until it is moved.
#[derive(Clone, Debug)]
pub struct Still {
    start: Instant,
    micros: Arc<AtomicU64>,
}

impl Default for Still {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            micros: Arc::default(),
        }
    }
}

impl Still {
    /// The clock as the engine reads it.
    pub fn clock(&self) -> Clock {
        let Self { start, micros } = self.clone();
        Clock::new(move || start + Duration::from_micros(micros.load(Ordering::Relaxed)))
    }

    /// Where the time of the clock began.
    pub fn start(&self) -> Instant {
        self.start
    }

    /// Lets time pass.
    pub fn pass(&self, time: Duration) {
        let micros = time.as_micros() as u64;
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }
}

/// Polls once.
pub fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}
