//! The ICMP errors by their numbers.

use brooklet::{IcmpErrorKind, ParameterProblem, ParameterProblemKind, Unreachable};

/// Returns what an ICMP error with these fields says (RFC 792, RFC 1812 section 5.2.7). `info` is
/// the MTU or the pointer.
pub(super) fn kind_v4(icmp_type: u8, code: u8, info: u32) -> Option<IcmpErrorKind> {
    let why = match (icmp_type, code) {
        (3, 2) => Unreachable::Protocol,
        (3, 3) => Unreachable::Port,
        (3, 4) => Unreachable::PacketTooBig { mtu: info },
        (3, 0 | 6 | 11) => Unreachable::Network,
        (3, 9 | 10 | 13) => Unreachable::Prohibited,
        (3, _) => Unreachable::Host,
        (11, 0) => return Some(IcmpErrorKind::HopLimitExceeded),
        (11, 1) => return Some(IcmpErrorKind::ReassemblyTimeExceeded),
        (12, _) => return Some(problem(info, ParameterProblemKind::HeaderField)),
        _ => return None,
    };
    Some(why.into())
}

/// The same for ICMPv6 (RFC 4443, section 3).
pub(super) fn kind_v6(icmp_type: u8, code: u8, info: u32) -> Option<IcmpErrorKind> {
    let why = match (icmp_type, code) {
        (1, 0) => Unreachable::Network,
        (1, 1 | 5 | 6) => Unreachable::Prohibited,
        (1, 4) => Unreachable::Port,
        (1, _) => Unreachable::Host,
        (2, _) => Unreachable::PacketTooBig { mtu: info },
        (3, 0) => return Some(IcmpErrorKind::HopLimitExceeded),
        (3, 1) => return Some(IcmpErrorKind::ReassemblyTimeExceeded),
        (4, 1) => return Some(problem(info, ParameterProblemKind::NextHeader)),
        (4, 2) => return Some(problem(info, ParameterProblemKind::Option)),
        (4, _) => return Some(problem(info, ParameterProblemKind::HeaderField)),
        _ => return None,
    };
    Some(why.into())
}

fn problem(pointer: u32, kind: ParameterProblemKind) -> IcmpErrorKind {
    ParameterProblem { pointer, kind }.into()
}
