//! The services of inetd (echo, discard, chargen) on every address behind a TUN device.
//!
//! ```sh
//! cargo run --release --example inetd -- --tun tun7 &
//! ip addr add 10.7.0.1/24 dev tun7; ip link set tun7 up
//! nc 10.7.0.2 7            # or any other address of 10.7.0.0/24
//! ```
//!
//! TCP: 7 echo, 9 discard, 11 accept and never read, 19 chargen, 80 answers anything with 64 bytes
//! and closes; every other port is refused. UDP: 7 echo. The services are written once, for
//! both flavors of handle: `--local` runs them on one thread without a lock, and without it they
//! run on `--workers` threads. SIGUSR1 prints the counters of the stack, SIGTERM and SIGINT end
//! the program.

use async_executor::{Executor, LocalExecutor, Task};
use async_signal::{Signal, Signals};
use brooklet::generic::{Stack, TcpListener, TcpRequest, TcpStream, TransparentUdpSocket};
use brooklet::{Flavor, TcpConfig};
use brooklet_tun::Tun;
use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt, future};
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::task::Poll;
use std::{pin, thread};

const USAGE: &str = "\
Usage: inetd --tun NAME [--mtu N] [--queues N] [--workers N | --local] [--offload]
             [--connections N]

  --tun NAME    TUN device to create, or to attach to where it exists
  --mtu N       its MTU in bytes, 1280 to 65535 (default 1500)
  --queues N    queues of the device, each with a driver of its own (default 1)
  --workers N   threads to run on, the main thread being one (default: as many
                as queues)
  --local       run on one thread, with handles that stay on it
  --offload     let the kernel hand over and take packets of up to 64 KiB, and
                leave out their checksums (default: packets of at most --mtu)
  --connections N
                connections at a time at most (default 65536)
";

/// The answer of port 80, 64 bytes.
const ANSWER: &[u8; 64] =
    b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nHello, from inetd.\n";

/// The read buffer of an echo or discard connection, in bytes. Most connections are idle, so the
/// buffer is small until a read fills it.
const SMALL_BUFFER: usize = 2 * 1024;
const BUFFER: usize = 64 * 1024;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args_os()) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("inetd: {why}; `inetd --help` lists the flags");
            return ExitCode::from(2);
        }
    };
    let served = if options.local {
        on_one_thread(options)
    } else {
        on_threads(options)
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("inetd: {why}");
            ExitCode::FAILURE
        }
    }
}

fn on_threads(options: Options) -> io::Result<()> {
    let parts = brooklet::Builder::new()
        .mtu(options.mtu.into())
        .tcp_config(options.tcp())
        .build_queues(options.open()?)?;
    // Leaked: the executor lives as long as the program, and its tasks spawn more tasks on it.
    let executor: &'static Executor<'static> = Box::leak(Box::default());
    executor.spawn(echo_datagrams(parts.udp)).detach();
    let spawn = |request| executor.spawn(serve(request)).detach();
    executor.spawn(accept(parts.tcp, spawn)).detach();
    let drivers = parts.drivers.into_iter();
    let drivers = drivers.map(|driver| executor.spawn(driver)).collect();
    for n in 1..options.workers {
        thread::Builder::new()
            .name(format!("worker {n}"))
            .spawn(|| brooklet_reactor::block_on(executor.run(future::pending::<()>())))?;
    }
    // A task: the future of `run` is polled whenever the executor wakes.
    let end = executor.spawn(until_stopped(options, parts.stack, first_end(drivers)));
    brooklet_reactor::block_on(executor.run(end))
}

fn on_one_thread(options: Options) -> io::Result<()> {
    let parts = brooklet::local::Builder::new()
        .mtu(options.mtu.into())
        .tcp_config(options.tcp())
        .build_queues(options.open()?)?;
    let executor: &'static LocalExecutor<'static> = Box::leak(Box::default());
    executor.spawn(echo_datagrams(parts.udp)).detach();
    let spawn = |request| executor.spawn(serve(request)).detach();
    executor.spawn(accept(parts.tcp, spawn)).detach();
    let drivers = parts.drivers.into_iter();
    let drivers = drivers.map(|driver| executor.spawn(driver)).collect();
    let end = executor.spawn(until_stopped(options, parts.stack, first_end(drivers)));
    brooklet_reactor::block_on(executor.run(end))
}

