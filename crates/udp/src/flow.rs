//! The sessions of a stack as a list, for a program that shows them.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// A UDP session at one moment, from [`Counters::flows`](crate::Counters::flows).
///
/// Its text is one line of `name=value` pairs after the addresses, this side first:
///
/// ```text
/// UDP 192.0.2.1:53 10.0.0.1:5000 age=1.250s idle=0.100s in=40 out=120 datagrams_in=1 datagrams_out=1 recv_queue=0
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct UdpFlow {
    /// The address of the client.
    pub source: SocketAddr,
    /// The destination of the client's datagrams; `None` once there were several destinations. With
    /// [`Mapping::AddressAndPortDependent`](crate::Mapping::AddressAndPortDependent) there is
    /// always one.
    pub destination: Option<SocketAddr>,
    /// The time since the first datagram.
    pub age: Duration,
    /// The time since the last datagram, of either direction.
    pub idle: Duration,
    /// Datagrams of the client that the session has received.
    pub datagrams_in: u64,
    /// Datagrams sent to the client.
    pub datagrams_out: u64,
    /// Bytes of payload received.
    pub bytes_in: u64,
    /// Bytes of payload sent.
    pub bytes_out: u64,
    /// Bytes of payload that wait to be received by the program.
    pub recv_queue: usize,
}

impl fmt::Display for UdpFlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.destination {
            Some(destination) => write!(f, "UDP {destination} {}", self.source)?,
            None => write!(f, "UDP * {}", self.source)?,
        }
        let (age, idle) = (self.age.as_secs_f64(), self.idle.as_secs_f64());
        write!(f, " age={age:.3}s idle={idle:.3}s")?;
        write!(f, " in={} out={}", self.bytes_in, self.bytes_out)?;
        write!(f, " datagrams_in={}", self.datagrams_in)?;
        write!(f, " datagrams_out={}", self.datagrams_out)?;
        write!(f, " recv_queue={}", self.recv_queue)
    }
}
