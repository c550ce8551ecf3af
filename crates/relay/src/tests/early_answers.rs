//! A server answers before it has read the whole request, and closes. Its system then sends a RST,
//! because data was not read. The client reads the answer nevertheless, as without the relay.

use super::connections::dialing;
use super::{client, world};
use crate::host::DialError;
use crate::{DialRequest, Limits, Map, Upstream};
use brooklet::TcpOptions;
use futures_lite::future::{block_on, zip};
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, future};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const RUNS: u16 = 50;
const ANSWER: usize = 16 * 1024;
/// What the server reads of the request, which has no end.
const READ: usize = 1024 * 1024;
static CHUNK: [u8; 65_536] = [b'q'; 65_536];

/// How the server ends the connection after the answer. Parts of the request are not read.
#[derive(Clone, Copy, PartialEq)]
enum Ending {
    /// A RST.
    Close,
    /// A FIN, and then a RST.
    ShutdownAndClose,
}

/// Answers early, so many times. Returns the address.
fn server(ending: Ending, runs: u16) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let serve = thread::spawn(move || {
        for _ in 0..runs {
            let (mut stream, _) = listener.accept().unwrap();
            // The upload is in full flow.
            stream.read_exact(&mut vec![0; READ]).unwrap();
            stream.write_all(&[b'a'; ANSWER]).unwrap();
            if ending == Ending::ShutdownAndClose {
                stream.shutdown(Shutdown::Write).unwrap();
            }
            // The data of the client arrives, and is not read.
            while stream.peek(&mut [0; 1]).unwrap() == 0 {}
        }
    });
    (address, serve)
}

/// Checks what the client has read, and how the connection ended.
fn check(run: u16, answer: &[u8], end: io::Result<usize>, ending: Ending) {
    assert_eq!(answer.len(), ANSWER, "run {run}: the answer is cut off");
    match ending {
        Ending::Close => {}
        Ending::ShutdownAndClose => assert!(end.is_ok(), "run {run}: {end:?}"),
    }
}

fn ask_directly(ending: Ending) {
    let (address, serve) = server(ending, RUNS);
    for run in 0..RUNS {
        let mut stream = TcpStream::connect(address).unwrap();
        let mut writer = stream.try_clone().unwrap();
        let upload = thread::spawn(move || while writer.write_all(&CHUNK).is_ok() {});
        let mut answer = Vec::new();
        let end = stream.read_to_end(&mut answer);
        upload.join().unwrap();
        check(run, &answer, end, ending);
    }
    serve.join().unwrap();
}

fn ask_through_the_relay(ending: Ending) {
    let (address, serve) = server(ending, RUNS);
    let world = world(Limits::default());
    let remote = (super::REMOTE, address.port()).into();
    block_on(async {
        for run in 0..RUNS {
            let connect = world.client.connect_from(client(1000 + run), remote);
            let stream = connect.await.unwrap();
            let upload = async {
                let error = loop {
                    if let Err(error) = (&stream).write_all(&CHUNK).await {
                        break error;
                    }
                };
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            };
            let mut answer = Vec::new();
            let download = async { (&stream).read_to_end(&mut answer).await };
            let ((), end) = zip(upload, download).await;
            check(run, &answer, end, ending);
        }
    });
    serve.join().unwrap();
    assert_eq!(world.relay.stats().host_resets, RUNS.into());
}

#[test]
fn directly_the_client_reads_an_early_answer_before_a_reset() {
    ask_directly(Ending::Close);
}

#[test]
fn the_client_reads_an_early_answer_before_a_reset() {
    ask_through_the_relay(Ending::Close);
}

#[test]
fn directly_the_client_reads_an_early_answer_to_its_end() {
    ask_directly(Ending::ShutdownAndClose);
}

#[test]
fn the_client_reads_an_early_answer_to_its_end() {
    ask_through_the_relay(Ending::ShutdownAndClose);
}

#[test]
fn a_slow_client_reads_the_answer_before_the_reset() {
    const LONG: usize = 60_000;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let serve = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&[b'a'; LONG]).unwrap();
        // The question is not read.
        while stream.peek(&mut [0; 1]).unwrap() == 0 {}
    });
    let world = world(Limits::default());
    let remote = (super::REMOTE, address.port()).into();
    block_on(async {
        // Most of the answer waits in the relay's stack.
        let options = TcpOptions::new().recv_buffer(4096).recv_buffer_max(4096);
        let connect = world.client.connect_with(client(1000), remote, options);
        let mut stream = connect.await.unwrap();
        stream.write_all(b"question").await.unwrap();
        smol::Timer::after(Duration::from_millis(500)).await;
        let mut answer = Vec::new();
        let end = stream.read_to_end(&mut answer).await;
        assert_eq!(answer.len(), LONG, "{end:?}");
        assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    });
    serve.join().unwrap();
}

/// A host whose RST a write finds first: the write has the error, and reads after it return the
/// answer and then end.
struct Answered {
    error: ErrorKind,
    has_failed: bool,
    answer: &'static [u8],
    reader: Option<Waker>,
}

impl AsyncRead for Answered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if !self.has_failed {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Read::read(&mut self.answer, buffer))
    }
}

impl AsyncWrite for Answered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.has_failed = true;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(Err(self.error.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Upstream for Answered {
    fn reset(&mut self) {}
}

#[test]
fn an_answer_that_a_write_overtakes_is_read_to_its_end() {
    // With "broken pipe" the host had sent a FIN before the RST.
    for (error, has_end) in [
        (ErrorKind::ConnectionReset, false),
        (ErrorKind::BrokenPipe, true),
    ] {
        let dialer = move |_: DialRequest| {
            future::ready(Ok::<_, DialError>(Answered {
                error,
                has_failed: false,
                answer: b"answer",
                reader: None,
            }))
        };
        let (world, _) = dialing(Limits::default(), Map::transparent(), dialer);
        block_on(async {
            let connect = world
                .client
                .connect_from(client(1000), (super::REMOTE, 80).into());
            let mut stream = connect.await.unwrap();
            stream.write_all(b"question").await.unwrap();
            let mut answer = Vec::new();
            let end = stream.read_to_end(&mut answer).await;
            assert_eq!(answer, b"answer");
            assert_eq!(end.is_ok(), has_end, "{error}: {end:?}");
            let reset = stream.closed().await.unwrap_err();
            assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
        });
    }
}
