//! Honest clients beside an attack: they connect, send the third packet of the handshake after a delay of
//! their own, have a few bytes echoed, and close. Others have a datagram echoed.

use crate::packet::{ACK, Batch, Content, End, FIN, PSH, RST, Received, SYN, Seen, Segment, udp};
use crate::victim::SERVER;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// The third packets of the clients follow the SYN-ACK after these delays, by turns.
const DELAYS: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_millis(30),
    Duration::from_millis(100),
];

const PORT: u16 = 20_000;
const MESSAGE: &[u8] = b"are you still there, under all of this?";
/// A client gives up after this time.
const PATIENCE: Duration = Duration::from_secs(10);
/// When a SYN and the data are sent again.
const SYN_TIMEOUT: Duration = Duration::from_secs(1);
const DATA_TIMEOUT: Duration = Duration::from_millis(300);
/// A datagram that is not echoed within this time is lost.
const DATAGRAM_PATIENCE: Duration = Duration::from_secs(1);

/// What the honest clients got.
#[derive(Clone, Debug, Default)]
pub(crate) struct Service {
    /// The time of each connect and echo that succeeded, beyond the delay of the client.
    pub(crate) times: Vec<Duration>,
    /// Connects that were reset.
    pub(crate) reset: u64,
    /// Connects that had no echo in time.
    pub(crate) late: u64,
    pub(crate) datagrams: u64,
    pub(crate) datagrams_lost: u64,
}

#[derive(Debug)]
struct Client {
    start: Instant,
    delay: Duration,
    state: State,
    seq: u32,
    ack: u32,
    timestamp: u32,
    sent: Instant,
    wait: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    SynSent,
    /// The third packet is due at this moment.
    Delaying(Instant),
    Sent,
}

/// The clients.
#[derive(Debug)]
pub(crate) struct Honest {
    interval: Duration,
    next: Instant,
    started: u32,
    clients: HashMap<u32, Client>,
    alarms: BinaryHeap<Reverse<(Instant, u32)>>,
    next_datagram: Instant,
    datagram: u32,
    datagrams: VecDeque<(u32, Instant, bool)>,
    service: Service,
    /// Whether outcomes are counted.
    counting: bool,
}

impl Honest {
    /// A client each `interval`.
    pub(crate) fn new(now: Instant, interval: Duration) -> Self {
        Self {
            interval,
            next: now,
            started: 0,
            clients: HashMap::new(),
            alarms: BinaryHeap::new(),
            next_datagram: now,
            datagram: 0,
            datagrams: VecDeque::new(),
            service: Service::default(),
            counting: false,
        }
    }

    /// Counts the outcomes of clients from now on.
    pub(crate) fn count(&mut self) {
        self.counting = true;
        self.service = Service::default();
    }

    pub(crate) fn service(&self) -> &Service {
        &self.service
    }

    /// The datagrams that were sent, also before the count.
    pub(crate) fn datagrams_sent(&self) -> u64 {
        self.datagram.into()
    }

