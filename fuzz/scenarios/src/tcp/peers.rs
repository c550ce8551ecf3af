//! The peers: they learn what the stack says, answer as a host does, and do harm.

use super::flow::Flow;
use super::segments::{
    ACK, FIN, Offer, Options, PSH, RST, SYN, URG, put_sack, put_timestamp, write,
};
use crate::host::Host;
use crate::input::Input;
use crate::run::Hash;
use brooklet::{
    Checksum, DropReason, FlowKey, IcmpErrorKind, Meta, Packet, PacketBuf, Protocol, Stats,
    Unreachable,
};
use brooklet_packet::{Headers, icmp};
use brooklet_sim::VirtualTime;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroU16;

/// Where the application listens, each in another way.
pub(super) const PORTS: [u16; 4] = [80, 81, 443, 0];

/// One end of a 4-tuple outside of the stack.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) flow: Flow,
    offer: Offer,
    /// It answers at once, as a host does.
    is_host: bool,
    /// The initial sequence number of its present connection.
    own_isn: u32,
    /// The position that the stack has acknowledged, and whether it has acknowledged the SYN.
    acked: i64,
    answered: bool,
    /// The position of the next byte that it sends, and whether its FIN is sent.
    next: i64,
    finished: bool,
    /// The stack's initial sequence number, and the position of the next byte expected from it.
    isn: Option<u32>,
    received: i64,
    /// The stack's window scale, and up to where it allows to send.
    shift: u8,
    edge: i64,
    window: u16,
    /// The last timestamp of the stack.
    tsval: u32,
    /// The last segment beyond a gap.
    beyond: Option<(u32, u32)>,
    /// The last packet that the stack sent.
    last: Vec<u8>,
}

/// All peers, and the network between them and the stack.
pub(super) struct Peers {
    peers: Vec<Peer>,
    numbers: HashMap<FlowKey, usize>,
    time: VirtualTime,
    start: std::time::Instant,
    /// Packets that wait in the network.
    delayed: Vec<Vec<u8>>,
    /// Of 256 packets so many are not delivered at once.
    harm: u16,
    /// Nothing is sent any more.
    silent: bool,
    /// The stack may send SYN cookies.
    cookies: bool,
    /// How many packets without data the stack may send still.
    credit: u64,
    /// The flows of RSTs that wait in a device.
    resets: Vec<usize>,
    fragments: u64,
    damaged: u64,
    hash: Hash,
}

