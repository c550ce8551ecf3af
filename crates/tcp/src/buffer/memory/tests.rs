use super::*;
use brooklet_cell::Threaded;
use proptest::prelude::*;

type Memory = super::Memory<Threaded>;
type Claim = super::Claim<Threaded>;
type Buffer = super::Buffer<Threaded>;

const KIB: usize = 1024;

fn both(claim: &Claim) -> [Buffer; 2] {
    [claim.attach(Side::Receive), claim.attach(Side::Send)]
}

fn fixed(memory: &Memory, recv: usize, send: usize) -> Claim {
    memory.claim(recv, send, recv, send)
}

#[test]
fn an_idle_connection_holds_40_bytes() {
    assert_eq!(size_of::<Claim>(), 40);
}

#[test]
fn dropped_buffers_are_recycled() {
    let memory = Memory::new(64 << 20);
    let claim = fixed(&memory, 128 * KIB, 100_000);
    let buffers = both(&claim);
    assert_eq!(buffers.each_ref().map(Buffer::len), [128 * KIB, 100_000]);
    let addresses = buffers.each_ref().map(|buffer| buffer.bytes().as_ptr());
    drop(buffers);
    let held = Held {
        spare: 256 * KIB,
        ..Held::default()
    };
    let Held { lists, claims, .. } = memory.held();
    assert_eq!(
        memory.held(),
        Held {
            lists,
            claims,
            ..held
        }
    );
    let again = both(&fixed(&memory, 128 * KIB, 70_000));
    assert!(addresses.contains(&again[0].bytes().as_ptr()) && !again[0].is_scarce());
    assert_eq!(memory.held().spare, 0);
}

#[test]
fn the_two_buffers_of_a_connection_are_claimed_apart() {
    let memory = Memory::new(64 << 20);
    let claim = fixed(&memory, 128 * KIB, 64 * KIB);
    let recv = claim.attach(Side::Receive);
    assert_eq!((memory.held().lent, memory.held().users), (128 * KIB, 1));
    let send = claim.attach(Side::Send);
    assert_eq!((memory.held().lent, memory.held().users), (192 * KIB, 1));
    drop(recv);
    assert_eq!((memory.held().lent, memory.held().users), (64 * KIB, 1));
    // The order in which a connection drops its fields does not matter.
    drop(claim);
    drop(send);
    assert_eq!((memory.held().lent, memory.held().users), (0, 0));
    assert_eq!(memory.0.with(|store| store.beyond), 0);
}

#[test]
fn every_connection_gets_its_minimum_within_the_limit() {
    let limit = 8 << 20;
    let memory = Memory::new(limit);
    let many = limit / promised(128 * KIB, 128 * KIB, 128 * KIB);
    assert_eq!(many, limit / (2 * MIN_BUFFER + PER_CONNECTION));
    let claims: Vec<_> = (0..many)
        .map(|_| fixed(&memory, 128 * KIB, 128 * KIB))
        .collect();
    assert!(!memory.has_room(1, 128 * KIB, 128 * KIB, 128 * KIB));
    // The first half comes and goes, and leaves large spare buffers.
    drop(claims[..many / 2].iter().map(both).collect::<Vec<_>>());
    let mut all = Vec::new();
    for claim in &claims {
        let buffers = both(claim);
        assert!(buffers.iter().all(|buffer| buffer.len() >= MIN_BUFFER));
        all.push(buffers);
        let held = memory.held();
        assert!(held.lent + held.spare <= limit, "{held:?}");
    }
    drop(all);
    let held = memory.held();
    assert_eq!((held.lent, held.users), (0, 0));
    assert!(held.spare <= limit / SPARE_SHARE);
    drop(claims);
    memory.0.with(|store| {
        assert_eq!((store.promised, store.beyond), (0, 0));
        assert!(store.users.capacity() <= 2 * MAX_VACANT);
    });
}

