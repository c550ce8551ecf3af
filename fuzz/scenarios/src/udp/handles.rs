//! The handles of the application, and which of them a datagram is for.

use super::datagrams::Place;
use brooklet_cell::SingleThread;
use brooklet_udp::{TransparentUdpSocket, UdpListener, UdpSession, UdpSocket};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

/// Notes that a task was woken.
#[derive(Debug, Default)]
pub(super) struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A task that waits, or does not.
#[derive(Debug, Default)]
pub(super) struct Task {
    flag: Arc<Flag>,
    waits: bool,
}

impl Task {
    /// Returns a waker for a call that may have to wait.
    pub(super) fn waker(&self) -> Waker {
        self.flag.0.store(false, Ordering::Relaxed);
        self.same_waker()
    }

    /// Returns a waker that keeps in mind whether the task was woken.
    pub(super) fn same_waker(&self) -> Waker {
        Arc::clone(&self.flag).into()
    }

    pub(super) fn set_waits(&mut self, waits: bool) {
        self.waits = waits;
    }

    /// There is something that the task waits for.
    pub(super) fn must_be_awake(&mut self) {
        if self.waits {
            assert!(self.flag.0.load(Ordering::Relaxed), "a task was not woken");
            self.waits = false;
        }
    }
}

/// A bound socket, and what is known of it.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) id: usize,
    pub(super) socket: UdpSocket<SingleThread>,
    pub(super) bound: SocketAddr,
    pub(super) peer: Option<SocketAddr>,
    pub(super) task: Task,
    pub(super) last: Option<u32>,
}

#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) session: UdpSession<SingleThread>,
    pub(super) last: Option<u32>,
}

/// What reads the datagrams that are for no bound socket.
#[derive(Debug)]
pub(super) enum All {
    Transparent(TransparentUdpSocket<SingleThread>, Task),
    Sessions(UdpListener<SingleThread>),
    Nobody,
}

#[derive(Debug)]
pub(super) struct Handles {
    pub(super) all: All,
    pub(super) sockets: Vec<Bound>,
    pub(super) sessions: Vec<Accepted>,
    pub(super) last: Option<u32>,
    /// The number of the next bound socket.
    pub(super) next: usize,
}

impl Handles {
    /// The handle that receives a datagram: see the list in the documentation of brooklet-udp.
    pub(super) fn place(&self, from: SocketAddr, to: SocketAddr, sessions: u64) -> Option<Place> {
        let unspecified = match to {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let any = SocketAddr::new(unspecified, to.port());
        let of = |address: SocketAddr, peer: Option<SocketAddr>| {
            let mut sockets = self.sockets.iter();
            sockets.find(|one| {
                let local = one.socket.local_addr().expect("it is bound");
                one.bound == address && one.peer == peer && (peer.is_none() || local == to)
            })
        };
        let socket = of(to, Some(from))
            .or_else(|| of(any, Some(from)))
            .or_else(|| of(to, None))
            .or_else(|| of(any, None));
        if let Some(socket) = socket {
            return Some(Place::Socket(socket.id));
        }
        match self.all {
            All::Transparent(..) => Some(Place::Transparent),
            All::Sessions(_) => Some(Place::Session),
            // One that exists goes on.
            All::Nobody => (sessions > 0).then_some(Place::Session),
        }
    }

    pub(super) fn task(&mut self, place: Place) -> Option<&mut Task> {
        match (place, &mut self.all) {
            (Place::Transparent, All::Transparent(_, task)) => Some(task),
            (Place::Socket(id), _) => {
                let mut sockets = self.sockets.iter_mut();
                sockets.find(|one| one.id == id).map(|one| &mut one.task)
            }
            _ => None,
        }
    }
}
