use brooklet::{IcmpErrorKind, Unreachable};
use std::io;
use std::net::{IpAddr, SocketAddr};

/// An ICMP error about a packet that a socket of the host sent.
#[derive(Debug)]
pub struct Report {
    /// The destination of the packet. The port is 0 for a ping.
    pub destination: SocketAddr,
    /// The router or host that sent the error.
    pub reporter: IpAddr,
    /// The error that a socket without an error queue would return.
    pub error: io::Error,
    /// What the error says. `None` if it is of a kind that the stack does not send.
    pub kind: Option<IcmpErrorKind>,
    /// The part of the packet that the error quotes, from the payload of the datagram on, or
    /// from the ICMP header of a ping on. Often empty.
    pub quoted: Vec<u8>,
}

impl Report {
    /// Returns the path MTU that the report states, in bytes.
    pub fn mtu(&self) -> Option<u32> {
        match self.kind {
            Some(IcmpErrorKind::Unreachable(Unreachable::PacketTooBig { mtu })) => Some(mtu),
            _ => None,
        }
    }
}
