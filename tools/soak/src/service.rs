//! What answers the traffic: a service for each port.
//!
//! A client begins with 16 bytes, the seed of the transfer's bytes and their number.

use crate::host::Stream;
use crate::random::Bytes;
use crate::tally::Tally;
use brooklet::{
    SessionConfig, TcpListener, TcpRequest, UdpFlowError, UdpListener, UdpSession, Unreachable,
};
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt, future, io};
use smol::{Async, Timer};
use std::fmt;
use std::io::ErrorKind;
use std::net::{IpAddr, TcpListener as KernelListener, UdpSocket};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Returns what arrives, also after the client has sent its FIN.
pub(crate) const ECHO: u16 = 7;
/// Checks what arrives up to the client's FIN, and then answers with the number of bytes.
pub(crate) const UPLOAD: u16 = 9;
/// The same, by a reader that is slow.
pub(crate) const SLOW_UPLOAD: u16 = 10;
/// Sends what the client has asked for, then its FIN.
pub(crate) const DOWNLOAD: u16 = 19;
/// Sends the half of what the client has asked for, then a RST.
pub(crate) const CUT_OFF: u16 = 20;
/// Sends what the client has asked for, then its FIN, and then checks what the client sends.
pub(crate) const HALF_CLOSE: u16 = 21;
/// Receives until the client sends its RST.
pub(crate) const RESET: u16 = 22;
/// Refused, as a port is on which nobody listens.
pub(crate) const CLOSED: u16 = 23;
/// Rejected with "host unreachable".
pub(crate) const UNREACHABLE: u16 = 24;
/// Answered after the client has given up.
pub(crate) const LATE: u16 = 25;

/// The ports with a listener.
const SERVED: [u16; 7] = [
    ECHO,
    UPLOAD,
    SLOW_UPLOAD,
    DOWNLOAD,
    CUT_OFF,
    HALF_CLOSE,
    RESET,
];

/// Without datagrams for this time a session ends.
pub(crate) const SESSION_IDLE: Duration = Duration::from_secs(2);

/// How long a request to [`LATE`] waits.
const LATENESS: Duration = Duration::from_millis(300);

/// How often a side that waits for a RST sends a byte.
const SOUNDING: Duration = Duration::from_millis(500);

/// What a service writes and reads at a time, in bytes.
const BLOCK: usize = 16 << 10;

/// A stack's connections, until it is shut down.
pub(crate) async fn serve_requests(place: &'static str, listener: TcpListener, tally: Tally) {
    let mut requests = listener.requests();
    while let Some(request) = requests.next().await {
        match request {
            Ok(request) => smol::spawn(answer(place, request, tally.clone())).detach(),
            Err(error) if error.kind() == ErrorKind::NetworkDown => break,
            Err(error) => return tally.error(format!("{place}: accept: {error}")),
        }
    }
}

async fn answer(place: &'static str, request: TcpRequest, tally: Tally) {
    let port = request.local_addr().port();
    match port {
        CLOSED => return request.refuse(),
        UNREACHABLE => return request.reject(Unreachable::Host),
        LATE => {
            let late = async {
                Timer::after(LATENESS).await;
            };
            future::or(request.withdrawn(), late).await;
            // Nobody is there any more: an error, or a connection that is reset at once.
            drop(request.accept().await);
            return;
        }
        _ => {}
    }
    match request.accept().await {
        Ok(stream) => serve(place, port, stream, &tally).await,
        // The client's RST may come before the third packet.
        Err(_) if port == RESET => {}
        Err(error) => tally.error(format!("{place}: port {port}: accept: {error}")),
    }
}

/// The kernel's connections.
pub(crate) fn serve_kernel(
    place: &'static str,
    address: IpAddr,
    tally: &Tally,
) -> io::Result<Vec<smol::Task<()>>> {
    let mut tasks = Vec::new();
    for port in SERVED {
        let listener = Async::<KernelListener>::bind((address, port))?;
        let tally = tally.clone();
        tasks.push(smol::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let (stream, tally) = (smol::net::TcpStream::from(stream), tally.clone());
                        let serve = async move { serve(place, port, stream, &tally).await };
                        smol::spawn(serve).detach();
                    }
                    Err(error) => tally.error(format!("{place}: the kernel's accept: {error}")),
                }
            }
        }));
    }
    let socket = Async::<UdpSocket>::bind((address, ECHO))?;
    let tally = tally.clone();
    tasks.push(smol::spawn(async move {
        let mut buf = vec![0; 65_536];
        loop {
            let echo = async {
                let (len, from) = socket.recv_from(&mut buf).await?;
                socket.send_to(&buf[..len], from).await
            };
            if let Err(error) = echo.await {
                tally.error(format!("{place}: the kernel's datagram: {error}"));
            }
        }
    }));
    Ok(tasks)
}

/// The settings of the sessions.
pub(crate) fn session_config() -> SessionConfig {
    SessionConfig::new().idle_timeout(SESSION_IDLE)
}

/// A stack's UDP sessions, until it is shut down.
pub(crate) async fn serve_sessions(place: &'static str, listener: UdpListener, tally: Tally) {
    while let Ok(session) = listener.accept().await {
        smol::spawn(echo_datagrams(place, session, tally.clone())).detach();
    }
}

