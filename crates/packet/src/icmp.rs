//! ICMP (RFC 792) and ICMPv6 (RFC 4443): echo requests and replies, and errors in both directions.
//!
//! ```
//! use brooklet_packet::icmp::{IcmpErrorKind, Unreachable};
//!
//! let kind = IcmpErrorKind::Unreachable(Unreachable::Port);
//! assert_eq!(kind.to_string(), "port unreachable");
//! ```

mod echo;
mod kind;
mod message;
mod received;
mod written;

pub use echo::{
    Echo, echo_reply, echo_reply_with, parse_echo_reply, parse_echo_request, write_echo_reply,
    write_echo_request,
};
pub use kind::{IcmpErrorKind, ParameterProblem, ParameterProblemKind, Unreachable};
pub use received::{IcmpError, parse_error};
pub use written::{error, error_from, malformed_reply, malformed_reply_from};
