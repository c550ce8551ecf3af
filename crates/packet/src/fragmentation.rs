//! Fragmentation of a packet.

use crate::ext::{FRAGMENT, FRAGMENT_HEADER, IPV6_HEADER};
use crate::{Headers, Packet, checksum};

/// Splits a packet into fragments, one at a time (RFC 791, 3.2; RFC 8200, 4.5).
///
/// [`fragment`] is the same as an iterator.
///
/// ```
/// use brooklet_packet::{Fragmenter, Headers, Packet, udp};
///
/// let mut datagram = Vec::new();
/// udp::write(&mut datagram, "10.0.0.1:53".parse()?, "10.0.0.2:5000".parse()?, 64, &[7; 3000])?;
///
/// let mut fragmenter = Fragmenter::new(&Headers::parse(&datagram)?, 1500, 99).expect("no options");
/// let (mut out, mut lengths) = (vec![0; 1500], Vec::new());
/// while let Some(len) = fragmenter.next(&datagram, &mut out) {
///     assert!(Packet::parse(&out[..len])?.fragment().is_some());
///     lengths.push(len);
/// }
/// assert_eq!(lengths, [1500, 1500, 20 + 3008 - 2 * 1480]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Fragmenter {
    is_ipv6: bool,
    id: u32,
    /// The lengths of the IP header and of the packet.
    header_len: usize,
    total_len: usize,
    /// The payload of each fragment but the last, in bytes.
    step: usize,
    /// The payload that is written, in bytes; `None` after the last fragment.
    offset: Option<usize>,
}

impl Fragmenter {
    /// Returns a fragmenter of the packet with these headers, into fragments of at most `mtu` bytes
    /// with the identification `id`, as described at [`fragment`].
    ///
    /// Returns `None` where [`fragment`] is empty.
    ///
    /// ```
    /// # use brooklet_packet::{Fragmenter, Headers, udp};
    /// # let mut datagram = Vec::new();
    /// # udp::write(&mut datagram, "10.0.0.1:1".parse()?, "10.0.0.2:2".parse()?, 64, b"hello")?;
    /// let headers = Headers::parse(&datagram)?;
    /// assert!(Fragmenter::new(&headers, 28, 1).is_some());
    /// assert!(Fragmenter::new(&headers, 27, 1).is_none(), "no room for 8 bytes");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(headers: &Headers, mtu: usize, id: u32) -> Option<Self> {
        let is_ipv6 = headers.key().is_ipv6();
        let (header_len, total_len) = (headers.transport_range().start, headers.total_len());
        let overhead = header_len + if is_ipv6 { FRAGMENT_HEADER } else { 0 };
        let step = match total_len <= mtu {
            true => total_len,
            false => mtu.saturating_sub(overhead) / 8 * 8,
        };
        let possible = !headers.has_options() && headers.fragment().is_none() && step > 0;
        possible.then_some(Self {
            is_ipv6,
            id,
            header_len,
            total_len,
            step,
            offset: Some(0),
        })
    }

    /// Returns the length in bytes of the longest fragment, which is the first.
    ///
    /// ```
    /// # use brooklet_packet::{Fragmenter, Headers, udp};
    /// # let mut datagram = Vec::new();
    /// # udp::write(&mut datagram, "10.0.0.1:1".parse()?, "10.0.0.2:2".parse()?, 64, b"hello")?;
    /// let fragmenter = Fragmenter::new(&Headers::parse(&datagram)?, 31, 1).expect("it fits");
    /// assert_eq!(fragmenter.longest(), 28, "20 and a multiple of 8");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn longest(&self) -> usize {
        let fragment_header = if self.is_ipv6 { FRAGMENT_HEADER } else { 0 };
        self.total_len
            .min(self.header_len + fragment_header + self.step)
    }

    /// Writes the next fragment to the front of `out` and returns its length in bytes, or `None`
    /// after the last fragment.
    ///
    /// `packet` is the packet, the same at each call. The method allocates nothing and copies each
    /// byte of the payload once.
    ///
    /// # Panics
    ///
    /// If `packet` is shorter than the headers say, or `out` is shorter than the fragment;
    /// [`longest`](Self::longest) bytes are always enough.
    ///
    /// ```
    /// # use brooklet_packet::{Fragmenter, Headers, udp};
    /// # let mut datagram = Vec::new();
    /// # udp::write(&mut datagram, "10.0.0.1:1".parse()?, "10.0.0.2:2".parse()?, 64, b"hello")?;
    /// let mut fragmenter = Fragmenter::new(&Headers::parse(&datagram)?, 28, 1).expect("it fits");
    /// let mut out = [0; 28];
    /// assert_eq!(fragmenter.next(&datagram, &mut out), Some(28));
    /// assert_eq!(fragmenter.next(&datagram, &mut out), Some(25));
    /// assert_eq!(fragmenter.next(&datagram, &mut out), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn next(&mut self, packet: &[u8], out: &mut [u8]) -> Option<usize> {
        let offset = self.offset?;
        let (header, body) = packet[..self.total_len].split_at(self.header_len);
        let end = body.len().min(offset + self.step);
        let more = end < body.len();
        self.offset = more.then_some(end);
        let part = &body[offset..end];
        out[..header.len()].copy_from_slice(header);
        let mut start = header.len();
        // An offset in a packet is below 65,536.
        let place = (offset as u16, more);
        if offset == 0 && !more {
            // The packet fits and stays as it is.
        } else if self.is_ipv6 {
            let (header, rest) = out.split_at_mut(start);
            write_fragment_header(header, rest, place, self.id);
            start += FRAGMENT_HEADER;
            let payload_len = (start - IPV6_HEADER + part.len()) as u16;
            header[4..6].copy_from_slice(&payload_len.to_be_bytes());
        } else {
            rewrite_header(&mut out[..start], place, self.id, part.len());
        }
        let len = start + part.len();
        out[start..len].copy_from_slice(part);
        Some(len)
    }
}

