//! ICMP (RFC 792) and ICMPv6 (RFC 4443): echo replies, and errors in both directions.
//!
//! ```
//! use brooklet_packet::icmp::{IcmpErrorKind, Unreachable};
//!
//! let kind = IcmpErrorKind::Unreachable(Unreachable::Port);
//! assert_eq!(kind.to_string(), "port unreachable");
//! ```

mod message;
mod received;
mod written;

pub use message::{IcmpErrorKind, Unreachable};
pub use received::{IcmpError, parse_error};
pub use written::{echo_reply, unreachable};
