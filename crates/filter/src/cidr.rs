use crate::{ListError, list};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::{fmt, net::IpAddr, str::FromStr};

/// A set of networks of both families that is asked about addresses.
///
/// Kept as sorted ranges that do not overlap: a question costs one binary search, however the
/// networks lie. 8 bytes for an IPv4 range, 32 for an IPv6 one.
///
/// A set is built from networks, or read from text with one network or address a line. `#` starts
/// a comment, and blank lines do not count. Bits beyond the prefix length are ignored, as in
/// `10.1.2.3/8`.
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
///
/// let networks: [IpNet; 2] = ["10.0.0.0/9".parse()?, "10.128.0.0/9".parse()?];
/// assert_eq!(CidrSet::from_iter(networks), "10.0.0.0/8".parse()?);
///
/// let wrong = "192.0.2.0/24\n10.0.0.0/33".parse::<CidrSet>().unwrap_err();
/// assert_eq!(wrong.line(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CidrSet {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

impl CidrSet {
    /// Whether `addr` lies in one of the networks. A mapped IPv4 address lies in networks of both
    /// families.
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

    /// Whether there is no network in the set.
    ///
    /// ```
    /// assert!(brooklet_filter::CidrSet::default().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.v4.0.is_empty() && self.v6.0.is_empty()
    }

    /// Ranges that the networks make up: networks that overlap or touch count as one.
    ///
    /// ```
    /// let set: brooklet_filter::CidrSet = "10.0.0.0/24\n10.0.1.0/24\n10.0.9.0/24".parse()?;
    /// assert_eq!(set.ranges(), 2);
    /// # Ok::<(), brooklet_filter::ListError>(())
    /// ```
    pub fn ranges(&self) -> usize {
        self.v4.0.len() + self.v6.0.len()
    }
}

impl<N: Into<IpNet>> FromIterator<N> for CidrSet {
    fn from_iter<T: IntoIterator<Item = N>>(networks: T) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match network.into() {
                IpNet::V4(network) => v4.push(network),
                IpNet::V6(network) => v6.push(network),
            }
        }
        let v4 = Ipv4Net::aggregate(&v4);
        let v6 = Ipv6Net::aggregate(&v6);
        Self {
            v4: v4
                .iter()
                .map(|n| (n.network().to_bits(), n.broadcast().to_bits()))
                .collect(),
            v6: v6
                .iter()
                .map(|n| (n.network().to_bits(), n.broadcast().to_bits()))
                .collect(),
        }
    }
}

impl FromStr for CidrSet {
    type Err = ListError;

    fn from_str(text: &str) -> Result<Self, ListError> {
        list::networks(text).collect()
    }
}

impl AsRef<Self> for CidrSet {
    fn as_ref(&self) -> &Self {
        self
    }
}

// Not ten thousand ranges.
impl fmt::Debug for CidrSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CidrSet")
            .field("v4_ranges", &self.v4.0.len())
            .field("v6_ranges", &self.v6.0.len())
            .finish()
    }
}

/// Ranges from first to last address, ascending, with a gap between any two.
#[derive(Clone, Default, PartialEq, Eq)]
struct Ranges<T>(Vec<(T, T)>);

impl<T: Ord> Ranges<T> {
    fn contain(&self, addr: T) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= addr);
        after.checked_sub(1).is_some_and(|at| addr <= self.0[at].1)
    }
}

/// From sorted ranges that do not overlap; joins those that touch.
macro_rules! ranges_from_networks {
    ($($addr:ty),*) => {$(
        impl FromIterator<($addr, $addr)> for Ranges<$addr> {
            fn from_iter<I: IntoIterator<Item = ($addr, $addr)>>(ranges: I) -> Self {
                let mut joined: Vec<($addr, $addr)> = Vec::new();
                for (first, last) in ranges {
                    match joined.last_mut() {
                        // One ends before the other starts, so the end is not the last address.
                        Some(before) if before.1 + 1 == first => before.1 = last,
                        _ => joined.push((first, last)),
                    }
                }
                joined.shrink_to_fit();
                Self(joined)
            }
        }
    )*};
}
ranges_from_networks!(u32, u128);
