//! The smoltcp socket of a connection, and what stands in its place while there is none.
//!
//! smoltcp keeps what is received and not read, and what is written and not acknowledged. A
//! connection of which there is neither needs no socket and no buffers: it is known where it is
//! from what the [guard](crate::guard) knows. When data comes or is written, a socket is made that
//! has never seen anything else: it is shown a handshake with just the right numbers. So there is
//! none during the real handshake either.

use crate::memory::Buffers;
use self_cell::{MutBorrow, self_cell};
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp::{CongestionControl, RecvError, SendError, Socket, SocketBuffer, State};

/// Where a connection is (RFC 9293, 3.3.2), and its socket if it has one.
pub(super) enum Stage {
    /// The peer's SYN has come, and is still to be answered.
    Listen,
    SynSent,
    SynReceived,
    /// Established, and both buffers would be empty.
    Asleep,
    /// Established or beyond.
    Awake(Awake),
    /// The connection is over and nothing is left to be read. `finished`: all of the peer's stream
    /// was.
    Over {
        time_wait: bool,
        finished: bool,
    },
}

self_cell! {
    /// A set of one socket, and its buffers. Other connections have the buffers before and after,
    /// but nobody a socket.
    struct Lent {
        owner: MutBorrow<Buffers>,
        #[not_covariant]
        dependent: SocketSet,
    }
}

/// A socket with its buffers.
pub(super) struct Awake {
    lent: Lent,
    handle: SocketHandle,
    /// Its buffers are smaller than they should be.
    pub(super) scarce: bool,
}

impl Awake {
    /// Makes a socket that is closed and has never been anything else.
    pub(super) fn new(buffers: Buffers, ttl: u8) -> Self {
        let scarce = buffers.scarce;
        let mut handle = None;
        let lent = Lent::new(MutBorrow::new(buffers), |buffers| {
            let (recv, send) = buffers.borrow_mut().split();
            let mut socket = Socket::new(SocketBuffer::new(recv), SocketBuffer::new(send));
            // Each batch of packets is answered once when it ends, so nothing is gained by waiting.
            socket.set_ack_delay(None);
            socket.set_hop_limit(Some(ttl));
            // Said outright: another crate's choice of smoltcp features would change the default.
            socket.set_congestion_control(CongestionControl::None);
            // A place for the time, which the guard writes (RFC 7323).
            socket.set_tsval_generator(Some(|| 1));
            let mut sockets = SocketSet::new(Vec::with_capacity(1));
            handle = Some(sockets.add(socket));
            sockets
        });
        Self {
            lent,
            handle: handle.unwrap_or_default(),
            scarce,
        }
    }

    /// For calls of smoltcp's interface.
    pub(super) fn sockets<R>(&mut self, f: impl FnOnce(&mut SocketSet<'_>) -> R) -> R {
        self.lent.with_dependent_mut(|_, sockets| f(sockets))
    }

    pub(super) fn socket<R>(&mut self, f: impl FnOnce(&mut Socket<'_>) -> R) -> R {
        let handle = self.handle;
        self.sockets(|sockets| f(sockets.get_mut(handle)))
    }

    /// Whether both buffers are.
    pub(super) fn is_empty(&self) -> bool {
        self.look(|socket| socket.recv_queue() == 0 && socket.send_queue() == 0)
    }

    fn look<R>(&self, f: impl FnOnce(&Socket<'_>) -> R) -> R {
        let handle = self.handle;
        self.lent
            .with_dependent(|_, sockets| f(sockets.get(handle)))
    }
}

impl Stage {
    pub(super) const CLOSED: Self = Self::Over {
        time_wait: false,
        finished: false,
    };

    pub(super) fn state(&self) -> State {
        match self {
            Self::Listen => State::Listen,
            Self::SynSent => State::SynSent,
            Self::SynReceived => State::SynReceived,
            Self::Asleep => State::Established,
            Self::Awake(awake) => awake.look(|socket| socket.state()),
            Self::Over {
                time_wait: true, ..
            } => State::TimeWait,
            Self::Over { .. } => State::Closed,
        }
    }

    fn look<R>(&self, f: impl FnOnce(&Socket<'_>) -> R) -> Option<R> {
        match self {
            Self::Awake(awake) => Some(awake.look(f)),
            _ => None,
        }
    }

    /// Bytes received and not read.
    pub(super) fn recv_queue(&self) -> usize {
        self.look(|socket| socket.recv_queue()).unwrap_or(0)
    }

    /// Bytes written and not acknowledged.
    pub(super) fn send_queue(&self) -> usize {
        self.look(|socket| socket.send_queue()).unwrap_or(0)
    }

    /// Whether something is there to be read, or nothing will ever be again.
    pub(super) fn readable(&self) -> bool {
        self.look(|socket| socket.can_recv() || !socket.may_recv())
            .unwrap_or(!matches!(self, Self::Asleep))
    }

    /// Whether a good piece of the send buffer is free, or will never be used again.
    pub(super) fn writable(&self) -> bool {
        self.look(|socket| {
            let capacity = socket.send_capacity();
            let room = capacity - socket.send_queue();
            !socket.may_send() || room * 4 >= capacity
        })
        .unwrap_or(true)
    }

    /// Whether smoltcp has a reset to send.
    pub(super) fn has_reset(&self) -> bool {
        self.look(|socket| socket.state() == State::Closed && socket.local_endpoint().is_some())
            .unwrap_or(false)
    }

    /// Copies what was received into `buf`, and takes it out unless it is only to be seen.
    pub(super) fn receive(&mut self, buf: &mut [u8], peek: bool) -> Result<usize, RecvError> {
        match self {
            Self::Awake(awake) => awake.socket(|socket| match peek {
                // By itself it does not say that the end has come.
                true => socket
                    .recv_slice(&mut [])
                    .and_then(|_| socket.peek_slice(buf)),
                false => socket.recv_slice(buf),
            }),
            Self::Asleep => Ok(0),
            Self::Over { finished: true, .. } => Err(RecvError::Finished),
            _ => Err(RecvError::InvalidState),
        }
    }

    /// Writes into the send buffer.
    pub(super) fn send(&mut self, buf: &[u8]) -> Result<usize, SendError> {
        match self {
            Self::Awake(awake) => awake.socket(|socket| socket.send_slice(buf)),
            _ => Err(SendError::InvalidState),
        }
    }

    /// Throws away what was received. Says how much it was.
    pub(super) fn discard(&mut self) -> usize {
        let mut dropped = 0;
        if let Self::Awake(awake) = self {
            while let Ok(n @ 1..) = awake.socket(|s| s.recv(|bytes| (bytes.len(), bytes.len()))) {
                dropped += n;
            }
        }
        dropped
    }

    /// Gives the buffers of a connection back that is over and has been read.
    pub(super) fn retire(&mut self) {
        if let Self::Awake(awake) = self {
            let unread = awake.socket(|socket| socket.recv_slice(&mut []));
            if unread == Ok(0) {
                return;
            }
            *self = Self::Over {
                time_wait: self.state() == State::TimeWait,
                finished: unread == Err(RecvError::Finished),
            };
        }
    }
}
