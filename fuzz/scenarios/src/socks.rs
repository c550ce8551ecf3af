//! What a SOCKS server may answer to the client of `tun2socks`.

#[path = "../../../examples/shared/socks/handshake.rs"]
mod handshake;

use crate::input::Input;
use crate::targets::named;
use futures_lite::{AsyncRead, AsyncWrite};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

/// Reads `data` as sizes of reads and as what the server says, and connects through that server.
/// Returns whether the connection was made.
///
/// # Panics
///
/// When the client takes an answer that RFC 1928 does not allow or refuses another one, reads a byte
/// of the connection, asks for anything but the destination, or never ends.
pub fn socks(data: &[u8]) -> bool {
    let (head, answer) = data.split_at(data.len().min(HEAD));
    let mut input = Input::new(head);
    let to: SocketAddr = if input.chance(128) {
        ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 7], 443).into()
    } else {
        ([192, 0, 2, 7], 80).into()
    };
    let mut server = Server {
        answer,
        at: 0,
        said: Vec::new(),
        sizes: [input.byte(), input.byte()],
        turn: 0,
    };
    let connected = {
        let mut connect = pin!(handshake::connect(&mut server, to));
        let mut context = Context::from_waker(Waker::noop());
        // Every second call of the server waits.
        let mut polls = 4 * answer.len() + 64;
        loop {
            if let Poll::Ready(connected) = connect.as_mut().poll(&mut context) {
                break connected;
            }
            polls -= 1;
            assert!(polls > 0, "no end");
        }
    };
    let request = request(to);
    match expected(answer) {
        Ok(len) => {
            connected.as_ref().expect("the answer is good");
            assert_eq!(server.at, len, "bytes of the connection");
            assert_eq!(server.said, request);
        }
        Err(kind) => {
            let error = connected.as_ref().expect_err("the answer is bad");
            assert_eq!(error.kind(), kind, "{error}");
            assert!(request.starts_with(&server.said));
        }
    }
    connected.is_ok()
}

/// The bytes of an input before those of the answer.
const HEAD: usize = 3;

/// What the client says in all.
fn request(to: SocketAddr) -> Vec<u8> {
    let mut request = vec![5, 1, 0, 5, 1, 0];
    match to {
        SocketAddr::V4(to) => {
            request.push(1);
            request.extend(to.ip().octets());
        }
        SocketAddr::V6(to) => {
            request.push(4);
            request.extend(to.ip().octets());
        }
    }
    request.extend(to.port().to_be_bytes());
    request
}

/// The length of a good answer, or what is wrong with a bad one.
fn expected(answer: &[u8]) -> Result<usize, ErrorKind> {
    let end = ErrorKind::UnexpectedEof;
    match *answer.get(..2).ok_or(end)? {
        [5, 0] => {}
        [5, _] => return Err(ErrorKind::PermissionDenied),
        _ => return Err(ErrorKind::InvalidData),
    }
    let reply = answer.get(2..6).ok_or(end)?;
    if reply[0] != 5 {
        return Err(ErrorKind::InvalidData);
    }
    match reply[1] {
        0 => {}
        2 => return Err(ErrorKind::PermissionDenied),
        3 => return Err(ErrorKind::NetworkUnreachable),
        4 => return Err(ErrorKind::HostUnreachable),
        5 => return Err(ErrorKind::ConnectionRefused),
        6 => return Err(ErrorKind::TimedOut),
        7 | 8 => return Err(ErrorKind::Unsupported),
        _ => return Err(ErrorKind::Other),
    }
    let len = match reply[3] {
        1 => 6 + 4 + 2,
        3 => 6 + 1 + usize::from(*answer.get(6).ok_or(end)?) + 2,
        4 => 6 + 16 + 2,
        _ => return Err(ErrorKind::InvalidData),
    };
    answer.get(..len).map(<[u8]>::len).ok_or(end)
}

/// A connection to a server that says what it says, some bytes at a time.
#[derive(Debug)]
struct Server<'a> {
    answer: &'a [u8],
    at: usize,
    said: Vec<u8>,
    sizes: [u8; 2],
    turn: usize,
}

impl Server<'_> {
    /// Waits, or passes up to some bytes.
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        let size = self.sizes[self.turn % 2];
        self.turn += 1;
        if size >= 128 {
            self.sizes[(self.turn + 1) % 2] -= 128;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(1 + usize::from(size) % 16)
    }
}

impl AsyncRead for Server<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Poll::Ready(most) = self.turn(cx) else {
            return Poll::Pending;
        };
        let rest = &self.answer[self.at..];
        let len = rest.len().min(buf.len()).min(most);
        buf[..len].copy_from_slice(&rest[..len]);
        self.at += len;
        Poll::Ready(Ok(len))
    }
}

impl AsyncWrite for Server<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Poll::Ready(most) = self.turn(cx) else {
            return Poll::Pending;
        };
        let len = buf.len().min(most);
        self.said.extend(&buf[..len]);
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

pub(crate) fn corpus() -> Vec<(String, Vec<u8>)> {
    let input = |head: [u8; HEAD], answer: &[u8]| [&head[..], answer].concat();
    let name = b"\x05\0\x05\0\0\x03\x09localhost\0\x50first bytes";
    let v6 = [&b"\x05\0\x05\0\0\x04"[..], &[0xfd; 16], &[0, 80]].concat();
    named([
        (
            "v4",
            input([0, 15, 15], b"\x05\0\x05\0\0\x01\x0a\0\0\x01\0\x50hello"),
        ),
        ("v6-byte-by-byte", input([255, 0, 128], &v6)),
        ("name", input([0, 3, 140], name)),
        (
            "refused",
            input([0, 15, 15], b"\x05\0\x05\x05\0\x01\0\0\0\0\0\0"),
        ),
        ("authentication", input([0, 15, 15], b"\x05\x02")),
        ("ends-early", input([0, 1, 1], b"\x05\0\x05\0\0\x03\x20lo")),
    ])
}
