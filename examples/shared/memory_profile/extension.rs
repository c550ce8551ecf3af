//! The process under attack.

use super::wire::{MTU, Wire};
use async_executor::LocalExecutor;
use brooklet::SessionConfig;
use brooklet::local::{Builder, TcpListener, TcpStream, UdpListener, UdpSession};
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, future};
use std::cell::RefCell;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::pin::Pin;
use std::rc::Rc;

/// Reads everything and forgets it.
pub(super) const DISCARD: u16 = 9;
/// Reads a number of 8 bytes and sends so many bytes.
pub(super) const GENERATE: u16 = 19;
/// Reads nothing.
pub(super) const IGNORE: u16 = 1;

/// What the tasks read into and write from: one buffer for all, because a buffer for each connection
/// would be most of the memory of the program.
type Scratch = Rc<RefCell<Box<[u8]>>>;

type Executor = Rc<LocalExecutor<'static>>;

const SCRATCH: usize = 32 << 10;

pub(super) fn run(memory: usize) -> io::Result<()> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let parts = Builder::new()
        .mtu(MTU)
        .memory(memory)
        .build(Wire::new(UnixDatagram::from(socket))?)?;
    let executor = Rc::new(LocalExecutor::new());
    let scratch: Scratch = Rc::new(RefCell::new(vec![0; SCRATCH].into_boxed_slice()));
    let sessions = parts.udp.into_sessions(SessionConfig::new());
    executor
        .spawn(serve(executor.clone(), parts.tcp, scratch))
        .detach();
    executor
        .spawn(echo_all(executor.clone(), sessions))
        .detach();
    // The driver ends when the other process does.
    let _ = brooklet_reactor::block_on(executor.run(parts.driver));
    Ok(())
}

async fn serve(executor: Executor, listener: TcpListener, scratch: Scratch) {
    while let Ok((stream, _)) = listener.accept().await {
        let scratch = scratch.clone();
        executor
            .spawn(async move {
                // A connection that fails has ended: the next one goes on.
                let _ = match stream.local_addr().map_or(IGNORE, |local| local.port()) {
                    DISCARD => discard(&stream, &scratch).await,
                    GENERATE => generate(&stream, &scratch).await,
                    _ => stream.closed().await,
                };
            })
            .detach();
    }
}

async fn discard(mut stream: &TcpStream, scratch: &Scratch) -> io::Result<()> {
    let read = |cx: &mut std::task::Context<'_>| {
        Pin::new(&mut stream).poll_read(cx, &mut scratch.borrow_mut())
    };
    let mut read = read;
    while future::poll_fn(&mut read).await? > 0 {}
    stream.close().await
}

async fn generate(mut stream: &TcpStream, scratch: &Scratch) -> io::Result<()> {
    let mut count = [0; 8];
    stream.read_exact(&mut count).await?;
    let mut left = u64::from_be_bytes(count);
    while left > 0 {
        let most = left.min(SCRATCH as u64) as usize;
        let sent =
            future::poll_fn(|cx| Pin::new(&mut stream).poll_write(cx, &scratch.borrow()[..most]));
        left -= sent.await? as u64;
    }
    stream.close().await
}

async fn echo_all(executor: Executor, sessions: UdpListener) {
    while let Ok(session) = sessions.accept().await {
        executor.spawn(echo(session)).detach();
    }
}

/// Sends every datagram back, until the session ends.
async fn echo(session: UdpSession) {
    while let Ok(datagram) = session.recv_datagram().await {
        let reply = datagram.reply(&datagram.payload[..]);
        if session.send_datagram(&reply).await.is_err() {
            break;
        }
    }
}
