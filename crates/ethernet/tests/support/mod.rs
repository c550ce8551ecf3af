//! An adapter over a frame source in memory, in virtual time, and the frames of its peers.
#![allow(dead_code, reason = "each test uses a part")]

use brooklet_ethernet::{Config, DropCounter, Ethernet, MacAddr};
use brooklet_io::{Clock, PacketBuf, PacketIo};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, Icmpv6Packet, Icmpv6Repr, IpProtocol, Ipv6Packet, Ipv6Repr,
    NdiscNeighborFlags, NdiscRepr,
};
use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

pub(crate) const OWN: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 1]);
pub(crate) const HOST: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 0x15]);
pub(crate) const OTHER: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 0x16]);
pub(crate) const ZERO: MacAddr = MacAddr::new([0; 6]);
pub(crate) const REQUEST: u8 = 1;
pub(crate) const REPLY: u8 = 2;

#[derive(Default)]
struct Frames {
    received: VecDeque<Vec<u8>>,
    sent: Vec<Vec<u8>>,
    full: bool,
}

#[derive(Clone, Default)]
pub(crate) struct Source(Arc<Mutex<Frames>>);

impl Source {
    fn lock(&self) -> MutexGuard<'_, Frames> {
        self.0.lock().unwrap()
    }
}

impl PacketIo for Source {
    fn mtu(&self) -> Option<usize> {
        Some(1514)
    }

    fn poll_recv(&mut self, _: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<()>> {
        match self.lock().received.pop_front() {
            Some(frame) => {
                packet.copy_from_slice(&frame);
                Poll::Ready(Ok(()))
            }
            None => Poll::Pending,
        }
    }

    fn poll_send(&mut self, _: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>> {
        let mut frames = self.lock();
        if frames.full {
            return Poll::Pending;
        }
        frames.sent.push(packet.to_vec());
        Poll::Ready(Ok(()))
    }
}

#[derive(Clone)]
pub(crate) struct Time {
    start: Instant,
    /// In milliseconds.
    elapsed: Arc<AtomicU64>,
    sleepers: Arc<Mutex<Vec<Waker>>>,
}

impl Time {
    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.elapsed.load(Relaxed))
    }
}

pub(crate) struct Sleep(Time, Instant);

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.now() >= self.1 {
            return Poll::Ready(());
        }
        self.0.sleepers.lock().unwrap().push(cx.waker().clone());
        Poll::Pending
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

type Sleeper = Box<dyn FnMut(Duration) -> Sleep>;

pub(crate) struct Wire {
    pub(crate) ethernet: Ethernet<Source, Sleeper, Sleep>,
    source: Source,
    time: Time,
    woken: Arc<Woken>,
}

