//! Sets of networks.

use crate::{ListError, list};
use ipnet::{IpNet, Ipv4Net, Ipv4Subnets, Ipv6Net, Ipv6Subnets};
use std::iter::FlatMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::{fmt, slice, str::FromStr};

/// A set of IPv4 and IPv6 networks that answers whether an address is in one of them.
///
/// The set is a sorted list of ranges that do not overlap. A lookup is one binary search, whatever
/// the networks. An IPv4 range takes 8 bytes, an IPv6 range 32 bytes.
///
/// A set is built from networks and addresses, or read from a text with one network or address on
/// each line. `#` starts a comment, and blank lines are ignored. Bits behind the prefix are ignored,
/// as in `10.1.2.3/8`. [`Display`](fmt::Display) writes the set in the same form, with as few
/// networks as possible.
///
/// ```
/// use brooklet_filter::{CidrSet, IpNet};
///
/// let set: CidrSet = "
///     192.0.2.0/24    # documentation, RFC 5737
///     2001:db8::/32   # documentation, RFC 3849
///
///     203.0.113.9
/// ".parse()?;
/// assert!(set.contains("192.0.2.77".parse()?));
/// assert!(!set.contains("203.0.113.8".parse()?));
/// assert_eq!(set.to_string(), "192.0.2.0/24\n203.0.113.9/32\n2001:db8::/32");
///
/// let networks: [IpNet; 2] = ["10.0.0.0/9".parse()?, "10.128.0.0/9".parse()?];
/// assert_eq!(CidrSet::from_iter(networks), "10.0.0.0/8".parse()?);
///
/// let wrong = "192.0.2.0/24\n10.0.0.0/33".parse::<CidrSet>().unwrap_err();
/// assert_eq!(wrong.line(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct CidrSet {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

impl CidrSet {
    /// Returns whether `addr` is in one of the networks. An IPv4 address mapped into IPv6 is in
    /// networks of both families.
    ///
    /// ```
    /// let set: brooklet_filter::CidrSet = "192.0.2.0/24".parse()?;
    /// assert!(set.contains("192.0.2.1".parse()?));
    /// assert!(set.contains("::ffff:192.0.2.1".parse()?));
    /// assert!(!set.contains("192.0.3.1".parse()?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn contains(&self, addr: IpAddr) -> bool {
        match addr {
            IpAddr::V4(addr) => self.v4.contain(addr.to_bits()),
            IpAddr::V6(addr) => {
                self.v6.contain(addr.to_bits())
                    || addr
                        .to_ipv4_mapped()
                        .is_some_and(|addr| self.v4.contain(addr.to_bits()))
            }
        }
    }

    /// Returns whether the set has no networks.
    ///
    /// ```
    /// assert!(brooklet_filter::CidrSet::default().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.v4.0.is_empty() && self.v6.0.is_empty()
    }

    /// Returns the number of ranges. Networks that overlap or touch are in one range.
    ///
    /// ```
    /// let set: brooklet_filter::CidrSet = "10.0.0.0/24\n10.0.1.0/24\n10.0.9.0/24".parse()?;
    /// assert_eq!(set.ranges(), 2);
    /// # Ok::<(), brooklet_filter::ListError>(())
    /// ```
    pub fn ranges(&self) -> usize {
        self.v4.0.len() + self.v6.0.len()
    }

    /// Returns the fewest networks that make up the set, IPv4 first, in ascending order.
    ///
    /// ```
    /// let set: brooklet_filter::CidrSet = "10.0.0.0/9\n10.128.0.0/9\n10.64.0.1".parse()?;
    /// let networks: Vec<_> = set.iter().map(|network| network.to_string()).collect();
    /// assert_eq!(networks, ["10.0.0.0/8"]);
    /// # Ok::<(), brooklet_filter::ListError>(())
    /// ```
    pub fn iter(&self) -> Networks<'_> {
        Networks {
            v4: self.v4.0.iter().flat_map(|&(first, last)| {
                Ipv4Subnets::new(Ipv4Addr::from_bits(first), Ipv4Addr::from_bits(last), 0)
            }),
            v6: self.v6.0.iter().flat_map(|&(first, last)| {
                Ipv6Subnets::new(Ipv6Addr::from_bits(first), Ipv6Addr::from_bits(last), 0)
            }),
        }
    }

    /// Returns the networks of both sets in one set.
    ///
    /// ```
    /// use brooklet_filter::CidrSet;
    ///
    /// let private: CidrSet = "10.0.0.0/8\n192.168.0.0/16".parse()?;
    /// let documentation: CidrSet = "192.0.2.0/24".parse()?;
    /// let union = private.union(&documentation);
    /// assert_eq!(union.to_string(), "10.0.0.0/8\n192.0.2.0/24\n192.168.0.0/16");
    /// # Ok::<(), brooklet_filter::ListError>(())
    /// ```
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let v4 = self.v4.0.iter().chain(&other.v4.0);
        let v6 = self.v6.0.iter().chain(&other.v6.0);
        Self {
            v4: v4.copied().collect(),
            v6: v6.copied().collect(),
        }
    }
}

