//! What the application does, by the port that it is connected to: the same code over streams of
//! brooklet and of the kernel.

use crate::backend::{SERVER, SERVER6};
use brooklet::{Filtering, Mapping};
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

/// Sends back what it reads, and ends when the peer does.
pub(crate) const ECHO: u16 = 7;
/// Reads to the end.
pub(crate) const DISCARD: u16 = 9;
/// Sends 1 MiB and closes.
pub(crate) const SEND: u16 = 19;
/// Neither reads nor writes.
pub(crate) const STALL: u16 = 5001;
/// Writes 100,000 bytes and lets go at once.
pub(crate) const WRITE_AND_DROP: u16 = 5002;
/// Reads to the end, then sends 100,000 bytes and closes.
pub(crate) const ANSWER: u16 = 5003;
/// Sends 100 bytes and ends its half first, then reads to the end.
pub(crate) const HALF_CLOSE: u16 = 5004;
/// Does nothing for 3 s, then reads to the end.
pub(crate) const LATE: u16 = 5005;
/// Reads once, and lets go.
pub(crate) const READ_AND_DROP: u16 = 5006;
/// Sends 1,000 bytes at once, then reads to the end.
pub(crate) const GREET: u16 = 5007;
/// Closes at once.
pub(crate) const CLOSE: u16 = 5008;
/// Sends 10 bytes every 10 ms, 20 times, then reads to the end.
pub(crate) const DRIP: u16 = 5009;
/// Lets go after 200 ms, having read nothing.
pub(crate) const DROP_UNREAD: u16 = 5012;
/// Answers a datagram with none in it.
pub(crate) const EMPTY_ANSWER: u16 = 5010;
/// Answers a datagram with one of 3,000 bytes.
pub(crate) const BIG_ANSWER: u16 = 5011;
/// Sends back one datagram and closes its socket, where each port has a socket of its own.
pub(crate) const ECHO_ONCE: u16 = 5013;

/// Ports where somebody listens.
pub(crate) const TCP_PORTS: [u16; 13] = [
    ECHO,
    DISCARD,
    SEND,
    STALL,
    WRITE_AND_DROP,
    ANSWER,
    HALF_CLOSE,
    LATE,
    READ_AND_DROP,
    GREET,
    CLOSE,
    DRIP,
    DROP_UNREAD,
];
/// Ports that take datagrams.
pub(crate) const UDP_PORTS: [u16; 5] = [ECHO, DISCARD, EMPTY_ANSWER, BIG_ANSWER, ECHO_ONCE];
/// Where the application connects to, on our side, on request.
pub(crate) const OUTWARD: u16 = 9000;
/// Nobody listens here.
pub(crate) const NOBODY: u16 = 4444;

/// Who takes the datagrams. On the kernel it is a socket for each of [`UDP_PORTS`], if anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Udp {
    Nobody,
    /// One socket for all addresses.
    Sockets,
    /// A bound socket for each port of the server, as on the kernel.
    Bound,
    /// A socket of each family, connected to [`OUTWARD`] of the client. It sends a datagram
    /// at first and after each call to receive.
    Connected,
    /// Sessions, which do as each datagram says ([`crate::sessions`]).
    Sessions(Mapping, Filtering),
}

/// What the application does beside that. The defaults are those of the stacks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    /// Who takes datagrams.
    pub(crate) udp: Udp,
    /// Connections ask idle peers after so long.
    pub(crate) keepalive: Option<Duration>,
    /// Connections end when data is not acknowledged for so long.
    pub(crate) user_timeout: Option<Duration>,
    /// How long FIN-WAIT-2 lasts when the application has let go.
    pub(crate) orphan: Option<Duration>,
    /// Whether it connects to us, on [`OUTWARD`], and echoes.
    pub(crate) connect: bool,
    /// How long an incomplete packet waits for its fragments: whole seconds.
    pub(crate) reassembly: Option<Duration>,
    /// The path MTU that brooklet is told of the server's addresses, in bytes.
    pub(crate) server_mtu: Option<usize>,
    /// Whether brooklet's filter drops what is not from one host and to one.
    pub(crate) unicast_only: bool,
}

