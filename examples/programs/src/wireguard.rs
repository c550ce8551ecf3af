//! A WireGuard tunnel as the device of a stack: no TUN, no root.

use async_io::{Async, Timer};
use boringtun::noise::{Tunn, TunnResult};
use boringtun::x25519::{PublicKey, StaticSecret};
use brooklet::{PacketBuf, PacketIo};
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::UdpSocket;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// The MTU of a stack whose tunnel crosses a path with an MTU of 1,500 bytes, in bytes.
pub const MTU: usize = 1420;

/// The largest UDP datagram, in bytes.
const DATAGRAM: usize = 65_535;

/// How often boringtun looks at its timers: keepalives, retries and new keys.
const TICK: Duration = Duration::from_millis(250);

/// One end of a WireGuard tunnel. The datagrams of the tunnel travel through a UDP socket.
pub struct Tunnel {
    socket: Async<UdpSocket>,
    noise: Tunn,
    tick: Timer,
    /// Encrypted datagrams that the socket had no room for: those of one packet and one handshake
    /// at most.
    unsent: VecDeque<Vec<u8>>,
    datagram: Vec<u8>,
    output: Vec<u8>,
}

impl std::fmt::Debug for Tunnel {
    // Without the keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tunnel").finish_non_exhaustive()
    }
}

impl Tunnel {
    /// Makes a tunnel to the peer with the key `peer`, over a socket that is connected to the
    /// peer's endpoint. The handshake begins with the first packet.
    ///
    /// # Errors
    ///
    /// Those of [`Async::new`].
    pub fn new(socket: UdpSocket, secret: StaticSecret, peer: PublicKey) -> io::Result<Self> {
        Ok(Self {
            socket: Async::new(socket)?,
            noise: Tunn::new(secret, peer, None, None, 0, None),
            tick: Timer::interval(TICK),
            unsent: VecDeque::new(),
            datagram: vec![0; DATAGRAM],
            output: vec![0; DATAGRAM],
        })
    }

    /// Sends what waits. A socket that reports an ICMP error has sent nothing: the datagram is
    /// lost, and the tunnel goes on.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(datagram) = self.unsent.front() {
            match self.socket.get_ref().send(datagram) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(self.socket.poll_writable(cx))?;
                }
                _ => drop(self.unsent.pop_front()),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Lets boringtun send what its timers ask for.
    fn poll_timers(&mut self, cx: &mut Context<'_>) {
        while Pin::new(&mut self.tick).poll(cx).is_ready() {
            if let TunnResult::WriteToNetwork(datagram) = self.noise.update_timers(&mut self.output)
            {
                self.unsent.push_back(datagram.to_vec());
            }
        }
    }

    /// Decrypts a datagram of `len` bytes. Returns whether `packet` now holds the packet that was
    /// in the datagram.
    fn decrypt(&mut self, len: usize, packet: &mut PacketBuf) -> bool {
        let mut datagram = &self.datagram[..len];
        loop {
            match self.noise.decapsulate(None, datagram, &mut self.output) {
                // A part of a handshake. An empty datagram then asks for packets that waited.
                TunnResult::WriteToNetwork(answer) => {
                    self.unsent.push_back(answer.to_vec());
                    datagram = &[];
                }
                TunnResult::WriteToTunnelV4(bytes, _) | TunnResult::WriteToTunnelV6(bytes, _) => {
                    packet.copy_from_slice(bytes);
                    return true;
                }
                TunnResult::Done | TunnResult::Err(_) => return false,
            }
        }
    }
}

impl PacketIo for Tunnel {
    fn mtu(&self) -> Option<usize> {
        Some(MTU)
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<()>> {
        loop {
            self.poll_timers(cx);
            // While the socket has no room, packets still come in.
            if let Poll::Ready(Err(error)) = self.poll_flush(cx) {
                return Poll::Ready(Err(error));
            }
            match self.socket.get_ref().recv(&mut self.datagram) {
                Ok(len) if self.decrypt(len, packet) => return Poll::Ready(Ok(())),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(self.socket.poll_readable(cx))?;
                }
                // Not a packet, or an ICMP error: the peer may be back later.
                _ => {}
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        // Without a session boringtun keeps the packet and begins a handshake.
        if let TunnResult::WriteToNetwork(datagram) =
            self.noise.encapsulate(packet, &mut self.output)
        {
            self.unsent.push_back(datagram.to_vec());
        }
        // What finds no room now is sent by the next call of either method.
        match self.poll_flush(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(())),
        }
    }
}
