//! Datagrams that follow each other, as one packet that stands for them.

use crate::ext::IPV6_HEADER;
use crate::headers::IPV4_HEADER;
use crate::{Headers, Protocol, checksum};
use std::num::NonZeroU16;

/// More than so many the kernel does not make of one packet (`UDP_MAX_SEGMENTS` of Linux).
const MOST: usize = 64;

/// Room for the longest packet of IPv4, and enough for IPv6.
const LONGEST: usize = 65_535;

/// Joins UDP datagrams of one flow into one packet, which a device with segmentation offload takes
/// apart: the reverse of a [`Segmenter`](crate::Segmenter).
///
/// All have the size of the first, but for the last, which may be shorter; there are at most 64,
/// and the whole is no longer than 65,535 bytes.
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
    /// The last one was shorter.
    ended: bool,
}

impl Coalescer {
    /// Begins with a datagram. `None` where none can be joined to it: it is empty, a fragment, no
    /// datagram, has options or extension headers, or bytes behind its end.
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

    /// Whether the datagram `next` can follow what is in `whole`: the first one, or what has been
    /// joined to it.
    pub fn takes(&self, whole: &[u8], next: &[u8]) -> bool {
        let Some(other) = Self::new(next) else {
            return false;
        };
        let fits = whole.len() + usize::from(other.size.get()) <= LONGEST;
        let room = fits && self.count < MOST && !self.ended && other.size <= self.size;
        room && other.headers.key() == self.headers.key() && same_ip_header(whole, next)
    }

    /// Appends the datagram `next` to `whole`, if [it can follow](Self::takes); otherwise nothing
    /// is done and the answer is `false`.
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

    /// Completes the headers of `whole` but for its UDP checksum, and says how much payload each
    /// of the datagrams in it has. `None`, and nothing is done, if it is the first one alone.
    ///
    /// The checksum is for [`fill_partial_checksum`](Headers::fill_partial_checksum), or for
    /// whoever takes the packet apart.
    pub fn finish(self, whole: &mut [u8]) -> Option<NonZeroU16> {
        if self.count == 1 {
            return None;
        }
        let len = whole.len();
        let ip_len = self.headers.transport_range().start;
        let mut field = |at: usize, value: usize| {
            // No packet is made longer than 65,535 bytes.
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

/// Whether two headers without options differ only in what follows from the payload, and in the
/// identification. Addresses and protocol have been compared.
fn same_ip_header(a: &[u8], b: &[u8]) -> bool {
    let alike = |from: usize, to: usize| a.get(from..to) == b.get(from..to);
    match a.first().map(|first| first >> 4) {
        // Type of service; flags and hop limit.
        Some(4) => alike(0, 2) && alike(6, 9),
        // Traffic class and flow label; next header and hop limit.
        _ => alike(0, 4) && alike(6, 8),
    }
}
