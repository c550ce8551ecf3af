use super::*;

const MSS: u32 = 1000;

/// Ten segments of 1000 bytes, each sent at a time of its own, across the point where sequence
/// numbers wrap around.
fn scoreboard() -> Scoreboard {
    let mut scoreboard = Scoreboard::new(u32::MAX - 2499);
    for n in 0..10 {
        scoreboard.push(n, scoreboard.nxt().wrapping_add(MSS), MSS, MAX_RUNS);
    }
    scoreboard
}

fn at(scoreboard: &Scoreboard, offset: u32) -> u32 {
    scoreboard.una().wrapping_add(offset)
}

fn sack(scoreboard: &mut Scoreboard, start: u32, end: u32) -> Delivered {
    let mut delivered = Delivered::default();
    let fack = scoreboard.fack();
    scoreboard.sack((start, end), MAX_RUNS, fack, &mut delivered);
    delivered
}

fn acked(scoreboard: &mut Scoreboard, ack: u32) -> Delivered {
    let mut delivered = Delivered::default();
    let fack = scoreboard.fack();
    scoreboard.acked(ack, fack, &mut delivered);
    delivered
}

#[test]
fn a_run_is_small() {
    assert_eq!(size_of::<Run>(), 24);
}

#[test]
fn full_segments_of_one_batch_are_one_run() {
    let mut scoreboard = Scoreboard::new(0);
    scoreboard.push(1, 2000, MSS, MAX_RUNS);
    scoreboard.push(1, 3500, MSS, MAX_RUNS);
    assert_eq!(scoreboard.runs().count(), 1);
    scoreboard.push(1, 4500, MSS, MAX_RUNS);
    assert_eq!(scoreboard.runs().count(), 2, "a short segment ends a run");
    scoreboard.push(2, 5500, MSS, MAX_RUNS);
    assert_eq!(scoreboard.runs().count(), 3);
    assert_eq!(scoreboard.flight(), 5500);
}

#[test]
fn small_segments_of_one_batch_keep_their_boundaries() {
    let mut scoreboard = Scoreboard::new(0);
    for end in [100, 200, 300, 350, 360, 460] {
        scoreboard.push(1, end, MSS, MAX_RUNS);
    }
    sack(&mut scoreboard, 100, 300);
    sack(&mut scoreboard, 350, 360);
    assert_eq!(
        (scoreboard.sacked(), scoreboard.sacked_segments()),
        (210, 3)
    );
    sack(&mut scoreboard, 300, 350);
    assert_eq!(
        (scoreboard.sacked(), scoreboard.sacked_segments()),
        (260, 4)
    );
}

#[test]
fn sums_follow_the_states() {
    let mut scoreboard = scoreboard();
    let una = scoreboard.una();
    let (from, upto) = (at(&scoreboard, 2000), at(&scoreboard, 5000));
    let delivered = sack(&mut scoreboard, from, upto);
    assert_eq!((delivered.bytes, scoreboard.sacked()), (3000, 3000));
    assert_eq!(
        delivered.most_recent.map(|most_recent| most_recent.0),
        Some(4)
    );
    assert_eq!(scoreboard.lose(una, upto), 2000);
    assert_eq!((scoreboard.lost(), scoreboard.pipe()), (2000, 5000));
    assert_eq!(
        scoreboard.first_lost(1460),
        Some((una, una.wrapping_add(1460)))
    );
    scoreboard.retransmitted(20, (una, una.wrapping_add(1460)), 1460, MAX_RUNS);
    assert_eq!((scoreboard.lost(), scoreboard.pipe()), (540, 6460));
    let rest = (una.wrapping_add(1460), una.wrapping_add(2000));
    assert_eq!(scoreboard.first_lost(9000), Some(rest));
    let delivered = acked(&mut scoreboard, una.wrapping_add(5000));
    assert_eq!(delivered.bytes, 2000, "the rest had been sacked");
    assert_eq!(
        (scoreboard.lost(), scoreboard.sacked(), scoreboard.pipe()),
        (0, 0, 5000)
    );
    assert_eq!(scoreboard.una(), una.wrapping_add(5000));
    assert_eq!(scoreboard.sacked_segments(), 0);
}

#[test]
fn only_whole_segments_are_sacked() {
    let mut scoreboard = Scoreboard::new(0);
    scoreboard.push(0, 10 * MSS + 300, MSS, MAX_RUNS);
    sack(&mut scoreboard, 1001, 2999);
    assert_eq!(scoreboard.sacked(), 0);
    sack(&mut scoreboard, 1001, 4500);
    assert_eq!(
        (scoreboard.sacked(), scoreboard.sacked_segments()),
        (2000, 2)
    );
    sack(&mut scoreboard, 9500, 10_300);
    assert_eq!(
        (scoreboard.sacked(), scoreboard.sacked_segments()),
        (2300, 3)
    );
    assert_eq!(scoreboard.runs().count(), 4);
}

