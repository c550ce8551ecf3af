use crate::{CidrSet, IpNet, Ipv4Net, Ipv6Net, ListErrorKind};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

fn set(text: &str) -> CidrSet {
    text.parse().unwrap()
}

fn addr(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn the_edges_of_a_network() {
    let set = set("10.1.0.0/16\n10.3.0.0/16\n2001:db8::/32");
    for inside in [
        "10.1.0.0",
        "10.1.255.255",
        "10.3.0.0",
        "2001:db8::",
        "2001:db8:ffff::ffff",
    ] {
        assert!(set.contains(addr(inside)), "{inside}");
    }
    for outside in [
        "10.0.255.255",
        "10.2.0.0",
        "10.4.0.0",
        "0.0.0.0",
        "255.255.255.255",
        "::",
    ] {
        assert!(!set.contains(addr(outside)), "{outside}");
    }
    assert!(!set.contains(addr("2001:db7:ffff:ffff:ffff:ffff:ffff:ffff")));
    assert!(!set.contains(addr("2001:db9::")));
}

#[test]
fn everything_and_nothing() {
    let none = set("# nothing\n\n");
    assert!(none.is_empty());
    assert!(!none.contains(addr("10.0.0.1")));
    let four = set("0.0.0.0/0\n10.0.0.0/8");
    assert_eq!(four.ranges(), 1);
    assert!(four.contains(addr("0.0.0.0")) && four.contains(addr("255.255.255.255")));
    assert!(!four.contains(addr("::1")));
    let six = set("8000::/1\n::/1");
    assert_eq!(six, set("::/0"));
    assert!(six.contains(addr("::")));
    assert!(six.contains(addr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")));
    assert!(!six.contains(addr("10.0.0.1")));
    assert!(six.contains(addr("::ffff:10.0.0.1")));
}

#[test]
fn what_touches_is_one_range() {
    // Together no single network: 10.0.1.0 to 10.0.2.255.
    let set = set("10.0.2.0/24\n10.0.1.0/24\n10.0.1.128/25");
    assert_eq!(set.ranges(), 1);
    assert_eq!(format!("{set:?}"), "CidrSet { v4_ranges: 1, v6_ranges: 0 }");
    assert!(set.contains(addr("10.0.1.255")) && set.contains(addr("10.0.2.0")));
    assert!(!set.contains(addr("10.0.0.255")) && !set.contains(addr("10.0.3.0")));
}

#[test]
fn reads_lists() {
    let list = "# head\r\n10.0.0.0/8 # private\r\n\r\n\t 192.0.2.1\t#\n#10.0.0.0/99\n2001:db8::/32";
    let nets: [IpNet; 3] =
        ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"].map(|net| net.parse().unwrap());
    assert_eq!(set(list), CidrSet::from_iter(nets));
    assert_eq!(
        set("10.1.2.3/8"),
        set("10.0.0.0/8"),
        "bits beyond the prefix do not count"
    );
}

#[test]
fn says_which_line_is_wrong_and_why() {
    let four = ListErrorKind::PrefixLength { longest: 32 };
    let six = ListErrorKind::PrefixLength { longest: 128 };
    for (entry, kind) in [
        ("10.0.0/8", ListErrorKind::Address),
        ("example.org", ListErrorKind::Address),
        ("/8", ListErrorKind::Address),
        ("10.0.0.1 10.0.0.2", ListErrorKind::Address),
        ("10.0.0.0/33", four),
        ("10.0.0.0/", four),
        ("10.0.0.0/255.0.0.0", four),
        ("10.0.0.0/8 10.1.0.0/16", four),
        ("2001:db8::/129", six),
    ] {
        let text = format!("192.0.2.0/24 # fine\n\n  {entry} # wrong\n10.0.0.0/8");
        let error = text.parse::<CidrSet>().unwrap_err();
        assert_eq!((error.line(), error.kind()), (3, kind), "{entry}");
        assert!(
            error
                .to_string()
                .starts_with(&format!("line 3: `{entry}`: ")),
            "{error}"
        );
    }
    let endless = "x".repeat(100_000).parse::<CidrSet>().unwrap_err();
    assert!(endless.to_string().len() < 200);
}

/// Networks that are often neighbours, and addresses near their edges.
fn networks() -> impl Strategy<Value = Vec<IpNet>> {
    let v4 = (0_u32..1 << 12, 20_u8..=32, any::<bool>()).prop_map(|(low, length, high)| {
        let bits = if high { u32::MAX - low } else { low };
        IpNet::from(Ipv4Net::new(Ipv4Addr::from_bits(bits), length).unwrap())
    });
    let v6 = (0_u128..1 << 12, 116_u8..=128, any::<bool>()).prop_map(|(low, length, high)| {
        let bits = if high { u128::MAX - low } else { low };
        IpNet::from(Ipv6Net::new(Ipv6Addr::from_bits(bits), length).unwrap())
    });
    let wide = (any::<[u8; 4]>(), 0_u8..=32)
        .prop_map(|(addr, length)| Ipv4Net::new(addr.into(), length).unwrap().into());
    prop::collection::vec(prop_oneof![10 => v4, 10 => v6, 1 => wide], 0..40)
}

fn next_to(addr: IpAddr) -> [IpAddr; 3] {
    match addr {
        IpAddr::V4(addr) => {
            let bits = addr.to_bits();
            [bits, bits.wrapping_sub(1), bits.wrapping_add(1)]
                .map(|bits| Ipv4Addr::from_bits(bits).into())
        }
        IpAddr::V6(addr) => {
            let bits = addr.to_bits();
            [bits, bits.wrapping_sub(1), bits.wrapping_add(1)]
                .map(|bits| Ipv6Addr::from_bits(bits).into())
        }
    }
}

#[test]
fn prints_the_fewest_networks_in_the_form_that_it_reads() {
    for (text, printed) in [
        ("", ""),
        ("10.0.0.1", "10.0.0.1/32"),
        ("10.0.1.0/24\n10.0.2.0/24", "10.0.1.0/24\n10.0.2.0/24"),
        ("10.0.2.0/24\n10.0.3.0/24", "10.0.2.0/23"),
        ("::/1\n8000::/1\n0.0.0.0/0", "0.0.0.0/0\n::/0"),
        ("255.255.255.255\n255.255.255.254", "255.255.255.254/31"),
    ] {
        let read = set(text);
        assert_eq!(read.to_string(), printed);
        assert_eq!(set(printed), read);
    }
}

proptest! {
    #[test]
    fn a_union_is_the_set_of_all_networks(one in networks(), other in networks()) {
        let all = CidrSet::from_iter(one.iter().chain(&other).copied());
        let (mut one, other_set) = (CidrSet::from_iter(one), CidrSet::from_iter(other.clone()));
        prop_assert_eq!(&one.union(&other_set), &all);
        prop_assert_eq!(&other_set.union(&one), &all);
        one.extend(other);
        prop_assert_eq!(&one, &all);
    }

    #[test]
    fn iterates_over_the_fewest_networks(networks in networks()) {
        let set = CidrSet::from_iter(networks.iter().copied());
        let iterated: Vec<IpNet> = set.iter().collect();
        let mut aggregated = IpNet::aggregate(&networks);
        aggregated.sort();
        prop_assert_eq!(&iterated, &aggregated);
        prop_assert_eq!(&CidrSet::from_iter(iterated), &set);
        prop_assert_eq!(&set.to_string().parse::<CidrSet>(), &Ok(set));
    }

    #[test]
    fn agrees_with_a_scan(networks in networks(), more in any::<[u8; 4]>()) {
        let set = CidrSet::from_iter(networks.iter().copied());
        let edges = networks.iter().flat_map(|net| [net.network(), net.broadcast()]);
        for addr in edges.flat_map(next_to).chain([IpAddr::from(more)]) {
            let scan = networks.iter().any(|network| network.contains(&addr));
            prop_assert_eq!(set.contains(addr), scan, "{}", addr);
        }
        // However they are ordered and repeated, and read back from text.
        let twice = networks.iter().rev().chain(&networks);
        prop_assert_eq!(&CidrSet::from_iter(twice.clone().copied()), &set);
        let text = twice.map(|network| format!("{network}\n")).collect::<String>();
        prop_assert_eq!(text.parse::<CidrSet>(), Ok(set));
    }

    #[test]
    fn reads_any_text_without_panic(text in "\\PC*|[0-9./:#\n ]*") {
        let _ = text.parse::<CidrSet>();
    }
}
