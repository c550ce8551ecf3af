//! Networks as text.

use ipnet::IpNet;
use std::{error::Error, fmt, net::IpAddr};

/// The most characters of a wrong entry that the error quotes.
const MAX_QUOTED: usize = 64;

/// The error of reading a list of networks: the line and what is wrong there.
///
/// ```
/// let wrong = "10.0.0.0/8\n10.0.0/8".parse::<brooklet_filter::CidrSet>().unwrap_err();
/// assert_eq!(wrong.to_string(), "line 2: `10.0.0/8`: not an IPv4 or IPv6 address");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListError {
    line: usize,
    entry: String,
    kind: ListErrorKind,
}

/// What is wrong with an entry of a list of networks.
///
/// ```
/// use brooklet_filter::{CidrSet, ListErrorKind};
///
/// let wrong = "10.0.0.0/33".parse::<CidrSet>().unwrap_err();
/// assert_eq!(wrong.kind(), ListErrorKind::PrefixLength { longest: 32 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ListErrorKind {
    /// The entry does not start with an address.
    Address,
    /// The prefix length is not a number, or longer than an address of the family.
    PrefixLength {
        /// The longest prefix of the family in bits: 32 or 128.
        longest: u8,
    },
}

impl fmt::Display for ListErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str("not an IPv4 or IPv6 address"),
            Self::PrefixLength { longest } => {
                write!(f, "the prefix length must be a number from 0 to {longest}")
            }
        }
    }
}

impl ListError {
    /// Returns the number of the line; the first line is 1.
    ///
    /// ```
    /// let wrong = "10.0.0.0/8\nten".parse::<brooklet_filter::CidrSet>().unwrap_err();
    /// assert_eq!(wrong.line(), 2);
    /// ```
    pub fn line(&self) -> usize {
        self.line
    }

    /// Returns what is wrong in the line.
    ///
    /// ```
    /// use brooklet_filter::{CidrSet, ListErrorKind};
    ///
    /// let wrong = "ten".parse::<CidrSet>().unwrap_err();
    /// assert_eq!(wrong.kind(), ListErrorKind::Address);
    /// ```
    pub fn kind(&self) -> ListErrorKind {
        self.kind
    }
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: `{}`: {}", self.line, self.entry, self.kind)
    }
}

impl Error for ListError {}

/// Reads the networks of a list, one on each line.
pub(crate) fn networks(text: &str) -> impl Iterator<Item = Result<IpNet, ListError>> {
    text.lines().enumerate().filter_map(|(index, line)| {
        let entry = line.split_once('#').map_or(line, |(entry, _)| entry).trim();
        let error = |kind| ListError {
            line: index + 1,
            entry: quoted(entry),
            kind,
        };
        (!entry.is_empty()).then(|| network(entry).map_err(error))
    })
}

/// Returns the part of an entry that an error quotes.
pub(crate) fn quoted(entry: &str) -> String {
    entry.chars().take(MAX_QUOTED).collect()
}

/// Reads a network, or an address as the network of that address alone.
pub(crate) fn network(entry: &str) -> Result<IpNet, ListErrorKind> {
    let (addr, prefix) = match entry.split_once('/') {
        Some((addr, prefix)) => (addr, Some(prefix)),
        None => (entry, None),
    };
    let addr: IpAddr = addr.parse().map_err(|_| ListErrorKind::Address)?;
    let Some(prefix) = prefix else {
        return Ok(addr.into());
    };
    let longest = if addr.is_ipv4() { 32 } else { 128 };
    prefix
        .parse()
        .ok()
        .and_then(|prefix| IpNet::new(addr, prefix).ok())
        .ok_or(ListErrorKind::PrefixLength { longest })
}
