//! Checksums that a device left out, or is to complete.

use crate::protocol::{TCP, UDP};
use crate::{Headers, checksum};

impl Headers {
    /// Computes the TCP or UDP checksum and writes it into `bytes`, the parsed bytes (RFC 9293, 3.1;
    /// RFC 768). The previous contents of the field do not matter.
    ///
    /// Does nothing for a fragment and for other protocols.
    ///
    /// # Panics
    ///
    /// If `bytes` is shorter than the parsed packet.
    ///
    /// ```
    /// # use brooklet_packet::{Headers, udp};
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?, 64, b"hello")?;
    /// let headers = Headers::parse(&bytes)?;
    /// bytes[32] ^= 1;
    /// assert!(!headers.verify_checksum(&bytes));
    /// headers.fill_checksum(&mut bytes);
    /// assert!(headers.verify_checksum(&bytes));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fill_checksum(&self, bytes: &mut [u8]) {
        if self.checksum_offset().is_some() {
            self.fill_segment(&mut bytes[self.transport_range()]);
        }
    }

    /// Writes the folded sum of the pseudo-header, not inverted, into the field of the TCP or UDP
    /// checksum. A device with checksum offload adds the rest (`VIRTIO_NET_HDR_F_NEEDS_CSUM` of virtio
    /// 1.2, 5.1.6.2).
    ///
    /// Does nothing for a fragment and for other protocols.
    ///
    /// # Panics
    ///
    /// If `bytes` is shorter than the parsed packet.
    ///
    /// ```
    /// # use brooklet_packet::{Headers, udp};
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?, 64, b"hello")?;
    /// let headers = Headers::parse(&bytes)?;
    /// headers.fill_partial_checksum(&mut bytes);
    /// // 10.0.0.1 and 10.0.0.2, protocol 17, 13 bytes
    /// assert_eq!(bytes[26..28], (0x0a00 + 0x0001 + 0x0a00 + 0x0002 + 17 + 13_u16).to_be_bytes());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fill_partial_checksum(&self, bytes: &mut [u8]) {
        let Some(at) = self.checksum_offset() else {
            return;
        };
        let segment = &mut bytes[self.transport_range()];
        let (ends, protocol) = (self.key().addresses(), self.protocol().into());
        let sum = checksum::pseudo_header(ends, protocol, segment.len());
        segment[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }

    /// Returns the offset of the TCP or UDP checksum in the
    /// [transport header](Self::transport_range), or `None` for a fragment and for other protocols.
    ///
    /// ```
    /// # use brooklet_packet::{Headers, udp};
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?, 64, b"hello")?;
    /// assert_eq!(Headers::parse(&bytes)?.checksum_offset(), Some(6));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn checksum_offset(&self) -> Option<usize> {
        match u8::from(self.protocol()) {
            _ if self.fragment().is_some() => None,
            TCP => Some(16),
            UDP => Some(6),
            _ => None,
        }
    }

    /// Writes the checksum of a TCP segment or UDP datagram between the addresses of these headers.
    /// `segment` need not be the one that was parsed.
    pub(crate) fn fill_segment(&self, segment: &mut [u8]) {
        let Some(at) = self.checksum_offset() else {
            return;
        };
        let protocol = self.protocol().into();
        segment[at..at + 2].fill(0);
        let sum = match checksum::of_segment(self.key().addresses(), protocol, segment) {
            // RFC 768: a checksum of zero is sent as all ones, because zero means no checksum.
            0 if protocol == UDP => !0,
            sum => sum,
        };
        segment[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
}
