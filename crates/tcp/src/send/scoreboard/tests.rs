use super::*;

const MSS: u32 = 1000;

/// Ten segments of 1000 bytes, each sent at a time of its own, across the point where sequence
/// numbers wrap around.
fn board() -> Scoreboard {
    let mut board = Scoreboard::new(u32::MAX - 2499);
    for n in 0..10 {
        board.push(n, board.nxt().wrapping_add(MSS), MSS);
    }
    board
}

fn at(board: &Scoreboard, offset: u32) -> u32 {
    board.una().wrapping_add(offset)
}

fn sack(board: &mut Scoreboard, start: u32, end: u32) -> Delivered {
    let mut delivered = Delivered::default();
    let fack = board.fack();
    board.sack(start, end, fack, &mut delivered);
    delivered
}

fn acked(board: &mut Scoreboard, ack: u32) -> Delivered {
    let mut delivered = Delivered::default();
    let fack = board.fack();
    board.acked(ack, fack, &mut delivered);
    delivered
}

#[test]
fn a_run_is_small() {
    assert_eq!(size_of::<Run>(), 24);
}

#[test]
fn full_segments_of_one_batch_are_one_run() {
    let mut board = Scoreboard::new(0);
    board.push(1, 2000, MSS);
    board.push(1, 3500, MSS);
    assert_eq!(board.runs().count(), 1);
    board.push(1, 4500, MSS);
    assert_eq!(board.runs().count(), 2, "a short segment ends a run");
    board.push(2, 5500, MSS);
    assert_eq!(board.runs().count(), 3);
    assert_eq!(board.flight(), 5500);
}

#[test]
fn small_segments_of_one_batch_keep_their_boundaries() {
    let mut board = Scoreboard::new(0);
    for end in [100, 200, 300, 350, 360, 460] {
        board.push(1, end, MSS);
    }
    sack(&mut board, 100, 300);
    sack(&mut board, 350, 360);
    assert_eq!((board.sacked(), board.sacked_segments()), (210, 3));
    sack(&mut board, 300, 350);
    assert_eq!((board.sacked(), board.sacked_segments()), (260, 4));
}

#[test]
fn sums_follow_the_states() {
    let mut board = board();
    let una = board.una();
    let (from, upto) = (at(&board, 2000), at(&board, 5000));
    let delivered = sack(&mut board, from, upto);
    assert_eq!((delivered.bytes, board.sacked()), (3000, 3000));
    assert_eq!(delivered.newest.map(|newest| newest.0), Some(4));
    assert_eq!(board.lose(una, upto), 2000);
    assert_eq!((board.lost(), board.pipe()), (2000, 5000));
    assert_eq!(board.first_lost(1460), Some((una, una.wrapping_add(1460))));
    board.retransmitted(20, (una, una.wrapping_add(1460)), 1460);
    assert_eq!((board.lost(), board.pipe()), (540, 6460));
    let rest = (una.wrapping_add(1460), una.wrapping_add(2000));
    assert_eq!(board.first_lost(9000), Some(rest));
    let delivered = acked(&mut board, una.wrapping_add(5000));
    assert_eq!(delivered.bytes, 2000, "the rest had been sacked");
    assert_eq!((board.lost(), board.sacked(), board.pipe()), (0, 0, 5000));
    assert_eq!(board.una(), una.wrapping_add(5000));
    assert_eq!(board.sacked_segments(), 0);
}

#[test]
fn only_whole_segments_are_sacked() {
    let mut board = Scoreboard::new(0);
    board.push(0, 10 * MSS + 300, MSS);
    sack(&mut board, 1001, 2999);
    assert_eq!(board.sacked(), 0);
    sack(&mut board, 1001, 4500);
    assert_eq!((board.sacked(), board.sacked_segments()), (2000, 2));
    sack(&mut board, 9500, 10_300);
    assert_eq!((board.sacked(), board.sacked_segments()), (2300, 3));
    assert_eq!(board.runs().count(), 4);
}

#[test]
fn blocks_of_alternate_bytes_split_no_run() {
    let mut board = Scoreboard::new(0);
    board.push(0, 100 * MSS, MSS);
    for byte in (1..100 * MSS).step_by(2) {
        sack(&mut board, byte, byte + 1);
    }
    assert_eq!((board.runs().count(), board.sacked()), (1, 0));
}

#[test]
fn a_segment_delivered_below_fack_was_reordered_unless_it_was_retransmitted() {
    let mut board = board();
    let offset = |board: &Scoreboard, n: u32| at(board, n * MSS);
    let (a, b) = (offset(&board, 3), offset(&board, 4));
    assert!(!sack(&mut board, a, b).reordering);
    let (a, b) = (offset(&board, 1), offset(&board, 2));
    assert!(sack(&mut board, a, b).reordering);
    let una = board.una();
    let first = (una, una.wrapping_add(MSS));
    board.lose(first.0, first.1);
    board.retransmitted(30, first, MSS);
    assert!(!acked(&mut board, first.1).reordering);
}

#[test]
fn an_acknowledgment_that_advances_and_sacks_is_no_reordering() {
    let mut board = board();
    let (una, fack) = (board.una(), board.fack());
    let mut delivered = Delivered::default();
    let (start, end) = (at(&board, 4 * MSS), at(&board, 5 * MSS));
    board.sack(start, end, fack, &mut delivered);
    board.acked(una.wrapping_add(3 * MSS), fack, &mut delivered);
    assert_eq!(delivered.bytes, 4 * MSS);
    assert!(!delivered.reordering);
}

