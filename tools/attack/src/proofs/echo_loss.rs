//! Bytes echoed over bad links in virtual time: each byte that comes back is the one that was written, and the
//! end of the stream comes after all of them.

use brooklet::local::{Builder, Parts, TcpListener};
use brooklet::{TcpConfig, TcpOptions};
use brooklet_sim::{Link, LinkConfig, Simulation};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The bytes of one run. Each run has a link and a seed of its own.
const RUN: u64 = 256 << 20;
/// A prime: no power of two is a multiple of it, so bytes out of place are other bytes.
const PATTERN: usize = 1_048_573;
const CHUNK: usize = 256 << 10;

/// Echoes this many bytes, on as many threads as there are processors. Returns whether all were right.
pub(crate) fn run(bytes: u64) -> io::Result<bool> {
    let start = Instant::now();
    let runs = bytes.div_ceil(RUN);
    let (next, done) = (AtomicU64::new(0), AtomicU64::new(0));
    let (lost, sent) = (AtomicU64::new(0), AtomicU64::new(0));
    let pattern = &pattern();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        let mut wrong = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= runs {
                return wrong;
            }
            let len = RUN.min(bytes - seed * RUN);
            match echo(seed, len, pattern) {
                Ok(link) => {
                    lost.fetch_add(link.lost, Ordering::Relaxed);
                    sent.fetch_add(link.sent, Ordering::Relaxed);
                }
                Err(error) => wrong.push(format!("seed {seed}: {error}")),
            }
            let done = done.fetch_add(len, Ordering::Relaxed) + len;
            if done % (16 * RUN) < RUN && done >= RUN {
                let seconds = start.elapsed().as_secs_f64();
                eprintln!(
                    "echo-loss: {:.1} of {:.1} GiB in {seconds:.0} s",
                    gib(done),
                    gib(bytes)
                );
            }
        }
    };
    let wrong: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(|thread| match thread.join() {
            Ok(wrong) => wrong,
            Err(_) => vec!["a thread has panicked".to_owned()],
        });
        joined.flatten().collect()
    });
    let (lost, sent) = (lost.into_inner(), sent.into_inner());
    println!(
        "echo-loss: {:.2} GiB echoed in {runs} runs in {:.1} s; {lost} of {sent} packets lost; {} runs wrong",
        gib(bytes),
        start.elapsed().as_secs_f64(),
        wrong.len(),
    );
    for wrong in &wrong {
        println!("  {wrong}");
    }
    Ok(wrong.is_empty())
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

/// Bytes that do not repeat within a period, which is longer than anything that is out of place.
fn pattern() -> Vec<u8> {
    brooklet_testbed::data::random(PATTERN, 7)
}

/// The bytes from `position` on, up to the end of the period.
fn at(pattern: &[u8], position: u64, most: u64) -> &[u8] {
    let from = (position % PATTERN as u64) as usize;
    let to = (from + CHUNK).min(PATTERN).min(from + most as usize);
    &pattern[from..to]
}

/// What the link did in a run.
struct Carried {
    sent: u64,
    lost: u64,
}

/// A bad link, and the MTU over it. Long packets carry most of the bytes, because they are fast.
fn link(seed: u64) -> (LinkConfig, usize) {
    let mtu = match seed % 8 {
        0 => 1_500,
        1 | 2 => 9_000,
        _ => 65_535,
    };
    let loss = [0.001, 0.01, 0.03, 0.05][((seed + seed / 8) % 4) as usize];
    let config = LinkConfig::new()
        .delay(Duration::from_millis(1 + seed % 20))
        .jitter(Duration::from_millis(seed % 3))
        .loss(loss)
        .duplicate(if seed.is_multiple_of(3) { 0.01 } else { 0.0 })
        .reorder(if seed.is_multiple_of(2) { 0.02 } else { 0.0 })
        .corrupt(if seed.is_multiple_of(5) { 0.005 } else { 0.0 });
    (config, mtu)
}

fn echo(seed: u64, len: u64, pattern: &[u8]) -> io::Result<Carried> {
    let simulation = Simulation::new();
    simulation.set_limit(Duration::from_secs(1 << 30));
    let (config, mtu) = link(seed);
    let (link, here, there) = Link::new(simulation.time(), seed, config);
    let builder = || {
        let options = TcpOptions::new().recv_buffer(4 << 20).send_buffer(4 << 20);
        let tcp = TcpConfig::new().options(options);
        Builder::new().mtu(mtu).seed(seed).tcp_config(tcp)
    };
    let Parts { tcp, driver, .. } = builder().build_with_timer(there, simulation.time().timer())?;
    simulation.spawn(driver).detach();
    let server = simulation.spawn(serve(tcp));
    let Parts { stack, driver, .. } =
        builder().build_with_timer(here, simulation.time().timer())?;
    simulation.spawn(driver).detach();
    let from = SocketAddr::from(([10, 0, 0, 2], 40_000));
    let to = SocketAddr::from(([192, 0, 2, 1], 7));
    let echoed = simulation.run(async {
        let stream = stack.connect_from(from, to).await?;
        let (mut reader, mut writer) = stream.split();
        let write = async {
            let mut position = 0;
            while position < len {
                let bytes = at(pattern, position, len - position);
                writer.write_all(bytes).await?;
                position += bytes.len() as u64;
            }
            writer.close().await
        };
        let read = async {
            let mut buffer = vec![0; CHUNK];
            let mut position = 0;
            loop {
                let n = reader.read(&mut buffer).await?;
                if n == 0 {
                    break;
                }
                check(pattern, position, &buffer[..n], len)?;
                position += n as u64;
            }
            match position == len {
                true => Ok(()),
                false => Err(io::Error::other(format!(
                    "end of stream after {position} bytes"
                ))),
            }
        };
        future::try_zip(write, read).await?;
        server.await
    });
    echoed.map_err(io::Error::other)??;
    let (there, back) = link.stats();
    Ok(Carried {
        sent: there.sent + back.sent,
        lost: there.lost + back.lost,
    })
}

/// Compares what came with what was written.
fn check(pattern: &[u8], mut position: u64, mut read: &[u8], len: u64) -> io::Result<()> {
    if position + read.len() as u64 > len {
        return Err(io::Error::other("more bytes than were written"));
    }
    while !read.is_empty() {
        let expected = at(pattern, position, read.len() as u64);
        let (part, rest) = read.split_at(expected.len());
        if part != expected {
            return Err(io::Error::other(format!("wrong bytes after {position}")));
        }
        position += part.len() as u64;
        read = rest;
    }
    Ok(())
}

async fn serve(listener: TcpListener) -> io::Result<()> {
    let (mut stream, _) = listener.accept().await?;
    let mut buffer = vec![0; CHUNK];
    loop {
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            return stream.close().await;
        }
        stream.write_all(&buffer[..n]).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_out_of_place_is_found() {
        let pattern = pattern();
        let mut read = [&pattern[PATTERN - 10..], &pattern[..10]].concat();
        let position = PATTERN as u64 - 10;
        assert!(check(&pattern, position, &read, u64::MAX).is_ok());
        assert!(check(&pattern, position + 1, &read, u64::MAX).is_err());
        assert!(check(&pattern, position, &read, position + 19).is_err());
        read[15] ^= 1;
        assert!(check(&pattern, position, &read, u64::MAX).is_err());
    }
}
