//! A real TUN, each test in a network namespace of its own.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use async_io::Timer;
use brooklet_device::{PacketBuf, PacketIo};
use brooklet_tun::{Tun, TunBuilder};
use futures_lite::future::{block_on, or, poll_fn};
use nix::sched::{CloneFlags, unshare};
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::process::Command;
use std::time::Duration;

const HOST: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
const FAR: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 9);
const HOST6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2);

/// Runs `test` in a fresh network namespace, or says why it cannot.
fn in_namespace(test: impl FnOnce() + Send + 'static) {
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
            Some(why) if std::env::var("CI").as_deref() == Ok("true") => panic!("{why}"),
            // Not by `println`, which the test harness keeps to itself.
            Some(why) => drop(writeln!(io::stderr(), "skipped: {why}")),
        }
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn ip(arguments: &str) -> String {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .expect("iproute2");
    assert!(output.status.success(), "ip {arguments}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn open() -> Tun {
    TunBuilder::new("tun0")
        .mtu(1400)
        .ipv4(HOST, 24)
        .ipv6(HOST6, 64)
        .open()
        .unwrap()
}

/// The next packet within `limit`; `None` if there is none.
fn recv_within(tun: &mut Tun, limit: Duration) -> Option<io::Result<Vec<u8>>> {
    let mut packet = PacketBuf::with_capacity(1400);
    let read = async { Some(poll_fn(|cx| tun.poll_recv(cx, &mut packet)).await) };
    let late = async {
        Timer::after(limit).await;
        None
    };
    let result = block_on(or(read, late))?;
    Some(result.map(|()| packet.to_vec()))
}

/// The payload of the next datagram; router solicitations and the like are passed over.
fn datagram(tun: &mut Tun) -> Vec<u8> {
    loop {
        let bytes = recv_within(tun, Duration::from_secs(5))
            .expect("no packet")
            .unwrap();
        let packet = brooklet_packet::Packet::parse(&bytes).unwrap();
        if packet.destination() == FAR {
            return packet.payload().to_vec();
        }
    }
}

fn send(tun: &mut Tun, bytes: &[u8]) {
    let packet = PacketBuf::from(bytes.to_vec());
    block_on(poll_fn(|cx| tun.poll_send(cx, &packet))).unwrap();
}

fn udp(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let (from, to) = ((FAR, 7000).into(), (HOST, 5000).into());
    brooklet_packet::udp::write(&mut out, from, to, 64, payload).unwrap();
    out
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((HOST, 5000)).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    socket
}

#[test]
fn makes_a_device_with_mtu_and_addresses_and_brings_it_up() {
    in_namespace(|| {
        let tun = open();
        assert_eq!((tun.name(), tun.mtu()), (Some("tun0"), Some(1400)));
        let shown = ip("addr show tun0");
        for word in ["mtu 1400", "10.77.0.2/24", "fd77::2/64", "UP"] {
            assert!(shown.contains(word), "{word} is missing: {shown}");
        }
        drop(tun);
        assert!(
            !ip("link").contains("tun0"),
            "the interface outlived its device"
        );
    });
}

#[test]
fn packets_pass_in_both_directions() {
    in_namespace(|| {
        let (mut tun, socket) = (open(), socket());
        socket.send_to(b"out", (FAR, 7000)).unwrap();
        assert_eq!(datagram(&mut tun), b"out");
        send(&mut tun, &udp(b"in"));
        let mut buf = [0; 10];
        let (len, from) = socket.recv_from(&mut buf).unwrap();
        assert_eq!((&buf[..len], from), (&b"in"[..], (FAR, 7000).into()));
        assert_eq!(tun.dropped(), 0);
    });
}

#[test]
fn an_interface_that_is_down_drops_and_waits() {
    in_namespace(|| {
        let (mut tun, socket) = (open(), socket());
        while recv_within(&mut tun, Duration::from_millis(20)).is_some() {}
        ip("link set tun0 down");
        send(&mut tun, &udp(b"lost"));
        assert_eq!(tun.dropped(), 1);

        let mut polls = 0;
        let mut packet = PacketBuf::with_capacity(1400);
        let read = async {
            let result = poll_fn(|cx| {
                polls += 1;
                tun.poll_recv(cx, &mut packet)
            });
            panic!("a read of an interface that is down: {:?}", result.await)
        };
        let wait = async {
            Timer::after(Duration::from_millis(500)).await;
        };
        block_on(or(read, wait));
        assert!(polls < 10, "polled {polls} times in half a second");

        ip("link set tun0 up");
        socket.send_to(b"again", (FAR, 7000)).unwrap();
        assert_eq!(datagram(&mut tun), b"again");
        send(&mut tun, &udp(b"back"));
        let mut buf = [0; 10];
        assert_eq!(socket.recv(&mut buf).unwrap(), 4);
        assert_eq!(tun.dropped(), 1);
    });
}

#[test]
fn a_packet_that_is_none_is_dropped_and_counted() {
    in_namespace(|| {
        let (mut tun, socket) = (open(), socket());
        send(&mut tun, &[0xf0; 40]); // EINVAL: neither IPv4 nor IPv6
        send(&mut tun, &[]);
        assert_eq!(tun.dropped(), 2);
        send(&mut tun, &udp(b"good"));
        assert_eq!(socket.recv(&mut [0; 10]).unwrap(), 4);
    });
}

#[test]
fn a_deleted_interface_is_the_end() {
    in_namespace(|| {
        let mut tun = open();
        while recv_within(&mut tun, Duration::from_millis(20)).is_some() {}
        let mut packet = PacketBuf::with_capacity(1400);
        let read = poll_fn(|cx| tun.poll_recv(cx, &mut packet));
        let delete = async {
            Timer::after(Duration::from_millis(50)).await;
            ip("link del tun0");
            Timer::after(Duration::from_secs(5)).await;
            panic!("the read does not notice that the interface is gone")
        };
        let error = block_on(or(read, delete)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        let packet = PacketBuf::from(udp(b"late"));
        let error = block_on(poll_fn(|cx| tun.poll_send(cx, &packet))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    });
}

#[test]
fn attaches_to_a_persistent_device_more_than_once() {
    in_namespace(|| {
        ip("tuntap add dev tun0 mode tun");
        for _ in 0..2 {
            let tun = open();
            assert_eq!(tun.mtu(), Some(1400));
            let busy = TunBuilder::new("tun0").open().unwrap_err();
            assert_eq!(busy.kind(), io::ErrorKind::ResourceBusy);
            assert!(busy.to_string().contains("in use"), "{busy}");
        }
        assert!(
            ip("link").contains("tun0"),
            "a persistent interface was removed"
        );
    });
}

#[test]
fn an_interface_of_another_kind_is_refused() {
    in_namespace(|| {
        for name in ["lo", "tap0"] {
            if name != "lo" {
                ip("tuntap add dev tap0 mode tap");
            }
            let error = TunBuilder::new(name).open().unwrap_err();
            assert!(error.to_string().contains("choose another name"), "{error}");
        }
    });
}

#[test]
fn a_value_that_the_kernel_refuses_is_named() {
    in_namespace(|| {
        let error = TunBuilder::new("tun0").mtu(20).open().unwrap_err();
        assert!(error.to_string().contains("MTU (20 bytes)"), "{error}");
    });
}

#[test]
fn a_missing_device_node_is_told_with_the_mend() {
    in_namespace(|| {
        use nix::mount::{MsFlags, mount};
        let none = None::<&str>;
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        mount(
            Some("none"),
            "/dev/net",
            Some("tmpfs"),
            MsFlags::empty(),
            none,
        )
        .unwrap();
        let error = TunBuilder::new("tun0").open().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("modprobe tun"), "{error}");
    });
}
