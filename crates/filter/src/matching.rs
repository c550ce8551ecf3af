use crate::Direction;
use brooklet_packet::Packet;
use std::{fmt, rc::Rc, sync::Arc};

/// Says whether a packet is of a certain kind.
///
/// ```
/// use brooklet_filter::{Direction, Match, destination_port, protocol};
/// use brooklet_packet::{Packet, Protocol, udp};
///
/// let plain_dns = protocol(Protocol::Udp).or(protocol(Protocol::Tcp)).and(destination_port(53));
///
/// let mut bytes = Vec::new();
/// udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "192.0.2.7:53".parse()?, 64, b"question")?;
/// let packet = Packet::parse(&bytes)?;
/// assert!(plain_dns.matches(&packet, Direction::Inbound));
/// assert!(!plain_dns.not().matches(&packet, Direction::Inbound));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Match {
    /// Whether `packet`, which goes in `direction`, matches.
    fn matches(&self, packet: &Packet<'_>, direction: Direction) -> bool;

    /// Matches what both match. `other` is asked only about what `self` matches.
    fn and<M: Match>(self, other: M) -> And<Self, M>
    where
        Self: Sized,
    {
        And(self, other)
    }

    /// Matches what either matches. `other` is asked only about what `self` does not match.
    fn or<M: Match>(self, other: M) -> Or<Self, M>
    where
        Self: Sized,
    {
        Or(self, other)
    }

    /// Matches what `self` does not. The negation of a port includes packets without ports.
    fn not(self) -> Not<Self>
    where
        Self: Sized,
    {
        Not(self)
    }
}

/// Both of two; made by [`Match::and`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct And<A, B>(A, B);

impl<A: Match, B: Match> Match for And<A, B> {
    fn matches(&self, packet: &Packet<'_>, direction: Direction) -> bool {
        self.0.matches(packet, direction) && self.1.matches(packet, direction)
    }
}

/// Either of two; made by [`Match::or`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Or<A, B>(A, B);

impl<A: Match, B: Match> Match for Or<A, B> {
    fn matches(&self, packet: &Packet<'_>, direction: Direction) -> bool {
        self.0.matches(packet, direction) || self.1.matches(packet, direction)
    }
}

/// The opposite; made by [`Match::not`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Not<M>(M);

impl<M: Match> Match for Not<M> {
    fn matches(&self, packet: &Packet<'_>, direction: Direction) -> bool {
        !self.0.matches(packet, direction)
    }
}

/// What a function says; made by [`matching`].
#[derive(Clone, Copy)]
pub struct Matching<T>(T);

/// Matches what `says` says.
///
/// ```
/// use brooklet_filter::{Direction, Match, matching};
/// use brooklet_packet::{Packet, udp};
///
/// let fragments = matching(|packet, _| packet.fragment().is_some());
///
/// let mut bytes = Vec::new();
/// udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "192.0.2.7:53".parse()?, 64, b"question")?;
/// assert!(!fragments.matches(&Packet::parse(&bytes)?, Direction::Inbound));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn matching<T: Fn(&Packet<'_>, Direction) -> bool>(says: T) -> Matching<T> {
    Matching(says)
}

impl<T: Fn(&Packet<'_>, Direction) -> bool> Match for Matching<T> {
    fn matches(&self, packet: &Packet<'_>, direction: Direction) -> bool {
        (self.0)(packet, direction)
    }
}

impl<T> fmt::Debug for Matching<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Matching").finish_non_exhaustive()
    }
}

macro_rules! behind_a_pointer {
    ($($pointer:ty),*) => {$(
        impl<T: ?Sized + Match> Match for $pointer {
            fn matches(&self, packet: &Packet<'_>, direction: Direction) -> bool {
                (**self).matches(packet, direction)
            }
        }
    )*};
}
behind_a_pointer!(Box<T>, Arc<T>, Rc<T>, &T);
