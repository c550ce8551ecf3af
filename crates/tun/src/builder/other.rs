//! Systems other than Linux, as tun-rs knows them.

use super::settings::{Prefix, Settings};
use crate::device::DeviceIo;
use crate::tun::Tun;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use tun_rs::{AsyncDevice, DeviceBuilder};

pub(super) fn open(wanted: &Settings) -> io::Result<Vec<Tun>> {
    let ipv4: Vec<_> = wanted.addresses.iter().filter_map(ipv4).collect();
    if let Some(setting) = unsupported(wanted, ipv4.len()) {
        let why = format_args!("{setting} are not supported on this system: leave that out");
        return Err(wanted.error(io::ErrorKind::Unsupported, why));
    }
    let mut builder = DeviceBuilder::new().name(&wanted.name);
    if let Some(mtu) = wanted.mtu {
        builder = builder.mtu(mtu);
    }
    // tun-rs takes one of these before it opens the device, and any number of those of IPv6.
    if let Some((address, len)) = ipv4.first() {
        builder = builder.ipv4(*address, *len, None);
    }
    for prefix in &wanted.addresses {
        if let IpAddr::V6(address) = prefix.address {
            builder = builder.ipv6(address, prefix.len);
        }
    }
    let failed = |error: io::Error| wanted.error(error.kind(), &error);
    let device = builder.build_async().map_err(failed)?;
    for (address, len) in ipv4.iter().skip(1) {
        add_ipv4(&device, *address, *len).map_err(failed)?;
    }
    let (name, mtu) = (device.name()?, device.mtu()?);
    Ok(vec![Tun::new(DeviceIo(device), Some(name), Some(mtu))])
}

fn ipv4(prefix: &Prefix) -> Option<(Ipv4Addr, u8)> {
    match prefix.address {
        IpAddr::V4(address) => Some((address, prefix.len)),
        IpAddr::V6(_) => None,
    }
}

#[cfg(not(windows))]
fn add_ipv4(device: &AsyncDevice, address: Ipv4Addr, len: u8) -> io::Result<()> {
    device.add_address_v4(address, len)
}

/// Not reached: `unsupported` has refused.
#[cfg(windows)]
fn add_ipv4(_: &AsyncDevice, _: Ipv4Addr, _: u8) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Names the first setting that the system does not have.
fn unsupported(wanted: &Settings, ipv4: usize) -> Option<&'static str> {
    [
        (wanted.queues > 1, "several queues"),
        (cfg!(windows) && ipv4 > 1, "several IPv4 addresses"),
        (!wanted.routes.is_empty(), "routes"),
        (
            wanted.tx_queue_len.is_some(),
            "lengths of the transmit queue",
        ),
        (wanted.owner.is_some(), "owners"),
        (wanted.group.is_some(), "groups"),
        (wanted.persist, "persistent devices"),
        (wanted.netns.is_some(), "network namespaces"),
        (wanted.tap, "TAP devices"),
        (wanted.packet_info, "headers with packet information"),
    ]
    .into_iter()
    .find_map(|(used, setting)| used.then_some(setting))
}
