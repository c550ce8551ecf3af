//! Two stacks in one program, joined by packets in memory: no root, no device.
//!
//! ```sh
//! cargo run --release --example in_memory -- --mib 1024
//! ```
//!
//! One stack connects, the other listens; a stream of bytes goes through both and is compared by
//! its hash. The device is `Wire`, a [`PacketIo`] of a few lines: what it takes to put a stack
//! on a tunnel or a link of one's own.

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

/// Bytes per packet, at most.
const MTU: usize = 1500;
/// Packets on their way in one direction, at most.
const IN_FLIGHT: usize = 256;
/// Bytes that are written, read and hashed at a time: a whole number of them is one MiB.
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
    let client = Builder::new()
        .mtu(MTU)
        .address([10, 0, 0, 1].into())
        .build(left)?;
    let server = Builder::new()
        .mtu(MTU)
        .address([10, 0, 0, 2].into())
        .build(right)?;
    // Nothing moves unless the drivers are polled; this is all there is to run.
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

/// Writes `blocks` blocks that are all different, and returns the hash of them.
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

/// Reads to the end of one connection, and returns the hash and the number of the bytes.
async fn receive(listener: TcpListener) -> io::Result<(u64, u64)> {
    let (mut stream, _peer) = listener.accept().await?;
    let mut hasher = DefaultHasher::new();
    let mut bytes = 0;
    let mut block = vec![0; BLOCK];
    loop {
        // Whole blocks, hashed as they were hashed on the other side.
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

/// The buffers of one direction go round: empty ones to the sender, packets to the receiver.
/// Their number is the bound, and with none empty the sender waits.
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
    /// Both ends of a new link.
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
        // There is room: as many buffers as places.
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
        // The stack's own buffer goes back to the sender in the place of the one that came.
        std::mem::swap(packet, &mut received);
        // It fails only where the other end is gone, which needs no buffers any more.
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

/// Bytes that do not repeat, from Marsaglia's xorshift.
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

/// A line on the terminal that is rewritten in place; nothing where there is no terminal.
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
