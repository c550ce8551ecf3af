//! Coalescing of UDP datagrams into one packet.

use crate::ext::IPV6_HEADER;
use crate::headers::IPV4_HEADER;
use crate::{Headers, Protocol, checksum};
use std::num::NonZeroU16;

/// The most datagrams that the Linux kernel makes of one packet (`UDP_MAX_SEGMENTS`).
const MAX_DATAGRAMS: usize = 64;

/// The longest super-packet, in bytes: the longest IPv4 packet.
const MAX_LENGTH: usize = 65_535;

/// Coalesces UDP datagrams of one flow into a super-packet, which a device with segmentation offload
/// splits: the reverse of a [`Segmenter`](crate::Segmenter).
///
/// All datagrams have the size of the first, except that the last may be shorter. A super-packet has
/// at most 64 datagrams and 65,535 bytes.
///
/// ```
/// use brooklet_packet::{Coalescer, Packet, udp};
///
/// let (from, to) = ("10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?);
/// let datagrams = [&b"one"[..], b"two", b"+"].map(|payload| {
///     let mut bytes = Vec::new();
///     udp::write(&mut bytes, from, to, 64, payload).map(|()| bytes)
/// });
/// let [first, second, third] = datagrams;
/// let mut whole = first?;
/// let mut coalescer = Coalescer::new(&whole).expect("a datagram");
/// assert!(coalescer.push(&mut whole, &second?));
/// assert!(coalescer.push(&mut whole, &third?));
/// let size = coalescer.finish(&mut whole);
///
/// assert_eq!(size.map(Into::into), Some(3_u16));
/// assert_eq!(Packet::parse(&whole)?.payload(), b"onetwo+");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Coalescer {
    headers: Headers,
    size: NonZeroU16,
    count: usize,
    /// Whether the last datagram was shorter.
    ended: bool,
}

impl Coalescer {
    /// Returns a coalescer that begins with the datagram `first`. Returns `None` for a packet that
    /// cannot be coalesced: one that is empty, a fragment or not UDP, or that has options, extension
    /// headers or bytes behind its end.
    ///
    /// ```
    /// # use brooklet_packet::{Coalescer, udp};
    /// # let (from, to) = ("10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?);
    /// # let datagram = |payload: &[u8]| {
    /// #     let mut bytes = Vec::new();
    /// #     udp::write(&mut bytes, from, to, 64, payload).map(|()| bytes)
    /// # };
    /// assert!(Coalescer::new(&datagram(b"one")?).is_some());
    /// assert!(Coalescer::new(&datagram(b"")?).is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(first: &[u8]) -> Option<Self> {
        let headers = Headers::parse(first).ok()?;
        let plain = headers.protocol() == Protocol::Udp
            && headers.fragment().is_none()
            && !headers.has_options()
            && headers.payload_range().end == first.len();
        let size = u16::try_from(headers.payload_range().len()).ok()?;
        Some(Self {
            headers,
            size: NonZeroU16::new(size).filter(|_| plain)?,
            count: 1,
            ended: false,
        })
    }

    /// Returns whether the datagram `next` can be appended to `whole`, the super-packet so far.
    ///
    /// ```
    /// # use brooklet_packet::{Coalescer, udp};
    /// # let (from, to) = ("10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?);
    /// # let datagram = |payload: &[u8]| {
    /// #     let mut bytes = Vec::new();
    /// #     udp::write(&mut bytes, from, to, 64, payload).map(|()| bytes)
    /// # };
    /// let whole = datagram(b"one")?;
    /// let coalescer = Coalescer::new(&whole).expect("a datagram");
    /// assert!(coalescer.takes(&whole, &datagram(b"two")?));
    /// assert!(!coalescer.takes(&whole, &datagram(b"longer")?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn takes(&self, whole: &[u8], next: &[u8]) -> bool {
        let Some(other) = Self::new(next) else {
            return false;
        };
        let fits = whole.len() + usize::from(other.size.get()) <= MAX_LENGTH;
        let room = fits && self.count < MAX_DATAGRAMS && !self.ended && other.size <= self.size;
        room && other.headers.key() == self.headers.key() && same_ip_header(whole, next)
    }

    /// Appends the datagram `next` to `whole`, the super-packet so far. Returns `false` and changes
    /// nothing if the datagram [cannot be appended](Self::takes).
    ///
    /// ```
    /// # use brooklet_packet::{Coalescer, udp};
    /// # let (from, to) = ("10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?);
    /// # let datagram = |payload: &[u8]| {
    /// #     let mut bytes = Vec::new();
    /// #     udp::write(&mut bytes, from, to, 64, payload).map(|()| bytes)
    /// # };
    /// let mut whole = datagram(b"one")?;
    /// let mut coalescer = Coalescer::new(&whole).expect("a datagram");
    /// assert!(coalescer.push(&mut whole, &datagram(b"+")?));
    /// // Nothing can follow a shorter datagram.
    /// assert!(!coalescer.push(&mut whole, &datagram(b"two")?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn push(&mut self, whole: &mut Vec<u8>, next: &[u8]) -> bool {
        let takes = self.takes(whole, next);
        if takes {
            let payload = &next[self.headers.payload_range().start..];
            whole.extend_from_slice(payload);
            self.count += 1;
            self.ended = payload.len() < usize::from(self.size.get());
        }
        takes
    }

    /// Completes the headers of `whole` except the UDP checksum. Returns the payload of each datagram
    /// in bytes, the `gso_size`. Returns `None` and changes nothing if `whole` is the first datagram
    /// alone.
    ///
    /// [`fill_partial_checksum`](Headers::fill_partial_checksum) writes the checksum for a device;
    /// a [`Segmenter`](crate::Segmenter) does not need it.
    ///
    /// ```
    /// # use brooklet_packet::{Coalescer, udp};
    /// # let (from, to) = ("10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?);
    /// # let datagram = |payload: &[u8]| {
    /// #     let mut bytes = Vec::new();
    /// #     udp::write(&mut bytes, from, to, 64, payload).map(|()| bytes)
    /// # };
    /// let mut whole = datagram(b"one")?;
    /// let coalescer = Coalescer::new(&whole).expect("a datagram");
    /// assert_eq!(coalescer.finish(&mut whole), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn finish(self, whole: &mut [u8]) -> Option<NonZeroU16> {
        if self.count == 1 {
            return None;
        }
        let len = whole.len();
        let ip_len = self.headers.transport_range().start;
        let mut field = |at: usize, value: usize| {
            // `takes` keeps the length below 65,536 bytes.
            whole[at..at + 2].copy_from_slice(&(value as u16).to_be_bytes());
        };
        field(ip_len + 4, len - ip_len);
        if self.headers.key().is_ipv6() {
            field(4, len - IPV6_HEADER);
        } else {
            field(2, len);
            field(10, 0);
            let sum = checksum::of(&whole[..IPV4_HEADER]);
            whole[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        Some(self.size)
    }
}

/// Whether two headers without options differ only in the length, the checksum and the
/// identification. The caller has compared addresses and protocol.
fn same_ip_header(a: &[u8], b: &[u8]) -> bool {
    let alike = |from: usize, to: usize| a.get(from..to) == b.get(from..to);
    match a.first().map(|first| first >> 4) {
        // Type of service; flags and hop limit.
        Some(4) => alike(0, 2) && alike(6, 9),
        // Traffic class and flow label; next header and hop limit.
        _ => alike(0, 4) && alike(6, 8),
    }
}