impl Peers {
    pub(super) fn new(input: &mut Input<'_>, time: &VirtualTime, cookies: bool) -> Self {
        Self {
            peers: Vec::new(),
            numbers: HashMap::new(),
            time: time.clone(),
            start: time.now(),
            delayed: Vec::new(),
            harm: input.pick([0, 0, 10, 40, 120]),
            silent: false,
            cookies,
            credit: 100,
            resets: Vec::new(),
            fragments: 0,
            damaged: 0,
            hash: Hash::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash.value()
    }

    pub(super) fn fall_silent(&mut self) {
        self.silent = true;
        self.delayed.clear();
    }

    /// The application or the time has done something that the stack may tell its peers.
    pub(super) fn allow(&mut self, packets: usize) {
        self.credit += packets as u64;
    }

    /// The flow of a stream.
    pub(super) fn flow(&mut self, peer: SocketAddr, local: SocketAddr) -> (usize, &mut Flow) {
        let number = FlowKey::new(peer, local).and_then(|key| self.numbers.get(&key));
        let Some(&number) = number else {
            panic!("a stream of nobody: {peer} to {local}");
        };
        (number, &mut self.peers[number].flow)
    }

    /// The stack has ended.
    pub(super) fn end_all(&mut self) {
        self.peers.iter_mut().for_each(|peer| peer.flow.ends());
    }

    /// A listener is gone, and with it every connection that it had answered.
    pub(super) fn close_all(&mut self) {
        self.peers.iter_mut().for_each(|peer| peer.flow.closes());
    }

    pub(super) fn flow_of(&mut self, number: usize) -> &mut Flow {
        &mut self.peers[number].flow
    }

    /// Returns the number of the 4-tuple, which may be new.
    pub(super) fn peer(&mut self, input: &mut Input<'_>, key: FlowKey) -> usize {
        if let Some(&number) = self.numbers.get(&key) {
            return number;
        }
        let number = self.peers.len();
        let base = u32::from(input.byte()) << 24;
        self.numbers.insert(key, number);
        self.peers.push(Peer {
            flow: Flow::new(key, number, base, self.cookies),
            offer: Offer::draw(input),
            is_host: input.chance(190),
            own_isn: 0,
            acked: 0,
            answered: false,
            next: 0,
            finished: false,
            isn: None,
            received: 0,
            shift: 0,
            edge: 0,
            window: input.pick([65_535, 65_535, 3000, 500, 0, 1]),
            tsval: 0,
            beyond: None,
            last: Vec::new(),
        });
        self.begin(input, number);
        number
    }

    /// The peer begins a connection of its 4-tuple.
    fn begin(&mut self, input: &mut Input<'_>, number: usize) {
        let peer = &mut self.peers[number];
        let Some(isn) = peer.flow.begin(input.u16()) else {
            return;
        };
        peer.own_isn = isn;
        (peer.acked, peer.answered) = (0, false);
        let (mss, scale) = peer.offer.most();
        peer.flow.offer(mss, scale);
        (peer.next, peer.finished) = (0, false);
        (peer.isn, peer.received) = (None, 0);
        (peer.shift, peer.edge, peer.beyond) = (0, 0, None);
    }

    /// One of the peers does something.
    pub(super) fn act(&mut self, input: &mut Input<'_>, host: &mut Host) {
        let clock = self.clock();
        let what = input.byte();
        if what < 24 || self.peers.is_empty() {
            return self.connect(input, host);
        }
        let among = self.peers.len().min(8);
        let number = self.peers.len() - 1 - input.below(among);
        let peer = &mut self.peers[number];
        let now = peer.seq(peer.next);
        let here = peer.seq(peer.next + i64::from(peer.finished));
        let (acked, isn) = (peer.acked, peer.own_isn);
        let packet = match what {
            0..28 => {
                self.begin(input, number);
                self.peers[number].syn(clock)
            }
            28..34 => peer.syn(clock),
            34..58 => peer.ack(clock),
            58..120 => return self.send_data(input, host, number),
            120..138 => {
                // Ahead of what was sent, perhaps beyond the window.
                let at = peer.next + input.pick([1, 10, 500, 1460, 3000, 100_000]);
                let (len, fin) = (1 + input.below(1400), input.chance(20));
                peer.data(clock, at, len, fin)
            }
            138..152 => {
                // What was sent before, and perhaps more.
                let back = input.below(4000) as i64;
                let at = (peer.next - back).max(input.pick([0, 0, -1, acked]));
                let len = input.below(1460);
                peer.data(clock, at, len, false)
            }
            152..158 => {
                peer.finished = true;
                peer.data(clock, peer.next, 0, true)
            }
            158..162 => {
                let at = peer.next + input.below(3000) as i64 - 1000;
                peer.data(clock, at, input.below(100), true)
            }
            162 | 163 => peer.bare(here, RST | input.pick([0, ACK]), clock),
            164 => peer.bare(now, RST, clock),
            165..172 => {
                let off = input.pick([1, 2, 100, 1000, 65_535]) + input.below(1000) as u32;
                let seq = peer.seq(acked).wrapping_add(off);
                peer.bare(seq, RST | input.pick([0, ACK]), clock)
            }
            172..176 => {
                if !peer.flow.takes_any_syn() {
                    return;
                }
                let seq = [isn, here, input.u32()][input.below(3)];
                // Without options.
                peer.flow.offer(1220, 0);
                peer.bare(seq, SYN | input.pick([0, ACK, FIN, RST, ACK]), clock)
            }
            176..182 => {
                let flags = input.pick([0, FIN, FIN | PSH | URG, PSH, URG | ACK, 0xff, 0xc0 | ACK]);
                peer.odd(input, here, flags, clock)
            }
            182..190 => return self.icmp(input, host, number),
            190..198 => {
                let whole = peer.data(clock, peer.next, 1 + input.below(1400), false);
                return self.send_fragments(input, host, &whole);
            }
            198..206 => return self.send_super_packet(input, host, number),
            206..226 => peer.odd_ack(input, clock),
            226..232 => {
                peer.window = input.pick([65_535, 10_000, 1460, 500, 1, 0]);
                peer.ack(clock)
            }
            232..236 => {
                peer.is_host = !peer.is_host;
                peer.ack(clock)
            }
            236..242 => {
                let port = 60_000 + input.below(100) as u16;
                let from = SocketAddr::new(peer.flow.key.source().ip(), port);
                let key = FlowKey::new(from, peer.flow.key.destination()).expect("one family");
                let flags = input.pick([ACK, ACK | FIN, RST, ACK | RST, SYN | ACK]);
                write(key, (input.u32(), input.u32(), 1000, flags), &[], b"who?")
            }
            242..246 => {
                let mut noise = peer.ack(clock);
                noise.truncate(input.below(noise.len() + 1));
                if let Some(byte) = noise.get_mut(input.below(60)) {
                    *byte = input.byte();
                }
                noise
            }
            _ => {
                // Some of what is on its way arrives.
                for _ in 0..1 + input.below(4) {
                    if !self.delayed.is_empty() {
                        let at = input.below(self.delayed.len());
                        let packet = self.delayed.swap_remove(at);
                        self.deliver(input, host, packet);
                    }
                }
                return;
            }
        };
        self.send(input, host, packet);
    }

    fn connect(&mut self, input: &mut Input<'_>, host: &mut Host) {
        let port = 1024 + input.below(200);
        let to = PORTS[input.below(PORTS.len())].max(1);
        let host_number = 2 + input.below(3);
        let (from, to) = match input.chance(100) {
            true => (
                format!("[fd00::{host_number}]:{port}"),
                format!("[2001:db8::1]:{to}"),
            ),
            false => (
                format!("10.0.0.{host_number}:{port}"),
                format!("192.0.2.1:{to}"),
            ),
        };
        let address = |text: String| text.parse::<SocketAddr>().expect("written above");
        let key = FlowKey::new(address(from), address(to)).expect("one family");
        let known = self.numbers.contains_key(&key);
        let number = self.peer(input, key);
        if known {
            self.begin(input, number);
        }
        let syn = self.peers[number].syn(self.clock());
        self.send(input, host, syn);
    }

    /// A peer sends its next data, mostly within the window.
    fn send_data(&mut self, input: &mut Input<'_>, host: &mut Host, number: usize) {
        let clock = self.clock();
        let peer = &mut self.peers[number];
        if input.chance(50) {
            // What was lost is sent again.
            peer.next = peer.acked;
        }
        if peer.finished {
            return;
        }
        let len = match input.below(8) {
            0 => 1,
            1 => input.below(100),
            2..6 => 1400,
            _ => input.below(1460),
        };
        let room = (peer.edge - peer.next).max(i64::from(input.chance(30)));
        let len = match input.chance(10) {
            true => len,
            false => len.min(room as usize),
        };
        let packet = peer.data(clock, peer.next, len, false);
        // It may be lost, and then what follows lies behind a gap.
        peer.next += len as i64;
        self.send(input, host, packet);
    }

    /// A packet leaves a peer, and arrives at once, later, twice, damaged or never.
    fn send(&mut self, input: &mut Input<'_>, host: &mut Host, packet: Vec<u8>) {
        if self.silent {
            return;
        }
        if !input.chance(self.harm) {
            return self.deliver(input, host, packet);
        }
        match input.below(8) {
            0..4 => self.delayed.push(packet),
            4 => {}
            5 | 6 => {
                self.delayed.push(packet.clone());
                self.deliver(input, host, packet);
            }
            _ => {
                let mut damaged = packet;
                let at = input.below(damaged.len());
                if let Some(byte) = damaged.get_mut(at) {
                    *byte ^= 1 << input.below(8);
                }
                self.deliver(input, host, damaged);
            }
        }
    }

    fn deliver(&mut self, input: &mut Input<'_>, host: &mut Host, packet: Vec<u8>) {
        let mut packet = PacketBuf::from(packet);
        if let Ok(headers) = Headers::parse(&packet) {
            if headers.fragment().is_some() {
                self.fragments += 1;
            } else if headers.verify_checksum(&packet) {
                self.arrives(&headers);
                // A device may have verified it.
                if input.chance(20) {
                    packet.set_meta(Meta::new().checksum(Checksum::Verified));
                }
            } else {
                self.damaged += 1;
            }
        }
        self.credit += 4;
        host.deliver(input.below(host.queues()), packet);
    }

    fn arrives(&mut self, headers: &Headers) {
        if let Some(tcp) = headers.tcp()
            && let Some(&number) = self.numbers.get(&headers.key())
        {
            if tcp.flags.rst() {
                self.resets.push(number);
            }
            self.peers[number]
                .flow
                .arrives(tcp, headers.payload_range().len());
        }
    }

    /// A packet arrives in fragments, perhaps not all of them.
    fn send_fragments(&mut self, input: &mut Input<'_>, host: &mut Host, whole: &[u8]) {
        let packet = Packet::parse(whole).expect("a peer writes packets");
        let mtu = input.pick([1280, 600, 256, 100]);
        let id = input.u16().into();
        let mut fragments: Vec<_> = brooklet_packet::fragment(&packet, mtu, id).collect();
        if fragments.len() < 2 || self.silent {
            return;
        }
        self.arrives(packet.headers());
        match input.below(4) {
            0 => fragments.reverse(),
            1 => drop(fragments.swap_remove(0)),
            2 => fragments.push(fragments[0].clone()),
            _ => {}
        }
        for fragment in fragments {
            self.deliver(input, host, fragment);
        }
    }

    /// A device delivers several segments as one packet.
    fn send_super_packet(&mut self, input: &mut Input<'_>, host: &mut Host, number: usize) {
        let clock = self.clock();
        let peer = &mut self.peers[number];
        if peer.finished || self.silent {
            return;
        }
        let size = input.pick([1400, 536, 100]);
        let room = (peer.edge - peer.next).clamp(0, 60_000) as usize;
        let len = (size * (2 + input.below(20))).min(room);
        let bytes = peer.data(clock, peer.next, len, false);
        if len <= size {
            return;
        }
        peer.next += len as i64;
        self.arrives(&Headers::parse(&bytes).expect("a peer writes packets"));
        let mut packet = PacketBuf::from(bytes);
        let meta = Meta::new().gso_size(NonZeroU16::new(size as u16));
        packet.set_meta(meta.checksum(input.pick([Checksum::Partial, Checksum::Verified])));
        self.credit += 4 * (len / size + 1) as u64;
        host.deliver(input.below(host.queues()), packet);
    }

    /// A router says that a packet of the stack did not arrive.
    fn icmp(&mut self, input: &mut Input<'_>, host: &mut Host, number: usize) {
        let peer = &mut self.peers[number];
        let Ok(about) = Packet::parse(&peer.last) else {
            return;
        };
        let mtu = input.pick([0, 68, 500, 576, 1280, 1400, 65_535]);
        let kind: IcmpErrorKind = match input.below(8) {
            0 => Unreachable::Port.into(),
            1 => Unreachable::Host.into(),
            2 => Unreachable::Network.into(),
            3 => Unreachable::Prohibited.into(),
            4 => IcmpErrorKind::HopLimitExceeded,
            _ => Unreachable::PacketTooBig { mtu }.into(),
        };
        let mut error = Vec::new();
        if icmp::error(&mut error, &about, kind) {
            peer.flow.is_unreachable();
            self.send(input, host, error);
        }
    }

    /// Time of the peers' timestamps, in milliseconds.
    fn clock(&self) -> u32 {
        crate::host::since(&self.time, self.start).as_millis() as u32
    }

    /// Looks at everything that the stack has sent, and lets the peers answer.
    pub(super) fn take_output(&mut self, input: &mut Input<'_>, host: &mut Host) {
        let clock = self.clock();
        let mut answers = Vec::new();
        if host.has_received_all() {
            for number in self.resets.drain(..) {
                self.peers[number].flow.has_received_all();
            }
        }
        host.take_output(|packet| {
            self.hash.add(packet.bytes());
            let Some(tcp) = packet.tcp() else {
                assert_ne!(
                    packet.protocol(),
                    Protocol::Tcp,
                    "the stack fragments no segment"
                );
                return;
            };
            if packet.payload().is_empty() {
                let credit = self.credit.checked_sub(1);
                self.credit = credit.expect("more packets out than in");
            }
            let Some(&number) = self.numbers.get(&packet.key().reversed()) else {
                return;
            };
            let peer = &mut self.peers[number];
            let options = Options::read(
                &packet.transport()[20..packet.transport().len() - packet.payload().len()],
            );
            peer.flow.sends(tcp, packet.payload(), &options.sack);
            peer.last.clear();
            peer.last.extend_from_slice(packet.bytes());
            if peer.takes(packet, &options) && peer.is_host {
                answers.push(peer.ack(clock));
            }
        });
        for answer in answers {
            self.send(input, host, answer);
        }
    }

    /// Compares the counters of the stack with what was sent to it.
    pub(super) fn add_up(&self, stats: &Stats) {
        // An attempt to send a probe counts each time.
        let sending = stats.dropped(DropReason::TcpOutboundFull);
        let dropped: u64 = stats.drops().map(|(_, count)| count).sum();
        // A packet that is reassembled or answered may be dropped after its fragments or its answer.
        assert!(dropped - sending <= 2 * stats.packets_in, "{stats}");
        // Fragments of two packets with the same identification may make one.
        let damaged = self.damaged + stats.reassembly.packets;
        assert!(stats.dropped(DropReason::BadChecksum) <= damaged, "{stats}");
        let fragments = match stats.dropped(DropReason::ReassemblyOff) {
            0 => stats.reassembly.fragments,
            off => off,
        };
        assert!(fragments <= self.fragments, "{stats}");
    }
}

impl Peer {
    fn header(&self, seq: u32, flags: u8) -> (u32, u32, u16, u8) {
        let ack = self.isn.map_or(0, |isn| {
            isn.wrapping_add(1).wrapping_add(self.received as u32)
        });
        (seq, ack, self.window, flags)
    }

