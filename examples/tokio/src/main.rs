//! Two stacks in one program on tokio: an echo server and a client, joined by packets in memory.
//!
//! ```sh
//! cargo run --manifest-path examples/tokio/Cargo.toml
//! ```
//!
//! The drivers are tasks of the runtime, [`TokioTimer`] gives them the runtime's time, and
//! `compat()` of tokio-util makes tokio's `AsyncRead` and `AsyncWrite` of a stream.

use brooklet::{Builder, Pipe, Stack, TcpListener, TransparentUdpSocket};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::compat::FuturesAsyncReadCompatExt;

/// In the crate, because the documentation of [`brooklet::Timer`] shows the file.
#[path = "../../../crates/brooklet/src/timer/tokio.rs"]
mod timer;

pub use timer::TokioTimer;

#[tokio::main]
async fn main() -> io::Result<()> {
    let (here, there) = brooklet::pipe(64);
    let client = client(here)?;
    serve(there)?;
    println!("{}", talk(&client, "hello, tokio").await?);
    Ok(())
}

/// Starts a stack with an address of its own.
fn client(device: Pipe) -> io::Result<Stack> {
    let builder = Builder::new().address([10, 0, 0, 1]);
    let parts = builder.build_with_timer(device, TokioTimer::default())?;
    tokio::spawn(parts.driver);
    Ok(parts.stack)
}

/// Starts a stack that echoes on every address and port.
fn serve(device: Pipe) -> io::Result<()> {
    let parts = Builder::new().build_with_timer(device, TokioTimer::default())?;
    tokio::spawn(parts.driver);
    tokio::spawn(echo_streams(parts.tcp));
    tokio::spawn(echo_datagrams(parts.udp));
    Ok(())
}

async fn echo_streams(listener: TcpListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let (mut reader, mut writer) = tokio::io::split(stream.compat());
            tokio::io::copy(&mut reader, &mut writer).await?;
            writer.shutdown().await
        });
    }
}

async fn echo_datagrams(socket: TransparentUdpSocket) -> io::Result<()> {
    loop {
        let datagram = socket.recv_datagram().await?;
        let reply = datagram.reply(&datagram.payload[..]);
        socket.send_datagram(&reply).await?;
    }
}

/// Sends a message and returns what comes back.
async fn talk(stack: &Stack, message: &str) -> io::Result<String> {
    let to = ([192, 0, 2, 1], 7).into();
    let mut stream = stack.connect(to).await?.compat();
    stream.write_all(message.as_bytes()).await?;
    stream.shutdown().await?;
    let mut echo = String::new();
    stream.read_to_string(&mut echo).await?;
    Ok(echo)
}

#[cfg(test)]
mod tests;
