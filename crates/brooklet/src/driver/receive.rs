//! The way of a received packet from the device to an engine.

use super::verdict::verdict;
use super::{Driver, MAX_PACKET};
use crate::capture::Outcome;
use crate::drop_reason::DropReason;
use crate::timer::Timer;
use brooklet_cell::Flavor;
use brooklet_filter::{Direction, Filter, Verdict};
use brooklet_io::{Checksum, DeviceFault, Meta, PacketBuf, PacketIo};
use brooklet_packet::icmp::{self, IcmpErrorKind, Unreachable};
use brooklet_packet::{Headers, Packet, ParseError, Protocol, is_martian, is_unicast};
use brooklet_raw::RawReceived;
use brooklet_udp::{Arrival, Received};
use std::io;
use std::net::IpAddr;
use std::task::{Context, Poll};
use std::time::Instant;

/// A batch ends after this many packets or bytes, so that answers do not wait for long.
const BATCH_PACKETS: usize = 64;
const BATCH_BYTES: usize = 256 * 1024;

/// "No next header" (RFC 8200, 4.7): nothing follows the IPv6 header, which is no error.
const IPV6_NO_NEXT_HEADER: Protocol = Protocol::Other(59);

/// How a packet arrived.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Arrived {
    /// The transport checksum need not be verified.
    pub(super) verified: bool,
    pub(super) meta: Meta,
    pub(super) reassembled: bool,
}

/// How a batch of packets ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Batch {
    /// The device has no more packets, and wakes the driver when one arrives.
    Drained,
    /// The batch is full.
    Full,
    /// Half of the inbound UDP queue is taken. The readers run before the driver reads more.
    Congested,
}

impl<F: Flavor, D: PacketIo, T: Timer, P: Filter> Driver<F, D, T, P> {
    /// Reads a batch of packets.
    pub(super) fn receive(&mut self, cx: &mut Context<'_>, now: Instant) -> io::Result<Batch> {
        let mut bytes = 0;
        // A panic of the device or of the clock in an earlier poll may have cost the buffer.
        if self.inbound.capacity() < MAX_PACKET {
            self.inbound = PacketBuf::with_capacity(MAX_PACKET);
        }
        for _ in 0..BATCH_PACKETS {
            if self.recv_retry.is_waiting(now) {
                return Ok(Batch::Drained);
            }
            match self.device.poll_recv(cx, &mut self.inbound) {
                Poll::Ready(Ok(())) => self.recv_retry.succeeded(),
                Poll::Ready(Err(error)) => {
                    self.receive_failed(now, error)?;
                    continue;
                }
                Poll::Pending => {
                    self.recv_retry.succeeded();
                    return Ok(Batch::Drained);
                }
            }
            bytes += self.inbound.len();
            let reassembler = &self.common.reassembler;
            self.tap.begin(&mut self.engines, reassembler);
            self.handle_inbound(now);
            let reassembler = &self.common.reassembler;
            self.tap
                .arrived(&self.inbound, &mut self.engines, reassembler);
            if self.became_congested() {
                return Ok(Batch::Congested);
            }
            if bytes >= BATCH_BYTES {
                break;
            }
        }
        Ok(Batch::Full)
    }

    /// Goes on after an error of the device, unless it is fatal.
    #[cold]
    fn receive_failed(&mut self, now: Instant, error: io::Error) -> io::Result<()> {
        if DeviceFault::of(&error) == DeviceFault::Fatal {
            return Err(error);
        }
        self.recv_retry.failed(now, error)?;
        self.stats.device_errors += 1;
        Ok(())
    }

    /// Returns whether the last packet has filled the first half of the inbound UDP queue.
    ///
    /// If the readers leave the queue in that state, they do not keep up. The driver then goes on,
    /// or TCP would wait for them.
    fn became_congested(&mut self) -> bool {
        std::mem::take(&mut self.udp_congested)
    }

    /// Counts a packet that is dropped: the one that is being received, or the answer to it.
    pub(super) fn count_drop(&mut self, reason: DropReason) {
        self.stats.drops.count(reason);
        self.tap.note(Outcome::Dropped(reason));
    }

    /// Handles the packet in `inbound`: delivers it, or passes it to the reassembler.
    fn handle_inbound(&mut self, now: Instant) {
        self.stats.packets_in += 1;
        self.stats.bytes_in += self.inbound.len() as u64;
        let headers = match Headers::parse(&self.inbound) {
            Ok(headers) => headers,
            Err(error) => {
                let packet = std::mem::take(&mut self.inbound);
                self.refuse_malformed(now, &packet, error);
                self.inbound = packet;
                return;
            }
        };
        let key = headers.key();
        if key.is_ipv6() && !self.common.ipv6 {
            return self.count_drop(DropReason::Ipv6Disabled);
        }
        let (source, destination) = key.addresses();
        if is_martian(source, destination) {
            return self.count_drop(DropReason::Martian);
        }
        if headers.fragment().is_some() {
            return self.handle_fragment(now, headers);
        }
        let packet = std::mem::take(&mut self.inbound);
        let meta = packet.meta();
        let how = Arrived {
            // A device coalesces only datagrams whose checksums it has verified.
            verified: meta.checksum != Checksum::Complete
                || (meta.gso_size.is_some() && headers.protocol() == Protocol::Udp),
            meta,
            reassembled: false,
        };
        self.deliver(now, Packet::new(&packet, headers), how);
        self.inbound = packet;
    }

