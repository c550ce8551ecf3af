//! From the client to the hosts.

use super::{Session, count};
use crate::Hop;
use crate::host::{Fields, HostUdpSocket, UdpTransmit, is_shortage, path_mtu};
use brooklet::{Datagram, IcmpErrorKind, Unreachable, icmp_error_of};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

/// The most mapped destinations that a session remembers.
const MAPPED: usize = 256;

/// The smallest MTU of IPv6 (RFC 8200, section 5).
const LEAST_IPV6: u32 = 1280;

/// Datagrams of the client that the host has not sent yet.
pub(super) struct Unsent {
    /// The datagrams, and for each one what the host sends it with.
    datagrams: Vec<Datagram>,
    onward: Vec<Onward>,
    /// How many of them are done.
    done: usize,
}

/// Where the host sends a datagram, and with which fields of the IP header.
#[derive(Clone, Copy)]
struct Onward {
    to: SocketAddr,
    fields: Fields,
}

impl Unsent {
    /// Returns the next datagrams for the host's socket of one IP version, and whether that is IPv6;
    /// `None` if all are done.
    fn next(&self) -> Option<(bool, Vec<UdpTransmit<'_>>)> {
        let left = self.datagrams.iter().zip(&self.onward).skip(self.done);
        let ipv6 = self.onward.get(self.done)?.to.is_ipv6();
        let family = left.take_while(|(_, onward)| onward.to.is_ipv6() == ipv6);
        let transmits = family.map(|(datagram, onward)| UdpTransmit {
            to: onward.to,
            payload: &datagram.payload,
            fields: onward.fields,
            segment_size: datagram.segment_size,
        });
        Some((ipv6, transmits.collect()))
    }
}

impl Session {
    /// Sends the datagrams of the client, or tells the client why they cannot be sent.
    pub(super) fn outbound(&mut self, mut datagrams: Vec<Datagram>) {
        let mut onward = Vec::with_capacity(datagrams.len());
        datagrams.retain(|datagram| {
            let next = self.onward(datagram);
            onward.extend(next);
            next.is_some()
        });
        self.send_unsent(Unsent {
            datagrams,
            onward,
            done: 0,
        });
    }

    /// Waits until a socket of the host has room for the next datagrams, and sends them. Returns how
    /// many were sent, or the error of the first.
    pub(super) fn poll_send(
        &self,
        cx: &mut Context<'_>,
        unsent: &Unsent,
    ) -> Poll<io::Result<usize>> {
        match unsent.next() {
            Some((ipv6, transmits)) => match self.socket(ipv6) {
                Some(socket) => socket.poll_send_batch(cx, &transmits),
                None => Poll::Ready(Err(ErrorKind::NotConnected.into())),
            },
            None => Poll::Ready(Ok(0)),
        }
    }

    /// Takes in what [`poll_send`](Self::poll_send) has returned, and goes on.
    pub(super) fn sent(&mut self, sent: io::Result<usize>) {
        if let Some(mut unsent) = self.unsent.take() {
            let done = unsent.done;
            unsent.done += self.note(&unsent.datagrams[done..], unsent.onward[done], sent);
            self.send_unsent(unsent);
        }
    }

    /// Sends what waits, as far as the sockets of the host have room.
    fn send_unsent(&mut self, mut unsent: Unsent) {
        while let Some((ipv6, transmits)) = unsent.next() {
            let (done, full) = self.send(&unsent, ipv6, &transmits);
            unsent.done += done;
            if full {
                self.unsent = Some(unsent);
                return;
            }
        }
    }

    /// Sends the next datagrams. Returns how many are done, and whether the buffer of the host's
    /// socket is full.
    fn send(&mut self, unsent: &Unsent, ipv6: bool, next: &[UdpTransmit<'_>]) -> (usize, bool) {
        let datagrams = &unsent.datagrams[unsent.done..];
        let socket = match self.bind(ipv6) {
            Ok(()) => self.socket(ipv6),
            Err(error) => {
                self.unbound(&datagrams[0], &error);
                return (1, false);
            }
        };
        let mut done = 0;
        while let Some(socket) = socket
            && done < next.len()
        {
            match socket.send_batch(&next[done..]) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return (done, true),
                sent => {
                    let onward = unsent.onward[unsent.done + done];
                    done += self.note(&datagrams[done..], onward, sent);
                }
            }
        }
        (done, false)
    }

    /// Counts what the host has sent of these datagrams, or answers the first one, which failed.
    /// Returns how many are done.
    fn note(&self, datagrams: &[Datagram], first: Onward, sent: io::Result<usize>) -> usize {
        match sent {
            Ok(sent) => {
                let counters = &self.relay.counters;
                let sent = &datagrams[..sent];
                counters.datagrams_up.add(sent.iter().map(count).sum());
                let bytes = sent.iter().map(|datagram| datagram.payload.len() as u64);
                counters.datagram_bytes_up.add(bytes.sum());
                sent.len()
            }
            Err(error) => {
                self.failed(&datagrams[0], first, &error);
                1
            }
        }
    }

    fn count_unmapped(&self, datagram: &Datagram) {
        let counters = &self.relay.counters;
        counters.datagrams_unmapped.add(count(datagram));
    }

