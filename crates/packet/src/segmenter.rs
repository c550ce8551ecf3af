//! Segmentation of a super-packet in software.

use crate::ext::IPV6_HEADER;
use crate::{Headers, TcpFlags, checksum};
use std::num::NonZeroU16;
use std::ops::Range;

/// Splits a super-packet, one long TCP segment or a batch of UDP datagrams, into packets for the
/// wire, like the kernel does for a device without segmentation offload.
///
/// Each packet has the IP and transport headers of the super-packet, with options and extension
/// headers, and `size` bytes of its payload; the last packet may have fewer. These fields differ:
///
/// - lengths and all checksums; the TCP or UDP checksum of the super-packet does not matter;
/// - the IPv4 identification, which counts up;
/// - the TCP sequence number; FIN and PSH are on the last packet only, CWR on the first only
///   (RFC 3168, 6.1.2).
///
/// A packet that is a fragment, or neither TCP nor UDP, or has at most `size` bytes of payload, is
/// not split.
///
/// ```
/// use brooklet_packet::{Headers, Packet, Segmenter, udp};
///
/// let mut whole = Vec::new();
/// udp::write(&mut whole, "10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?, 64, b"onetwo+")?;
///
/// let headers = Headers::parse(&whole)?;
/// let mut segmenter = Segmenter::new(&headers, 3.try_into()?);
/// let mut out = vec![0; segmenter.longest()];
/// let mut payloads = Vec::new();
/// while let Some(len) = segmenter.next(&whole, &mut out) {
///     let packet = Packet::parse(&out[..len])?;
///     assert!(packet.verify_checksum());
///     payloads.push(packet.payload().to_vec());
/// }
/// assert_eq!(payloads, [&b"one"[..], b"two", b"+"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Segmenter {
    headers: Headers,
    /// The payload that is not written yet.
    rest: Range<usize>,
    size: usize,
    index: u16,
}

impl Segmenter {
    /// Returns a segmenter of the packet with these headers, into packets with `size` bytes of
    /// payload each.
    ///
    /// ```
    /// # use brooklet_packet::{Headers, Segmenter, udp};
    /// # let mut whole = Vec::new();
    /// # udp::write(&mut whole, "10.0.0.1:1".parse()?, "10.0.0.2:2".parse()?, 64, b"onetwo+")?;
    /// let gso_size = 3.try_into()?;
    /// let segmenter = Segmenter::new(&Headers::parse(&whole)?, gso_size);
    /// assert_eq!(segmenter.longest(), 20 + 8 + 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(headers: &Headers, size: NonZeroU16) -> Self {
        let rest = headers.payload_range();
        let size = match headers.checksum_offset() {
            Some(_) => rest.len().min(size.get().into()),
            None => rest.len(),
        };
        Self {
            headers: *headers,
            rest,
            size,
            index: 0,
        }
    }

    /// Returns the length in bytes of the longest packet that is written, which is the first.
    ///
    /// ```
    /// # use brooklet_packet::{Headers, Segmenter, udp};
    /// # let mut whole = Vec::new();
    /// # udp::write(&mut whole, "10.0.0.1:1".parse()?, "10.0.0.2:2".parse()?, 64, b"short")?;
    /// let segmenter = Segmenter::new(&Headers::parse(&whole)?, 1448.try_into()?);
    /// assert_eq!(segmenter.longest(), 20 + 8 + 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn longest(&self) -> usize {
        self.headers.payload_range().start + self.size
    }

    /// Writes the next packet to the front of `out` and returns its length in bytes, or `None` after
    /// the last packet.
    ///
    /// `packet` is the super-packet, the same at each call. The method allocates nothing and copies
    /// each byte of the payload once.
    ///
    /// # Panics
    ///
    /// If `packet` is shorter than the headers say, or `out` is shorter than the packet to write;
    /// [`longest`](Self::longest) bytes are always enough.
    ///
    /// ```
    /// # use brooklet_packet::{Headers, Segmenter, udp};
    /// # let mut whole = Vec::new();
    /// # udp::write(&mut whole, "10.0.0.1:1".parse()?, "10.0.0.2:2".parse()?, 64, b"onetwo+")?;
    /// let mut segmenter = Segmenter::new(&Headers::parse(&whole)?, 3.try_into()?);
    /// let mut out = [0; 31];
    /// assert_eq!(segmenter.next(&whole, &mut out), Some(31));
    /// assert_eq!(&out[28..], b"one");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn next(&mut self, packet: &[u8], out: &mut [u8]) -> Option<usize> {
        let part = self.next_part()?;
        let payload_start = self.headers.payload_range().start;
        let len = payload_start + part.len();
        let out = &mut out[..len];
        out[..payload_start].copy_from_slice(&packet[..payload_start]);
        out[payload_start..].copy_from_slice(&packet[part.clone()]);
        if self.headers.checksum_offset().is_some() {
            let (ip, segment) = out.split_at_mut(self.headers.transport_range().start);
            self.write_ip(ip, len);
            self.write_transport(segment, &part);
            self.headers.fill_segment(segment);
        }
        self.rest.start = part.end;
        // Each packet takes at least one byte of a payload that is shorter than 65,536 bytes.
        self.index += 1;
        Some(len)
    }

    /// The place of the next part of the payload.
    fn next_part(&self) -> Option<Range<usize>> {
        // A packet without payload comes out as well, once.
        if self.rest.is_empty() && self.index > 0 {
            return None;
        }
        let Range { start, end } = self.rest;
        Some(start..end.min(start + self.size))
    }

    /// Completes the IP header of a packet of `len` bytes. The header was copied from the
    /// super-packet.
    fn write_ip(&self, header: &mut [u8], len: usize) {
        if self.headers.key().is_ipv6() {
            let payload_len = (len - IPV6_HEADER) as u16;
            header[4..6].copy_from_slice(&payload_len.to_be_bytes());
            return;
        }
        let identification = u16::from_be_bytes([header[4], header[5]]).wrapping_add(self.index);
        header[2..4].copy_from_slice(&(len as u16).to_be_bytes());
        header[4..6].copy_from_slice(&identification.to_be_bytes());
        header[10..12].fill(0);
        let sum = checksum::of(header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
    }

    fn write_transport(&self, segment: &mut [u8], part: &Range<usize>) {
        if let Some(tcp) = self.headers.tcp() {
            let before = part.start - self.headers.payload_range().start;
            let seq = tcp.seq.wrapping_add(before as u32);
            segment[4..8].copy_from_slice(&seq.to_be_bytes());
            let mut flags = tcp.flags;
            if part.end < self.rest.end {
                flags = flags.difference(TcpFlags::FIN | TcpFlags::PSH);
            }
            if self.index > 0 {
                flags = flags.difference(TcpFlags::CWR);
            }
            segment[13] = flags.bits();
        } else {
            let len = segment.len() as u16;
            segment[4..6].copy_from_slice(&len.to_be_bytes());
        }
    }
}
