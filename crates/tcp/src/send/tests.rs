use super::*;

const MSS: u32 = 1000;
const RTT: Micros = 100_000;
/// An MSS of 1000 bytes makes an initial window of ten segments (RFC 6928).
const INITIAL: u32 = 10 * MSS;

/// A sender and its clock. ISS is 0, so that data begins with 1.
struct Bench {
    sender: Sender,
    now: Micros,
    /// Timestamps are in use.
    timestamps: bool,
}

impl Bench {
    /// A connection whose handshake took [`RTT`].
    fn new() -> Self {
        let mut sender = Sender::new(Congestion::Cubic);
        sender.start(0);
        let now = 1_000_000;
        sender.sent(now, 1, false);
        sender.negotiate(NegotiatedOptions {
            mss: MSS,
            sack: true,
            window: 65_535,
        });
        let mut bench = Self {
            sender,
            now: now + RTT,
            timestamps: true,
        };
        bench.ack(1, &[], now);
        bench
    }

    fn send(&mut self, bytes: u32) {
        let end = self.sender.nxt() + bytes;
        self.sender.sent(self.now, end, false);
    }

    /// An acknowledgment that echoes the timestamp of the moment `echoed`.
    fn ack(&mut self, ack: u32, sack: &[(u32, u32)], echoed: Micros) -> bool {
        self.segment(ack, sack, echoed, false)
    }

    /// The same with data, if `data` says so.
    fn segment(&mut self, ack: u32, sack: &[(u32, u32)], echoed: Micros, data: bool) -> bool {
        let echoed = self.timestamps.then_some(echoed / 1000 * 1000);
        let ack = Ack {
            seq: 0,
            ack,
            window: 1 << 20,
            sack,
            tsecr_sent_at: echoed,
            rtt: echoed.map(|at| self.now - at),
            data,
        };
        self.sender.process_ack(self.now, ack)
    }

    fn pass(&mut self, time: Micros) {
        self.now += time;
    }

    /// Lets time pass until the next deadline, and does what is due.
    fn deadline(&mut self) {
        let at = self.sender.deadline(self.now, 0).unwrap();
        self.now = self.now.max(at);
        self.sender.on_deadline(self.now, 0);
    }

    /// Retransmits what may be, one segment at a time.
    fn retransmit(&mut self) -> Vec<(u32, u32, bool)> {
        let (now, mss) = (self.now, self.sender.mss());
        std::iter::from_fn(|| self.sender.next_retransmission(now, mss)).collect()
    }

    fn cwnd(&self) -> u32 {
        self.sender.window().0
    }

    /// Whether the congestion window and the threshold are at least what they were.
    fn is_undone(&self, (cwnd, ssthresh): (u32, u32)) -> bool {
        let now = self.sender.window();
        now.0 >= cwnd && now.1 == ssthresh
    }

    /// Sends ten segments; three arrive before the first, which is retransmitted. Returns
    /// when they were sent.
    fn reorder_first(&mut self) -> Micros {
        let sent = self.now;
        let una = self.sender.una();
        self.send(INITIAL);
        self.pass(RTT);
        self.ack(una, &[(una + MSS, una + 4 * MSS)], sent);
        assert_eq!(self.retransmit(), [(una, una + MSS, false)]);
        assert_eq!(self.cwnd(), 7 * INITIAL / 10);
        sent
    }
}

#[test]
fn a_window_that_closes_before_it_is_used_is_probed() {
    let mut bench = Bench::new();
    bench.sender.window_edge = 101;
    // A small window is waited out, and then there is no room in the queue.
    let at = bench.sender.deadline(bench.now, 5000).unwrap();
    assert!(!bench.sender.on_deadline(at, 5000));
    assert_eq!(bench.sender.allowance(5000), 100);
    bench.sender.window_edge = 1;
    let at = bench.sender.deadline(at, 5000).unwrap();
    assert!(bench.sender.on_deadline(at, 5000), "nobody probes");
}