    fn syn(&self, clock: u32) -> Vec<u8> {
        let isn = self.own_isn;
        // It answers the SYN of the stack, if there is one.
        let flags = if self.isn.is_some() && self.flow.connects {
            SYN | ACK
        } else {
            SYN
        };
        let options = self.offer.options((clock, self.tsval));
        write(self.flow.key, self.header(isn, flags), &options, &[])
    }

    fn options(&self, clock: u32) -> Vec<u8> {
        let mut options = Vec::new();
        if self.offer.timestamps {
            put_timestamp(&mut options, (clock, self.tsval));
        }
        if let Some(block) = self.beyond.filter(|_| self.offer.sack) {
            put_sack(&mut options, &[block]);
        }
        options
    }

    /// A segment without data and with these flags.
    fn bare(&self, seq: u32, flags: u8, clock: u32) -> Vec<u8> {
        write(
            self.flow.key,
            self.header(seq, flags),
            &self.options(clock),
            &[],
        )
    }

    /// An acknowledgment of everything, which completes a handshake as well.
    fn ack(&self, clock: u32) -> Vec<u8> {
        if self.isn.is_none() || self.flow.connects && self.next == 0 && !self.answered {
            return self.syn(clock);
        }
        let seq = self.seq(self.next + i64::from(self.finished));
        self.bare(seq, ACK, clock)
    }

