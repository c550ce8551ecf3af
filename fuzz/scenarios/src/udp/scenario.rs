//! One sequence of steps.

use super::UdpTally;
use super::datagrams::{Datagrams, Place};
use super::handles::{Accepted, All, Bound, Handles, Task};
use crate::input::Input;
use brooklet_cell::SingleThread;
use brooklet_io::{Checksum, PacketBuf};
use brooklet_packet::icmp::{self, IcmpErrorKind, Unreachable};
use brooklet_packet::{Headers, Packet, Segmenter, udp};
use brooklet_udp::{
    Arrival, Clock, Config, Datagram, Engine, Filtering, Interface, Mapping, Received, SendError,
    SessionConfig, SessionEnd, StackClosed,
};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::{NonZeroU8, NonZeroU16};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

const OWN_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const OWN_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
const PORTS: [u16; 4] = [53, 443, 5000, 5001];
const MTU: usize = 1500;
/// The most datagrams of a batch, which is accepted whole.
const BATCH: usize = 64;
/// The packets that were sent last, about which an ICMP error may come.
const REMEMBERED: usize = 8;

pub(super) struct Scenario<'a> {
    input: Input<'a>,
    start: Instant,
    /// Milliseconds since the start.
    elapsed: Arc<AtomicU64>,
    engines: Vec<Engine<SingleThread>>,
    drivers: Vec<Task>,
    config: Config,
    sessions: SessionConfig,
    handles: Handles,
    datagrams: Datagrams,
    remembered: Vec<Vec<u8>>,
    /// Packets and datagrams that have arrived.
    arrived: (u64, u64),
}

