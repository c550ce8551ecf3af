//! The services as those that run on tokio do them.

use super::{ANSWER, BUFFER, CHARGEN, DISCARD, ECHO, HOLD, WEB};
use std::future;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Serves one connection to its end.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, port: u16) {
    converse(&mut stream, port, BUFFER).await;
    // How a connection ends is its peer's affair.
    let _ = stream.shutdown().await;
}

/// Serves one connection and leaves it open; chargen writes `chunk` bytes at a time.
pub(super) async fn converse<S>(stream: &mut S, port: u16, chunk: usize)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let _ = match port {
        ECHO => echo(stream).await,
        DISCARD => discard(stream).await,
        HOLD => future::pending().await,
        CHARGEN => chargen(stream, chunk).await,
        WEB => answer(stream).await,
        _ => Ok(()),
    };
}

async fn echo<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..n]).await?;
    }
}

async fn discard<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

async fn chargen<S: AsyncWrite + Unpin>(stream: &mut S, chunk: usize) -> io::Result<()> {
    let bytes = vec![b'#'; chunk];
    loop {
        stream.write_all(&bytes).await?;
    }
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> io::Result<()> {
    if stream.read(&mut [0; 4096]).await? > 0 {
        stream.write_all(ANSWER).await?;
    }
    Ok(())
}
