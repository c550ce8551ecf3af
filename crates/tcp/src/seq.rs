//! Sequence numbers, which wrap around (RFC 9293, 3.4), and the stack's time.

/// Microseconds since the stack began.
pub(crate) type Micros = u64;

/// The deadline of a timer that is not set.
pub(crate) const NEVER: Micros = Micros::MAX;

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
