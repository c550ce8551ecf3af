//! Delayed ACKs in an interactive connection (RFC 9293, 3.8.6.3; RFC 5681, 4.2).
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_tcp::TcpOptions;
use futures_lite::AsyncWriteExt;
use std::net::Shutdown;
use std::time::Duration;
use support::counts::{Counter, Counts, NONE, opened_with, times};
use support::*;

const MS: Duration = Duration::from_millis(1);
const DELAY: Duration = Duration::from_millis(40);

/// The answers that come before the ACKs wait.
const QUICK_ACKS: usize = 16;

/// Requests and answers are of this size, in bytes.
const SIZE: usize = 100;

/// A connection with a peer, and the counts of the packets of the stack.
struct Pair {
    host: Host,
    peer: Peer,
    stream: Stream,
    counter: Counter,
}

impl Pair {
    fn new(options: TcpOptions) -> Self {
        Self::with(options, Peer::new(CLIENT, SERVER))
    }

    fn with(options: TcpOptions, peer: Peer) -> Self {
        let (host, peer, stream, counter) = opened_with(options, peer);
        Self {
            host,
            peer,
            stream,
            counter,
        }
    }

    /// A connection that delays its ACKs.
    fn interactive() -> Self {
        let mut pair = Self::new(TcpOptions::new().delayed_ack(Some(DELAY)));
        pair.become_interactive();
        pair
    }

    fn become_interactive(&mut self) {
        for n in 0..QUICK_ACKS {
            assert_eq!(self.exchange(MS), QUICK, "exchange {n}");
        }
    }

    /// The peer sends `data`, and the application reads it.
    fn request(&mut self, data: &[u8]) {
        self.peer.send(&mut self.host, data);
        assert_eq!(read(&self.stream).unwrap(), data);
    }

    /// The application writes `data`.
    fn write(&self, data: &[u8]) {
        now((&self.stream).write_all(data)).unwrap();
    }

    /// One request, and an answer after `time`. Returns what the stack has sent.
    fn exchange(&mut self, time: Duration) -> Counts {
        self.request(&[1; SIZE]);
        self.host.pass(time);
        self.write(&[2; SIZE]);
        self.peer.ack = self.peer.ack.wrapping_add(SIZE as u32);
        self.counter.since(&mut self.host)
    }

    /// The times in milliseconds, from now on, of the packets within 1 s.
    fn times(&mut self) -> Vec<u64> {
        times(&mut self.host, SECOND, |_, seg| assert!(seg.is_bare_ack()))
    }

    /// The one packet to send now is an ACK of everything.
    #[track_caller]
    fn assert_acknowledged(&mut self) {
        let seg = self.host.one();
        assert!(seg.is_bare_ack() && seg.ack == self.peer.seq, "{seg:?}");
    }
}

/// What an exchange costs at first.
const QUICK: Counts = Counts {
    acks: 1,
    data: 1,
    ..NONE
};

/// What an exchange costs once ACKs are delayed.
const DELAYED: Counts = Counts { data: 1, ..NONE };

#[test]
fn the_answer_carries_the_ack_after_16_answers() {
    let mut pair = Pair::interactive();
    for n in 0..100 {
        let time = MS * (n % 40);
        assert_eq!(pair.exchange(time), DELAYED, "after {time:?}");
    }
}

#[test]
fn an_ack_goes_out_at_once_unless_the_option_delays_it() {
    let zero = TcpOptions::new().delayed_ack(Some(Duration::ZERO));
    for options in [TcpOptions::new(), zero] {
        let mut pair = Pair::new(options);
        assert_eq!(pair.stream.delayed_ack(), None);
        for _ in 0..100 {
            assert_eq!(pair.exchange(MS), QUICK);
        }
    }
}

#[test]
fn the_delay_ends_with_an_ack_and_the_next_16_come_at_once() {
    let mut pair = Pair::interactive();
    pair.request(b"question");
    assert_eq!(pair.times(), [40]);
    pair.become_interactive();
    assert_eq!(pair.exchange(MS), DELAYED);
}

#[test]
fn the_delay_counts_from_the_first_segment() {
    let mut pair = Pair::interactive();
    pair.request(b"a");
    pair.host.pass(30 * MS);
    pair.request(b"b");
    pair.host.silent();
    assert_eq!(pair.times(), [10]);
}

