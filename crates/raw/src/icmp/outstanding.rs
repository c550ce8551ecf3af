//! The echo requests of a socket that wait for their replies.

use brooklet_packet::icmp::Echo;
use foldhash::fast::RandomState;
use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    time::{Duration, Instant},
};

/// The source, the destination, and the identifier and sequence number of a request.
pub(crate) type Request = (IpAddr, IpAddr, Echo);

/// A bounded table of requests.
///
/// Everyone who guesses the addresses can send a reply or an error (RFC 5927). Only those that name
/// a request in the table are delivered, and each request is in the table until its first answer.
pub(crate) struct Outstanding {
    limit: usize,
    timeout: Duration,
    sent: HashMap<Request, Instant, RandomState>,
    /// The requests in the order in which they were sent. A request that was answered, or sent
    /// again, is still in here, with a time that the map does not have.
    order: VecDeque<(Instant, Request)>,
}

impl Outstanding {
    pub(crate) fn new(limit: usize, timeout: Duration) -> Self {
        Self {
            limit: limit.max(1),
            timeout,
            sent: HashMap::default(),
            order: VecDeque::new(),
        }
    }

    /// Adds a request, in place of the oldest one if the table is full.
    pub(crate) fn insert(&mut self, now: Instant, request: Request) {
        self.expire(now);
        self.sent.insert(request, now);
        self.order.push_back((now, request));
        while self.sent.len() > self.limit {
            self.remove_oldest();
        }
        if self.order.len() > 2 * self.limit {
            let sent = &self.sent;
            self.order
                .retain(|(at, request)| sent.get(request) == Some(at));
        }
    }

    /// Removes a request. Returns how long ago it was sent, unless it is unknown or too old.
    pub(crate) fn remove(&mut self, now: Instant, request: &Request) -> Option<Duration> {
        self.expire(now);
        let sent = self.sent.remove(request)?;
        if self.sent.is_empty() {
            self.order.clear();
        }
        Some(now.saturating_duration_since(sent))
    }

    fn expire(&mut self, now: Instant) {
        while let Some((sent, _)) = self.order.front()
            && now.saturating_duration_since(*sent) >= self.timeout
        {
            self.remove_oldest();
        }
    }

    fn remove_oldest(&mut self) {
        if let Some((sent, request)) = self.order.pop_front()
            && self.sent.get(&request) == Some(&sent)
        {
            self.sent.remove(&request);
        }
    }
}
