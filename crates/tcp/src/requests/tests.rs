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

/// A table of `requests` as dear as can be: the longest SYN, and each from another source.
fn crowd(requests: u16) -> Requests {
    let mut table = Requests::new(requests.into());
    for n in 0..requests {
        let key = key(&format!("2001:db8:0:{n:x}::2"), 1000);
        table.insert((key, 0, 0), n.into(), &[0; SYN], now());
    }
    table
}

#[test]
fn a_request_of_the_default_backlog_takes_256_bytes_at_most() {
    let table = crowd(4096);
    let each = table.memory() / table.len();
    assert!(each <= 256, "{each} bytes each");
    // Hash tables come in powers of two: of other backlogs a few bytes more at worst.
    let table = crowd(449);
    let each = table.memory() / table.len();
    assert!(each <= 260, "{each} bytes each");
}

#[test]
fn the_memory_of_a_flood_is_given_back() {
    let mut table = crowd(4096);
    let end = now() + Duration::from_secs(60);
    assert_eq!(table.expire(end, Duration::from_secs(15)), 4096);
    assert!(table.memory() < 1024, "{} bytes", table.memory());
    assert_eq!(table.next_expiry(Duration::from_secs(15)), None);
}

/// Everything that can be said of a table, compared with a list that is walked.
#[test]
fn lists_and_index_agree_with_a_plain_list() {
    let sources = ["10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2", "fd01::1"];
    let mut table = Requests::new(100);
    let mut plain: Vec<(FlowKey, u32, Option<Ticket>)> = Vec::new();
    let mut random = 1_u64;
    // A ticket that has been used; its slot comes again.
    let mut gone = Ticket {
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
                table.insert((key, listener, 0), step, &[], now());
                plain.push((key, listener, None));
            }
            0 => assert_eq!(table.remove(key).map(|request| request.key), Some(key)),
            1..=2 => continue,
            3 => {
                let next = plain
                    .iter_mut()
                    .find(|(_, of, ticket)| *of == listener && ticket.is_none());
                let offer = table.next_offer(listener);
                let offer = offer.map(|(ticket, request)| (ticket, request.key));
                assert_eq!(offer.map(|offer| offer.1), next.as_ref().map(|next| next.0));
                if let (Some(next), Some((ticket, _))) = (next, offer) {
                    next.2 = Some(ticket);
                }
                continue;
            }
            4 => {
                let oldest = plain.iter().position(|(other, ..)| same(other));
                assert_eq!(table.remove_oldest_of_source(key), oldest.is_some());
                if let Some(at) = oldest {
                    plain.remove(at);
                }
            }
            _ => {
                let Some((key, _, Some(ticket))) = plain.get(pick % plain.len().max(1)) else {
                    continue;
                };
                let (key, ticket) = (*key, *ticket);
                assert_eq!(table.get(ticket).map(|request| request.key), Some(key));
                assert_eq!(table.take(ticket).map(|request| request.key), Some(key));
                assert!(table.take(ticket).is_none(), "answered twice");
                plain.retain(|(other, ..)| *other != key);
                gone = ticket;
            }
        }
        if let (0, Some(at)) = (pick / 128 % 6, at) {
            plain.remove(at);
        }
        assert!(table.get(gone).is_none(), "another has its slot");
        assert_eq!(table.len(), plain.len());
        let of_source = plain.iter().filter(|(other, ..)| same(other)).count();
        assert_eq!(table.of_source(key), of_source);
        let there = plain.iter().any(|(other, ..)| *other == key);
        assert_eq!(table.isn(key).is_some(), there);
    }
    let ages: Vec<FlowKey> = plain.iter().map(|(key, ..)| *key).collect();
    let mut removed = Vec::new();
    while let Some(oldest) = table.slots.get(table.all.first as usize) {
        removed.push(oldest.key);
        assert!(table.remove_oldest());
    }
    assert_eq!(removed, ages, "not in the order of age");
    assert!(table.sources.is_empty() && table.index.is_empty());
}