#[test]
fn blocks_of_alternate_bytes_split_no_run() {
    let mut scoreboard = Scoreboard::new(0);
    scoreboard.push(0, 100 * MSS, MSS, MAX_RUNS);
    for byte in (1..100 * MSS).step_by(2) {
        sack(&mut scoreboard, byte, byte + 1);
    }
    assert_eq!((scoreboard.runs().count(), scoreboard.sacked()), (1, 0));
}

#[test]
fn a_segment_delivered_below_fack_was_reordered_unless_it_was_retransmitted() {
    let mut scoreboard = scoreboard();
    let offset = |scoreboard: &Scoreboard, n: u32| at(scoreboard, n * MSS);
    let (a, b) = (offset(&scoreboard, 3), offset(&scoreboard, 4));
    assert!(!sack(&mut scoreboard, a, b).reordering);
    let (a, b) = (offset(&scoreboard, 1), offset(&scoreboard, 2));
    assert!(sack(&mut scoreboard, a, b).reordering);
    let una = scoreboard.una();
    let first = (una, una.wrapping_add(MSS));
    scoreboard.lose(first.0, first.1);
    scoreboard.retransmitted(30, first, MSS, MAX_RUNS);
    assert!(!acked(&mut scoreboard, first.1).reordering);
}

#[test]
fn an_acknowledgment_that_advances_and_sacks_is_no_reordering() {
    let mut scoreboard = scoreboard();
    let (una, fack) = (scoreboard.una(), scoreboard.fack());
    let mut delivered = Delivered::default();
    let (start, end) = (at(&scoreboard, 4 * MSS), at(&scoreboard, 5 * MSS));
    scoreboard.sack((start, end), MAX_RUNS, fack, &mut delivered);
    scoreboard.acked(una.wrapping_add(3 * MSS), fack, &mut delivered);
    assert_eq!(delivered.bytes, 4 * MSS);
    assert!(!delivered.reordering);
}

#[test]
fn sacked_neighbours_are_one_run() {
    let mut rng = 1u32;
    for _ in 0..500 {
        let mut scoreboard = Scoreboard::new(u32::MAX - 2499);
        scoreboard.push(0, at(&scoreboard, 100 * MSS), MSS, MAX_RUNS);
        let mut arrived = [false; 100];
        for _ in 0..20 {
            rng = rng.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (a, len) = (rng >> 16 & 63, (rng >> 24 & 31) + 1);
            let (start, end) = (at(&scoreboard, MSS * a), at(&scoreboard, MSS * (a + len)));
            sack(&mut scoreboard, start, end);
            arrived[a as usize..(a + len) as usize].fill(true);
            let segments = arrived.iter().filter(|&&here| here).count() as u32;
            assert_eq!(
                (scoreboard.sacked(), scoreboard.sacked_segments()),
                (segments * MSS, segments)
            );
            let runs: Vec<_> = scoreboard.runs().copied().collect();
            assert_eq!(runs[0].start, scoreboard.una());
            assert_eq!(runs[runs.len() - 1].end, scoreboard.nxt());
            for pair in runs.windows(2) {
                assert_eq!(pair[0].end, pair[1].start);
                assert!([pair[0].state, pair[1].state] != [SegmentState::Sacked; 2]);
            }
            for run in runs {
                let from = run.start.wrapping_sub(scoreboard.una()) / MSS;
                assert_eq!(run.state == SegmentState::Sacked, arrived[from as usize]);
            }
        }
    }
}

