//! Two stacks in one program, joined by packets in memory: no root, no device.
//!
//! ```sh
//! cargo run --release --example in_memory -- --mib 1024
//! ```
//!
//! One stack connects and sends a stream of bytes, the other listens and receives the stream, and
//! the program compares the hashes of both sides. The device is `Wire`, a [`PacketIo`] of a few
//! lines. A tunnel or any other link becomes the device of a stack in the same way.

use brooklet::local::{Builder, TcpListener, TcpStream};
use brooklet::{PacketBuf, PacketIo};
use futures_lite::{AsyncReadExt, AsyncWriteExt, Stream};
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::process::ExitCode;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

const USAGE: &str = "\
Usage: in_memory [--mib N]

  --mib N   mebibytes to transfer (default 256)
";

/// The longest packet, in bytes.
const MTU: usize = 1500;
/// The most packets in flight in one direction.
const IN_FLIGHT: usize = 256;
/// The bytes to write, read and hash at a time. 1 MiB is a multiple of this length.
const BLOCK: usize = 64 * 1024;

fn main() -> ExitCode {
    let mib = match parse() {
        Ok(Some(mib)) => mib,
        Ok(None) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("in_memory: {why}; `in_memory --help` lists the flags");
            return ExitCode::from(2);
        }
    };
    let executor = smol::LocalExecutor::new();
    match smol::block_on(executor.run(transfer(&executor, mib))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("in_memory: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn transfer(executor: &smol::LocalExecutor<'_>, mib: u64) -> io::Result<()> {
    let (left, right) = Wire::pair();
    let client = Builder::new().mtu(MTU).address([10, 0, 0, 1]).build(left)?;
    let server = Builder::new()
        .mtu(MTU)
        .address([10, 0, 0, 2])
        .build(right)?;
    // The drivers move the packets. Nothing else has to run.
    executor.spawn(client.driver).detach();
    executor.spawn(server.driver).detach();

    let blocks = mib * (1024 * 1024 / BLOCK as u64);
    let to: SocketAddr = ([10, 0, 0, 2], 80).into();
    let receiving = executor.spawn(receive(server.stack.bind(to)?));
    let start = Instant::now();
    let sent = send(client.stack.connect(to).await?, blocks, start).await?;
    let (received, bytes) = receiving.await?;
    let seconds = start.elapsed().as_secs_f64();

    if (sent, blocks * BLOCK as u64) != (received, bytes) {
        return Err(io::Error::other(format!(
            "sent {mib} MiB with hash {sent:016x}, received {bytes} bytes with {received:016x}"
        )));
    }
    println!(
        "{mib} MiB in {seconds:.2} s: {:.0} MiB/s, {:.2} Gbit/s; hash {received:016x} on both sides",
        mib as f64 / seconds,
        bytes as f64 * 8.0 / seconds / 1e9,
    );
    Ok(())
}

/// Writes `blocks` different blocks, and returns the hash of all of them.
async fn send(mut stream: TcpStream, blocks: u64, start: Instant) -> io::Result<u64> {
    let mut random = Random(1);
    let mut hasher = DefaultHasher::new();
    let mut block = vec![0; BLOCK];
    let mut progress = Progress::new(start, blocks);
    for n in 1..=blocks {
        random.fill(&mut block);
        hasher.write(&block);
        stream.write_all(&block).await?;
        progress.show(n);
    }
    stream.close().await?;
    Ok(hasher.finish())
}

/// Reads one connection to its end, and returns the hash and the number of its bytes.
async fn receive(listener: TcpListener) -> io::Result<(u64, u64)> {
    let (mut stream, _peer) = listener.accept().await?;
    let mut hasher = DefaultHasher::new();
    let mut bytes = 0;
    let mut block = vec![0; BLOCK];
    loop {
        // Hash whole blocks, as the sender does.
        let mut filled = 0;
        while filled < BLOCK {
            match stream.read(&mut block[filled..]).await? {
                0 => break,
                n => filled += n,
            }
        }
        hasher.write(&block[..filled]);
        bytes += filled as u64;
        if filled < BLOCK {
            return Ok((hasher.finish(), bytes));
        }
    }
}

/// One end of a link that carries packets in both directions and loses none.
#[derive(Debug)]
struct Wire {
    outbound: Sender,
    inbound: Receiver,
}

/// One direction has a fixed number of buffers: full ones travel to the receiver, and empty ones
/// back to the sender. A sender without an empty buffer waits.
#[derive(Debug)]
struct Sender {
    empty: Pin<Box<async_channel::Receiver<PacketBuf>>>,
    packets: async_channel::Sender<PacketBuf>,
}

#[derive(Debug)]
struct Receiver {
    packets: Pin<Box<async_channel::Receiver<PacketBuf>>>,
    empty: async_channel::Sender<PacketBuf>,
}

impl Wire {
    /// Makes both ends of a link.
    fn pair() -> (Self, Self) {
        let (to_right, from_left) = direction();
        let (to_left, from_right) = direction();
        let left = Self {
            outbound: to_right,
            inbound: from_right,
        };
        (
            left,
            Self {
                outbound: to_left,
                inbound: from_left,
            },
        )
    }
}

fn direction() -> (Sender, Receiver) {
    let (give_empty, take_empty) = async_channel::bounded(IN_FLIGHT);
    let (give_packet, take_packet) = async_channel::bounded(IN_FLIGHT);
    for _ in 0..IN_FLIGHT {
        // The channel has room for as many buffers.
        let _ = give_empty.try_send(PacketBuf::with_capacity(MTU));
    }
    (
        Sender {
            empty: Box::pin(take_empty),
            packets: give_packet,
        },
        Receiver {
            packets: Box::pin(take_packet),
            empty: give_empty,
        },
    )
}

impl PacketIo for Wire {
    fn poll_recv(&mut self, cx: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<()>> {
        let Some(mut received) = ready!(self.inbound.packets.as_mut().poll_next(cx)) else {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        };
        // Give the driver the packet's buffer, and the sender the driver's buffer.
        std::mem::swap(packet, &mut received);
        // An error means that the other end is gone and needs no buffer.
        let _ = self.inbound.empty.try_send(received);
        Poll::Ready(Ok(()))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>> {
        let closed = || Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        let Some(mut buffer) = ready!(self.outbound.empty.as_mut().poll_next(cx)) else {
            return closed();
        };
        buffer.copy_from_slice(packet);
        match self.outbound.packets.try_send(buffer) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(_) => closed(),
        }
    }
}

/// A source of bytes that do not repeat: Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn fill(&mut self, block: &mut [u8]) {
        for word in block.chunks_exact_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            word.copy_from_slice(&self.0.to_le_bytes());
        }
    }
}

