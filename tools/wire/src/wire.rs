//! What the cases are written with: a wire that judges every packet, and a peer that knows the
//! numbers of one connection.

use crate::app::{Received, Session, Stream};
use crate::backend::{Backend, BackendKind, CLIENT, CLIENT6, MTU, SERVER, SERVER6};
use crate::packet::{ACK, FIN, Options, PSH, Packet, RST, SYN, Seg};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

/// What a case says: nothing, or what was wrong.
pub(crate) type Done = Result<(), String>;

/// Fails a case unless something holds.
macro_rules! check {
    ($holds:expr, $($text:tt)+) => {
        if !$holds {
            return Err(format!($($text)+));
        }
    };
}
pub(crate) use check;

pub(crate) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// How long an answer may take that is sent at once: enough for a machine that is busy.
pub(crate) const SOON: Duration = ms(1000);
/// How long to wait for what must not come.
pub(crate) const QUIET: Duration = ms(250);

/// Our end of a wire.
pub(crate) struct Wire {
    backend: Box<dyn Backend>,
    port: u16,
    seq: u32,
    pub(crate) kind: BackendKind,
    pub(crate) trace: Vec<String>,
}

impl Wire {
    pub(crate) fn new(kind: BackendKind, backend: Box<dyn Backend>) -> Self {
        Self {
            backend,
            port: 40_000,
            seq: 1_000_000,
            kind,
            trace: Vec::new(),
        }
    }

    /// Time since the case began.
    pub(crate) fn now(&self) -> Duration {
        self.backend.now()
    }

    /// Sends bytes as they are.
    pub(crate) fn tx(&mut self, packet: &[u8]) -> Done {
        let now = self.now();
        let line = match Packet::parse(now, packet) {
            Ok(packet) => packet.show(),
            Err(why) => format!("{} bytes, {why}", packet.len()),
        };
        self.trace
            .push(format!("{:9.4} -> {line}", now.as_secs_f64()));
        self.backend
            .tx(packet)
            .map_err(|error| format!("cannot send: {error}"))
    }

    pub(crate) fn send(&mut self, seg: &Seg) -> Done {
        self.tx(&seg.packet())
    }

    /// The next packet within this time. A packet that no stack may send fails the case.
    pub(crate) fn rx(&mut self, within: Duration) -> Result<Option<Packet>, String> {
        let received = self.backend.rx(within);
        let now = self.now();
        self.faults()?;
        let Some(bytes) = received.map_err(|error| format!("cannot receive: {error}"))? else {
            return Ok(None);
        };
        let packet = Packet::parse(now, &bytes).map_err(|why| format!("received: {why}"))?;
        self.trace
            .push(format!("{:9.4} <- {}", now.as_secs_f64(), packet.show()));
        check!(
            bytes.len() <= MTU,
            "received {} bytes, more than the MTU",
            bytes.len()
        );
        Ok(Some(packet))
    }

    fn faults(&self) -> Done {
        match self.backend.log().borrow().faults.first() {
            Some(fault) => Err(fault.clone()),
            None => Ok(()),
        }
    }

    /// All that comes in this time.
    pub(crate) fn collect(&mut self, time: Duration) -> Result<Vec<Packet>, String> {
        let end = self.now() + time;
        let mut all = Vec::new();
        while let Some(packet) = self.rx(end.saturating_sub(self.now()))? {
            all.push(packet);
        }
        Ok(all)
    }

