//! The table of all known 4-tuples: the SYN queue, connections and TIME-WAIT.

mod closing;
mod cookies;
mod listening;
mod path_mtus;
mod route;
mod summary;
mod time_waits;

pub(crate) use self::cookies::CookieSource;
pub(crate) use self::listening::{Answered, Enqueued};
pub(crate) use self::route::Route;
pub(crate) use self::summary::TableSummary;

use crate::connection::Connection;
use crate::listeners::{Listeners, Listening};
use crate::memory_stats::MemoryStats;
use crate::options::TcpOptions;
use crate::ports::Ports;
use crate::shared::{Leaves, StackConfig};
use crate::stats::{Dropped, Stats};
use crate::syn_queue::{Lifetimes, SynEntry, SynQueue};
use crate::time_wait::TimeWait;
use brooklet_cell::wakers::WakeList;
use brooklet_cell::{Flavor, Shared};
use brooklet_io::{StackClosed, TokenBucket};
use brooklet_packet::{FlowKey, PathMtus, TcpFlags};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

pub(crate) struct Table<F: Flavor> {
    config: Arc<StackConfig<F>>,
    /// A 4-tuple is here or in the SYN queue, never in both.
    entries: HashMap<FlowKey, Entry<F>, RandomState>,
    syn_queue: SynQueue,
    pub(crate) listeners: Listeners,
    ports: Ports,
    /// The path MTUs that the program has stated.
    path_mtus: PathMtus,
    /// When each TIME-WAIT ends, in order. Some of the entries may be gone.
    time_waits: VecDeque<(Instant, FlowKey)>,
    summary: Arc<TableSummary>,
    /// When the last SYN cookie was sent.
    cookies_sent_at: Option<Instant>,
    /// When the SYN queue or the half-open connections were full last.
    full_at: Option<Instant>,
    /// Limits the RSTs that answer segments without a connection.
    resets: TokenBucket,
    /// The stack takes no new connections, and ends once it has none.
    closing: bool,
    /// The stack has ended.
    pub(crate) gone: bool,
    pub(crate) stats: Stats,
    /// Why the table has dropped the last segment that it dropped.
    pub(crate) dropped: Option<Dropped>,
}

enum Entry<F: Flavor> {
    Connection {
        connection: Shared<F, Connection<F>>,
        origin: Origin,
    },
    /// In a box: it is larger than the entry of a connection, of which there are more.
    TimeWait(Box<(TimeWait, Instant)>),
}

pub(crate) type Connections<F> = Vec<Shared<F, Connection<F>>>;

/// How a connection began.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// By `connect`, or by a request that the program accepted and whose handshake is done.
    Program,
    /// The handshake is not done, and the listener counts the connection. `listened`: the `accept`
    /// of the listener answered the SYN.
    HalfOpen { listener: u32, listened: bool },
    /// The `accept` of this listener answered the SYN, and the handshake is done.
    Listener(u32),
}

impl Origin {
    /// The listener whose `accept` answered the SYN.
    fn listener(self) -> Option<u32> {
        match self {
            Self::Listener(listener)
            | Self::HalfOpen {
                listener,
                listened: true,
            } => Some(listener),
            _ => None,
        }
    }
}

/// What a listener leaves behind when its last handle is dropped.
pub(crate) struct Unlistened<F: Flavor> {
    /// SYNs that it was not given.
    pub(crate) syns: Vec<SynEntry>,
    /// Connections that its `accept` answered, including those that were accepted.
    pub(crate) connections: Connections<F>,
    /// To be dropped while no cell is held.
    _listening: Listening,
}

impl<F: Flavor> std::fmt::Debug for Table<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table")
            .field("entries", &self.entries.len())
            .finish_non_exhaustive()
    }
}

/// Whether the control bits of a segment can stand together.
pub(crate) fn are_valid(flags: TcpFlags) -> bool {
    let contradicts = flags.syn() && (flags.fin() || flags.rst());
    !contradicts && (flags.syn() || flags.ack() || flags.rst())
}

