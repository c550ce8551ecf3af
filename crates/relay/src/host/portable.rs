//! Datagrams where a socket has no control messages: one by one, and without the ICMP errors.

use super::{Fields, UdpArrival, UdpTransmit};
use socket2::SockRef;
use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::net::UdpSocket;
use std::sync::{Mutex, PoisonError};

thread_local! {
    /// Where datagrams arrive before their length is known: the largest datagram there is.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 65_535]);
}

/// What a socket keeps beside its descriptor.
#[derive(Debug)]
pub(super) struct Messages {
    ipv6: bool,
    /// The hop limit that the socket has now. `None` is the host's own.
    hop_limit: Mutex<Option<u8>>,
}

impl Messages {
    pub(super) fn new(_: &UdpSocket, ipv6: bool) -> io::Result<Self> {
        Ok(Self {
            ipv6,
            hop_limit: Mutex::new(None),
        })
    }

    /// Sends the first datagram. The host may fragment it.
    pub(super) fn send_batch(
        &self,
        socket: &UdpSocket,
        transmits: &[UdpTransmit<'_>],
    ) -> io::Result<usize> {
        let Some(first) = transmits.first() else {
            return Ok(0);
        };
        if first.segment_size.is_some() {
            return Err(ErrorKind::Unsupported.into());
        }
        self.set_hop_limit(socket, first.fields)?;
        socket.send_to(first.payload, first.to)?;
        Ok(1)
    }

    fn set_hop_limit(&self, socket: &UdpSocket, fields: Fields) -> io::Result<()> {
        // No panic leaves the value half changed.
        let mut now = self
            .hop_limit
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(limit) = fields.hop_limit.filter(|limit| *now != Some(*limit)) {
            let socket = SockRef::from(socket);
            if self.ipv6 {
                socket.set_unicast_hops_v6(limit.max(1).into())?;
            } else {
                socket.set_ttl_v4(limit.max(1).into())?;
            }
            *now = Some(limit);
        }
        Ok(())
    }

    /// Receives one datagram. Returns whether the socket has no other one: `false`, unknown.
    pub(super) fn receive_batch(
        &self,
        socket: &UdpSocket,
        arrivals: &mut Vec<UdpArrival>,
    ) -> io::Result<bool> {
        BUFFER.with_borrow_mut(|buffer| {
            loop {
                match socket.recv_from(buffer) {
                    Ok((length, from)) => {
                        arrivals.push(UdpArrival::Datagram {
                            from,
                            payload: buffer[..length].to_vec(),
                            fields: Fields::default(),
                            segment_size: None,
                        });
                        return Ok(false);
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
        })
    }
}
