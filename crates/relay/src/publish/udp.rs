use crate::Relay;
use crate::stats::Entry;
use async_channel::{Receiver, Sender, TrySendError};
use async_lock::SemaphoreGuardArc;
use brooklet::{Datagram, icmp_error_of};
use brooklet_reactor::{Async, Timer};
use futures_lite::future;
use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// The longest datagram there is, in bytes.
const LONGEST: usize = 65_535;

/// The most datagrams of a client that wait for the stack.
const QUEUE: usize = 64;

/// The most bytes of a client that wait for the stack.
const QUEUE_BYTES: usize = 256 * 1024;

/// A client's session, for the task that reads the socket of the host.
struct Session {
    /// Closed when the session's task has ended. The task ends when this is dropped.
    datagrams: Sender<Vec<u8>>,
    /// The bytes in the queue.
    queued: Arc<AtomicUsize>,
    /// When the client sent last.
    used: Instant,
}

/// Hands the datagrams of each client to a task of the client's own.
pub(super) async fn serve(relay: Relay, socket: Arc<Async<UdpSocket>>, servers: Arc<[SocketAddr]>) {
    let mut sessions = HashMap::new();
    let mut buffer = vec![0; LONGEST];
    loop {
        let received = socket.read_with(|socket| socket.recv_from(&mut buffer));
        let Ok((len, client)) = received.await else {
            // Memory is used up, for example: the next datagram may find some.
            Timer::after(super::PAUSE).await;
            continue;
        };
        let mut datagram = buffer[..len].to_vec();
        if let Some(session) = sessions.get_mut(&client) {
            match offer(session, datagram) {
                Ok(()) => continue,
                Err(TrySendError::Full(_)) => {
                    relay.counters.datagrams_dropped.count();
                    continue;
                }
                Err(TrySendError::Closed(unsent)) => datagram = unsent,
            }
        }
        if sessions.len() >= relay.limits.sessions {
            forget_ended(&mut sessions);
        }
        let place = match relay.published_sessions.try_acquire_arc() {
            Some(place) => place,
            // The task of the session that ends here gives its place back at once.
            None if end_one(&mut sessions) => relay.published_sessions.acquire_arc().await,
            // The other published sockets have all places.
            None => {
                relay.counters.datagrams_dropped.count();
                continue;
            }
        };
        match Task::new(&relay, &servers, place).await {
            Ok(task) => {
                let (sender, receiver) = async_channel::bounded(QUEUE);
                let queued = Arc::default();
                let mut session = Session {
                    datagrams: sender,
                    queued: Arc::clone(&queued),
                    used: Instant::now(),
                };
                // The queue is empty.
                let _ = offer(&mut session, datagram);
                sessions.insert(client, session);
                let run = task.run((receiver, queued), socket.clone(), client);
                relay.spawn(0, run);
            }
            Err(error) if super::is_stack_closed(&error) => return,
            Err(_) => relay.counters.datagrams_dropped.count(),
        }
    }
}

fn offer(session: &mut Session, datagram: Vec<u8>) -> Result<(), TrySendError<Vec<u8>>> {
    session.used = Instant::now();
    let len = datagram.len();
    if session.queued.fetch_add(len, Ordering::Relaxed) + len > QUEUE_BYTES {
        session.queued.fetch_sub(len, Ordering::Relaxed);
        return Err(TrySendError::Full(datagram));
    }
    let sent = session.datagrams.try_send(datagram);
    if sent.is_err() {
        session.queued.fetch_sub(len, Ordering::Relaxed);
    }
    sent
}

fn forget_ended(sessions: &mut HashMap<SocketAddr, Session>) {
    sessions.retain(|_, session| !session.datagrams.is_closed());
}

/// Ends the session whose client was silent longest. Returns `false` if there is none.
fn end_one(sessions: &mut HashMap<SocketAddr, Session>) -> bool {
    forget_ended(sessions);
    let silent = sessions.iter().min_by_key(|(_, session)| session.used);
    let client = silent.map(|(client, _)| *client);
    client.is_some_and(|client| sessions.remove(&client).is_some())
}

/// The task of a session.
struct Task {
    relay: Relay,
    /// Connected to the first one of `servers`, which have turned.
    inside: brooklet::UdpSocket,
    servers: VecDeque<SocketAddr>,
    /// The latest datagram of the client, until a server has answered: if the server refuses it, the
    /// next server gets it. `None` also if there is one server.
    unanswered: Option<Vec<u8>>,
    /// How many servers have refused that datagram.
    refusals: usize,
    _open: Entry,
    _place: SemaphoreGuardArc,
}

enum Event {
    Client(Vec<u8>),
    Server(io::Result<Datagram>),
    End,
}

