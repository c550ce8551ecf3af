//! What loss and distance cost a transfer: the cases, and the ends of their connections.
//!
//! Two stacks carry the cases out in virtual time here. The bench `kernel` lets real kernels do
//! so, in real time over the same link.

mod beside;
mod cell;
mod compare;
mod report;
mod simulator;
mod snapshot;

pub use beside::{Beside, Column};
pub use cell::Cell;
pub use compare::compare;
pub use report::{Report, Run, bytes_at};
pub use simulator::{SEEDS, Simulator};
pub use snapshot::Part;

use brooklet::{Builder, Parts};
#[cfg(doc)]
use brooklet_sim::SimError;
use brooklet_sim::{Link, LinkConfig, Simulation};
use brooklet_tcp::{Config, Congestion, TcpOptions};
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, future, io};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// A run is given up after so much time.
pub const LIMIT: Duration = Duration::from_secs(600);

/// Bytes in a read or write.
const BLOCK: usize = 64 << 10;

/// Which way the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// The client sends, and the server sends everything back.
    Echo,
    /// The client sends, and the server reads.
    OneWay,
}

/// A transfer, and the link that it goes over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    /// Which way the bytes go.
    pub transfer: Transfer,
    /// How many bytes, each way.
    pub bytes: usize,
    /// Send and receive buffer at both ends, in bytes; `None` is the default of each stack, with
    /// auto-tuning where the stack has it.
    pub buffer: Option<usize>,
    /// What both directions of the link do.
    pub link: LinkConfig,
}

impl Case {
    /// A case over a link with this round-trip time and this chance of loss, no limit to the rate,
    /// and buffers of 128 KiB.
    pub fn new(transfer: Transfer, bytes: usize, rtt: Duration, loss: f64) -> Self {
        Self {
            transfer,
            bytes,
            buffer: Some(128 << 10),
            link: LinkConfig::new().delay(rtt / 2).loss(loss),
        }
    }

    /// With 2 % of the packets an eighth of the round-trip time late, and 2 % doubled.
    pub fn shuffled(mut self) -> Self {
        self.link.reorder = 0.02;
        self.link.reorder_delay = self.link.delay / 4;
        self.link.duplicate = 0.02;
        self
    }

    /// Over a bottleneck of so many bits per second with a queue of 50 packets.
    pub fn rate(mut self, rate: u64) -> Self {
        self.link.rate = Some(rate);
        self.link.queue = 50;
        self
    }

    /// Whether what happens depends on the seed.
    pub fn by_chance(&self) -> bool {
        let LinkConfig {
            loss,
            duplicate,
            reorder,
            corrupt,
            jitter,
            ..
        } = self.link;
        loss + duplicate + reorder + corrupt > 0.0 || !jitter.is_zero()
    }

    /// Carries the case out between two stacks in virtual time. Says how long it took, from the
    /// first SYN until whoever receives last has read the last byte and the end behind it.
    ///
    /// # Errors
    ///
    /// Those of the stacks, and wrong or missing bytes. [`SimError`] is inside if it never ends, or
    /// not within [`LIMIT`].
    pub fn simulate(&self, congestion: Congestion, seed: u64) -> io::Result<Duration> {
        self.simulate_watched(congestion, seed, |_| {})
    }

    /// As [`simulate`](Self::simulate), with the link shown to `watch` before it begins: to look
    /// into a run, packet by packet, with [`Link::tap`].
    ///
    /// # Errors
    ///
    /// As for [`simulate`](Self::simulate).
    pub fn simulate_watched(
        &self,
        congestion: Congestion,
        seed: u64,
        watch: impl FnOnce(&Link),
    ) -> io::Result<Duration> {
        let sim = Simulation::new();
        sim.set_limit(LIMIT);
        let (link, here, there) = Link::new(sim.time(), seed, self.link);
        watch(&link);
        let build = |device| {
            let builder = Builder::new().tcp_config(self.config(congestion));
            let parts = builder.build_with_timer(device, sim.time().timer());
            parts.expect("the MTU is in range")
        };
        let Parts { stack, driver, .. } = build(here);
        sim.spawn(driver).detach();
        let Parts { tcp, driver, .. } = build(there);
        sim.spawn(driver).detach();

        let (case, time) = (*self, sim.time().clone());
        let server = sim.spawn(async move {
            let (stream, _) = tcp.accept().await?;
            case.serve(stream).await?;
            io::Result::Ok(time.elapsed())
        });
        let client = async {
            let from: SocketAddr = ([10, 0, 0, 2], 40_000).into();
            let to: SocketAddr = ([192, 0, 2, 1], 80).into();
            self.ask(stack.connect_from(from, to).await?).await?;
            io::Result::Ok(sim.time().elapsed())
        };
        let ends = sim.run(future::try_zip(client, server));
        let (client, server) = ends.map_err(io::Error::other)??;
        Ok(match self.transfer {
            Transfer::Echo => client,
            Transfer::OneWay => server,
        })
    }

