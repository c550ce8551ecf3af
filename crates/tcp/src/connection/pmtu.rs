//! The path MTU: discovery by ICMP (RFC 1191, 8201), and without it (RFC 4821, 8899).

use crate::seq::{Micros, NEVER, after, later};

/// What is known of the path's MTU.
///
/// An ICMP error lowers it. Where ICMP is filtered, repeated timeouts of large segments do (a
/// black hole). After a while one larger segment probes whether the path takes more again, but not
/// more than the device takes and the program has stated.
#[derive(Clone, Debug)]
pub(super) struct PathMtu {
    /// The present estimate, in bytes of an IP packet.
    mtu: u16,
    /// The largest MTU that is tried: that of the device, or a smaller one that the program has
    /// stated for the path.
    ceiling: u16,
    /// The MSS that the peer accepts.
    peer_mss: u16,
    /// When a larger size is probed, or [`NEVER`].
    raise_at: Micros,
    /// Probes that were lost since the estimate was last lowered.
    failed_probes: u8,
    watched: Option<Box<Watched>>,
}

/// A segment whose fate says what the path takes: its sequence numbers, and its size as an IP
/// packet.
#[derive(Clone, Copy, Debug)]
struct Watched {
    start: u32,
    end: u32,
    mtu: u16,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It probes a larger size.
    Probe,
    /// The segment has timed out, and the estimate was lowered. The number is the end of the part that
    /// was retransmitted in smaller segments. If the peer acknowledges the whole segment before all of
    /// the segment was retransmitted, the peer has received the large segment.
    TimedOut(u32),
}

/// Smaller MTUs are not believed: whoever reports one would make every segment a handful of bytes
/// (RFC 5927, 7).
const MIN_V4: u16 = 552;
const MIN_V6: u16 = 1280;

/// The smallest MTU of an IPv4 link (RFC 791, 3.2): the program is believed more than a router.
const MIN_STATED_V4: u16 = 68;

/// The sizes that are tried where nothing tells the MTU: BASE_PLPMTU of RFC 8899, 5.1.2 (as an MTU
/// of IPv6), and what every IPv4 host takes.
const BASE: u16 = 1280;
const SMALLEST_V4: u16 = 576;

/// Consecutive timeouts of a segment that mean a black hole, if a smaller size remains to be tried
/// (Linux: `tcp_retries1`).
const BLACK_HOLE_TIMEOUTS: u32 = 3;

/// An outage and a heavy loss look like a black hole, so a larger size is probed soon, and after
/// each probe that is lost in twice the time; at last, and after an ICMP error, as often as
/// RFC 8899, 5.1.1 says (PMTU_RAISE_TIMER).
const FIRST_RAISE: Micros = 1_000_000;
const RAISE: Micros = 600_000_000;

/// The headers of IP and TCP, in bytes.
fn headers(ipv6: bool) -> u16 {
    if ipv6 { 60 } else { 40 }
}

/// The MSS for a SYN-ACK that is sent without a connection: what the device and a stated path take.
pub(crate) fn local_mss(device: usize, stated: Option<u16>, ipv6: bool) -> u16 {
    let mut path = PathMtu::new(device);
    path.set_stated(0, stated, (device, ipv6));
    path.local_mss(ipv6) as u16
}

impl PathMtu {
    pub(super) fn new(device: usize) -> Self {
        let device = device as u16; // at most 65,535
        Self {
            mtu: device,
            ceiling: device,
            peer_mss: u16::MAX,
            raise_at: NEVER,
            failed_probes: 0,
            watched: None,
        }
    }

    pub(super) fn set_peer_mss(&mut self, mss: u16) {
        self.peer_mss = mss;
    }

    /// The MSS for our SYN: what the device and a stated path take (RFC 9293, 3.7.1).
    pub(super) fn local_mss(&self, ipv6: bool) -> u32 {
        self.ceiling.saturating_sub(headers(ipv6)).into()
    }

    /// The bytes of data and TCP options that a segment may carry.
    pub(super) fn mss(&self, ipv6: bool) -> u32 {
        let path = self.mtu.saturating_sub(headers(ipv6));
        path.min(self.peer_mss).into()
    }

    /// The program states the MTU of the path; `None` takes an earlier statement back, and larger
    /// sizes are probed then. Says whether the estimate has changed.
    pub(super) fn set_stated(
        &mut self,
        now: Micros,
        stated: Option<u16>,
        (device, ipv6): (usize, bool),
    ) -> bool {
        let device = device as u16; // at most 65,535
        let before = self.ceiling;
        self.ceiling = match stated {
            Some(mtu) => mtu
                .max(if ipv6 { MIN_V6 } else { MIN_STATED_V4 })
                .min(device),
            None => device,
        };
        if (self.watched.as_ref()).is_some_and(|watched| watched.mtu > self.ceiling) {
            self.watched = None;
        }
        if self.ceiling > before && self.raise_at == NEVER {
            self.raise_at = now; // nothing but the old ceiling kept the size down
        }
        self.lower(self.ceiling, NEVER)
    }

