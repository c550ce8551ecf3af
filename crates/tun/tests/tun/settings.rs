//! Addresses, routes, the transmit queue, and persistence.

use crate::support::*;
use brooklet_tun::{Tun, TunBuilder};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

fn builder() -> TunBuilder {
    TunBuilder::new("tun0").offload(false)
}

fn refusal(builder: TunBuilder) -> io::Error {
    let error = builder.open().unwrap_err();
    let text = error.to_string();
    assert!(!text.contains('\n') && !text.contains("  "), "{text}");
    error
}

#[test]
fn an_interface_has_several_addresses_of_both_families() {
    in_namespace(|| {
        let tun = builder()
            .ipv4(HOST, 24)
            .ipv6(HOST6, 64)
            .ipv4([10, 78, 0, 1].into(), 16)
            .ipv4(HOST, 24) // again
            .ipv6("fd78::1".parse().unwrap(), 128)
            .open()
            .unwrap();
        let shown = ip("addr show tun0");
        for word in ["10.77.0.2/24", "10.78.0.1/16", "fd77::2/64", "fd78::1/128"] {
            assert!(shown.contains(word), "{word} is missing: {shown}");
        }
        assert_eq!(shown.matches("10.77.0.2").count(), 1, "{shown}");
        drop(tun);
    });
}

/// Sends a datagram to `to`, which must arrive at the device.
fn reaches(tun: &mut Tun, from: IpAddr, to: IpAddr) {
    let socket = bind(from);
    socket.send_to(b"out", (to, 7000)).unwrap();
    recv_to(tun, to);
}

#[test]
fn packets_for_a_routed_network_reach_the_device() {
    in_namespace(|| {
        let (net, net6): (Ipv4Addr, Ipv6Addr) =
            ([198, 51, 100, 0].into(), "2001:db8::".parse().unwrap());
        let mut tun = builder()
            .ipv4(HOST, 24)
            .ipv6(HOST6, 64)
            .route(net, 24)
            .route(net6, 32)
            .route([203, 0, 113, 7], 32)
            .route(net, 24) // again
            .route([10, 77, 0, 0], 24) // there with the address
            .open()
            .unwrap();
        reaches(&mut tun, HOST.into(), [198, 51, 100, 9].into());
        reaches(&mut tun, HOST.into(), [203, 0, 113, 7].into());
        reaches(
            &mut tun,
            HOST6.into(),
            "2001:db8:1::9".parse::<IpAddr>().unwrap(),
        );
        let elsewhere = UdpSocket::bind((HOST, 0)).unwrap();
        let error = elsewhere.send_to(b"out", "203.0.113.8:7000").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NetworkUnreachable);
        let shown = ip("route show dev tun0");
        assert_eq!(shown.matches("198.51.100.0/24").count(), 1, "{shown}");
    });
}

#[test]
fn a_default_route_is_one_of_no_bits() {
    in_namespace(|| {
        let mut tun = builder()
            .ipv4(HOST, 24)
            .ipv6(HOST6, 64)
            .route(Ipv4Addr::UNSPECIFIED, 0)
            .route(Ipv6Addr::UNSPECIFIED, 0)
            .open()
            .unwrap();
        reaches(&mut tun, HOST.into(), [192, 0, 2, 1].into());
        reaches(
            &mut tun,
            HOST6.into(),
            "2001:db8::1".parse::<IpAddr>().unwrap(),
        );
    });
}

#[test]
fn a_route_of_another_interface_is_refused_with_advice() {
    in_namespace(|| {
        let _other = TunBuilder::new("tun1")
            .route([198, 51, 100, 0], 24)
            .open()
            .unwrap();
        let error = refusal(builder().route([198, 51, 100, 0], 24));
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        let text = error.to_string();
        assert!(text.contains("198.51.100.0/24 of TUN `tun0`"), "{text}");
        assert!(text.contains("another interface has it"), "{text}");
        assert!(!ip("link").contains("tun0"), "a half-made interface stayed");
    });
}

#[test]
fn invalid_settings_are_refused_before_the_device_is_opened() {
    in_namespace(|| {
        for (builder, word) in [
            (builder().ipv4(HOST, 33), "10.77.0.2/33 is too long"),
            (builder().ipv6(HOST6, 129), "fd77::2/129 is too long"),
            (builder().route([10, 0, 0, 0], 40), "0 to 32"),
            (builder().route([10, 0, 0, 1], 8), "use 10.0.0.0/8"),
            (builder().tx_queue_len(0), "use 1 or more"),
            (builder().tx_queue_len(u32::MAX), "at most 524288"),
            (builder().ipv4([224, 0, 0, 1].into(), 4), "unicast"),
            (builder().netns(""), "give one"),
            (TunBuilder::new("a/b"), "letters and digits"),
            (TunBuilder::new(""), "give one"),
            (TunBuilder::new("sixteen-bytes-xx"), "at most 15 bytes"),
        ] {
            let error = refusal(builder.persist(true));
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains(word), "{error}");
        }
        assert_eq!(ip("link").matches("mtu").count(), 1, "only `lo` is there");
    });
}

#[test]
fn an_ipv6_address_is_refused_with_advice_where_ipv6_is_disabled() {
    in_namespace(|| {
        std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
        let error = refusal(builder().ipv6(HOST6, 64));
        assert!(error.to_string().contains("disable_ipv6=0"), "{error}");
    });
}