#[test]
fn an_old_timestamp_undoes_a_spurious_fast_recovery() {
    // RFC 3522, RFC 9438, 4.9.
    let mut bench = Bench::new();
    let before = bench.sender.window();
    let sent = bench.reorder_first();
    bench.pass(2_000);
    assert!(bench.ack(4 * MSS + 1, &[], sent));
    let (cwnd, ssthresh) = bench.sender.window();
    assert!(
        cwnd >= before.0 && ssthresh == before.1,
        "{cwnd} {ssthresh}"
    );
    // The path reorders, and the same again costs no retransmission.
    bench.ack(bench.sender.nxt(), &[], bench.now - 1000);
    let (una, sent) = (bench.sender.una(), bench.now);
    bench.send(INITIAL);
    bench.pass(RTT);
    bench.ack(una, &[(una + MSS, una + 5 * MSS)], sent);
    assert!(!bench.sender.has_retransmission());
    bench.pass(2_000);
    bench.ack(una + 5 * MSS, &[], sent);
    assert!(bench.is_undone(before));
}

#[test]
fn a_timestamp_of_the_retransmission_undoes_nothing() {
    let mut bench = Bench::new();
    let before = bench.sender.window();
    bench.reorder_first();
    let again = bench.now;
    bench.pass(RTT);
    bench.ack(10 * MSS + 1, &[], again);
    assert!(!bench.is_undone(before));
}

#[test]
fn a_dsack_for_each_retransmission_undoes_a_spurious_recovery() {
    // RFC 3708, RFC 9438, 4.9: also once recovery is over.
    for (dsack, undone) in [((1, 1 + MSS), true), ((1 + MSS, 1 + 2 * MSS), false)] {
        let mut bench = Bench::new();
        bench.timestamps = false;
        let before = bench.sender.window();
        let sent = bench.reorder_first();
        bench.pass(2_000);
        bench.ack(10 * MSS + 1, &[], sent);
        assert!(!bench.is_undone(before));
        bench.pass(RTT - 2_000);
        bench.ack(10 * MSS + 1, &[dsack], sent);
        assert_eq!(bench.is_undone(before), undone);
    }
}

#[test]
fn one_dsack_of_two_retransmissions_undoes_nothing() {
    let mut bench = Bench::new();
    bench.timestamps = false;
    let before = bench.sender.window();
    let sent = bench.now;
    bench.send(INITIAL);
    bench.pass(RTT);
    bench.ack(1, &[(1 + 2 * MSS, 1 + 6 * MSS)], sent);
    assert_eq!(bench.retransmit().len(), 2);
    bench.pass(RTT);
    bench.ack(1 + 10 * MSS, &[(1, 1 + MSS)], sent);
    assert!(!bench.is_undone(before));
    bench.ack(1 + 10 * MSS, &[(1 + MSS, 1 + 2 * MSS)], sent);
    assert!(bench.is_undone(before));
}

#[test]
fn a_spurious_timeout_is_undone_and_what_was_not_retransmitted_is_in_flight() {
    for timestamps in [true, false] {
        let mut bench = Bench::new();
        bench.timestamps = timestamps;
        let before = bench.sender.window();
        let sent = bench.now;
        bench.send(INITIAL);
        while bench.sender.backoff == 0 {
            bench.deadline();
            if bench.sender.backoff == 0 {
                bench.retransmit(); // the tail loss probe
            }
        }
        assert_eq!(bench.retransmit(), [(1, 1 + MSS, false)]);
        assert_eq!(bench.cwnd(), MSS);
        assert_eq!(bench.sender.scoreboard.lost(), 9 * MSS);
        // The originals come late: the first by its timestamp (RFC 3522), or the second, which was
        // not retransmitted (RFC 5682).
        bench.pass(1_000);
        bench.ack(1 + MSS, &[], sent);
        if !timestamps {
            assert_eq!(bench.cwnd() / MSS, 2);
            bench.ack(1 + 2 * MSS, &[], sent);
        }
        let (cwnd, ssthresh) = bench.sender.window();
        assert!(
            cwnd >= before.0 && ssthresh == before.1,
            "{cwnd} {ssthresh}"
        );
        assert!(!bench.sender.has_retransmission());
    }
}

