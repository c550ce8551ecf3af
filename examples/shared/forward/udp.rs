use super::{Limits, Map};
use async_io::{Async, Timer};
use brooklet::TransparentUdpSocket;
use futures_lite::future;
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The largest datagram there is.
const LARGEST: usize = 65_535;

/// A client and the destination it sends to: one session, with one socket of the host.
type Key = (SocketAddr, SocketAddr);

type Sessions = Arc<Mutex<HashMap<Key, Entry>>>;

struct Entry {
    session: Arc<Session>,
    /// The task that forwards the answers, which a drop cancels.
    _answers: smol::Task<()>,
}

struct Session {
    socket: Async<std::net::UdpSocket>,
    used: Mutex<Instant>,
}

/// Forwards every datagram until the stack ends. An answer goes to the client with the address that
/// the client sent to as its source.
pub async fn datagrams(socket: TransparentUdpSocket, map: Map, limits: Limits) {
    let sessions = Sessions::default();
    let mut buffer = vec![0; LARGEST];
    // An error is the end of the stack, which the driver reports.
    while let Ok((n, client, to)) = socket.recv_from(&mut buffer).await {
        let key = (client, to);
        let known = lock(&sessions)
            .get(&key)
            .map(|entry| Arc::clone(&entry.session));
        // Without a socket the datagram is lost.
        let session = match known {
            Some(session) => session,
            None => {
                let Some(host) = map.host(to) else { continue };
                let Ok(session) = Session::open(host) else {
                    continue;
                };
                let session = Arc::new(session);
                begin(&sessions, key, &session, &socket, limits);
                session
            }
        };
        session.send(&buffer[..n]);
    }
}

fn begin(
    sessions: &Sessions,
    key: Key,
    session: &Arc<Session>,
    socket: &TransparentUdpSocket,
    limits: Limits,
) {
    let idle = if key.1.port() == 53 {
        limits.idle_dns
    } else {
        limits.idle
    };
    // Locked until the entry is in the table: the task looks for the entry when the task ends.
    let mut table = lock(sessions);
    let oldest = if table.len() >= limits.sessions {
        let oldest = table.iter().min_by_key(|(_, entry)| entry.session.used());
        oldest.map(|(key, _)| *key)
    } else {
        None
    };
    let evicted = oldest.and_then(|key| table.remove(&key));
    let answers = {
        let (session, socket, sessions) = (Arc::clone(session), socket.clone(), sessions.clone());
        smol::spawn(async move {
            answers(&session, key, &socket, idle).await;
            let mut table = lock(&sessions);
            let ours = table
                .get(&key)
                .is_some_and(|entry| Arc::ptr_eq(&entry.session, &session));
            let ended = if ours { table.remove(&key) } else { None };
            // Drop the socket, and the handle of this task, without the lock.
            drop(table);
            drop(ended);
        })
    };
    table.insert(
        key,
        Entry {
            session: Arc::clone(session),
            _answers: answers,
        },
    );
    drop(table);
    drop(evicted);
}

/// Sends answers to the client until the session has been idle for long enough.
async fn answers(
    session: &Session,
    (client, to): Key,
    socket: &TransparentUdpSocket,
    idle: Duration,
) {
    // Pages that no datagram reaches cost address space, and no memory.
    let mut buffer = vec![0; LARGEST];
    let mut timer = Timer::after(idle);
    loop {
        let answer = async { Some(session.socket.recv(&mut buffer).await) };
        let late = async {
            (&mut timer).await;
            None
        };
        match future::or(answer, late).await {
            Some(Ok(n)) => {
                session.touch();
                // An answer that is longer than the device's MTU is lost.
                let _ = socket.send_to(&buffer[..n], to, client).await;
            }
            // An ICMP error for an earlier datagram. The next datagram may arrive.
            Some(Err(error)) if unreachable(&error) => {}
            Some(Err(_)) => return,
            None => {
                let silent = session.used().elapsed();
                if silent >= idle {
                    return;
                }
                timer.set_after(idle - silent);
            }
        }
    }
}

impl Session {
    fn open(host: SocketAddr) -> io::Result<Self> {
        let any = match host {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let socket = std::net::UdpSocket::bind(any)?;
        socket.connect(host)?;
        Ok(Self {
            socket: Async::new(socket)?,
            used: Mutex::new(Instant::now()),
        })
    }

    /// Sends without waiting: a full socket must not delay the other sessions.
    fn send(&self, payload: &[u8]) {
        self.touch();
        // The first call may return the ICMP error for an earlier datagram.
        if self
            .socket
            .get_ref()
            .send(payload)
            .is_err_and(|error| unreachable(&error))
        {
            let _ = self.socket.get_ref().send(payload);
        }
    }

    fn touch(&self) {
        *lock(&self.used) = Instant::now();
    }

    fn used(&self) -> Instant {
        *lock(&self.used)
    }
}

fn unreachable(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    matches!(
        error.kind(),
        ConnectionRefused | HostUnreachable | NetworkUnreachable
    )
}

/// Ignores poisoning: no panic leaves the guarded values half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