#[test]
fn nothing_stays_resident_after_a_burst_of_small_buffers() {
    let memory = Memory::new(256 << 20);
    let claims: Vec<_> = (0..6000)
        .map(|_| fixed(&memory, 8 * KIB, 4 * KIB))
        .collect();
    let burst: Vec<_> = claims.iter().map(both).collect();
    assert!(memory.held().lent >= 6000 * 12 * KIB);
    let in_chunk = memory.0.with(|store| store.pool.resident_small());
    assert!(in_chunk > 3000 * 4 * KIB, "{in_chunk} bytes");
    let last = both(&claims[0]);
    drop(burst);
    drop(last);
    let held = memory.held();
    assert_eq!((held.lent, held.users), (0, 0));
    assert!(held.spare <= (256 << 20) / SPARE_SHARE);
    assert_eq!(memory.0.with(|store| store.pool.resident_small()), 0);
}

#[test]
fn buffers_become_smaller_as_connections_become_more() {
    let memory = Memory::new(16 << 20);
    let claims: Vec<_> = (0..500)
        .map(|_| fixed(&memory, 128 * KIB, 128 * KIB))
        .collect();
    let all: Vec<_> = claims.iter().map(both).collect();
    let sizes: Vec<_> = all.iter().map(|buffers| buffers[0].len()).collect();
    assert_eq!(sizes[0], 128 * KIB);
    assert!(!all[0][0].is_scarce() && all[499][0].is_scarce());
    assert!(sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
    assert!(sizes.contains(&(32 * KIB)) && sizes.contains(&(8 * KIB)));
}

#[test]
fn a_scarce_receive_buffer_holds_several_units_of_the_window_scale() {
    let memory = Memory::new(8 << 20);
    let claims: Vec<_> = (0..64)
        .map(|_| memory.claim(128 * KIB, 128 * KIB, 32 << 20, 128 * KIB))
        .collect();
    let all: Vec<_> = claims.iter().map(both).collect();
    let least = all.iter().map(|buffers| buffers[0].len()).min();
    assert_eq!(least, Some(MIN_WINDOW_UNITS << window_scale(32 << 20)));
}

#[test]
fn a_buffer_grows_in_powers_of_two_up_to_its_maximum() {
    let memory = Memory::new(1 << 30);
    let claim = memory.claim(128 * KIB, 128 * KIB, 3_000_000, 4 << 20);
    let old = claim.attach(Side::Receive);
    let grown = |current, wanted| {
        let buffer = claim.grow(Side::Receive, current, wanted);
        buffer.map(|buffer| (buffer.len(), buffer.is_scarce()))
    };
    assert_eq!(grown(128 * KIB, 100 * KIB), None);
    assert_eq!(grown(128 * KIB, 128 * KIB), None);
    assert_eq!(grown(128 * KIB, 130 * KIB), Some((256 * KIB, false)));
    assert_eq!(grown(128 * KIB, 2 << 20), Some((2 << 20, false)));
    assert_eq!(grown(2 << 20, 64 << 20), Some((3_000_000, false)));
    assert_eq!(grown(3_000_000, 64 << 20), None);
    let new = claim.grow(Side::Receive, 128 * KIB, 256 * KIB);
    assert_eq!((memory.held().lent, memory.held().users), (384 * KIB, 1));
    drop(old);
    let held = memory.held();
    assert_eq!((held.lent, held.users), (256 * KIB, 1));
    assert_eq!(memory.0.with(|store| store.beyond), 252 * KIB);
    drop(new);
    assert_eq!(memory.0.with(|store| store.beyond), 0);
}

#[test]
fn growth_leaves_memory_for_the_initial_sizes_of_other_connections() {
    let memory = Memory::new(64 << 20);
    let claims: Vec<_> = (0..100)
        .map(|_| memory.claim(128 * KIB, 128 * KIB, 4 << 20, 4 << 20))
        .collect();
    let grown: Vec<_> = claims
        .iter()
        .map_while(|claim| claim.grow(Side::Receive, 128 * KIB, 4 << 20))
        .collect();
    let sizes: Vec<_> = grown.iter().map(Buffer::len).collect();
    // A smaller step where there is no share for what is wanted, and then none.
    assert_eq!(sizes[0], 2 << 20);
    assert!(
        sizes.is_sorted_by(|a, b| a >= b) && grown.len() < 100,
        "{sizes:?}"
    );
    assert!(memory.held().lent <= 16 << 20);
    let initial: Vec<_> = claims
        .iter()
        .map(|claim| claim.attach(Side::Send))
        .collect();
    assert!(initial[..50].iter().all(|buffer| buffer.len() == 128 * KIB));
}

#[test]
fn overhead_counts_against_the_budget() {
    let limit = 8 << 20;
    let memory = Memory::new(limit);
    let mut claim = fixed(&memory, 128 * KIB, 128 * KIB);
    assert!(!claim.account(40));
    assert_eq!(memory.held().overhead, 40);
    assert!(!claim.account(10_000));
    assert_eq!(memory.held().overhead, 10_000);
    assert!(!claim.account(0));
    assert_eq!(memory.held().overhead, 0);
    assert!(!claim.account(limit / 2));
    let buffer = claim.attach(Side::Receive);
    assert_eq!((buffer.len(), buffer.is_scarce()), (MIN_BUFFER, true));
    assert!(memory.has_room(1, 128 * KIB, 128 * KIB, 128 * KIB));
    assert!(claim.account(limit));
    assert!(claim.account(limit), "nothing has changed");
    assert!(!memory.has_room(1, 128 * KIB, 128 * KIB, 128 * KIB));
    drop(claim);
    assert_eq!(memory.held().overhead, 0);
}

proptest! {
    #[test]
    fn whatever_connections_hold_stays_within_the_limit(
        ops in prop::collection::vec((0usize..16, 0usize..6, 0usize..(2 << 20)), 1..400)
    ) {
        let limit = 4 << 20;
        let memory = Memory::new(limit);
        let mut connections: Vec<Option<(Claim, [Option<Buffer>; 2])>> = Vec::new();
        connections.resize_with(16, || None);
        for (at, op, size) in ops {
            let place = &mut connections[at];
            let side = [Side::Receive, Side::Send][size % 2];
            match (op, place.as_mut()) {
                (0, None) => {
                    let initial = size.max(1);
                    if memory.has_room(1, initial, initial, initial) {
                        let claim = memory.claim(initial, initial, initial, 2 * initial);
                        *place = Some((claim, [None, None]));
                    }
                }
                (0, Some(_)) => *place = None,
                (1 | 2, Some((claim, buffers))) => {
                    let buffer = &mut buffers[side as usize];
                    if buffer.is_none() {
                        *buffer = Some(claim.attach(side));
                    }
                }
                (3, Some((_, buffers))) => buffers[side as usize] = None,
                (4 | 5, Some((claim, buffers))) => {
                    if let Some(buffer) = &mut buffers[side as usize]
                        && let Some(new) = claim.grow(side, buffer.len(), size)
                    {
                        prop_assert!(new.len() > buffer.len());
                        prop_assert!(memory.held().lent <= limit);
                        *buffer = new;
                    }
                }
                _ => {}
            }
            let live = || connections.iter().flatten();
            let lent = live()
                .flat_map(|(_, buffers)| buffers.iter().flatten())
                .map(|buffer| class_size(buffer.len()))
                .sum::<usize>();
            let users = live().filter(|(_, b)| b.iter().any(Option::is_some)).count();
            let held = memory.held();
            prop_assert_eq!((held.lent, held.users), (lent, users));
            prop_assert!(held.lent + held.spare <= limit);
            let covered = memory.0.with(|store| store.promised + store.beyond);
            prop_assert!(held.lent <= covered && covered <= limit);
        }
        drop(connections);
        let left = memory.0.with(|store| (store.promised, store.beyond, store.lent));
        prop_assert_eq!(left, (0, 0, 0));
    }
}