    /// What a stack is built with for the case.
    pub fn config(&self, congestion: Congestion) -> Config {
        let mut options = TcpOptions::new().user_timeout(None).congestion(congestion);
        if let Some(buffer) = self.buffer {
            // A fixed buffer stays fixed, so that rows with a buffer stay comparable.
            options.recv_buffer = buffer;
            options.recv_buffer_max = buffer;
            options.send_buffer = buffer;
            options.send_buffer_max = buffer;
        }
        Config::new()
            .handshake_timeout(LIMIT)
            .orphan_timeout(LIMIT)
            .options(options)
    }

    /// The client's part, until the server has closed.
    ///
    /// # Errors
    ///
    /// Those of the stream, and wrong or missing bytes.
    pub async fn ask(&self, stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
        let (reader, mut writer) = io::split(stream);
        let write = async {
            let block = pattern();
            for at in (0..self.bytes).step_by(BLOCK) {
                writer
                    .write_all(&block[..BLOCK.min(self.bytes - at)])
                    .await?;
            }
            writer.close().await
        };
        let back = match self.transfer {
            Transfer::Echo => self.bytes,
            Transfer::OneWay => 0,
        };
        future::try_zip(write, check(reader, back)).await?;
        Ok(())
    }

    /// The server's part.
    ///
    /// # Errors
    ///
    /// Those of the stream, and wrong or missing bytes.
    pub async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
        let (reader, mut writer) = io::split(stream);
        match self.transfer {
            Transfer::Echo => {
                io::copy(io::BufReader::with_capacity(BLOCK, reader), &mut writer).await?;
            }
            Transfer::OneWay => check(reader, self.bytes).await?,
        }
        writer.close().await
    }
}

/// The name of a case: everything that distinguishes the case from others, without a comma.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            transfer,
            bytes,
            buffer,
            link,
        } = self;
        let transfer = match transfer {
            Transfer::Echo => "echo",
            Transfer::OneWay => "one way",
        };
        write!(f, "{transfer} {} KiB at {:?}", bytes >> 10, link.delay * 2)?;
        match buffer {
            Some(buffer) => write!(f, " buffer {} KiB", buffer >> 10)?,
            None => write!(f, " default buffers")?,
        }
        // Rounded, as the chances are binary fractions.
        let percent = |chance: f64| (chance * 1e6).round() / 1e4;
        write!(f, " loss {} %", percent(link.loss))?;
        if link.reorder > 0.0 {
            write!(
                f,
                " {} % late by {:?}",
                percent(link.reorder),
                link.reorder_delay
            )?;
        }
        if link.duplicate > 0.0 {
            write!(f, " {} % doubled", percent(link.duplicate))?;
        }
        if let Some(rate) = link.rate {
            let mbit = rate / 1_000_000;
            write!(f, " {mbit} Mbit/s queue {}", link.queue)?;
        }
        Ok(())
    }
}

/// The bytes of every transfer, again and again: a block in which no byte says where it is.
fn pattern() -> Vec<u8> {
    let mut random = crate::Random(1);
    (0..BLOCK).map(|_| random.draw() as u8).collect()
}

/// Reads to the end: as many bytes, and those.
async fn check(mut reader: impl AsyncRead + Unpin, bytes: usize) -> io::Result<()> {
    let (expected, mut block) = (pattern(), vec![0; BLOCK]);
    let mut at = 0;
    loop {
        let begin = at % BLOCK;
        let n = reader.read(&mut block[begin..]).await?;
        if n == 0 {
            break;
        }
        if block[begin..begin + n] != expected[begin..begin + n] {
            return Err(io::Error::other(format!("wrong bytes after {at}")));
        }
        at += n;
    }
    if at != bytes {
        return Err(io::Error::other(format!("{at} bytes of {bytes}")));
    }
    Ok(())
}