    /// Returns where the datagram goes; `None` if it goes nowhere, which the client is told.
    fn onward(&mut self, datagram: &Datagram) -> Option<Onward> {
        let limit = datagram.hop_limit.unwrap_or(64);
        let (to, hop_limit) = match self.relay.hop(datagram.to, limit) {
            Hop::On(host, hop_limit) => (host, hop_limit),
            Hop::Exceeded => {
                let counters = &self.relay.counters;
                counters.datagrams_hop_limit_exceeded.add(count(datagram));
                let router = self.relay.router(datagram.to.ip());
                self.reject(datagram, Some(router), IcmpErrorKind::HopLimitExceeded);
                return None;
            }
            Hop::Refused => {
                self.count_unmapped(datagram);
                self.reject(datagram, None, Unreachable::Port);
                return None;
            }
            Hop::Rejected(kind) => {
                self.count_unmapped(datagram);
                let router = self.relay.router(datagram.to.ip());
                self.reject(datagram, Some(router), kind);
                return None;
            }
            Hop::Dropped => {
                self.count_unmapped(datagram);
                return None;
            }
        };
        if to != datagram.to {
            if self.mapped.len() >= MAPPED {
                self.mapped.clear();
            }
            self.mapped.insert(to, datagram.to);
        }
        let fields = Fields {
            hop_limit,
            traffic_class: datagram.traffic_class,
            dont_fragment: datagram.dont_fragment,
        };
        Some(Onward { to, fields })
    }

    /// Binds the host's socket of this IP version, unless there is one.
    fn bind(&mut self, ipv6: bool) -> io::Result<()> {
        let place = if ipv6 { &mut self.ipv6 } else { &mut self.ipv4 };
        if place.is_none() {
            *place = Some(HostUdpSocket::bind(ipv6)?);
        }
        Ok(())
    }

    fn socket(&self, ipv6: bool) -> Option<&HostUdpSocket> {
        let place = if ipv6 { &self.ipv6 } else { &self.ipv4 };
        place.as_ref()
    }

    /// Answers a datagram for which the host has no socket: too many files are open, for example.
    /// That is no refusal of the remote host.
    fn unbound(&self, datagram: &Datagram, error: &io::Error) {
        let counters = &self.relay.counters;
        let counter = match is_shortage(error) {
            true => &counters.datagrams_out_of_files,
            false => &counters.datagrams_unreachable,
        };
        counter.add(count(datagram));
        let router = self.relay.router(datagram.to.ip());
        // For a shortage that is "prohibited", which Linux reports to a client as unreachable. It
        // reports "host unreachable" to no UDP socket, unless the socket asks for all errors.
        let kind = icmp_error_of(error).unwrap_or_else(|| Unreachable::Host.into());
        self.reject(datagram, Some(router), kind);
    }

    /// Answers a datagram that the host could not send, or sends those of a batch one by one.
    fn failed(&self, datagram: &Datagram, onward: Onward, error: &io::Error) {
        let Some(size) = datagram.segment_size else {
            return self.refused(datagram, &datagram.payload, onward, error);
        };
        for payload in datagram.payload.chunks(size.get().into()) {
            if let Err(error) = self.send_one(payload, onward) {
                self.refused(datagram, payload, onward, &error);
            }
        }
    }

    fn send_one(&self, payload: &[u8], onward: Onward) -> io::Result<()> {
        let Some(socket) = self.socket(onward.to.is_ipv6()) else {
            return Err(ErrorKind::NotConnected.into());
        };
        let one = UdpTransmit {
            to: onward.to,
            payload,
            fields: onward.fields,
            segment_size: None,
        };
        socket.send_batch(&[one])?;
        let counters = &self.relay.counters;
        counters.datagrams_up.count();
        counters.datagram_bytes_up.add(payload.len() as u64);
        Ok(())
    }

    /// Answers one datagram with this payload that the host could not send.
    fn refused(&self, datagram: &Datagram, payload: &[u8], onward: Onward, error: &io::Error) {
        let counters = &self.relay.counters;
        let to = datagram.to;
        let router = Some(self.relay.router(to.ip()));
        let addresses = (datagram.from, to);
        if let Some(mtu) = too_big(error, onward.to.ip()) {
            let is_new = self.relay.stack.learn_path_mtu(to.ip(), mtu as usize);
            // A client that fragments its datagrams cannot be told apart by IPv6 datagrams: they
            // are all "don't fragment". It has been told the MTU before.
            if to.is_ipv4() || is_new {
                let kind = Unreachable::PacketTooBig { mtu };
                self.relay.reject(addresses, payload, router, kind);
            }
            let fragmented = Onward {
                fields: Fields {
                    dont_fragment: false,
                    ..onward.fields
                },
                ..onward
            };
            if to.is_ipv4() || self.send_one(payload, fragmented).is_err() {
                counters.datagrams_too_big.count();
            }
        } else if error.kind() == ErrorKind::WouldBlock || is_shortage(error) {
            counters.datagrams_queue_full.count(); // lost, as at a router whose queue is full
        } else if let Some(kind) = icmp_error_of(error) {
            counters.datagrams_unreachable.count();
            self.relay.reject(addresses, payload, router, kind);
        } else {
            counters.datagrams_dropped.count();
        }
    }

    fn reject(&self, datagram: &Datagram, router: Option<IpAddr>, kind: impl Into<IcmpErrorKind>) {
        let addresses = (datagram.from, datagram.to);
        let size = datagram
            .segment_size
            .map_or(usize::MAX, |size| size.get().into());
        let payload = &datagram.payload[..datagram.payload.len().min(size)];
        self.relay.reject(addresses, payload, router, kind);
    }
}

/// Returns the path MTU to `to` if the error says that a packet exceeds it.
pub(crate) fn too_big(error: &io::Error, to: IpAddr) -> Option<u32> {
    // The number is in the standard library only as a kind that is not stable.
    #[cfg(unix)]
    let is_too_long = error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error());
    #[cfg(not(unix))]
    let is_too_long = error.raw_os_error() == Some(10_040); // WSAEMSGSIZE
    let least = if to.is_ipv6() { LEAST_IPV6 } else { 0 };
    is_too_long
        .then(|| path_mtu(to).ok())?
        .map(|mtu| mtu.max(least))
}
