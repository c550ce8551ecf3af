//! The listeners of a stack and the addresses that they are bound to.

use crate::options::TcpOptions;
use brooklet_cell::wakers::{WaitQueue, WakeList};
use brooklet_packet::FlowKey;
use foldhash::fast::RandomState;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

/// The number of the listener that takes the connections to which no other listener is bound.
pub(crate) const CATCH_ALL: u32 = 0;

#[derive(Debug)]
pub(crate) struct Listeners {
    /// Ordered, so that the tasks of all listeners are woken in the same order in every run.
    all: BTreeMap<u32, Listening>,
    bound: HashMap<SocketAddr, u32, RandomState>,
    next: u32,
}

/// The state of a listener in the table.
#[derive(Debug, Default)]
pub(crate) struct Listening {
    /// The address that the listener is bound to; `None` for the catch-all.
    pub(crate) address: Option<SocketAddr>,
    /// The options of the connections that it accepts.
    pub(crate) options: Arc<TcpOptions>,
    handles: usize,
    /// Connections whose handshake is done and that `accept` has not returned. Some may be gone.
    pub(crate) accept_queue: VecDeque<FlowKey>,
    /// The number of connections whose handshake is not done.
    pub(crate) half_open: usize,
    /// When the SYN of each of them was answered, in order. Some of the handshakes may be over.
    pub(crate) answered: VecDeque<(Instant, FlowKey)>,
    /// Tasks that wait for a connection or a request.
    pub(crate) acceptors: WaitQueue,
}

impl Listeners {
    pub(crate) fn new() -> Self {
        Self {
            all: BTreeMap::new(),
            bound: HashMap::default(),
            next: CATCH_ALL,
        }
    }

    /// Adds a listener with one handle; the first of all is the catch-all.
    pub(crate) fn add(&mut self, address: Option<SocketAddr>, options: Arc<TcpOptions>) -> u32 {
        while self.all.contains_key(&self.next) || (address.is_some() && self.next == CATCH_ALL) {
            self.next = self.next.wrapping_add(1);
        }
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        self.bound.extend(address.map(|address| (address, id)));
        let listening = Listening {
            address,
            options,
            handles: 1,
            ..Listening::default()
        };
        self.all.insert(id, listening);
        id
    }

    /// Bytes of the lists of connections.
    pub(crate) fn heap_size(&self) -> usize {
        let of = |listening: &Listening| {
            listening.accept_queue.capacity() * size_of::<FlowKey>()
                + listening.answered.capacity() * size_of::<(Instant, FlowKey)>()
        };
        self.all.values().map(of).sum()
    }

    /// Counts one more handle.
    pub(crate) fn enter(&mut self, id: u32) {
        if let Some(listening) = self.all.get_mut(&id) {
            listening.handles += 1;
        }
    }

    /// Drops a handle. Returns the listener if the handle was the last.
    pub(crate) fn leave(&mut self, id: u32) -> Option<Listening> {
        let listening = self.all.get_mut(&id)?;
        listening.handles -= 1;
        if listening.handles > 0 {
            return None;
        }
        if let Some(address) = listening.address {
            self.bound.remove(&address);
        }
        self.all.remove(&id)
    }

    pub(crate) fn get(&self, id: u32) -> Option<&Listening> {
        self.all.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut Listening> {
        self.all.get_mut(&id)
    }

    pub(crate) fn is_bound(&self, address: SocketAddr) -> bool {
        self.bound.contains_key(&address)
    }

    /// The listener that takes a connection to `to`: the one bound to `to`, else the one bound to
    /// its port on every address, else the catch-all.
    pub(crate) fn of(&self, to: SocketAddr) -> Option<u32> {
        let bound = |address| self.bound.get(&address).copied();
        let found = if self.bound.is_empty() {
            None
        } else {
            bound(to).or_else(|| bound(SocketAddr::new(unspecified(to), to.port())))
        };
        found.or_else(|| self.all.contains_key(&CATCH_ALL).then_some(CATCH_ALL))
    }

    /// Moves the wakers of all waiting tasks into `wakes`.
    pub(crate) fn wake_all(&mut self, wakes: &mut WakeList) {
        for listening in self.all.values_mut() {
            listening.acceptors.drain_into(wakes);
            listening.accept_queue.clear();
        }
    }
}

/// The unspecified address of the family of `address`.
pub(crate) fn unspecified(address: SocketAddr) -> IpAddr {
    if address.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    }
}