impl Wire {
    pub(crate) fn new(config: Config) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the start of virtual time")]
        let start = Instant::now();
        let time = Time {
            start,
            elapsed: Arc::default(),
            sleepers: Arc::default(),
        };
        let source = Source::default();
        let (of_clock, of_sleep) = (time.clone(), time.clone());
        let sleep = Box::new(move |time| Sleep(of_sleep.clone(), of_sleep.now() + time));
        let clock = Clock::new(move || of_clock.now());
        Self {
            ethernet: Ethernet::new(source.clone(), config, clock, sleep as Sleeper),
            source,
            time,
            woken: Arc::default(),
        }
    }

    pub(crate) fn advance(&self, milliseconds: u64) {
        self.time.elapsed.fetch_add(milliseconds, Relaxed);
        let sleepers = std::mem::take(&mut *self.time.sleepers.lock().unwrap());
        sleepers.into_iter().for_each(Waker::wake);
    }

    /// Makes a frame arrive.
    pub(crate) fn deliver(&self, frame: Vec<u8>) {
        self.source.lock().received.push_back(frame);
    }

    /// Whether a frame has not been received yet.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.source.lock().received.is_empty()
    }

    /// Sets whether the frame source has no room.
    pub(crate) fn fill(&self, full: bool) {
        self.source.lock().full = full;
    }

    /// The next packet.
    pub(crate) fn recv(&mut self) -> Option<Vec<u8>> {
        let mut packet = PacketBuf::default();
        let waker = Waker::from(self.woken.clone());
        let mut cx = Context::from_waker(&waker);
        match self.ethernet.poll_recv(&mut cx, &mut packet) {
            Poll::Ready(received) => {
                received.unwrap();
                Some(packet.to_vec())
            }
            Poll::Pending => None,
        }
    }

    pub(crate) fn try_send(&mut self, packet: &[u8]) -> bool {
        let waker = Waker::from(self.woken.clone());
        let mut cx = Context::from_waker(&waker);
        let sent = self
            .ethernet
            .poll_send(&mut cx, &PacketBuf::from(packet.to_vec()));
        match sent {
            Poll::Ready(sent) => {
                sent.unwrap();
                true
            }
            Poll::Pending => false,
        }
    }

    pub(crate) fn send(&mut self, packet: &[u8]) {
        assert!(self.try_send(packet), "the packet waits");
    }

    /// The frames that were sent since the last call.
    pub(crate) fn sent(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.source.lock().sent)
    }

    pub(crate) fn drops(&self) -> DropCounter {
        self.ethernet.drop_counter()
    }

    pub(crate) fn woken(&self) -> bool {
        self.woken.0.load(Relaxed)
    }
}

pub(crate) fn frame(
    source: MacAddr,
    destination: MacAddr,
    protocol: u16,
    payload: &[u8],
) -> Vec<u8> {
    [
        &destination.octets()[..],
        &source.octets(),
        &protocol.to_be_bytes(),
        payload,
    ]
    .concat()
}

pub(crate) fn ip_frame(source: MacAddr, destination: MacAddr, packet: &[u8]) -> Vec<u8> {
    let protocol = if packet[0] >> 4 == 6 { 0x86dd } else { 0x0800 };
    frame(source, destination, protocol, packet)
}

pub(crate) fn udp(from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    brooklet_packet::udp::write(
        &mut out,
        from.parse().unwrap(),
        to.parse().unwrap(),
        64,
        payload,
    )
    .unwrap();
    out
}

pub(crate) fn arp(
    operation: u8,
    mac: MacAddr,
    sender: &str,
    target_mac: MacAddr,
    target: &str,
) -> Vec<u8> {
    let ip = |text: &str| text.parse::<Ipv4Addr>().unwrap().octets();
    [
        &[0, 1, 8, 0, 6, 4, 0, operation][..],
        &mac.octets(),
        &ip(sender),
        &target_mac.octets(),
        &ip(target),
    ]
    .concat()
}

fn link_layer(mac: MacAddr) -> Option<smoltcp::wire::RawHardwareAddress> {
    Some(EthernetAddress(mac.octets()).into())
}

fn ndisc_frame(source: &str, destination: Ipv6Addr, message: NdiscRepr<'_>) -> Vec<u8> {
    let (src_addr, message) = (source.parse().unwrap(), Icmpv6Repr::Ndisc(message));
    let ip = Ipv6Repr {
        src_addr,
        dst_addr: destination,
        next_header: IpProtocol::Icmpv6,
        payload_len: message.buffer_len(),
        hop_limit: 255,
    };
    let mut packet = vec![0; 40 + ip.payload_len];
    let (header, payload) = packet.split_at_mut(40);
    ip.emit(&mut Ipv6Packet::new_unchecked(header));
    message.emit(
        &src_addr,
        &destination,
        &mut Icmpv6Packet::new_unchecked(payload),
        &ChecksumCapabilities::default(),
    );
    let [.., a, b, c, d] = destination.octets();
    ip_frame(HOST, MacAddr::new([0x33, 0x33, a, b, c, d]), &packet)
}

