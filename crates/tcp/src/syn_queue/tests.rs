use super::*;
use std::net::SocketAddr;

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

/// A queue of `syns` entries that take the most memory: the longest SYN, each from another source.
fn crowd(syns: u16) -> SynQueue {
    let mut queue = SynQueue::new(syns.into());
    for n in 0..syns {
        let key = key(&format!("2001:db8:0:{n:x}::2"), 1000);
        queue.insert((key, 0, 0), n.into(), &[0; MAX_SYN], now());
    }
    queue
}

#[test]
fn an_entry_of_the_default_backlog_takes_256_bytes_at_most() {
    let queue = crowd(4096);
    let each = queue.memory() / queue.len();
    assert!(each <= 256, "{each} bytes each");
    // Hash queues grow in powers of two: other backlogs take a few bytes more at worst.
    let queue = crowd(449);
    let each = queue.memory() / queue.len();
    assert!(each <= 260, "{each} bytes each");
}

#[test]
fn the_memory_of_a_flood_is_given_back() {
    let mut queue = crowd(4096);
    let end = now() + Duration::from_secs(60);
    assert_eq!(queue.expire(end, Duration::from_secs(15)), 4096);
    assert!(queue.memory() < 1024, "{} bytes", queue.memory());
    assert_eq!(queue.next_expiry(Duration::from_secs(15)), None);
}

/// Every query of the queue, compared with a plain list.
#[test]
fn lists_and_index_agree_with_a_plain_list() {
    let sources = ["10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2", "fd01::1"];
    let mut queue = SynQueue::new(100);
    let mut plain: Vec<(FlowKey, u32, Option<SynId>)> = Vec::new();
    let mut random = 1_u64;
    // An id that was used; its slot is used again.
    let mut gone = SynId {
        slot: 0,
        id: u64::MAX,
    };
    for step in 0..50_000_u32 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let pick = (random >> 33) as usize;
        let key = key(sources[pick % 5], 1 + (pick / 5 % 8) as u16);
        let listener = pick as u32 / 64 % 2;
        let at = plain.iter().position(|(other, ..)| *other == key);
        let same = |other: &FlowKey| source(*other) == source(key);
        match pick / 128 % 6 {
            0..=2 if at.is_none() => {
                queue.insert((key, listener, 0), step, &[], now());
                plain.push((key, listener, None));
            }
            0 => assert_eq!(queue.remove(key).map(|entry| entry.key), Some(key)),
            1..=2 => continue,
            3 => {
                let next = plain
                    .iter_mut()
                    .find(|(_, of, id)| *of == listener && id.is_none());
                let offer = queue.next_pending(listener);
                let offer = offer.map(|(id, entry)| (id, entry.key));
                assert_eq!(offer.map(|offer| offer.1), next.as_ref().map(|next| next.0));
                if let (Some(next), Some((id, _))) = (next, offer) {
                    next.2 = Some(id);
                }
                continue;
            }
            4 => {
                let oldest = plain.iter().position(|(other, ..)| same(other));
                assert_eq!(queue.remove_oldest_of_source(key), oldest.is_some());
                if let Some(at) = oldest {
                    plain.remove(at);
                }
            }
            _ => {
                let Some((key, _, Some(id))) = plain.get(pick % plain.len().max(1)) else {
                    continue;
                };
                let (key, id) = (*key, *id);
                assert_eq!(queue.get(id).map(|entry| entry.key), Some(key));
                assert_eq!(queue.take(id).map(|entry| entry.key), Some(key));
                assert!(queue.take(id).is_none(), "answered twice");
                plain.retain(|(other, ..)| *other != key);
                gone = id;
            }
        }
        if let (0, Some(at)) = (pick / 128 % 6, at) {
            plain.remove(at);
        }
        assert!(queue.get(gone).is_none(), "another has its slot");
        assert_eq!(queue.len(), plain.len());
        let of_source = plain.iter().filter(|(other, ..)| same(other)).count();
        assert_eq!(queue.of_source(key), of_source);
        let there = plain.iter().any(|(other, ..)| *other == key);
        assert_eq!(queue.isn(key).is_some(), there);
    }
    let ages: Vec<FlowKey> = plain.iter().map(|(key, ..)| *key).collect();
    let mut removed = Vec::new();
    while let Some(oldest) = queue.slots.get(queue.all.first as usize) {
        removed.push(oldest.key);
        assert!(queue.remove_oldest());
    }
    assert_eq!(removed, ages, "not in the order of age");
    assert!(queue.sources.is_empty() && queue.index.is_empty());
}
