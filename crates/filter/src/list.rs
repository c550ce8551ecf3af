//! Lists of networks as text.

use ipnet::IpNet;
use std::{error::Error, fmt, net::IpAddr};

/// Characters of a wrong entry that are quoted.
const QUOTED: usize = 64;

/// What is wrong with a list of networks, and where.
///
/// ```
/// let wrong = "10.0.0.0/8\n10.0.0/8".parse::<brooklet_filter::CidrSet>().unwrap_err();
/// assert_eq!(wrong.to_string(), "line 2: `10.0.0/8`: not an IPv4 or IPv6 address");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListError {
    line: usize,
    entry: String,
    kind: ListErrorKind,
}

/// What can be wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListErrorKind {
    /// What should be an address is not one.
    Address,
    /// The prefix length is not a number, or longer than addresses of the family are.
    PrefixLength {
        /// The longest of the family: 32 or 128.
        longest: u8,
    },
}

impl ListError {
    /// The line, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// What is wrong there.
    pub fn kind(&self) -> ListErrorKind {
        self.kind
    }
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: `{}`: ", self.line, self.entry)?;
        match self.kind {
            ListErrorKind::Address => f.write_str("not an IPv4 or IPv6 address"),
            ListErrorKind::PrefixLength { longest } => {
                write!(f, "the prefix length must be a number from 0 to {longest}")
            }
        }
    }
}

impl Error for ListError {}

/// The networks of a list, one a line.
pub(crate) fn networks(text: &str) -> impl Iterator<Item = Result<IpNet, ListError>> {
    text.lines().enumerate().filter_map(|(index, line)| {
        let entry = line.split_once('#').map_or(line, |(entry, _)| entry).trim();
        let error = |kind| {
            let entry = entry.chars().take(QUOTED).collect();
            ListError {
                line: index + 1,
                entry,
                kind,
            }
        };
        (!entry.is_empty()).then(|| network(entry).map_err(error))
    })
}

fn network(entry: &str) -> Result<IpNet, ListErrorKind> {
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
