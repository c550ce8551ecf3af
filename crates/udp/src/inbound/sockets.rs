//! The table of the bound sockets.

use super::SLOT;
use super::queue::{Room, SharedQueue};
use crate::{
    config::Config,
    error::SendError,
    interface::{Interface, is_host},
    ledger::{Entry, Ledger},
    ports::Ports,
};
use brooklet_packet::TrafficClass;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use slab::Slab;
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// A bound socket.
pub(crate) struct Socket {
    /// The address that the socket is bound to, which may be unspecified.
    pub(crate) bound: SocketAddr,
    /// The address that the socket has for its peer, if it is connected.
    connected: Option<Connected>,
    pub(crate) queue: SharedQueue,
    pub(crate) handles: usize,
    pub(crate) options: Options,
}

#[derive(Clone, Copy)]
struct Connected {
    local: IpAddr,
    peer: SocketAddr,
}

/// What the program has set for the datagrams of a socket.
#[derive(Clone, Copy)]
pub(crate) struct Options {
    pub(crate) hop_limit: u8,
    pub(crate) traffic_class: TrafficClass,
    pub(crate) dont_fragment: bool,
    /// Whether every ICMP error is reported.
    pub(crate) recv_errors: bool,
}

pub(crate) struct Sockets {
    /// What the table has on the heap, without the sockets' queues.
    held: Entry,
    interface: Interface,
    config: Config,
    sockets: Slab<Box<Socket>>,
    by_address: HashMap<SocketAddr, usize, RandomState>,
    ports: Ports,
}

impl Sockets {
    pub(crate) fn new(
        interface: Interface,
        config: Config,
        secret: [u64; 2],
        ledger: &Ledger,
    ) -> Self {
        Self {
            held: Entry::new(ledger),
            interface,
            config,
            sockets: Slab::new(),
            by_address: HashMap::default(),
            ports: Ports::new(secret),
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.by_address.is_empty()
    }

    pub(crate) fn get(&self, id: usize) -> Option<&Socket> {
        self.sockets.get(id).map(|socket| &**socket)
    }

    pub(crate) fn get_mut(&mut self, id: usize) -> Option<&mut Socket> {
        self.sockets.get_mut(id).map(|socket| &mut **socket)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Socket> {
        self.sockets.iter_mut().map(|(_, socket)| &mut **socket)
    }

    /// Binds a socket, without a handle yet.
    pub(crate) fn bind(&mut self, address: SocketAddr) -> io::Result<usize> {
        let ip = address.ip();
        if !ip.is_unspecified() && !is_host(ip) {
            return Err(io::Error::new(
                io::ErrorKind::AddrNotAvailable,
                format!("no host can have the address {ip}; bind to a unicast address"),
            ));
        }
        if ip.is_ipv6() && !self.interface.ipv6_enabled {
            return Err(io::Error::new(
                io::ErrorKind::AddrNotAvailable,
                format!("cannot bind to {address}: IPv6 is switched off"),
            ));
        }
        let port = match address.port() {
            0 => {
                let taken = &self.by_address;
                let free = |port| !taken.contains_key(&SocketAddr::new(ip, port));
                self.ports.pick(free).ok_or_else(|| {
                    io::Error::new(
                        io::ErrorKind::AddrInUse,
                        format!("every ephemeral port of {ip} is in use"),
                    )
                })?
            }
            port => port,
        };
        // Without the flow label and the scope of IPv6: a TUN device is one scope.
        let bound = SocketAddr::new(ip, port);
        if self.by_address.contains_key(&bound) {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                format!("another socket is bound to {bound}"),
            ));
        }
        let most = self.config.sockets;
        if self.sockets.len() >= most {
            return Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                format!("{most} sockets are bound, as many as `Config::sockets` allows"),
            ));
        }
        if !self.held.ledger().has_room(size_of::<Socket>()) {
            return Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                "the memory for datagrams and sessions is used up: close sockets, read what waits in \
                 them, or raise `Config::memory`",
            ));
        }
        let limit = Room {
            packets: self.config.inbound_packets,
            bytes: self.config.inbound_bytes,
        };
        let id = self.sockets.insert(Box::new(Socket {
            bound,
            connected: None,
            queue: SharedQueue::new(limit, self.held.ledger()),
            handles: 0,
            options: Options {
                hop_limit: self.config.hop_limit,
                traffic_class: TrafficClass::default(),
                dont_fragment: false,
                recv_errors: false,
            },
        }));
        self.by_address.insert(bound, id);
        self.settle();
        Ok(id)
    }

    /// Counts the memory of the table after a change.
    fn settle(&mut self) {
        self.held.set(
            self.sockets.len() * size_of::<Socket>()
                + self.sockets.capacity() * SLOT
                + self.by_address.allocation_size(),
        );
    }

    /// Removes the socket and returns it.
    pub(crate) fn remove(&mut self, id: usize) -> Option<Box<Socket>> {
        let socket = self.sockets.try_remove(id)?;
        self.by_address.remove(&socket.bound);
        if self.sockets.is_empty() {
            // The memory that a crowd of sockets has left.
            self.sockets = Slab::new();
            self.by_address = HashMap::default();
        }
        self.settle();
        Some(socket)
    }

    /// The socket that receives the datagrams from `from` to `to`: one that is connected to `from`,
    /// or one that is bound to `to`, or one that is bound to the port of `to`.
    pub(crate) fn find(&self, from: SocketAddr, to: SocketAddr) -> Option<usize> {
        let any = match to {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let any = SocketAddr::new(any, to.port());
        let mut unconnected = None;
        for bound in [to, any] {
            let Some(&id) = self.by_address.get(&bound) else {
                continue;
            };
            match self.sockets.get(id).map(|socket| socket.connected) {
                Some(Some(Connected { local, peer })) if peer == from && local == to.ip() => {
                    return Some(id);
                }
                Some(None) => unconnected = unconnected.or(Some(id)),
                _ => {}
            }
        }
        unconnected
    }

    /// Sets the peer of the socket.
    pub(crate) fn connect(&mut self, id: usize, peer: SocketAddr) -> io::Result<()> {
        let peer = SocketAddr::new(peer.ip(), peer.port());
        let Some(sender) = self.sender(id) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let local = sender.source(peer)?.ip();
        if let Some(socket) = self.get_mut(id) {
            socket.connected = Some(Connected { local, peer });
        }
        Ok(())
    }

    /// What the datagrams of the socket begin with.
    pub(crate) fn sender(&self, id: usize) -> Option<Sender> {
        let socket = self.get(id)?;
        Some(Sender {
            bound: socket.bound,
            connected: socket.connected,
            own: self.interface.address_for(socket.bound.ip()),
            options: socket.options,
        })
    }
}

