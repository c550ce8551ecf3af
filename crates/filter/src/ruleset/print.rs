//! A rule as text.

use super::names::{self, DSCPS, TCP_FLAGS};
use super::rule::{FlagsMatch, IGMP, Rule};
use super::set::Set;
use crate::IpNet;
use brooklet_packet::{Protocol, TcpFlags};
use std::fmt;

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(direction) = self.direction {
            write!(f, "{direction} ")?;
        }
        if let Some(packet_type) = self.packet_type {
            write!(f, "pkttype {packet_type} ")?;
        }
        condition(f, "saddr", &self.source, network)?;
        condition(f, "daddr", &self.destination, network)?;
        condition(f, "dscp", &self.dscp, |dscp, f| {
            names::write(DSCPS, *dscp, f)
        })?;
        match self.protocol {
            None => {}
            Some(Protocol::Tcp) => f.write_str("tcp ")?,
            Some(Protocol::Udp) => f.write_str("udp ")?,
            Some(Protocol::Icmpv4) => f.write_str("icmp ")?,
            Some(Protocol::Icmpv6) => f.write_str("icmpv6 ")?,
            Some(IGMP) => f.write_str("igmp ")?,
            Some(other) => write!(f, "protocol {} ", u8::from(other))?,
        }
        let types = names::icmp_types(self.protocol);
        condition(f, "sport", &self.source_port, |ports, f| {
            write!(f, "{ports}")
        })?;
        condition(f, "dport", &self.destination_port, |ports, f| {
            write!(f, "{ports}")
        })?;
        condition(f, "type", &self.icmp_type, |kind, f| {
            names::write(types, *kind, f)
        })?;
        if let Some(FlagsMatch { value, mask }) = self.tcp_flags {
            f.write_str("flags ")?;
            flags(f, value)?;
            f.write_str(" / ")?;
            flags(f, mask)?;
            f.write_str(" ")?;
        }
        write!(f, "{}", self.verdict)
    }
}

fn condition<T>(
    f: &mut fmt::Formatter<'_>,
    word: &str,
    set: &Option<Set<T>>,
    write: impl Fn(&T, &mut fmt::Formatter<'_>) -> fmt::Result,
) -> fmt::Result {
    let Some(set) = set else {
        return Ok(());
    };
    write!(f, "{word} ")?;
    set.print(f, write)?;
    f.write_str(" ")
}

/// The network of one address is written as that address.
fn network(network: &IpNet, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if network.prefix_len() == network.max_prefix_len() {
        write!(f, "{}", network.addr())
    } else {
        write!(f, "{network}")
    }
}

fn flags(f: &mut fmt::Formatter<'_>, flags: TcpFlags) -> fmt::Result {
    let mut separator = "";
    for (name, bit) in TCP_FLAGS {
        if flags.bits() & bit != 0 {
            write!(f, "{separator}{name}")?;
            separator = ",";
        }
    }
    f.write_str(if separator.is_empty() { "0x0" } else { "" })
}
