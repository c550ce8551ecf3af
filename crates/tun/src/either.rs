//! Systems that open a TUN through tun-rs and adopt descriptors as well.

use crate::device::DeviceIo;
use crate::file::FileIo;
use crate::framing::Framing;
use brooklet_io::{Offload, PacketBuf};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll};

pub(crate) enum Either {
    Device(DeviceIo),
    File(FileIo),
}

impl From<DeviceIo> for Either {
    fn from(device: DeviceIo) -> Self {
        Self::Device(device)
    }
}

impl From<FileIo> for Either {
    fn from(file: FileIo) -> Self {
        Self::File(file)
    }
}

impl Either {
    pub(crate) fn offload(&self) -> Offload {
        match self {
            Self::Device(device) => device.offload(),
            Self::File(file) => file.offload(),
        }
    }

    pub(crate) fn framing(&self) -> Framing {
        match self {
            // utun always has the header, as OpenBSD has; on the other BSDs tun-rs sets TUNSIFHEAD.
            Self::Device(_) => Framing::FamilyHeader,
            Self::File(file) => file.framing(),
        }
    }

    pub(crate) fn into_fd(self) -> io::Result<OwnedFd> {
        match self {
            // tun-rs deletes the interface with its device on some of these systems.
            Self::Device(_) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the descriptor of a TUN that `TunBuilder` has opened is given away on Linux only: \
                 borrow it by `as_fd`, or open it by other means and adopt it by `from_fd`",
            )),
            Self::File(file) => file.into_fd(),
        }
    }

    pub(crate) fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        packet: &mut PacketBuf,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Device(device) => device.poll_recv(cx, packet),
            Self::File(file) => file.poll_recv(cx, packet),
        }
    }

    pub(crate) fn poll_send(
        &self,
        cx: &mut Context<'_>,
        packet: &PacketBuf,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Device(device) => device.poll_send(cx, packet),
            Self::File(file) => file.poll_send(cx, packet),
        }
    }

    pub(crate) async fn recv(&self, packet: &mut PacketBuf) -> io::Result<usize> {
        match self {
            Self::Device(device) => device.recv(packet).await,
            Self::File(file) => file.recv(packet).await,
        }
    }

    pub(crate) async fn send(&self, packet: &PacketBuf) -> io::Result<usize> {
        match self {
            Self::Device(device) => device.send(packet).await,
            Self::File(file) => file.send(packet).await,
        }
    }
}

impl AsFd for Either {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            // By its `AsyncDevice`, which dereferences to what has the descriptor.
            Self::Device(device) => (*device.0).as_fd(),
            Self::File(file) => file.as_fd(),
        }
    }
}
