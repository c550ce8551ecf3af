//! Packets with the fields of their IP headers: `sendmsg` and `recvmsg` with control messages.

use super::error_queue::address;
use super::{Fields, error_queue};
use brooklet::TrafficClass;
use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, RecvMsg, SockaddrStorage, recvmsg, sendmsg,
    setsockopt, sockopt,
};
use rustix::net::sockopt as pmtu;
use std::cell::RefCell;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, Ordering};

/// The longest packet that a socket receives, or more.
pub(super) const LONGEST: usize = 65_536;

/// The most packets that one call receives.
pub(super) const PACKETS: usize = 16;

/// How often a call tries again when the kernel returns the error of an earlier packet.
pub(super) const EARLIER_ERRORS: usize = 8;

thread_local! {
    /// Where packets arrive before their lengths are known. The kernel gives memory to the pages
    /// that packets have reached only.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; PACKETS * LONGEST]);
}

/// Runs `receive` with the buffer of the thread, which has room for [`PACKETS`] packets.
pub(super) fn with_buffer<R>(receive: impl FnOnce(&mut [u8]) -> R) -> R {
    BUFFER.with_borrow_mut(|buffer| receive(buffer))
}

/// What a socket of the host keeps beside its descriptor. A session has one, so it is small: the
/// buffers belong to the thread.
#[derive(Debug)]
pub(super) struct Messages {
    pub(super) ipv6: bool,
    /// Whether packets leave the socket with "don't fragment" set; unknown before the first one.
    dont_fragment: AtomicU8,
    /// The length of the longest datagrams that the host takes in batches.
    pub(super) longest_segment: AtomicU16,
    /// Whether the kernel coalesces datagrams that arrive.
    pub(super) gro: AtomicBool,
    /// Whether a packet was received, or looked for.
    pub(super) used: AtomicBool,
    /// Whether an error of an earlier packet came out of a call that sends. Its report is in the
    /// error queue, and the next call that receives does not fail for it.
    pub(super) report_left: AtomicBool,
}

impl Messages {
    /// Asks the kernel for the fields of the packets that arrive, and for the ICMP errors.
    pub(super) fn new(socket: &impl AsFd, ipv6: bool) -> io::Result<Self> {
        error_queue::enable(socket, ipv6, true)?;
        if ipv6 {
            setsockopt(socket, sockopt::Ipv6RecvHopLimit, &true)?;
            setsockopt(socket, sockopt::Ipv6RecvTClass, &true)?;
        } else {
            setsockopt(socket, sockopt::Ipv4RecvTtl, &true)?;
            setsockopt(socket, sockopt::IpRecvTos, &true)?;
        }
        Ok(Self {
            ipv6,
            dont_fragment: AtomicU8::new(UNKNOWN),
            longest_segment: AtomicU16::new(u16::MAX),
            gro: AtomicBool::new(false),
            used: AtomicBool::new(false),
            report_left: AtomicBool::new(false),
        })
    }

    /// Sends one packet without waiting.
    pub(super) fn send(
        &self,
        socket: &impl AsFd,
        to: SocketAddr,
        payload: &[u8],
        fields: Fields,
    ) -> io::Result<()> {
        self.set_dont_fragment(socket, fields.dont_fragment)?;
        self.send_parts(socket, to, &[IoSlice::new(payload)], fields, None)
    }

    /// Sends one packet, or one batch of datagrams, from several parts. "Don't fragment" is set
    /// already.
    pub(super) fn send_parts(
        &self,
        socket: &impl AsFd,
        to: SocketAddr,
        parts: &[IoSlice<'_>],
        fields: Fields,
        segment_size: Option<NonZeroU16>,
    ) -> io::Result<()> {
        let fd = socket.as_fd().as_raw_fd();
        let values = Values::new(fields, segment_size);
        let control = values.control(self.ipv6);
        let to = SockaddrStorage::from(to);
        self.retry(|| sendmsg(fd, parts, &control, flags(), Some(&to)).map(drop))
    }

    /// Sends again while the kernel returns the ICMP error about an earlier packet, which it does
    /// once, instead of sending this one. The report of that error stays in the queue.
    pub(super) fn retry<R>(&self, mut send: impl FnMut() -> nix::Result<R>) -> io::Result<R> {
        let mut may_be_own = 0;
        for _ in 1..EARLIER_ERRORS {
            let error = match send() {
                Ok(sent) => return Ok(sent),
                Err(error) => io::Error::from(error),
            };
            if !is_icmp(&error) {
                return Err(error);
            }
            self.report_left.store(true, Ordering::Relaxed);
            // This packet may have the error itself. Each packet that is too long adds an entry to
            // the error queue, so once more is enough.
            may_be_own += usize::from(is_routing(&error));
            if may_be_own == 2 {
                return Err(error);
            }
        }
        Ok(send()?)
    }

    /// Sets "don't fragment" for the packets to come. The kernel has no control message for it.
    pub(super) fn set_dont_fragment(&self, socket: &impl AsFd, on: bool) -> io::Result<()> {
        if self.dont_fragment.load(Ordering::Relaxed) != u8::from(on) {
            discover(socket, self.ipv6, on)?;
            self.dont_fragment.store(u8::from(on), Ordering::Relaxed);
        }
        Ok(())
    }

    /// Takes one packet from the socket without waiting.
    pub(super) fn receive(
        &self,
        socket: &impl AsFd,
    ) -> io::Result<(Vec<u8>, Option<SocketAddr>, Fields)> {
        with_buffer(|buffer| {
            let mut space = nix::cmsg_space!(libc::c_int, libc::c_int);
            let (length, from, fields) = {
                let mut parts = [IoSliceMut::new(&mut buffer[..LONGEST])];
                let fd = socket.as_fd().as_raw_fd();
                let flags = MsgFlags::MSG_DONTWAIT;
                let message = recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut space), flags)?;
                let (fields, _) = fields(&message)?;
                let from = message.address.as_ref().and_then(address);
                (message.bytes, from, fields)
            };
            Ok((buffer[..length].to_vec(), from, fields))
        })
    }
}

