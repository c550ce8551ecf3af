//! Fragments of both families: packets cut for the stack, and the stack's fragments put together.

use crate::packet::{Packet, What, fragment, ipv4, ipv6, ipv6_fragment};
use crate::wire::{SOON, Wire, check};
use std::net::IpAddr;

/// The next-header value of the IPv6 fragment header.
const FRAGMENT: u8 = 44;

/// One fragment of a packet from `ends.0` to `ends.1`. `offset` is in bytes.
pub(crate) fn piece(
    ends: (IpAddr, IpAddr),
    protocol: u8,
    id: u16,
    (offset, more): (usize, bool),
    payload: &[u8],
) -> Vec<u8> {
    match ends {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            ipv4(from, to, protocol, payload, fragment(id, offset, more))
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let bytes = ipv6_fragment(protocol, id.into(), offset, more, payload);
            ipv6(from, to, FRAGMENT, &bytes)
        }
        _ => unreachable!("both addresses are of one version"),
    }
}

/// All fragments of a packet with this transport header and payload. Each fragment but the last
/// has `size` bytes of them, a multiple of 8.
pub(crate) fn pieces(
    ends: (IpAddr, IpAddr),
    protocol: u8,
    id: u16,
    bytes: &[u8],
    size: usize,
) -> Vec<Vec<u8>> {
    let chunks = bytes.chunks(size).enumerate();
    let all = chunks.map(|(index, chunk)| {
        let offset = index * size;
        let more = offset + chunk.len() < bytes.len();
        piece(ends, protocol, id, (offset, more), chunk)
    });
    all.collect()
}

/// A packet of the stack that came in fragments.
#[derive(Debug)]
pub(crate) struct Reassembled {
    pub(crate) protocol: u8,
    pub(crate) id: u32,
    /// Transport header and payload.
    pub(crate) bytes: Vec<u8>,
    /// The fragments in the order of their arrival.
    pub(crate) fragments: Vec<Packet>,
}

impl Reassembled {
    /// The length of the longest fragment, in bytes.
    pub(crate) fn longest(&self) -> usize {
        let lengths = self.fragments.iter().map(|packet| packet.bytes.len());
        lengths.max().unwrap_or(0)
    }
}

/// Takes the next packet of the stack, which comes in fragments. The fragments must share their
/// identification, follow each other without gap and overlap, and have a multiple of 8 bytes each,
/// the last one aside.
pub(crate) fn expect_fragments(wire: &mut Wire) -> Result<Reassembled, String> {
    let mut all: Option<Reassembled> = None;
    loop {
        let Some(packet) = wire.rx(SOON)? else {
            let come = all.map_or(0, |all| all.bytes.len());
            return Err(format!("only {come} bytes came in fragments"));
        };
        let What::Fragment(part) = packet.what.clone() else {
            return Err(format!("no fragment: {}", packet.show()));
        };
        let whole = all.get_or_insert_with(|| Reassembled {
            protocol: part.protocol,
            id: part.id,
            bytes: Vec::new(),
            fragments: Vec::new(),
        });
        check!(
            (part.id, part.protocol) == (whole.id, whole.protocol),
            "a fragment of another packet"
        );
        check!(
            part.offset == whole.bytes.len(),
            "a fragment at {} after {} bytes",
            part.offset,
            whole.bytes.len()
        );
        check!(
            !part.more || part.payload.len() % 8 == 0,
            "a fragment of {} bytes",
            part.payload.len()
        );
        whole.bytes.extend(&part.payload);
        whole.fragments.push(packet);
        if !part.more
            && let Some(whole) = all.take()
        {
            return Ok(whole);
        }
    }
}