async fn echo_datagrams(place: &'static str, session: UdpSession, tally: Tally) {
    let error = loop {
        let datagram = match session.recv_datagram().await {
            Ok(datagram) => datagram,
            // An answer that came late or twice, to a client that has closed its socket.
            Err(error) if error.get_ref().is_some_and(|why| why.is::<UdpFlowError>()) => continue,
            Err(error) => break error,
        };
        // The answer of another echo service, to a client that has closed its socket meanwhile. The
        // two services would answer each other without end.
        if datagram.to.port() != ECHO {
            continue;
        }
        let payload = datagram.payload.clone();
        if let Err(error) = session.send_datagram(&datagram.reply(payload)).await {
            break error;
        }
    };
    let end = error.get_ref().and_then(|end| end.downcast_ref());
    match end {
        Some(brooklet::SessionEnd::Idle) => {
            tally.expired.fetch_add(1, Relaxed);
        }
        _ if error.kind() == ErrorKind::NetworkDown => {}
        _ => tally.error(format!("{place}: a UDP session: {error}")),
    }
}

async fn serve<S: Stream>(place: &'static str, port: u16, stream: S, tally: &Tally) {
    if let Err(error) = serve_port(port, stream, tally).await {
        tally.error(format!("{place}: the service of port {port}: {error}"));
    }
}

async fn serve_port<S: Stream>(port: u16, mut stream: S, tally: &Tally) -> io::Result<()> {
    if port == ECHO {
        let mut buf = vec![0; BLOCK];
        loop {
            match stream.read(&mut buf).await? {
                0 => return stream.close().await,
                len => stream.write_all(&buf[..len]).await?,
            }
        }
    }
    if port == RESET {
        let (mut reader, mut writer) = io::split(stream);
        let mut buf = vec![0; BLOCK];
        let read = async {
            loop {
                match reader.read(&mut buf).await {
                    Ok(0) => break Err(wrong("an end of stream in place of a reset")),
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::ConnectionReset => break Ok(()),
                    Err(error) => break Err(error),
                }
            }
        };
        return future::or(read, sound_out(&mut writer)).await;
    }
    let mut header = [0; 16];
    stream.read_exact(&mut header).await?;
    let (seed, len) = parse_header(header);
    match port {
        UPLOAD | SLOW_UPLOAD => {
            let pause = (port == SLOW_UPLOAD).then_some(Duration::from_millis(5));
            receive(&mut stream, seed, len, pause, tally).await?;
            stream.write_all(&len.to_be_bytes()).await?;
            stream.close().await
        }
        DOWNLOAD => {
            send(&mut stream, seed, len).await?;
            stream.close().await
        }
        CUT_OFF => {
            send(&mut stream, seed, len / 2).await?;
            stream.reset();
            Ok(())
        }
        HALF_CLOSE => {
            send(&mut stream, seed, len).await?;
            stream.close().await?;
            receive(&mut stream, seed + 1, len, None, tally).await
        }
        _ => Err(wrong("no such service")),
    }
}

/// Sends a byte from time to time, for a side that waits for a RST: if the RST is lost, the byte
/// brings another one.
pub(crate) async fn sound_out<W: AsyncWrite + Unpin>(stream: &mut W) -> io::Result<()> {
    loop {
        Timer::after(SOUNDING).await;
        if stream.write_all(b"?").await.is_err() {
            // The reader sees it, too.
            future::pending::<()>().await;
        }
    }
}

/// Makes the first bytes of a connection.
pub(crate) fn header(seed: u64, len: u64) -> [u8; 16] {
    (u128::from(seed) << 64 | u128::from(len)).to_be_bytes()
}

fn parse_header(header: [u8; 16]) -> (u64, u64) {
    let header = u128::from_be_bytes(header);
    ((header >> 64) as u64, header as u64)
}

/// Sends the bytes of a transfer.
pub(crate) async fn send<W>(stream: &mut W, seed: u64, len: u64) -> io::Result<()>
where
    W: AsyncWrite + Unpin,
{
    let (mut bytes, mut buf) = (Bytes::new(seed), vec![0; BLOCK]);
    while bytes.place() < len {
        let next = BLOCK.min((len - bytes.place()) as usize);
        bytes.fill(&mut buf[..next]);
        stream.write_all(&buf[..next]).await?;
    }
    Ok(())
}

/// Receives the bytes of a transfer and the end of the stream. With a pause after each kilobyte it
/// is a slow reader.
pub(crate) async fn receive<R>(
    stream: &mut R,
    seed: u64,
    len: u64,
    pause: Option<Duration>,
    tally: &Tally,
) -> io::Result<()>
where
    R: AsyncRead + Unpin,
{
    let mut bytes = Bytes::new(seed);
    let mut buf = vec![0; if pause.is_some() { 1024 } else { BLOCK }];
    loop {
        let got = stream.read(&mut buf).await.map_err(|error| {
            let (kind, place) = (error.kind(), bytes.place());
            io::Error::new(kind, format!("after {place} of {len} bytes: {error}"))
        })?;
        if got == 0 {
            break;
        }
        if !bytes.check(&buf[..got]) {
            return Err(wrong("wrong bytes"));
        }
        tally.bytes.fetch_add(got as u64, Relaxed);
        if let Some(pause) = pause {
            Timer::after(pause).await;
        }
    }
    if bytes.place() != len {
        let place = bytes.place();
        return Err(wrong(format!(
            "the stream ended after {place} of {len} bytes"
        )));
    }
    Ok(())
}

/// An error of the traffic's own.
pub(crate) fn wrong(what: impl fmt::Display) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.to_string())
}
