//! Who listens, and for what.

use crate::wake::{WakerList, Wakes};
use brooklet_packet::FlowKey;
use foldhash::fast::RandomState;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

/// The number of the listener that takes what no other does.
pub(crate) const CATCH_ALL: u32 = 0;

#[derive(Debug)]
pub(crate) struct Listeners {
    all: HashMap<u32, Listening, RandomState>,
    bound: HashMap<SocketAddr, u32, RandomState>,
    next: u32,
}

/// A listener, as the table sees it.
#[derive(Debug, Default)]
pub(crate) struct Listening {
    /// What it is bound to.
    pub(crate) address: Option<SocketAddr>,
    handles: usize,
    /// Its connections with their handshake done. May name some that are gone.
    pub(crate) ready: VecDeque<FlowKey>,
    /// Connections that it answered and whose handshake is not done.
    pub(crate) handshakes: usize,
    /// When it answered them, in order. Names some more whose handshake is over.
    pub(crate) answered: VecDeque<(Instant, FlowKey)>,
    pub(crate) acceptors: WakerList,
}

impl Listeners {
    pub(crate) fn new() -> Self {
        Self {
            all: HashMap::default(),
            bound: HashMap::default(),
            next: CATCH_ALL,
        }
    }

    /// Adds a listener with one handle; the first of all is the catch-all.
    pub(crate) fn add(&mut self, address: Option<SocketAddr>) -> u32 {
        while self.all.contains_key(&self.next) || (address.is_some() && self.next == CATCH_ALL) {
            self.next = self.next.wrapping_add(1);
        }
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        self.bound.extend(address.map(|address| (address, id)));
        let listening = Listening {
            address,
            handles: 1,
            ..Listening::default()
        };
        self.all.insert(id, listening);
        id
    }

    pub(crate) fn enter(&mut self, id: u32) {
        if let Some(listening) = self.all.get_mut(&id) {
            listening.handles += 1;
        }
    }

    /// A handle goes. Returns the listener if it was the last.
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

    /// Who takes a connection to `to`: who is bound to just that, or to its port, or who takes
    /// the rest.
    pub(crate) fn of(&self, to: SocketAddr) -> Option<u32> {
        let bound = |address| self.bound.get(&address).copied();
        let found = if self.bound.is_empty() {
            None
        } else {
            bound(to).or_else(|| bound(SocketAddr::new(unspecified(to), to.port())))
        };
        found.or_else(|| self.all.contains_key(&CATCH_ALL).then_some(CATCH_ALL))
    }

    /// Empties the lists of all who wait into `wakes`.
    pub(crate) fn wake_all(&mut self, wakes: &mut Wakes) {
        for listening in self.all.values_mut() {
            listening.acceptors.drain_into(wakes);
            listening.ready.clear();
        }
    }
}

/// "Any address" of the family of `address`.
pub(crate) fn unspecified(address: SocketAddr) -> IpAddr {
    if address.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    }
}
