//! What a SYN says.

use crate::segment;
use brooklet_packet::{Headers, TcpHeader, TrafficClass};
use smoltcp::wire::{TcpOption, TcpPacket};

/// The facts of a SYN, or of the SYN-ACK that answers ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Syn {
    pub(crate) isn: u32,
    /// The MSS option; 0 counts as absent (RFC 9293, 3.7.1 asks for a positive one).
    pub(crate) mss: Option<u16>,
    pub(crate) window: u16,
    /// The window scale option, at most 14 (RFC 7323, 2.3).
    pub(crate) window_scale: Option<u8>,
    pub(crate) sack_permitted: bool,
    /// TSval and TSecr (RFC 7323, 3.2).
    pub(crate) timestamp: Option<(u32, u32)>,
    pub(crate) hop_limit: u8,
    pub(crate) traffic_class: TrafficClass,
}

/// The MSS of a host that did not state one (RFC 9293, 3.7.1).
const DEFAULT_MSS_V4: u16 = 536;
const DEFAULT_MSS_V6: u16 = 1220;

/// The smallest MSS that is respected, as in Linux: with less a megabyte would be a million packets.
const MIN_MSS: u16 = 48;

impl Syn {
    /// Reads the SYN in `packet`, whose headers are `headers` and `tcp`.
    pub(crate) fn parse(packet: &[u8], headers: &Headers, tcp: TcpHeader) -> Self {
        let mut syn = Self {
            isn: tcp.seq,
            mss: None,
            window: tcp.window,
            window_scale: None,
            sack_permitted: false,
            timestamp: None,
            hop_limit: headers.hop_limit(),
            traffic_class: headers.traffic_class(),
        };
        let segment = TcpPacket::new_unchecked(&packet[headers.transport_range()]);
        segment::each_option(segment.options(), |option, _| match option {
            TcpOption::MaxSegmentSize(mss) => syn.mss = Some(mss).filter(|&mss| mss > 0),
            TcpOption::WindowScale(shift) => syn.window_scale = Some(shift.min(14)),
            TcpOption::SackPermitted => syn.sack_permitted = true,
            TcpOption::TimeStamp { tsval, tsecr } => syn.timestamp = Some((tsval, tsecr)),
            _ => {}
        });
        syn
    }

    /// The largest segment that its sender accepts, in bytes of data and options.
    pub(crate) fn effective_mss(&self, ipv6: bool) -> u16 {
        let default = if ipv6 { DEFAULT_MSS_V6 } else { DEFAULT_MSS_V4 };
        self.mss.unwrap_or(default).max(MIN_MSS)
    }
}