impl<'a> Scenario<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        let mut input = Input::new(data);
        let queues = NonZeroU8::MIN.saturating_add(input.byte() % 3);
        let config = Config::new()
            .inbound_packets(1 + usize::from(input.byte()) / 8)
            .inbound_bytes(100 * (1 + usize::from(input.byte())))
            .outbound_packets(1 + usize::from(input.byte()) / 16)
            .outbound_bytes(100 * (1 + usize::from(input.byte())))
            .sockets(4);
        let interface = Interface::new()
            .mtu(MTU)
            .ipv4(Some(OWN_V4))
            .ipv6(Some(OWN_V6))
            .offload(input.byte() & 1 != 0);
        let (small, kind) = (input.byte(), input.byte());
        let sessions = SessionConfig::new()
            .mapping(match kind % 3 {
                0 => Mapping::EndpointIndependent,
                1 => Mapping::AddressDependent,
                _ => Mapping::AddressAndPortDependent,
            })
            .filtering(match kind / 3 % 3 {
                0 => Filtering::EndpointIndependent,
                1 => Filtering::AddressDependent,
                _ => Filtering::AddressAndPortDependent,
            })
            .sessions(1 + usize::from(small % 16))
            .per_source(1 + usize::from(small / 16))
            .backlog(1 + usize::from(kind / 16))
            .packets(1 + usize::from(small % 8))
            .bytes(4000)
            .total_bytes(20_000)
            .gro(kind & 128 != 0);
        let start = Instant::now();
        let elapsed = Arc::new(AtomicU64::new(0));
        let clock = {
            let elapsed = Arc::clone(&elapsed);
            Clock::new(move || start + Duration::from_millis(elapsed.load(Ordering::Relaxed)))
        };
        let (engines, socket) =
            Engine::<SingleThread>::with_queues(queues, interface, config, clock, [1, 2]);
        let mut scenario = Self {
            input,
            start,
            elapsed,
            drivers: engines.iter().map(|_| Task::default()).collect(),
            engines,
            config,
            sessions,
            handles: Handles {
                all: All::Transparent(socket, Task::default()),
                sockets: Vec::new(),
                sessions: Vec::new(),
                last: None,
                next: 0,
            },
            datagrams: Datagrams::default(),
            remembered: Vec::new(),
            arrived: (0, 0),
        };
        scenario.transmit();
        scenario
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.elapsed.load(Ordering::Relaxed))
    }

    /// Does what the next bytes say. Returns `false` after the last one.
    pub(super) fn step(&mut self) -> bool {
        if self.input.is_over() {
            return false;
        }
        match self.input.byte() {
            0..=79 => self.arrive(),
            80..=109 => self.read(),
            110..=149 => self.send(),
            150..=169 => self.transmit(),
            170..=179 => self.bind(),
            180..=189 => self.connect(),
            190..=193 => self.listen(),
            194..=209 => self.accept(),
            210..=214 => self.drop_socket(),
            215..=219 => self.drop_session(),
            220..=234 => self.icmp_error(),
            235..=239 => self.path_mtu(),
            _ => self.sleep(),
        }
        self.check();
        true
    }

    /// Draws one of a few hosts of either IP version, and a port.
    fn address(&mut self, own: bool) -> SocketAddr {
        let byte = self.input.byte();
        let host = u16::from(byte & 3) + 1;
        let port = PORTS[usize::from(byte >> 4 & 3)];
        let ip = match (byte & 8 == 0, own) {
            (true, true) => Ipv4Addr::new(10, 0, 0, host as u8).into(),
            (true, false) => Ipv4Addr::new(192, 0, host as u8, 7).into(),
            (false, true) => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, host).into(),
            (false, false) => Ipv6Addr::new(0x2001, 0xdb8, 0, host, 0, 0, 0, 7).into(),
        };
        SocketAddr::new(ip, port)
    }

    /// The two ends of a datagram, both of one IP version.
    fn ends(&mut self) -> (SocketAddr, SocketAddr) {
        let (remote, mut own) = (self.address(false), self.address(true));
        if remote.is_ipv4() != own.is_ipv4() {
            let ip: IpAddr = if remote.is_ipv4() {
                OWN_V4.into()
            } else {
                OWN_V6.into()
            };
            own.set_ip(ip);
        }
        (remote, own)
    }

    /// Draws a length, and the length of each datagram of a batch.
    fn lengths(&mut self) -> (usize, Option<NonZeroU16>) {
        let len = match self.input.byte() {
            len @ 0..=199 => usize::from(len),
            len => usize::from(len - 199) * 60,
        };
        let size = match self.input.byte() {
            0..=191 => None,
            size => NonZeroU16::new(u16::from(size - 191) * 4),
        };
        (len, size)
    }

    /// A packet arrives, with a datagram or a batch.
    fn arrive(&mut self) {
        let (from, to) = self.ends();
        let (len, size) = self.lengths();
        let each = size.map_or(usize::MAX, |size| size.get().into());
        let (first, payload) = self.datagrams.payload(len, each);
        let mut bytes = Vec::new();
        udp::write(&mut bytes, from, to, 64, &payload).expect("it is short");
        let packet = Packet::parse(&bytes).expect("a datagram is a packet");
        // The length of one is that of all.
        let size = size.filter(|size| payload.len() > size.get().into());
        let place = self
            .handles
            .place(from, to, self.engines[0].stats().sessions);
        let numbered = (first, &payload[..]);
        self.datagrams.arrive(numbered, each, (from, to), place);
        let queue = usize::from(payload[payload.len() - 1]) % self.engines.len();
        let arrival = Arrival::new().gso_size(size);
        let received = self.engines[queue].handle_packet(self.now(), &packet, arrival);
        self.arrived.0 += 1;
        self.arrived.1 += payload.chunks(each).count() as u64;
        match received {
            Received::Queued { .. } => {
                let place = place.expect("it was queued for somebody");
                if let Some(task) = self.handles.task(place) {
                    task.must_be_awake();
                }
            }
            Received::NoListener => assert!(matches!(place, None | Some(Place::Session))),
            Received::Dropped | Received::TooBig { .. } => {}
            other => panic!("{other:?}"),
        }
    }

    /// Every handle reads all that there is, or one datagram.
    fn read(&mut self) {
        let most = if self.input.chance(128) {
            1
        } else {
            usize::MAX
        };
        let Handles {
            all,
            sockets,
            sessions,
            last,
            ..
        } = &mut self.handles;
        let datagrams = &mut self.datagrams;
        if let All::Transparent(socket, task) = all {
            let (mut count, mut bytes) = (0, 0);
            let mut buf = [0; 4096];
            while count < most {
                let waker = task.waker();
                let read = socket.poll_recv_from(&mut Context::from_waker(&waker), &mut buf);
                task.set_waits(read.is_pending());
                let Poll::Ready(read) = read else {
                    break;
                };
                let (len, from, to) = read.expect("the stack runs");
                datagrams.read(&buf[..len], (from, to), Place::Transparent, last);
                (count, bytes) = (count + 1, bytes + len);
            }
            assert!(count <= self.config.inbound_packets, "{count} datagrams");
            assert!(bytes <= self.config.inbound_bytes, "{bytes} bytes");
        }
        for one in sockets {
            let (mut count, mut bytes) = (0, 0);
            while count < most {
                let waker = one.task.waker();
                let read = one
                    .socket
                    .poll_recv_datagram(&mut Context::from_waker(&waker));
                one.task.set_waits(read.is_pending());
                match read {
                    Poll::Pending => break,
                    Poll::Ready(Ok(datagram)) => {
                        let place = Place::Socket(one.id);
                        let ends = (datagram.from, datagram.to);
                        datagrams.read(&datagram.payload, ends, place, &mut one.last);
                        (count, bytes) = (count + 1, bytes + datagram.payload.len());
                    }
                    // An ICMP error, once.
                    Poll::Ready(Err(error)) => not_closed(&error),
                }
            }
            assert!(count <= self.config.inbound_packets, "{count} datagrams");
            assert!(bytes <= self.config.inbound_bytes, "{bytes} bytes");
        }
        sessions.retain_mut(|accepted| {
            let mut count = 0;
            while count < most {
                match accepted.session.try_recv_datagram() {
                    Ok(datagram) => {
                        read_in_session(&datagram, accepted, self.sessions.mapping, datagrams);
                        count += 1;
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                    Err(error) if ends(&error) => return false,
                    Err(error) => not_closed(&error),
                }
            }
            true
        });
    }

    /// A handle sends a datagram or a batch.
    fn send(&mut self) {
        let who = usize::from(self.input.byte());
        let (remote, own) = self.ends();
        let (len, size) = self.lengths();
        let dont_fragment = self.input.chance(64);
        let each = size.map_or(usize::MAX, |size| size.get().into());
        let (first, payload) = self.datagrams.payload(len, each);
        let count = self.handles.sockets.len();
        let (from, to, sent) = if who < 50 || (count == 0 && who < 200) {
            let All::Transparent(socket, _) = &self.handles.all else {
                return;
            };
            let datagram = Datagram::new(payload.clone(), own, remote)
                .segment_size(size)
                .dont_fragment(dont_fragment);
            (own, remote, now(socket.send_datagram(&datagram)))
        } else if who < 200 {
            let one = &self.handles.sockets[who % count];
            let mut from = one.socket.local_addr().expect("it is bound");
            if from.ip().is_unspecified() {
                from.set_ip(if from.is_ipv4() {
                    OWN_V4.into()
                } else {
                    OWN_V6.into()
                });
            }
            let datagram = Datagram::new(payload.clone(), from, remote)
                .segment_size(size)
                .dont_fragment(dont_fragment);
            (from, remote, now(one.socket.send_datagram(&datagram)))
        } else {
            let count = self.handles.sessions.len();
            if count == 0 {
                return;
            }
            let accepted = &self.handles.sessions[who % count];
            let to = accepted.session.source();
            let datagram = Datagram::new(payload.clone(), own, to)
                .segment_size(size)
                .dont_fragment(dont_fragment);
            let sent = now(accepted.session.send_datagram(&datagram));
            if let Poll::Ready(Err(error)) = &sent
                && is_filtered(error)
            {
                assert_ne!(self.sessions.filtering, Filtering::EndpointIndependent);
            }
            (own, to, sent)
        };
        match sent {
            Poll::Ready(Ok(())) => {
                let is_limited = dont_fragment || payload.len() > each;
                let mtu = self.engines[0].path_mtu(self.now(), to.ip());
                let longest = is_limited.then_some(mtu);
                self.datagrams
                    .send((first, &payload), each, (from, to), longest);
                // One of the engines has the packet.
                for (driver, engine) in self.drivers.iter_mut().zip(&self.engines) {
                    if engine.register(&driver.same_waker()) {
                        driver.must_be_awake();
                    }
                }
            }
            Poll::Ready(Err(error)) => not_closed(&error),
            // The queue is full, and the call is given up.
            Poll::Pending => {}
        }
    }

    /// The drivers send all packets and wait for more.
    fn transmit(&mut self) {
        for (engine, driver) in self.engines.iter().zip(&mut self.drivers) {
            loop {
                let (mut packets, mut bytes) = (0, 0);
                while let Some(packet) = engine.poll_transmit() {
                    (packets, bytes) = (packets + 1, bytes + packet.len());
                    let sent = leave(packet, &mut self.datagrams);
                    self.remembered.insert(0, sent);
                    self.remembered.truncate(REMEMBERED);
                }
                let most = self.config.outbound_packets + BATCH - 1;
                assert!(packets <= most, "{packets} packets");
                let most = self.config.outbound_bytes + usize::from(u16::MAX);
                assert!(bytes <= most, "{bytes} bytes");
                let waker = driver.waker();
                let waits = engine.register(&waker);
                driver.set_waits(!waits);
                if !waits {
                    break;
                }
            }
        }
    }

    fn bind(&mut self) {
        let mut address = self.address(true);
        if self.input.chance(100) {
            let ip: IpAddr = if address.is_ipv4() {
                Ipv4Addr::UNSPECIFIED.into()
            } else {
                Ipv6Addr::UNSPECIFIED.into()
            };
            address.set_ip(ip);
        }
        let is_taken = self.handles.sockets.iter().any(|one| one.bound == address);
        let is_full = self.handles.sockets.len() == self.config.sockets;
        match self.engines[0].binder().bind(address) {
            Ok(socket) => {
                assert!(!is_taken && !is_full);
                let id = self.handles.next;
                self.handles.next += 1;
                let (task, last) = (Task::default(), None);
                let (bound, peer) = (address, None);
                self.handles.sockets.push(Bound {
                    id,
                    socket,
                    bound,
                    peer,
                    task,
                    last,
                });
            }
            Err(error) => match error.kind() {
                ErrorKind::AddrInUse => assert!(is_taken),
                ErrorKind::QuotaExceeded => assert!(is_full),
                _ => panic!("{error}"),
            },
        }
    }

    fn connect(&mut self) {
        let peer = self.address(false);
        let nth = usize::from(self.input.byte());
        let count = self.handles.sockets.len();
        if count == 0 {
            return;
        }
        let one = &mut self.handles.sockets[nth % count];
        match now(one.socket.connect(peer)) {
            Poll::Ready(Ok(())) => one.peer = Some(peer),
            Poll::Ready(Err(_)) => assert_ne!(one.bound.is_ipv4(), peer.is_ipv4()),
            Poll::Pending => panic!("there is nothing to wait for"),
        }
    }

    /// The transparent socket becomes a listener of sessions, or ends.
    fn listen(&mut self) {
        let ends = self.input.chance(64);
        self.handles.all = match std::mem::replace(&mut self.handles.all, All::Nobody) {
            All::Transparent(socket, _) if !ends => {
                // Datagrams that wait move, and count once more if there is no room for them.
                self.arrived.1 += self.config.inbound_packets as u64;
                All::Sessions(socket.into_sessions(self.sessions))
            }
            _ if ends => All::Nobody,
            other => other,
        };
    }

    fn accept(&mut self) {
        if let All::Sessions(listener) = &self.handles.all {
            match listener.try_accept() {
                Ok(session) => self.handles.sessions.push(Accepted {
                    session,
                    last: None,
                }),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            }
        }
    }

    fn drop_socket(&mut self) {
        let nth = usize::from(self.input.byte());
        let count = self.handles.sockets.len();
        if count > 0 {
            drop(self.handles.sockets.swap_remove(nth % count));
        }
    }

    fn drop_session(&mut self) {
        let nth = usize::from(self.input.byte());
        let count = self.handles.sessions.len();
        if count > 0 {
            drop(self.handles.sessions.swap_remove(nth % count));
        }
    }

    /// An ICMP error arrives about one of the latest packets, or about one that nobody sent.
    fn icmp_error(&mut self) {
        let which = usize::from(self.input.byte());
        let mtu = 68 + u32::from(self.input.u16() % 1600);
        let kind = match self.input.byte() % 6 {
            0 => Unreachable::Port.into(),
            1 => Unreachable::Host.into(),
            2 => Unreachable::Prohibited.into(),
            3 | 4 => Unreachable::PacketTooBig { mtu }.into(),
            _ => IcmpErrorKind::HopLimitExceeded,
        };
        let cause = match self.remembered.get(which % (REMEMBERED + 1)) {
            Some(packet) => packet.clone(),
            None => {
                let (remote, own) = self.ends();
                let mut packet = Vec::new();
                udp::write(&mut packet, own, remote, 64, &[0; 40]).expect("it is short");
                packet
            }
        };
        let cause = Packet::parse(&cause).expect("it was one");
        let mut message = Vec::new();
        if !icmp::error(&mut message, &cause, kind) {
            return;
        }
        let message = Packet::parse(&message).expect("an error is a packet");
        if let Some(error) = icmp::parse_error(&message) {
            let before = self.engines[0].stats().icmp_errors;
            let known = self.engines[0].handle_icmp_error(self.now(), &error);
            let after = self.engines[0].stats().icmp_errors;
            assert!(known || before == after);
        }
    }

    fn path_mtu(&mut self) {
        let host = self.address(false).ip();
        let mtu = usize::from(self.input.u16()) % 2000;
        let mtu = Some(mtu).filter(|mtu| *mtu > 0);
        self.engines[0].set_path_mtu(self.now(), host, mtu);
    }

    fn sleep(&mut self) {
        let steps = u64::from(self.input.byte());
        // Up to a minute and now and then some minutes.
        let slept = if steps > 240 { 400_000 } else { steps * 250 };
        self.elapsed.fetch_add(slept, Ordering::Relaxed);
        let now = self.now();
        for engine in &self.engines {
            engine.handle_timeout(now);
            assert!(engine.poll_timeout().is_none_or(|at| at > now), "not done");
        }
    }

    fn check(&self) {
        let stats = self.engines[0].stats();
        assert_eq!(
            (stats.datagrams_out, stats.bytes_out),
            self.datagrams.accepted
        );
        let ended = stats.sessions_idle + stats.sessions_evicted + stats.sessions_closed;
        assert_eq!(stats.sessions, stats.sessions_opened - ended, "{stats:?}");
        assert!(stats.sessions <= self.sessions.sessions as u64, "{stats:?}");
        let counted = stats.datagrams_in
            + stats.dropped_full
            + stats.dropped_source
            + stats.dropped_backlog
            + stats.dropped_too_big
            + stats.no_listener;
        let (packets, datagrams) = self.arrived;
        assert!((packets..=datagrams).contains(&counted), "{stats:?}");
        assert_eq!(stats.dropped_other, 0);
    }

    /// Sends and drops all that is left, and ends the stack.
    pub(super) fn finish(mut self) -> UdpTally {
        self.read();
        self.transmit();
        assert_eq!(self.datagrams.leaving(), 0, "packets are missing");
        self.handles.sessions.clear();
        // A day later no session is left, whether it was accepted or not.
        self.elapsed.fetch_add(86_400_000, Ordering::Relaxed);
        let now = self.now();
        self.engines[0].handle_timeout(now);
        self.check();
        let stats = self.engines[0].stats();
        assert_eq!(stats.sessions, 0);
        assert_eq!(self.engines[0].poll_timeout(), None);
        self.engines[0].shutdown();
        for one in &self.handles.sockets {
            let closed = now_or_none(one.socket.send_to(b"x", ([192, 0, 2, 1], 1).into()));
            let error = closed.expect("it has ended").expect_err("it has ended");
            let is_closed = error
                .get_ref()
                .is_some_and(|inner| inner.is::<StackClosed>());
            assert!(is_closed || one.bound.is_ipv6(), "{error}");
        }
        let dropped = stats.dropped_full + stats.dropped_source + stats.dropped_backlog;
        UdpTally {
            read: self.datagrams.read,
            sent: self.datagrams.sent,
            sessions: stats.sessions_opened,
            icmp_errors: stats.icmp_errors,
            dropped,
        }
    }
}

