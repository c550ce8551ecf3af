//! The interface of a device: what it has, and what it is to have.

use super::explain;
use super::netlink::{Link, Netlink, TunInfo};
use crate::builder::settings::{Prefix, Settings};
use std::io;
use std::net::IpAddr;

/// An interface before its device is opened, perhaps none.
pub(super) struct Interface {
    netlink: Netlink,
    link: Link,
    addresses: Vec<IpAddr>,
}

impl Interface {
    pub(super) fn find(name: &str) -> io::Result<Self> {
        let mut netlink = Netlink::open()?;
        let link = netlink.link(name)?;
        let addresses = match link {
            Some(link) => netlink.addresses(link.index)?,
            None => Vec::new(),
        };
        Ok(Self {
            netlink,
            link: link.unwrap_or_default(),
            addresses,
        })
    }

    /// Returns the attachments to the device; `None` if there is no device, and where the kernel
    /// does not say.
    pub(super) fn attached(&self) -> Option<TunInfo> {
        self.link.tun
    }

    /// Gives the interface, which is there now, what it lacks.
    pub(super) fn configure(&mut self, wanted: &Settings, index: u32) -> io::Result<()> {
        let netlink = &mut self.netlink;
        if let Some(mtu) = wanted.mtu
            && self.link.mtu != mtu.into()
        {
            netlink
                .set_mtu(index, mtu)
                .map_err(|error| explain::mtu(wanted, mtu, &error))?;
        }
        if let Some(len) = wanted.tx_queue_len
            && self.link.tx_queue_len != len
        {
            netlink.set_tx_queue_len(index, len).map_err(|error| {
                explain::setting(wanted, format_args!("txqueuelen ({len} packets)"), &error)
            })?;
        }
        for prefix in &wanted.addresses {
            let Prefix { address, len } = *prefix;
            if self.addresses.contains(&address) {
                continue;
            }
            netlink
                .add_address(index, address, len)
                .map_err(|error| explain::address(wanted, *prefix, &error))?;
            self.addresses.push(address);
        }
        if !self.link.up {
            netlink
                .set_up(index)
                .map_err(|error| explain::setting(wanted, "the state (up)", &error))?;
        }
        if wanted.routes.is_empty() {
            return Ok(());
        }
        // The addresses have brought routes with them.
        let mut routes = netlink.routes(index)?;
        for prefix in &wanted.routes {
            let Prefix { address, len } = *prefix;
            if routes.contains(&(address, len)) {
                continue;
            }
            netlink
                .add_route(index, address, len)
                .map_err(|error| explain::route(wanted, *prefix, &error))?;
            routes.push((address, len));
        }
        Ok(())
    }
}
