//! The client's part of SOCKS 5 (RFC 1928): a CONNECT request without authentication.

mod handshake;

use brooklet_relay::host::{self, Fields, HostStream};
use std::io;
use std::net::SocketAddr;

/// Connects to `to` through the SOCKS server at `server`.
///
/// # Errors
///
/// Those of [`host::connect`] to the server; [`InvalidData`](io::ErrorKind::InvalidData) for an
/// answer that is not SOCKS 5; and for each reply of section 6 the error that a `connect` of the
/// system has in the same case.
pub async fn connect(server: SocketAddr, to: SocketAddr) -> io::Result<HostStream> {
    let connected = host::connect(server, Fields::default()).await;
    let mut stream = connected.map_err(|failed| failed.error)?;
    handshake::connect(&mut stream, to).await?;
    Ok(stream)
}