#[test]
fn the_delay_counts_from_data_that_is_not_the_first_segment_of_its_batch() {
    let mut pair = Pair::interactive();
    pair.host.pass(100 * MS);
    let (ack, data) = (pair.peer.seg(ACK, &[]), pair.peer.seg(ACK | PSH, b"a"));
    pair.host.take_in(ack);
    pair.host.tx(data);
    pair.host.silent();
    assert_eq!(pair.times(), [40]);
}

#[test]
fn data_that_nobody_reads_is_acknowledged_after_the_delay() {
    let mut pair = Pair::interactive();
    pair.peer.send(&mut pair.host, b"question");
    assert_eq!(pair.times(), [40]);
}

#[test]
fn the_delay_is_at_most_500_ms() {
    let hour = Some(3600 * SECOND);
    let by_option = Pair::new(TcpOptions::new().delayed_ack(hour));
    let by_call = Pair::new(TcpOptions::new());
    by_call.stream.set_delayed_ack(hour);
    for mut pair in [by_option, by_call] {
        assert_eq!(pair.stream.delayed_ack(), Some(500 * MS));
        pair.become_interactive();
        pair.request(b"question");
        assert_eq!(pair.times(), [500]);
    }
}

#[test]
fn an_ack_that_waits_is_sent_when_the_option_is_turned_off() {
    let mut pair = Pair::interactive();
    pair.request(b"question");
    pair.host.silent();
    pair.stream.set_delayed_ack(None);
    pair.assert_acknowledged();
    for _ in 0..50 {
        assert_eq!(pair.exchange(MS), QUICK);
    }
}

#[test]
fn more_than_a_full_segment_is_acknowledged_at_once() {
    for mss in [1460, 536] {
        let peer = Peer {
            mss: Some(mss),
            ..Peer::new(CLIENT, SERVER)
        };
        let mut pair = Pair::with(TcpOptions::new().delayed_ack(Some(DELAY)), peer);
        pair.become_interactive();
        let full = vec![1; mss.into()];
        for _ in 0..10 {
            pair.request(&full);
            pair.host.silent();
            pair.request(&full);
            pair.assert_acknowledged();
        }
        // A packet of many segments counts as many.
        pair.request(&[1; 10_000]);
        pair.assert_acknowledged();
        assert_eq!(pair.exchange(MS), DELAYED, "still interactive");
    }
}

#[test]
fn a_fin_is_acknowledged_at_once() {
    for data in [&b"the last question"[..], b""] {
        let mut pair = Pair::interactive();
        let fin = pair.peer.seg(ACK | FIN, data);
        pair.host.tx(fin);
        pair.peer.seq += data.len() as u32 + 1;
        pair.assert_acknowledged();
    }
}

#[test]
fn a_gap_and_what_fills_it_are_acknowledged_at_once() {
    let mut pair = Pair::interactive();
    let early = pair.peer.at(pair.peer.seq + 10, ACK, &[2; 10]);
    pair.host.tx(early);
    pair.assert_acknowledged();
    let missing = pair.peer.seg(ACK, &[1; 10]);
    pair.host.tx(missing);
    pair.peer.seq += 20;
    pair.assert_acknowledged();
    assert_eq!(read(&pair.stream).unwrap().len(), 20);
    // The peer may be in slow start now.
    pair.become_interactive();
    assert_eq!(pair.exchange(MS), DELAYED);
}

#[test]
fn a_repeated_segment_and_a_keepalive_probe_are_answered_at_once() {
    let mut pair = Pair::interactive();
    let probe = pair.peer.at(pair.peer.seq - 1, ACK, &[]);
    pair.host.tx(probe);
    pair.assert_acknowledged();
    assert_eq!(pair.exchange(MS), DELAYED);
    pair.request(b"question");
    pair.host.silent();
    let again = pair.peer.at(pair.peer.seq - 8, ACK, b"question");
    pair.host.tx(again);
    pair.assert_acknowledged();
    // It was acknowledged, and the peer may be in slow start now.
    pair.become_interactive();
}

