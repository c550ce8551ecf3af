//! Packets made by hand, rule by rule.

mod build;
mod cut;
mod errors;
mod extension;
mod fragment;
mod icmp;
mod icmp_errors;
mod join;
mod parse;
mod properties;
mod reassembly;
mod small;
mod split;
mod strip;
mod tcp;
mod udp;
