//! The same packet in this parser and in etherparse.

use crate::bytes::{fold, repair, words};
use brooklet_packet::{Packet, ParseError, Protocol};
use etherparse::{
    InternetSlice, IpFragOffset, Ipv6ExtensionSlice, Ipv6Slice, SlicedPacket, TransportSlice,
};

/// What two parsers made of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Both take it, and find the same.
    Both,
    /// Neither takes it.
    Neither,
    /// brooklet takes it and etherparse does not, for a reason that is known.
    OnlyBrooklet(Reason),
    /// etherparse takes it and brooklet does not, for a reason that is known.
    OnlyEtherparse(Reason),
}

/// Why two parsers may disagree on whether to take a packet. Nothing else is a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// etherparse does not verify the IPv4 header checksum.
    HeaderChecksum,
    /// brooklet takes at most 8 extension headers and 2 KiB of them.
    LongChain,
    /// brooklet takes no routing header that still names addresses to visit.
    SegmentsLeft,
    /// brooklet reads the options of IPv6 and drops a packet with an unknown option that asks for it,
    /// with too many options, or with odd padding.
    Options,
    /// brooklet takes no IPv6 fragment that no packet can have.
    Fragment,
    /// A UDP length of zero is, to etherparse, all that is left of the packet.
    UdpLengthZero,
    /// etherparse reads the authentication header of IPv4; brooklet takes it as the payload.
    Ipv4Authentication,
    /// etherparse reads extension headers behind the header of a fragment; brooklet stops there.
    BehindFragment,
    /// etherparse reads ICMP of the other IP version.
    IcmpOfOtherVersion,
    /// etherparse takes ICMP timestamps of exactly 20 bytes only.
    IcmpTimestamp,
    /// etherparse reads IGMP, and does not take all of it.
    Igmp,
}

/// Compares what the two parsers make of `data`, also with its IPv4 header checksum made right.
///
/// # Panics
///
/// When they find different things in one packet, or disagree whether to take it without a
/// [`Reason`]. Otherwise it gives back the outcome with the checksum made right.
pub fn differential(data: &[u8]) -> Outcome {
    let mut bytes = data.to_vec();
    // With a payload length of zero etherparse takes what follows the header for the payload.
    if bytes.first().is_some_and(|first| first >> 4 == 6) && bytes.get(4..6) == Some(&[0, 0]) {
        bytes.truncate(40);
    }
    compare(&bytes);
    repair(&mut bytes);
    compare(&bytes)
}

fn compare(bytes: &[u8]) -> Outcome {
    match (Packet::parse(bytes), SlicedPacket::from_ip(bytes)) {
        (Ok(ours), Ok(theirs)) => {
            addresses(&ours, &theirs);
            // Where they read further headers, what is behind them is not the same thing.
            if other_payload(&ours).is_none() {
                contents(&ours, &theirs);
            }
            Outcome::Both
        }
        (Err(_), Err(_)) => Outcome::Neither,
        (Ok(ours), Err(error)) => match only_brooklet(&ours) {
            Some(reason) => Outcome::OnlyBrooklet(reason),
            None => panic!("etherparse does not take {ours:?}: {error}"),
        },
        (Err(error), Ok(theirs)) => match only_etherparse(error, &theirs) {
            Some(reason) => Outcome::OnlyEtherparse(reason),
            None => panic!("brooklet does not take {theirs:?}: {error}"),
        },
    }
}

/// Headers that only etherparse reads, behind what is the payload to brooklet.
fn other_payload(ours: &Packet<'_>) -> Option<Reason> {
    const EXTENSIONS: [u8; 5] = [0, 43, 44, 51, 60];
    let number = u8::from(ours.protocol());
    let is_ipv6 = ours.key().is_ipv6();
    if is_ipv6 && ours.fragment().is_some() && EXTENSIONS.contains(&number) {
        Some(Reason::BehindFragment)
    } else if !is_ipv6 && number == 51 {
        Some(Reason::Ipv4Authentication)
    } else {
        None
    }
}

fn only_brooklet(ours: &Packet<'_>) -> Option<Reason> {
    if let Some(reason) = other_payload(ours) {
        return Some(reason);
    }
    let length = ours.transport().len();
    match (ours.protocol(), ours.key().is_ipv6()) {
        _ if ours.fragment().is_some() => None,
        (Protocol::Icmpv4, true) | (Protocol::Icmpv6, false) => Some(Reason::IcmpOfOtherVersion),
        (Protocol::Icmpv4, false) => {
            let is_timestamp = matches!(ours.transport(), [13 | 14, 0, ..]);
            (is_timestamp && length != 20).then_some(Reason::IcmpTimestamp)
        }
        (Protocol::Other(2), _) => Some(Reason::Igmp),
        _ => None,
    }
}

