//! What is attacked: the services, on a stack in this process, behind a TUN device in a process of its own,
//! or on the kernel.

use async_executor::Executor;
use async_net::{TcpListener as HostListener, UdpSocket as HostSocket};
use brooklet::{
    Builder, PacketIo, Parts, SessionConfig, Stack, TcpListener, TcpStream, TransparentUdpSocket,
    UdpListener,
};
use brooklet_reactor::Timer;
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt, future};
use std::io;
use std::net::Ipv4Addr;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The address of the services.
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
/// The memory budget of a victim, in bytes.
pub(crate) const BUDGET: usize = 50 << 20;
/// How long the program with a slow dial takes before it answers a request.
pub(crate) const DIAL: Duration = Duration::from_millis(50);

/// What echoes, discards or generates at a time.
const BUFFER: usize = 2048;

/// How a program accepts connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AcceptMode {
    /// `TcpListener::accept`.
    Accept,
    /// Each request is accepted at once.
    Requests,
    /// Each request is accepted after a while, as by a program that connects elsewhere first.
    SlowDial,
}

impl AcceptMode {
    pub(crate) const ALL: [Self; 3] = [Self::Accept, Self::Requests, Self::SlowDial];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Requests => "requests",
            Self::SlowDial => "slow-dial",
        }
    }

    pub(crate) fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|accept| accept.name() == name)
    }
}

/// A stack with the services, on a thread of its own.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) stack: Stack,
    /// The number of the thread.
    pub(crate) thread: u32,
    handle: JoinHandle<io::Result<()>>,
}

impl Running {
    /// Starts the services behind a device.
    pub(crate) fn start(
        device: impl PacketIo + Send + 'static,
        accept: AcceptMode,
    ) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let handle = thread::Builder::new().name("stack".into()).spawn(move || {
            let parts = Builder::new().memory(BUDGET).build(device)?;
            let Parts {
                stack,
                tcp,
                udp,
                driver,
                ..
            } = parts;
            let _ = sender.send((stack, nix::unistd::gettid().as_raw() as u32));
            // Leaked: the executor lives as long as the process, and its tasks spawn more tasks on it.
            let executor: &'static Executor<'static> = Box::leak(Box::default());
            start_services(executor, accept, tcp, udp);
            brooklet_reactor::block_on(executor.run(driver))
        })?;
        match receiver.recv() {
            Ok((stack, thread)) => Ok(Self {
                stack,
                thread,
                handle,
            }),
            Err(_) => Err(ended(handle)),
        }
    }

    /// Whether the driver has not ended.
    pub(crate) fn is_alive(&self) -> bool {
        !self.handle.is_finished()
    }

    /// Waits for the end of the driver.
    pub(crate) fn wait(self) -> io::Error {
        ended(self.handle)
    }
}

fn ended(handle: JoinHandle<io::Result<()>>) -> io::Error {
    match handle.join() {
        Ok(Ok(())) => io::Error::other("the driver has ended"),
        Ok(Err(error)) => error,
        Err(_) => io::Error::other("the thread of the stack has panicked"),
    }
}

fn start_services(
    executor: &'static Executor<'static>,
    accept: AcceptMode,
    tcp: TcpListener,
    udp: TransparentUdpSocket,
) {
    let config = SessionConfig::new().idle_timeout(Duration::from_secs(10));
    let sessions = udp.into_sessions(config);
    executor.spawn(datagrams(executor, sessions)).detach();
    match accept {
        AcceptMode::Accept => executor.spawn(accepted(executor, tcp)).detach(),
        AcceptMode::Requests => executor.spawn(requested(executor, tcp, None)).detach(),
        AcceptMode::SlowDial => executor
            .spawn(requested(executor, tcp, Some(DIAL)))
            .detach(),
    }
}

async fn accepted(executor: &'static Executor<'static>, listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        executor.spawn(serve_stream(stream)).detach();
    }
}

async fn requested(
    executor: &'static Executor<'static>,
    listener: TcpListener,
    dial: Option<Duration>,
) {
    let mut requests = listener.requests();
    while let Some(Ok(request)) = requests.next().await {
        let served = async move {
            if let Some(dial) = dial {
                Timer::after(dial).await;
            }
            if let Ok(stream) = request.accept().await {
                serve_stream(stream).await;
            }
        };
        executor.spawn(served).detach();
    }
}

async fn serve_stream(stream: TcpStream) {
    if let Ok(local) = stream.local_addr() {
        // An error is the end of this connection alone.
        let _ = serve(stream, local.port()).await;
    }
}

/// The service of a port: 9 discard, 19 chargen, any other echo.
async fn serve<S>(mut stream: S, port: u16) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut buffer = vec![b'#'; BUFFER];
    loop {
        if port == 19 {
            stream.write_all(&buffer).await?;
            continue;
        }
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            return stream.close().await;
        }
        if port != 9 {
            stream.write_all(&buffer[..n]).await?;
        }
    }
}

async fn datagrams(executor: &'static Executor<'static>, sessions: UdpListener) {
    while let Ok(session) = sessions.accept().await {
        let echo = async move {
            while let Ok(datagram) = session.recv_datagram().await {
                if datagram.to.port() == 7 {
                    // An error is the loss of this datagram alone.
                    let _ = session.send_to_client(&datagram.payload, datagram.to).await;
                }
            }
        };
        executor.spawn(echo).detach();
    }
}

/// Serves behind a TUN device until the process is killed. SIGUSR1 prints the counters.
pub(crate) fn program(tun: &str, accept: AcceptMode) -> io::Result<()> {
    use nix::sys::signal::{SigSet, Signal};
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGUSR1);
    // Before the thread of the stack begins, which inherits the mask.
    signals.thread_block()?;
    let device = brooklet_tun::TunBuilder::new(tun).offload(false).open()?;
    let running = Running::start(device, accept)?;
    println!("victim: serving");
    let stack = running.stack.clone();
    thread::spawn(move || {
        while signals.wait().is_ok() {
            eprintln!("victim: counters\n{}", stack.stats());
        }
    });
    Err(running.wait())
}

/// Serves on the kernel's sockets, on threads of this process in the network namespace of the caller.
pub(crate) fn on_kernel() -> io::Result<()> {
    let (sender, receiver) = mpsc::channel();
    let namespace = brooklet_testbed::network::Namespace::of_this_thread();
    thread::spawn(move || {
        namespace.run(|| {
            let executor: &'static Executor<'static> = Box::leak(Box::default());
            let started = async_io::block_on(async {
                for port in [7, 9, 19] {
                    let listener = HostListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
                    executor
                        .spawn(host_listener(executor, listener, port))
                        .detach();
                }
                let socket = HostSocket::bind((SERVER, 7)).await?;
                executor.spawn(host_datagrams(socket)).detach();
                io::Result::Ok(())
            });
            let _ = sender.send(started);
            async_io::block_on(executor.run(future::pending::<()>()));
        });
    });
    receiver.recv().map_err(io::Error::other)?
}

async fn host_listener(executor: &'static Executor<'static>, listener: HostListener, port: u16) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let served = async move {
                let _ = serve(stream, port).await;
            };
            executor.spawn(served).detach();
        }
    }
}

async fn host_datagrams(socket: HostSocket) {
    let mut buffer = vec![0; 2048];
    loop {
        if let Ok((n, from)) = socket.recv_from(&mut buffer).await {
            let _ = socket.send_to(&buffer[..n], from).await;
        }
    }
}
