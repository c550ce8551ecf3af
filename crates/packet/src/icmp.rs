//! ICMP (RFC 792) and ICMPv6 (RFC 4443): echo replies, and errors in both directions.

mod message;
mod received;
mod written;

pub use message::{IcmpErrorKind, Unreachable};
pub use received::{IcmpError, parse_error};
pub use written::{echo_reply, unreachable};
