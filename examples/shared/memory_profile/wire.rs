//! A device over a Unix datagram socket: each datagram is one IP packet.

use brooklet::{PacketBuf, PacketIo};
use brooklet_reactor::Async;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::task::{Context, Poll};

/// In bytes.
pub(super) const MTU: usize = 1500;

#[derive(Debug)]
pub(super) struct Wire(Async<UnixDatagram>);

impl Wire {
    pub(super) fn new(socket: UnixDatagram) -> io::Result<Self> {
        Async::new(socket).map(Self)
    }
}

impl PacketIo for Wire {
    fn mtu(&self) -> Option<usize> {
        Some(MTU)
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<()>> {
        let received = self
            .0
            .poll_read_with(cx, |socket| socket.recv(packet.storage_mut()));
        received.map_ok(|len| packet.set_len(len))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>> {
        let sent = self.0.poll_write_with(cx, |socket| socket.send(packet));
        sent.map_ok(drop)
    }
}