impl<F: Flavor> Table<F> {
    pub(crate) fn new(config: Arc<StackConfig<F>>, summary: Arc<TableSummary>) -> Self {
        let mut listeners = Listeners::new();
        listeners.add(None, Arc::new(config.config.options.clone()));
        let lifetimes = Lifetimes {
            epoch: config.epoch,
            handshake_timeout: config.config.handshake_timeout,
            request_timeout: config.config.request_timeout,
        };
        Self {
            entries: HashMap::default(),
            syn_queue: SynQueue::new(config.config.backlog, lifetimes),
            listeners,
            ports: Ports::new(),
            path_mtus: PathMtus::with_limit(config.path_mtus),
            time_waits: VecDeque::new(),
            summary,
            cookies_sent_at: None,
            full_at: None,
            resets: TokenBucket::new(),
            closing: false,
            gone: false,
            stats: Stats::default(),
            dropped: None,
            config,
        }
    }

    pub(crate) fn connection(&self, key: FlowKey) -> Option<Shared<F, Connection<F>>> {
        match self.entries.get(&key) {
            Some(Entry::Connection { connection, .. }) => Some(connection.clone()),
            _ => None,
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            requests: self.syn_queue.len() as u64,
            ..self.stats
        }
    }

    /// Adds what the table has on the heap.
    pub(crate) fn add_memory(&self, memory: &mut MemoryStats) {
        let time_waits = self.stats.time_wait as usize * size_of::<(TimeWait, Instant)>()
            + self.time_waits.capacity() * size_of::<(Instant, FlowKey)>();
        memory.connections += (self.entries.allocation_size()
            + self.listeners.heap_size()
            + self.path_mtus.allocated()) as u64;
        memory.time_wait += time_waits as u64;
        memory.syn_queue += self.syn_queue.heap_size() as u64;
    }

    /// Counts a segment that the table drops.
    fn count(&mut self, dropped: Dropped) {
        self.stats.count(dropped);
        self.dropped = Some(dropped);
    }