    /// The sequence number of the byte at a position.
    fn seq(&self, at: i64) -> u32 {
        self.own_isn.wrapping_add(1).wrapping_add(at as u32)
    }

    /// A segment with the data from position `at`.
    fn data(&self, clock: u32, at: i64, len: usize, fin: bool) -> Vec<u8> {
        let seq = self.seq(at);
        let mut data = Vec::new();
        self.flow.append_data(&mut data, seq, len);
        let flags = ACK | PSH | if fin { FIN } else { 0 };
        write(
            self.flow.key,
            self.header(seq, flags),
            &self.options(clock),
            &data,
        )
    }

    /// A segment with flags, a timestamp or an acknowledgment that no host sends.
    fn odd(&self, input: &mut Input<'_>, seq: u32, flags: u8, clock: u32) -> Vec<u8> {
        let mut data = Vec::new();
        self.flow.append_data(&mut data, seq, input.below(20));
        let mut header = self.header(seq, flags);
        if input.chance(64) {
            header.1 = input.u32();
        }
        let mut options = Vec::new();
        match input.below(4) {
            0 => put_timestamp(&mut options, (input.u32(), input.u32())),
            1 => options.extend([input.byte(), input.byte(), input.byte(), input.byte()]),
            2 => options = self.options(clock),
            _ => {}
        }
        write(self.flow.key, header, &options, &data)
    }

