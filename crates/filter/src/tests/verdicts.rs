use super::*;
use crate::*;
use brooklet_packet::{Protocol, tcp};
use std::{cell::Cell, net::IpAddr, rc::Rc, sync::Arc};

const CLIENT: &str = "10.0.0.1:5000";
const SERVER: &str = "192.0.2.7:443";

fn verdict(filter: &impl Filter, bytes: &[u8]) -> Verdict {
    filter.verdict(&Packet::parse(bytes).unwrap(), Direction::Inbound)
}

/// A TCP packet of which the ports are those of a RST, written by hand: 20 bytes of header.
fn segment() -> Vec<u8> {
    let mut header = [0; 20];
    header[0..2].copy_from_slice(&5000_u16.to_be_bytes());
    header[2..4].copy_from_slice(&443_u16.to_be_bytes());
    header[12] = 5 << 4;
    header[13] = 0x02;
    let mut bytes = packet("[fd00::1]:1", "[2001:db8::7]:1");
    bytes.truncate(40);
    bytes.extend(header);
    bytes[4..6].copy_from_slice(&20_u16.to_be_bytes());
    bytes[6] = 6;
    assert!(Packet::parse(&bytes).unwrap().tcp().is_some());
    bytes
}

#[test]
fn the_first_match_decides() {
    let rules = Rules::new(Verdict::Drop)
        .rule(source(net("10.0.0.1/32")), Verdict::Pass)
        .rule(source(net("10.0.0.0/8")), Verdict::Drop)
        .rule(destination_port(53), Verdict::Pass)
        .rule(destination_port(53), Verdict::Drop);
    assert_eq!(verdict(&rules, &packet(CLIENT, SERVER)), Verdict::Pass);
    assert_eq!(
        verdict(&rules, &packet("10.0.0.2:1", "1.1.1.1:53")),
        Verdict::Drop
    );
    assert_eq!(
        verdict(&rules, &packet("172.16.0.2:1", "1.1.1.1:53")),
        Verdict::Pass
    );
    assert_eq!(
        verdict(&rules, &packet("172.16.0.2:1", "1.1.1.1:54")),
        Verdict::Drop
    );
}

#[test]
fn without_a_match_the_default_decides() {
    for default in [Verdict::Pass, Verdict::Drop] {
        assert_eq!(
            verdict(&Rules::new(default), &packet(CLIENT, SERVER)),
            default
        );
        let rules = Rules::local(default).rule(any().not(), Verdict::Pass);
        assert_eq!(verdict(&rules, &packet(CLIENT, SERVER)), default);
        let rules = rules.rule(any(), Verdict::Drop);
        assert_eq!(verdict(&rules, &packet(CLIENT, SERVER)), Verdict::Drop);
    }
}

#[test]
fn addresses_and_networks() {
    let bytes = packet(CLIENT, SERVER);
    for (of, expected) in [
        (source(net("10.0.0.0/8")), true),
        (source(net("192.0.2.0/24")), false),
        (source(IpAddr::from([10, 0, 0, 1])), true),
        (source(IpAddr::from([10, 0, 0, 2])), false),
        (source(net("10.9.9.9/8")), true),
        (destination(net("192.0.2.0/24")), true),
        (destination(net("10.0.0.0/8")), false),
        (destination(net("0.0.0.0/0")), true),
        (destination(net("::/0")), false),
    ] {
        assert_eq!(matches(&of, &bytes), expected, "{of:?}");
    }
    let six = packet("[fd00::1]:1", "[2001:db8::7]:2");
    assert!(matches(&source(net("fd00::/8")), &six));
    assert!(matches(&destination(net("2001:db8::/32")), &six));
    assert!(!matches(&destination(net("0.0.0.0/0")), &six));
}

#[test]
fn a_mapped_address_does_not_slip_through() {
    let mapped = packet("[fd00::1]:5000", "[::ffff:192.0.2.7]:443");
    assert!(matches(&destination(net("192.0.2.0/24")), &mapped));
    assert!(matches(&destination(net("::ffff:0:0/96")), &mapped));
    assert!(!matches(&destination(net("192.0.3.0/24")), &mapped));
    assert!(!matches(&source(net("0.0.0.0/0")), &mapped));
    let set: CidrSet = "192.0.2.0/24".parse().unwrap();
    assert!(matches(&destination_in(set.clone()), &mapped));
    assert!(!matches(&source_in(set), &mapped));
}