/// Returns the error of the driver that ended first. The other drivers then end with
/// `NetworkDown`, which does not say why.
async fn first_end(mut drivers: Vec<Task<io::Result<()>>>) -> io::Result<()> {
    future::poll_fn(|cx| {
        let mut end = Poll::Pending;
        drivers.retain_mut(|driver| {
            let ended = pin::Pin::new(driver).poll(cx);
            let running = ended.is_pending();
            if !running && (end.is_pending() || !is_down(&ended)) {
                end = ended;
            }
            running
        });
        // The driver that knows why may end a moment later.
        match is_down(&end) && !drivers.is_empty() {
            true => Poll::Pending,
            false => end,
        }
    })
    .await
}

fn is_down(end: &Poll<io::Result<()>>) -> bool {
    matches!(end, Poll::Ready(Err(why)) if why.kind() == io::ErrorKind::NetworkDown)
}

/// Waits until the driver ends or a signal asks for the end, and prints the counters.
async fn until_stopped<F: Flavor>(
    options: Options,
    stack: Stack<F>,
    driver: impl Future<Output = io::Result<()>>,
) -> io::Result<()> {
    let mut signals = Signals::new([Signal::Term, Signal::Int, Signal::Usr1])?;
    println!("inetd: serving on {}, mtu {}", options.tun, options.mtu);
    io::stdout().flush()?;
    let signalled = async {
        while let Some(signal) = signals.next().await {
            match signal? {
                Signal::Usr1 => print_counters(&stack),
                _ => break,
            }
        }
        Ok(())
    };
    let ended = future::or(driver, signalled).await;
    print_counters(&stack);
    ended
}

/// Prints all counters by one write, so that no other output comes between.
fn print_counters<F: Flavor>(stack: &Stack<F>) {
    let counters = format!("inetd: counters\n{}", stack.stats());
    let _ = io::stderr().write_all(counters.as_bytes());
}

/// Passes every request to `spawn`. The caller knows the executor: that of one thread takes
/// futures that are not `Send`.
async fn accept<F: Flavor>(listener: TcpListener<F>, spawn: impl Fn(TcpRequest<F>)) {
    let mut requests = listener.requests();
    // An error is the end of the stack, which the driver reports.
    while let Some(Ok(request)) = requests.next().await {
        spawn(request);
    }
}

async fn serve<F: Flavor>(request: TcpRequest<F>) {
    // An error is the end of this connection alone.
    let _: io::Result<()> = match request.local_addr().port() {
        7 => echo(request).await,
        9 => discard(request).await,
        11 => never_read(request).await,
        19 => chargen(request).await,
        80 => answer(request).await,
        _ => {
            request.refuse();
            Ok(())
        }
    };
}

async fn echo<F: Flavor>(request: TcpRequest<F>) -> io::Result<()> {
    let mut stream = request.accept().await?;
    let mut buffer = vec![0; SMALL_BUFFER];
    loop {
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            return stream.close().await;
        }
        stream.write_all(&buffer[..n]).await?;
        grow_if_filled(&mut buffer, n);
    }
}

async fn discard<F: Flavor>(request: TcpRequest<F>) -> io::Result<()> {
    let mut stream = request.accept().await?;
    let mut buffer = vec![0; SMALL_BUFFER];
    loop {
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            return stream.close().await;
        }
        grow_if_filled(&mut buffer, n);
    }
}

/// Replaces `buffer` by one of [`BUFFER`] bytes if a read of `n` bytes has filled it.
fn grow_if_filled(buffer: &mut Vec<u8>, n: usize) {
    if n == buffer.len() && n < BUFFER {
        *buffer = vec![0; BUFFER];
    }
}

/// Holds the connection without reading, so that the peer fills the window.
async fn never_read<F: Flavor>(request: TcpRequest<F>) -> io::Result<()> {
    let stream = request.accept().await?;
    if stream.peek(&mut [0]).await? > 0 {
        future::pending::<()>().await;
    }
    Ok(())
}