    /// An acknowledgment of a part, of too much, of nothing, with any SACK blocks.
    fn odd_ack(&self, input: &mut Input<'_>, clock: u32) -> Vec<u8> {
        let seq = self.seq(self.next + i64::from(self.finished));
        let mut header = self.header(seq, ACK);
        let ack = header.1;
        header.1 = match input.below(6) {
            0 => ack.wrapping_sub(input.below(3000) as u32),
            1 => ack.wrapping_add(input.below(3000) as u32),
            2 => ack.wrapping_sub(1),
            3 => input.u32(),
            _ => ack,
        };
        let mut options = Vec::new();
        if self.offer.timestamps {
            put_timestamp(
                &mut options,
                (clock, self.tsval.wrapping_sub(input.byte().into())),
            );
        }
        let blocks: Vec<_> = (0..input.below(4))
            .map(|_| {
                let start = ack.wrapping_add(input.below(5000) as u32);
                (
                    start,
                    start.wrapping_add(input.pick([1, 1, 100, 1460, 0, u32::MAX])),
                )
            })
            .collect();
        if !blocks.is_empty() && options.len() + 4 + 8 * blocks.len() <= 40 {
            put_sack(&mut options, &blocks);
        }
        write(self.flow.key, header, &options, &[])
    }

    /// Learns from a packet of the stack. Returns whether a host would answer it.
    fn takes(&mut self, packet: &Packet<'_>, options: &Options) -> bool {
        let Some(tcp) = packet.tcp() else {
            return false;
        };
        if tcp.flags.rst() {
            return false;
        }
        if let Some(tsval) = options.tsval {
            self.tsval = tsval;
        }
        let acked = i64::from(tcp.ack.wrapping_sub(self.seq(0)) as i32);
        if tcp.flags.syn() {
            if tcp.flags.ack() && acked != 0 {
                return false; // of an earlier connection
            }
            (self.isn, self.received) = (Some(tcp.seq), 0);
            self.shift = options
                .scale
                .filter(|_| self.offer.scale.is_some())
                .unwrap_or(0);
            self.edge = tcp.window.into();
            self.answered |= tcp.flags.ack();
            return true;
        }
        let Some(isn) = self.isn else { return false };
        if (0..1 << 27).contains(&acked) {
            let edge = acked + i64::from(u32::from(tcp.window) << self.shift);
            self.edge = self.edge.max(edge);
            self.acked = self.acked.max(acked);
            self.answered = true;
        }
        let at = i64::from(tcp.seq.wrapping_sub(isn).wrapping_sub(1) as i32);
        let len = packet.payload().len() as i64 + i64::from(tcp.flags.fin());
        if len == 0 {
            return false;
        }
        if at <= self.received && at + len > self.received {
            self.received = at + len;
            self.beyond = None;
        } else if at > self.received {
            self.beyond = Some((tcp.seq, tcp.seq.wrapping_add(len as u32)));
        }
        true
    }
}
