//! Packets with the fields of their IP headers: `sendmsg` and `recvmsg` with control messages.

use super::Fields;
use super::error_queue::address;
use brooklet::TrafficClass;
use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
    sockopt,
};
use rustix::net::sockopt as pmtu;
use std::cell::RefCell;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, Ordering};

thread_local! {
    /// Where packets arrive before their length is known.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 65_536]);
}

/// How often a call tries again when the kernel returns the error of an earlier packet.
pub(super) const EARLIER_ERRORS: usize = 8;

/// A socket of the host, and whether packets leave it with "don't fragment" set.
#[derive(Debug)]
pub(super) struct Messages {
    ipv6: bool,
    dont_fragment: AtomicBool,
}

impl Messages {
    /// Asks the kernel for the fields of the packets that arrive.
    pub(super) fn new(socket: &impl AsFd, ipv6: bool) -> io::Result<Self> {
        if ipv6 {
            setsockopt(socket, sockopt::Ipv6RecvHopLimit, &true)?;
            setsockopt(socket, sockopt::Ipv6RecvTClass, &true)?;
        } else {
            setsockopt(socket, sockopt::Ipv4RecvTtl, &true)?;
            setsockopt(socket, sockopt::IpRecvTos, &true)?;
        }
        let dont_fragment = AtomicBool::new(false);
        discover(socket, ipv6, false)?;
        Ok(Self {
            ipv6,
            dont_fragment,
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
        // The kernel has no control message for it.
        if self.dont_fragment.load(Ordering::Relaxed) != fields.dont_fragment {
            discover(socket, self.ipv6, fields.dont_fragment)?;
            self.dont_fragment
                .store(fields.dont_fragment, Ordering::Relaxed);
        }
        // The kernel refuses a time to live of 0. For the hop limit of IPv6, -1 is its default.
        let hop_limit = fields.hop_limit.map(|limit| i32::from(limit.max(1)));
        let (tos, class) = (
            fields.traffic_class.bits(),
            i32::from(fields.traffic_class.bits()),
        );
        let mut control = Vec::with_capacity(2);
        if let Some(limit) = &hop_limit {
            control.push(if self.ipv6 {
                ControlMessage::Ipv6HopLimit(limit)
            } else {
                ControlMessage::Ipv4Ttl(limit)
            });
        }
        if tos != 0 {
            control.push(if self.ipv6 {
                ControlMessage::Ipv6TClass(&class)
            } else {
                ControlMessage::Ipv4Tos(&tos)
            });
        }
        let fd = socket.as_fd().as_raw_fd();
        let parts = [IoSlice::new(payload)];
        let to = SockaddrStorage::from(to);
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let mut result = Ok(());
        for attempt in 0..EARLIER_ERRORS {
            result = sendmsg(fd, &parts, &control, flags, Some(&to))
                .map(drop)
                .map_err(io::Error::from);
            // The kernel returns the ICMP error about an earlier packet once, instead of sending
            // this one. The report of that error stays in the queue. Each packet that is too long
            // adds a report, so once more is enough.
            match &result {
                Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) && attempt > 0 => break,
                Err(error) if is_icmp(error) => {}
                _ => break,
            }
        }
        result
    }

    /// Takes one packet from the socket without waiting.
    pub(super) fn receive(
        &self,
        socket: &impl AsFd,
    ) -> io::Result<(Vec<u8>, Option<SocketAddr>, Fields)> {
        BUFFER.with_borrow_mut(|buffer| {
            let mut space = nix::cmsg_space!(libc::c_int, libc::c_int);
            let mut fields = Fields::default();
            let (length, from) = {
                let mut parts = [IoSliceMut::new(buffer)];
                let fd = socket.as_fd().as_raw_fd();
                let flags = MsgFlags::MSG_DONTWAIT;
                let message = recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut space), flags)?;
                for cmsg in message.cmsgs()? {
                    match cmsg {
                        ControlMessageOwned::Ipv4Ttl(limit)
                        | ControlMessageOwned::Ipv6HopLimit(limit) => {
                            fields.hop_limit = limit.try_into().ok();
                        }
                        ControlMessageOwned::Ipv4Tos(tos) => {
                            fields.traffic_class = TrafficClass::from_bits(tos);
                        }
                        ControlMessageOwned::Ipv6TClass(class) => {
                            fields.traffic_class = TrafficClass::from_bits(class as u8);
                        }
                        _ => {}
                    }
                }
                (message.bytes, message.address.as_ref().and_then(address))
            };
            Ok((buffer[..length].to_vec(), from, fields))
        })
    }
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
    use libc::{EACCES, ECONNREFUSED, EHOSTUNREACH, EMSGSIZE, ENETUNREACH, ENOPROTOOPT, EPROTO};
    matches!(
        error.raw_os_error(),
        Some(EACCES | ECONNREFUSED | EHOSTUNREACH | EMSGSIZE | ENETUNREACH | ENOPROTOOPT | EPROTO)
    )
}
