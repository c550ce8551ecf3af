use super::*;
use std::net::SocketAddr;
use std::time::Duration;

fn key(source: &str, port: u16) -> FlowKey {
    let destination = if source.contains(':') {
        "[2001:db8::1]:80"
    } else {
        "192.0.2.1:80"
    };
    let source = SocketAddr::new(source.parse().unwrap(), port);
    FlowKey::new(source, destination.parse().unwrap()).unwrap()
}

#[allow(clippy::disallowed_methods, reason = "time begins somewhere")]
fn now() -> Instant {
    Instant::now()
}

const HANDSHAKE: Duration = Duration::from_secs(15);
const REQUEST: Duration = Duration::from_secs(120);

fn queue(limit: usize, epoch: Instant) -> SynQueue {
    let lifetimes = Lifetimes {
        epoch,
        handshake_timeout: HANDSHAKE,
        request_timeout: REQUEST,
    };
    SynQueue::new(limit, lifetimes)
}

/// A queue of `syns` entries that take the most memory: the longest SYN, each from another source.
fn crowd(syns: u16, epoch: Instant) -> SynQueue {
    let mut queue = queue(syns.into(), epoch);
    for n in 0..syns {
        let key = key(&format!("2001:db8:0:{n:x}::2"), 1000);
        queue.insert((key, 0, 0), n.into(), &[0; stored_syn::MAX_SYN], epoch);
    }
    queue
}

#[test]
fn an_entry_of_the_default_backlog_takes_256_bytes_at_most() {
    let queue = crowd(4096, now());
    let each = queue.heap_size() / queue.len();
    assert!(each <= 256, "{each} bytes each");
    // Hash queues grow in powers of two: other backlogs take a few bytes more at worst.
    let queue = crowd(449, now());
    let each = queue.heap_size() / queue.len();
    assert!(each <= 260, "{each} bytes each");
}

#[test]
fn the_memory_of_a_flood_is_given_back() {
    let epoch = now();
    let mut queue = crowd(4096, epoch);
    let mut wakes = WakeList::default();
    assert_eq!(queue.expire(epoch + HANDSHAKE, &mut wakes), 4096);
    assert!(queue.heap_size() < 1024, "{} bytes", queue.heap_size());
    assert_eq!(queue.next_expiry(), None);
}

/// When a request expires whose client sends its SYNs at these seconds, and which nobody answers.
fn expiry(syns: &[u64]) -> u64 {
    let epoch = now();
    let mut queue = queue(1, epoch);
    let key = key("10.0.0.1", 1);
    for (n, at) in syns.iter().enumerate() {
        let at = epoch + Duration::from_secs(*at);
        assert_eq!(
            queue.expire(at, &mut WakeList::default()),
            0,
            "expired at {at:?}"
        );
        match n {
            0 => queue.insert((key, 0, 0), 0, &[], at),
            _ => queue.extend(key, at),
        }
    }
    (queue.next_expiry().unwrap() - epoch).as_secs()
}

#[test]
fn a_request_waits_for_three_times_the_last_interval_between_two_syns() {
    assert_eq!(expiry(&[0]), 15, "never repeated");
    assert_eq!(expiry(&[0, 1]), 16);
    assert_eq!(expiry(&[0, 1, 3, 7]), 22);
    assert_eq!(expiry(&[0, 1, 3, 7, 15]), 15 + 3 * 8);
    assert_eq!(expiry(&[0, 1, 3, 7, 15, 31]), 31 + 3 * 16);
    assert_eq!(expiry(&[0, 1, 3, 7, 15, 31, 63]), 120, "the limit");
    assert_eq!(expiry(&[40, 41, 43, 47, 55, 71, 103]), 160, "the limit");
    let each_second: Vec<u64> = (0..120).collect();
    assert_eq!(expiry(&each_second), 120, "the limit");
    // The network has doubled the last SYN.
    assert_eq!(expiry(&[0, 1, 3, 7, 15, 31, 31]), 31 + 3 * 16);
}

/// An entry of the plain list.
#[derive(Clone)]
struct Plain {
    key: FlowKey,
    listener: u32,
    stage: Stage,
    id: Option<SynId>,
    last_syn: Duration,
    expiry: Duration,
    latest: Duration,
}

fn same_source(a: FlowKey, b: FlowKey) -> bool {
    use std::net::IpAddr::{V4, V6};
    match (a.source().ip(), b.source().ip()) {
        (V4(a), V4(b)) => a == b,
        (V6(a), V6(b)) => a.octets()[..8] == b.octets()[..8],
        _ => false,
    }
}