impl Setup {
    pub(crate) const DEFAULT: Self = Self {
        udp: Udp::Sockets,
        keepalive: None,
        user_timeout: None,
        orphan: None,
        connect: false,
        reassembly: None,
        server_mtu: None,
        unicast_only: true,
    };
}

/// `n` bytes to be recognized by their place.
pub(crate) fn pattern(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i % 251) as u8 ^ (i / 251) as u8).collect()
}

/// A connection as the application saw it.
#[derive(Clone)]
pub(crate) struct Stream {
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    /// When it was offered, since the case began.
    pub(crate) opened: Duration,
    /// What was read.
    pub(crate) data: Vec<u8>,
    /// How many bytes were written.
    pub(crate) written: usize,
    /// The end of reading or the first error.
    pub(crate) end: Option<Result<(), io::ErrorKind>>,
    /// When that was.
    pub(crate) ended: Duration,
}

impl std::fmt::Debug for Stream {
    // Not the bytes: there may be a megabyte of them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} -> {}, opened {:?}, {} bytes read, {} written, end {:?} {:?}",
            self.peer,
            self.local,
            self.opened,
            self.data.len(),
            self.written,
            self.end,
            self.ended
        )
    }
}

/// A datagram as the application saw it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Received {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) data: Vec<u8>,
    /// What became of the answer.
    pub(crate) answer: Option<Result<(), io::ErrorKind>>,
}

/// A UDP session as the application saw it.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) client: SocketAddr,
    /// The destinations of its datagrams.
    pub(crate) to: Vec<SocketAddr>,
    /// The addresses that it sent from, and what became of that.
    pub(crate) sent: Vec<(SocketAddr, Result<(), io::ErrorKind>)>,
    /// When it ended, since the case began.
    pub(crate) ended: Option<Duration>,
}

/// What happened in the application.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) streams: Vec<Stream>,
    pub(crate) datagrams: Vec<Received>,
    /// The address of a connected UDP socket, and what a call to receive has returned.
    pub(crate) udp_results: Vec<(SocketAddr, Result<Vec<u8>, io::ErrorKind>)>,
    /// The UDP sessions, in the order of their opening.
    pub(crate) sessions: Vec<Session>,
    /// What became of its own connecting.
    pub(crate) connected: Option<Result<(), io::ErrorKind>>,
    /// What must not happen: the end of the stack, of a listener, of a socket.
    pub(crate) faults: Vec<String>,
}

pub(crate) type Sleep = Pin<Box<dyn Future<Output = ()>>>;

/// Where the application runs: its log and its clock.
#[derive(Clone)]
pub(crate) struct Env {
    pub(crate) log: Rc<RefCell<Log>>,
    pub(crate) now: Rc<dyn Fn() -> Duration>,
    pub(crate) sleep: Rc<dyn Fn(Duration) -> Sleep>,
}

impl Env {
    pub(crate) fn fault(&self, what: String) {
        self.log.borrow_mut().faults.push(what);
    }
}

/// A connection that the application began, and its echo.
pub(crate) async fn connect<S>(env: Env, stream: io::Result<(S, SocketAddr)>, peer: SocketAddr)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let result = stream.as_ref().map(drop).map_err(io::Error::kind);
    env.log.borrow_mut().connected = Some(result);
    if let Ok((stream, local)) = stream {
        play(env, ECHO, stream, peer, local).await;
    }
}

/// A connection that the application accepted.
pub(crate) async fn serve<S>(env: Env, stream: S, peer: SocketAddr, local: SocketAddr)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    play(env, local.port(), stream, peer, local).await;
}