#[test]
fn ipv6_on_a_short_mtu_is_refused_with_advice() {
    in_namespace(|| {
        let net6: Ipv6Addr = "2001:db8::".parse().unwrap();
        for builder in [builder().ipv6(HOST6, 64), builder().route(net6, 32)] {
            let error = refusal(builder.mtu(1279));
            assert!(error.to_string().contains("1280 bytes"), "{error}");
        }
    });
}

#[test]
fn an_address_that_the_kernel_reserves_is_refused_with_advice() {
    in_namespace(|| {
        let error = refusal(builder().ipv6(Ipv6Addr::LOCALHOST, 128));
        assert!(error.to_string().contains("use another address"), "{error}");
    });
}

#[test]
fn the_transmit_queue_holds_as_many_packets_as_asked_for() {
    in_namespace(|| {
        const LEN: usize = 5;
        let mut tun = builder()
            .ipv4(HOST, 24)
            .tx_queue_len(LEN as u32)
            .open()
            .unwrap();
        assert!(ip("link show tun0").contains("qlen 5"));
        // Router solicitations and the like.
        while recv_within(&mut tun, std::time::Duration::from_millis(100)).is_some() {}
        let socket = socket();
        for _ in 0..4 * LEN {
            socket.send_to(b"out", (FAR, 7000)).unwrap();
        }
        let mut received = 0;
        while recv_within(&mut tun, std::time::Duration::from_millis(100)).is_some() {
            received += 1;
        }
        assert!((LEN..2 * LEN).contains(&received), "{received} packets");
    });
}

#[test]
fn a_persistent_device_outlives_the_program_and_is_attached_to_again() {
    in_namespace(|| {
        let builder = || builder().ipv4(HOST, 24);
        drop(builder().persist(true).open().unwrap());
        assert!(ip("-d link show tun0").contains("persist on"));
        // Without `persist` the device stays as it is.
        drop(builder().open().unwrap());
        assert!(ip("-d link show tun0").contains("persist on"));
        drop(builder().persist(true).open().unwrap());
        assert!(ip("-d link show tun0").contains("persist on"));
        ip("link delete tun0");
        drop(builder().open().unwrap());
        assert!(!ip("link").contains("tun0"));
    });
}

#[test]
fn a_device_that_cannot_be_set_up_does_not_persist() {
    in_namespace(|| {
        refusal(builder().mtu(20).persist(true));
        assert!(!ip("link").contains("tun0"));
    });
}

#[test]
fn an_attachment_that_changes_nothing_needs_no_privileges() {
    in_namespace(|| {
        let whole = || {
            builder()
                .mtu(1400)
                .ipv4(HOST, 24)
                .ipv6(HOST6, 64)
                .route([198, 51, 100, 0], 24)
                .route("2001:db8::".parse::<Ipv6Addr>().unwrap(), 32)
                .tx_queue_len(77)
        };
        drop(whole().persist(true).open().unwrap());

        give_up_net_admin();
        let tun = whole().open().unwrap();
        assert_eq!(tun.mtu(), Some(1400));
        drop(tun);

        for (builder, word) in [
            (whole().mtu(1300), "the MTU (1300 bytes)"),
            (whole().tx_queue_len(78), "txqueuelen (78 packets)"),
            (whole().ipv4([10, 9, 9, 9].into(), 24), "10.9.9.9/24"),
            (whole().route([192, 0, 2, 0], 24), "192.0.2.0/24"),
            (TunBuilder::new("tun1"), "CAP_NET_ADMIN"),
        ] {
            let error = refusal(builder);
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
            let text = error.to_string();
            assert!(
                text.contains(word) && text.contains("CAP_NET_ADMIN"),
                "{text}"
            );
        }
    });
}

/// The calling thread's own: without the capability, as another user of the system is.
fn give_up_net_admin() {
    let mut own = capabilities(None).unwrap();
    own.effective.remove(CapabilitySet::NET_ADMIN);
    set_capabilities(None, own).unwrap();
}

#[test]
fn a_device_has_the_owner_and_the_group_asked_for() {
    in_namespace_with_users(|| {
        let shown = || ip("-d link show tun0");
        for (builder, word) in [
            (
                builder().owner(2_000_000_017).group(2_000_000_018),
                "user 2000000017 group 2000000018 ",
            ),
            // Ids of more than 31 bits are ids as well.
            (builder().owner(3_000_000_000), "user 3000000000 "),
            (builder().group(2_000_000_018), "off group 2000000018 "),
        ] {
            let tun = builder.open().unwrap();
            let shown = shown(); // which has names in place of ids that are known
            assert!(shown.contains(word), "{word} is missing: {shown}");
            drop(tun);
        }
        let _none = builder().open().unwrap();
        let shown = shown();
        assert!(
            !shown.contains("user") && !shown.contains(" group 0 "),
            "{shown}"
        );
    });
}

#[test]
fn only_the_owner_attaches_without_privileges() {
    in_namespace_with_users(|| {
        let own = || TunBuilder::new("own").offload(false).owner(0);
        let others = || TunBuilder::new("others").offload(false);
        drop(own().persist(true).open().unwrap());
        drop(others().owner(1000).persist(true).open().unwrap());
        give_up_net_admin();
        drop(own().open().unwrap());
        drop(own().persist(true).open().unwrap());
        let error = refusal(others());
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("CAP_NET_ADMIN"), "{error}");
    });
}

#[test]
fn the_invalid_id_is_refused() {
    in_namespace(|| {
        let error = refusal(builder().owner(u32::MAX));
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("no user id"), "{error}");
    });
}
