//! Initial sequence numbers (RFC 6528), and how smoltcp is led to a given one.

use crate::context::Fixed;
use brooklet_packet::FlowKey;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

/// F of RFC 6528, 3: a hash of the tuple and a secret.
pub(super) fn keyed_hash(key: FlowKey, fixed: &Fixed) -> u64 {
    let mut hasher = DefaultHasher::new();
    fixed.secret.hash(&mut hasher);
    key.hash(&mut hasher);
    hasher.finish()
}

/// The initial sequence number of a connection that begins now: for one tuple it grows by one
/// every 4 us, and that of one tuple says nothing about that of another.
pub(super) fn initial(key: FlowKey, fixed: &Fixed, now: Instant) -> u32 {
    let ticks = fixed.micros(now) / 4;
    (keyed_hash(key, fixed) as u32).wrapping_add(ticks as u32)
}

/// The seed for which smoltcp takes `number` as its initial one.
///
/// smoltcp takes the second number of its generator, whose state goes from `s` to `s * M + A`, and
/// whose number is that shifted down by 29 less its top three bits. (The first one becomes an IPv4
/// identification, and is taken again if it is 0.) So a state with the wanted number in its upper
/// bits is led back to the seed.
pub(super) fn seed(number: u32) -> u64 {
    const M: u64 = 0xbb2e_fcec_3c39_611d;
    const A: u64 = 0x7590_ef39;
    let back = |state: u64| state.wrapping_sub(A).wrapping_mul(inverse(M));
    let wanted = u64::from(number) << 29;
    let first = back(wanted);
    let number = (first >> (29 - (first >> 61))) as u32;
    match (number ^ (number >> 16)) as u16 {
        0 => back(back(wanted | 1)),
        _ => back(first),
    }
}

/// What `m` is to be multiplied with to give 1. Each step doubles the bits that are right.
const fn inverse(m: u64) -> u64 {
    let mut x = m;
    let mut n = 0;
    while n < 5 {
        x = x.wrapping_mul(2u64.wrapping_sub(m.wrapping_mul(x)));
        n += 1;
    }
    x
}