/// What the datagrams of a socket have in common, apart from the socket.
#[derive(Clone, Copy)]
pub(crate) struct Sender {
    bound: SocketAddr,
    connected: Option<Connected>,
    /// The address of the stack.
    own: Option<IpAddr>,
    pub(crate) options: Options,
}

impl Sender {
    /// The source of a datagram to `to`.
    pub(crate) fn source(&self, to: SocketAddr) -> io::Result<SocketAddr> {
        let bound = self.bound;
        if to.ip().is_unspecified() || to.port() == 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{to} is no destination of a datagram"),
            ));
        }
        if to.is_ipv6() != bound.is_ipv6() {
            return Err(SendError::Families { from: bound, to }.into());
        }
        let ip = match self.connected {
            Some(connected) => connected.local,
            None if bound.ip().is_unspecified() => self.own.ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::AddrNotAvailable,
                    format!(
                        "the stack has no address to send to {to} from; bind the socket to an \
                         address, or give the stack one"
                    ),
                )
            })?,
            None => bound.ip(),
        };
        Ok(SocketAddr::new(ip, bound.port()))
    }

    /// The address that the socket is connected to.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.connected.map(|Connected { peer, .. }| peer)
    }
}

impl Socket {
    /// The address of the socket.
    pub(crate) fn local(&self) -> SocketAddr {
        match self.connected {
            Some(Connected { local, .. }) => SocketAddr::new(local, self.bound.port()),
            None => self.bound,
        }
    }

    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.connected.map(|Connected { peer, .. }| peer)
    }
}