impl Task {
    async fn new(
        relay: &Relay,
        servers: &[SocketAddr],
        place: SemaphoreGuardArc,
    ) -> io::Result<Self> {
        let servers = VecDeque::from(servers.to_vec());
        let inside = connect(relay, &servers).await?;
        let counters = &relay.counters;
        counters.udp_sessions_total.count();
        Ok(Self {
            inside,
            unanswered: (servers.len() > 1).then(Vec::new),
            servers,
            refusals: 0,
            _open: Entry::new(counters, |counters| &counters.udp_sessions),
            _place: place,
            relay: relay.clone(),
        })
    }

    async fn run(
        mut self,
        (datagrams, queued): (Receiver<Vec<u8>>, Arc<AtomicUsize>),
        host: Arc<Async<UdpSocket>>,
        to: SocketAddr,
    ) {
        let mut idle = Timer::after(self.relay.limits.idle);
        loop {
            let client = async {
                let received = datagrams.recv().await;
                received.map_or(Event::End, Event::Client)
            };
            let server = async { Event::Server(self.inside.recv_datagram().await) };
            let late = async {
                (&mut idle).await;
                Event::End
            };
            let passed = match future::or(client, future::or(server, late)).await {
                Event::Client(datagram) => {
                    queued.fetch_sub(datagram.len(), Ordering::Relaxed);
                    self.question(datagram).await
                }
                Event::Server(Ok(answer)) => {
                    self.unanswered = None;
                    self.answer(&answer.payload, &host, to);
                    Ok(())
                }
                Event::Server(Err(error)) => Err(error),
                Event::End => return,
            };
            let passed = match passed {
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => self.refused().await,
                passed => passed,
            };
            match passed {
                Ok(()) => idle.set_after(self.relay.limits.idle),
                // No server listens at the moment, or the datagram is too long.
                Err(error) if is_about_a_datagram(&error) => {
                    self.relay.counters.datagrams_dropped.count();
                }
                Err(_) => return,
            }
        }
    }

    /// Passes a datagram of the client on.
    async fn question(&mut self, datagram: Vec<u8>) -> io::Result<()> {
        let sent = self.inside.send(&datagram).await;
        if sent.is_ok() {
            let counters = &self.relay.counters;
            counters.datagrams_down.count();
            counters.datagram_bytes_down.add(datagram.len() as u64);
        }
        if let Some(latest) = &mut self.unanswered {
            *latest = datagram;
            self.refusals = 0;
        }
        sent.map(drop)
    }

    fn answer(&self, payload: &[u8], host: &Async<UdpSocket>, to: SocketAddr) {
        let counters = &self.relay.counters;
        match host.get_ref().send_to(payload, to) {
            Ok(_) => {
                counters.datagrams_up.count();
                counters.datagram_bytes_up.add(payload.len() as u64);
            }
            // The client has gone, or the buffer of the socket is full.
            Err(_) => counters.datagrams_dropped.count(),
        }
    }

    /// Turns to the next server, unless one has answered, and sends the datagram there that was
    /// refused, unless all have refused it.
    async fn refused(&mut self) -> io::Result<()> {
        let Some(datagram) = &self.unanswered else {
            return Err(ErrorKind::ConnectionRefused.into());
        };
        self.servers.rotate_left(1);
        self.inside = connect(&self.relay, &self.servers).await?;
        self.refusals += 1;
        if self.refusals >= self.servers.len() {
            return Err(ErrorKind::ConnectionRefused.into());
        }
        self.inside.send(datagram).await.map(drop)
    }
}

/// Datagrams of others than the server do not reach a connected socket.
async fn connect(relay: &Relay, servers: &VecDeque<SocketAddr>) -> io::Result<brooklet::UdpSocket> {
    let Some(server) = servers.front() else {
        return Err(ErrorKind::AddrNotAvailable.into());
    };
    let inside = relay.stack.bind_udp(relay.source(*server))?;
    inside.connect(*server).await?;
    Ok(inside)
}

fn is_about_a_datagram(error: &io::Error) -> bool {
    icmp_error_of(error).is_some() || error.kind() == ErrorKind::InvalidInput
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_bounded_by_bytes_and_by_datagrams() {
        for (len, most) in [(60_000, 4), (1, QUEUE)] {
            let (datagrams, queue) = async_channel::bounded(QUEUE);
            let mut session = Session {
                datagrams,
                queued: Arc::default(),
                used: Instant::now(),
            };
            for n in 0..most {
                assert!(
                    offer(&mut session, vec![0; len]).is_ok(),
                    "{n} of {len} bytes"
                );
            }
            let full = offer(&mut session, vec![0; len]);
            assert!(matches!(full, Err(TrySendError::Full(_))), "{len} bytes");
            assert_eq!(queue.len(), most);
            assert_eq!(session.queued.load(Ordering::Relaxed), most * len);
        }
    }
}
