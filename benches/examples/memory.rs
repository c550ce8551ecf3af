//! What connections cost in memory: resident bytes of the whole process, in memory, without a
//! device.
//!
//! ```text
//! cargo run --release -p brooklet-benches --example memory -- 100000
//! ```
//!
//! First so many connections are opened that carry nothing. Then all of them receive and send
//! data at the same time and end, so that the heap is what it is after a busy hour; and the same
//! number is opened again. Everything counts: the connection, the table, the timers, the handle
//! of the application, and the 32 bytes that the scripted client is.

use brooklet_benches::{Clients, MSS};
use brooklet_cell::Threaded;
use brooklet_packet::Headers;
use brooklet_tcp::{Clock, Config, Engine, Interface, TcpListener, TcpStream};
use futures_lite::{AsyncRead, AsyncWrite};
use std::error::Error;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn Error>> {
    let flows: usize = match std::env::args().nth(1) {
        Some(arg) => arg.parse()?,
        None => 10_000,
    };
    let mut stack = Stack::new(flows);
    let start = resident()?;
    println!("{:>10} KiB before", start / 1024);

    stack.open(flows);
    let idle = resident()?;
    println!(
        "{:>10} bytes each: idle, after a fresh start",
        (idle - start) / flows
    );

    for round in ["once", "twice"] {
        let most = stack.carry(MSS, 4 * MSS)?;
        let stats = stack.engine.stats();
        println!(
            "{:>10} KiB while all carry data, {round}; {} KiB of it buffers",
            most / 1024,
            stats.buffers / 1024,
        );
        stack.pass(Duration::from_secs(2));
        println!("{:>10} KiB two seconds later", resident()? / 1024);
    }
    stack.end();
    let ended = resident()?;
    println!("{:>10} KiB when all have ended", ended / 1024);

    stack.open(flows);
    let again = resident()?.saturating_sub(start);
    println!(
        "{:>10} bytes each: idle again, all that is resident",
        again / flows
    );
    println!("{:?}", stack.engine.stats());
    Ok(())
}

/// The resident memory of this process, in bytes.
fn resident() -> Result<usize, Box<dyn Error>> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages = statm
        .split(' ')
        .nth(1)
        .ok_or("no resident pages in statm")?;
    Ok(pages.parse::<usize>()? * 4096)
}

struct Stack {
    engine: Engine<Threaded>,
    listener: TcpListener<Threaded>,
    streams: Vec<TcpStream<Threaded>>,
    clients: Clients,
    /// The first client of those that are connected.
    first: usize,
    time: Arc<Mutex<Instant>>,
}

impl Stack {
    fn new(flows: usize) -> Self {
        let time = Arc::new(Mutex::new(Instant::now()));
        let clock = {
            let time = time.clone();
            Clock::new(move || *time.lock().expect("nobody panics with it"))
        };
        let config = Config::new().max_connections(flows).max_time_wait(flows);
        let (engine, listener, _) = Engine::new(Interface::default(), config, clock, [1, 2]);
        Self {
            engine,
            listener,
            streams: Vec::with_capacity(flows),
            clients: Clients::default(),
            first: 0,
            time,
        }
    }

    fn now(&self) -> Instant {
        *self.time.lock().expect("nobody panics with it")
    }

    fn take(&mut self, packet: Vec<u8>) {
        let headers = Headers::parse(&packet).expect("a packet of ours");
        let now = self.now();
        self.engine.handle_packet(now, &packet, &headers);
        self.engine.flush(now);
    }

    /// Throws away what the stack sends.
    fn give(&mut self) {
        while let Some(packet) = self.engine.poll_transmit() {
            self.engine.recycle(packet);
            self.engine.flush(self.now());
        }
    }

    fn open(&mut self, flows: usize) {
        let cx = &mut Context::from_waker(Waker::noop());
        self.first = self.clients.count();
        for _ in 0..flows {
            let (n, syn) = self.clients.connect();
            self.take(syn);
            assert!(pin!(self.listener.accept()).poll(cx).is_pending());
            let syn_ack = self.engine.poll_transmit().expect("a SYN-ACK");
            let ack = self.clients.establish(n, &syn_ack);
            self.engine.recycle(syn_ack);
            self.take(ack);
            match pin!(self.listener.accept()).poll(cx) {
                Poll::Ready(Ok((stream, _))) => self.streams.push(stream),
                _ => panic!("no connection after the handshake"),
            }
        }
        self.pass(Duration::from_secs(20));
    }

    /// Each connection receives, and when all have, each reads that and sends. Returns the most
    /// that was resident.
    fn carry(&mut self, inward: usize, outward: usize) -> Result<usize, Box<dyn Error>> {
        let cx = &mut Context::from_waker(Waker::noop());
        let mut packet = Vec::new();
        for n in 0..self.streams.len() {
            for _ in 0..inward.div_ceil(MSS) {
                self.clients.send(self.first + n, &mut packet);
                self.take(packet.clone());
            }
            self.give();
        }
        let most = resident()?;
        let mut data = vec![0; outward];
        for n in 0..self.streams.len() {
            while let Poll::Ready(Ok(1..)) =
                Pin::new(&mut &self.streams[n]).poll_read(cx, &mut data)
            {}
            let mut written = 0;
            while written < outward {
                match Pin::new(&mut &self.streams[n]).poll_write(cx, &data[written..]) {
                    Poll::Ready(more) => written += more?,
                    Poll::Pending => {}
                }
                while let Some(packet) = self.engine.poll_transmit() {
                    let ack = self.clients.receive(self.first + n, &packet);
                    self.engine.recycle(packet);
                    self.take(ack);
                }
            }
        }
        Ok(most)
    }

    fn end(&mut self) {
        for stream in self.streams.drain(..) {
            stream.abort();
        }
        self.give();
        self.pass(Duration::from_secs(60));
    }

    /// Lets time pass, doing at each moment what is due.
    fn pass(&mut self, time: Duration) {
        let end = self.now() + time;
        while let Some(at) = self.engine.poll_timeout(self.now())
            && at <= end
        {
            let now = at.max(self.now());
            *self.time.lock().expect("nobody panics with it") = now;
            self.engine.handle_timeout(now);
            self.engine.flush(now);
            self.give();
        }
        *self.time.lock().expect("nobody panics with it") = end;
    }
}
