use super::{Fields, Report};
use async_io::Async;
use socket2::SockRef;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Mutex;

/// The largest datagram there is.
const LARGEST: usize = 65_535;

/// An unconnected UDP socket of the host: one port for all remote hosts.
#[derive(Debug)]
pub struct HostUdpSocket {
    socket: Async<UdpSocket>,
    ipv6: bool,
    /// The hop limit that the socket has now.
    hop_limit: Mutex<Option<u8>>,
    buffer: Mutex<Vec<u8>>,
}

/// What arrives at a [`HostUdpSocket`].
#[derive(Debug)]
pub enum UdpArrival {
    /// A datagram.
    Datagram {
        /// The sender.
        from: SocketAddr,
        /// The payload.
        payload: Vec<u8>,
        /// The fields of the IP header.
        fields: Fields,
    },
    /// An error about a datagram that this socket sent. Not on this system.
    Report(Report),
}

impl HostUdpSocket {
    /// Binds a socket to an unused port of all IPv4 or all IPv6 addresses.
    ///
    /// # Errors
    ///
    /// Those of the system: too many open files, or no such address family.
    pub fn bind(ipv6: bool) -> io::Result<Self> {
        let any = if ipv6 {
            IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        } else {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED)
        };
        Ok(Self {
            socket: Async::<UdpSocket>::bind((any, 0))?,
            ipv6,
            hop_limit: Mutex::new(None),
            buffer: Mutex::new(vec![0; LARGEST]),
        })
    }

    /// Returns the local address.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.get_ref().local_addr()
    }

    /// Sends a datagram without waiting. The host may fragment it.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](ErrorKind::WouldBlock): the buffer of the socket is full; or those of the
    /// system.
    pub fn send(&self, to: SocketAddr, payload: &[u8], fields: Fields) -> io::Result<()> {
        self.set_hop_limit(fields.hop_limit)?;
        self.socket.get_ref().send_to(payload, to).map(drop)
    }

    fn set_hop_limit(&self, limit: Option<u8>) -> io::Result<()> {
        let mut now = lock(&self.hop_limit);
        if let Some(limit) = limit.filter(|_| *now != limit) {
            let socket = SockRef::from(self.socket.get_ref());
            if self.ipv6 {
                socket.set_unicast_hops_v6(limit.max(1).into())?;
            } else {
                socket.set_ttl_v4(limit.max(1).into())?;
            }
            *now = Some(limit);
        }
        Ok(())
    }

    /// Receives a datagram.
    ///
    /// # Errors
    ///
    /// Those of the system that are about no datagram.
    ///
    /// # Cancel safety
    ///
    /// A dropped future has taken nothing.
    pub async fn recv(&self) -> io::Result<UdpArrival> {
        self.socket.read_with(|_| self.try_recv()).await
    }

    /// Receives without waiting: [`WouldBlock`](ErrorKind::WouldBlock) if nothing has arrived.
    ///
    /// # Errors
    ///
    /// As for [`recv`](Self::recv).
    pub fn try_recv(&self) -> io::Result<UdpArrival> {
        let mut buffer = lock(&self.buffer);
        loop {
            match self.socket.get_ref().recv_from(&mut buffer) {
                Ok((length, from)) => {
                    return Ok(UdpArrival::Datagram {
                        from,
                        payload: buffer[..length].to_vec(),
                        fields: Fields::default(),
                    });
                }
                // Windows reports port unreachable here, without saying for which datagram.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset
                    ) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Ignores poisoning: no panic leaves the guarded values half changed.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