async fn play<S>(env: Env, role: u16, stream: S, peer: SocketAddr, local: SocketAddr)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let index = {
        let mut log = env.log.borrow_mut();
        log.streams.push(Stream {
            peer,
            local,
            opened: (env.now)(),
            data: Vec::new(),
            written: 0,
            end: None,
            ended: Duration::ZERO,
        });
        log.streams.len() - 1
    };
    let mut conn = Conn { env, stream, index };
    let end = conn.play(role).await;
    let mut log = conn.env.log.borrow_mut();
    let entry = &mut log.streams[index];
    if entry.end.is_none() {
        entry.end = end.err().map(|error| Err(error.kind()));
        entry.ended = (conn.env.now)();
    }
}

struct Conn<S> {
    env: Env,
    stream: S,
    index: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conn<S> {
    async fn play(&mut self, role: u16) -> io::Result<()> {
        match role {
            ECHO => {
                loop {
                    let data = self.read().await?;
                    if data.is_empty() {
                        break;
                    }
                    self.write(&data).await?;
                }
                self.stream.close().await
            }
            SEND => self.write(&pattern(1 << 20)).await,
            STALL => std::future::pending().await,
            WRITE_AND_DROP => self.write(&pattern(100_000)).await,
            ANSWER => {
                self.read_all().await?;
                self.write(&pattern(100_000)).await
            }
            HALF_CLOSE => {
                self.write(&pattern(100)).await?;
                self.stream.close().await?;
                self.read_all().await
            }
            LATE => {
                (self.env.sleep)(Duration::from_secs(3)).await;
                self.read_all().await
            }
            READ_AND_DROP => self.read().await.map(drop),
            GREET => {
                self.write(&pattern(1000)).await?;
                self.read_all().await
            }
            CLOSE => Ok(()),
            DROP_UNREAD => {
                (self.env.sleep)(Duration::from_millis(200)).await;
                Ok(())
            }
            DRIP => {
                for part in pattern(200).chunks(10) {
                    self.write(part).await?;
                    (self.env.sleep)(Duration::from_millis(10)).await;
                }
                self.read_all().await
            }
            _ => self.read_all().await,
        }
    }

    async fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut buf = vec![0; 16 * 1024];
        let result = self.stream.read(&mut buf).await;
        let mut log = self.env.log.borrow_mut();
        let entry = &mut log.streams[self.index];
        match &result {
            Ok(0) => entry.end = Some(Ok(())),
            Ok(n) => entry.data.extend(&buf[..*n]),
            Err(error) => entry.end = Some(Err(error.kind())),
        }
        entry.ended = (self.env.now)();
        buf.truncate(result?);
        Ok(buf)
    }

    async fn read_all(&mut self) -> io::Result<()> {
        while !self.read().await?.is_empty() {}
        Ok(())
    }

    async fn write(&mut self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            let n = self.stream.write(data).await?;
            self.env.log.borrow_mut().streams[self.index].written += n;
            data = &data[n..];
        }
        Ok(())
    }
}

/// What a connected UDP socket sends.
pub(crate) const GREETING: &[u8] = b"anything for me?";

/// The addresses of the UDP socket that is connected to a host, and of its peer.
pub(crate) fn connected_ends(host: IpAddr) -> (SocketAddr, SocketAddr) {
    let local = match host {
        IpAddr::V4(_) => IpAddr::V4(SERVER),
        IpAddr::V6(_) => IpAddr::V6(SERVER6),
    };
    (
        SocketAddr::new(local, 50_000),
        SocketAddr::new(host, OUTWARD),
    )
}

/// Logs what a call to receive has returned, on a connected UDP socket with this address.
pub(crate) fn received(env: &Env, local: SocketAddr, result: io::Result<Vec<u8>>) {
    let result = result.map_err(|error| error.kind());
    env.log.borrow_mut().udp_results.push((local, result));
}

/// The answer to a datagram, if it gets one.
pub(crate) fn answer(port: u16, data: &[u8]) -> Option<Vec<u8>> {
    match port {
        ECHO | ECHO_ONCE => Some(data.to_vec()),
        EMPTY_ANSWER => Some(Vec::new()),
        BIG_ANSWER => Some(pattern(3000)),
        _ => None,
    }
}
