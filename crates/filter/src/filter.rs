//! Filters: functions from a packet to a verdict.

use crate::{Direction, Verdict};
use brooklet_packet::{Packet, is_unicast};
use std::{rc::Rc, sync::Arc};

/// A packet filter: returns a verdict on each packet.
///
/// A closure `Fn(&Packet<'_>, Direction) -> Verdict` is a filter; [`filter_fn`] infers the types of
/// its arguments. An [`Arc`] or [`Rc`] of a filter and a boxed `dyn Filter` are filters too. A filter
/// need not be [`Send`], unless the stack that uses it is.
///
/// ```
/// use brooklet_filter::{Direction, Filter, Verdict};
/// use brooklet_packet::{Packet, udp};
///
/// struct Shorter(usize);
///
/// impl Filter for Shorter {
///     fn verdict(&self, packet: &Packet<'_>, _: Direction) -> Verdict {
///         if packet.total_len() < self.0 { Verdict::Pass } else { Verdict::Drop }
///     }
/// }
///
/// let mut bytes = Vec::new();
/// udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "192.0.2.7:53".parse()?, 64, &[0; 600])?;
/// let packet = Packet::parse(&bytes)?;
/// assert_eq!(Shorter(576).verdict(&packet, Direction::Inbound), Verdict::Drop);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a packet filter",
    label = "not a `Filter`",
    note = "use a type that implements `Filter`, such as `Rules`, or a closure \
            `|packet: &Packet<'_>, direction: Direction| -> Verdict`"
)]
pub trait Filter {
    /// Returns the verdict on `packet`, which goes in `direction`.
    fn verdict(&self, packet: &Packet<'_>, direction: Direction) -> Verdict;
}

/// Returns the closure `filter`, which is a [`Filter`], and lets the compiler infer the types of its
/// arguments.
///
/// ```
/// use brooklet_filter::{Direction, Filter, Verdict, filter_fn};
/// use brooklet_packet::{Packet, udp};
///
/// let short = filter_fn(|packet, direction| match direction {
///     Direction::Inbound if packet.total_len() > 576 => Verdict::Drop,
///     _ => Verdict::Pass,
/// });
///
/// let mut bytes = Vec::new();
/// udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "192.0.2.7:53".parse()?, 64, &[0; 600])?;
/// let packet = Packet::parse(&bytes)?;
/// assert_eq!(short.verdict(&packet, Direction::Inbound), Verdict::Drop);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn filter_fn<T: Fn(&Packet<'_>, Direction) -> Verdict>(filter: T) -> T {
    filter
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

// An impl for every `Box<T>` or `&T` would conflict with the impl for closures: a box of a function
// is a function.
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

/// Passes every packet.
///
/// ```
/// use brooklet_filter::{Direction, Filter, PassAll, Verdict};
/// use brooklet_packet::{Packet, udp};
///
/// let mut bytes = Vec::new();
/// udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "192.0.2.7:53".parse()?, 64, b"question")?;
/// let packet = Packet::parse(&bytes)?;
/// assert_eq!(PassAll.verdict(&packet, Direction::Outbound), Verdict::Pass);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PassAll;

impl Filter for PassAll {
    fn verdict(&self, _: &Packet<'_>, _: Direction) -> Verdict {
        Verdict::Pass
    }
}

/// Passes packets from one host to one host. Drops packets whose source or destination is
/// multicast, broadcast, unspecified or reserved ([`is_unicast`]).
///
/// The filter keeps out the packets that a machine sends to its neighbours, such as mDNS and
/// neighbour discovery.
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
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
