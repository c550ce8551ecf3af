//! Initial sequence numbers (RFC 6528).

use crate::seq::Micros;
use crate::shared::StackConfig;
use brooklet_cell::Flavor;
use brooklet_packet::FlowKey;
use std::hash::{DefaultHasher, Hash, Hasher};

/// F of RFC 6528, 3: a hash of the 4-tuple and a secret.
pub(crate) fn keyed_hash<F: Flavor>(key: FlowKey, stack: &StackConfig<F>) -> u64 {
    let mut hasher = DefaultHasher::new();
    stack.secret.hash(&mut hasher);
    key.hash(&mut hasher);
    hasher.finish()
}

/// The initial sequence number of a connection that begins now. For one 4-tuple it grows by one
/// every 4 us, and that of one 4-tuple reveals nothing about that of another.
pub(super) fn initial<F: Flavor>(key: FlowKey, stack: &StackConfig<F>, now: Micros) -> u32 {
    (keyed_hash(key, stack) as u32).wrapping_add((now / 4) as u32)
}
