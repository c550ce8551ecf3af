use crate::fault::whole;
use crate::framing::{Framing, LONGEST};
use crate::socket::Kind;
use brooklet_io::{Offload, PacketBuf};
use brooklet_reactor::Async;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll};

/// The length in bytes of an Ethernet header without a VLAN tag.
#[cfg(target_os = "linux")]
pub(crate) const ETHERNET_HEADER: usize = 14;

/// A descriptor that carries packets.
#[derive(Debug)]
pub(crate) struct FileIo {
    file: Async<File>,
    framing: Framing,
    /// Bytes in front of each packet.
    header_len: usize,
    /// Bytes of each packet in front of its IP header: those of the Ethernet header of a frame.
    link_len: usize,
    kind: Kind,
}

impl FileIo {
    pub(crate) fn new(fd: OwnedFd, framing: Framing) -> io::Result<Self> {
        let header_len = framing.header_len()?;
        let kind = Kind::of(fd.as_fd());
        let file = File::from(fd);
        let metadata = file.metadata()?;
        if metadata.is_file() || metadata.is_dir() {
            let why = "a file on a disk carries no packets";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        Ok(Self {
            kind,
            file: Async::new(file)?.packets(),
            framing,
            header_len,
            link_len: 0,
        })
    }

    /// Makes the packets Ethernet frames, with a header of 14 bytes.
    #[cfg(target_os = "linux")]
    pub(crate) fn with_frames(mut self) -> Self {
        self.link_len = ETHERNET_HEADER;
        self
    }

    pub(crate) fn framing(&self) -> Framing {
        self.framing
    }

    pub(crate) fn offload(&self) -> Offload {
        self.framing.offload()
    }

    pub(crate) fn into_fd(self) -> io::Result<OwnedFd> {
        self.file.into_inner().map(OwnedFd::from)
    }

    /// Reads one packet with its metadata, by one system call. 0 bytes are the end.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) while there is no packet;
    /// [`InvalidData`](io::ErrorKind::InvalidData) for an empty one, one behind a header that
    /// makes no sense, or a truncated one.
    fn try_recv(&self, packet: &mut PacketBuf) -> io::Result<usize> {
        let mut header = [0; LONGEST];
        let storage = packet.storage_mut();
        if storage.is_empty() {
            let why = "the packet buffer has no room: give it that of the MTU at least";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let result = match self.header_len {
            0 => self.file.get_ref().read(storage),
            len => {
                let front = IoSliceMut::new(&mut header[..len]);
                let mut parts = [front, IoSliceMut::new(storage)];
                self.file.get_ref().read_vectored(&mut parts)
            }
        };
        match result {
            Ok(0) => self.kind.read_nothing(self.as_fd()),
            Ok(n) if n <= self.header_len => Err(io::ErrorKind::InvalidData.into()),
            Ok(n) => {
                let len = n - self.header_len;
                packet.set_len(len);
                let ip = packet.get(self.link_len..).unwrap_or_default();
                let meta = self.framing.read_header(&header, ip)?;
                packet.set_meta(meta);
                Ok(len)
            }
            Err(error) => self.kind.read_failed(self.as_fd(), error),
        }
    }

    /// Writes one packet, by one system call.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) while there is no room;
    /// [`InvalidData`](io::ErrorKind::InvalidData) for a short write, after which the rest of the
    /// packet is lost.
    fn try_send(&self, packet: &PacketBuf) -> io::Result<usize> {
        let mut header = [0; LONGEST];
        self.framing
            .write_header(&mut header, packet, self.link_len)?;
        let result = match self.header_len {
            0 => self.file.get_ref().write(packet),
            len => {
                let parts = [IoSlice::new(&header[..len]), IoSlice::new(packet)];
                self.file.get_ref().write_vectored(&parts)
            }
        };
        match result {
            Ok(written) => whole(written, self.header_len + packet.len()),
            Err(error) => Err(self.kind.write_failed(self.as_fd(), error)),
        }
    }

    /// For one task at a time: a second one replaces the waker of the first.
    pub(crate) fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        packet: &mut PacketBuf,
    ) -> Poll<io::Result<usize>> {
        self.file.poll_read_with(cx, |_| self.try_recv(packet))
    }

    /// For one task at a time, as [`poll_recv`](Self::poll_recv).
    pub(crate) fn poll_send(
        &self,
        cx: &mut Context<'_>,
        packet: &PacketBuf,
    ) -> Poll<io::Result<usize>> {
        self.file.poll_write_with(cx, |_| self.try_send(packet))
    }

    /// For any number of tasks: each waits by a waker of its own, and readiness wakes all.
    pub(crate) async fn recv(&self, packet: &mut PacketBuf) -> io::Result<usize> {
        self.file.read_with(|_| self.try_recv(packet)).await
    }

    /// For any number of tasks, as [`recv`](Self::recv).
    pub(crate) async fn send(&self, packet: &PacketBuf) -> io::Result<usize> {
        self.file.write_with(|_| self.try_send(packet)).await
    }
}

impl AsFd for FileIo {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
