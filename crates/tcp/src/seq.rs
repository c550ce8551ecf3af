//! Sequence numbers, which wrap around (RFC 9293, 3.4), and the stack's time in a small form.

use smoltcp::wire::TcpSeqNumber;

/// Microseconds since the stack began.
pub(crate) type Micros = u64;

/// Whether sequence number `a` comes after `b`.
pub(crate) fn after(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

/// The later of two sequence numbers.
pub(crate) fn later(a: u32, b: u32) -> u32 {
    if after(a, b) { a } else { b }
}

/// The earlier of two sequence numbers.
pub(crate) fn earlier(a: u32, b: u32) -> u32 {
    if after(a, b) { b } else { a }
}

/// smoltcp's sequence number as a plain one.
pub(crate) fn seq(number: TcpSeqNumber) -> u32 {
    number.0 as u32
}
