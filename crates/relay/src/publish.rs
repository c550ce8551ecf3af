//! The other direction: sockets of the host whose clients reach servers behind the stack.

#[cfg(test)]
mod tests;
mod udp;

use crate::host::HostStream;
use crate::stats::Entry;
use crate::{Relay, Upstream};
use brooklet::{StackClosed, TcpStream};
use brooklet_reactor::{Async, Timer};
use futures_lite::future;
use std::io::{self, ErrorKind};
use std::net::{self, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long to wait for files after the system had none left.
const PAUSE: Duration = Duration::from_millis(100);

impl Relay {
    /// Accepts the connections of a listener of the host, and relays each one to a server behind the
    /// stack: the first of `servers` that does not refuse the connection. The servers see the
    /// [router](crate::Router) of the relay as the client.
    ///
    /// The client is accepted before the server is asked. A client whose server does not answer is
    /// reset. All published listeners together have at most [`Limits::connections`] connections at a
    /// time. Of more clients, one for each listener waits for a place, and the others in its backlog.
    ///
    /// ```no_run
    /// # fn example(relay: brooklet_relay::Relay) -> std::io::Result<()> {
    /// let listener = std::net::TcpListener::bind("127.0.0.1:8080")?;
    /// let server = "10.77.0.2:80".parse().unwrap();
    /// relay.publish_tcp(listener, &[server])?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// [`Limits::connections`]: crate::Limits::connections
    ///
    /// # Errors
    ///
    /// If the system cannot make the listener non-blocking.
    pub fn publish_tcp(
        &self,
        listener: net::TcpListener,
        servers: &[SocketAddr],
    ) -> io::Result<()> {
        let listener = Async::new(listener)?;
        let accept = accept(self.clone(), listener, servers.into());
        self.spawn(0, accept);
        Ok(())
    }

    /// Relays the datagrams that arrive at a socket of the host to a server behind the stack, and the
    /// answers back: the first of `servers` that does not refuse them (port unreachable). The server
    /// sees the [router](crate::Router) of the relay as the client, with a port for each client.
    ///
    /// A client whose session was idle for [`Limits::idle`] has a new port afterwards. All published
    /// sockets together have at most [`Limits::sessions`] sessions at a time; a new one replaces the
    /// one of its socket whose client was silent longest. Datagrams that find a queue full, of 64
    /// datagrams or 256 KiB, are dropped and counted.
    ///
    /// ```no_run
    /// # fn example(relay: brooklet_relay::Relay) -> std::io::Result<()> {
    /// let socket = std::net::UdpSocket::bind("127.0.0.1:5353")?;
    /// relay.publish_udp(socket, &["10.77.0.2:53".parse().unwrap()])?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// [`Limits::idle`]: crate::Limits::idle
    /// [`Limits::sessions`]: crate::Limits::sessions
    ///
    /// # Errors
    ///
    /// If the system cannot make the socket non-blocking.
    pub fn publish_udp(&self, socket: net::UdpSocket, servers: &[SocketAddr]) -> io::Result<()> {
        let socket = Arc::new(Async::new(socket)?);
        let serve = udp::serve(self.clone(), socket, servers.into());
        self.spawn(0, serve);
        Ok(())
    }

    /// Returns the address from which the relay connects to `server`.
    fn source(&self, server: SocketAddr) -> SocketAddr {
        SocketAddr::new(self.router(server.ip()), 0)
    }
}

/// Accepts connections until the stack has ended, which the connections find out.
async fn accept(relay: Relay, listener: Async<net::TcpListener>, servers: Arc<[SocketAddr]>) {
    let ended = Arc::new(AtomicBool::new(false));
    while !ended.load(Ordering::Relaxed) {
        let host = match listener.read_with(net::TcpListener::accept).await {
            Ok((host, _)) => host,
            // The client has gone again (accept(2)).
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
            // Files or memory are used up. The clients wait in the backlog.
            Err(_) => {
                Timer::after(PAUSE).await;
                continue;
            }
        };
        // Not before: a listener without clients would keep the place from the other listeners.
        let place = relay.published.acquire_arc().await;
        let (own, servers, ended) = (relay.clone(), servers.clone(), ended.clone());
        relay.spawn(0, async move {
            if let Err(error) = connection(&own, host, &servers).await
                && is_stack_closed(&error)
            {
                ended.store(true, Ordering::Relaxed);
            }
            drop(place);
        });
    }
}

async fn connection(relay: &Relay, host: net::TcpStream, servers: &[SocketAddr]) -> io::Result<()> {
    let connecting = Entry::new(&relay.counters, |counters| &counters.connecting);
    let upload = Entry::new(&relay.counters, |counters| &counters.uploads);
    // The server's stack has delayed small writes already, if the server allows that.
    host.set_nodelay(true)?;
    let mut host = HostStream::new(host)?;
    let server = dial(relay, servers).await.inspect_err(|_| host.reset())?;
    drop(connecting);
    relay.copy(server, host, upload).await;
    Ok(())
}

/// Connects to the first server that does not refuse the connection.
async fn dial(relay: &Relay, servers: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut refused = io::Error::from(ErrorKind::ConnectionRefused);
    for server in servers {
        let late = async {
            Timer::after(relay.limits.dial).await;
            Err(ErrorKind::TimedOut.into())
        };
        let connect = relay.stack.connect_from(relay.source(*server), *server);
        match future::or(connect, late).await {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => refused = error,
            outcome => return outcome,
        }
    }
    Err(refused)
}

fn is_stack_closed(error: &io::Error) -> bool {
    let inner = error.get_ref();
    error.kind() == ErrorKind::NetworkDown || inner.is_some_and(|inner| inner.is::<StackClosed>())
}