#[test]
fn a_window_update_does_not_wait() {
    let mut pair = Pair::new(fixed_buffers(16 * 1024).delayed_ack(Some(DELAY)));
    pair.become_interactive();
    pair.peer.send(&mut pair.host, &[1; 7000]);
    let smaller = pair.host.one().window;
    pair.peer.send(&mut pair.host, &[1; SIZE]);
    pair.host.silent();
    assert_eq!(read(&pair.stream).unwrap().len(), 7000 + SIZE);
    let update = pair.host.one();
    assert!(update.is_bare_ack() && update.ack == pair.peer.seq);
    assert!(update.window > smaller, "{update:?}");
}

#[test]
fn an_application_that_does_not_answer_delays_no_ack() {
    let mut pair = Pair::new(TcpOptions::new().delayed_ack(Some(DELAY)));
    for _ in 0..100 {
        pair.request(&[1; SIZE]);
        pair.assert_acknowledged();
        pair.host.pass(MS);
    }
}

#[test]
fn only_the_first_segment_after_a_request_is_an_answer() {
    let mut pair = Pair::new(TcpOptions::new().delayed_ack(Some(DELAY)));
    pair.request(&[1; SIZE]);
    pair.assert_acknowledged();
    for n in 0..100 {
        pair.write(&[2; SIZE]);
        assert_eq!(pair.host.one().data.len(), SIZE, "{n}");
        pair.peer.ack += SIZE as u32;
        let ack = pair.peer.seg(ACK, &[]);
        pair.host.tx(ack);
    }
    for _ in 1..QUICK_ACKS {
        assert_eq!(pair.exchange(MS), QUICK);
    }
    assert_eq!(pair.exchange(MS), DELAYED);
}

#[test]
fn an_answer_after_the_delay_begins_the_count_again() {
    let mut pair = Pair::new(TcpOptions::new().delayed_ack(Some(DELAY)));
    for _ in 0..100 {
        assert_eq!(pair.exchange(41 * MS), QUICK);
    }
    for _ in 1..QUICK_ACKS {
        assert_eq!(pair.exchange(MS), QUICK);
    }
    assert_eq!(pair.exchange(41 * MS), QUICK);
    pair.become_interactive();
}

#[test]
fn acks_come_at_once_after_an_idle_time() {
    let mut pair = Pair::interactive();
    let ack = pair.peer.seg(ACK, &[]);
    pair.host.tx(ack);
    pair.host.pass(1001 * MS);
    pair.become_interactive();
    assert_eq!(pair.exchange(MS), DELAYED);
}

#[test]
fn the_end_of_the_stream_of_the_application_ends_the_delay() {
    let mut pair = Pair::interactive();
    pair.stream.shutdown(Shutdown::Write).unwrap();
    assert!(pair.host.one().flags.fin());
    pair.peer.ack += 1;
    pair.peer.send(&mut pair.host, b"question");
    pair.assert_acknowledged();
}

/// A peer with Nagle's algorithm that writes a request in two pieces keeps the second until the
/// first is acknowledged.
#[test]
fn a_peer_with_nagle_that_writes_twice_waits_for_one_delay_in_16_requests() {
    let mut pair = Pair::interactive();
    for n in 0..100 {
        pair.request(b"the header");
        let waits = if n % QUICK_ACKS == 0 { 40 } else { 0 };
        let start = pair.host.now();
        let at = times(&mut pair.host, waits * MS, |_, seg| {
            assert!(seg.is_bare_ack());
        });
        assert_eq!(at, [u64::from(waits)], "request {n}");
        assert!(pair.host.now() - start <= DELAY);
        pair.exchange(MS);
    }
}

#[test]
fn the_timer_of_a_delayed_ack_wakes_the_stack_once_in_a_delay_at_most() {
    let mut pair = Pair::interactive();
    // Before this there may be the timers of the handshake.
    pair.host.pass(10 * MS);
    let mut wakes = 0;
    for _ in 0..400 {
        assert_eq!(pair.exchange(Duration::ZERO), DELAYED);
        let ack = pair.peer.seg(ACK, &[]);
        pair.host.tx(ack);
        let end = pair.host.now() + MS;
        while let Some(at) = pair.host.engine.poll_timeout(pair.host.now())
            && at <= end
        {
            wakes += 1;
            pair.host
                .pass(at.saturating_duration_since(pair.host.now()));
        }
        pair.host
            .pass(end.saturating_duration_since(pair.host.now()));
    }
    assert!(wakes <= 12, "{wakes} in 400 ms");
    pair.host.pass(3 * SECOND);
    assert_eq!(pair.host.engine.poll_timeout(pair.host.now()), None);
}