    /// Whether no client waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.clients.is_empty() && self.datagrams.is_empty()
    }

    /// Starts the clients that are due, and sends what is due of the others.
    pub(crate) fn tick(&mut self, now: Instant, starts: bool, out: &mut Batch) {
        if !starts {
            self.next = now;
            self.next_datagram = now;
        }
        while starts && self.next <= now {
            // A loop that was held up does not start the missed ones at once.
            self.next = (self.next + self.interval).max(now);
            self.start(now, out);
        }
        if starts && self.next_datagram <= now {
            self.next_datagram = now + 2 * self.interval;
            self.datagram = self.datagram.wrapping_add(1);
            let number = self.datagram;
            out.push(|out| udp(out, client(number), (SERVER, 7), &number.to_be_bytes()));
            self.datagrams.push_back((number, now, false));
        }
        while let Some((_, sent, echoed)) = self.datagrams.front().copied()
            && (echoed || now - sent > DATAGRAM_PATIENCE)
        {
            self.datagrams.pop_front();
            self.service.datagrams += u64::from(echoed);
            self.service.datagrams_lost += u64::from(!echoed);
        }
        while let Some(Reverse((at, number))) = self.alarms.peek().copied()
            && at <= now
        {
            self.alarms.pop();
            self.on_alarm(now, number, out);
        }
    }

    fn start(&mut self, now: Instant, out: &mut Batch) {
        self.started += 1;
        let number = self.started;
        let new = Client {
            start: now,
            delay: DELAYS[number as usize % DELAYS.len()],
            state: State::SynSent,
            seq: number.wrapping_mul(0x9e37_79b9),
            ack: 0,
            timestamp: 0,
            sent: now,
            wait: SYN_TIMEOUT,
        };
        new.send_syn(number, now, out);
        self.alarms.push(Reverse((now + new.wait, number)));
        self.clients.insert(number, new);
    }

    fn on_alarm(&mut self, now: Instant, number: u32, out: &mut Batch) {
        let Some(client) = self.clients.get_mut(&number) else {
            return;
        };
        if now - client.start > PATIENCE + client.delay {
            self.clients.remove(&number);
            self.service.late += 1;
            return;
        }
        match client.state {
            State::Delaying(due) if due <= now => {
                client.state = State::Sent;
                client.wait = DATA_TIMEOUT;
                client.sent = now;
                client.send(number, now, ACK, b"", out);
                client.send(number, now, ACK | PSH, MESSAGE, out);
            }
            State::Delaying(_) => return,
            State::SynSent if now - client.sent >= client.wait => {
                client.wait *= 2;
                client.sent = now;
                client.send_syn(number, now, out);
            }
            State::Sent if now - client.sent >= client.wait => {
                client.wait *= 2;
                client.sent = now;
                client.send(number, now, ACK | PSH, MESSAGE, out);
            }
            State::SynSent | State::Sent => return,
        }
        // The last alarm is that of the client's patience.
        let end = client.start + PATIENCE + client.delay + Duration::from_millis(1);
        self.alarms
            .push(Reverse(((now + client.wait).min(end), number)));
    }

    /// Takes a packet to one of the clients.
    pub(crate) fn receive(&mut self, now: Instant, seen: &Seen<'_>, out: &mut Batch) {
        match seen.content {
            Content::Tcp(segment) => self.segment(now, seen.to, &segment, out),
            Content::Udp(data) => {
                let number = data.try_into().ok().map(u32::from_be_bytes);
                let sent = self.datagrams.iter_mut().find(|(n, ..)| Some(*n) == number);
                if let Some((_, _, echoed)) = sent {
                    *echoed = true;
                }
            }
            Content::Other => {}
        }
    }

    fn segment(&mut self, now: Instant, to: Ipv4Addr, segment: &Received<'_>, out: &mut Batch) {
        let number = number(to, segment.to);
        let Some(client) = self.clients.get_mut(&number) else {
            if segment.has(FIN) {
                out.push(|out| answer(to, segment).write(out));
            }
            return;
        };
        if segment.has(RST) {
            self.clients.remove(&number);
            self.service.reset += 1;
            return;
        }
        client.timestamp = segment.timestamp.unwrap_or(client.timestamp);
        match client.state {
            State::SynSent if segment.has(SYN | ACK) => {
                client.seq = segment.ack;
                client.ack = segment.seq.wrapping_add(1);
                let due = now + client.delay;
                client.state = State::Delaying(due);
                self.alarms.push(Reverse((due, number)));
                if client.delay.is_zero() {
                    self.on_alarm(now, number, out);
                }
            }
            // The third packet was lost, or the victim was impatient.
            State::Sent if segment.has(SYN) => client.send(number, now, ACK, b"", out),
            State::Sent if segment.data == MESSAGE => {
                client.seq = segment.ack;
                client.ack = segment.end();
                client.send(number, now, ACK | FIN, b"", out);
                let time = (now - client.start).saturating_sub(client.delay);
                self.clients.remove(&number);
                if self.counting {
                    self.service.times.push(time);
                }
            }
            _ => {}
        }
    }
}

impl Client {
    fn send_syn(&self, number: u32, now: Instant, out: &mut Batch) {
        let mut options = SYN_OPTIONS;
        options[8..12].copy_from_slice(&self.clock(now).to_be_bytes());
        let options: &[u8] = match stamped(number) {
            true => &options,
            false => &[2, 4, 5, 0xb4],
        };
        let segment = Segment {
            from: client(number),
            to: (SERVER, 7),
            seq: self
                .seq
                .wrapping_sub(u32::from(self.state != State::SynSent)),
            ack: 0,
            flags: SYN,
            window: 64_240,
            options,
            data: b"",
        };
        out.push(|out| segment.write(out));
    }

    fn send(&self, number: u32, now: Instant, flags: u8, data: &[u8], out: &mut Batch) {
        let mut options = [1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0];
        options[4..8].copy_from_slice(&self.clock(now).to_be_bytes());
        options[8..12].copy_from_slice(&self.timestamp.to_be_bytes());
        let segment = Segment {
            from: client(number),
            to: (SERVER, 7),
            seq: self.seq,
            ack: self.ack,
            flags,
            window: 500,
            options: if stamped(number) { &options } else { b"" },
            data,
        };
        out.push(|out| segment.write(out));
    }

    fn clock(&self, now: Instant) -> u32 {
        1_000 + (now - self.start).as_millis() as u32
    }
}

/// The options of Linux: MSS, SACK permitted, timestamps, window scale.
pub(crate) const SYN_OPTIONS: [u8; 20] = [
    2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 3, 0xe8, 0, 0, 0, 0, 1, 3, 3, 7,
];

/// Three clients of four use timestamps.
fn stamped(number: u32) -> bool {
    !number.is_multiple_of(4)
}

/// The answer to a FIN of a connection that the client has forgotten.
fn answer<'a>(to: Ipv4Addr, segment: &Received<'_>) -> Segment<'a> {
    Segment {
        from: (to, segment.to),
        to: (SERVER, segment.from),
        seq: segment.ack,
        ack: segment.end(),
        flags: ACK,
        window: 500,
        options: b"",
        data: b"",
    }
}

/// The addresses 10.77.0.0/16, some ports of each.
fn client(number: u32) -> End {
    let [_, _, high, low] = (number % 65_536).to_be_bytes();
    (
        Ipv4Addr::new(10, 77, high, low),
        PORT + (number / 65_536) as u16,
    )
}

fn number(address: Ipv4Addr, port: u16) -> u32 {
    let [_, _, high, low] = address.octets();
    u32::from(port.wrapping_sub(PORT)) * 65_536 + u32::from(u16::from_be_bytes([high, low]))
}

/// Whether an address is that of an honest client.
pub(crate) fn is_honest(address: Ipv4Addr) -> bool {
    address.octets()[..2] == [10, 77]
}
