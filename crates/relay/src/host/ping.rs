use super::messages::{EARLIER_ERRORS, Messages, is_icmp};
use super::{Fields, PingArrival, Report, error_queue};
use brooklet_reactor::Async;
use futures_lite::future;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The length of the header of an echo request or reply, in bytes.
const HEADER: usize = 8;

/// A socket of the host that sends echo requests, for IPv4 or IPv6.
///
/// An unprivileged ICMP socket where `net.ipv4.ping_group_range` allows the process one, or else a
/// raw socket, which takes `CAP_NET_RAW`. The host chooses the identifier, and the caller chooses
/// the sequence numbers.
#[derive(Debug)]
pub struct PingSocket {
    socket: Async<Socket>,
    messages: Messages,
    ipv6: bool,
    /// The identifier of a raw socket. The kernel sets that of an ICMP socket.
    raw: Option<u16>,
}

impl PingSocket {
    /// Opens a socket for IPv4 or IPv6.
    ///
    /// # Errors
    ///
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied): neither kind of socket is allowed.
    pub fn open(ipv6: bool) -> io::Result<Self> {
        let (domain, protocol, any) = if ipv6 {
            let any = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
            (Domain::IPV6, Protocol::ICMPV6, any)
        } else {
            let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
            (Domain::IPV4, Protocol::ICMPV4, any)
        };
        let (socket, raw) = match Socket::new(domain, Type::DGRAM, Some(protocol)) {
            Ok(socket) => {
                // Binding chooses the identifier.
                socket.bind(&SockAddr::from(SocketAddr::from((any, 0))))?;
                (socket, None)
            }
            // Without the right to this one, too, the error says so.
            Err(_) => {
                let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
                (socket, Some(std::process::id() as u16))
            }
        };
        let messages = Messages::new(&socket, ipv6)?;
        Ok(Self {
            socket: Async::new(socket)?,
            messages,
            ipv6,
            raw,
        })
    }

    /// Sends an echo request without waiting.
    ///
    /// # Errors
    ///
    /// As for one datagram of [`HostUdpSocket::send_batch`](super::HostUdpSocket::send_batch).
    pub fn send(
        &self,
        to: IpAddr,
        sequence: u16,
        payload: &[u8],
        fields: Fields,
    ) -> io::Result<()> {
        let request = if self.ipv6 { 128 } else { 8 };
        let mut message = Vec::with_capacity(HEADER + payload.len());
        message.extend([request, 0, 0, 0]);
        message.extend(self.raw.unwrap_or(0).to_be_bytes());
        message.extend(sequence.to_be_bytes());
        message.extend(payload);
        // The kernel computes the others.
        if !self.ipv6 && self.raw.is_some() {
            let sum = checksum(&message);
            message[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        let to = SocketAddr::from((to, 0));
        self.messages
            .send(self.socket.get_ref(), to, &message, fields)
    }

    /// Receives an echo reply, or an error about a request that this socket sent.
    ///
    /// # Errors
    ///
    /// Those of the system that are about no packet.
    ///
    /// # Cancel safety
    ///
    /// A dropped future has taken nothing.
    pub async fn recv(&self) -> io::Result<PingArrival> {
        loop {
            if let Some(arrival) = self.socket.read_with(|_| self.try_recv()).await? {
                return Ok(arrival);
            }
            future::yield_now().await;
        }
    }

    /// `None`: several errors were nobody's, and there may be more in the socket.
    fn try_recv(&self) -> io::Result<Option<PingArrival>> {
        let socket = self.socket.get_ref();
        let mut errors = 0;
        while errors < EARLIER_ERRORS {
            let error = match self.messages.receive(socket) {
                Ok((message, Some(from), fields)) => {
                    let reply = self.reply(&message, from.ip(), fields);
                    if reply.is_some() {
                        return Ok(reply);
                    }
                    continue; // what a raw socket receives besides
                }
                Ok(_) => continue,
                Err(error) => error,
            };
            errors += 1;
            while let Some(report) = error_queue::take(socket) {
                let arrival = self.report(report);
                if arrival.is_some() {
                    return Ok(arrival);
                }
            }
            if !is_icmp(&error) {
                return Err(error);
            }
        }
        Ok(None)
    }

    fn reply(&self, message: &[u8], from: IpAddr, fields: Fields) -> Option<PingArrival> {
        // A raw IPv4 socket receives the IP header, too.
        let message = if self.raw.is_some() && !self.ipv6 {
            let header = usize::from(message.first()? & 0xf) * 4;
            message.get(header..)?
        } else {
            message
        };
        let (header, payload) = message.split_at_checked(HEADER)?;
        let reply = if self.ipv6 { 129 } else { 0 };
        if header[0] != reply || !self.is_ours(header) {
            return None;
        }
        Some(PingArrival::Reply {
            from,
            sequence: sequence(header),
            payload: payload.to_vec(),
            fields,
        })
    }

    fn report(&self, mut report: Report) -> Option<PingArrival> {
        report.destination.set_port(0);
        let header = report.quoted.first_chunk::<HEADER>()?;
        // A raw socket sees the errors about the requests of others, too.
        let request = if self.ipv6 { 128 } else { 8 };
        if header[0] != request || !self.is_ours(header) {
            return None;
        }
        let sequence = sequence(header);
        Some(PingArrival::Report { sequence, report })
    }

    fn is_ours(&self, header: &[u8]) -> bool {
        let identifier = u16::from_be_bytes([header[4], header[5]]);
        self.raw.is_none_or(|ours| ours == identifier)
    }
}

fn sequence(header: &[u8]) -> u16 {
    u16::from_be_bytes([header[6], header[7]])
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let sum = bytes.chunks(2).fold(0_u32, |sum, pair| {
        let second = pair.get(1).copied().unwrap_or(0);
        sum + u32::from(u16::from_be_bytes([pair[0], second]))
    });
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) as u16 + (sum >> 16) as u16)
}