#[test]
fn the_reordering_window_grows_with_spurious_retransmissions_and_shrinks_in_time() {
    // RFC 8985, 6.2, step 4.
    let mut bench = Bench::new();
    bench.sender.reordering_seen = true;
    let quarter = RTT / 4;
    assert_eq!(bench.sender.reo_wnd(), quarter);
    // Segments that come later than the window, one in each round trip.
    for n in 2..=4 {
        let (una, sent) = (bench.sender.una(), bench.now);
        bench.send(INITIAL);
        bench.pass(RTT);
        bench.ack(una, &[(una + MSS, una + 9 * MSS)], sent);
        bench.deadline();
        assert_eq!(bench.retransmit(), [(una, una + MSS, false)]);
        bench.pass(1_000);
        bench.ack(una + 10 * MSS, &[], sent);
        bench.pass(RTT);
        bench.ack(una + 10 * MSS, &[(una, una + MSS)], sent);
        let most = bench.sender.rtt().unwrap().0;
        assert_eq!(bench.sender.reo_wnd(), (n * quarter).min(most), "round {n}");
    }
    // Losses that are real.
    for n in 1..=16 {
        assert!(bench.sender.reo_wnd() > quarter, "after {n} recoveries");
        let una = bench.sender.una();
        bench.send(INITIAL);
        bench.pass(RTT);
        bench.ack(una, &[(una + MSS, una + 10 * MSS)], bench.now - RTT);
        bench.deadline();
        let again = bench.now;
        assert_eq!(bench.retransmit().len(), 1);
        bench.pass(RTT);
        bench.ack(una + 10 * MSS, &[], again);
    }
    assert_eq!(bench.sender.reo_wnd(), quarter);
}

#[test]
fn a_duplicate_made_by_the_network_does_not_widen_the_reordering_window() {
    let mut bench = Bench::new();
    bench.sender.reordering_seen = true;
    let sent = bench.now;
    bench.send(INITIAL);
    bench.pass(RTT);
    bench.ack(1 + 10 * MSS, &[(1, 1 + MSS)], sent);
    assert_eq!(bench.sender.reo_wnd(), RTT / 4);
}

#[test]
fn three_small_segments_beyond_a_gap_are_a_loss() {
    // RFC 5681, 3.2 counts segments.
    let mut bench = Bench::new();
    let sent = bench.now;
    for _ in 0..4 {
        bench.send(10);
    }
    bench.pass(RTT);
    bench.ack(1, &[(11, 31)], sent);
    assert_eq!(bench.retransmit(), []);
    bench.ack(1, &[(11, 41)], sent);
    assert_eq!(bench.retransmit(), [(1, 11, false)]);
}

#[test]
fn a_segment_acknowledged_in_the_instant_it_was_sent_gives_no_sample() {
    let mut bench = Bench::new();
    bench.timestamps = false;
    let before = (bench.sender.rtt(), bench.sender.min_rtt());
    let now = bench.now;
    bench.send(MSS);
    bench.ack(1 + MSS, &[], now);
    bench.now += 50;
    bench.send(MSS);
    bench.now -= 10; // the batch began before
    bench.ack(1 + 2 * MSS, &[], now);
    assert_eq!((bench.sender.rtt(), bench.sender.min_rtt()), before);
}

#[test]
fn a_timestamp_older_than_the_retransmission_gives_no_sample() {
    let mut bench = Bench::new();
    let before = bench.sender.rtt();
    let sent = bench.now;
    bench.send(100);
    for _ in 0..5 {
        bench.deadline();
        bench.retransmit();
    }
    bench.pass(1_000);
    bench.ack(101, &[], sent);
    assert_eq!(bench.sender.rtt(), before);
}

#[test]
fn a_sack_block_that_comes_after_a_retransmission_gives_no_sample() {
    // The acknowledgments of the segments behind the gap were lost, and so was the retransmission.
    let mut bench = Bench::new();
    let before = bench.sender.rtt();
    let sent = bench.now;
    bench.send(4 * MSS);
    for _ in 0..4 {
        bench.pass(2_000_000);
        bench.deadline();
        bench.retransmit();
    }
    bench.ack(1, &[(1 + 2 * MSS, 1 + 3 * MSS)], sent);
    assert_eq!(bench.sender.rtt(), before);
    // Nor does the timestamp, which is that of the segment before the gap.
    bench.ack(1, &[(1 + 2 * MSS, 1 + 4 * MSS)], sent);
    assert_eq!(bench.sender.rtt(), before);
}