/// The value of [`Messages::dont_fragment`] before the first packet.
const UNKNOWN: u8 = 2;

/// The flags of the calls that send.
pub(super) fn flags() -> MsgFlags {
    MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL
}

/// The values that the control messages of a packet point to.
pub(super) struct Values {
    hop_limit: Option<libc::c_int>,
    tos: u8,
    class: libc::c_int,
    segment_size: Option<u16>,
}

impl Values {
    pub(super) fn new(fields: Fields, segment_size: Option<NonZeroU16>) -> Self {
        let class = fields.traffic_class.bits();
        Self {
            // The kernel refuses a time to live of 0. For the hop limit of IPv6, -1 is its default.
            hop_limit: fields.hop_limit.map(|limit| limit.max(1).into()),
            tos: class,
            class: class.into(),
            segment_size: segment_size.map(NonZeroU16::get),
        }
    }

    /// The control messages, without those that say the default.
    pub(super) fn control(&self, ipv6: bool) -> Vec<ControlMessage<'_>> {
        let mut control = Vec::with_capacity(3);
        if let Some(limit) = &self.hop_limit {
            control.push(if ipv6 {
                ControlMessage::Ipv6HopLimit(limit)
            } else {
                ControlMessage::Ipv4Ttl(limit)
            });
        }
        if self.tos != 0 {
            control.push(if ipv6 {
                ControlMessage::Ipv6TClass(&self.class)
            } else {
                ControlMessage::Ipv4Tos(&self.tos)
            });
        }
        if let Some(size) = &self.segment_size {
            control.push(ControlMessage::UdpGsoSegments(size));
        }
        control
    }
}

/// Returns the fields of a packet that arrived, and the length of each datagram of a batch.
pub(super) fn fields<S>(message: &RecvMsg<'_, '_, S>) -> nix::Result<(Fields, Option<NonZeroU16>)> {
    let (mut fields, mut segment_size) = (Fields::default(), None);
    for cmsg in message.cmsgs()? {
        match cmsg {
            ControlMessageOwned::Ipv4Ttl(limit) | ControlMessageOwned::Ipv6HopLimit(limit) => {
                fields.hop_limit = limit.try_into().ok();
            }
            ControlMessageOwned::Ipv4Tos(tos) => {
                fields.traffic_class = TrafficClass::from_bits(tos);
            }
            ControlMessageOwned::Ipv6TClass(class) => {
                fields.traffic_class = TrafficClass::from_bits(class as u8);
            }
            ControlMessageOwned::UdpGroSegments(size) => {
                segment_size = size.try_into().ok().and_then(NonZeroU16::new);
            }
            _ => {}
        }
    }
    Ok((fields, segment_size))
}

/// Sets "don't fragment" for the packets to come, or lets the host fragment them.
fn discover(socket: &impl AsFd, ipv6: bool, dont_fragment: bool) -> io::Result<()> {
    use pmtu::{Ipv4PathMtuDiscovery as V4, Ipv6PathMtuDiscovery as V6};
    if ipv6 {
        let how = if dont_fragment { V6::DO } else { V6::DONT };
        pmtu::set_ipv6_mtu_discover(socket, how)?;
    } else {
        let how = if dont_fragment { V4::DO } else { V4::DONT };
        pmtu::set_ip_mtu_discover(socket, how)?;
    }
    Ok(())
}

/// Returns whether the error may be that of an earlier packet.
pub(super) fn is_icmp(error: &io::Error) -> bool {
    use libc::{ECONNREFUSED, ENOPROTOOPT, EPROTO};
    let number = error.raw_os_error();
    is_routing(error) || matches!(number, Some(ECONNREFUSED | ENOPROTOOPT | EPROTO))
}

/// Returns whether the error may be that of an earlier packet or that of the packet itself: the host
/// has no route, or the packet is too long for it.
fn is_routing(error: &io::Error) -> bool {
    use libc::{EACCES, EHOSTUNREACH, EMSGSIZE, ENETUNREACH};
    matches!(
        error.raw_os_error(),
        Some(EACCES | EHOSTUNREACH | EMSGSIZE | ENETUNREACH)
    )
}
