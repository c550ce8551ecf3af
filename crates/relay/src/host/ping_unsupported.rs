use super::{Fields, PingArrival};
use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::net::IpAddr;

/// A socket of the host that sends echo requests: on Linux only.
#[derive(Debug)]
pub struct PingSocket(Infallible);

impl PingSocket {
    /// Opens no socket.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](ErrorKind::Unsupported), always.
    pub fn open(_: bool) -> io::Result<Self> {
        Err(ErrorKind::Unsupported.into())
    }

    /// Sends an echo request.
    ///
    /// # Errors
    ///
    /// There is no socket to call this on.
    pub fn send(&self, _: IpAddr, _: u16, _: &[u8], _: Fields) -> io::Result<()> {
        match self.0 {}
    }

    /// Receives an echo reply or a report.
    ///
    /// # Errors
    ///
    /// There is no socket to call this on.
    pub async fn recv(&self) -> io::Result<PingArrival> {
        match self.0 {}
    }
}
