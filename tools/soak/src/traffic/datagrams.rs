//! Datagrams and echo requests. Both may be lost, and are then repeated.

use super::Worker;
use crate::host::{Datagrams, Host};
use crate::random::Bytes;
use crate::service::{ECHO, wrong};
use futures_lite::future;
use smol::Timer;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// How long an answer may take before the request is repeated.
const ANSWER: Duration = Duration::from_secs(1);

/// How many times a request is sent before it counts as unanswered: at a loss of one packet of a hundred
/// that many are not lost by chance, fragments or not.
const ATTEMPTS: u32 = 12;

/// The longest payload in bytes: three fragments.
const LONGEST: u64 = 4000;

impl<H: Host> Worker<H> {
    pub(super) async fn datagrams(&mut self) -> io::Result<()> {
        let server = self.path.server(&mut self.random);
        let to = SocketAddr::new(server, ECHO);
        let socket = self.host.bind(self.path.source(server, &mut self.random))?;
        for _ in 0..self.random.within(1..6) {
            let payload = self.payload();
            self.exchange_datagram(&socket, to, &payload).await?;
            self.tally.datagrams.fetch_add(1, Relaxed);
            self.tally.bytes.fetch_add(payload.len() as u64, Relaxed);
        }
        Ok(())
    }

    /// Seldom one that needs fragments.
    fn payload(&mut self) -> Vec<u8> {
        let longest = if self.random.one_in(4) { LONGEST } else { 1200 };
        let mut payload = vec![0; self.random.within(8..longest) as usize];
        Bytes::new(self.random.next()).fill(&mut payload);
        payload
    }

    async fn exchange_datagram(
        &self,
        socket: &H::Datagrams,
        to: SocketAddr,
        payload: &[u8],
    ) -> io::Result<()> {
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                self.tally.repeats.fetch_add(1, Relaxed);
            }
            socket.send(payload, to).await?;
            let answer = async {
                let mut buf = vec![0; 65_536];
                loop {
                    let (len, from) = socket.receive(&mut buf).await?;
                    if from != to {
                        return Err(wrong(format!("a datagram of {from}")));
                    }
                    if buf[..len] == *payload {
                        return Ok(true);
                    }
                    // It may be the late answer to a request before, but only where packets are
                    // lost or late: on the other paths nothing is repeated.
                }
            };
            if future::or(answer, late()).await? {
                return Ok(());
            }
        }
        Err(wrong(format!(
            "no answer to {ATTEMPTS} datagrams of {} bytes to {to}",
            payload.len()
        )))
    }

    pub(super) async fn ping(&mut self) -> io::Result<()> {
        let server = self.path.server(&mut self.random);
        let from = self.path.client[usize::from(server.is_ipv6())];
        let payload = self.payload();
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                self.tally.repeats.fetch_add(1, Relaxed);
            }
            let sequence = self.random.next() as u16;
            let ping = async {
                let answer = self.host.ping(from, server, sequence, payload.clone());
                match answer.await? == payload {
                    true => Ok(true),
                    false => Err(wrong("an echo reply with wrong bytes")),
                }
            };
            if future::or(ping, late()).await? {
                self.tally.pings.fetch_add(1, Relaxed);
                return Ok(());
            }
        }
        Err(wrong(format!("no reply to {ATTEMPTS} pings to {server}")))
    }
}

async fn late() -> io::Result<bool> {
    Timer::after(ANSWER).await;
    Ok(false)
}
