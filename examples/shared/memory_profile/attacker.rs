//! The process that attacks.

use super::extension::{DISCARD, GENERATE, IGNORE};
use super::limit::{Cgroup, peak};
use super::wire::{MTU, Wire};
use super::{Load, Profile};
use async_executor::LocalExecutor;
use brooklet::filter::Verdict;
use brooklet::local::{Builder, Stack, TcpStream};
use brooklet_packet::{FlowKey, TcpFlags, TcpHeader, tcp, udp};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The client's own address; the flood has others.
const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// What a profile has carried.
#[derive(Debug)]
pub(super) struct Outcome {
    profile: Profile,
    is_limited: bool,
    /// Bytes per second.
    up: f64,
    down: f64,
    in_flood: f64,
    /// The most resident memory, in bytes.
    pub(super) peak: Option<usize>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            profile,
            is_limited,
            up,
            down,
            in_flood,
            peak,
        } = self;
        let limit = if *is_limited { "cgroup" } else { "none" };
        let (process, stack) = (profile.process >> 20, profile.stack >> 20);
        write!(f, "{process:3} MiB  {stack:2} MiB   {limit:6}")?;
        for rate in [up, down, in_flood] {
            write!(f, "  {:5.0} MB/s", rate / 1e6)?;
        }
        match peak {
            Some(peak) => write!(f, "  {:4.1} MiB", *peak as f64 / f64::from(1 << 20)),
            None => write!(f, "  unknown"),
        }
    }
}

/// Ends the process under attack when dropped.
struct Extension(Child);

impl Drop for Extension {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) fn run(profile: Profile, load: Load) -> io::Result<Outcome> {
    let (here, there) = UnixDatagram::pair()?;
    let cgroup = Cgroup::new(profile.process);
    let extension = Extension(
        Command::new(std::env::current_exe()?)
            .args(["--extension", &profile.stack.to_string()])
            .stdin(Stdio::from(OwnedFd::from(there)))
            // glibc: one heap, so that freed memory is in one place.
            .env("MALLOC_ARENA_MAX", "1")
            .spawn()?,
    );
    let process = extension.0.id();
    if let Some(cgroup) = &cgroup {
        cgroup.add(process)?;
    }
    let flood = here.try_clone()?;
    let executor = LocalExecutor::new();
    let parts = Builder::new()
        .mtu(MTU)
        .address(OWN)
        // The flood's own sources would answer nothing, or an attacker would be no attacker.
        .filter_fn(
            |packet, _| match packet.source() == OWN || packet.destination() == OWN {
                true => Verdict::Pass,
                false => Verdict::Drop,
            },
        )
        .build(Wire::new(here)?)?;
    executor.spawn(parts.driver).detach();
    let attack = async {
        let stack = parts.stack;
        let up = upload(&stack, load.mib).await?;
        let down = download(connect(&stack, GENERATE).await?, load.mib).await?;
        // A stack whose memory is full refuses new connections: this one is there before.
        let stream = connect(&stack, GENERATE).await?;
        let flows = ignored(&executor, &stack, load.flows).await;
        let flooding = executor.spawn(send_flood(flood, load.flood));
        let in_flood = download(stream, load.mib).await?;
        flooding.await?;
        flows.iter().for_each(TcpStream::abort);
        // The memory is free again.
        download(connect(&stack, GENERATE).await?, 1).await?;
        Ok::<_, io::Error>((up, down, in_flood))
    };
    let (up, down, in_flood) = brooklet_reactor::block_on(executor.run(attack))?;
    Ok(Outcome {
        profile,
        is_limited: cgroup.is_some(),
        up,
        down,
        in_flood,
        peak: peak(process),
    })
}

async fn connect(stack: &Stack, port: u16) -> io::Result<TcpStream> {
    stack.connect(SocketAddr::from((SERVER, port))).await
}

/// Bytes per second of a transfer to the process under attack.
async fn upload(stack: &Stack, mib: u64) -> io::Result<f64> {
    let stream = connect(stack, DISCARD).await?;
    let block = vec![7; 64 << 10];
    let start = Instant::now();
    for _ in 0..mib * 16 {
        (&stream).write_all(&block).await?;
    }
    (&stream).close().await?;
    (&stream).read_to_end(&mut Vec::new()).await?; // everything was read
    Ok((mib << 20) as f64 / start.elapsed().as_secs_f64())
}

/// Bytes per second of a transfer from the process under attack.
async fn download(stream: TcpStream, mib: u64) -> io::Result<f64> {
    let start = Instant::now();
    (&stream).write_all(&(mib << 20).to_be_bytes()).await?;
    let (mut block, mut read) = (vec![0; 64 << 10], 0);
    loop {
        match (&stream).read(&mut block).await? {
            0 => break,
            more => read += more as u64,
        }
    }
    if read != mib << 20 {
        return Err(io::Error::other(format!("{read} bytes of {mib} MiB")));
    }
    Ok(read as f64 / start.elapsed().as_secs_f64())
}

/// Connections with data that nobody reads. Those beyond what the stack has room for fail, or carry
/// nothing.
async fn ignored(executor: &LocalExecutor<'_>, stack: &Stack, count: usize) -> Vec<TcpStream> {
    let open = |_| {
        let stack = stack.clone();
        executor.spawn(async move {
            let connected = async { connect(&stack, IGNORE).await.ok() };
            let patience = async {
                brooklet_reactor::Timer::after(Duration::from_secs(4)).await;
                None
            };
            let stream = future::or(connected, patience).await?;
            // As much as the send buffer takes; the rest is for nobody.
            let _ = future::poll_once((&stream).write_all(&[1; 64 << 10])).await;
            Some(stream)
        })
    };
    let tasks: Vec<_> = (0..count).map(open).collect();
    let mut streams = Vec::new();
    for task in tasks {
        streams.extend(task.await);
    }
    streams
}

/// A SYN and a UDP datagram from each of `count` sources.
async fn send_flood(socket: UnixDatagram, count: usize) -> io::Result<()> {
    let mut packet = Vec::new();
    for n in 0..count as u32 {
        let [_, a, b, c] = n.to_be_bytes();
        let from = SocketAddr::from(([172, 16 + a % 16, b, c], 1000));
        let header = TcpHeader {
            seq: n,
            ack: 0,
            window: u16::MAX,
            flags: TcpFlags::SYN,
        };
        let key = FlowKey::new(from, SocketAddr::from((SERVER, DISCARD)));
        let Some(key) = key else { continue };
        // A packet that finds the socket full is lost, as on a network.
        if tcp::write(&mut packet, key, header, &[], 64, &[]).is_ok() {
            let _ = socket.send(&packet);
        }
        if udp::write(
            &mut packet,
            from,
            SocketAddr::from((SERVER, 53)),
            64,
            &[7; 200],
        )
        .is_ok()
        {
            let _ = socket.send(&packet);
        }
        if n % 4 == 0 {
            future::yield_now().await;
        }
    }
    Ok(())
}