#[test]
fn sets_are_asked_about_the_end_they_are_for() {
    let bytes = packet(CLIENT, SERVER);
    let set = Arc::new(CidrSet::from_iter([net("10.0.0.0/8")]));
    assert!(matches(&source_in(set.clone()), &bytes));
    assert!(!matches(&destination_in(set), &bytes));
}

#[test]
fn ports_of_udp_and_tcp() {
    for bytes in [packet(CLIENT, SERVER), segment()] {
        assert!(matches(&source_port(5000), &bytes));
        assert!(!matches(&source_port(443), &bytes));
        assert!(matches(&destination_port(443), &bytes));
        assert!(!matches(&destination_port(5000), &bytes));
        assert!(matches(&destination_port(443..=444), &bytes));
        assert!(matches(&destination_port(1..=443), &bytes));
        assert!(!matches(&destination_port(444..=500), &bytes));
        #[allow(clippy::reversed_empty_ranges, reason = "an empty range is the point")]
        let empty = destination_port(500..=400);
        assert!(!matches(&empty, &bytes));
    }
    assert!(
        matches(&destination_port(0), &packet(CLIENT, "192.0.2.7:0")),
        "0 is a port too"
    );
}

#[test]
fn what_has_no_ports_matches_no_port() {
    for bytes in [icmp(CLIENT, SERVER), fragment(CLIENT, SERVER)] {
        for ports in [Ports::from(0), Ports::from(443), Ports::from(0..=u16::MAX)] {
            assert!(!matches(&source_port(ports), &bytes));
            assert!(!matches(&destination_port(ports), &bytes));
            assert!(matches(&destination_port(ports).not(), &bytes));
        }
    }
    // With it a rule can be kept from being walked around.
    let fragments = matching(|packet, _| packet.fragment().is_some());
    assert!(matches(&fragments, &fragment(CLIENT, SERVER)));
}

#[test]
fn protocols() {
    let is = |wanted, bytes: &[u8]| matches(&protocol(wanted), bytes);
    assert!(is(Protocol::Udp, &packet(CLIENT, SERVER)));
    assert!(is(Protocol::Udp, &fragment(CLIENT, SERVER)));
    assert!(!is(Protocol::Tcp, &packet(CLIENT, SERVER)));
    assert!(is(Protocol::Tcp, &segment()));
    assert!(is(Protocol::Icmpv4, &icmp(CLIENT, SERVER)));
    assert!(is(
        Protocol::Icmpv6,
        &icmp("[fd00::1]:1", "[2001:db8::7]:2")
    ));
    assert!(!is(Protocol::Icmpv6, &icmp(CLIENT, SERVER)));
    // What the stack itself answers is judged the same way.
    let mut reset = Vec::new();
    assert!(tcp::reset(&mut reset, &Packet::parse(&segment()).unwrap()));
    assert!(matches(&source_port(443), &reset));
}

#[test]
fn directions() {
    let bytes = packet(CLIENT, SERVER);
    let packet = Packet::parse(&bytes).unwrap();
    let rules = Rules::new(Verdict::Pass).rule(direction(Direction::Outbound), Verdict::Drop);
    assert_eq!(rules.verdict(&packet, Direction::Inbound), Verdict::Pass);
    assert_eq!(rules.verdict(&packet, Direction::Outbound), Verdict::Drop);
    let closure = |_: &Packet<'_>, way| match way {
        Direction::Inbound => Verdict::Drop,
        Direction::Outbound => Verdict::Pass,
    };
    assert_eq!(closure.verdict(&packet, Direction::Inbound), Verdict::Drop);
    assert_eq!(closure.verdict(&packet, Direction::Outbound), Verdict::Pass);
}

#[test]
fn combinations() {
    let bytes = packet(CLIENT, SERVER);
    let (yes, no) = (any(), any().not());
    for (a, b) in [(true, true), (true, false), (false, true), (false, false)] {
        let of = |says: bool| matching(move |_, _| says);
        assert_eq!(matches(&of(a).and(of(b)), &bytes), a && b);
        assert_eq!(matches(&of(a).or(of(b)), &bytes), a || b);
        assert_eq!(matches(&of(a).not(), &bytes), !a);
    }
    let boxed: Box<dyn Match> = Box::new(yes);
    let shared: Rc<dyn Match> = Rc::new(no);
    assert!(matches(&boxed.and((&shared).not()), &bytes));
}

