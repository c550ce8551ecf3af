//! Packets made by hand, rule by rule.

mod build;
mod coalescer;
mod echo;
mod errors;
mod extension;
mod fragment;
mod fragmentation;
mod icmp;
mod icmp_errors;
mod options;
mod parse;
mod path_mtus;
mod properties;
mod reassembly;
mod segmenter;
#[cfg(feature = "serde")]
mod serde;
mod small;
mod strip;
mod tcp;
mod udp;
