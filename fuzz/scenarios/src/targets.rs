//! The targets that need nothing but bytes.

use crate::{RULES, seeds};
use brooklet_packet::{Packet, ParseError};

/// A function for a fuzzer, and inputs for it to start from.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name of the target of cargo-fuzz.
    pub name: &'static str,
    /// Panics if the invariants do not hold for an input.
    pub run: fn(&[u8]),
    /// The folder in `fuzz/seeds` with inputs, which targets of the same inputs share.
    pub seeds: &'static str,
}

/// The targets whose input is one packet, one text, or one sequence of steps without an answer.
pub const TARGETS: &[Target] = &[
    Target {
        name: "parse",
        run: crate::parse,
        seeds: "packets",
    },
    Target {
        name: "differential",
        run: |data| _ = crate::differential(data),
        seeds: "packets",
    },
    Target {
        name: "fragments",
        run: |data| _ = crate::fragments(data),
        seeds: "fragments",
    },
    Target {
        name: "reassembly",
        run: |data| _ = crate::reassembly(data),
        seeds: "reassembly",
    },
    Target {
        name: "ruleset",
        run: |data| _ = crate::ruleset(data),
        seeds: "ruleset",
    },
    Target {
        name: "icmp",
        run: |data| _ = crate::icmp(data),
        seeds: "icmp",
    },
    Target {
        name: "udp",
        run: |data| _ = crate::udp(data),
        seeds: "udp",
    },
    Target {
        name: "vnet",
        run: |data| _ = crate::vnet(data),
        seeds: "vnet",
    },
    Target {
        name: "socks",
        run: |data| _ = crate::socks(data),
        seeds: "socks",
    },
    Target {
        name: "dns",
        run: |data| _ = crate::dns(data),
        seeds: "dns",
    },
];

/// The inputs of a folder of `fuzz/seeds`, with the names of their files.
///
/// # Panics
///
/// When there is no such folder.
pub fn corpus(folder: &str) -> Vec<(String, Vec<u8>)> {
    match folder {
        "packets" => packets(),
        "fragments" => named([
            (
                "two-of-one-packet",
                b"\x0c\x04\x02\x01\0\0\x08\0\0\0\0\0\x01\0\x08\0\0".to_vec(),
            ),
            (
                "an-overlap",
                b"\x0c\x04\x02\x01\0\0\x10\0\0\x01\0\x01\x08\xff\0\x01\0\x01\x08\0\0".to_vec(),
            ),
            (
                "time-passes",
                b"\x0c\x04\x02\x03\0\0\x08\0\xff\x03\0\x01\x08\0\xff\x02\0\x01\x08\0\xff".to_vec(),
            ),
        ]),
        "reassembly" => named([
            // Each fragment: no time, kind, unit, length, the right byte.
            ("v4-in-order", b"\0\0\0\x18\0\0\x08\x01\x10\0".to_vec()),
            ("v6-last-first", b"\0\x09\x01\x10\0\0\x01\0\x18\0".to_vec()),
            (
                "an-overlap",
                b"\0\0\0\x12\0\0\0\x01\x10\0\0\x08\x02\x10\0".to_vec(),
            ),
            (
                "a-duplicate",
                b"\0\x01\0\x10\0\0\x01\0\x10\0\0\x09\x02\x10\0".to_vec(),
            ),
            (
                "beyond-the-end",
                b"\0\x08\x01\x10\0\0\x00\x05\x10\0".to_vec(),
            ),
            ("expires", b"\0\0\0\x10\0\xff\xff\0\x01\x10\0".to_vec()),
            (
                "with-options",
                b"\0\x03\0\x10\0\0\x0b\x03\x10\0\0\x03\x01\x12\0".to_vec(),
            ),
        ]),
        "ruleset" => rules(),
        "icmp" => crate::icmp::corpus(),
        "udp" => crate::udp::corpus(),
        "vnet" => crate::vnet::corpus(),
        "socks" => crate::socks::corpus(),
        "dns" => crate::dns::corpus(),
        "tcp" | "pair" => (0..4)
            .map(|seed| (format!("seed-{seed}"), crate::bytes_of_seed(seed, 400)))
            .collect(),
        other => panic!("no folder {other}"),
    }
}

/// Gives inputs their names.
pub(crate) fn named<const N: usize>(inputs: [(&str, Vec<u8>); N]) -> Vec<(String, Vec<u8>)> {
    inputs
        .map(|(name, bytes)| (name.to_owned(), bytes))
        .to_vec()
}

fn packets() -> Vec<(String, Vec<u8>)> {
    let name = |(nth, bytes): (usize, Vec<u8>)| {
        let version = bytes[0] >> 4;
        let what = match Packet::parse(&bytes) {
            Ok(packet) if packet.fragment().is_some() => "fragment".to_owned(),
            Ok(packet) => packet
                .protocol()
                .to_string()
                .to_lowercase()
                .replace(' ', "-"),
            Err(ParseError::ExtensionHeader) => "long-chain".to_owned(),
            Err(error) => panic!("{error}"),
        };
        (format!("{nth:02}-v{version}-{what}"), bytes)
    };
    seeds().into_iter().enumerate().map(name).collect()
}

fn rules() -> Vec<(String, Vec<u8>)> {
    let names = ["lists", "sets-and-flags", "messages", "types-of-packets"];
    let packet = &seeds()[0];
    let with_packet = |(name, text): (&str, &str)| {
        let bytes = [text.as_bytes(), b"\0", packet].concat();
        (name.to_owned(), bytes)
    };
    names.into_iter().zip(RULES).map(with_packet).collect()
}