#[test]
fn sums_and_runs_agree_whatever_happens() {
    let mut rng = 7u32;
    let mut draw = move |most: u32| {
        rng = rng.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (rng >> 8) % most
    };
    let mut scoreboard = Scoreboard::new(u32::MAX - 40_000);
    for now in 0..6_000 {
        let offset = draw(scoreboard.flight() + 1);
        let (start, end) = (
            at(&scoreboard, offset),
            at(&scoreboard, offset + draw(6000)),
        );
        match draw(9) {
            0..3 => scoreboard.push(
                now / 3,
                scoreboard.nxt().wrapping_add(draw(4000)),
                700 + draw(2) * 300,
                MAX_RUNS,
            ),
            3..5 => {
                sack(&mut scoreboard, start, end);
            }
            5 => {
                let most = at(&scoreboard, 3000);
                acked(&mut scoreboard, earlier(start, most));
            }
            6 => {
                scoreboard.lose(start, end);
            }
            7 => {
                let mss = 500 + draw(1000);
                if let Some(stretch) = scoreboard.first_lost(mss * (1 + draw(3))) {
                    scoreboard.retransmitted(now / 3, stretch, mss, MAX_RUNS);
                }
            }
            _ => match draw(40) {
                0 => scoreboard.forget_sacked(),
                1 => scoreboard.unmark_lost(),
                2 => {
                    scoreboard.lose_larger_than(600);
                }
                _ => {
                    scoreboard.lose_if(|run| run.start.is_multiple_of(5));
                }
            },
        }
        let sum = |state, of: fn(&Run) -> u32| -> u32 {
            let runs = scoreboard.runs().filter(|run| run.state == state);
            runs.map(of).sum()
        };
        assert_eq!(scoreboard.sacked(), sum(SegmentState::Sacked, Run::len));
        assert_eq!(
            scoreboard.sacked_segments(),
            sum(SegmentState::Sacked, Run::segments)
        );
        assert_eq!(scoreboard.lost(), sum(SegmentState::Lost, Run::len));
        assert_eq!(
            scoreboard.pipe_segments(),
            sum(SegmentState::InFlight, Run::segments)
        );
        let mut next = scoreboard.una();
        for run in scoreboard.runs() {
            assert!(run.start == next && after(run.end, run.start), "{run:?}");
            next = run.end;
        }
        assert_eq!(next, scoreboard.nxt());
        let lost = scoreboard
            .runs()
            .find(|run| run.state == SegmentState::Lost);
        let lost = lost.map(|run| run.start);
        assert_eq!(scoreboard.first_lost(1).map(|(start, _)| start), lost);
    }
}

#[test]
fn runs_are_bounded() {
    let mut scoreboard = Scoreboard::new(0);
    for n in 0..20_000 {
        scoreboard.push(n.into(), scoreboard.nxt() + 1 + n % 7, MSS, MAX_RUNS);
    }
    assert!(scoreboard.runs().count() <= MAX_RUNS);
    // Every other segment of very many.
    let mut scoreboard = Scoreboard::new(0);
    scoreboard.push(0, 20_000 * MSS, MSS, MAX_RUNS);
    for n in (1..20_000).step_by(2) {
        sack(&mut scoreboard, n * MSS, (n + 1) * MSS);
    }
    assert!(scoreboard.runs().count() <= MAX_RUNS);
    scoreboard.lose(0, 20_000 * MSS);
    let mut now = 1;
    while let Some(stretch) = scoreboard.first_lost(MSS) {
        scoreboard.retransmitted(now, stretch, MSS, MAX_RUNS);
        now += 1;
        assert!(now < 20_000, "the same over and over: {stretch:?}");
    }
    assert_eq!(scoreboard.lost(), 0);
    assert!(scoreboard.runs().count() <= 2 * MAX_RUNS);
}

#[test]
fn retransmissions_of_one_batch_are_one_run() {
    let mut scoreboard = Scoreboard::new(0);
    scoreboard.push(0, 10 * MSS, MSS, MAX_RUNS);
    scoreboard.lose(0, 10 * MSS);
    for n in 0..5 {
        scoreboard.retransmitted(1, (n * MSS, (n + 1) * MSS), MSS, MAX_RUNS);
    }
    assert_eq!(scoreboard.runs().count(), 2);
}

#[test]
fn only_segments_larger_than_the_path_takes_are_lost() {
    let mut scoreboard = Scoreboard::new(0);
    scoreboard.push(0, 3000, 1500, MAX_RUNS);
    scoreboard.push(1, 3500, 1500, MAX_RUNS);
    assert_eq!(scoreboard.lose_larger_than(1200), 3000);
    assert_eq!((scoreboard.lost(), scoreboard.pipe()), (3000, 500));
}

#[test]
fn an_acknowledgment_amid_a_segment_leaves_the_boundaries() {
    let mut scoreboard = Scoreboard::new(0);
    scoreboard.push(0, 5000, MSS, MAX_RUNS);
    acked(&mut scoreboard, 1500);
    assert_eq!((scoreboard.una(), scoreboard.flight()), (1500, 3500));
    sack(&mut scoreboard, 2000, 3000);
    assert_eq!(
        (scoreboard.sacked(), scoreboard.sacked_segments()),
        (1000, 1)
    );
}