fn only_etherparse(error: ParseError, theirs: &SlicedPacket<'_>) -> Option<Reason> {
    match (error, &theirs.net) {
        (ParseError::HeaderChecksum, Some(InternetSlice::Ipv4(slice))) => {
            let sum = fold(words(slice.header().slice()));
            (sum != 0xffff).then_some(Reason::HeaderChecksum)
        }
        (
            ParseError::ExtensionHeader | ParseError::UnknownOption,
            Some(InternetSlice::Ipv6(slice)),
        ) => chain(slice),
        (ParseError::RoutingHeader, Some(InternetSlice::Ipv6(slice))) => {
            chain(slice).filter(|reason| *reason == Reason::SegmentsLeft)
        }
        (ParseError::Fragment, Some(InternetSlice::Ipv6(slice))) => {
            bad_fragment(slice).then_some(Reason::Fragment)
        }
        (ParseError::UdpHeader, _) => match &theirs.transport {
            Some(TransportSlice::Udp(udp)) if udp.length() == 0 => Some(Reason::UdpLengthZero),
            _ => None,
        },
        _ => None,
    }
}

/// What of a chain brooklet does not take, up to the header of a fragment.
fn chain(slice: &Ipv6Slice<'_>) -> Option<Reason> {
    let (mut headers, mut bytes) = (0, 0);
    for header in slice.extensions().clone() {
        headers += 1;
        bytes += match &header {
            Ipv6ExtensionSlice::HopByHop(header)
            | Ipv6ExtensionSlice::Routing(header)
            | Ipv6ExtensionSlice::DestinationOptions(header) => header.slice().len(),
            Ipv6ExtensionSlice::Fragment(header) => header.slice().len(),
            Ipv6ExtensionSlice::Authentication(header) => header.slice().len(),
        };
        match header {
            Ipv6ExtensionSlice::Routing(header) if header.slice()[3] != 0 => {
                return Some(Reason::SegmentsLeft);
            }
            Ipv6ExtensionSlice::HopByHop(header)
            | Ipv6ExtensionSlice::DestinationOptions(header)
                if bad_options(&header.slice()[2..]) =>
            {
                return Some(Reason::Options);
            }
            _ if headers > 8 || bytes > 2048 => return Some(Reason::LongChain),
            Ipv6ExtensionSlice::Fragment(header) if header.is_fragmenting_payload() => return None,
            _ => {}
        }
    }
    None
}

/// Whether these are options that brooklet does not take.
fn bad_options(mut list: &[u8]) -> bool {
    let (mut padding, mut options) = (0, 0);
    loop {
        list = match list {
            [] => return false,
            [0, rest @ ..] => {
                padding += 1;
                rest
            }
            [kind, length, rest @ ..] if rest.len() >= usize::from(*length) => {
                let (value, rest) = rest.split_at(usize::from(*length));
                if *kind == 1 {
                    padding += 2 + value.len();
                    if value.iter().any(|byte| *byte != 0) {
                        return true;
                    }
                } else {
                    (padding, options) = (0, options + 1);
                    if *kind >= 0x40 {
                        return true;
                    }
                }
                rest
            }
            _ => return true,
        };
        if padding > 7 || options > 8 {
            return true;
        }
    }
}

/// Whether the first fragment header of a packet is of a fragment that no packet can have.
fn bad_fragment(slice: &Ipv6Slice<'_>) -> bool {
    let mut before = 0;
    for header in slice.extensions().clone() {
        let Ipv6ExtensionSlice::Fragment(header) = header else {
            before += match header {
                Ipv6ExtensionSlice::HopByHop(header)
                | Ipv6ExtensionSlice::Routing(header)
                | Ipv6ExtensionSlice::DestinationOptions(header) => header.slice().len(),
                Ipv6ExtensionSlice::Authentication(header) => header.slice().len(),
                Ipv6ExtensionSlice::Fragment(_) => 0,
            };
            continue;
        };
        if !header.is_fragmenting_payload() {
            before += 8;
            continue;
        }
        let length = usize::from(slice.header().payload_length()) - before - 8;
        let offset = usize::from(header.fragment_offset().byte_offset());
        let is_uneven = header.more_fragments() && length % 8 != 0;
        // etherparse does not look for the transport header in a first fragment.
        let may_be_incomplete = offset == 0;
        return is_uneven || before + offset + length > 65_535 || may_be_incomplete;
    }
    false
}

