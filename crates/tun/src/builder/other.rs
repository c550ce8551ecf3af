//! Systems other than Linux, as tun-rs knows them.

use super::TunBuilder;
use crate::tun::{RawIo, Tun};
use brooklet_io::PacketBuf;
use std::io;
use std::task::{Context, Poll, ready};
use tun_rs::{AsyncDevice, DeviceBuilder};

pub(super) fn open(wanted: &TunBuilder) -> io::Result<Vec<Tun>> {
    let failed = |kind, why: &dyn std::fmt::Display| {
        io::Error::new(kind, format!("cannot open TUN `{}`: {why}", wanted.name))
    };
    if wanted.queues > 1 {
        let why = "several queues are Linux's: open one";
        return Err(failed(io::ErrorKind::Unsupported, &why));
    }
    let mut builder = DeviceBuilder::new().name(&wanted.name);
    if let Some(mtu) = wanted.mtu {
        builder = builder.mtu(mtu);
    }
    if let Some((address, prefix)) = wanted.ipv4 {
        builder = builder.ipv4(address, prefix, None);
    }
    if let Some((address, prefix)) = wanted.ipv6 {
        builder = builder.ipv6(address, prefix);
    }
    let device = builder
        .build_async()
        .map_err(|error| failed(error.kind(), &error))?;
    let (name, mtu) = (device.name()?, device.mtu()?);
    Ok(vec![Tun::new(device, Some(name), Some(mtu))])
}

impl RawIo for AsyncDevice {
    fn poll_recv(&self, cx: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<usize>> {
        let len = ready!(Self::poll_recv(self, cx, packet.storage_mut()))?;
        packet.set_len(len);
        Poll::Ready(Ok(len))
    }

    fn poll_send(&self, cx: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<usize>> {
        Self::poll_send(self, cx, packet)
    }
}
