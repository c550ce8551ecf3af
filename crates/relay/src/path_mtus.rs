use crate::Spawner;
use async_io::Timer;
use brooklet::Stack;
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a path MTU counts: a larger one is tried afterwards (RFC 8201, section 4).
const LIFETIME: Duration = Duration::from_secs(600);

/// The most destinations whose path MTU is known.
const MOST: usize = 1024;

/// The path MTUs that the host has learned, which the stack enforces: it tells the clients, by ICMP
/// and by the MSS of connections.
#[derive(Clone, Debug)]
pub(super) struct PathMtus {
    stack: Stack,
    spawner: Spawner,
    known: Arc<Mutex<HashSet<IpAddr>>>,
}

impl PathMtus {
    pub(super) fn new(stack: Stack, spawner: Spawner) -> Self {
        let known = Arc::default();
        Self {
            stack,
            spawner,
            known,
        }
    }

    /// Notes the path MTU of a destination, unless the stack knows a smaller one. Returns whether
    /// it is new.
    pub(super) fn learn(&self, destination: IpAddr, mtu: u32) -> bool {
        let mtu = usize::try_from(mtu).unwrap_or(usize::MAX);
        if mtu >= self.stack.path_mtu(destination) {
            return false;
        }
        {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= MOST && !known.contains(&destination) {
                return true; // the client learns it, and the stack does not
            }
            known.insert(destination);
        }
        self.stack.set_path_mtu(destination, Some(mtu));
        let this = self.clone();
        self.spawner.spawn(0, async move {
            Timer::after(LIFETIME).await;
            this.forget(destination);
        });
        true
    }

    fn forget(&self, destination: IpAddr) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.remove(&destination) {
            drop(known);
            self.stack.set_path_mtu(destination, None);
        }
    }
}
