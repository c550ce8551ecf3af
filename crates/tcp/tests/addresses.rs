//! Listeners that are bound, and where connections begin.

mod support;

use brooklet_tcp::{Config, Interface, TcpListener};
use futures_lite::StreamExt;
use std::collections::HashSet;
use std::io::ErrorKind;
use support::*;

type Listener = TcpListener<brooklet_cell::Threaded>;

fn stack() -> Host {
    Host::on(
        Interface::new()
            .ipv4(Some([10, 0, 0, 2].into()))
            .ipv6(Some([0xfd00, 0, 0, 0, 0, 0, 0, 2].into())),
        Config::new().options(small()),
    )
}

fn small() -> brooklet_tcp::TcpOptions {
    brooklet_tcp::TcpOptions::new()
        .recv_buffer(2048)
        .send_buffer(2048)
}

/// Opens a connection that one of these listeners gets, and says which.
fn taker(host: &mut Host, to: &str, port: u16, listeners: &[&Listener]) -> usize {
    let from = if to.starts_with('[') {
        "[fd00::9]"
    } else {
        "10.0.0.9"
    };
    let mut peer = Peer::new(&format!("{from}:{port}"), to);
    host.tx(peer.syn());
    for listener in listeners {
        assert!(pends(listener.accept()));
    }
    peer.establish(host);
    let took = |listener: &&Listener| !pends(listener.accept());
    let takers: Vec<usize> = (0..listeners.len())
        .filter(|&n| took(&listeners[n]))
        .collect();
    assert_eq!(takers.len(), 1, "{to} went to {takers:?}");
    host.all();
    takers[0]
}

#[test]
fn the_most_particular_listener_takes_a_connection() {
    let mut host = stack();
    let bind = |text| host.connector.bind(addr(text)).unwrap();
    let (one, port, port6) = (bind("192.0.2.1:80"), bind("0.0.0.0:80"), bind("[::]:80"));
    let rest = host.listener.take().unwrap();
    let all = [&one, &port, &port6, &rest];
    for (n, (to, expected)) in [
        ("192.0.2.1:80", 0),
        ("192.0.2.2:80", 1),
        ("[fd00::1]:80", 2),
        ("192.0.2.1:81", 3),
        ("[fd00::1]:81", 3),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(
            taker(&mut host, to, 1000 + n as u16, &all),
            expected,
            "{to}"
        );
    }
    assert_eq!(one.local_addr().unwrap(), addr("192.0.2.1:80"));
    assert_eq!(rest.local_addr().unwrap(), addr("[::]:0"));
}

#[test]
fn an_address_is_bound_once_and_free_again_afterwards() {
    let mut host = stack();
    let web = host.connector.bind(addr("192.0.2.1:80")).unwrap();
    let again = host.connector.bind(addr("192.0.2.1:80")).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AddrInUse);
    let multicast = host.connector.bind(addr("224.0.0.1:80")).unwrap_err();
    assert_eq!(multicast.kind(), ErrorKind::AddrNotAvailable);

    // One that waits, one in its handshake, one that is ready, and one that has been collected.
    let mut peers: Vec<Peer> = (1..=4)
        .map(|n| Peer::new(&format!("10.0.0.9:{n}"), "192.0.2.1:80"))
        .collect();
    let mut other = Peer::new("10.0.0.9:9", "192.0.2.1:81");
    host.tx(other.syn());
    assert!(pends(host.listener().accept()));
    other.establish(&mut host);
    for peer in &peers[1..] {
        host.tx(peer.syn());
    }
    assert!(pends(web.accept()));
    assert!(host.rx().unwrap().flags.syn());
    for peer in &mut peers[2..] {
        peer.establish(&mut host);
    }
    let (collected, _) = now(web.accept()).unwrap();
    host.tx(peers[0].syn());
    let clone = web.clone();
    drop(web);
    assert!(
        host.all().iter().all(|seg| !seg.flags.rst()),
        "a clone is left"
    );
    drop(clone);
    let reset: HashSet<_> = host
        .all()
        .iter()
        .filter(|seg| seg.flags.rst())
        .map(|seg| seg.key.destination().port())
        .collect();
    assert_eq!(reset, HashSet::from([1, 2, 4]));
    peers[2].send(&mut host, b"hello");
    assert_eq!(read(&collected).unwrap(), b"hello");
    assert_eq!(now(host.listener().accept()).unwrap().1, other.from);
    host.connector.bind(addr("192.0.2.1:80")).unwrap();
}