    /// An ICMP error says that the path takes packets of `mtu` bytes; 0 if it does not say
    /// (RFC 1191, 5). Says whether the estimate has changed.
    pub(super) fn on_packet_too_big(&mut self, now: Micros, mtu: usize, ipv6: bool) -> bool {
        let min = if ipv6 { MIN_V6 } else { MIN_V4 };
        let mtu = match mtu {
            0 => SMALLEST_V4,
            mtu => u16::try_from(mtu).unwrap_or(u16::MAX),
        };
        self.lower(mtu.max(min), now + RAISE)
    }

    /// The segment at `una`, SND.UNA, with `len` bytes and so many bytes of options, has timed out so
    /// many times in a row. It need not be a full-size one: the only segment of a message may be too
    /// large for the path as well. Says whether the estimate has changed.
    pub(super) fn on_timeout(
        &mut self,
        now: Micros,
        timeouts: u32,
        (una, len, options): (u32, u32, u32),
        ipv6: bool,
    ) -> bool {
        if timeouts < BLACK_HOLE_TIMEOUTS {
            return false;
        }
        let packet = len + options + u32::from(headers(ipv6));
        let smaller = match packet {
            packet if packet > BASE.into() => BASE,
            packet if packet > SMALLEST_V4.into() && !ipv6 => SMALLEST_V4,
            _ => return false,
        };
        let mtu = self.mtu;
        let lower = self.lower(smaller, now + FIRST_RAISE);
        if lower {
            self.watched = Some(Box::new(Watched {
                start: una,
                end: una.wrapping_add(len),
                mtu,
                kind: Kind::TimedOut(una),
            }));
        }
        lower
    }

    fn lower(&mut self, mtu: u16, raise_at: Micros) -> bool {
        let lower = mtu < self.mtu;
        if lower {
            self.mtu = mtu;
            self.raise_at = raise_at;
            self.failed_probes = 0;
            self.watched = None;
        }
        lower
    }

    /// The bytes of data and options of a segment that probes a larger size, when it is time for
    /// one (RFC 4821, 7.3).
    pub(super) fn probe_size(&mut self, now: Micros, ipv6: bool) -> Option<u32> {
        if self.raise_at > now || self.watched.is_some() {
            return None;
        }
        let size = self.next_size().saturating_sub(headers(ipv6));
        if u32::from(size) <= self.mss(ipv6) || size > self.peer_mss {
            self.raise_at = NEVER; // nothing larger is to be had
            return None;
        }
        Some(size.into())
    }

    /// The next larger size, as an IP packet.
    fn next_size(&self) -> u16 {
        match self.mtu < BASE {
            true => BASE.min(self.ceiling),
            false => self.ceiling,
        }
    }

    /// A probe from `start` to `end` has been sent.
    pub(super) fn probe_sent(&mut self, start: u32, end: u32) {
        let mtu = self.next_size();
        self.watched = Some(Box::new(Watched {
            start,
            end,
            mtu,
            kind: Kind::Probe,
        }));
    }

    /// The peer has acknowledged everything before `una`. Says whether the estimate has grown.
    pub(super) fn on_ack(&mut self, now: Micros, una: u32) -> bool {
        let Some(watched) = &self.watched else {
            return false;
        };
        if after(watched.end, una) {
            return false;
        }
        let takes = match watched.kind {
            Kind::Probe => true,
            Kind::TimedOut(resent) => after(watched.end, resent),
        };
        let mtu = watched.mtu;
        self.watched = None;
        if takes {
            self.mtu = mtu;
            self.raise_at = match self.mtu < self.ceiling {
                true => now,
                false => NEVER,
            };
        }
        takes
    }

