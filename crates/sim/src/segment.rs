//! A TCP segment with every field in the hands of a test.

use brooklet_packet::{FlowKey, Packet, TcpFlags, TcpHeader, tcp};
use std::io;
use std::net::SocketAddr;

/// A TCP header without options, in bytes.
const HEADER: usize = 20;

/// The hop limit of the packets (RFC 1700, "IP TIME TO LIVE").
const HOP_LIMIT: u8 = 64;

/// A TCP segment, field by field (RFC 9293, 3.1). Every combination of values can be sent; only the
/// lengths and checksums are always correct.
///
/// ```
/// use brooklet_sim::{Segment, TcpFlags};
///
/// let segment = Segment {
///     seq: 1000,
///     ack: 0,
///     flags: TcpFlags::SYN | TcpFlags::FIN,
///     window: 0,
///     options: vec![],
///     data: vec![],
/// };
/// assert!(format!("{segment:?}").starts_with("FIN|SYN seq 1000"));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Segment {
    /// The sequence number of the first byte, or of the SYN.
    pub seq: u32,
    /// The acknowledgment number: the next sequence number that the sender expects. Sent with and
    /// without ACK.
    pub ack: u32,
    /// The control bits.
    pub flags: TcpFlags,
    /// The window field of the header, not scaled.
    pub window: u16,
    /// The bytes of the options, with their padding: a multiple of 4 bytes, up to 40.
    pub options: Vec<u8>,
    /// The data.
    pub data: Vec<u8>,
}

impl Segment {
    /// Returns the value of the first option of this kind (RFC 9293, 3.2), without the kind and the
    /// length.
    ///
    /// ```
    /// use brooklet_sim::{Segment, TcpFlags};
    ///
    /// let options = vec![1, 1, 2, 4, 0x05, 0xb4, 0, 0];
    /// # let (flags, seq, ack, window, data) = (TcpFlags::SYN, 0, 0, 0, vec![]);
    /// let syn = Segment { options, seq, ack, flags, window, data };
    /// assert_eq!(syn.option(2), Some(&[0x05, 0xb4][..])); // an MSS of 1460
    /// assert_eq!(syn.option(3), None);
    /// ```
    pub fn option(&self, kind: u8) -> Option<&[u8]> {
        let mut rest = &self.options[..];
        loop {
            rest = match *rest {
                [] | [0, ..] => return None,
                [1, ..] => &rest[1..],
                [found, length, ..] => {
                    let value = rest.get(2..usize::from(length))?;
                    if found == kind {
                        return Some(value);
                    }
                    rest.get(usize::from(length)..)?
                }
                [_] => return None,
            }
        }
    }

    /// Returns the packet with this segment.
    ///
    /// # Panics
    ///
    /// If the addresses are of different families, the options are not a multiple of 4 bytes up to
    /// 40, or the packet would be longer than 65,535 bytes.
    pub(crate) fn packet(&self, from: SocketAddr, to: SocketAddr) -> Vec<u8> {
        let Some(key) = FlowKey::new(from, to) else {
            panic!("{from} and {to} are of different families");
        };
        let header = TcpHeader {
            seq: self.seq,
            ack: self.ack,
            window: self.window,
            flags: self.flags,
        };
        let mut packet = Vec::new();
        tcp::write(
            &mut packet,
            key,
            header,
            &self.options,
            HOP_LIMIT,
            &self.data,
        )
        .unwrap_or_else(|error| panic!("{error}: {self:?}"));
        packet
    }

    /// Returns the segment of a packet from `from` to `to`, or `None` for another packet.
    ///
    /// # Errors
    ///
    /// If the packet is malformed or has a wrong checksum.
    pub(crate) fn parse(
        bytes: &[u8],
        from: SocketAddr,
        to: SocketAddr,
    ) -> io::Result<Option<Self>> {
        let invalid = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        let packet = Packet::parse(bytes).map_err(|error| invalid(error.to_string()))?;
        let key = packet.key();
        let (Some(tcp), true) = (
            packet.tcp(),
            (key.source(), key.destination()) == (from, to),
        ) else {
            return Ok(None);
        };
        if !packet.verify_checksum() {
            return Err(invalid("a segment with a wrong checksum".to_owned()));
        }
        let header = packet.transport().len() - packet.payload().len();
        Ok(Some(Self {
            seq: tcp.seq,
            ack: tcp.ack,
            flags: tcp.flags,
            window: tcp.window,
            options: packet.transport()[HEADER..header].to_vec(),
            data: packet.payload().to_vec(),
        }))
    }
}

impl std::fmt::Debug for Segment {
    // Without the data, which would fill the screen.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            seq,
            ack,
            flags,
            window,
            options,
            data,
        } = self;
        write!(
            f,
            "{flags:?} seq {seq} ack {ack} window {window} options {options:02x?}, {} bytes",
            data.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_has_the_fields_of_its_segment() {
        for (from, to) in [
            ("10.0.0.2:40000", "192.0.2.1:80"),
            ("[fd00::2]:40000", "[2001:db8::1]:80"),
        ] {
            let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
            let segment = Segment {
                seq: u32::MAX,
                ack: 7,
                flags: TcpFlags::from_bits(0x3f),
                window: 1,
                options: vec![1, 1, 1, 0],
                data: b"data".to_vec(),
            };
            let mut packet = segment.packet(from, to);
            let parsed = Segment::parse(&packet, from, to).unwrap();
            assert_eq!(parsed, Some(segment));
            assert_eq!(Segment::parse(&packet, to, from).unwrap(), None);
            let last = packet.len() - 1;
            packet[last] ^= 1;
            assert!(Segment::parse(&packet, from, to).is_err());
        }
    }

    #[test]
    fn an_option_with_a_wrong_length_is_ignored() {
        let mut segment = Segment {
            seq: 0,
            ack: 0,
            flags: TcpFlags::default(),
            window: 0,
            options: Vec::new(),
            data: Vec::new(),
        };
        for options in [
            &[2, 5, 1, 1][..],
            &[2],
            &[2, 0, 0, 0],
            &[2, 1],
            &[0, 2, 4, 1, 1],
        ] {
            segment.options = options.to_vec();
            assert_eq!(segment.option(2), None, "{options:?}");
        }
    }
}