    /// The first packet of which `wanted` makes something, within this time.
    pub(crate) fn find<T>(
        &mut self,
        within: Duration,
        mut wanted: impl FnMut(&Packet) -> Option<T>,
    ) -> Result<Option<T>, String> {
        let end = self.now() + within;
        while let Some(packet) = self.rx(end.saturating_sub(self.now()))? {
            if let Some(found) = wanted(&packet) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// As [`find`](Self::find), failing the case when it does not come soon.
    pub(crate) fn expect<T>(
        &mut self,
        what: &str,
        wanted: impl FnMut(&Packet) -> Option<T>,
    ) -> Result<T, String> {
        self.find(SOON, wanted)?
            .ok_or_else(|| format!("{what} did not come"))
    }

    /// Nothing comes.
    pub(crate) fn silent(&mut self, what: &str) -> Done {
        match self.rx(QUIET)? {
            None => Ok(()),
            Some(packet) => Err(format!("{what}: an answer, {}", packet.show())),
        }
    }

    /// Waits until the application has done something, for a second.
    pub(crate) fn until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) -> Done {
        self.until_within(SOON, what, &mut done)
    }

    pub(crate) fn until_within(
        &mut self,
        within: Duration,
        what: &str,
        mut done: impl FnMut(&Self) -> bool,
    ) -> Done {
        let end = self.now() + within;
        while !done(self) {
            check!(self.now() < end, "{what}: not so ({:?})", self.streams());
            self.collect(ms(5))?;
        }
        Ok(())
    }

    /// The connections that the application had.
    pub(crate) fn streams(&self) -> Vec<Stream> {
        self.backend.log().borrow().streams.clone()
    }

    /// The connection that the application had with a peer, after a moment for it to read.
    pub(crate) fn stream(&mut self, peer: &Peer) -> Result<Stream, String> {
        self.collect(ms(30))?;
        let log = self.backend.log().borrow();
        let mut found = log.streams.iter().filter(|stream| stream.peer == peer.from);
        let stream = found.next().ok_or("no connection was offered")?;
        check!(found.next().is_none(), "two connections were offered");
        Ok(stream.clone())
    }

    /// What became of the application's own connecting.
    pub(crate) fn connected(&self) -> Option<Result<(), ErrorKind>> {
        self.backend.log().borrow().connected
    }

    /// The datagrams that the application was given.
    pub(crate) fn datagrams(&self) -> Vec<Received> {
        self.backend.log().borrow().datagrams.clone()
    }

    /// What the calls to receive on a connected UDP socket with this address have returned.
    pub(crate) fn udp_results(&self, local: SocketAddr) -> Vec<Result<Vec<u8>, ErrorKind>> {
        let log = self.backend.log().borrow();
        let of = log.udp_results.iter().filter(|(of, _)| *of == local);
        of.map(|(_, result)| result.clone()).collect()
    }

    /// The UDP sessions that the application had.
    pub(crate) fn sessions(&self) -> Vec<Session> {
        self.backend.log().borrow().sessions.clone()
    }

    /// Forgets the datagrams that the application was given so far.
    pub(crate) fn forget_datagrams(&self) {
        self.backend.log().borrow_mut().datagrams.clear();
    }

    /// A client's address that nobody has had.
    pub(crate) fn client(&mut self) -> SocketAddr {
        self.port += 1;
        SocketAddr::from((CLIENT, self.port))
    }

    pub(crate) fn client6(&mut self) -> SocketAddr {
        self.port += 1;
        SocketAddr::from((CLIENT6, self.port))
    }

    /// A client for this port, with an MSS of 1,460 and no other options.
    pub(crate) fn peer(&mut self, port: u16) -> Peer {
        let from = self.client();
        self.peer_at(from, SocketAddr::from((SERVER, port)))
    }

    pub(crate) fn peer6(&mut self, port: u16) -> Peer {
        let from = self.client6();
        self.peer_at(from, SocketAddr::from((SERVER6, port)))
    }

    pub(crate) fn peer_at(&mut self, from: SocketAddr, to: SocketAddr) -> Peer {
        self.seq = self.seq.wrapping_add(10_000_000);
        Peer {
            from,
            to,
            seq: self.seq,
            ack: 0,
            window: 65_535,
            options: Options {
                mss: Some(if to.is_ipv4() { 1460 } else { 1440 }),
                ..Options::default()
            },
            scale: 0,
        }
    }

    /// A connection with this port, opened.
    pub(crate) fn open(&mut self, port: u16) -> Result<Peer, String> {
        let mut peer = self.peer(port);
        peer.open(self)?;
        Ok(peer)
    }

    /// Whether a new connection still echoes: what came before has harmed nobody.
    pub(crate) fn alive(&mut self) -> Done {
        let mut peer = self.open(crate::app::ECHO)?;
        peer.echo(self, b"alive?")
    }
}

/// The client's end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    /// What is sent next.
    pub(crate) seq: u32,
    /// What is expected next.
    pub(crate) ack: u32,
    pub(crate) window: u16,
    /// Those of the SYN.
    pub(crate) options: Options,
    /// The scale of the windows that we are told; 0 unless both sides had the option.
    pub(crate) scale: u8,
}

