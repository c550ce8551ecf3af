use crate::fault::whole;
use brooklet_io::{Offload, PacketBuf};
use std::io;
use std::task::{Context, Poll, ready};
use tun_rs::AsyncDevice;

/// A device of tun-rs, on a system other than Linux.
pub(crate) struct DeviceIo(pub(crate) AsyncDevice);

impl DeviceIo {
    pub(crate) fn offload(&self) -> Offload {
        Offload::default()
    }

    /// Reads one packet. 0 bytes are the end.
    pub(crate) fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        packet: &mut PacketBuf,
    ) -> Poll<io::Result<usize>> {
        let len = ready!(self.0.poll_recv(cx, packet.storage_mut()))?;
        packet.set_len(len);
        Poll::Ready(Ok(len))
    }

    pub(crate) fn poll_send(
        &self,
        cx: &mut Context<'_>,
        packet: &PacketBuf,
    ) -> Poll<io::Result<usize>> {
        let written = ready!(self.0.poll_send(cx, packet))?;
        Poll::Ready(whole(written, packet.len()))
    }

    pub(crate) async fn recv(&self, packet: &mut PacketBuf) -> io::Result<usize> {
        let len = self.0.recv(packet.storage_mut()).await?;
        packet.set_len(len);
        Ok(len)
    }

    pub(crate) async fn send(&self, packet: &PacketBuf) -> io::Result<usize> {
        whole(self.0.send(packet).await?, packet.len())
    }
}
