use brooklet_packet::{Packet, is_unicast};
use std::{rc::Rc, sync::Arc};

/// Which way a packet goes, seen from the program that owns the TUN device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the device into the program: what the applications of the machine send.
    Inbound,
    /// From the program to the device: what the applications of the machine receive.
    Outbound,
}

/// What is to become of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// It goes on.
    Pass,
    /// It vanishes; nobody is told.
    Drop,
}

/// Gives a verdict on each packet.
///
/// A closure `Fn(&Packet<'_>, Direction) -> Verdict` is a filter, and so is an [`Arc`] or [`Rc`]
/// of one and a boxed `dyn Filter`. A filter need not be [`Send`]; where it runs decides.
///
/// ```
/// use brooklet_filter::{Direction, Filter, Verdict};
/// use brooklet_packet::{Packet, udp};
///
/// let short = |packet: &Packet<'_>, _| match packet.total_len() {
///     ..=576 => Verdict::Pass,
///     _ => Verdict::Drop,
/// };
///
/// let mut bytes = Vec::new();
/// udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "192.0.2.7:53".parse()?, 64, &[0; 600])?;
/// let packet = Packet::parse(&bytes)?;
/// assert_eq!(short.verdict(&packet, Direction::Inbound), Verdict::Drop);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Filter {
    /// The verdict on `packet`, which goes in `direction`.
    fn verdict(&self, packet: &Packet<'_>, direction: Direction) -> Verdict;
}

impl<T: Fn(&Packet<'_>, Direction) -> Verdict> Filter for T {
    fn verdict(&self, packet: &Packet<'_>, direction: Direction) -> Verdict {
        self(packet, direction)
    }
}

impl<T: ?Sized + Filter> Filter for Arc<T> {
    fn verdict(&self, packet: &Packet<'_>, direction: Direction) -> Verdict {
        (**self).verdict(packet, direction)
    }
}

impl<T: ?Sized + Filter> Filter for Rc<T> {
    fn verdict(&self, packet: &Packet<'_>, direction: Direction) -> Verdict {
        (**self).verdict(packet, direction)
    }
}

// A `Box<T>` or `&T` for every `T` would clash with the closures: both are functions when `T` is.
macro_rules! behind_a_box {
    ($($filter:ty),*) => {$(
        impl Filter for $filter {
            fn verdict(&self, packet: &Packet<'_>, direction: Direction) -> Verdict {
                (**self).verdict(packet, direction)
            }
        }
    )*};
}
behind_a_box!(
    Box<dyn Filter>,
    Box<dyn Filter + Send>,
    Box<dyn Filter + Send + Sync>
);

/// Lets everything pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PassAll;

impl Filter for PassAll {
    fn verdict(&self, _: &Packet<'_>, _: Direction) -> Verdict {
        Verdict::Pass
    }
}

/// Drops packets whose source or destination is not the address of one host, and lets the rest
/// pass: multicast and broadcast, the unspecified address, reserved ranges; see [`is_unicast`].
///
/// It keeps out what a machine says to its neighbours, such as mDNS and neighbour discovery.
///
/// ```
/// use brooklet_filter::{Direction, Filter, UnicastOnly, Verdict};
/// use brooklet_packet::{Packet, udp};
///
/// let mut bytes = Vec::new();
/// udp::write(&mut bytes, "10.0.0.1:5353".parse()?, "224.0.0.251:5353".parse()?, 1, b"mdns")?;
/// let packet = Packet::parse(&bytes)?;
/// assert_eq!(UnicastOnly.verdict(&packet, Direction::Inbound), Verdict::Drop);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnicastOnly;

impl Filter for UnicastOnly {
    fn verdict(&self, packet: &Packet<'_>, _: Direction) -> Verdict {
        if is_unicast(packet.source()) && is_unicast(packet.destination()) {
            Verdict::Pass
        } else {
            Verdict::Drop
        }
    }
}