#[test]
fn data_that_comes_long_after_a_lost_ack_gives_no_sample() {
    // The ACK of a SYN-ACK that was sent twice is lost, and so is the first data of the client.
    for data in [false, true] {
        let mut bench = Bench::new();
        let mut sender = Sender::new(Congestion::Cubic);
        sender.start(0);
        sender.sent(0, 1, false);
        sender.retransmitted_syn(1_000_000);
        sender.negotiate(NegotiatedOptions {
            mss: MSS,
            sack: true,
            window: 65_535,
        });
        (bench.sender, bench.now) = (sender, 4_000_000);
        bench.segment(1, &[], 1_000_000, data);
        let rtt = bench.sender.rtt().map(|(rtt, _)| rtt);
        assert_eq!(rtt, (!data).then_some(3_000_000));
    }
}

#[test]
fn only_a_second_lost_syn_makes_the_first_flight_one_segment() {
    // RFC 6928, 2.
    for (lost, window) in [(0, INITIAL), (1, INITIAL), (2, MSS)] {
        let mut sender = Sender::new(Congestion::Cubic);
        sender.start(0);
        sender.sent(0, 1, false);
        for n in 1..=lost {
            sender.retransmitted_syn(n * 1_000_000);
        }
        sender.negotiate(NegotiatedOptions {
            mss: MSS,
            sack: true,
            window: 65_535,
        });
        let now = 5_000_000;
        sender.process_ack(
            now,
            Ack {
                seq: 0,
                ack: 1,
                window: 65_535,
                sack: &[],
                tsecr_sent_at: None,
                rtt: None,
                data: false,
            },
        );
        assert_eq!(sender.allowance(100_000), window, "{lost} lost");
        // Karn: a SYN that was retransmitted gives no sample.
        assert_eq!(sender.rtt().is_some(), lost == 0);
    }
}

#[test]
fn a_syn_ack_repeated_by_the_timer_and_for_a_repeated_syn_is_one_loss() {
    let mut bench = Bench::new();
    let mut sender = Sender::new(Congestion::Cubic);
    sender.start(0);
    sender.sent(0, 1, false);
    for at in [1_000_000, 1_000_000, 1_200_000] {
        sender.retransmitted_syn(at);
    }
    sender.negotiate(NegotiatedOptions {
        mss: MSS,
        sack: true,
        window: 65_535,
    });
    bench.sender = sender;
    bench.now = 1_300_000;
    bench.ack(1, &[], 0);
    assert_eq!(bench.sender.allowance(100_000), INITIAL);
}

#[test]
fn retransmissions_come_in_long_stretches_within_the_congestion_window() {
    let mut bench = Bench::new();
    bench.send(INITIAL);
    bench.sender.sent(bench.now, 1 + INITIAL + 501, true);
    bench.sender.scoreboard.lose_if(|_| true);
    let now = bench.now;
    // cwnd is ten segments; the FIN needs no segment of its own.
    let mut next = |most| bench.sender.next_retransmission(now, most);
    assert_eq!(next(64 * MSS), Some((1, 1 + 10 * MSS, false)));
    assert_eq!(next(64 * MSS), None);
    assert_eq!(bench.sender.retransmits(), 10);
    bench.pass(RTT);
    bench.ack(1 + 2 * MSS, &[], now);
    let last = bench.sender.next_retransmission(bench.now, 64 * MSS);
    assert_eq!(last, Some((1 + 10 * MSS, 501 + 10 * MSS, true)));
    assert_eq!(bench.sender.scoreboard.lost(), 0);
}

#[test]
fn a_full_segment_and_its_fin_are_one_retransmission() {
    let mut bench = Bench::new();
    let now = bench.now;
    bench.sender.sent(now, 2 + 2 * MSS, true);
    bench.sender.scoreboard.lose_if(|_| true);
    let sent = bench.retransmit();
    assert_eq!(sent, [(1, 1 + MSS, false), (1 + MSS, 1 + 2 * MSS, true)]);
}

#[test]
fn the_tail_loss_probe_carries_the_last_segment_and_the_fin() {
    let mut bench = Bench::new();
    let now = bench.now;
    bench.sender.sent(now, 2 + 3 * MSS, true);
    bench.deadline();
    assert_eq!(bench.retransmit(), [(1 + 2 * MSS, 1 + 3 * MSS, true)]);
}

