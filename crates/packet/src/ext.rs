//! The chain of IPv6 extension headers (RFC 8200, 4).

use crate::{Fragment, ParseError};

/// The length of the IPv6 header itself.
pub(crate) const IPV6_HEADER: usize = 40;

/// The length of a fragment header.
pub(crate) const FRAGMENT_HEADER: usize = 8;

// A useful chain has three or four headers and a few hundred bytes. The limits bound the time for a
// malicious packet.
const MAX_HEADERS: usize = 8;
const MAX_BYTES: usize = 2048;

pub(crate) const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
pub(crate) const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;

/// The end of the extension headers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain {
    /// The protocol that the last next-header field names.
    pub(crate) protocol: u8,
    /// The offset of that field from the start of the packet.
    pub(crate) named_at: usize,
    /// The offset of the end of the chain from the start of the packet.
    pub(crate) end: usize,
    /// The fragment header, unless the packet is an atomic fragment.
    pub(crate) fragment: Option<Fragment>,
    /// The offset of the next-header field that names the last fragment header.
    pub(crate) fragment_named_at: usize,
}

/// Whether `next_header` names a header that [`walk`] reads.
///
/// The encapsulating security payload is not one of them: the bytes behind its header are encrypted.
pub(crate) fn is_extension(next_header: u8) -> bool {
    matches!(
        next_header,
        HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS
    )
}

/// Walks the extension headers of `packet`, an IPv6 packet with at least its first header.
///
/// Stops behind the header of a fragment: the bytes behind it may be from anywhere in the original
/// packet.
pub(crate) fn walk(packet: &[u8]) -> Result<Chain, ParseError> {
    let mut chain = Chain {
        protocol: packet[6],
        named_at: 6,
        end: IPV6_HEADER,
        fragment: None,
        fragment_named_at: 6,
    };
    let mut headers = 0;
    while is_extension(chain.protocol) {
        headers += 1;
        let header = packet
            .get(chain.end..)
            .and_then(|rest| rest.first_chunk::<8>())
            .ok_or(ParseError::ExtensionHeader)?;
        let units = usize::from(header[1]);
        let length = match chain.protocol {
            // RFC 8200, 4.3: directly behind the IPv6 header and nowhere else.
            HOP_BY_HOP if headers > 1 => return Err(ParseError::ExtensionHeader),
            // RFC 8200, 4.4: with segments left this host is not the destination, and the transport
            // checksum is for another address.
            ROUTING if header[3] != 0 => return Err(ParseError::ExtensionHeader),
            FRAGMENT => {
                chain.fragment = fragment(header);
                chain.fragment_named_at = chain.named_at;
                FRAGMENT_HEADER
            }
            // RFC 4302, 2: at least 12 bytes. The field counts 32-bit words, minus two.
            AUTHENTICATION if units == 0 => return Err(ParseError::ExtensionHeader),
            AUTHENTICATION => (units + 2) * 4,
            _ => (units + 1) * 8,
        };
        chain.protocol = header[0];
        chain.named_at = chain.end;
        chain.end += length;
        let too_long = headers > MAX_HEADERS || chain.end - IPV6_HEADER > MAX_BYTES;
        if too_long || chain.end > packet.len() {
            return Err(ParseError::ExtensionHeader);
        }
        if chain.fragment.is_some() {
            break;
        }
    }
    Ok(chain)
}

/// The fields of a fragment header, or `None` for an atomic fragment, which is an unfragmented packet
/// (RFC 6946, 4).
fn fragment(header: &[u8; 8]) -> Option<Fragment> {
    let word = u16::from_be_bytes([header[2], header[3]]);
    let fragment = Fragment {
        id: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
        offset: word & 0xfff8,
        more: word & 1 != 0,
    };
    (fragment.offset != 0 || fragment.more).then_some(fragment)
}
