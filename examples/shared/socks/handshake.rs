//! What client and server say to each other before the bytes of the connection.

use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const DOMAIN_NAME: u8 = 3;
const IPV6: u8 = 4;

/// Asks the SOCKS server at the other end of `stream` to connect to `to`. Afterwards the next byte of
/// `stream` is the first one of the connection.
pub(crate) async fn connect(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    to: SocketAddr,
) -> io::Result<()> {
    stream.write_all(&[VERSION, 1, NO_AUTHENTICATION]).await?;
    let mut method = [0; 2];
    stream.read_exact(&mut method).await?;
    match method {
        [VERSION, NO_AUTHENTICATION] => {}
        [VERSION, _] => {
            let why = "the SOCKS server asks for authentication";
            return Err(io::Error::new(ErrorKind::PermissionDenied, why));
        }
        _ => return Err(not_socks()),
    }

    let mut request = vec![VERSION, CONNECT, 0];
    match to {
        SocketAddr::V4(to) => {
            request.push(IPV4);
            request.extend(to.ip().octets());
        }
        SocketAddr::V6(to) => {
            request.push(IPV6);
            request.extend(to.ip().octets());
        }
    }
    request.extend(to.port().to_be_bytes());
    stream.write_all(&request).await?;

    let mut reply = [0; 4];
    stream.read_exact(&mut reply).await?;
    let [VERSION, code, _, address_type] = reply else {
        return Err(not_socks());
    };
    if let Some(why) = failure(code) {
        return Err(why.into());
    }
    // The address and the port that the server connects from; nobody asks for them here.
    let mut length = [0];
    let address = match address_type {
        IPV4 => 4,
        IPV6 => 16,
        DOMAIN_NAME => {
            stream.read_exact(&mut length).await?;
            length[0].into()
        }
        _ => return Err(not_socks()),
    };
    stream.read_exact(&mut vec![0; address + 2]).await?;
    Ok(())
}

/// What a reply of section 6 means; `None` for success.
fn failure(code: u8) -> Option<ErrorKind> {
    Some(match code {
        0 => return None,
        2 => ErrorKind::PermissionDenied, // not allowed by the server's rules
        3 => ErrorKind::NetworkUnreachable,
        4 => ErrorKind::HostUnreachable,
        5 => ErrorKind::ConnectionRefused,
        6 => ErrorKind::TimedOut, // TTL expired
        7 | 8 => ErrorKind::Unsupported,
        _ => ErrorKind::Other,
    })
}

fn not_socks() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "the answer is not SOCKS 5")
}
