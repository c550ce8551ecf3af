//! The direction of a packet.

use std::{error::Error, fmt, str::FromStr};

/// The direction of a packet, seen from the program that owns the TUN device.
///
/// [`Display`](fmt::Display) writes `inbound` or `outbound`, and [`FromStr`] reads them.
///
/// ```
/// use brooklet_filter::Direction;
///
/// assert_eq!(Direction::Inbound.to_string(), "inbound");
/// assert_eq!("outbound".parse(), Ok(Direction::Outbound));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "lowercase")
)]
pub enum Direction {
    /// From the device into the program: the packets that applications on the machine send.
    Inbound,
    /// From the program to the device: the packets that applications on the machine receive.
    Outbound,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        })
    }
}

impl FromStr for Direction {
    type Err = ParseDirectionError;

    fn from_str(text: &str) -> Result<Self, ParseDirectionError> {
        match text {
            "inbound" => Ok(Self::Inbound),
            "outbound" => Ok(Self::Outbound),
            _ => Err(ParseDirectionError(())),
        }
    }
}

/// The error of reading a [`Direction`] from a text.
///
/// ```
/// let error = "up".parse::<brooklet_filter::Direction>().unwrap_err();
/// assert_eq!(error.to_string(), "neither `inbound` nor `outbound`");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseDirectionError(());

impl fmt::Display for ParseDirectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("neither `inbound` nor `outbound`")
    }
}

impl Error for ParseDirectionError {}