pub(crate) fn solicitation(source: &str, target: &str, mac: Option<MacAddr>) -> Vec<u8> {
    let target_addr: Ipv6Addr = target.parse().unwrap();
    let [.., a, b, c] = target_addr.octets();
    let group = Ipv6Addr::new(
        0xff02,
        0,
        0,
        0,
        0,
        1,
        0xff00 | u16::from(a),
        u16::from_be_bytes([b, c]),
    );
    let lladdr = mac.and_then(link_layer);
    ndisc_frame(
        source,
        group,
        NdiscRepr::NeighborSolicit {
            target_addr,
            lladdr,
        },
    )
}

/// The bits of `flags`: router, solicited, override.
pub(crate) fn advertisement(target: &str, mac: MacAddr, flags: u8) -> Vec<u8> {
    let message = NdiscRepr::NeighborAdvert {
        flags: NdiscNeighborFlags::from_bits_truncate(flags << 5),
        target_addr: target.parse().unwrap(),
        lladdr: link_layer(mac),
    };
    let group = "ff02::1".parse().unwrap();
    let own = "fd00::2".parse().unwrap();
    let destination = if flags & 0b010 == 0 { group } else { own };
    let mut frame = ndisc_frame(target, destination, message);
    if target == "fd00::2" {
        // From the address of the claimant, which is another one.
        frame = ndisc_frame("fe80::16", destination, message);
    }
    if flags & 0b010 != 0 {
        frame[..6].copy_from_slice(&OWN.octets());
    }
    frame
}

pub(crate) fn router_solicitation(source: &str) -> Vec<u8> {
    let lladdr = link_layer(HOST);
    ndisc_frame(
        source,
        "ff02::2".parse().unwrap(),
        NdiscRepr::RouterSolicit { lladdr },
    )
}

/// A message of the adapter.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Nd {
    Solicitation(&'static str),
    Advertisement(&'static str, u8),
    Router(&'static str, u32),
}

/// Reads a message of the adapter, whose link-layer address must be that of the adapter.
pub(crate) fn ndisc(frame: &[u8]) -> Nd {
    assert_eq!(frame[6..14], [&OWN.octets()[..], &[0x86, 0xdd]].concat());
    let ip = Ipv6Packet::new_checked(&frame[14..]).unwrap();
    assert_eq!(ip.hop_limit(), 255);
    let packet = Icmpv6Packet::new_checked(ip.payload()).unwrap();
    let capabilities = ChecksumCapabilities::default();
    let (source, destination) = (ip.src_addr(), ip.dst_addr());
    let message = Icmpv6Repr::parse(&source, &destination, &packet, &capabilities).unwrap();
    let Icmpv6Repr::Ndisc(message) = message else {
        panic!("{message:?}")
    };
    let text =
        |address: Ipv6Addr| -> &'static str { Box::leak(address.to_string().into_boxed_str()) };
    let own = link_layer(OWN);
    match message {
        NdiscRepr::NeighborSolicit {
            target_addr,
            lladdr,
        } => {
            assert_eq!(lladdr, own);
            assert!(source.is_unicast_link_local());
            Nd::Solicitation(text(target_addr))
        }
        NdiscRepr::NeighborAdvert {
            flags,
            target_addr,
            lladdr,
        } => {
            // The option of an advertisement is that of the target (RFC 4861, 4.4).
            assert_eq!((lladdr, frame[14 + 40 + 24]), (own, 2));
            Nd::Advertisement(text(target_addr), flags.bits() >> 5)
        }
        NdiscRepr::RouterAdvert {
            lladdr,
            mtu,
            prefix_info,
            router_lifetime,
            ..
        } => {
            assert!(lladdr == own && router_lifetime.secs() == 1800);
            let prefix = prefix_info.unwrap();
            assert!(prefix.prefix_len == 64 && prefix.is_valid_prefix_info());
            Nd::Router(text(prefix.prefix), mtu.unwrap())
        }
        other => panic!("{other:?}"),
    }
}
