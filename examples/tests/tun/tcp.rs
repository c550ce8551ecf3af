//! TCP with the kernel's own sockets.

use crate::support::{Inetd, each_mode, on_inetd};
use brooklet_testbed::LIMIT;
use brooklet_testbed::data::{chargen_round, hash, random};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

each_mode! {
    echo_ipv4,
    echo_ipv6,
    half_close,
    refused,
    stalled_reader_of_echo,
    stalled_reader_of_chargen,
    stalled_service,
    discard,
    chargen,
    answer,
}

const MIB: usize = 1024 * 1024;

/// Addresses that nobody has set up anywhere.
pub(crate) fn somewhere(port: u16) -> SocketAddr {
    ([192, 0, 2, 7], port).into()
}

pub(crate) fn somewhere6(port: u16) -> SocketAddr {
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 7], port).into()
}

/// A connection on which every call has a time limit.
pub(crate) fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&to, LIMIT);
    let stream = stream.unwrap_or_else(|why| panic!("connect to {to}: {why}"));
    stream
        .set_read_timeout(Some(LIMIT))
        .expect("a socket option");
    stream
        .set_write_timeout(Some(LIMIT))
        .expect("a socket option");
    stream
}

fn echo_ipv4(mode: &[&str]) {
    on_inetd(mode, |_| echo(somewhere(7)));
}

fn echo_ipv6(mode: &[&str]) {
    on_inetd(mode, |_| echo(somewhere6(7)));
}

fn echo(to: SocketAddr) {
    let stream = connect(to);
    assert_eq!(stream.peer_addr().expect("connected"), to);
    let sent = random(MIB, 1);
    let mut received = vec![0; sent.len()];
    thread::scope(|scope| {
        scope.spawn(|| (&stream).write_all(&sent).expect("1 MiB written"));
        (&stream).read_exact(&mut received).expect("1 MiB read");
    });
    assert_eq!(hash(&received), hash(&sent), "the bytes differ");
}

fn half_close(mode: &[&str]) {
    on_inetd(mode, |_| {
        for to in [somewhere(7), somewhere6(7)] {
            let mut stream = connect(to);
            let sent = random(100_000, 2);
            stream.write_all(&sent).expect("100 kB written");
            stream.shutdown(Shutdown::Write).expect("half closed");
            let mut received = Vec::new();
            stream.read_to_end(&mut received).expect("read to the end");
            assert_eq!(
                (received.len(), hash(&received)),
                (sent.len(), hash(&sent)),
                "{to}"
            );
        }
    });
}

fn refused(mode: &[&str]) {
    on_inetd(mode, |_| {
        for to in [
            somewhere(81),
            somewhere6(81),
            somewhere(1),
            somewhere(65_535),
        ] {
            let start = Instant::now();
            let refused = TcpStream::connect_timeout(&to, LIMIT);
            let why = refused.expect_err("nobody serves this port").kind();
            assert_eq!(why, ErrorKind::ConnectionRefused, "{to}");
            assert!(
                start.elapsed() < Duration::from_secs(1),
                "{to}: {:?}",
                start.elapsed()
            );
        }
    });
}

fn stalled_reader_of_echo(mode: &[&str]) {
    on_inetd(mode, |_| {
        let stream = connect(somewhere(7));
        let sent = random(4 * MIB, 3);
        let mut received = vec![0; sent.len()];
        thread::scope(|scope| {
            scope.spawn(|| {
                (&stream).write_all(&sent).expect("4 MiB written");
                stream.shutdown(Shutdown::Write).expect("half closed");
            });
            thread::sleep(Duration::from_secs(1));
            (&stream).read_exact(&mut received).expect("4 MiB read");
            assert_eq!((&stream).read(&mut [0]).expect("the end"), 0);
        });
        assert_eq!(hash(&received), hash(&sent), "the bytes differ");
    });
}

fn stalled_reader_of_chargen(mode: &[&str]) {
    on_inetd(mode, |_| {
        let mut stream = connect(somewhere(19));
        thread::sleep(Duration::from_secs(1));
        read_pattern(&mut stream, 4 * MIB);
    });
}

/// A service that does not read stops its client, and nobody else.
fn stalled_service(mode: &[&str]) {
    on_inetd(mode, |_| {
        let mut stalled = connect(somewhere(11));
        stalled
            .set_write_timeout(Some(Duration::from_millis(500)))
            .expect("a socket option");
        let block = [0; 64 * 1024];
        let mut written = 0;
        let why = loop {
            match stalled.write(&block) {
                Ok(n) => written += n,
                Err(why) => break why,
            }
            assert!(written < 64 * MIB, "the service reads");
        };
        assert_eq!(why.kind(), ErrorKind::WouldBlock, "after {written} bytes");
        echo(somewhere(7));
    });
}

fn discard(mode: &[&str]) {
    on_inetd(mode, |_| {
        let mut stream = connect(somewhere(9));
        let block = random(MIB, 4);
        for _ in 0..64 {
            stream.write_all(&block).expect("1 MiB written");
        }
        stream.shutdown(Shutdown::Write).expect("half closed");
        // The end comes when the service has read all before it.
        assert_eq!(stream.read(&mut [0]).expect("the end"), 0);
    });
}

fn chargen(mode: &[&str]) {
    on_inetd(mode, |inetd| {
        let mut stream = connect(somewhere(19));
        read_pattern(&mut stream, 64 * MIB);
        drop(stream);
        answers(inetd);
    });
}

fn read_pattern(stream: &mut TcpStream, len: usize) {
    let expected = chargen_round().repeat(16);
    let mut block = vec![0; expected.len()];
    let mut read = 0;
    while read < len {
        stream
            .read_exact(&mut block)
            .unwrap_or_else(|why| panic!("after {read} bytes: {why}"));
        assert!(block == expected, "not the pattern after {read} bytes");
        read += block.len();
    }
}

fn answer(mode: &[&str]) {
    on_inetd(mode, answers);
}

fn answers(_: &Inetd) {
    for to in [somewhere(80), somewhere6(80)] {
        request(to);
    }
}

/// One question, the answer of 64 bytes, and the end of it from the other side.
pub(crate) fn request(to: SocketAddr) {
    let mut stream = connect(to);
    stream
        .write_all(b"GET / HTTP/1.0\r\n\r\n")
        .expect("a request written");
    let mut answer = Vec::new();
    stream
        .read_to_end(&mut answer)
        .expect("the answer and the end");
    assert_eq!(
        answer.len(),
        64,
        "{to}: {:?}",
        String::from_utf8_lossy(&answer)
    );
}
