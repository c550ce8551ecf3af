//! What stands at the other end of the wire.

use crate::app::{Log, Setup};
use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;
use std::time::Duration;

/// The address that is connected to, and on which the kernel listens.
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
pub(crate) const SERVER6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1);
/// The client.
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
pub(crate) const CLIENT6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2);

pub(crate) const MTU: usize = 1500;

/// A stack with an application on it, and our end of its wire. Time passes, and the application
/// runs, only in `rx`.
pub(crate) trait Backend {
    /// Puts a packet on the wire.
    fn tx(&mut self, packet: &[u8]) -> io::Result<()>;

    /// The next packet, if one comes within this time.
    fn rx(&mut self, within: Duration) -> io::Result<Option<Vec<u8>>>;

    /// Time since the case began.
    fn now(&self) -> Duration;

    /// What happened in the application.
    fn log(&self) -> &Rc<RefCell<Log>>;
}

/// The backends there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum BackendKind {
    /// The kernel, behind a TUN.
    Linux,
    /// brooklet in this process, in virtual time.
    Sim,
    /// brooklet behind a TUN.
    Tun,
}

impl BackendKind {
    pub(crate) const ALL: [Self; 3] = [Self::Linux, Self::Sim, Self::Tun];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::Sim => "sim",
            Self::Tun => "tun",
        }
    }

    /// Opens it for one case, on the calling thread.
    pub(crate) fn open(self, setup: Setup) -> io::Result<Box<dyn Backend>> {
        match self {
            Self::Sim => Ok(Box::new(crate::sim::Sim::new(setup)?)),
            #[cfg(target_os = "linux")]
            Self::Linux => Ok(Box::new(crate::real::Real::kernel(setup)?)),
            #[cfg(target_os = "linux")]
            Self::Tun => Ok(Box::new(crate::real::Real::brooklet(setup)?)),
            #[cfg(not(target_os = "linux"))]
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Why it cannot run here.
    pub(crate) fn missing(self) -> Option<String> {
        if self == Self::Sim {
            return None;
        }
        #[cfg(target_os = "linux")]
        return crate::real::missing();
        #[cfg(not(target_os = "linux"))]
        Some("needs Linux".into())
    }
}

/// Whether a packet is of the case, and not of the neighbourhood (router solicitations, reports
/// of multicast groups).
#[cfg(target_os = "linux")]
pub(crate) fn concerns(packet: &[u8]) -> bool {
    let to = match packet.first().map(|byte| byte >> 4) {
        Some(4) => packet
            .get(16..20)
            .and_then(|to| <[u8; 4]>::try_from(to).ok())
            .map(IpAddr::from),
        Some(6) => packet
            .get(24..40)
            .and_then(|to| <[u8; 16]>::try_from(to).ok())
            .map(IpAddr::from),
        _ => None,
    };
    match to {
        Some(IpAddr::V4(to)) => to.octets()[..3] == CLIENT.octets()[..3] && !to.is_broadcast(),
        Some(IpAddr::V6(to)) => to.segments()[0] == CLIENT6.segments()[0],
        None => true,
    }
}
