//! What can be asked of a connection, and set, while it lasts.

use super::TcpStream;
use crate::flow::{Flow, TcpInfo};
use crate::options::{usable_keepalive, usable_time};
use brooklet_cell::Flavor;
use std::io;
use std::time::Duration;

impl<F: Flavor> TcpStream<F> {
    /// Whether small writes are sent at once (`TCP_NODELAY`). They are, by default.
    ///
    /// # Errors
    ///
    /// Never; the signature is that of other streams.
    pub fn nodelay(&self) -> io::Result<bool> {
        Ok(self.flow.with(|flow| !flow.nagle))
    }

    /// Sets whether small writes are sent at once, or gathered while data is under way
    /// (RFC 9293, 3.7.4).
    ///
    /// # Errors
    ///
    /// Never; the signature is that of other streams.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.enter(|flow, work| {
            flow.nagle = !nodelay;
            flow.settle(work);
        });
        Ok(())
    }

    /// The TTL or hop limit of the packets that are sent. 64 by default.
    ///
    /// # Errors
    ///
    /// Never; the signature is that of other streams.
    pub fn ttl(&self) -> io::Result<u32> {
        Ok(self.flow.with(|flow| flow.ttl.into()))
    }

    /// Sets the TTL or hop limit of the packets that are sent.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) unless it is between 1 and 255.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        let hop_limit = u8::try_from(ttl)
            .ok()
            .filter(|&ttl| ttl > 0)
            .ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidInput, "a TTL is between 1 and 255")
            })?;
        self.flow.with(|flow| flow.set_ttl(hop_limit));
        Ok(())
    }

    /// Idle time after which the peer is asked whether it is still there.
    pub fn keepalive(&self) -> Option<Duration> {
        self.flow.with(|flow| flow.keepalive)
    }

    /// Sets after how much idle time the peer is asked whether it is still there
    /// (RFC 9293, 3.8.4), at least a second; `None` never asks. A peer that leaves the questions
    /// unanswered for the [user timeout](Self::set_user_timeout) counts as gone.
    pub fn set_keepalive(&self, interval: Option<Duration>) {
        self.enter(|flow, work| {
            flow.keepalive = usable_keepalive(interval);
            flow.settle(work);
        });
    }

    /// How long the peer may leave something unanswered before the connection times out.
    pub fn user_timeout(&self) -> Option<Duration> {
        self.flow.with(|flow| flow.user_timeout)
    }

    /// Sets how long the peer may leave something unanswered before the connection times out
    /// (RFC 9293, 3.8.3); `None` waits for ever.
    pub fn set_user_timeout(&self, timeout: Option<Duration>) {
        self.enter(|flow, work| {
            flow.user_timeout = timeout.map(usable_time);
            flow.settle(work);
        });
    }

    /// What becomes of undelivered data when the last handle is dropped.
    pub fn linger(&self) -> Option<Duration> {
        self.flow.with(|flow| flow.linger)
    }

    /// Sets what becomes of undelivered data when the last handle is dropped (`SO_LINGER`); see
    /// [`TcpOptions::linger`](crate::TcpOptions::linger).
    pub fn set_linger(&self, linger: Option<Duration>) {
        self.flow.with(|flow| flow.linger = linger.map(usable_time));
    }

    /// Sizes of the receive buffer and the send buffer, in bytes. They are chosen when the
    /// connection is made, in [`TcpOptions`](crate::TcpOptions); while memory runs short it works
    /// with smaller ones ([`Config::memory`](crate::Config::memory)).
    pub fn buffer_sizes(&self) -> (usize, usize) {
        self.flow.with(|flow| flow.buffer_sizes())
    }

    /// What is known of the connection: state, round-trip time, windows, queues.
    pub fn info(&self) -> TcpInfo {
        self.flow.with(Flow::info)
    }
}
