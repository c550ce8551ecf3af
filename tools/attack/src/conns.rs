//! Connections of an attacker, which know the sequence numbers of both sides.

use crate::packet::{ACK, Batch, Content, End, FIN, RST, Received, SYN, Seen, Segment};
use crate::victim::SERVER;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

const PORT: u16 = 30_000;
/// The most handshakes in flight.
const MAX_HANDSHAKES: usize = 64;

/// Connections from the addresses 10.66.0.0/16 to one port.
#[derive(Debug)]
pub(crate) struct Conns {
    pub(crate) list: Vec<Conn>,
    port: u16,
    options: &'static [u8],
    /// The window of the handshake.
    window: u16,
    turn: usize,
}

/// A connection of an attacker.
#[derive(Debug)]
pub(crate) struct Conn {
    number: usize,
    port: u16,
    pub(crate) state: State,
    /// The next sequence number to be sent.
    pub(crate) seq: u32,
    /// The last acknowledgment of the victim.
    pub(crate) una: u32,
    /// The victim's data is in order up to this sequence number.
    pub(crate) next: u32,
    /// The highest sequence number that the victim has sent.
    pub(crate) newest: u32,
    /// What the attacker has acknowledged, if the attack keeps count.
    pub(crate) acknowledged: u32,
    /// A number for the attack itself.
    pub(crate) mark: u32,
    since: Option<Instant>,
    tries: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Closed,
    SynSent,
    Open,
}

impl Conns {
    pub(crate) fn new(count: usize, port: u16, options: &'static [u8], window: u16) -> Self {
        let list = (0..count).map(|number| Conn {
            number,
            port,
            state: State::Closed,
            seq: (number as u32).wrapping_mul(0x85eb_ca6b),
            una: 0,
            next: 0,
            newest: 0,
            acknowledged: 0,
            mark: 0,
            since: None,
            tries: 0,
        });
        Self {
            list: list.collect(),
            port,
            options,
            window,
            turn: 0,
        }
    }

    /// Sends the SYNs of connections that are not open, a few at a time.
    pub(crate) fn open(&mut self, now: Instant, out: &mut Batch) {
        let late = |conn: &Conn| {
            conn.since
                .is_some_and(|at| now - at > Duration::from_secs(1))
        };
        let in_flight = self
            .list
            .iter()
            .filter(|conn| conn.state == State::SynSent && !late(conn));
        let mut room = MAX_HANDSHAKES.saturating_sub(in_flight.count());
        for conn in &mut self.list {
            if room == 0 {
                return;
            }
            if conn.state == State::Closed || conn.state == State::SynSent && late(conn) {
                room -= 1;
                conn.tries += 1;
                conn.seq = conn.seq.wrapping_add(1 << 20);
                conn.state = State::SynSent;
                conn.since = Some(now);
                let segment = Segment {
                    options: self.options,
                    ..conn.segment(SYN, self.window)
                };
                out.push(|out| segment.write(out));
            }
        }
    }

    /// How many are open.
    pub(crate) fn opened(&self) -> usize {
        self.list
            .iter()
            .filter(|conn| conn.state == State::Open)
            .count()
    }

    /// The next connection that is open, by turns.
    pub(crate) fn next(&mut self) -> Option<&mut Conn> {
        for _ in 0..self.list.len() {
            self.turn = (self.turn + 1) % self.list.len();
            if self.list[self.turn].state == State::Open {
                return Some(&mut self.list[self.turn]);
            }
        }
        None
    }

    /// Takes a packet. Returns the connection of the packet and the segment, if it is one of an open
    /// connection.
    pub(crate) fn receive<'a>(
        &mut self,
        seen: &Seen<'a>,
        out: &mut Batch,
    ) -> Option<(&mut Conn, Received<'a>)> {
        let Content::Tcp(segment) = seen.content else {
            return None;
        };
        let [_, _, high, low] = seen.to.octets();
        let number = usize::from(u16::from_be_bytes([high, low]));
        let window = self.window;
        let port = self.port;
        let conn = self.list.get_mut(number)?;
        if segment.to != conn.end().1 || segment.from != port {
            return None;
        }
        if segment.has(RST) {
            conn.state = State::Closed;
            return None;
        }
        match conn.state {
            State::Closed => return None,
            State::SynSent if segment.has(SYN | ACK) => {
                conn.state = State::Open;
                conn.seq = segment.ack;
                conn.una = segment.ack;
                conn.next = segment.seq.wrapping_add(1);
                conn.newest = conn.next;
                conn.acknowledged = conn.next;
                conn.mark = 0;
                out.push(|out| conn.segment(ACK, window).write(out));
            }
            State::SynSent => return None,
            State::Open => {
                conn.una = segment.ack;
                let end = segment.end().wrapping_sub(u32::from(segment.has(FIN)));
                if segment.seq == conn.next {
                    conn.next = end;
                }
                if (end.wrapping_sub(conn.newest) as i32) > 0 {
                    conn.newest = end;
                }
            }
        }
        Some((conn, segment))
    }

    /// Resets what is open.
    pub(crate) fn finish(&mut self, out: &mut Batch) {
        for conn in &mut self.list {
            if conn.state != State::Closed {
                // At the acknowledgment of the victim, which is its RCV.NXT.
                conn.seq = if conn.state == State::Open {
                    conn.una
                } else {
                    conn.seq.wrapping_add(1)
                };
                out.push(|out| conn.segment(RST, 0).write(out));
                conn.state = State::Closed;
            }
        }
    }
}

impl Conn {
    pub(crate) fn end(&self) -> End {
        let [_, _, high, low] = (self.number as u32).to_be_bytes();
        (Ipv4Addr::new(10, 66, high, low), PORT + self.tries % 30_000)
    }

    /// A segment without data at the present sequence numbers.
    pub(crate) fn segment(&self, flags: u8, window: u16) -> Segment<'static> {
        Segment {
            from: self.end(),
            to: (SERVER, self.port),
            seq: self.seq,
            ack: if flags & ACK != 0 { self.next } else { 0 },
            flags,
            window,
            options: b"",
            data: b"",
        }
    }
}