/// Writes the pattern of RFC 864 until the peer closes: lines of 72 printable characters, each of
/// which starts one character after the start of the line before.
async fn chargen<F: Flavor>(request: TcpRequest<F>) -> io::Result<()> {
    let mut stream = request.accept().await?;
    let printable: Vec<u8> = (b' '..=b'~').collect();
    let round = (0..printable.len()).flat_map(|first| {
        let line = printable.iter().cycle().skip(first).take(72);
        line.chain(b"\r\n").copied().collect::<Vec<u8>>()
    });
    // Whole rounds, so that the next write continues the pattern.
    let round: Vec<u8> = round.collect();
    let rounds = round.repeat(BUFFER / round.len());
    loop {
        stream.write_all(&rounds).await?;
    }
}

async fn answer<F: Flavor>(request: TcpRequest<F>) -> io::Result<()> {
    let mut stream: TcpStream<F> = request.accept().await?;
    // On the heap, because the buffer would make the future of every connection larger.
    if stream.read(&mut vec![0; 4096]).await? > 0 {
        stream.write_all(ANSWER).await?;
    }
    stream.close().await
}

async fn echo_datagrams<F: Flavor>(socket: TransparentUdpSocket<F>) {
    let mut buffer = vec![0; 65_535];
    // An error is the end of the stack, which the driver reports.
    while let Ok((n, from, to)) = socket.recv_from(&mut buffer).await {
        if to.port() == 7 {
            // An error is the loss of this datagram alone.
            let _ = socket.send_to(&buffer[..n], to, from).await;
        }
    }
}

#[cfg_attr(
    any(target_os = "android", target_os = "ios"),
    expect(dead_code, reason = "this system opens no TUN device by its name")
)]
struct Options {
    tun: String,
    mtu: u16,
    queues: usize,
    workers: usize,
    local: bool,
    offload: bool,
    connections: Option<usize>,
}

impl Options {
    /// `None` when the usage was asked for.
    fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Option<Self>, lexopt::Error> {
        use lexopt::prelude::*;

        let (mut tun, mut mtu, mut queues, mut workers) = (None, 1500, 1, None);
        let (mut local, mut offload) = (false, false);
        let mut connections = None;
        let mut args = lexopt::Parser::from_iter(args);
        while let Some(arg) = args.next()? {
            match arg {
                Long("tun") => tun = Some(args.value()?.string()?),
                Long("mtu") => mtu = args.value()?.parse()?,
                Long("queues") => queues = args.value()?.parse()?,
                Long("workers") => workers = Some(args.value()?.parse()?),
                Long("local") => local = true,
                Long("offload") => offload = true,
                Long("connections") => connections = Some(args.value()?.parse()?),
                Short('h') | Long("help") => return Ok(None),
                _ => return Err(arg.unexpected()),
            }
        }
        match (workers, local) {
            (Some(0), _) => return Err("--workers needs at least one thread".into()),
            (Some(2..), true) => return Err("--local is one thread: leave --workers out".into()),
            _ => {}
        }
        if queues == 0 {
            return Err("--queues needs at least one".into());
        }
        if mtu < 1280 {
            return Err("--mtu is at least 1280, which IPv6 asks for".into());
        }
        let tun = tun.ok_or("--tun NAME is missing")?;
        Ok(Some(Self {
            tun,
            mtu,
            queues,
            workers: workers.unwrap_or(queues),
            local,
            offload,
            connections,
        }))
    }

    fn tcp(&self) -> TcpConfig {
        let mut config = TcpConfig::default();
        if let Some(connections) = self.connections {
            config.max_connections = connections;
        }
        config
    }

    #[cfg(any(target_os = "android", target_os = "ios"))]
    fn open(&self) -> io::Result<Vec<Tun>> {
        Err(brooklet_examples::shared::no_tun_by_name())
    }

    #[cfg(not(any(target_os = "android", target_os = "ios")))]
    fn open(&self) -> io::Result<Vec<Tun>> {
        let queues = brooklet_tun::TunBuilder::new(&self.tun)
            .mtu(self.mtu)
            .offload(self.offload)
            .queues(self.queues)
            .open_queues()?;
        if self.offload && !queues.iter().all(|queue| queue.offload().checksum) {
            eprintln!("inetd: the kernel has no offload for this device; going on without");
        }
        Ok(queues)
    }
}