/// Splits a packet into fragments of at most `mtu` bytes each (RFC 791, 3.2; RFC 8200, 4.5).
///
/// The identification of the fragments is `id`, or its lower 16 bits with IPv4. Choose one that is
/// not in use between the two hosts and that others cannot predict (RFC 7739). The function ignores
/// "don't fragment" and does not set it. A packet that fits `mtu` is returned as it is.
///
/// The iterator is empty for a packet with IPv4 options or IPv6 extension headers, for a fragment,
/// and if `mtu` leaves no room for 8 bytes of payload. [`Fragmenter`] does the same without an
/// allocation for each fragment.
///
/// ```
/// use brooklet_packet::reassembly::{Config, Reassembler};
/// use brooklet_packet::{Packet, fragment, udp};
/// use std::time::Instant;
///
/// let (from, to) = ("[2001:db8::1]:53".parse()?, "[2001:db8::2]:5000".parse()?);
/// let mut datagram = Vec::new();
/// udp::write(&mut datagram, from, to, 64, &[7; 3000])?;
///
/// let (mut reassembler, mut reassembled) = (Reassembler::new(Config::default()), Vec::new());
/// for fragment in fragment(&Packet::parse(&datagram)?, 1500, 99) {
///     assert!(fragment.len() <= 1500);
///     let fragment = Packet::parse(&fragment)?;
///     reassembler.handle_fragment(Instant::now(), &fragment, &mut reassembled);
/// }
/// assert_eq!(reassembled, datagram);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn fragment(packet: &Packet<'_>, mtu: usize, id: u32) -> impl Iterator<Item = Vec<u8>> {
    let bytes = packet.bytes();
    let mut fragmenter = Fragmenter::new(packet, mtu, id);
    std::iter::from_fn(move || {
        let fragmenter = fragmenter.as_mut()?;
        let mut out = vec![0; fragmenter.longest()];
        let len = fragmenter.next(bytes, &mut out)?;
        out.truncate(len);
        Some(out)
    })
}

/// Writes a fragment header to the front of `out`, and its name into the IPv6 header.
fn write_fragment_header(header: &mut [u8], out: &mut [u8], (offset, more): (u16, bool), id: u32) {
    let next_header = std::mem::replace(&mut header[6], FRAGMENT);
    out[..2].copy_from_slice(&[next_header, 0]);
    out[2..4].copy_from_slice(&(offset | u16::from(more)).to_be_bytes());
    out[4..8].copy_from_slice(&id.to_be_bytes());
}

fn rewrite_header(header: &mut [u8], (offset, more): (u16, bool), id: u32, payload: usize) {
    let length = (header.len() + payload) as u16;
    header[2..4].copy_from_slice(&length.to_be_bytes());
    header[4..6].copy_from_slice(&(id as u16).to_be_bytes());
    header[6..8].copy_from_slice(&((offset / 8) | (u16::from(more) << 13)).to_be_bytes());
    header[10..12].fill(0);
    let checksum = checksum::of(header);
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
}
