//! Batches of datagrams in one packet (UDP GSO).

use super::{HEADERS, Outbound, Outgoing};
use crate::error::SendError;
use brooklet_io::{Checksum, Meta};
use brooklet_packet::udp;
use std::num::NonZeroU16;

/// The most datagrams in one packet, as many as every Linux kernel with UDP GSO takes
/// (`UDP_MAX_SEGMENTS`).
pub(super) const MAX_DATAGRAMS: usize = 64;

/// The lengths of the headers, in bytes.
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;

impl Outbound {
    /// Writes a batch of datagrams with `size` bytes each, as one packet if the driver takes such
    /// packets.
    pub(super) fn push_batch(
        &mut self,
        outgoing: &Outgoing<'_>,
        size: NonZeroU16,
    ) -> Result<(), SendError> {
        if !self.interface.offload {
            for payload in outgoing.payload.chunks(size.get().into()) {
                self.push(&Outgoing {
                    payload,
                    ..*outgoing
                })?;
            }
            return Ok(());
        }
        let &Outgoing {
            payload, from, to, ..
        } = outgoing;
        let (first, rest) = payload.split_at(size.get().into());
        let mut packet = self.buffer(payload.len() + HEADERS);
        let fields = self.fields(outgoing);
        // The datagrams of the batch have consecutive identifications.
        let count = payload.len().div_ceil(size.get().into());
        self.identification = self.identification.wrapping_add(count as u16 - 1);
        if udp::write_with(&mut packet, from, to, fields, first).is_err() {
            self.recycle(packet.into());
            return Err(SendError::Families { from, to });
        }
        packet.extend_from_slice(rest);
        set_lengths(&mut packet, to.is_ipv6());
        let mut packet = brooklet_io::PacketBuf::from(packet);
        let meta = Meta::new().checksum(Checksum::Partial);
        packet.set_meta(meta.gso_size(Some(size)));
        self.stats.datagrams_out += count as u64;
        self.append(packet);
        Ok(())
    }
}

/// Makes the headers, which are those of a shorter packet, those of all bytes. The UDP checksum is
/// left to the device.
fn set_lengths(packet: &mut [u8], is_ipv6: bool) {
    // The longest payload was checked: no length exceeds 65,535.
    let len = packet.len();
    let mut set = |at: usize, value: usize| {
        packet[at..at + 2].copy_from_slice(&(value as u16).to_be_bytes());
    };
    if is_ipv6 {
        set(4, len - IPV6_HEADER);
        set(IPV6_HEADER + 4, len - IPV6_HEADER);
        return;
    }
    set(2, len);
    set(IPV4_HEADER + 4, len - IPV4_HEADER);
    set(10, 0);
    let header = packet[..IPV4_HEADER].chunks_exact(2);
    let words = header.map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    // RFC 1071. The sum of ten words needs two folds at most.
    let fold = |sum: u32| (sum >> 16) + (sum & 0xffff);
    let sum = fold(fold(words.sum()));
    packet[10..12].copy_from_slice(&(!sum as u16).to_be_bytes());
}