impl Peer {
    /// A segment at the present number.
    pub(crate) fn seg(&self, flags: u8, data: &[u8]) -> Seg {
        self.at(0, flags, data)
    }

    /// A segment so many bytes on from the present number.
    pub(crate) fn at(&self, offset: i64, flags: u8, data: &[u8]) -> Seg {
        Seg {
            from: self.from,
            to: self.to,
            seq: self.seq.wrapping_add(offset as u32),
            ack: if flags & ACK != 0 { self.ack } else { 0 },
            flags,
            window: self.window,
            urgent: 0,
            options: if flags & SYN != 0 {
                self.options.clone()
            } else {
                Options::default()
            },
            data: data.to_vec(),
        }
    }

    pub(crate) fn syn(&self, wire: &mut Wire) -> Done {
        wire.send(&self.seg(SYN, b""))
    }

    /// Sends the SYN and takes the SYN-ACK.
    pub(crate) fn half_open(&mut self, wire: &mut Wire) -> Result<Seg, String> {
        self.syn(wire)?;
        self.take_syn_ack(wire)
    }

    pub(crate) fn take_syn_ack(&mut self, wire: &mut Wire) -> Result<Seg, String> {
        let syn_ack = self.expect(wire, "a SYN-ACK", |seg| seg.has(SYN | ACK))?;
        check!(
            syn_ack.ack == self.seq.wrapping_add(1),
            "the SYN-ACK acknowledges {} and not {}",
            syn_ack.ack,
            self.seq.wrapping_add(1)
        );
        self.seq = self.seq.wrapping_add(1);
        self.ack = syn_ack.seq.wrapping_add(1);
        if self.options.scale.is_some() {
            self.scale = syn_ack.options.scale.unwrap_or(0);
        }
        Ok(syn_ack)
    }

    /// The whole handshake; says what the SYN-ACK was.
    pub(crate) fn open(&mut self, wire: &mut Wire) -> Result<Seg, String> {
        let syn_ack = self.half_open(wire)?;
        self.ack(wire)?;
        Ok(syn_ack)
    }

    pub(crate) fn ack(&self, wire: &mut Wire) -> Done {
        wire.send(&self.seg(ACK, b""))
    }

    /// Sends data.
    pub(crate) fn write(&mut self, wire: &mut Wire, data: &[u8]) -> Done {
        wire.send(&self.seg(ACK | PSH, data))?;
        self.seq = self.seq.wrapping_add(data.len() as u32);
        Ok(())
    }

    pub(crate) fn fin(&mut self, wire: &mut Wire) -> Done {
        wire.send(&self.seg(ACK | FIN, b""))?;
        self.seq = self.seq.wrapping_add(1);
        Ok(())
    }

