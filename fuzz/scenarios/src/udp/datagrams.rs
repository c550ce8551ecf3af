//! Datagrams that can be told apart, and where each is to be.

use std::collections::BTreeMap;
use std::net::SocketAddr;

/// A handle of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Transparent,
    /// A bound socket, by its number in the scenario.
    Socket(usize),
    Session,
}

/// A datagram on its way to the application.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    len: usize,
    /// `None` where nobody could read it.
    place: Option<Place>,
}

/// A datagram on its way to the device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaving {
    from: SocketAddr,
    to: SocketAddr,
    len: usize,
    /// The longest packet that it may leave in.
    longest: Option<usize>,
}

/// All datagrams of a scenario by the number that is in their payload.
#[derive(Debug, Default)]
pub(super) struct Datagrams {
    next: u32,
    arrived: BTreeMap<u32, Arrived>,
    leaving: BTreeMap<u32, Leaving>,
    /// The number of the last one of each flow that has left.
    last: BTreeMap<(SocketAddr, SocketAddr), u32>,
    pub(super) read: u64,
    pub(super) sent: u64,
    pub(super) accepted: (u64, u64),
}

/// The bytes of a payload that hold the number.
const NUMBER: usize = 4;

impl Datagrams {
    /// Returns the payload of a datagram, or of a batch of several with at most `size` bytes each, and
    /// the number of the first.
    pub(super) fn payload(&mut self, len: usize, size: usize) -> (u32, Vec<u8>) {
        let first = self.next;
        let len = len.max(NUMBER);
        let size = size.max(NUMBER);
        // The last one has room for its number.
        let len = if (1..NUMBER).contains(&(len % size)) {
            len - len % size
        } else {
            len
        };
        let mut payload = Vec::with_capacity(len);
        while payload.len() < len {
            let part = size.min(len - payload.len());
            payload.extend(self.next.to_be_bytes());
            let number = self.next;
            payload.extend((NUMBER..part).map(|at| content(number, at)));
            self.next += 1;
        }
        (first, payload)
    }

    /// Notes that the datagrams in `payload` arrive, for `place`.
    pub(super) fn arrive(
        &mut self,
        (first, payload): (u32, &[u8]),
        size: usize,
        (from, to): (SocketAddr, SocketAddr),
        place: Option<Place>,
    ) {
        for (number, part) in (first..).zip(payload.chunks(size.max(NUMBER))) {
            let len = part.len();
            self.arrived.insert(
                number,
                Arrived {
                    from,
                    to,
                    len,
                    place,
                },
            );
        }
    }

    /// Notes that the application has sent the datagrams in `payload`.
    pub(super) fn send(
        &mut self,
        (first, payload): (u32, &[u8]),
        size: usize,
        (from, to): (SocketAddr, SocketAddr),
        longest: Option<usize>,
    ) {
        for (number, part) in (first..).zip(payload.chunks(size.max(NUMBER))) {
            let len = part.len();
            let leaving = Leaving {
                from,
                to,
                len,
                longest,
            };
            self.leaving.insert(number, leaving);
            self.accepted.0 += 1;
            self.accepted.1 += len as u64;
        }
    }

    /// A handle has read a datagram: one of its own, whole, and after all that it has read before.
    pub(super) fn read(
        &mut self,
        payload: &[u8],
        ends: (SocketAddr, SocketAddr),
        place: Place,
        last: &mut Option<u32>,
    ) -> Arrived {
        let number = number(payload);
        let arrived = self.arrived.remove(&number);
        let arrived = arrived.unwrap_or_else(|| panic!("{number} was read before"));
        assert_eq!((arrived.from, arrived.to), ends, "{number}");
        assert_eq!(arrived.len, payload.len(), "{number}");
        // What waits in the transparent queue goes to the sessions when there are such.
        let moved = (arrived.place, place) == (Some(Place::Transparent), Place::Session);
        assert!(
            moved || arrived.place == Some(place),
            "{arrived:?} at {place:?}"
        );
        assert!(
            last.is_none_or(|last| last < number),
            "{number} after {last:?}"
        );
        *last = Some(number);
        self.read += 1;
        arrived
    }

    /// A packet with this datagram has left.
    pub(super) fn leave(&mut self, payload: &[u8], ends: (SocketAddr, SocketAddr), packet: usize) {
        let number = number(payload);
        let leaving = self.leaving.remove(&number);
        let leaving = leaving.unwrap_or_else(|| panic!("nobody has sent {number}"));
        assert_eq!((leaving.from, leaving.to), ends, "{number}");
        assert_eq!(leaving.len, payload.len(), "{number}");
        if let Some(longest) = leaving.longest {
            assert!(packet <= longest, "{packet} bytes, a path MTU of {longest}");
        }
        if let Some(last) = self.last.insert(ends, number) {
            assert!(last < number, "{number} has left after {last}");
        }
        self.sent += 1;
    }

    /// The number of datagrams that have not left.
    pub(super) fn leaving(&self) -> usize {
        self.leaving.len()
    }
}

/// The number of a datagram, whose bytes are those that it was made with.
fn number(payload: &[u8]) -> u32 {
    let number = u32::from_be_bytes(*payload.first_chunk().expect("a number"));
    let changed = payload.iter().enumerate().skip(NUMBER);
    let changed = changed
        .filter(|(at, byte)| **byte != content(number, *at))
        .count();
    assert_eq!(changed, 0, "bytes of {number} have changed");
    number
}

fn content(number: u32, at: usize) -> u8 {
    (number as u8).wrapping_mul(31) ^ (at as u8).wrapping_mul(7)
}
