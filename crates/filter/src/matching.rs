//! Matches on packets, and their combinations.

use crate::Direction;
use brooklet_packet::Packet;
use std::{fmt, rc::Rc, sync::Arc};

/// A condition on packets.
///
/// [`matching`] makes a match of a closure. A [`Box`], [`Arc`], [`Rc`] or reference of a match is a
/// match too.
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
    /// Returns whether `packet`, which goes in `direction`, matches.
    fn matches(&self, packet: &Packet<'_>, direction: Direction) -> bool;

    /// Matches the packets that both `self` and `other` match. Evaluates `other` only if `self`
    /// matches.
    ///
    /// ```
    /// use brooklet_filter::{Direction, Match, destination_port, source_port};
    /// # use brooklet_packet::{Packet, udp};
    /// # let mut bytes = Vec::new();
    /// // From port 5000 to port 53.
    /// # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "192.0.2.7:53".parse()?, 64, b"x")?;
    /// let packet = Packet::parse(&bytes)?;
    /// let both = source_port(5000).and(destination_port(443));
    /// assert!(!both.matches(&packet, Direction::Inbound));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn and<M: Match>(self, other: M) -> And<Self, M>
    where
        Self: Sized,
    {
        And(self, other)
    }

    /// Matches the packets that `self` or `other` matches. Evaluates `other` only if `self` does not
    /// match.
    ///
    /// ```
    /// use brooklet_filter::{Direction, Match, destination_port, source_port};
    /// # use brooklet_packet::{Packet, udp};
    /// # let mut bytes = Vec::new();
    /// // From port 5000 to port 53.
    /// # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "192.0.2.7:53".parse()?, 64, b"x")?;
    /// let packet = Packet::parse(&bytes)?;
    /// let either = source_port(5000).or(destination_port(443));
    /// assert!(either.matches(&packet, Direction::Inbound));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn or<M: Match>(self, other: M) -> Or<Self, M>
    where
        Self: Sized,
    {
        Or(self, other)
    }

    /// Matches the packets that `self` does not match. The negation of a port matches packets without
    /// ports.
    ///
    /// ```
    /// use brooklet_filter::{Direction, Match, source_port};
    /// # use brooklet_packet::{Packet, udp};
    /// # let mut bytes = Vec::new();
    /// // From port 5000 to port 53.
    /// # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "192.0.2.7:53".parse()?, 64, b"x")?;
    /// let packet = Packet::parse(&bytes)?;
    /// assert!(source_port(53).not().matches(&packet, Direction::Inbound));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn not(self) -> Not<Self>
    where
        Self: Sized,
    {
        Not(self)
    }
}

/// The match of [`Match::and`].
///
/// ```
/// use brooklet_filter::{And, Criterion, Match, destination_port, source_port};
///
/// let both: And<Criterion, Criterion> = source_port(53).and(destination_port(53));
/// # let _ = both;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct And<A, B>(A, B);

impl<A: Match, B: Match> Match for And<A, B> {
    fn matches(&self, packet: &Packet<'_>, direction: Direction) -> bool {
        self.0.matches(packet, direction) && self.1.matches(packet, direction)
    }
}

/// The match of [`Match::or`].
///
/// ```
/// use brooklet_filter::{Criterion, Match, Or, destination_port, source_port};
///
/// let either: Or<Criterion, Criterion> = source_port(53).or(destination_port(53));
/// # let _ = either;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Or<A, B>(A, B);

impl<A: Match, B: Match> Match for Or<A, B> {
    fn matches(&self, packet: &Packet<'_>, direction: Direction) -> bool {
        self.0.matches(packet, direction) || self.1.matches(packet, direction)
    }
}

/// The match of [`Match::not`].
///
/// ```
/// use brooklet_filter::{Criterion, Match, Not, source_port};
///
/// let opposite: Not<Criterion> = source_port(53).not();
/// # let _ = opposite;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Not<M>(M);

impl<M: Match> Match for Not<M> {
    fn matches(&self, packet: &Packet<'_>, direction: Direction) -> bool {
        !self.0.matches(packet, direction)
    }
}

/// The match of [`matching`].
///
/// ```
/// use brooklet_filter::{Match, Rules, Verdict, matching};
///
/// let large = matching(|packet, _| packet.total_len() > 1280);
/// let rules = Rules::new(Verdict::Pass).rule(large, Verdict::Drop);
/// # let _ = rules;
/// ```
#[derive(Clone, Copy)]
pub struct Matching<T>(T);

/// Matches the packets for which `matches` returns `true`. The compiler infers the types of the
/// closure's arguments, a [`Packet`] and a [`Direction`].
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
pub fn matching<T: Fn(&Packet<'_>, Direction) -> bool>(matches: T) -> Matching<T> {
    Matching(matches)
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
