use crate::tun::RawIo;
use async_io::Async;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

/// How an adopted descriptor carries a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// One IP packet per read and per write, and nothing else: Linux with `IFF_NO_PI`, Android.
    #[default]
    Plain,
    /// Four bytes in front of each packet, the address family as a number in network byte order:
    /// the utun sockets of macOS and iOS.
    FamilyHeader,
}

/// `AF_INET6` is another number on every system; `AF_INET` is 2 on all of them.
const AF_INET: u32 = nix::libc::AF_INET as u32;
const AF_INET6: u32 = nix::libc::AF_INET6 as u32;

#[derive(Debug)]
pub(crate) struct FileIo {
    file: Async<File>,
    framing: Framing,
}

impl FileIo {
    pub(crate) fn new(fd: OwnedFd, framing: Framing) -> io::Result<Self> {
        Ok(Self {
            file: Async::new(File::from(fd))?,
            framing,
        })
    }
}

impl RawIo for FileIo {
    fn poll_recv(&self, cx: &mut Context<'_>, storage: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            let result = match self.framing {
                Framing::Plain => self.file.get_ref().read(storage),
                Framing::FamilyHeader => {
                    let mut header = [0; 4];
                    let mut parts = [IoSliceMut::new(&mut header), IoSliceMut::new(storage)];
                    match self.file.get_ref().read_vectored(&mut parts) {
                        Ok(1..=4) => continue, // a header and no packet
                        result => result.map(|n| n.saturating_sub(4)),
                    }
                }
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.file.poll_readable(cx))?;
                }
                result => return Poll::Ready(result),
            }
        }
    }

    fn poll_send(&self, cx: &mut Context<'_>, packet: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let result = match self.framing {
                Framing::Plain => self.file.get_ref().write(packet),
                Framing::FamilyHeader => {
                    let v6 = packet.first().is_some_and(|byte| byte >> 4 == 6);
                    let header = (if v6 { AF_INET6 } else { AF_INET }).to_be_bytes();
                    let parts = [IoSlice::new(&header), IoSlice::new(packet)];
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
