//! The fields of a TCP header that a stack asks for first, and the reset that refuses a segment
//! (RFC 9293).

use crate::write::{self, HOP_LIMIT};
use crate::{FlowKey, Packet, checksum, is_unicast, protocol};
use std::fmt;

/// What [`Headers::tcp`](crate::Headers::tcp) knows of a segment.
///
/// ```
/// use brooklet_packet::{TcpFlags, TcpHeader};
///
/// let header = TcpHeader { seq: 7, ack: 0, window: 1024, flags: TcpFlags::from_bits(0x02) };
/// assert!(header.flags.syn());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TcpHeader {
    /// The sequence number of the first byte, or of the SYN.
    pub seq: u32,
    /// The sequence number that the sender expects next; means something only with ACK.
    pub ack: u32,
    /// The window as it stands in the header, not yet scaled.
    pub window: u16,
    /// The control bits.
    pub flags: TcpFlags,
}

/// The control bits of a TCP header.
///
/// ```
/// use brooklet_packet::TcpFlags;
///
/// let flags = TcpFlags::from_bits(0x12);
/// assert!(flags.syn() && flags.ack() && !flags.fin());
/// assert_eq!(format!("{flags:?}"), "SYN|ACK");
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct TcpFlags(u8);

impl TcpFlags {
    pub(crate) const FIN: u8 = 0x01;
    const SYN: u8 = 0x02;
    const RST: u8 = 0x04;
    pub(crate) const PSH: u8 = 0x08;
    const ACK: u8 = 0x10;
    const URG: u8 = 0x20;
    pub(crate) const CWR: u8 = 0x80;

    /// The flags of the byte that carries them, FIN being the lowest bit (RFC 9293, 3.1).
    ///
    /// ```
    /// # use brooklet_packet::TcpFlags;
    /// assert!(TcpFlags::from_bits(0x04).rst());
    /// ```
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// The byte that carries the flags; the two high bits are those of ECN (RFC 3168).
    ///
    /// ```
    /// # use brooklet_packet::TcpFlags;
    /// assert_eq!(TcpFlags::from_bits(0x11).bits(), 0x11);
    /// ```
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The sender has no more data.
    ///
    /// ```
    /// # use brooklet_packet::TcpFlags;
    /// assert!(TcpFlags::from_bits(0x01).fin());
    /// ```
    pub const fn fin(self) -> bool {
        self.0 & Self::FIN != 0
    }

    /// The sender opens a connection.
    ///
    /// ```
    /// # use brooklet_packet::TcpFlags;
    /// assert!(TcpFlags::from_bits(0x02).syn());
    /// ```
    pub const fn syn(self) -> bool {
        self.0 & Self::SYN != 0
    }

    /// The sender knows of no such connection, or has given it up.
    ///
    /// ```
    /// # use brooklet_packet::TcpFlags;
    /// assert!(TcpFlags::from_bits(0x04).rst());
    /// ```
    pub const fn rst(self) -> bool {
        self.0 & Self::RST != 0
    }

    /// The data is to be handed on.
    ///
    /// ```
    /// # use brooklet_packet::TcpFlags;
    /// assert!(TcpFlags::from_bits(0x08).psh());
    /// ```
    pub const fn psh(self) -> bool {
        self.0 & Self::PSH != 0
    }

    /// The acknowledgment number means something.
    ///
    /// ```
    /// # use brooklet_packet::TcpFlags;
    /// assert!(TcpFlags::from_bits(0x10).ack());
    /// ```
    pub const fn ack(self) -> bool {
        self.0 & Self::ACK != 0
    }

    /// The urgent pointer means something.
    ///
    /// ```
    /// # use brooklet_packet::TcpFlags;
    /// assert!(TcpFlags::from_bits(0x20).urg());
    /// ```
    pub const fn urg(self) -> bool {
        self.0 & Self::URG != 0
    }
}

impl fmt::Debug for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
        let mut set = (0..8)
            .filter(|bit| self.0 & 1 << bit != 0)
            .map(|bit| NAMES[bit]);
        f.write_str(set.next().unwrap_or("none"))?;
        set.try_for_each(|name| write!(f, "|{name}"))
    }
}

