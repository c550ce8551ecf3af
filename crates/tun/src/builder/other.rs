//! Systems other than Linux, as tun-rs knows them.

use super::TunBuilder;
use crate::device::DeviceIo;
use crate::tun::Tun;
use std::io;
use tun_rs::DeviceBuilder;

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
    Ok(vec![Tun::new(DeviceIo(device), Some(name), Some(mtu))])
}
