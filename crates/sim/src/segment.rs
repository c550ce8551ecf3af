use brooklet_packet::{Packet, TcpFlags};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{IpAddress, IpProtocol, IpRepr, TcpPacket};
use std::io;
use std::net::SocketAddr;

/// A TCP header without options, in bytes.
const HEADER: usize = 20;

/// A TCP segment, field by field (RFC 9293, 3.1). Any mixture can be sent; lengths and checksums
/// are right always.
#[derive(Clone, PartialEq, Eq)]
pub struct Segment {
    /// The sequence number of the first byte, or of the SYN.
    pub seq: u32,
    /// The next sequence number that is expected. It is sent whether or not there is an ACK flag.
    pub ack: u32,
    /// The control bits.
    pub flags: TcpFlags,
    /// The window as it stands in the header, not scaled.
    pub window: u16,
    /// The options as they stand in the header, with their padding: a multiple of 4 bytes, up
    /// to 40.
    pub options: Vec<u8>,
    /// The data.
    pub data: Vec<u8>,
}

impl Segment {
    /// The value of the first option of this kind (RFC 9293, 3.2): without the kind and the
    /// length.
    ///
    /// ```
    /// use brooklet_sim::Segment;
    ///
    /// let options = vec![1, 1, 2, 4, 0x05, 0xb4, 0, 0];
    /// # let flags = brooklet_sim::TcpFlags::from_bits(2);
    /// # let (seq, ack, window, data) = (0, 0, 0, vec![]);
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

    /// The packet that carries it.
    pub(crate) fn packet(&self, from: SocketAddr, to: SocketAddr) -> Vec<u8> {
        let header = HEADER + self.options.len();
        assert!(
            header.is_multiple_of(4) && header <= 60,
            "{} bytes of options",
            self.options.len()
        );
        let (source, destination) = (from.ip().into(), to.ip().into());
        let length = header + self.data.len();
        let ip = IpRepr::new(source, destination, IpProtocol::Tcp, length, 64);
        assert!(ip.buffer_len() <= 65_535, "{length} bytes in a packet");
        let mut bytes = vec![0; ip.buffer_len()];
        ip.emit(&mut bytes[..], &ChecksumCapabilities::default());
        let tcp = &mut bytes[ip.header_len()..];
        tcp[0..2].copy_from_slice(&from.port().to_be_bytes());
        tcp[2..4].copy_from_slice(&to.port().to_be_bytes());
        tcp[4..8].copy_from_slice(&self.seq.to_be_bytes());
        tcp[8..12].copy_from_slice(&self.ack.to_be_bytes());
        tcp[12] = (header as u8 / 4) << 4;
        tcp[13] = self.flags.bits();
        tcp[14..16].copy_from_slice(&self.window.to_be_bytes());
        tcp[HEADER..header].copy_from_slice(&self.options);
        tcp[header..].copy_from_slice(&self.data);
        fill_checksum(tcp, source, destination);
        bytes
    }

    /// The segment of a packet from `from` to `to`; `None` for another packet.
    ///
    /// # Errors
    ///
    /// If it is malformed, or has a wrong checksum.
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

fn fill_checksum(tcp: &mut [u8], source: IpAddress, destination: IpAddress) {
    TcpPacket::new_unchecked(tcp).fill_checksum(&source, &destination);
}

impl std::fmt::Debug for Segment {
    // The data of a test would fill the screen.
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
    fn a_packet_says_what_the_segment_said() {
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
    fn options_that_lie_about_their_length_are_not_there() {
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