    /// Adds a connection that begins here. Returns whether its 4-tuple was free.
    ///
    /// # Errors
    ///
    /// The stack has ended, or there is no place for one more connection.
    pub(crate) fn connect(
        &mut self,
        key: FlowKey,
        connection: &Shared<F, Connection<F>>,
    ) -> io::Result<bool> {
        if self.is_closed() {
            return Err(StackClosed.into());
        }
        let config = &self.config.config;
        let held = self.stats.connections as usize + self.syn_queue.len();
        if held >= config.max_connections {
            return Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                "max_connections is reached",
            ));
        }
        // The connection itself has its claim already.
        if !self.has_memory(self.syn_queue.len()) {
            return Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                "the memory for buffers is used up: close connections, read what waits in \
                 them, or raise Config::memory",
            ));
        }
        let taken = matches!(self.entries.get(&key), Some(Entry::Connection { .. }));
        if taken || self.syn_queue.isn(key).is_some() {
            return Ok(false);
        }
        let entry = Entry::Connection {
            connection: connection.clone(),
            origin: Origin::Program,
        };
        if let Some(Entry::TimeWait(_)) = self.entries.insert(key, entry) {
            self.stats.time_wait -= 1;
        }
        self.stats.connections += 1;
        self.stats.connects += 1;
        self.publish();
        Ok(true)
    }

    /// Whether the budget has the promised buffers for so many more connections.
    fn has_memory(&self, more: usize) -> bool {
        let options = &self.config.config.options;
        let memory = &self.config.memory;
        memory.has_room(
            more,
            options.recv_buffer,
            options.send_buffer,
            options.recv_buffer_max,
        )
    }

    /// An ephemeral port to connect from `from` to `to` that no entry uses.
    pub(crate) fn port(&mut self, from: SocketAddr, to: SocketAddr) -> Option<u16> {
        let (entries, syn_queue) = (&self.entries, &self.syn_queue);
        let (listeners, secret) = (&self.listeners, self.config.secret);
        self.ports.pick(secret, from.ip(), Some(to), |port| {
            let from = SocketAddr::new(from.ip(), port);
            from != to
                && !listeners.is_bound(from)
                && FlowKey::new(to, from)
                    .is_some_and(|key| !entries.contains_key(&key) && syn_queue.isn(key).is_none())
        })
    }

    /// Adds a listener that is bound to `address`; port 0 is replaced by a free one.
    pub(crate) fn bind(
        &mut self,
        address: SocketAddr,
        options: Arc<TcpOptions>,
    ) -> io::Result<u32> {
        if self.is_closed() {
            return Err(StackClosed.into());
        }
        let mut bound = address;
        if address.port() == 0 {
            let listeners = &self.listeners;
            let is_free = |port| !listeners.is_bound(SocketAddr::new(address.ip(), port));
            let secret = self.config.secret;
            let port = self.ports.pick(secret, address.ip(), None, is_free);
            bound.set_port(port.ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::AddrInUse,
                    format!("all ephemeral ports of {} are bound", address.ip()),
                )
            })?);
        } else if self.listeners.is_bound(address) {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                format!("another listener is bound to {address}"),
            ));
        }
        Ok(self.listeners.add(Some(bound), options))
    }

    /// Removes a connection that has ended. Returns whether the next expiry has become earlier.
    pub(crate) fn leave(
        &mut self,
        key: FlowKey,
        connection: &Shared<F, Connection<F>>,
        leaves: Leaves,
        now: Instant,
    ) -> bool {
        match self.entries.get(&key) {
            Some(Entry::Connection {
                connection: here, ..
            }) if here.same(connection) => {}
            _ => return false,
        }
        self.stats.connections -= 1;
        match leaves {
            Leaves::Nothing => {
                self.entries.remove(&key);
                self.shrink();
            }
            Leaves::TimeWait(wait) => self.enter_time_wait(key, wait, now),
        }
        self.publish()
    }

    /// Removes the SYNs and TIME-WAIT entries whose time has come.
    pub(crate) fn expire(&mut self, now: Instant, wakes: &mut WakeList) {
        self.stats.expired += self.syn_queue.expire(now, wakes);
        self.expire_time_waits(now);
        self.shrink();
        self.publish();
    }

    /// Publishes when [`expire`](Self::expire) is to be called next, and the number of
    /// connections. Returns whether the expiry has become earlier.
    fn publish(&mut self) -> bool {
        let syns = self.syn_queue.next_expiry();
        let time_waits = self.next_time_wait_end();
        let next = syns.into_iter().chain(time_waits).min();
        let since_epoch = next.map(|at| at.saturating_duration_since(self.config.epoch));
        let connections = self.stats.connections as usize;
        self.summary.publish(since_epoch, connections)
    }

    /// Gives back the memory of a burst that is over. The cost is that of the connections and
    /// TIME-WAIT entries that have ended since the last time.
    fn shrink(&mut self) {
        let is_roomy = |len: usize, capacity: usize| capacity > 256 && len * 8 < capacity;
        if is_roomy(self.entries.len(), self.entries.capacity()) {
            self.entries.shrink_to(2 * self.entries.len());
        }
        if is_roomy(self.time_waits.len(), self.time_waits.capacity()) {
            self.time_waits.shrink_to(2 * self.time_waits.len());
        }
    }

    /// A handle of each connection, in no order.
    pub(crate) fn iter_connections(&self) -> impl Iterator<Item = Shared<F, Connection<F>>> {
        self.entries.values().filter_map(|entry| match entry {
            Entry::Connection { connection, .. } => Some(connection.clone()),
            Entry::TimeWait(_) => None,
        })
    }

    /// Every connection.
    pub(crate) fn connections(&self) -> Connections<F> {
        self.connections_where(|_, _| true)
    }

    /// The connections of some origins.
    fn connections_of(&self, is_chosen: impl Fn(Origin) -> bool) -> Connections<F> {
        self.connections_where(|_, origin| is_chosen(origin))
    }

    /// Some of the connections, in the order of their addresses: whoever works on all of them does
    /// so in an order that does not depend on the hash of the table.
    fn connections_where(&self, is_chosen: impl Fn(FlowKey, Origin) -> bool) -> Connections<F> {
        let chosen = self.entries.iter().filter_map(|(key, entry)| match entry {
            Entry::Connection { connection, origin } if is_chosen(*key, *origin) => {
                Some(((key.source(), key.destination()), connection))
            }
            _ => None,
        });
        let mut chosen: Vec<_> = chosen.collect();
        chosen.sort_unstable_by_key(|(addresses, _)| *addresses);
        let connections = chosen.into_iter();
        connections
            .map(|(_, connection)| connection.clone())
            .collect()
    }

    /// Removes everything: the stack has ended.
    pub(crate) fn shut_down(&mut self, wakes: &mut WakeList) {
        self.gone = true;
        self.listeners.wake_all(wakes);
        self.entries.clear();
        self.entries.shrink_to_fit();
        self.syn_queue.clear(wakes);
        self.time_waits = VecDeque::new();
        (self.stats.connections, self.stats.time_wait) = (0, 0);
        self.publish();
    }
}