    /// Passes a fragment to the reassembler, and delivers the packet that it completes.
    fn handle_fragment(&mut self, now: Instant, headers: Headers) {
        let Some(reassembler) = &self.common.reassembler else {
            return self.count_drop(DropReason::ReassemblyOff);
        };
        let fragment = Packet::new(&self.inbound, headers);
        let reassembled = &mut self.reassembled;
        let (complete, until) = reassembler.with(|reassembler| {
            let complete = reassembler.handle_fragment(now, &fragment, reassembled);
            (complete, reassembler.poll_timeout())
        });
        self.fragments_until = until;
        if !complete {
            return;
        }
        let packet = std::mem::take(&mut self.reassembled);
        match Headers::parse(&packet) {
            // No host has a reason to fragment a fragment.
            Ok(headers) if headers.fragment().is_some() => {
                self.count_drop(DropReason::ReassemblyOff);
            }
            Ok(headers) => {
                let how = Arrived {
                    reassembled: true,
                    ..Arrived::default()
                };
                self.deliver(now, Packet::new(&packet, headers), how);
            }
            Err(error) => self.refuse_malformed(now, &packet, error),
        }
        self.reassembled = packet;
    }

    /// Drops the fragments that have expired, and tells the senders whose first fragment arrived
    /// (RFC 792; RFC 8200, 4.5). A driver that never received a fragment does not look.
    pub(super) fn expire_fragments(&mut self, now: Instant) {
        let mut first = std::mem::take(&mut self.reassembled);
        while self.fragments_until.is_some_and(|at| at <= now)
            && let Some(reassembler) = &self.common.reassembler
        {
            let (expired, until) = reassembler.with(|reassembler| {
                let expired = reassembler.handle_timeout(now, &mut first);
                (expired, reassembler.poll_timeout())
            });
            self.fragments_until = until;
            if expired && let Ok(first) = Packet::parse(&first) {
                self.send_icmp_error(now, &first, IcmpErrorKind::ReassemblyTimeExceeded);
            }
        }
        self.reassembled = first;
    }

    /// Counts a packet that does not parse. Its sender is told of a parameter problem where
    /// RFC 8200, 4.2 to 4.5 asks for that, unless an address is martian.
    #[cold]
    fn refuse_malformed(&mut self, now: Instant, bytes: &[u8], error: ParseError) {
        self.count_drop(DropReason::Malformed(error));
        if !self.common.ipv6 {
            return;
        }
        // The answer to a packet to a group needs a source.
        let own = self.common.own_ipv6.map(IpAddr::V6);
        self.send_limited(now, |out| {
            icmp::malformed_reply(out, bytes)
                || own.is_some_and(|own| icmp::malformed_reply_from(out, own, bytes))
        });
    }

    /// Takes the filter's verdict on a packet and passes the packet to the engine of its protocol.
    fn deliver(&mut self, now: Instant, packet: Packet<'_>, how: Arrived) {
        match verdict(&self.filter, &packet, Direction::Inbound) {
            Some(Verdict::Pass) => {}
            Some(verdict) => return self.stop_inbound(now, verdict, &packet, how),
            None => return self.count_drop(DropReason::FilterPanicked),
        }
        if !how.verified && !packet.verify_checksum() {
            return self.count_drop(DropReason::BadChecksum);
        }
        match packet.protocol() {
            Protocol::Tcp => self.engines.tcp.handle_packet(now, packet.bytes(), &packet),
            Protocol::Udp => self.deliver_datagram(now, &packet, how),
            Protocol::Icmpv4 | Protocol::Icmpv6 => self.handle_icmp(now, &packet, how),
            _ if self.engines.raw.handle_raw(&packet) != RawReceived::NoListener => {}
            protocol => {
                self.count_drop(DropReason::UnknownProtocol);
                if protocol != IPV6_NO_NEXT_HEADER || !packet.key().is_ipv6() {
                    self.send_icmp_error(now, &packet, Unreachable::Protocol);
                }
            }
        }
    }

    /// Passes a datagram, or a batch of datagrams as the device has coalesced it, to UDP.
    fn deliver_datagram(&mut self, now: Instant, packet: &Packet<'_>, how: Arrived) {
        if !is_unicast(packet.destination()) {
            // Beside the socket for all addresses, as on Linux.
            self.engines.raw.handle_raw(packet);
        }
        let arrival = Arrival::new()
            .gso_size(how.meta.gso_size)
            .reassembled(how.reassembled);
        match self.engines.udp.handle_packet(now, packet, arrival) {
            Received::Queued { congested } => self.udp_congested |= congested,
            Received::NoListener => self.send_icmp_error(now, packet, Unreachable::Port),
            Received::TooBig { mtu } => self.send_too_big(now, packet, mtu),
            _ => {} // dropped and counted
        }
    }
}
