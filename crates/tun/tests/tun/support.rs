//! What the tests have in common.

use async_io::Timer;
use brooklet_io::{PacketBuf, PacketIo};
use brooklet_packet::Packet;
use brooklet_tun::{Tun, TunBuilder};
use futures_lite::future::{block_on, or, poll_fn};
use nix::sched::{CloneFlags, unshare};
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub(crate) const HOST: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
pub(crate) const FAR: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 9);
pub(crate) const HOST6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2);
pub(crate) const FAR6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 9);

/// The longest packet of IPv6.
const LARGEST: usize = 65_575;

/// Says why a test is skipped. A test that CI would skip fails.
fn skip(why: &str) {
    if std::env::var("CI").as_deref() == Ok("true") {
        panic!("{why}");
    }
    // Not by `println`, which the test harness keeps to itself.
    let _ = writeln!(io::stderr(), "skipped: {why}");
}

/// As [`in_namespace`], for a test that needs users who are not the test's own.
pub(crate) fn in_namespace_with_users(test: impl FnOnce() + Send + 'static) {
    let ids = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    match ids.trim_end().ends_with(&u32::MAX.to_string()) {
        true => in_namespace(test),
        false => skip("the users are not those of the system: run as its root"),
    }
}

/// One test at a time: a process that a test is about to run has copies of all descriptors until
/// it has begun, and a device of another test that closes meanwhile would stay open.
static ONE: Mutex<()> = Mutex::new(());

/// Runs `test` in a fresh network namespace, or says why it cannot.
pub(crate) fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let thread = std::thread::spawn(move || {
        let missing = match unshare(CloneFlags::CLONE_NEWNET) {
            Err(error) => Some(format!("a network namespace takes root ({error})")),
            Ok(()) => match TunBuilder::new("probe").open() {
                Err(error) => Some(error.to_string()),
                Ok(_) => None,
            },
        };
        match missing {
            None => test(),
            Some(why) => skip(&why),
        }
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

pub(crate) fn ip(arguments: &str) -> String {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .expect("iproute2");
    assert!(output.status.success(), "ip {arguments}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn open() -> Tun {
    TunBuilder::new("tun0")
        .mtu(1400)
        .ipv4(HOST, 24)
        .ipv6(HOST6, 64)
        .offload(false)
        .open()
        .unwrap()
}

/// The next packet within `limit`; `None` if there is none.
pub(crate) fn recv_within(tun: &mut Tun, limit: Duration) -> Option<io::Result<PacketBuf>> {
    let mut packet = PacketBuf::with_capacity(LARGEST);
    let read = async { Some(poll_fn(|cx| tun.poll_recv(cx, &mut packet)).await) };
    let late = async {
        Timer::after(limit).await;
        None
    };
    let result = block_on(or(read, late))?;
    Some(result.map(|()| packet))
}

/// The next packet to one of these addresses; router solicitations and the like are passed over.
fn recv_to_one_of(tun: &mut Tun, addresses: &[IpAddr]) -> PacketBuf {
    loop {
        let packet = recv_within(tun, Duration::from_secs(5))
            .expect("no packet")
            .unwrap();
        if addresses.contains(&Packet::parse(&packet).unwrap().destination()) {
            return packet;
        }
    }
}

pub(crate) fn recv_to(tun: &mut Tun, address: IpAddr) -> PacketBuf {
    recv_to_one_of(tun, &[address])
}

/// The next packet to [`FAR`] or [`FAR6`].
pub(crate) fn recv(tun: &mut Tun) -> PacketBuf {
    recv_to_one_of(tun, &[FAR.into(), FAR6.into()])
}

/// Sends until a packet arrives at one of the queues. After an attachment to a device that was up,
/// the kernel drops what it is sent until it has noticed that there is somebody.
pub(crate) fn passes(tuns: &mut [Tun]) {
    let arrives = |tun: &mut Tun| {
        while let Some(packet) = recv_within(tun, Duration::from_millis(20)) {
            if Packet::parse(&packet.unwrap()).unwrap().payload() == b"out" {
                return true;
            }
        }
        false
    };
    let passed = (0..100).any(|_| {
        socket().send_to(b"out", (FAR, 7000)).unwrap();
        tuns.iter_mut().any(arrives)
    });
    assert!(passed, "no packet");
}

/// The payload of the next datagram.
pub(crate) fn datagram(tun: &mut Tun) -> Vec<u8> {
    Packet::parse(&recv(tun)).unwrap().payload().to_vec()
}

pub(crate) fn send(tun: &mut Tun, bytes: &[u8]) {
    send_packet(tun, &PacketBuf::from(bytes.to_vec()));
}

pub(crate) fn send_packet(tun: &mut Tun, packet: &PacketBuf) {
    block_on(poll_fn(|cx| tun.poll_send(cx, packet))).unwrap();
}

pub(crate) fn udp(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let (from, to) = ((FAR, 7000).into(), (HOST, 5000).into());
    brooklet_packet::udp::write(&mut out, from, to, 64, payload).unwrap();
    out
}

pub(crate) fn socket() -> UdpSocket {
    bind(HOST.into())
}

pub(crate) fn bind(address: IpAddr) -> UdpSocket {
    let bind = || match UdpSocket::bind((address, 5000)) {
        // An address of IPv6 can be used a moment after it was given.
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
            std::thread::sleep(Duration::from_millis(10));
            None
        }
        bound => Some(bound.unwrap()),
    };
    let socket = (0..500).find_map(|_| bind()).expect("no such address");
    socket
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    socket
}
