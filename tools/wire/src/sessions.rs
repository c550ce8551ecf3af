//! UDP sessions of brooklet with an application on them: the datagrams say what it does.
//!
//! The text of a datagram is a number of seconds and then addresses: after that time the session
//! sends a datagram from each of the addresses, whose text is its source.

use crate::app::{Env, Session};
use crate::brooklet_app::Spawn;
use brooklet::SessionEnd;
use brooklet::local::{UdpListener, UdpSession};
use std::net::SocketAddr;
use std::time::Duration;

/// What a session is asked to do.
struct Request {
    after: Duration,
    from: Vec<SocketAddr>,
}

impl Request {
    fn parse(text: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(text).ok()?.split_whitespace();
        let after = Duration::from_secs(words.next()?.parse().ok()?);
        let from: Result<_, _> = words.map(str::parse).collect();
        Some(Self {
            after,
            from: from.ok()?,
        })
    }
}

/// Accepts sessions, and serves each in a task of its own.
pub(crate) async fn serve(env: Env, spawn: Spawn, listener: UdpListener) {
    loop {
        let session = match listener.accept().await {
            Ok(session) => session,
            Err(error) => return env.fault(format!("the UDP listener ended: {error}")),
        };
        let index = {
            let mut log = env.log.borrow_mut();
            log.sessions.push(Session {
                client: session.source(),
                to: Vec::new(),
                sent: Vec::new(),
                ended: None,
            });
            log.sessions.len() - 1
        };
        spawn(Box::pin(receive(
            env.clone(),
            spawn.clone(),
            session,
            index,
        )));
    }
}

async fn receive(env: Env, spawn: Spawn, session: UdpSession, index: usize) {
    loop {
        let datagram = match session.recv_datagram().await {
            Ok(datagram) => datagram,
            Err(error)
                if error
                    .get_ref()
                    .is_some_and(|inner| inner.is::<SessionEnd>()) =>
            {
                env.log.borrow_mut().sessions[index].ended = Some((env.now)());
                return;
            }
            Err(error) if error.kind() == std::io::ErrorKind::NetworkDown => {
                return env.fault(format!("a UDP session failed: {error}"));
            }
            // An ICMP error, which does not end the session.
            Err(_) => continue,
        };
        env.log.borrow_mut().sessions[index].to.push(datagram.to);
        if let Some(request) = Request::parse(&datagram.payload) {
            let send = send(env.clone(), session.clone(), index, request);
            spawn(Box::pin(send));
        }
    }
}

async fn send(env: Env, session: UdpSession, index: usize, request: Request) {
    if !request.after.is_zero() {
        (env.sleep)(request.after).await;
    }
    for from in request.from {
        let text = from.to_string();
        let sent = session.send_to_client(text.as_bytes(), from).await;
        let sent = sent.map(drop).map_err(|error| error.kind());
        env.log.borrow_mut().sessions[index].sent.push((from, sent));
    }
}