/// A session reads datagrams of its client only, to its destination only.
fn read_in_session(
    datagram: &Datagram,
    accepted: &mut Accepted,
    mapping: Mapping,
    datagrams: &mut Datagrams,
) {
    let Accepted { session, last } = accepted;
    let size = datagram
        .segment_size
        .map_or(usize::MAX, |size| size.get().into());
    for part in datagram.payload.chunks(size) {
        let ends = (datagram.from, datagram.to);
        let arrived = datagrams.read(part, ends, Place::Session, last);
        assert_eq!(arrived.from, session.source());
        let to = session.destination();
        match mapping {
            Mapping::EndpointIndependent => {}
            Mapping::AddressDependent => assert_eq!(arrived.to.ip(), to.ip()),
            Mapping::AddressAndPortDependent => assert_eq!(arrived.to, to),
        }
    }
}

/// A packet leaves: with right checksums, and with datagrams that were sent.
fn leave(mut packet: PacketBuf, datagrams: &mut Datagrams) -> Vec<u8> {
    let meta = packet.meta();
    let headers = Headers::parse(&packet).expect("a packet");
    assert_eq!(headers.total_len(), packet.len());
    if meta.checksum == Checksum::Partial {
        headers.fill_checksum(&mut packet);
    }
    assert!(headers.verify_checksum(&packet), "a wrong checksum");
    let ends = (headers.key().source(), headers.key().destination());
    match meta.gso_size {
        None => {
            let payload = &packet[headers.payload_range()];
            datagrams.leave(payload, ends, packet.len());
        }
        Some(size) => {
            let mut segmenter = Segmenter::new(&headers, size);
            let mut segment = vec![0; segmenter.longest()];
            while let Some(len) = segmenter.next(&packet, &mut segment) {
                let segment = Packet::parse(&segment[..len]).expect("a packet");
                assert!(segment.verify_checksum(), "a wrong checksum");
                datagrams.leave(segment.payload(), ends, len);
            }
        }
    }
    packet.to_vec()
}

/// What a call returns at once.
fn now<T>(call: impl Future<Output = T>) -> Poll<T> {
    let mut call = std::pin::pin!(call);
    call.as_mut()
        .poll(&mut Context::from_waker(std::task::Waker::noop()))
}

fn now_or_none<T>(call: impl Future<Output = T>) -> Option<T> {
    match now(call) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

fn ends(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|inner| inner.is::<SessionEnd>())
}

/// An ICMP error may be a `PermissionDenied` as well.
fn is_filtered(error: &io::Error) -> bool {
    error
        .get_ref()
        .and_then(|inner| inner.downcast_ref())
        .is_some_and(|inner| matches!(inner, SendError::Filtered { .. }))
}

fn not_closed(error: &io::Error) {
    let is_closed = error
        .get_ref()
        .is_some_and(|inner| inner.is::<StackClosed>());
    assert!(!is_closed, "the stack runs");
}
