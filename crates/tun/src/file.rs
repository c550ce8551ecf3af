use crate::tun::RawIo;
use crate::vnet;
use async_io::Async;
use brooklet_io::{Meta, Offload, PacketBuf};
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

/// How an adopted descriptor carries a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Framing {
    /// One IP packet per read and per write, and nothing else: Linux with `IFF_NO_PI`, Android.
    #[default]
    Plain,
    /// Four bytes in front of each packet, the address family as a number in network byte order:
    /// the utun sockets of macOS and iOS.
    FamilyHeader,
    /// A `struct virtio_net_hdr` in front of each packet: Linux and Android with `IFF_NO_PI` and
    /// `IFF_VNET_HDR`.
    VirtioNet {
        /// Bytes of that header, 10 to 64: 10, unless `TUNSETVNETHDRSZ` has set another length.
        /// What is behind the first 10 is written as zeros and not read.
        header_len: usize,
        /// What the kernel takes from this program: checksum and TCP on every kernel, UDP from
        /// Linux 6.2 on. What it hands in was set by `TUNSETOFFLOAD`, and each packet says it for
        /// itself.
        offload: Offload,
    },
}

/// `AF_INET6` is another number on every system; `AF_INET` is 2 on all of them.
const AF_INET: u32 = nix::libc::AF_INET as u32;
const AF_INET6: u32 = nix::libc::AF_INET6 as u32;

/// The longest header in front of a packet.
const LONGEST: usize = 64;

#[derive(Debug)]
pub(crate) struct FileIo {
    file: Async<File>,
    framing: Framing,
    /// Bytes in front of each packet.
    header_len: usize,
}

impl FileIo {
    pub(crate) fn new(fd: OwnedFd, framing: Framing) -> io::Result<Self> {
        let header_len = match framing {
            Framing::Plain => 0,
            Framing::FamilyHeader => 4,
            Framing::VirtioNet { header_len, .. } => header_len,
        };
        let vnet = matches!(framing, Framing::VirtioNet { .. });
        if vnet && !(vnet::HEADER..=LONGEST).contains(&header_len) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("a virtio-net header of {header_len} bytes: 10 to {LONGEST} are possible"),
            ));
        }
        Ok(Self {
            file: Async::new(File::from(fd))?,
            framing,
            header_len,
        })
    }

    /// What is known of the packet that was read behind `header`.
    fn meta(&self, header: &[u8; LONGEST], packet: &[u8]) -> io::Result<Meta> {
        match (self.framing, header.first_chunk()) {
            (Framing::VirtioNet { .. }, Some(header)) => {
                vnet::decode(header, packet).ok_or_else(|| io::ErrorKind::InvalidData.into())
            }
            _ => Ok(Meta::default()),
        }
    }

    /// Writes what goes in front of `packet`.
    fn write_header(&self, header: &mut [u8; LONGEST], packet: &PacketBuf) {
        match self.framing {
            Framing::Plain => {}
            Framing::FamilyHeader => {
                let v6 = packet.first().is_some_and(|byte| byte >> 4 == 6);
                let family = if v6 { AF_INET6 } else { AF_INET };
                header[..4].copy_from_slice(&family.to_be_bytes());
            }
            Framing::VirtioNet { .. } => {
                header[..vnet::HEADER].copy_from_slice(&vnet::encode(packet.meta(), packet));
            }
        }
    }
}

impl RawIo for FileIo {
    fn offload(&self) -> Offload {
        match self.framing {
            Framing::VirtioNet { offload, .. } => offload,
            _ => Offload::default(),
        }
    }

    fn poll_recv(&self, cx: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<usize>> {
        let mut header = [0; LONGEST];
        loop {
            let storage = packet.storage_mut();
            // One system call, and the packet where it is to be.
            let result = match self.header_len {
                0 => self.file.get_ref().read(storage),
                len => {
                    let front = IoSliceMut::new(&mut header[..len]);
                    let mut parts = [front, IoSliceMut::new(storage)];
                    self.file.get_ref().read_vectored(&mut parts)
                }
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.file.poll_readable(cx))?;
                }
                Ok(0) => return Poll::Ready(Ok(0)),
                Ok(n) if n <= self.header_len => {} // a header and no packet
                Ok(n) => {
                    let len = n - self.header_len;
                    packet.set_len(len);
                    let meta = self.meta(&header, packet)?;
                    packet.set_meta(meta);
                    return Poll::Ready(Ok(len));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn poll_send(&self, cx: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<usize>> {
        let mut header = [0; LONGEST];
        self.write_header(&mut header, packet);
        loop {
            let result = match self.header_len {
                0 => self.file.get_ref().write(packet),
                len => {
                    let parts = [IoSlice::new(&header[..len]), IoSlice::new(packet)];
                    self.file.get_ref().write_vectored(&parts)
                }
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.file.poll_writable(cx))?;
                }
                result => return Poll::Ready(result),
            }
        }
    }
}