    /// This connection's segment in a packet.
    pub(crate) fn of<'a>(&self, packet: &'a Packet) -> Option<&'a Seg> {
        packet
            .tcp()
            .filter(|seg| seg.from == self.to && seg.to == self.from)
    }

    /// The first segment that is `wanted`, which comes soon.
    pub(crate) fn expect(
        &self,
        wire: &mut Wire,
        what: &str,
        wanted: impl FnMut(&Seg) -> bool,
    ) -> Result<Seg, String> {
        self.find(wire, SOON, wanted)?
            .ok_or_else(|| format!("{what} did not come"))
    }

    pub(crate) fn find(
        &self,
        wire: &mut Wire,
        within: Duration,
        mut wanted: impl FnMut(&Seg) -> bool,
    ) -> Result<Option<Seg>, String> {
        wire.find(within, |packet| {
            self.of(packet).filter(|seg| wanted(seg)).cloned()
        })
    }

    /// An acknowledgement of all that was sent.
    pub(crate) fn expect_ack(&self, wire: &mut Wire) -> Result<Seg, String> {
        let seq = self.seq;
        self.expect(wire, "an acknowledgement of all", |seg| {
            seg.has(ACK) && seg.ack == seq
        })
    }

    /// No segment that is `forbidden` comes, for a while.
    pub(crate) fn never(
        &self,
        wire: &mut Wire,
        what: &str,
        forbidden: impl FnMut(&Seg) -> bool,
    ) -> Done {
        match self.find(wire, QUIET, forbidden)? {
            None => Ok(()),
            Some(seg) => Err(format!("{what}: {seg:?}")),
        }
    }

    /// The connection's segments of this time.
    pub(crate) fn collect(
        &self,
        wire: &mut Wire,
        time: Duration,
    ) -> Result<Vec<(Duration, Seg)>, String> {
        let all = wire.collect(time)?;
        Ok(all
            .iter()
            .filter_map(|packet| Some((packet.at, self.of(packet)?.clone())))
            .collect())
    }

    /// Takes data until there are `n` bytes, or until the end if `n` is `None`, and acknowledges
    /// each segment. What is out of order is kept. The limit is for the time between two segments.
    fn take(
        &mut self,
        wire: &mut Wire,
        n: Option<usize>,
        limit: Duration,
    ) -> Result<Vec<u8>, String> {
        let mut data = Vec::new();
        let mut kept: Vec<Seg> = Vec::new();
        let mut ended = false;
        while !ended && n.is_none_or(|n| data.len() < n) {
            let Some(seg) = self.find(wire, limit, |_| true)? else {
                return Err(format!("only {} bytes came", data.len()));
            };
            check!(!seg.has(RST), "a reset after {} bytes", data.len());
            if seg.data.is_empty() && !seg.has(FIN) {
                continue;
            }
            kept.push(seg);
            // All that is now in order, and nothing that is old.
            while let Some(next) = kept.iter().position(|seg| !after(seg.seq, self.ack)) {
                let seg = kept.swap_remove(next);
                if after(seg.end(), self.ack) {
                    let skip = self.ack.wrapping_sub(seg.seq) as usize;
                    data.extend(seg.data.iter().skip(skip));
                    self.ack = seg.end();
                    ended |= seg.has(FIN);
                }
            }
            self.ack(wire)?;
        }
        check!(
            n.is_none_or(|n| data.len() >= n),
            "the end came after {} bytes",
            data.len()
        );
        Ok(data)
    }

    /// Reads and acknowledges `n` bytes.
    pub(crate) fn read(&mut self, wire: &mut Wire, n: usize) -> Result<Vec<u8>, String> {
        self.take(wire, Some(n), ms(3000))
    }

    /// Reads and acknowledges everything, and the FIN.
    pub(crate) fn read_to_end(&mut self, wire: &mut Wire) -> Result<Vec<u8>, String> {
        self.take(wire, None, ms(3000))
    }

    /// Sends data and reads it back.
    pub(crate) fn echo(&mut self, wire: &mut Wire, data: &[u8]) -> Done {
        self.write(wire, data)?;
        let back = self.read(wire, data.len())?;
        check!(back == data, "the echo of {} bytes differs", data.len());
        Ok(())
    }
}

/// Whether a sequence number comes after another.
pub(crate) fn after(seq: u32, other: u32) -> bool {
    (seq.wrapping_sub(other) as i32) > 0
}
