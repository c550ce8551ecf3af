//! What a SYN says.

use brooklet_packet::{Headers, TcpHeader};
use smoltcp::wire::{TcpOption, TcpPacket};

/// The facts of a SYN, or of the SYN-ACK that answers ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Syn {
    pub(crate) isn: u32,
    /// As offered; 0 counts as not offered (RFC 9293, 3.7.1 asks for a positive one).
    pub(crate) mss: Option<u16>,
    pub(crate) window: u16,
    /// At most 14 (RFC 7323, 2.3).
    pub(crate) scale: Option<u8>,
    pub(crate) sack: bool,
    /// TSval (RFC 7323, 3.2).
    pub(crate) timestamp: Option<u32>,
    pub(crate) ttl: u8,
}

/// What a host may be sent that did not say its MSS (RFC 9293, 3.7.1).
const DEFAULT_MSS_V4: u16 = 536;
const DEFAULT_MSS_V6: u16 = 1220;

/// A smaller MSS is not heeded, as by Linux and smoltcp: a megabyte would be a million packets.
const LEAST_MSS: u16 = 48;

impl Syn {
    /// Reads the SYN in `packet`, whose headers are `headers` and `tcp`. Options behind one that
    /// makes no sense are not there.
    pub(crate) fn parse(packet: &[u8], headers: &Headers, tcp: TcpHeader) -> Self {
        let mut syn = Self {
            isn: tcp.seq,
            mss: None,
            window: tcp.window,
            scale: None,
            sack: false,
            timestamp: None,
            ttl: headers.hop_limit(),
        };
        let segment = TcpPacket::new_unchecked(&packet[headers.transport_range()]);
        let mut options = segment.options();
        while !options.is_empty() {
            let Ok((rest, option)) = TcpOption::parse(options) else {
                break;
            };
            match option {
                TcpOption::EndOfList => break,
                TcpOption::MaxSegmentSize(mss) => syn.mss = Some(mss).filter(|&mss| mss > 0),
                TcpOption::WindowScale(shift) => syn.scale = Some(shift.min(14)),
                TcpOption::SackPermitted => syn.sack = true,
                TcpOption::TimeStamp { tsval, .. } => syn.timestamp = Some(tsval),
                _ => {}
            }
            options = rest;
        }
        syn
    }

    /// The most that its sender takes in one segment.
    pub(crate) fn effective_mss(&self, ipv6: bool) -> u16 {
        let default = if ipv6 { DEFAULT_MSS_V6 } else { DEFAULT_MSS_V4 };
        self.mss.unwrap_or(default).max(LEAST_MSS)
    }
}
