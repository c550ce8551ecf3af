//! The words of nftables for numbers: types of ICMP messages, DSCPs and TCP flags.

use brooklet_packet::Protocol;
use std::fmt;

pub(super) type Names = &'static [(&'static str, u8)];

/// RFC 792, 950, 1256
const ICMPV4_TYPES: Names = &[
    ("echo-reply", 0),
    ("destination-unreachable", 3),
    ("source-quench", 4),
    ("redirect", 5),
    ("echo-request", 8),
    ("router-advertisement", 9),
    ("router-solicitation", 10),
    ("time-exceeded", 11),
    ("parameter-problem", 12),
    ("timestamp-request", 13),
    ("timestamp-reply", 14),
    ("info-request", 15),
    ("info-reply", 16),
    ("address-mask-request", 17),
    ("address-mask-reply", 18),
];

/// RFC 4443, 2710, 4861, 3810
const ICMPV6_TYPES: Names = &[
    ("destination-unreachable", 1),
    ("packet-too-big", 2),
    ("time-exceeded", 3),
    ("parameter-problem", 4),
    ("echo-request", 128),
    ("echo-reply", 129),
    ("mld-listener-query", 130),
    ("mld-listener-report", 131),
    ("mld-listener-done", 132),
    ("nd-router-solicit", 133),
    ("nd-router-advert", 134),
    ("nd-neighbor-solicit", 135),
    ("nd-neighbor-advert", 136),
    ("nd-redirect", 137),
    ("router-renumbering", 138),
    ("ind-neighbor-solicit", 141),
    ("ind-neighbor-advert", 142),
    ("mld2-listener-report", 143),
];

/// RFC 2474, 2597, 3246, 5865, 8622
pub(super) const DSCPS: Names = &[
    ("cs0", 0),
    ("lephb", 1),
    ("cs1", 8),
    ("af11", 10),
    ("af12", 12),
    ("af13", 14),
    ("cs2", 16),
    ("af21", 18),
    ("af22", 20),
    ("af23", 22),
    ("cs3", 24),
    ("af31", 26),
    ("af32", 28),
    ("af33", 30),
    ("cs4", 32),
    ("af41", 34),
    ("af42", 36),
    ("af43", 38),
    ("cs5", 40),
    ("va", 44),
    ("ef", 46),
    ("cs6", 48),
    ("cs7", 56),
];

/// RFC 9293, 3.1
pub(super) const TCP_FLAGS: Names = &[
    ("fin", 0x01),
    ("syn", 0x02),
    ("rst", 0x04),
    ("psh", 0x08),
    ("ack", 0x10),
    ("urg", 0x20),
    ("ecn", 0x40),
    ("cwr", 0x80),
];

/// The types of the messages of an ICMP protocol.
pub(super) fn icmp_types(protocol: Option<Protocol>) -> Names {
    match protocol {
        Some(Protocol::Icmpv6) => ICMPV6_TYPES,
        _ => ICMPV4_TYPES,
    }
}

/// Reads a name, or a number up to `max`.
pub(super) fn number(names: Names, max: u8, word: &str) -> Option<u8> {
    let named = names.iter().find(|(name, _)| *name == word);
    named
        .map(|(_, number)| *number)
        .or_else(|| decimal(word).filter(|number| *number <= max))
}

/// Reads digits. `str::parse` reads a plus sign too.
pub(crate) fn decimal<T: std::str::FromStr>(word: &str) -> Option<T> {
    let digits = word.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| word.parse().ok()).flatten()
}

/// Writes the name of a number, or the number if no name stands for it.
pub(super) fn write(names: Names, number: u8, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match names.iter().find(|(_, known)| *known == number) {
        Some((name, _)) => f.write_str(name),
        None => write!(f, "{number}"),
    }
}
