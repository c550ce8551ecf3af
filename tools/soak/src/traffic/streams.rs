//! Connections.

use super::Worker;
use crate::host::{Host, Stream};
use crate::random::Bytes;
use crate::service::{
    CLOSED, CUT_OFF, DOWNLOAD, ECHO, HALF_CLOSE, LATE, RESET, SLOW_UPLOAD, UNREACHABLE, UPLOAD,
    header, receive, send, sound_out, wrong,
};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future, io};
use smol::Timer;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// How long a client waits that gives up: less than the service of [`LATE`].
const IMPATIENCE: Duration = Duration::from_millis(100);

impl<H: Host> Worker<H> {
    pub(super) async fn short(&mut self) -> io::Result<()> {
        let len = self.random.within(0..20_000);
        match self.random.within(0..3) {
            0 => self.echo(len).await,
            1 => self.upload(UPLOAD, len).await,
            _ => self.download(len, None).await,
        }
    }

    pub(super) async fn bulk(&mut self) -> io::Result<()> {
        let len = self.random.within(100_000..6_000_000) / self.path.divisor;
        match self.random.within(0..4) {
            0 => self.echo(len).await,
            1 => self.upload(UPLOAD, len).await,
            2 => self.download(len, None).await,
            _ => self.half_close(len).await,
        }
    }

    pub(super) async fn slow(&mut self) -> io::Result<()> {
        let len = self.random.within(10_000..400_000) / self.path.divisor;
        match self.random.one_in(2) {
            true => self.upload(SLOW_UPLOAD, len).await,
            false => self.download(len, Some(Duration::from_millis(5))).await,
        }
    }

    pub(super) async fn ending(&mut self) -> io::Result<()> {
        let len = self.random.within(2..100_000);
        match self
            .random
            .within(0..if self.path.requests { 6 } else { 4 })
        {
            0 => self.half_close(len).await,
            1 => self.cut_off(len).await,
            2 => self.reset(len).await,
            3 => {
                self.expect_error(CLOSED, ErrorKind::ConnectionRefused)
                    .await
            }
            4 => {
                self.expect_error(UNREACHABLE, ErrorKind::HostUnreachable)
                    .await
            }
            _ => self.give_up().await,
        }
    }

    async fn connect(&mut self, port: u16) -> io::Result<H::Stream> {
        let to = SocketAddr::new(self.path.server(&mut self.random), port);
        let connected = self.host.connect(to).await;
        connected.map_err(|error| about(&format!("connect to {to}"), &error))
    }

    /// Writes up to the FIN while the same bytes come back.
    async fn echo(&mut self, len: u64) -> io::Result<()> {
        let seed = self.random.next();
        let (mut reader, mut writer) = io::split(self.connect(ECHO).await?);
        let write = async {
            send(&mut writer, seed, len).await?;
            writer.close().await
        };
        let read = receive(&mut reader, seed, len, None, &self.tally);
        future::try_zip(write, read)
            .await
            .map_err(|e| about("echo", &e))?;
        self.connected();
        Ok(())
    }

    async fn upload(&mut self, port: u16, len: u64) -> io::Result<()> {
        let seed = self.random.next();
        let mut stream = self.connect(port).await?;
        let upload = async {
            stream.write_all(&header(seed, len)).await?;
            send(&mut stream, seed, len).await?;
            stream.close().await?;
            let mut receipt = Vec::new();
            stream.read_to_end(&mut receipt).await?;
            match receipt == len.to_be_bytes() {
                true => Ok(()),
                false => Err(wrong("a wrong receipt")),
            }
        };
        upload.await.map_err(|error| about("upload", &error))?;
        self.connected();
        Ok(())
    }

    async fn download(&mut self, len: u64, pause: Option<Duration>) -> io::Result<()> {
        let seed = self.random.next();
        let early = self.random.one_in(2);
        let mut stream = self.connect(DOWNLOAD).await?;
        let download = async {
            stream.write_all(&header(seed, len)).await?;
            if early {
                stream.close().await?;
            }
            receive(&mut stream, seed, len, pause, &self.tally).await?;
            // The kernel takes a second `shutdown` for an error.
            match early {
                true => Ok(()),
                false => close_last(&mut stream).await,
            }
        };
        download.await.map_err(|error| about("download", &error))?;
        self.connected();
        Ok(())
    }

