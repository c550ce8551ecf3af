//! The header of a frame.

use crate::MacAddr;
use brooklet_io::PacketBuf;
use smoltcp::wire::{EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr};
use std::ops::Range;

/// The length in bytes of the header of a frame without a tag.
pub(crate) const HEADER: usize = 14;

/// The length in bytes of the tag of IEEE 802.1Q.
pub(crate) const TAG: usize = 4;

/// The EtherTypes of a tag: of a customer and of a provider (IEEE 802.1Q).
const TAGS: [u16; 2] = [0x8100, 0x88a8];

/// The fields of a received frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) source: MacAddr,
    pub(crate) destination: MacAddr,
    pub(crate) protocol: EthernetProtocol,
    pub(crate) payload: Range<usize>,
}

/// The reason why a frame has no [`Frame`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameError {
    Runt,
    Vlan,
}

impl Frame {
    /// Parses a frame without a frame check sequence. A tag of VLAN 0, which tells only of a
    /// priority, is passed over.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, FrameError> {
        let frame = EthernetFrame::new_checked(bytes).map_err(|_| FrameError::Runt)?;
        let (mut protocol, mut start) = (frame.ethertype(), HEADER);
        if TAGS.contains(&protocol.into()) {
            let tag = frame.payload().first_chunk::<TAG>();
            let [control_0, control_1, type_0, type_1] = *tag.ok_or(FrameError::Runt)?;
            let vlan = u16::from_be_bytes([control_0, control_1]) & 0xfff;
            protocol = u16::from_be_bytes([type_0, type_1]).into();
            start += TAG;
            if vlan != 0 || TAGS.contains(&protocol.into()) {
                return Err(FrameError::Vlan);
            }
        }
        Ok(Self {
            source: frame.src_addr().0.into(),
            destination: frame.dst_addr().0.into(),
            protocol,
            payload: start..bytes.len(),
        })
    }
}

/// Sets `out` to a frame with a payload of `len` bytes, which the caller writes over.
pub(crate) fn begin(
    out: &mut PacketBuf,
    ends: (MacAddr, MacAddr),
    ethertype: EthernetProtocol,
    len: usize,
) {
    out.resize(HEADER + len);
    let (source, destination) = ends;
    let header = EthernetRepr {
        src_addr: EthernetAddress(source.octets()),
        dst_addr: EthernetAddress(destination.octets()),
        ethertype,
    };
    header.emit(&mut EthernetFrame::new_unchecked(&mut out[..]));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(rest: &[u8]) -> Result<Frame, FrameError> {
        Frame::parse(&[&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2][..], rest].concat())
    }

    #[test]
    fn a_tag_of_vlan_0_is_passed_over() {
        let plain = parse(&[0x08, 0, 0x45]).unwrap();
        assert_eq!(
            (plain.protocol, plain.payload),
            (EthernetProtocol::Ipv4, 14..15)
        );
        for tag in TAGS {
            let [tag_0, tag_1] = tag.to_be_bytes();
            let tagged = parse(&[tag_0, tag_1, 0xe0, 0, 0x08, 0, 0x45]).unwrap();
            assert_eq!(
                (tagged.protocol, tagged.payload),
                (EthernetProtocol::Ipv4, 18..19)
            );
        }
    }

    #[test]
    fn frames_of_vlans_and_short_ones_are_refused() {
        for rest in [
            &[0x81, 0, 0, 5, 0x08, 0, 0x45][..],
            &[0x88, 0xa8, 0, 0, 0x81, 0, 0, 0, 0x08, 0],
        ] {
            assert_eq!(parse(rest), Err(FrameError::Vlan));
        }
        for rest in [&[][..], &[0x08], &[0x81, 0, 0, 0, 8]] {
            assert_eq!(parse(rest), Err(FrameError::Runt));
        }
    }
}
