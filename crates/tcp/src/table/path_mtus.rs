//! The path MTUs that the program has stated.

use super::{Connections, Table};
use brooklet_cell::Flavor;
use brooklet_packet::FlowKey;
use std::net::IpAddr;
use std::time::Instant;

impl<F: Flavor> Table<F> {
    /// Keeps the MTU that the program states for the path to `address`; `None` takes the statement
    /// back. Returns the connections whose path MTU may have changed.
    pub(crate) fn set_path_mtu(
        &mut self,
        now: Instant,
        address: IpAddr,
        mtu: Option<u16>,
    ) -> Connections<F> {
        let mtu = mtu.map(usize::from);
        let changed = self.path_mtus.get(now, address) != mtu;
        self.path_mtus.set(now, address, mtu);
        if !changed {
            return Vec::new(); // programs state the same again for each connection of theirs
        }
        self.connections_where(|key, _| {
            let (peer, local) = key.addresses();
            peer == address || local == address
        })
    }

    /// The MTU that the program has stated for the path of a connection: the smaller one if it has
    /// stated one for each end.
    pub(crate) fn path_mtu(&self, now: Instant, key: FlowKey) -> Option<u16> {
        if self.path_mtus.is_empty() {
            return None;
        }
        let (peer, local) = key.addresses();
        let stated = |address| self.path_mtus.get(now, address);
        let smaller = stated(peer).into_iter().chain(stated(local)).min()?;
        u16::try_from(smaller).ok()
    }
}