    /// The server closes its direction first.
    async fn half_close(&mut self, len: u64) -> io::Result<()> {
        let seed = self.random.next() >> 1;
        let mut stream = self.connect(HALF_CLOSE).await?;
        let half_close = async {
            stream.write_all(&header(seed, len)).await?;
            receive(&mut stream, seed, len, None, &self.tally).await?;
            send(&mut stream, seed + 1, len).await?;
            close_last(&mut stream).await
        };
        half_close
            .await
            .map_err(|error| about("half-close", &error))?;
        self.connected();
        Ok(())
    }

    /// The server resets the connection half-way, which must not look like an end of stream.
    async fn cut_off(&mut self, len: u64) -> io::Result<()> {
        let seed = self.random.next();
        let mut stream = self.connect(CUT_OFF).await?;
        stream.write_all(&header(seed, len)).await?;
        let (mut reader, mut writer) = io::split(stream);
        let read = receive(&mut reader, seed, len, None, &self.tally);
        let cut_off = future::or(read, sound_out(&mut writer)).await;
        match cut_off {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            other => return Err(wrong(format!("{other:?} in place of a reset"))),
        }
        self.tally.resets.fetch_add(1, Relaxed);
        Ok(())
    }

    async fn reset(&mut self, len: u64) -> io::Result<()> {
        let seed = self.random.next();
        let mut stream = self.connect(RESET).await?;
        send(&mut stream, seed, len).await?;
        stream.reset();
        self.tally.resets.fetch_add(1, Relaxed);
        Ok(())
    }

    async fn expect_error(&mut self, port: u16, kind: ErrorKind) -> io::Result<()> {
        match self.connect(port).await {
            Err(error) if error.kind() == kind => {}
            Err(error) => return Err(wrong(format!("{error} in place of {kind:?}"))),
            Ok(_) => return Err(wrong(format!("connected in place of {kind:?}"))),
        }
        self.tally.refusals.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Gives up before the server has decided.
    async fn give_up(&mut self) -> io::Result<()> {
        let give_up = async {
            Timer::after(IMPATIENCE).await;
            Ok(None)
        };
        let connect = async { self.connect(LATE).await.map(Some) };
        if future::or(give_up, connect).await?.is_some() {
            return Err(wrong("a connection that the server has not accepted"));
        }
        self.tally.refusals.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Sends some bytes and receives them back, on a connection that stays open.
    pub(super) async fn exchange(&mut self, open: &mut Option<H::Stream>) -> io::Result<()> {
        let stream = match open {
            Some(stream) => stream,
            None => {
                let stream = self.connect(ECHO).await?;
                self.tally.kept_open.fetch_add(self.path.flows, Relaxed);
                open.insert(stream)
            }
        };
        let (seed, len) = (self.random.next(), self.random.within(1..5_000));
        let mut sent = vec![0; len as usize];
        Bytes::new(seed).fill(&mut sent);
        stream.write_all(&sent).await?;
        let mut received = vec![0; sent.len()];
        stream.read_exact(&mut received).await?;
        if received != sent {
            return Err(wrong("wrong bytes"));
        }
        self.tally.bytes.fetch_add(len, Relaxed);
        Ok(())
    }

    /// Closes a connection that was kept open.
    pub(super) async fn finish(&mut self, open: Option<H::Stream>) -> io::Result<()> {
        let Some(mut stream) = open else {
            return Ok(());
        };
        stream.close().await?;
        if stream.read(&mut [0]).await? != 0 {
            return Err(wrong("bytes after the last answer"));
        }
        self.tally.kept_open.fetch_sub(self.path.flows, Relaxed);
        self.connected();
        Ok(())
    }

    /// Resets a connection that was kept open, after an error.
    pub(super) fn forget(&self, open: &mut Option<H::Stream>) {
        if let Some(stream) = open.take() {
            self.tally.kept_open.fetch_sub(self.path.flows, Relaxed);
            stream.reset();
        }
    }

    fn connected(&self) {
        self.tally.connections.fetch_add(1, Relaxed);
    }
}

/// Closes a connection that the server has closed. If the ACK of this FIN is lost as many times as
/// TIME-WAIT lasts, which is short here, a RST answers the FIN.
async fn close_last<S: Stream>(stream: &mut S) -> io::Result<()> {
    match stream.close().await {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(()),
        other => other,
    }
}

fn about(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
