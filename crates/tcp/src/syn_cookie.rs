//! SYN cookies (RFC 4987, 3.6): a handshake without state.
//!
//! The SYN-ACK that answers a SYN statelessly carries a keyed hash as its initial sequence number,
//! the cookie. The third packet of the handshake acknowledges the cookie, so that the hash can be
//! computed again from what the packet says: the 4-tuple, the client's initial sequence number, and
//! a class of the MSS. The hash covers a counter that advances every 64 s. A cookie is good in the
//! period in which it was made and in the next.
//!
//! The rest of what the SYN offered does not fit into 32 bits. As in Linux the low bits of TSval
//! keep it, which the client echoes: the window scale and SACK-permitted. A client that offers no
//! timestamps therefore has a connection without both.

use crate::connection::{keyed_hash, local_mss};
use crate::options::TcpOptions;
use crate::segment::{Options, Segment};
use crate::seq::{Micros, after};
use crate::shared::StackConfig;
use crate::syn::Syn;
use brooklet_cell::Flavor;
use brooklet_packet::{FlowKey, Headers, TcpHeader};
use smoltcp::wire::{TcpControl, TcpPacket};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// How long the counter stands still, in microseconds.
const PERIOD: Micros = 64_000_000;

/// How long a cookie can be good.
pub(crate) const LIFETIME: Duration = Duration::from_micros(2 * PERIOD);

/// The values of the MSS that a cookie keeps, in ascending order: the least that is respected, what
/// every host takes, and what Ethernet and the usual tunnels take. A client's MSS is rounded down.
const MSS_CLASSES: [u16; 8] = [48, 536, 1220, 1360, 1400, 1440, 1460, 8940];

/// The low bits of the cookie: the class of the MSS, and whether the counter is odd.
const LOW_BITS: u32 = 0xf;

/// The low bits of TSval: four for the window scale, one for SACK-permitted.
const OPTION_BITS: u32 = 0x1f;
const SACK_PERMITTED: u32 = 0x10;
/// The window scale of a client that does not scale windows; the largest is 14.
const NO_SCALE: u32 = 0xf;

/// A TSval that is echoed later belongs to no cookie that is good.
const MAX_ECHO_TICKS: u32 = (2 * PERIOD / 1000) as u32 + OPTION_BITS;

/// A cookie that came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SynCookie {
    /// Our initial sequence number: the cookie.
    pub(crate) iss: u32,
    /// What the client's SYN said, as far as the cookie and the third packet keep it.
    pub(crate) syn: Syn,
}

/// The SYN-ACK that answers `syn` statelessly. It is no longer than the SYN.
pub(crate) fn syn_ack<F: Flavor>(
    key: FlowKey,
    syn: &Syn,
    (options, path_mtu): (&TcpOptions, Option<u16>),
    stack: &StackConfig<F>,
    now: Micros,
) -> Segment {
    let mss = syn.effective_mss(key.is_ipv6());
    let class = MSS_CLASSES.iter().rposition(|&class| class <= mss);
    let class = class.unwrap_or(0) as u32;
    let local_mss = local_mss(stack.interface.mtu, path_mtu, key.is_ipv6());
    let scales = syn.timestamp.is_some() && syn.window_scale.is_some();
    Segment {
        control: TcpControl::Syn,
        seq: cookie(key, stack, (syn.isn, now / PERIOD, class)),
        ack: Some(syn.isn.wrapping_add(1)),
        window: options.recv_buffer.min(u16::MAX.into()) as u16,
        // A SYN without the option is no longer than a header.
        mss: syn.mss.map(|_| local_mss),
        window_scale: scales.then(|| options.window_scale()),
        sack_permitted: syn.timestamp.is_some() && syn.sack_permitted,
        timestamp: syn
            .timestamp
            .map(|(tsval, _)| (with_options(clock(key, stack, now), syn), tsval)),
        ttl: options.ttl,
        traffic_class: options.traffic_class,
        ..Segment::default()
    }
}

/// The cookie that `packet`, the third of a handshake, brings back.
pub(crate) fn check<F: Flavor>(
    packet: &[u8],
    headers: &Headers,
    tcp: TcpHeader,
    stack: &StackConfig<F>,
    now: Micros,
) -> Option<SynCookie> {
    let key = headers.key();
    let (iss, irs) = (tcp.ack.wrapping_sub(1), tcp.seq.wrapping_sub(1));
    let low_bits = (iss ^ (iss >> 28)) & LOW_BITS;
    let class = low_bits >> 1;
    let count = match (now / PERIOD, u64::from(low_bits & 1)) {
        (count, parity) if count & 1 == parity => count,
        (count, _) => count.checked_sub(1)?,
    };
    if cookie(key, stack, (irs, count, class)) != iss {
        return None;
    }
    let segment = TcpPacket::new_unchecked(&packet[headers.transport_range()]);
    let timestamp = Options::parse(segment.options()).timestamp;
    let echo = timestamp.map(|(_, tsecr)| tsecr);
    if echo.is_some_and(|tsecr| clock(key, stack, now).wrapping_sub(tsecr) > MAX_ECHO_TICKS) {
        return None;
    }
    let scale = echo.map_or(NO_SCALE, |tsecr| tsecr & NO_SCALE);
    let syn = Syn {
        isn: irs,
        mss: Some(MSS_CLASSES[class as usize]),
        window: tcp.window,
        window_scale: (scale != NO_SCALE).then_some(scale as u8),
        sack_permitted: echo.is_some_and(|tsecr| tsecr & SACK_PERMITTED != 0),
        timestamp,
        hop_limit: headers.hop_limit(),
        traffic_class: headers.traffic_class(),
    };
    Some(SynCookie { iss, syn })
}

/// The cookie for the client's initial sequence number, a value of the counter and a class of the
/// MSS.
fn cookie<F: Flavor>(
    key: FlowKey,
    stack: &StackConfig<F>,
    (irs, count, class): (u32, u64, u32),
) -> u32 {
    let mut hasher = DefaultHasher::new();
    stack.secret.hash(&mut hasher);
    key.hash(&mut hasher);
    (irs, count, class).hash(&mut hasher);
    let hash = hasher.finish() as u32;
    let low_bits = class << 1 | (count & 1) as u32;
    // The high bits hide the low ones, which are the same for most clients.
    (hash & !LOW_BITS) | (low_bits ^ (hash >> 28))
}

/// TSval at `now`, as the connection counts it from its first segment on.
pub(crate) fn clock<F: Flavor>(key: FlowKey, stack: &StackConfig<F>, now: Micros) -> u32 {
    (keyed_hash(key, stack) as u32).wrapping_add((now / 1000) as u32)
}

/// The latest TSval that is not after `clock` and whose low bits keep the options of `syn`.
fn with_options(clock: u32, syn: &Syn) -> u32 {
    let scale = syn.window_scale.map_or(NO_SCALE, u32::from);
    let sack = if syn.sack_permitted {
        SACK_PERMITTED
    } else {
        0
    };
    let tsval = (clock & !OPTION_BITS) | scale | sack;
    match after(tsval, clock) {
        true => tsval.wrapping_sub(OPTION_BITS + 1),
        false => tsval,
    }
}

#[cfg(test)]
#[cfg(feature = "sync")]
mod tests;