#[test]
fn sacked_neighbours_are_one_run() {
    let mut rng = 1u32;
    for _ in 0..500 {
        let mut board = Scoreboard::new(u32::MAX - 2499);
        board.push(0, at(&board, 100 * MSS), MSS);
        let mut arrived = [false; 100];
        for _ in 0..20 {
            rng = rng.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (a, len) = (rng >> 16 & 63, (rng >> 24 & 31) + 1);
            let (start, end) = (at(&board, MSS * a), at(&board, MSS * (a + len)));
            sack(&mut board, start, end);
            arrived[a as usize..(a + len) as usize].fill(true);
            let segments = arrived.iter().filter(|&&here| here).count() as u32;
            assert_eq!(
                (board.sacked(), board.sacked_segments()),
                (segments * MSS, segments)
            );
            let runs: Vec<_> = board.runs().copied().collect();
            assert_eq!(runs[0].start, board.una());
            assert_eq!(runs[runs.len() - 1].end, board.nxt());
            for pair in runs.windows(2) {
                assert_eq!(pair[0].end, pair[1].start);
                assert!([pair[0].state, pair[1].state] != [SegmentState::Sacked; 2]);
            }
            for run in runs {
                let from = run.start.wrapping_sub(board.una()) / MSS;
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
    let mut board = Scoreboard::new(u32::MAX - 40_000);
    for now in 0..6_000 {
        let offset = draw(board.flight() + 1);
        let (start, end) = (at(&board, offset), at(&board, offset + draw(6000)));
        match draw(9) {
            0..3 => board.push(
                now / 3,
                board.nxt().wrapping_add(draw(4000)),
                700 + draw(2) * 300,
            ),
            3..5 => {
                sack(&mut board, start, end);
            }
            5 => {
                let most = at(&board, 3000);
                acked(&mut board, earlier(start, most));
            }
            6 => {
                board.lose(start, end);
            }
            7 => {
                let mss = 500 + draw(1000);
                if let Some(stretch) = board.first_lost(mss * (1 + draw(3))) {
                    board.retransmitted(now / 3, stretch, mss);
                }
            }
            _ => match draw(40) {
                0 => board.forget_sacked(),
                1 => board.unmark_lost(),
                2 => {
                    board.lose_larger_than(600);
                }
                _ => {
                    board.lose_if(|run| run.start.is_multiple_of(5));
                }
            },
        }
        let sum = |state, of: fn(&Run) -> u32| -> u32 {
            let runs = board.runs().filter(|run| run.state == state);
            runs.map(of).sum()
        };
        assert_eq!(board.sacked(), sum(SegmentState::Sacked, Run::len));
        assert_eq!(
            board.sacked_segments(),
            sum(SegmentState::Sacked, Run::segments)
        );
        assert_eq!(board.lost(), sum(SegmentState::Lost, Run::len));
        let mut next = board.una();
        for run in board.runs() {
            assert!(run.start == next && after(run.end, run.start), "{run:?}");
            next = run.end;
        }
        assert_eq!(next, board.nxt());
        let lost = board.runs().find(|run| run.state == SegmentState::Lost);
        let lost = lost.map(|run| run.start);
        assert_eq!(board.first_lost(1).map(|(start, _)| start), lost);
    }
}

#[test]
fn runs_are_bounded() {
    let mut board = Scoreboard::new(0);
    for n in 0..20_000 {
        board.push(n.into(), board.nxt() + 1 + n % 7, MSS);
    }
    assert_eq!(board.runs().count(), MAX_RUNS);
    // Every other segment of very many.
    let mut board = Scoreboard::new(0);
    board.push(0, 20_000 * MSS, MSS);
    for n in (1..20_000).step_by(2) {
        sack(&mut board, n * MSS, (n + 1) * MSS);
    }
    assert!(board.runs().count() <= MAX_RUNS);
    board.lose(0, 20_000 * MSS);
    let mut now = 1;
    while let Some(stretch) = board.first_lost(MSS) {
        board.retransmitted(now, stretch, MSS);
        now += 1;
        assert!(now < 20_000, "the same over and over: {stretch:?}");
    }
    assert_eq!(board.lost(), 0);
    assert!(board.runs().count() <= 2 * MAX_RUNS);
}

#[test]
fn retransmissions_of_one_batch_are_one_run() {
    let mut board = Scoreboard::new(0);
    board.push(0, 10 * MSS, MSS);
    board.lose(0, 10 * MSS);
    for n in 0..5 {
        board.retransmitted(1, (n * MSS, (n + 1) * MSS), MSS);
    }
    assert_eq!(board.runs().count(), 2);
}

#[test]
fn only_segments_larger_than_the_path_takes_are_lost() {
    let mut board = Scoreboard::new(0);
    board.push(0, 3000, 1500);
    board.push(1, 3500, 1500);
    assert_eq!(board.lose_larger_than(1200), 3000);
    assert_eq!((board.lost(), board.pipe()), (3000, 500));
}

#[test]
fn an_acknowledgment_amid_a_segment_leaves_the_boundaries() {
    let mut board = Scoreboard::new(0);
    board.push(0, 5000, MSS);
    acked(&mut board, 1500);
    assert_eq!((board.una(), board.flight()), (1500, 3500));
    sack(&mut board, 2000, 3000);
    assert_eq!((board.sacked(), board.sacked_segments()), (1000, 1));
}
