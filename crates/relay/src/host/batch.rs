//! Several datagrams in one system call (`sendmmsg`, `recvmmsg`), and several of one flow in one
//! message (`UDP_SEGMENT`, `UDP_GRO`).

use super::error_queue::{self, address};
use super::messages::{
    EARLIER_ERRORS, LONGEST, Messages, PACKETS, Values, fields, flags, is_icmp, with_buffer,
};
use super::{UdpArrival, UdpTransmit};
use nix::libc;
use nix::sys::socket::{
    MsgFlags, MultiHeaders, SockaddrIn, SockaddrIn6, SockaddrLike, SockaddrStorage, recvmmsg,
    sendmmsg, setsockopt, sockopt,
};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::Ordering;

/// The most datagrams in one message, as many as every kernel takes (`UDP_MAX_SEGMENTS`).
const SEGMENTS: usize = 64;

/// The most bytes of payload in one message, for both IP versions.
const PAYLOAD: usize = 65_507;

/// The most messages in one system call.
const MESSAGES: usize = 64;

/// The most reports that one call takes from the error queue.
const REPORTS: usize = 64;

impl Messages {
    /// Sends the first of the datagrams and as many of the next ones as one call takes, without
    /// waiting. Returns how many were sent.
    pub(super) fn send_batch(
        &self,
        socket: &impl AsFd,
        transmits: &[UdpTransmit<'_>],
    ) -> io::Result<usize> {
        let Some(first) = transmits.first() else {
            return Ok(0);
        };
        self.set_dont_fragment(socket, first.fields.dont_fragment)?;
        if first.segment_size.is_some() {
            let parts = [IoSlice::new(first.payload)];
            self.send_parts(socket, first.to, &parts, first.fields, first.segment_size)?;
            return Ok(1);
        }
        let segments = self.segments(transmits);
        if segments > 1 {
            let parts: Vec<IoSlice<'_>> = payloads(&transmits[..segments]).collect();
            let size = NonZeroU16::new(first.payload.len() as u16);
            match self.send_parts(socket, first.to, &parts, first.fields, size) {
                Ok(()) => return Ok(segments),
                // The host takes no datagrams of this length in a batch, because it has to fragment
                // them, for example. Or it may not fragment them: then each has its own error.
                Err(error) if !takes_no_batch(&error) => return Err(error),
                Err(_) => {
                    let shorter = first.payload.len().saturating_sub(1) as u16;
                    self.longest_segment.store(shorter, Ordering::Relaxed);
                }
            }
        }
        self.send_messages(socket, &transmits[..self.messages(transmits)])
    }

    /// Returns how many of the datagrams, from the first on, fit into one message.
    fn segments(&self, transmits: &[UdpTransmit<'_>]) -> usize {
        let [first, second, ..] = transmits else {
            return 1;
        };
        if !self.joins(first, second) {
            return 1;
        }
        let (mut count, mut bytes) = (1, first.payload.len());
        for next in &transmits[1..transmits.len().min(SEGMENTS)] {
            let length = next.payload.len();
            if !self.joins(first, next) || bytes + length > PAYLOAD {
                break;
            }
            count += 1;
            bytes += length;
            if length < first.payload.len() {
                break; // only the last one may be shorter
            }
        }
        count
    }

    /// Returns whether `next` can be in one message with `first`.
    fn joins(&self, first: &UdpTransmit<'_>, next: &UdpTransmit<'_>) -> bool {
        let longest = self.longest_segment.load(Ordering::Relaxed).into();
        (1..=longest).contains(&first.payload.len())
            && (1..=first.payload.len()).contains(&next.payload.len())
            && (first.to, first.fields) == (next.to, next.fields)
            && next.segment_size.is_none()
            && first.payload.len() + next.payload.len() <= PAYLOAD
    }

    /// Returns how many of the datagrams, from the first on, go into one call as messages of one
    /// datagram each. They share their control messages.
    fn messages(&self, transmits: &[UdpTransmit<'_>]) -> usize {
        let first = &transmits[0];
        let more = transmits[1..].windows(2).map(Some).chain([None]);
        let more = transmits[1..].iter().zip(more).take_while(|(next, pair)| {
            next.fields == first.fields
                && next.segment_size.is_none()
                && !pair.is_some_and(|pair| self.joins(&pair[0], &pair[1]))
        });
        1 + more.take(MESSAGES - 1).count()
    }

    /// Sends each of the datagrams as a message of its own.
    fn send_messages(
        &self,
        socket: &impl AsFd,
        transmits: &[UdpTransmit<'_>],
    ) -> io::Result<usize> {
        match transmits {
            [one] => {
                let parts = [IoSlice::new(one.payload)];
                self.send_parts(socket, one.to, &parts, one.fields, None)?;
                Ok(1)
            }
            _ if self.ipv6 => self.send_several(socket, transmits, |to| match to {
                SocketAddr::V6(to) => Some(SockaddrIn6::from(to)),
                SocketAddr::V4(_) => None,
            }),
            _ => self.send_several(socket, transmits, |to| match to {
                SocketAddr::V4(to) => Some(SockaddrIn::from(to)),
                SocketAddr::V6(_) => None,
            }),
        }
    }

    fn send_several<S: SockaddrLike + Copy>(
        &self,
        socket: &impl AsFd,
        transmits: &[UdpTransmit<'_>],
        address: impl Fn(SocketAddr) -> Option<S>,
    ) -> io::Result<usize> {
        let addresses: Vec<Option<S>> = transmits.iter().map(|next| address(next.to)).collect();
        if addresses.iter().any(Option::is_none) {
            return Err(ErrorKind::InvalidInput.into()); // the other IP version
        }
        let parts: Vec<[IoSlice<'_>; 1]> = payloads(transmits).map(|part| [part]).collect();
        let values = Values::new(transmits[0].fields, None);
        let control = values.control(self.ipv6);
        // The kernel reads the whole room for control messages, so there is none too much.
        let room = || match control.len() {
            0 => None,
            1 => Some(nix::cmsg_space!(libc::c_int)),
            _ => Some(nix::cmsg_space!(libc::c_int, libc::c_int)),
        };
        let fd = socket.as_fd().as_raw_fd();
        self.retry(|| {
            let mut headers = MultiHeaders::preallocate(transmits.len(), room());
            let sent = sendmmsg(fd, &mut headers, &parts, &addresses, &control, flags())?;
            Ok(sent.count())
        })
    }

    /// Appends the datagrams that have arrived, and the errors about datagrams that were sent.
    /// Returns whether the socket is known to have no more.
    pub(super) fn receive_batch(
        &self,
        socket: &impl AsFd,
        arrivals: &mut Vec<UdpArrival>,
    ) -> io::Result<bool> {
        let unused = !self.used.swap(true, Ordering::Relaxed);
        for _ in 0..EARLIER_ERRORS {
            let error = match self.receive_datagrams(socket, arrivals) {
                Ok(emptied) => {
                    // The next call looks for the report.
                    return Ok(emptied && !self.report_left.swap(false, Ordering::Relaxed));
                }
                Err(error) => error,
            };
            let found_nothing = error.kind() == ErrorKind::WouldBlock;
            if found_nothing && unused && !self.report_left.load(Ordering::Relaxed) {
                return Err(error); // no datagram was answered yet, by an error either
            }
            // An error that the host found by itself makes the socket readable, and no call fail.
            self.report_left.store(false, Ordering::Relaxed);
            let before = arrivals.len();
            let reports = std::iter::from_fn(|| error_queue::take(socket));
            arrivals.extend(reports.take(REPORTS).map(UdpArrival::Report));
            if arrivals.len() > before {
                return Ok(found_nothing && arrivals.len() - before < REPORTS);
            }
            if !is_icmp(&error) {
                return Err(error);
            }
        }
        // Each call has cleared an error without a report. Datagrams may wait behind the errors.
        Ok(false)
    }

    /// Appends the datagrams that have arrived. Returns whether there were fewer than there was room
    /// for: then the socket is empty.
    fn receive_datagrams(
        &self,
        socket: &impl AsFd,
        arrivals: &mut Vec<UdpArrival>,
    ) -> io::Result<bool> {
        let received = with_buffer(|buffer| {
            let mut parts: Vec<[IoSliceMut<'_>; 1]> = buffer
                .chunks_mut(LONGEST)
                .map(|part| [IoSliceMut::new(part)])
                .collect();
            // The kernel changes the headers, so each call has new ones.
            let space = nix::cmsg_space!(libc::c_int, libc::c_int, libc::c_int);
            let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(PACKETS, Some(space));
            let fd = socket.as_fd().as_raw_fd();
            let flags = MsgFlags::MSG_DONTWAIT;
            let mut received = 0;
            for message in recvmmsg(fd, &mut headers, parts.iter_mut(), flags, None)? {
                received += 1;
                let (fields, segment_size) = fields(&message)?;
                // The kernel names the sender of every datagram.
                let Some(from) = message.address.as_ref().and_then(address) else {
                    continue;
                };
                let payload = message.iovs().next().unwrap_or_default().to_vec();
                arrivals.push(UdpArrival::Datagram {
                    from,
                    segment_size: segment_size
                        .filter(|size| usize::from(size.get()) < payload.len()),
                    payload,
                    fields,
                });
            }
            Ok::<_, io::Error>(received)
        })?;
        // A client that receives one datagram at a time needs no coalescing.
        if received > 1 && !self.gro.swap(true, Ordering::Relaxed) {
            let _ = setsockopt(socket, sockopt::UdpGroSegment, &true); // since Linux 5.0
        }
        Ok(received < PACKETS)
    }
}

/// Returns whether the error may be about a batch and not about its datagrams.
fn takes_no_batch(error: &io::Error) -> bool {
    use libc::{EINVAL, EIO, EMSGSIZE};
    matches!(error.raw_os_error(), Some(EINVAL | EIO | EMSGSIZE))
}

fn payloads<'a>(transmits: &'a [UdpTransmit<'_>]) -> impl Iterator<Item = IoSlice<'a>> {
    transmits.iter().map(|next| IoSlice::new(next.payload))
}

#[cfg(test)]
mod tests;
