//! The echo requests of the program.

use brooklet_packet::icmp::Echo;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long an echo request may wait for its reply.
const LIFETIME: Duration = Duration::from_secs(60);

/// The most echo requests that are remembered. A new one displaces the oldest.
const MAX_REQUESTS: usize = 1024;

/// The echo requests that the program has sent lately. Only a reply or an error about one of them
/// reaches the program (RFC 5927, 4).
#[derive(Debug, Default)]
pub(crate) struct Outstanding(VecDeque<(Instant, Request)>);

/// The source, the destination and the numbers of an echo request.
pub(crate) type Request = (IpAddr, IpAddr, Echo);

impl Outstanding {
    pub(crate) fn insert(&mut self, now: Instant, request: Request) {
        self.expire(now);
        if self.0.len() >= MAX_REQUESTS {
            self.0.pop_front();
        }
        self.0.push_back((now, request));
    }

    /// A request stays after its reply: a second reply to it is reported, too.
    pub(crate) fn contains(&mut self, now: Instant, request: Request) -> bool {
        self.expire(now);
        self.0.iter().any(|(_, sent)| *sent == request)
    }

    fn expire(&mut self, now: Instant) {
        while let Some((at, _)) = self.0.front()
            && now.saturating_duration_since(*at) > LIFETIME
        {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "time begins somewhere")]
mod tests {
    use super::*;

    fn request(sequence: u16) -> Request {
        let [here, there] = [[10, 0, 0, 1], [192, 0, 2, 1]].map(IpAddr::from);
        let identifier = 7;
        (
            here,
            there,
            Echo {
                identifier,
                sequence,
            },
        )
    }

    #[test]
    fn a_request_is_known_for_a_minute() {
        let (mut outstanding, start) = (Outstanding::default(), Instant::now());
        outstanding.insert(start, request(1));
        assert!(outstanding.contains(start + LIFETIME, request(1)));
        assert!(!outstanding.contains(start + LIFETIME, request(2)));
        assert!(!outstanding.contains(start + LIFETIME + Duration::from_millis(1), request(1)));
    }

    #[test]
    fn a_new_request_displaces_the_oldest() {
        let (mut outstanding, now) = (Outstanding::default(), Instant::now());
        for sequence in 0..=MAX_REQUESTS as u16 {
            outstanding.insert(now, request(sequence));
        }
        assert!(!outstanding.contains(now, request(0)));
        assert!(outstanding.contains(now, request(1)));
        assert_eq!(outstanding.0.len(), MAX_REQUESTS);
    }
}