#[test]
fn without_a_listener_for_the_rest_only_what_is_bound_is_served() {
    let mut host = stack();
    let web = host.connector.bind(addr("0.0.0.0:80")).unwrap();
    host.listener = None;
    host.tx(Peer::new("10.0.0.9:1", "192.0.2.1:81").syn());
    assert!(host.rx().unwrap().flags.rst());
    assert_eq!(taker(&mut host, "192.0.2.1:80", 2, &[&web]), 0);
}

#[test]
fn port_0_is_a_free_port() {
    let host = stack();
    let listeners: Vec<_> = (0..50)
        .map(|_| host.connector.bind(addr("10.0.0.2:0")).unwrap())
        .collect();
    let ports = listeners
        .iter()
        .map(|listener| listener.local_addr().unwrap().port());
    let ports: HashSet<u16> = ports.filter(|&port| port >= 49_152).collect();
    assert_eq!(ports.len(), 50);
}

#[test]
fn a_connection_begins_from_the_address_of_the_stack() {
    let mut host = stack();
    for (to, own) in [(SERVER, "10.0.0.2:0"), ("[fd00::1]:80", "[fd00::2]:0")] {
        let connector = host.connector.clone();
        let mut connect = Box::pin(connector.connect(addr(to)));
        assert!(poll(&mut connect).is_pending());
        let syn = host.rx().unwrap();
        assert!(syn.flags.syn() && !syn.flags.ack());
        assert_eq!(syn.key.destination(), addr(to));
        assert_eq!(syn.key.source().ip(), addr(own).ip());
        assert!(syn.key.source().port() >= 49_152);
        drop(connect);
        host.all();
    }
    let bare = Host::new(Config::default());
    let error = now(bare.connector.connect(addr(SERVER))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
    assert!(error.to_string().contains("no IPv4 address"), "{error}");
    let from = addr("0.0.0.0:7");
    let error = now(bare.connector.connect_from(from, addr(SERVER))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
}

#[test]
fn an_own_address_that_no_host_can_have_counts_as_none() {
    for bad in ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255"] {
        let interface = Interface::new().ipv4(Some(bad.parse().unwrap()));
        let host = Host::on(interface, Config::default());
        let error = now(host.connector.connect(addr(SERVER))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        assert!(error.to_string().contains("no IPv4 address"), "{error}");
    }
    for bad in ["::", "::1", "ff02::1", "::ffff:10.0.0.2"] {
        let interface = Interface::new().ipv6(Some(bad.parse().unwrap()));
        let host = Host::on(interface, Config::default());
        let error = now(host.connector.connect(addr("[fd00::1]:80"))).unwrap_err();
        assert!(error.to_string().contains("no IPv6 address"), "{error}");
    }
}

#[test]
fn an_error_names_the_address_and_the_rule_that_it_breaks() {
    let host = stack();
    for (from, to, bad) in [
        ("10.0.0.2:1", "127.0.0.1:80", "to 127.0.0.1:80: a loopback"),
        ("127.0.0.1:1", SERVER, "from 127.0.0.1:1: a loopback"),
        ("[fd00::2]:1", "[::1]:80", "to [::1]:80: a loopback"),
        ("[::1]:1", "[fd00::1]:80", "from [::1]:1: a loopback"),
        ("[fd00::2]:1", "[::ffff:10.0.0.9]:80", "an IPv4-mapped"),
        ("[::ffff:10.0.0.9]:1", "[fd00::1]:80", "an IPv4-mapped"),
        ("10.0.0.2:1", "192.0.2.1:0", "to 192.0.2.1:0: the port is 0"),
        (
            "10.0.0.2:1",
            "224.0.0.1:80",
            "to 224.0.0.1:80: the address is not unicast",
        ),
        ("10.0.0.2:1", "10.0.0.2:1", "both ends are equal"),
    ] {
        let error = now(host.connector.connect_from(addr(from), addr(to))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable, "{from} {to}");
        assert!(error.to_string().contains(bad), "{error}");
    }
}

#[test]
fn a_tuple_is_connected_once() {
    let host = stack();
    let (from, to) = (addr("10.0.0.2:5000"), addr(SERVER));
    let connector = host.connector.clone();
    let mut first = Box::pin(connector.connect_from(from, to));
    assert!(poll(&mut first).is_pending());
    let error = now(connector.connect_from(from, to)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    // To another destination the same port serves.
    assert!(pends(connector.connect_from(from, addr("192.0.2.2:80"))));
}

#[test]
fn all_ephemeral_ports_are_used_and_then_none_is_left() {
    let mut host = stack();
    let taken = host.connector.bind(addr("10.0.0.2:50000")).unwrap();
    let to = addr(SERVER);
    let connector = host.connector.clone();
    let mut connects = Vec::new();
    let mut ports = HashSet::new();
    for _ in 1..16_384 {
        let mut connect = Box::pin(connector.connect(to));
        assert!(poll(&mut connect).is_pending());
        connects.push(connect);
        for syn in host.all() {
            assert!(ports.insert(syn.key.source().port()), "a port twice");
        }
    }
    assert_eq!(ports.len(), 16_383);
    assert!(!ports.contains(&50_000), "a listener's port");
    let error = now(connector.connect(to)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    // Elsewhere all are free, and here one is as soon as somebody lets go.
    assert!(pends(connector.connect(addr("192.0.2.2:80"))));
    drop(connects.pop());
    assert!(pends(connector.connect(to)));
    drop(taken);
}

#[test]
fn a_connection_has_the_options_that_it_was_opened_with() {
    let mut host = stack();
    let connector = host.connector.clone();
    for (from, to) in [("0.0.0.0:0", SERVER), ("[::]:0", "[fd00::1]:80")] {
        let connect = connector.connect_with(addr(from), addr(to), small().ttl(9));
        let mut connect = Box::pin(connect);
        assert!(poll(&mut connect).is_pending());
        assert_eq!(host.rx().unwrap().ttl, 9);
    }
    // A value that cannot work is mended.
    let (from, to) = (addr("10.0.0.2:7"), addr(SERVER));
    let mut connect = Box::pin(connector.connect_with(from, to, small().ttl(0)));
    host.all();
    assert!(poll(&mut connect).is_pending());
    assert_eq!(host.rx().unwrap().ttl, 1);
}

#[test]
fn a_listener_accepts_with_its_own_options() {
    let mut host = stack();
    let address = addr(SERVER);
    let web = host.connector.bind_with(address, small().ttl(9)).unwrap();
    let rest = host.listener().clone();
    let open = |host: &mut Host, port: u16, to: &str, ttl: u8| {
        let mut peer = Peer::new(&format!("10.0.0.9:{port}"), to);
        host.tx(peer.syn());
        assert!(pends(web.accept()) && pends(rest.accept()));
        assert_eq!(peer.establish(host).ttl, ttl);
        let accepted = [&web, &rest].map(|listener| !pends(listener.accept()));
        assert_eq!(accepted.iter().filter(|accepted| **accepted).count(), 1);
        host.all();
    };
    open(&mut host, 1, SERVER, 9);
    open(&mut host, 2, "192.0.2.2:80", 64);
    // A clone shares the options.
    web.clone().set_options(small().ttl(7));
    assert_eq!((web.options().ttl, rest.options().ttl), (7, 64));
    open(&mut host, 3, SERVER, 7);
    // A request has those of the moment at which it was returned.
    let peer = Peer::new("10.0.0.9:4", SERVER);
    host.tx(peer.syn());
    let request = now(web.requests().next()).unwrap().unwrap();
    web.set_options(small().ttl(5));
    drop(web);
    let mut accept = Box::pin(request.accept());
    assert!(poll(&mut accept).is_pending());
    let syn_ack = host
        .all()
        .into_iter()
        .find(|seg| seg.flags.syn() && seg.key.destination() == peer.from);
    assert_eq!(syn_ack.unwrap().ttl, 7);
}