fn addresses(ours: &Packet<'_>, theirs: &SlicedPacket<'_>) {
    match theirs.net.as_ref().expect("an IP packet") {
        InternetSlice::Ipv4(slice) => {
            let header = slice.header();
            assert!(!ours.key().is_ipv6());
            assert_eq!(ours.source(), header.source_addr());
            assert_eq!(ours.destination(), header.destination_addr());
            assert_eq!(ours.hop_limit(), header.ttl());
            assert_eq!(ours.total_len(), usize::from(header.total_len()));
            assert_eq!(ours.has_options(), !header.options().is_empty());
        }
        InternetSlice::Ipv6(slice) => {
            let header = slice.header();
            assert!(ours.key().is_ipv6());
            assert_eq!(ours.source(), header.source_addr());
            assert_eq!(ours.destination(), header.destination_addr());
            assert_eq!(ours.hop_limit(), header.hop_limit());
            assert_eq!(ours.total_len(), 40 + usize::from(header.payload_length()));
            assert_eq!(ours.has_options(), !slice.extensions().is_empty());
        }
        other => panic!("not IP: {other:?}"),
    }
}

fn contents(ours: &Packet<'_>, theirs: &SlicedPacket<'_>) {
    let payload = theirs.ip_payload().expect("an IP packet");
    assert_eq!(u8::from(ours.protocol()), payload.ip_number.0);
    assert_eq!(ours.fragment().is_some(), payload.fragmented);
    let key = ours.key();
    let ports = (key.source().port(), key.destination().port());
    if let Some(fragment) = ours.fragment() {
        let (id, offset, more) = fragment_facts(theirs);
        assert_eq!((fragment.id, fragment.more), (id, more));
        assert_eq!(fragment.offset, offset.byte_offset());
        assert!(ours.tcp().is_none() && theirs.transport.is_none());
        assert_eq!((ours.payload(), ports), (payload.payload, (0, 0)));
        return;
    }
    match &theirs.transport {
        Some(TransportSlice::Tcp(theirs)) => {
            let header = ours.tcp().expect("a TCP segment");
            assert_eq!(ports, (theirs.source_port(), theirs.destination_port()));
            assert_eq!(header.seq, theirs.sequence_number());
            assert_eq!(header.ack, theirs.acknowledgment_number());
            assert_eq!(header.window, theirs.window_size());
            let flags = header.flags;
            assert_eq!(flags.fin(), theirs.fin());
            assert_eq!(flags.syn(), theirs.syn());
            assert_eq!(flags.rst(), theirs.rst());
            assert_eq!(flags.psh(), theirs.psh());
            assert_eq!(flags.ack(), theirs.ack());
            assert_eq!(flags.urg(), theirs.urg());
            assert_eq!(ours.transport(), theirs.slice());
            assert_eq!(ours.payload(), theirs.payload());
        }
        Some(TransportSlice::Udp(theirs)) => {
            assert_eq!(ours.protocol(), Protocol::Udp);
            assert_eq!(ports, (theirs.source_port(), theirs.destination_port()));
            assert_eq!(ours.transport(), theirs.slice());
            assert_eq!(ours.payload(), theirs.payload());
        }
        Some(TransportSlice::Icmpv4(theirs)) if !key.is_ipv6() => {
            assert_eq!((ours.transport(), ports), (theirs.slice(), (0, 0)));
            // To etherparse the 12 bytes more of a timestamp are header.
            let is_timestamp = theirs.header_len() == 20;
            assert!(is_timestamp || ours.payload() == theirs.payload());
        }
        Some(TransportSlice::Icmpv6(theirs)) if key.is_ipv6() => {
            assert_eq!((ours.transport(), ports), (theirs.slice(), (0, 0)));
            assert_eq!(ours.payload(), theirs.payload());
        }
        // Protocols that brooklet does not read.
        _ => {
            assert_eq!((ours.transport(), ports), (payload.payload, (0, 0)));
            assert_eq!(ours.payload(), payload.payload);
        }
    }
}

/// Identification, offset and whether more follow, of the header that makes a fragment.
fn fragment_facts(theirs: &SlicedPacket<'_>) -> (u32, IpFragOffset, bool) {
    match theirs.net.as_ref().expect("an IP packet") {
        InternetSlice::Ipv4(slice) => {
            let header = slice.header();
            let id = header.identification().into();
            (id, header.fragments_offset(), header.more_fragments())
        }
        InternetSlice::Ipv6(slice) => slice
            .extensions()
            .clone()
            .into_iter()
            .find_map(|header| match header {
                Ipv6ExtensionSlice::Fragment(header) if header.is_fragmenting_payload() => Some((
                    header.identification(),
                    header.fragment_offset(),
                    header.more_fragments(),
                )),
                _ => None,
            })
            .expect("etherparse found a fragment too"),
        other => panic!("not IP: {other:?}"),
    }
}
