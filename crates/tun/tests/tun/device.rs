//! A device as it is made, attached to, taken down and deleted.

use crate::support::*;
use async_io::Timer;
use brooklet_io::{PacketBuf, PacketIo};
use brooklet_tun::TunBuilder;
use futures_lite::future::{block_on, or, poll_fn};
use nix::sched::{CloneFlags, unshare};
use std::io;
use std::time::Duration;

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
fn a_malformed_packet_is_dropped_and_counted() {
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
        assert!(error.to_string().contains("68 to 65535"), "{error}");
    });
}

#[test]
fn a_missing_device_node_is_refused_with_advice() {
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
