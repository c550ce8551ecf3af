//! The options of the hop-by-hop and the destination options header (RFC 8200, 4.2).

use super::Fault;
use crate::ParseError;
use crate::icmp::ParameterProblemKind;

const PAD1: u8 = 0;
const PADN: u8 = 1;
const JUMBO: u8 = 0xc2;

/// The most options of one header, padding aside (RFC 8504, 5.3; `max_dst_opts_number` and
/// `max_hbh_opts_number` of Linux).
const MAX_OPTIONS: usize = 8;

/// The most bytes of padding in a row: padding aligns to multiples of 8 (RFC 8504, 5.3).
const MAX_PADDING: usize = 7;

/// Checks the options of the header between `start` and `end` in `packet`.
///
/// No option is known here except padding, and a hop-by-hop jumbo payload option, which is an error.
/// The highest two bits of the type of an option say what
/// becomes of a packet with an unknown option (RFC 8200, 4.2).
pub(super) fn check(
    packet: &[u8],
    is_hop_by_hop: bool,
    start: usize,
    end: usize,
) -> Result<(), Fault> {
    let (mut options, mut padding) = (0, 0);
    let mut at = start + 2;
    while at < end {
        let kind = packet[at];
        if kind == PAD1 {
            at += 1;
            padding += 1;
        } else {
            let next = match packet[..end].get(at + 1) {
                Some(&length) if at + 2 + usize::from(length) <= end => {
                    at + 2 + usize::from(length)
                }
                _ => return Err(Fault::BROKEN),
            };
            if kind == PADN {
                padding += next - at;
                // RFC 4942, 2.1.9.5: other bytes are a covert channel.
                if packet[at + 2..next].iter().any(|&byte| byte != 0) {
                    return Err(Fault::BROKEN);
                }
            } else {
                padding = 0;
                options += 1;
                if options > MAX_OPTIONS {
                    return Err(Fault::BROKEN);
                }
                // RFC 2675, 3: no packet with a payload length may have this option.
                if kind == JUMBO && is_hop_by_hop {
                    let kind = ParameterProblemKind::HeaderField;
                    return Err(Fault::problem(ParseError::UnknownOption, kind, at));
                }
                check_type(packet, at)?;
            }
            at = next;
        }
        if padding > MAX_PADDING {
            return Err(Fault::BROKEN);
        }
    }
    Ok(())
}

/// Checks the type of an unknown option at `at`.
fn check_type(packet: &[u8], at: usize) -> Result<(), Fault> {
    const SKIP: u8 = 0b00;
    const DISCARD: u8 = 0b01;
    let error = ParseError::UnknownOption;
    match packet[at] >> 6 {
        SKIP => Ok(()),
        DISCARD => Err(Fault {
            error,
            problem: None,
        }),
        // The writer of the error tells 10 and 11 apart: they differ for multicast destinations.
        _ => Err(Fault::problem(error, ParameterProblemKind::Option, at)),
    }
}