    /// A stretch is retransmitted. A probe in it was lost: the path takes no more than before, or
    /// loses much.
    pub(super) fn on_retransmission(&mut self, now: Micros, start: u32, end: u32) {
        let Some(watched) = &mut self.watched else {
            return;
        };
        if !after(watched.end, start) || !after(end, watched.start) {
            return;
        }
        match &mut watched.kind {
            Kind::TimedOut(resent) => *resent = later(*resent, end),
            Kind::Probe => {
                self.watched = None;
                self.failed_probes = (self.failed_probes + 1).min(10);
                self.raise_at = now + (FIRST_RAISE << self.failed_probes).min(RAISE);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_black_hole_lowers_the_mtu_in_two_steps_and_a_probe_raises_it() {
        let mut pmtu = PathMtu::new(1500);
        assert!(!pmtu.on_timeout(0, 2, (1, 1460, 0), false));
        assert!(pmtu.on_timeout(0, 3, (1, 1460, 0), false));
        assert_eq!(pmtu.mss(false), 1240);
        assert!(pmtu.on_timeout(0, 4, (1, 1240, 0), false));
        assert_eq!(pmtu.mss(false), 536);
        let again = pmtu.on_timeout(0, 5, (1, 536, 0), false);
        assert!(!again, "no smaller size is tried");
        pmtu.on_retransmission(0, 1, 537);
        pmtu.on_retransmission(0, 537, 1241);
        assert!(!pmtu.on_ack(0, 1241), "small segments have arrived");
        assert_eq!(pmtu.probe_size(FIRST_RAISE - 1, false), None);
        assert_eq!(pmtu.probe_size(FIRST_RAISE, false), Some(1240));
        pmtu.probe_sent(100, 1340);
        assert_eq!(pmtu.probe_size(FIRST_RAISE, false), None, "one at a time");
        assert!(!pmtu.on_ack(FIRST_RAISE, 1339));
        assert!(pmtu.on_ack(FIRST_RAISE, 1340));
        assert_eq!(pmtu.mss(false), 1240);
        assert_eq!(pmtu.probe_size(FIRST_RAISE, false), Some(1460));
        pmtu.probe_sent(2000, 3460);
        pmtu.on_retransmission(FIRST_RAISE, 2000, 3240);
        assert!(!pmtu.on_ack(FIRST_RAISE, 3460), "it was the retransmission");
        assert_eq!(pmtu.probe_size(2 * FIRST_RAISE, false), None);
        for failed in 1..=12 {
            let at = FIRST_RAISE + (FIRST_RAISE << failed).min(RAISE);
            assert_eq!(pmtu.probe_size(at - 1, false), None);
            assert_eq!(pmtu.probe_size(at, false), Some(1460));
            pmtu.probe_sent(2000, 3460);
            pmtu.on_retransmission(FIRST_RAISE, 2000, 3240);
        }
    }

    #[test]
    fn a_large_segment_that_arrived_after_all_shows_that_there_is_no_black_hole() {
        let mut pmtu = PathMtu::new(1500);
        assert!(pmtu.on_timeout(0, 3, (1, 1460, 0), false));
        pmtu.on_retransmission(0, 1, 1241);
        assert!(!pmtu.on_ack(0, 1241));
        assert!(pmtu.on_ack(0, 1461));
        assert_eq!(pmtu.mss(false), 1460);
    }

    #[test]
    fn a_stated_mtu_bounds_a_probe_in_flight() {
        let link = (1500, false);
        let mut pmtu = PathMtu::new(1500);
        assert!(pmtu.set_stated(0, Some(1300), link));
        assert_eq!((pmtu.mss(false), pmtu.local_mss(false)), (1260, 1260));
        assert_eq!(pmtu.probe_size(RAISE, false), None, "nothing larger");
        assert!(!pmtu.set_stated(7, None, link));
        assert_eq!((pmtu.mss(false), pmtu.local_mss(false)), (1260, 1460));
        assert_eq!(pmtu.probe_size(7, false), Some(1460));
        pmtu.probe_sent(100, 1560);
        assert!(!pmtu.set_stated(8, Some(1400), link));
        assert!(!pmtu.on_ack(9, 1560), "the program knows better");
        assert_eq!(pmtu.probe_size(9, false), Some(1360));
    }

    #[test]
    fn ipv6_and_icmp_errors_have_lower_bounds() {
        let mut pmtu = PathMtu::new(1500);
        assert!(pmtu.on_timeout(0, 3, (1, 1440, 0), true));
        assert_eq!(pmtu.mss(true), 1220);
        assert!(!pmtu.on_timeout(0, 9, (1, 1220, 0), true));
        let mut pmtu = PathMtu::new(1500);
        assert!(pmtu.on_packet_too_big(0, 68, false));
        assert_eq!(pmtu.mss(false), 512);
        assert!(
            !pmtu.on_packet_too_big(0, 1400, false),
            "never raised by ICMP"
        );
        let mut pmtu = PathMtu::new(1500);
        pmtu.set_peer_mss(1000);
        assert_eq!(pmtu.mss(false), 1000);
        assert!(pmtu.on_packet_too_big(0, 0, false));
        assert_eq!(pmtu.mss(false), 536);
        assert_eq!(
            pmtu.probe_size(RAISE, false),
            None,
            "the peer takes no more"
        );
    }

    /// The size of every segment, were it restored here, would time out again on a path that takes less.
    #[test]
    fn an_acknowledgment_restores_the_size_only_before_all_was_sent_again_in_smaller_segments() {
        let mut path = PathMtu::new(1500);
        assert!(path.on_timeout(0, BLACK_HOLE_TIMEOUTS, (1000, 1460, 0), false));
        path.on_retransmission(0, 1000, 2240);
        path.on_retransmission(0, 2240, 2460);
        // What lies beyond had arrived before.
        assert!(!path.on_ack(0, 5000));
        assert_eq!(path.mss(false), 1240);

        let mut path = PathMtu::new(1500);
        assert!(path.on_timeout(0, BLACK_HOLE_TIMEOUTS, (1000, 1460, 0), false));
        path.on_retransmission(0, 1000, 2240);
        assert!(path.on_ack(0, 2460));
        assert_eq!(path.mss(false), 1460);
    }
}
