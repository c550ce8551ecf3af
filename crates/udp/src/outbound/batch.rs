//! Batches of datagrams in one packet (UDP GSO).

use super::{HEADERS, Outbound, Outgoing};
use crate::error::SendError;
use crate::interface::longest_payload;
use brooklet_io::{Checksum, Meta, PacketBuf, StackClosed};
use brooklet_packet::udp;
use std::io;
use std::num::NonZeroU16;

/// The most datagrams in one packet, as many as every Linux kernel with UDP GSO takes
/// (`UDP_MAX_SEGMENTS`).
pub(super) const MAX_DATAGRAMS: usize = 64;

/// The lengths of the headers, in bytes.
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;

impl Outbound {
    /// Sends the datagram `first`, and as many of `more` as can be in one packet with it, in their
    /// order. Returns how many were sent: 0 if there is no room for the packet now.
    pub(crate) fn send_several<'a>(
        &mut self,
        first: &Outgoing<'_>,
        more: impl Iterator<Item = Outgoing<'a>> + Clone,
        mtu: usize,
    ) -> io::Result<usize> {
        let size = NonZeroU16::new(first.payload.len() as u16);
        let (true, Some(size)) = (self.takes_batch_of(first, mtu), size) else {
            return self.send(first, mtu).map(usize::from);
        };
        let longest = longest_payload(first.to.is_ipv6());
        let (mut count, mut bytes) = (1, first.payload.len());
        for next in more.clone() {
            let len = next.payload.len();
            if count == MAX_DATAGRAMS || bytes + len > longest || !follows(first, &next) {
                break;
            }
            count += 1;
            bytes += len;
            if len < first.payload.len() {
                break; // only the last one may be shorter
            }
        }
        if count == 1 {
            return self.send(first, mtu).map(usize::from);
        }
        if self.closed {
            return Err(StackClosed.into());
        }
        if !self.has_room() || !self.senders.is_empty() {
            return Ok(0);
        }
        let mut packet = self.buffer(bytes + HEADERS);
        self.begin_batch(&mut packet, first, first.payload)?;
        for next in more.take(count - 1) {
            packet.extend_from_slice(next.payload);
        }
        self.end_batch(packet, first, size, count);
        self.sent.note(first.from, first.to);
        self.stats.bytes_out += bytes as u64;
        Ok(count)
    }

    /// Whether the datagram can be the first of several in one packet.
    fn takes_batch_of(&self, first: &Outgoing<'_>, mtu: usize) -> bool {
        let is_ipv6 = first.to.is_ipv6();
        self.interface.offload
            && first.segment_size.is_none()
            && first.from.is_ipv6() == is_ipv6
            && (self.interface.ipv6_enabled || !is_ipv6)
            && first.payload.len() <= udp::max_payload(mtu.min(self.interface.mtu), is_ipv6)
    }

    /// Writes the headers and the first datagram of a batch.
    fn begin_batch(
        &mut self,
        packet: &mut Vec<u8>,
        outgoing: &Outgoing<'_>,
        first: &[u8],
    ) -> Result<(), SendError> {
        let fields = self.fields(outgoing);
        let &Outgoing { from, to, .. } = outgoing;
        udp::write_with(packet, from, to, fields, first)
            .map_err(|_| SendError::Families { from, to })
    }

    /// Queues a packet of `count` datagrams with `size` bytes each.
    fn end_batch(
        &mut self,
        mut packet: Vec<u8>,
        outgoing: &Outgoing<'_>,
        size: NonZeroU16,
        count: usize,
    ) {
        // The datagrams have consecutive identifications.
        self.identification = self.identification.wrapping_add(count as u16 - 1);
        set_lengths(&mut packet, outgoing.to.is_ipv6());
        let mut packet = PacketBuf::from(packet);
        let meta = Meta::new().checksum(Checksum::Partial);
        packet.set_meta(meta.gso_size(Some(size)));
        self.stats.datagrams_out += count as u64;
        self.append(packet);
    }

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
        let (first, rest) = outgoing.payload.split_at(size.get().into());
        let mut packet = self.buffer(outgoing.payload.len() + HEADERS);
        self.begin_batch(&mut packet, outgoing, first)?;
        packet.extend_from_slice(rest);
        let count = outgoing.payload.len().div_ceil(size.get().into());
        self.end_batch(packet, outgoing, size, count);
        Ok(())
    }
}

/// Whether `next` can be in one packet behind `first`, as far as their headers and lengths say.
fn follows(first: &Outgoing<'_>, next: &Outgoing<'_>) -> bool {
    let headers = |outgoing: &Outgoing<'_>| Outgoing {
        payload: &[],
        ..*outgoing
    };
    !next.payload.is_empty()
        && next.payload.len() <= first.payload.len()
        && headers(first) == headers(next)
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