/// A line on the terminal that is rewritten in place. Without a terminal it prints nothing.
struct Progress {
    start: Instant,
    shown: Instant,
    blocks: u64,
    terminal: bool,
}

impl Progress {
    fn new(start: Instant, blocks: u64) -> Self {
        Self {
            start,
            shown: start,
            blocks,
            terminal: io::stderr().is_terminal(),
        }
    }

    fn show(&mut self, block: u64) {
        let last = block == self.blocks;
        if !self.terminal || (self.shown.elapsed() < Duration::from_millis(100) && !last) {
            return;
        }
        self.shown = Instant::now();
        let mib = |blocks: u64| blocks as f64 * BLOCK as f64 / (1024.0 * 1024.0);
        let rate = mib(block) / self.start.elapsed().as_secs_f64();
        let end = if last { "\n" } else { "" };
        let (done, all) = (mib(block), mib(self.blocks));
        eprint!("\r{done:6.0} of {all:.0} MiB, {rate:.0} MiB/s {end}");
        let _ = io::stderr().flush();
    }
}

/// `None` when the usage was asked for.
fn parse() -> Result<Option<u64>, lexopt::Error> {
    use lexopt::prelude::*;

    let mut mib = 256;
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("mib") => mib = args.value()?.parse()?,
            Short('h') | Long("help") => return Ok(None),
            _ => return Err(arg.unexpected()),
        }
    }
    Ok(Some(mib))
}
