//! The control bits of TCP.

use std::error::Error;
use std::fmt;
use std::ops::{BitOr, BitOrAssign};
use std::str::FromStr;

/// The control bits of a TCP header (RFC 9293, 3.1; RFC 3168, 6.1).
///
/// [`Display`](fmt::Display) writes the flags like tcpdump, [`Debug`](fmt::Debug) by their names.
/// [`FromStr`] reads tcpdump's letters, with or without the brackets, in any order: `F`, `S`, `R`,
/// `P`, `.` or `A` for ACK, `U`, `E` for ECE and `W` for CWR; and `none`.
///
/// ```
/// use brooklet_packet::TcpFlags;
///
/// let flags = TcpFlags::SYN | TcpFlags::ACK;
/// assert!(flags.syn() && flags.ack() && !flags.fin());
/// assert_eq!(flags.to_string(), "[S.]");
/// assert_eq!(format!("{flags:?}"), "SYN|ACK");
/// assert_eq!("[S.]".parse(), Ok(flags));
/// assert_eq!("AS".parse(), Ok(flags));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TcpFlags(u8);

/// Name and letter of each flag, from the lowest bit. The letters are those of tcpdump.
const NAMES: [(&str, char); 8] = [
    ("FIN", 'F'),
    ("SYN", 'S'),
    ("RST", 'R'),
    ("PSH", 'P'),
    ("ACK", '.'),
    ("URG", 'U'),
    ("ECE", 'E'),
    ("CWR", 'W'),
];

impl TcpFlags {
    /// The sender has no more data.
    pub const FIN: Self = Self(0x01);
    /// The segment opens a connection.
    pub const SYN: Self = Self(0x02);
    /// The segment resets the connection.
    pub const RST: Self = Self(0x04);
    /// The receiver passes the data to the application without waiting for more.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgment number is valid.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer is valid.
    pub const URG: Self = Self(0x20);
    /// The ECN echo (RFC 3168).
    pub const ECE: Self = Self(0x40);
    /// The sender has reduced its congestion window (RFC 3168).
    pub const CWR: Self = Self(0x80);

    /// Returns the flags of the byte that carries them; FIN is the lowest bit (RFC 9293, 3.1).
    ///
    /// ```
    /// # use brooklet_packet::TcpFlags;
    /// assert_eq!(TcpFlags::from_bits(0x14), TcpFlags::RST | TcpFlags::ACK);
    /// ```
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// Returns the byte that carries the flags.
    ///
    /// ```
    /// # use brooklet_packet::TcpFlags;
    /// assert_eq!((TcpFlags::FIN | TcpFlags::ACK).bits(), 0x11);
    /// ```
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether every flag of `other` is set.
    ///
    /// ```
    /// # use brooklet_packet::TcpFlags;
    /// let syn_ack = TcpFlags::SYN | TcpFlags::ACK;
    /// assert!(syn_ack.contains(TcpFlags::SYN));
    /// assert!(!TcpFlags::SYN.contains(syn_ack));
    /// ```
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns the flags without those of `other`.
    ///
    /// ```
    /// # use brooklet_packet::TcpFlags;
    /// let flags = TcpFlags::PSH | TcpFlags::ACK;
    /// assert_eq!(flags.difference(TcpFlags::PSH | TcpFlags::FIN), TcpFlags::ACK);
    /// ```
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether FIN is set: the sender has no more data.
    ///
    /// ```
    /// # use brooklet_packet::TcpFlags;
    /// assert!(TcpFlags::FIN.fin());
    /// ```
    pub const fn fin(self) -> bool {
        self.contains(Self::FIN)
    }

    /// Whether SYN is set: the segment opens a connection.
    ///
    /// ```
    /// # use brooklet_packet::TcpFlags;
    /// assert!(TcpFlags::SYN.syn());
    /// ```
    pub const fn syn(self) -> bool {
        self.contains(Self::SYN)
    }

    /// Whether RST is set: the segment resets the connection.
    ///
    /// ```
    /// # use brooklet_packet::TcpFlags;
    /// assert!(TcpFlags::RST.rst());
    /// ```
    pub const fn rst(self) -> bool {
        self.contains(Self::RST)
    }

    /// Whether PSH is set: the receiver passes the data to the application without waiting for
    /// more.
    ///
    /// ```
    /// # use brooklet_packet::TcpFlags;
    /// assert!(TcpFlags::PSH.psh());
    /// ```
    pub const fn psh(self) -> bool {
        self.contains(Self::PSH)
    }

    /// Whether ACK is set: the acknowledgment number is valid.
    ///
    /// ```
    /// # use brooklet_packet::TcpFlags;
    /// assert!(TcpFlags::ACK.ack());
    /// ```
    pub const fn ack(self) -> bool {
        self.contains(Self::ACK)
    }

    /// Whether URG is set: the urgent pointer is valid.
    ///
    /// ```
    /// # use brooklet_packet::TcpFlags;
    /// assert!(TcpFlags::URG.urg());
    /// ```
    pub const fn urg(self) -> bool {
        self.contains(Self::URG)
    }

    /// Whether ECE is set: the ECN echo (RFC 3168).
    ///
    /// ```
    /// # use brooklet_packet::TcpFlags;
    /// assert!(TcpFlags::ECE.ece());
    /// ```
    pub const fn ece(self) -> bool {
        self.contains(Self::ECE)
    }

    /// Whether CWR is set: the sender has reduced its congestion window (RFC 3168).
    ///
    /// ```
    /// # use brooklet_packet::TcpFlags;
    /// assert!(TcpFlags::CWR.cwr());
    /// ```
    pub const fn cwr(self) -> bool {
        self.contains(Self::CWR)
    }

    /// The names and letters of the flags that are set.
    fn names(self) -> impl Iterator<Item = (&'static str, char)> {
        (0..8)
            .filter(move |bit| self.0 & 1 << bit != 0)
            .map(|bit| NAMES[bit])
    }
}

impl BitOr for TcpFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for TcpFlags {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

impl fmt::Debug for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = self.names();
        f.write_str(names.next().map_or("none", |(name, _)| name))?;
        names.try_for_each(|(name, _)| write!(f, "|{name}"))
    }
}

impl fmt::Display for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.pad("[none]");
        }
        let mut text = String::with_capacity(10);
        text.push('[');
        text.extend(self.names().map(|(_, letter)| letter));
        text.push(']');
        f.pad(&text)
    }
}

impl FromStr for TcpFlags {
    type Err = ParseTcpFlagsError;

    fn from_str(text: &str) -> Result<Self, ParseTcpFlagsError> {
        let bracketed = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'));
        let letters = bracketed.unwrap_or(text);
        if letters == "none" {
            return Ok(Self::default());
        }
        letters.chars().try_fold(Self::default(), |flags, letter| {
            let letter = if letter == 'A' { '.' } else { letter };
            let bit = NAMES.iter().position(|(_, known)| *known == letter);
            let bit = bit.ok_or(ParseTcpFlagsError(()))?;
            Ok(flags | Self(1 << bit))
        })
    }
}

/// The error of reading [`TcpFlags`] from a text: a character is not the letter of a flag.
///
/// ```
/// use brooklet_packet::TcpFlags;
///
/// let error = "SX".parse::<TcpFlags>().unwrap_err();
/// assert_eq!(error.to_string(), "not the letters of TCP flags");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseTcpFlagsError(());

impl fmt::Display for ParseTcpFlagsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the letters of TCP flags")
    }
}

impl Error for ParseTcpFlagsError {}
