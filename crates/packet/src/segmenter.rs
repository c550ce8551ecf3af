//! Segmentation in software: one packet that stands for several, cut into those.

use crate::ext::IPV6_HEADER;
use crate::{Headers, TcpFlags, checksum};
use std::num::NonZeroU16;
use std::ops::Range;

/// Cuts a TCP segment or a row of UDP datagrams that came as one packet into packets for the wire,
/// as the kernel does where a device has no segmentation offload.
///
/// Each packet has the IP and transport header of the whole, options and extension headers
/// included, and `size` bytes of its payload, the last one perhaps fewer. What differs is written:
///
/// - lengths and all checksums; a TCP or UDP checksum in the whole packet is not looked at;
/// - the identification of IPv4, which counts up;
/// - the sequence number of TCP; FIN and PSH are on the last packet only, CWR on the first only
///   (RFC 3168, 6.1.2).
///
/// A packet that cannot be cut, because it is a fragment or neither TCP nor UDP, comes out once
/// and whole, and so does one with no more than `size` bytes of payload.
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
    /// What is left of the payload.
    rest: Range<usize>,
    size: usize,
    index: u16,
}

impl Segmenter {
    /// Begins with the packet that these are the headers of, which stands for packets of `size`
    /// bytes of payload each.
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

    /// The length in bytes of the longest packet that comes out, which is the first.
    pub fn longest(&self) -> usize {
        self.headers.payload_range().start + self.size
    }

    /// Writes the next packet to the front of `out` and returns its length in bytes. `None`: the
    /// last one has been written.
    ///
    /// `packet` is the whole one, the same at each call. Nothing is allocated, and each byte of
    /// the payload is copied once.
    ///
    /// # Panics
    ///
    /// If `packet` is shorter than the one whose headers were given, or `out` shorter than what
    /// is to be written; [`longest`](Self::longest) bytes are always enough.
    pub fn next(&mut self, packet: &[u8], out: &mut [u8]) -> Option<usize> {
        let part = self.next_part()?;
        let payload_start = self.headers.payload_range().start;
        let len = payload_start + part.len();
        let out = &mut out[..len];
        out[..payload_start].copy_from_slice(&packet[..payload_start]);
        out[payload_start..].copy_from_slice(&packet[part.clone()]);
        if self.headers.checksum_offset().is_some() {
            let (ip, segment) = out.split_at_mut(self.headers.transport_range().start);
            self.write_ip(ip, len, self.index);
            self.write_transport(segment, &part);
            self.headers.fill_segment(segment);
        }
        self.taken(&part);
        Some(len)
    }

    /// Makes the next packet inside of `packet` itself and says where it is: its headers are written
    /// in front of its payload, over the end of the packet before. `None`: there are no more.
    ///
    /// For packets that come in and are looked at one by one: nothing is copied but headers, and
    /// the TCP or UDP checksum is **not** written. `packet` is the same at each call, and what
    /// this has written has not been changed. A segmenter is used with this or with
    /// [`next`](Self::next), not with both.
    ///
    /// # Panics
    ///
    /// If `packet` is shorter than the one whose headers were given.
    ///
    /// ```
    /// use brooklet_packet::{Headers, Packet, Segmenter, udp};
    ///
    /// let mut whole = Vec::new();
    /// udp::write(&mut whole, "10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?, 64, b"onetwo+")?;
    ///
    /// let mut segmenter = Segmenter::new(&Headers::parse(&whole)?, 3.try_into()?);
    /// let mut payloads = Vec::new();
    /// while let Some(place) = segmenter.next_in_place(&mut whole) {
    ///     payloads.push(Packet::parse(&whole[place])?.payload().to_vec());
    /// }
    /// assert_eq!(payloads, [&b"one"[..], b"two", b"+"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn next_in_place(&mut self, packet: &mut [u8]) -> Option<Range<usize>> {
        let part = self.next_part()?;
        let header_len = self.headers.payload_range().start;
        let place = part.start - header_len..part.end;
        if self.headers.checksum_offset().is_some() {
            if self.index > 0 {
                // Those of the packet before are `size` bytes further to the front.
                let before = place.start - self.size;
                packet.copy_within(before..before + header_len, place.start);
            }
            let bytes = &mut packet[place.clone()];
            let len = bytes.len();
            let (ip, segment) = bytes.split_at_mut(self.headers.transport_range().start);
            self.write_ip(ip, len, self.index.min(1));
            self.write_transport(segment, &part);
        }
        self.taken(&part);
        Some(place)
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

    fn taken(&mut self, part: &Range<usize>) {
        self.rest.start = part.end;
        // Each packet takes a byte of the payload at least, and all of it fits one packet.
        self.index += 1;
    }

    /// Completes the IP header of a packet of `len` bytes, which fits its field as the whole did.
    /// It is `step` packets further than that from which it was copied.
    fn write_ip(&self, header: &mut [u8], len: usize, step: u16) {
        if self.headers.key().is_ipv6() {
            let payload_len = (len - IPV6_HEADER) as u16;
            header[4..6].copy_from_slice(&payload_len.to_be_bytes());
            return;
        }
        let identification = u16::from_be_bytes([header[4], header[5]]).wrapping_add(step);
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