#[test]
fn a_closure_is_a_filter_without_types() {
    let bytes = packet(CLIENT, SERVER);
    let filter = filter_fn(|packet, direction| match direction {
        Direction::Inbound if packet.key().is_ipv6() => Verdict::Pass,
        _ => Verdict::Drop,
    });
    assert_eq!(verdict(&filter, &bytes), Verdict::Drop);
    let six = packet("[fd00::1]:1", "[2001:db8::7]:2");
    assert_eq!(verdict(&filter, &six), Verdict::Pass);
}

#[test]
fn directions_and_verdicts_read_back_as_printed() {
    for direction in [Direction::Inbound, Direction::Outbound] {
        assert_eq!(direction.to_string().parse(), Ok(direction));
    }
    for verdict in [Verdict::Pass, Verdict::Drop] {
        assert_eq!(verdict.to_string().parse(), Ok(verdict));
    }
    assert!("Pass".parse::<Verdict>().is_err());
    assert!("in".parse::<Direction>().is_err());
}

#[test]
fn filters_behind_pointers() {
    let bytes = packet(CLIENT, SERVER);
    let drops = |_: &Packet<'_>, _: Direction| Verdict::Drop;
    let boxed: Box<dyn Filter> = Box::new(drops);
    assert_eq!(verdict(&boxed, &bytes), Verdict::Drop);
    let sendable: Box<dyn Filter + Send> = Box::new(Rules::new(Verdict::Drop));
    assert_eq!(verdict(&sendable, &bytes), Verdict::Drop);
    let both: Box<dyn Filter + Send + Sync> = Box::new(PassAll);
    assert_eq!(verdict(&both, &bytes), Verdict::Pass);
    let arc: Arc<dyn Filter> = Arc::new(drops);
    assert_eq!(verdict(&arc, &bytes), Verdict::Drop);
    assert_eq!(verdict(&Rc::new(drops), &bytes), Verdict::Drop);
}

#[test]
fn rules_of_one_thread_take_any_closure() {
    let count = Rc::new(Cell::new(0));
    let seen = count.clone();
    let counts = matching(move |_, _| {
        seen.set(seen.get() + 1);
        false
    });
    let rules = Rules::local(Verdict::Pass).rule(counts, Verdict::Drop);
    assert_eq!(verdict(&rules, &packet(CLIENT, SERVER)), Verdict::Pass);
    assert_eq!(count.get(), 1);
}

#[test]
fn unicast_only() {
    for (from, to, expected) in [
        (CLIENT, SERVER, Verdict::Pass),
        (CLIENT, "224.0.0.251:5353", Verdict::Drop),
        (CLIENT, "255.255.255.255:67", Verdict::Drop),
        ("0.0.0.0:68", SERVER, Verdict::Drop),
        ("224.0.0.1:1", SERVER, Verdict::Drop),
        ("[fd00::1]:1", "[2001:db8::7]:2", Verdict::Pass),
        ("[fd00::1]:1", "[ff02::fb]:5353", Verdict::Drop),
        ("[::]:1", "[2001:db8::7]:2", Verdict::Drop),
    ] {
        let bytes = packet(from, to);
        assert_eq!(verdict(&UnicastOnly, &bytes), expected, "{from} {to}");
        assert_eq!(verdict(&PassAll, &bytes), Verdict::Pass);
    }
}

#[test]
fn a_verdict_is_read_back_from_its_text() {
    use brooklet_packet::icmp::Unreachable;
    let reasons = [
        Unreachable::Network,
        Unreachable::Host,
        Unreachable::Protocol,
        Unreachable::Port,
        Unreachable::Prohibited,
        Unreachable::PacketTooBig { mtu: 1400 },
    ];
    let mut verdicts = vec![Verdict::Pass, Verdict::Drop, Verdict::Divert];
    verdicts.push(Verdict::Reject(Reject::TcpReset));
    verdicts.extend(reasons.map(|reason| Verdict::Reject(Reject::Icmp(reason))));
    for verdict in verdicts {
        assert_eq!(verdict.to_string().parse(), Ok(verdict));
    }
    let reset = Ok(Verdict::Reject(Reject::TcpReset));
    assert_eq!("reject with tcp reset".parse(), reset);
    for wrong in [
        "",
        "Pass",
        "pass pass",
        "reject with",
        "reject with icmp",
        "reject with icmp unknown",
    ] {
        assert!(wrong.parse::<Verdict>().is_err(), "{wrong}");
    }
}