impl<N: Into<IpNet>> FromIterator<N> for CidrSet {
    fn from_iter<T: IntoIterator<Item = N>>(networks: T) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match network.into() {
                IpNet::V4(net) => v4.push((net.network().to_bits(), net.broadcast().to_bits())),
                IpNet::V6(net) => v6.push((net.network().to_bits(), net.broadcast().to_bits())),
            }
        }
        Self {
            v4: v4.into_iter().collect(),
            v6: v6.into_iter().collect(),
        }
    }
}

/// Adds networks and addresses. Each call costs as much as building the set anew, so add many at
/// once.
///
/// ```
/// use brooklet_filter::CidrSet;
/// use std::net::IpAddr;
///
/// let mut set: CidrSet = "192.0.2.0/24".parse()?;
/// set.extend([IpAddr::from([10, 0, 0, 1])]);
/// assert_eq!(set.to_string(), "10.0.0.1/32\n192.0.2.0/24");
/// # Ok::<(), brooklet_filter::ListError>(())
/// ```
impl<N: Into<IpNet>> Extend<N> for CidrSet {
    fn extend<T: IntoIterator<Item = N>>(&mut self, networks: T) {
        *self = self.union(&networks.into_iter().collect());
    }
}

impl<'a> IntoIterator for &'a CidrSet {
    type Item = IpNet;
    type IntoIter = Networks<'a>;

    fn into_iter(self) -> Networks<'a> {
        self.iter()
    }
}

impl FromStr for CidrSet {
    type Err = ListError;

    fn from_str(text: &str) -> Result<Self, ListError> {
        list::networks(text).collect()
    }
}

impl fmt::Display for CidrSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().enumerate().try_for_each(|(nth, network)| {
            let separator = if nth == 0 { "" } else { "\n" };
            write!(f, "{separator}{network}")
        })
    }
}

/// A list of strings, each a network or an address.
#[cfg(feature = "serde")]
impl serde::Serialize for CidrSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(|network| network.to_string()))
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for CidrSet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let entries = Vec::<String>::deserialize(deserializer)?;
        let networks = entries.iter().map(|entry| {
            list::network(entry).map_err(|kind| {
                let entry = list::quoted(entry);
                serde::de::Error::custom(format_args!("`{entry}`: {kind}"))
            })
        });
        networks.collect()
    }
}

impl AsRef<Self> for CidrSet {
    fn as_ref(&self) -> &Self {
        self
    }
}

// A set may have many thousand ranges, so only their numbers are printed.
impl fmt::Debug for CidrSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CidrSet")
            .field("v4_ranges", &self.v4.0.len())
            .field("v6_ranges", &self.v6.0.len())
            .finish()
    }
}

/// The networks of a [`CidrSet`]; [`CidrSet::iter`] returns this iterator.
///
/// ```
/// let set: brooklet_filter::CidrSet = "10.0.0.1\n10.0.0.2".parse()?;
/// assert_eq!(set.iter().count(), 2);
/// # Ok::<(), brooklet_filter::ListError>(())
/// ```
#[derive(Clone)]
pub struct Networks<'a> {
    v4: Subnets<'a, u32, Ipv4Subnets>,
    v6: Subnets<'a, u128, Ipv6Subnets>,
}

type Subnets<'a, T, S> = FlatMap<slice::Iter<'a, (T, T)>, S, fn(&'a (T, T)) -> S>;

impl Iterator for Networks<'_> {
    type Item = IpNet;

    fn next(&mut self) -> Option<IpNet> {
        let v4 = self.v4.next().map(|network: Ipv4Net| network.into());
        v4.or_else(|| self.v6.next().map(|network: Ipv6Net| network.into()))
    }
}

impl fmt::Debug for Networks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Networks").finish_non_exhaustive()
    }
}

/// Ranges from a first to a last address, in ascending order. There is a gap between any two.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
struct Ranges<T>(Vec<(T, T)>);

impl<T: Ord> Ranges<T> {
    fn contain(&self, addr: T) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= addr);
        after.checked_sub(1).is_some_and(|at| addr <= self.0[at].1)
    }
}

macro_rules! merge_ranges {
    ($($addr:ty),*) => {$(
        impl FromIterator<($addr, $addr)> for Ranges<$addr> {
            fn from_iter<I: IntoIterator<Item = ($addr, $addr)>>(ranges: I) -> Self {
                let mut sorted: Vec<_> = ranges.into_iter().collect();
                sorted.sort_unstable();
                let mut merged: Vec<($addr, $addr)> = Vec::new();
                for (first, last) in sorted {
                    match merged.last_mut() {
                        // The ranges overlap or touch.
                        Some(before) if first <= before.1.saturating_add(1) => {
                            before.1 = before.1.max(last);
                        }
                        _ => merged.push((first, last)),
                    }
                }
                merged.shrink_to_fit();
                Self(merged)
            }
        }
    )*};
}
merge_ranges!(u32, u128);