/// Every operation of the queue, compared with a plain list, which is in the order of age, and the
/// order in which its entries are evicted.
#[test]
fn lists_and_index_agree_with_a_plain_list() {
    let sources = ["10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2", "fd01::1"];
    let epoch = now();
    let mut queue = queue(100, epoch);
    let mut plain: Vec<Plain> = Vec::new();
    let mut evictable: Vec<FlowKey> = Vec::new();
    let mut random = 1_u64;
    let mut time = Duration::ZERO;
    let mut wakes = WakeList::default();
    // An id that was used; its 4-tuple is used again.
    let mut gone: Option<SynId> = None;
    let whole = |at: Duration| Duration::from_secs(at.as_secs() + u64::from(at.subsec_nanos() > 0));
    for step in 0..50_000_u32 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let pick = (random >> 33) as usize;
        time += Duration::from_millis((pick % 700) as u64);
        let key = key(sources[pick % 5], 1 + (pick / 5 % 8) as u16);
        let listener = pick as u32 / 64 % 2;
        let at = plain.iter().position(|entry| entry.key == key);
        let any = plain.get(pick % plain.len().max(1)).cloned();
        match (pick / 128 % 10, at) {
            (0..=3, None) => {
                queue.insert((key, listener, 0), step, &[], epoch + time);
                evictable.push(key);
                plain.push(Plain {
                    key,
                    listener,
                    stage: Stage::Pending,
                    id: None,
                    last_syn: time,
                    expiry: whole(time + HANDSHAKE),
                    latest: whole(time + REQUEST),
                });
            }
            (0, Some(at)) => {
                let removed = queue.remove(key, &mut wakes);
                assert_eq!(removed.map(|entry| entry.key), Some(key));
                plain.remove(at);
                evictable.retain(|other| *other != key);
            }
            (1..=2, Some(at)) => {
                queue.extend(key, epoch + time);
                let entry = &mut plain[at];
                let gap =
                    Duration::from_millis((time.as_millis() - entry.last_syn.as_millis()) as u64);
                let expiry = whole(time + (3 * gap).max(HANDSHAKE));
                entry.expiry = expiry.max(entry.expiry).min(entry.latest);
                entry.last_syn = time;
            }
            (3, Some(at)) => {
                queue.restart(key, step, &[], epoch + time);
                let entry = &mut plain[at];
                entry.last_syn = time;
                entry.expiry = whole(time + HANDSHAKE);
                entry.latest = whole(time + REQUEST);
            }
            (4..=5, _) => {
                let next = plain
                    .iter_mut()
                    .find(|entry| entry.listener == listener && entry.stage == Stage::Pending);
                let given = queue.next_pending(listener);
                let given = given.map(|(id, entry)| (id, entry.key));
                assert_eq!(
                    given.map(|given| given.1),
                    next.as_ref().map(|next| next.key)
                );
                if let (Some(next), Some((id, key))) = (next, given) {
                    next.id = Some(id);
                    next.stage = Stage::Given;
                    evictable.retain(|other| *other != key);
                }
            }
            (6, _) => {
                let first = (!evictable.is_empty()).then(|| evictable.remove(0));
                assert_eq!(queue.evict(&mut wakes), first.is_some());
                plain.retain(|entry| Some(entry.key) != first);
            }
            (7, _) => {
                if let Some(Plain {
                    key,
                    id: Some(id),
                    stage: Stage::Given,
                    ..
                }) = any
                {
                    queue.leave_unanswered(id);
                    evictable.insert(0, key);
                    let entry = plain.iter_mut().find(|entry| entry.key == key).unwrap();
                    entry.stage = Stage::Unanswered;
                }
            }
            (8, _) => {
                if let Some(Plain {
                    key, id: Some(id), ..
                }) = any
                {
                    assert_eq!(queue.get(id).map(|entry| entry.key), Some(key));
                    let taken = queue.take(id, &mut wakes);
                    assert_eq!(taken.map(|entry| entry.key), Some(key));
                    assert!(queue.take(id, &mut wakes).is_none(), "answered twice");
                    plain.retain(|entry| entry.key != key);
                    evictable.retain(|other| *other != key);
                    gone = Some(id);
                }
            }
            _ => {
                let expired = plain.iter().filter(|entry| entry.expiry <= time).count();
                assert_eq!(queue.expire(epoch + time, &mut wakes), expired as u64);
                plain.retain(|entry| entry.expiry > time);
                evictable.retain(|key| plain.iter().any(|entry| entry.key == *key));
            }
        }
        assert!(
            gone.is_none_or(|id| queue.get(id).is_none()),
            "another has its 4-tuple"
        );
        assert_eq!(queue.len(), plain.len());
        let of_source = plain
            .iter()
            .filter(|entry| same_source(entry.key, key))
            .count();
        assert_eq!(queue.of_source(key), of_source);
        let there = plain.iter().any(|entry| entry.key == key);
        assert_eq!(queue.isn(key).is_some(), there);
        let next = plain.iter().map(|entry| epoch + entry.expiry).min();
        assert_eq!(queue.next_expiry(), next);
        let pending = |entry: &Plain| entry.listener == listener && entry.stage == Stage::Pending;
        assert_eq!(queue.has_pending(listener), plain.iter().any(pending));
    }
    for entry in &plain {
        assert!(queue.remove(entry.key, &mut wakes).is_some());
    }
    assert!(queue.sources.is_empty() && queue.index.is_empty());
    assert!(queue.expiries.is_empty() && queue.evictable.is_empty());
}
