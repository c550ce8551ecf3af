use crate::carry::carry;
use crate::namespace::Namespace;
use brooklet::{AsyncIoTimer, Builder, Parts};
use brooklet_benches::loss::{Beside, Case, Column, Part, Report, Run, Transfer};
use brooklet_sim::Link;
use brooklet_tcp::Congestion;
use brooklet_tun::Tun;
use futures_lite::future;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, connect, listen, setsockopt,
    socket, sockopt,
};
use smol::{Async, Timer, block_on, channel};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, io, thread};

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 2);

/// Runs of a case; odd, so that there is a middle one.
const SEEDS: u64 = 3;

/// The rows: at a round-trip time that the clock of a busy machine does not spoil.
const REPORT: Report<'_> = Report {
    rtts: &[10],
    rates: &[20, 100],
};

/// A run is given up after so much time: this is real.
const LIMIT: Duration = Duration::from_secs(60);

/// Who talks to whom.
#[derive(Clone, Copy)]
enum Ends {
    /// Two kernels, with the congestion control of this name.
    Kernels(&'static str),
    /// A kernel, and brooklet for its server.
    KernelAndBrooklet,
}

pub(crate) fn main() -> io::Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    if let Some(unknown) = args
        .iter()
        .find(|arg| !["--brooklet", "--beside", "--write"].contains(&&arg[..]))
    {
        let text = format!("{unknown}? There are --brooklet, --beside and --write");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let has = |name| args.iter().any(|arg| arg == name);
    let stacks = match has("--brooklet") {
        false => vec![
            ("Two kernels, CUBIC", Column::Kernel, Ends::Kernels("cubic")),
            ("Two kernels, BBR", Column::KernelBbr, Ends::Kernels("bbr")),
        ],
        true => vec![(
            "The kernel and brooklet, CUBIC",
            Column::KernelToBrooklet,
            Ends::KernelAndBrooklet,
        )],
    };
    let mut bench = Bench::new()?;
    let note = format!("Linux {}, {SEEDS} runs, {}.", release()?, today()?);
    let mut text = format!("{note}\n\n");
    print!("{text}");
    if !has("--beside") {
        for &(title, _, ends) in &stacks {
            let table = measure(&mut bench, ends, |run| REPORT.write(run))?;
            let table = format!("## {title}\n\n{table}");
            print!("{table}");
            text += &table;
        }
    }
    let mut beside = Beside::parse(&Part::Beside.read()?);
    for (_, column, ends) in stacks {
        measure(&mut bench, ends, |run| beside.measure(column, &note, run))?;
    }
    print!("{}", beside.markdown());
    if has("--write") {
        let part = if has("--brooklet") {
            Part::Mixed
        } else {
            Part::Kernel
        };
        if !has("--beside") {
            part.replace(&text)?;
        }
        Part::Beside.replace(&beside.markdown())?;
    }
    Ok(())
}

/// Lets `tables` run its cases between these ends.
fn measure<T>(
    bench: &mut Bench,
    ends: Ends,
    tables: impl FnOnce(&mut dyn FnMut(&Case) -> Vec<Run>) -> T,
) -> io::Result<T> {
    let mut failed = None;
    let made = tables(&mut |case| {
        // After a failure there is nothing more to measure.
        let seeds = if failed.is_some() { 1..1 } else { 1..SEEDS + 1 };
        let runs = seeds.map_while(|seed| match bench.run(case, ends, seed) {
            Ok(run) => Some(run),
            Err(error) => {
                let text = format!("{error}; seed {seed}, {case:?}");
                failed = Some(io::Error::new(error.kind(), text));
                None
            }
        });
        let runs: Vec<_> = runs.collect();
        eprintln!("{case}: {runs:?}");
        runs
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(made),
    }
}

/// Two namespaces, and what leads out of them.
struct Bench {
    client: Namespace,
    server: Namespace,
    client_tun: Tun,
    server_tun: Tun,
    /// Each run has a port of its own: the last one's may still be remembered.
    port: u16,
}

impl Bench {
    fn new() -> io::Result<Self> {
        let (client, client_tun) = Namespace::new(CLIENT)?;
        let (server, server_tun) = Namespace::new(SERVER)?;
        Ok(Self {
            client,
            server,
            client_tun,
            server_tun,
            port: 1000,
        })
    }

    /// Carries a case out.
    fn run(&mut self, case: &Case, ends: Ends, seed: u64) -> io::Result<Run> {
        self.port += 1;
        let (case, port) = (*case, self.port);
        let control = match ends {
            Ends::Kernels(control) => control,
            Ends::KernelAndBrooklet => "cubic",
        };
        let server = matches!(ends, Ends::Kernels(_)).then(|| {
            let listener = self.server.run(move || listener(case, port, control));
            listener.wait()
        });
        let server = server.transpose()?;
        let timers = [AsyncIoTimer::new(), AsyncIoTimer::new()];
        let (_link, mut here, mut there) = Link::with_timers(timers, seed, case.link);
        let (done, over) = channel::bounded::<()>(1);
        let start = Instant::now();
        let client = self.client.run(move || {
            // Dropped when the client is done, whatever became of it.
            let _done = done;
            in_time(case.ask(stream(connected(case, port, control)?)?))?;
            Ok(start.elapsed())
        });
        let (client_tun, server_tun) = (&mut self.client_tun, &mut self.server_tun);
        let over = async {
            // Nothing is ever sent: it ends when the client does.
            let _ = over.recv().await;
            Ok(())
        };
        let network = async { carry(client_tun, &mut here).await.map(drop) };
        let served = match server {
            Some(listener) => {
                let serve = thread::spawn(move || {
                    let (accepted, _) = listener.accept()?;
                    in_time(case.serve(stream(accepted)?))?;
                    Ok(start.elapsed())
                });
                let other = async { carry(server_tun, &mut there).await.map(drop) };
                block_on(future::or(over, future::or(network, other)))?;
                join(serve)
            }
            None => {
                let builder = Builder::new().tcp_config(case.config(Congestion::Cubic));
                let Parts { tcp, driver, .. } = builder.build(there)?;
                let serve = async {
                    let (stream, _) = tcp.accept().await?;
                    case.serve(stream).await?;
                    Ok(start.elapsed())
                };
                let network = future::or(network, driver);
                let ends = async {
                    let (served, ()) = future::try_zip(serve, over).await?;
                    io::Result::Ok(served)
                };
                block_on(future::or(ends, async {
                    network.await?;
                    Err(io::Error::other("the network ended"))
                }))
            }
        };
        let asked = client.wait();
        let took = match case.transfer {
            Transfer::Echo => asked,
            Transfer::OneWay => asked.and(served),
        };
        match took {
            Ok(time) => Ok(Run::Took(time)),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(Run::NoEnd),
            Err(error) => Err(error),
        }
    }
}

/// Runs one end of a transfer, for as long as it may take.
fn in_time(end: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    block_on(future::or(end, async {
        Timer::after(LIMIT).await;
        Err(io::ErrorKind::TimedOut.into())
    }))
}

fn join(thread: thread::JoinHandle<io::Result<Duration>>) -> io::Result<Duration> {
    let result = thread.join();
    result.map_err(|_| io::Error::other("the server panicked"))?
}

/// A socket with the buffers of the case. The kernel doubles them, for what it needs beside the
/// data. Without a buffer size in the case, the kernel's auto-tuning stays on.
fn made(case: Case, control: &str) -> io::Result<OwnedFd> {
    let (family, kind) = (AddressFamily::Inet, SockType::Stream);
    let socket = socket(family, kind, SockFlag::SOCK_CLOEXEC, None)?;
    if let Some(buffer) = case.buffer {
        setsockopt(&socket, sockopt::RcvBuf, &buffer)?;
        setsockopt(&socket, sockopt::SndBuf, &buffer)?;
    }
    setsockopt(&socket, sockopt::TcpNoDelay, &true)?;
    setsockopt(&socket, sockopt::TcpCongestion, &control.into()).map_err(|error| {
        let text = format!("this kernel has no congestion control `{control}`: {error}");
        io::Error::new(io::Error::from(error).kind(), text)
    })?;
    Ok(socket)
}

/// A socket for tasks, which shuts down when it is closed.
fn stream(socket: TcpStream) -> io::Result<smol::net::TcpStream> {
    Ok(Async::new(socket)?.into())
}

fn connected(case: Case, port: u16, control: &str) -> io::Result<TcpStream> {
    let socket = made(case, control)?;
    let to = SockaddrIn::from(SocketAddrV4::new(SERVER, port));
    connect(socket.as_raw_fd(), &to)?;
    Ok(socket.into())
}

fn listener(case: Case, port: u16, control: &str) -> io::Result<TcpListener> {
    let socket = made(case, control)?;
    let at = SockaddrIn::from(SocketAddrV4::new(SERVER, port));
    bind(socket.as_raw_fd(), &at)?;
    listen(&socket, Backlog::new(1)?)?;
    Ok(socket.into())
}

fn release() -> io::Result<String> {
    let system = nix::sys::utsname::uname()?;
    Ok(system.release().to_string_lossy().into_owned())
}

fn today() -> io::Result<String> {
    let date = Command::new("date").args(["-u", "+%Y-%m-%d"]).output()?;
    Ok(String::from_utf8_lossy(&date.stdout).trim().to_owned())
}