/// Writes the checksum of `segment`, a TCP segment from the source of `key` to its destination,
/// into the segment, whatever stands in its place (RFC 9293, 3.1).
///
/// # Panics
///
/// If `segment` is shorter than a TCP header.
///
/// ```
/// use brooklet_packet::{FlowKey, tcp};
///
/// let key = FlowKey::new("10.0.0.1:4000".parse()?, "10.0.0.2:80".parse()?).expect("one family");
/// // A SYN with sequence number 99.
/// let mut segment = [0x0f, 0xa0, 0, 80, 0, 0, 0, 99, 0, 0, 0, 0, 0x50, 2, 4, 0, 1, 2, 0, 0];
/// tcp::fill_checksum(key, &mut segment);
/// assert_eq!(segment[16..18], [0x87, 0x8d]);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub fn fill_checksum(key: FlowKey, segment: &mut [u8]) {
    segment[CHECKSUM..CHECKSUM + 2].fill(0);
    let sum = checksum::of_segment(key.addresses(), protocol::TCP, segment);
    segment[CHECKSUM..CHECKSUM + 2].copy_from_slice(&sum.to_be_bytes());
}

/// Where the checksum stands in a TCP header (RFC 9293, 3.1).
const CHECKSUM: usize = 16;

/// Writes the reset with which a host without such a connection refuses a segment, in the place
/// of what was in `out` (RFC 9293, 3.10.7.1).
///
/// A segment with ACK is answered with a reset of the sequence number that it acknowledges; one
/// without is acknowledged whole by a reset of sequence number 0.
///
/// Answers `false`, with `out` empty, where there is nothing to answer: to a reset, a fragment, a
/// packet that is not TCP, or one between addresses that are not those of single hosts
/// (RFC 9293, 3.9.2.3). Whether the checksum is right is for the caller to know: it need not
/// be there with a device that leaves it out.
///
/// ```
/// use brooklet_packet::{Packet, tcp};
///
/// // A SYN from 10.0.0.1:4000 to 10.0.0.2:80 with sequence number 99, checksums included.
/// let syn = [
///     0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0x26, 0xce, 10, 0, 0, 1, 10, 0, 0, 2, // IPv4
///     0x0f, 0xa0, 0, 80, 0, 0, 0, 99, 0, 0, 0, 0, 0x50, 0x02, 4, 0, 0x87, 0x8d, 0, 0, // TCP
/// ];
/// let mut out = Vec::new();
/// assert!(tcp::reset(&mut out, &Packet::parse(&syn)?));
///
/// let reset = Packet::parse(&out)?;
/// let header = reset.tcp().expect("a TCP segment");
/// assert_eq!(format!("{:?}", header.flags), "RST|ACK");
/// assert_eq!((header.seq, header.ack), (0, 100));
/// assert_eq!(reset.destination(), "10.0.0.1".parse::<std::net::IpAddr>()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn reset(out: &mut Vec<u8>, offending: &Packet<'_>) -> bool {
    out.clear();
    let Some(TcpHeader {
        seq, ack, flags, ..
    }) = offending.tcp()
    else {
        return false;
    };
    let (peer, here) = (offending.source(), offending.destination());
    if flags.rst() || !is_unicast(peer) || !is_unicast(here) {
        return false;
    }
    let (seq, ack, flags) = if flags.ack() {
        (ack, 0, TcpFlags::RST)
    } else {
        // SYN and FIN take a sequence number each. A payload fits a u32 many times over.
        let length = offending.payload_range().len() as u32
            + u32::from(flags.syn())
            + u32::from(flags.fin());
        (0, seq.wrapping_add(length), TcpFlags::RST | TcpFlags::ACK)
    };
    let mut header = [0; 20];
    let key = offending.key();
    header[0..2].copy_from_slice(&key.destination().port().to_be_bytes());
    header[2..4].copy_from_slice(&key.source().port().to_be_bytes());
    header[4..8].copy_from_slice(&seq.to_be_bytes());
    header[8..12].copy_from_slice(&ack.to_be_bytes());
    header[12] = 5 << 4; // five words, no options
    header[13] = flags;
    let Some(mut draft) = write::begin(out, (here, peer), protocol::TCP, HOP_LIMIT, header.len())
    else {
        return false;
    };
    draft.push(&header);
    let checksum = draft.segment_checksum();
    draft.set_checksum(CHECKSUM, checksum);
    true
}