#[test]
fn a_probe_that_leads_to_fast_recovery_is_one_loss_and_the_next_tail_is_probed() {
    let mut bench = Bench::new();
    bench.send(2 * MSS);
    bench.deadline();
    assert_eq!(bench.retransmit(), [(1001, 2001, false)], "the probe");
    let probed = bench.now;
    bench.pass(RTT);
    bench.ack(1, &[(1001, 2001)], probed);
    assert_eq!(bench.retransmit(), [(1, 1001, false)], "fast recovery");
    let window = bench.sender.window();
    assert_eq!(window.0, 7 * INITIAL / 10);
    bench.pass(RTT);
    bench.ack(2001, &[], bench.now - RTT);
    bench.send(2 * MSS);
    bench.pass(RTT);
    bench.ack(4001, &[], bench.now - RTT);
    assert!(bench.is_undone(window), "the window falls once");
    bench.send(2 * MSS);
    bench.deadline();
    assert_eq!(bench.retransmit(), [(5001, 6001, false)], "another probe");
}

#[test]
fn timeouts_are_counted_with_the_length_of_the_segment() {
    // RFC 8899, 3: a black hole takes small segments only.
    for bytes in [MSS, MSS - 1, MSS / 2 + 1] {
        let mut bench = Bench::new();
        bench.send(bytes);
        assert_eq!(bench.sender.timeouts(), (0, bytes));
        while bench.sender.backoff < 2 {
            bench.deadline();
            bench.retransmit();
        }
        assert_eq!(bench.sender.timeouts(), (2, bytes));
        // A smaller MSS makes several segments of it.
        bench.sender.set_mss(MSS / 2);
        bench.retransmit();
        bench.ack(1 + MSS / 2, &[], bench.now);
        assert_eq!(bench.sender.timeouts(), (0, bytes - MSS / 2));
    }
}

#[test]
fn a_smaller_mss_loses_what_is_larger_and_a_larger_one_nothing() {
    let mut bench = Bench::new();
    bench.send(2 * MSS);
    bench.pass(1);
    bench.send(300);
    bench.sender.set_mss(MSS + 100);
    assert_eq!(bench.sender.scoreboard.lost(), 0);
    bench.sender.set_mss(500);
    assert_eq!(bench.sender.scoreboard.lost(), 2 * MSS);
    assert_eq!(bench.retransmit().len(), 4);
}

#[test]
fn an_idle_sender_holds_no_heap_memory() {
    let mut bench = Bench::new();
    bench.reorder_first();
    assert!(bench.sender.heap_size() > 0);
    let again = bench.now;
    bench.pass(RTT);
    bench.ack(1 + INITIAL, &[], again);
    bench.send(MSS); // an epoch of CUBIC
    bench.pass(RTT);
    bench.ack(1 + INITIAL + MSS, &[], again);
    bench.sender.release();
    assert_eq!(bench.sender.heap_size(), 0);
}

#[test]
fn a_hostile_peer_makes_neither_many_runs_nor_much_work() {
    let mut bench = Bench::new();
    bench.sender.window_edge = u32::MAX / 4;
    bench.send(200 * MSS);
    bench.pass(RTT);
    for n in 0..50 * MSS {
        let byte = 3 + 4 * n;
        let blocks = [0, 2, 4, 6].map(|more| (byte + more, byte + more + 1));
        bench.ack(1, &blocks, bench.now - RTT);
    }
    assert_eq!(bench.sender.scoreboard.sacked(), 0);
    assert!(
        bench.sender.heap_size() < 1100,
        "{}",
        bench.sender.heap_size()
    );
}

#[test]
fn sack_of_every_second_small_segment_costs_a_bounded_amount_of_memory() {
    let mut bench = Bench::new();
    bench.sender.window_edge = u32::MAX / 4;
    bench.sender.set_mss(36);
    bench.send(20_000 * 36);
    bench.pass(RTT);
    let mut ignored = 0;
    for n in (1..20_000).step_by(2) {
        let block = (1 + 36 * n, 1 + 36 * (n + 1));
        bench.ack(1, &[block], bench.now - RTT);
        bench.retransmit();
        ignored += u32::from(bench.sender.take_ignored_sacks());
    }
    assert!(ignored > 5000, "{ignored}");
    let heap = bench.sender.heap_size();
    assert!(heap <= 64 << 10, "{heap} bytes");
}
