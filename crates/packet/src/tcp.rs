//! Writers of TCP segments (RFC 9293).

use crate::{
    FlowKey, IpFields, Packet, TcpFlags, TcpHeader, WriteError, checksum, is_unicast, protocol,
    write,
};

/// A TCP header without options, in bytes.
const HEADER: usize = 20;

/// The longest options that the data offset can cover, in bytes (RFC 9293, 3.1).
const MAX_OPTIONS: usize = 40;

/// Where the checksum stands in a TCP header (RFC 9293, 3.1).
const CHECKSUM: usize = 16;

/// Writes a TCP segment as one IP packet into `out` and replaces the previous contents.
///
/// The packet goes from the source of `key` to its destination. It has correct lengths and
/// checksums; every other field is written as given, whether or not the segment makes sense.
/// `options` are the bytes behind the header, with their padding. The urgent pointer is 0.
///
/// # Errors
///
/// [`WriteError::Options`] if the options are not a multiple of 4 bytes or longer than 40 bytes,
/// [`WriteError::TooLong`] if the segment does not fit an IP packet. `out` is empty then.
///
/// ```
/// use brooklet_packet::{FlowKey, Packet, TcpFlags, TcpHeader, tcp};
///
/// let key = FlowKey::new("10.0.0.1:4000".parse()?, "10.0.0.2:80".parse()?).expect("one family");
/// let header = TcpHeader { seq: 99, ack: 0, window: 64_240, flags: TcpFlags::SYN };
/// let mss = [2, 4, 0x05, 0xb4];
///
/// let mut out = Vec::new();
/// tcp::write(&mut out, key, header, &mss, 64, b"")?;
///
/// let packet = Packet::parse(&out)?;
/// assert_eq!(packet.key(), key);
/// assert_eq!(packet.tcp(), Some(header));
/// assert!(packet.verify_checksum());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write(
    out: &mut Vec<u8>,
    key: FlowKey,
    header: TcpHeader,
    options: &[u8],
    hop_limit: u8,
    payload: &[u8],
) -> Result<(), WriteError> {
    out.clear();
    if !options.len().is_multiple_of(4) || options.len() > MAX_OPTIONS {
        return Err(WriteError::Options);
    }
    let header_len = HEADER + options.len();
    let length = header_len.saturating_add(payload.len());
    let fields = IpFields::new().hop_limit(hop_limit);
    let Some(mut draft) = write::begin(out, key.addresses(), protocol::TCP, fields, length) else {
        return Err(WriteError::TooLong);
    };
    let mut bytes = [0; HEADER];
    let (source, destination) = key.ports();
    bytes[0..2].copy_from_slice(&source.to_be_bytes());
    bytes[2..4].copy_from_slice(&destination.to_be_bytes());
    bytes[4..8].copy_from_slice(&header.seq.to_be_bytes());
    bytes[8..12].copy_from_slice(&header.ack.to_be_bytes());
    // The data offset counts words of 4 bytes and is at most 15.
    bytes[12] = (header_len as u8 / 4) << 4;
    bytes[13] = header.flags.bits();
    bytes[14..16].copy_from_slice(&header.window.to_be_bytes());
    draft.push(&bytes);
    draft.push(options);
    draft.push(payload);
    let checksum = draft.segment_checksum();
    draft.set_checksum(CHECKSUM, checksum);
    Ok(())
}

/// Writes the RST with which a host without such a connection answers a segment into `out` and
/// replaces the previous contents (RFC 9293, 3.10.7.1).
///
/// A segment with ACK is answered with a RST at the sequence number that the segment acknowledges.
/// A segment without ACK is answered with a RST at sequence number 0 that acknowledges the segment.
///
/// Returns `false` and leaves `out` empty where no answer is due: to a RST, to a fragment, to a
/// packet that is not TCP, and to a packet whose source or destination is not the address of one
/// host (RFC 9293, 3.9.2.3). The caller verifies the checksum; a device with checksum offload
/// hands over segments without one.
///
/// ```
/// use brooklet_packet::{FlowKey, Packet, TcpFlags, TcpHeader, tcp};
///
/// let key = FlowKey::new("10.0.0.1:4000".parse()?, "10.0.0.2:80".parse()?).expect("one family");
/// let header = TcpHeader { seq: 99, ack: 0, window: 1024, flags: TcpFlags::SYN };
/// let mut syn = Vec::new();
/// tcp::write(&mut syn, key, header, &[], 64, b"")?;
///
/// let mut out = Vec::new();
/// assert!(tcp::reset(&mut out, &Packet::parse(&syn)?));
///
/// let reset = Packet::parse(&out)?;
/// assert_eq!(reset.key(), key.reversed());
/// let header = reset.tcp().expect("a TCP segment");
/// assert_eq!(header.flags, TcpFlags::RST | TcpFlags::ACK);
/// assert_eq!((header.seq, header.ack), (0, 100));
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
    let key = offending.key().reversed();
    let (here, peer) = key.addresses();
    if flags.rst() || !is_unicast(peer) || !is_unicast(here) {
        return false;
    }
    let (seq, ack, flags) = if flags.ack() {
        (ack, 0, TcpFlags::RST)
    } else {
        // SYN and FIN take a sequence number each. A payload is shorter than 2^17 bytes.
        let length = offending.payload_range().len() as u32
            + u32::from(flags.syn())
            + u32::from(flags.fin());
        (0, seq.wrapping_add(length), TcpFlags::RST | TcpFlags::ACK)
    };
    let header = TcpHeader {
        seq,
        ack,
        window: 0,
        flags,
    };
    write(out, key, header, &[], IpFields::new().hop_limit, &[]).is_ok()
}

/// Computes the checksum of `segment`, a TCP segment from the source of `key` to its destination,
/// and writes the checksum into the segment (RFC 9293, 3.1). The previous contents of the field do
/// not matter.
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
