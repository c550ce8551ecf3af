//! The wire and the filter.
#![cfg(shuttle)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use brooklet::filter::{Direction, Filter, Verdict};
use brooklet::{Packet, PacketBuf, PacketIo, SharedFilter};
use brooklet_models::{addr, all, check, run, task};
use std::future::poll_fn;
use std::io::ErrorKind;

#[test]
fn both_ends_of_a_wire_send_and_receive() {
    check(|| {
        let (a, b) = brooklet::pipe(1);
        let ends = [a, b].map(|mut end| {
            task(async move {
                let mut packet = PacketBuf::default();
                for n in 0..3 {
                    let sent = PacketBuf::from(vec![n]);
                    poll_fn(|cx| end.poll_send(cx, &sent)).await.unwrap();
                    poll_fn(|cx| end.poll_recv(cx, &mut packet)).await.unwrap();
                    assert_eq!(packet[..], [n]);
                }
            })
        });
        all(ends);
    });
}

#[test]
fn an_end_that_is_dropped_ends_the_other_after_what_it_sent() {
    check(|| {
        let (mut a, mut b) = brooklet::pipe(1);
        let sender = task(async move {
            for n in 0..3 {
                let sent = PacketBuf::from(vec![n]);
                poll_fn(|cx| a.poll_send(cx, &sent)).await.unwrap();
            }
        });
        let mut packet = PacketBuf::default();
        for n in 0..3 {
            run(poll_fn(|cx| b.poll_recv(cx, &mut packet))).unwrap();
            assert_eq!(packet[..], [n]);
        }
        let end = run(poll_fn(|cx| b.poll_recv(cx, &mut packet))).unwrap_err();
        assert_eq!(end.kind(), ErrorKind::UnexpectedEof);
        all([sender]);
    });
}

#[test]
fn an_end_that_is_dropped_ends_a_sender_that_waits() {
    check(|| {
        let (mut a, b) = brooklet::pipe(1);
        let sender = task(async move {
            let packet = PacketBuf::from(vec![0]);
            loop {
                if let Err(error) = poll_fn(|cx| a.poll_send(cx, &packet)).await {
                    return error.kind();
                }
            }
        });
        drop(b);
        assert_eq!(all([sender]), [ErrorKind::UnexpectedEof]);
    });
}

/// Passes everything, and looks what is held when it is dropped.
struct Watched(Verdict);

impl Filter for Watched {
    fn verdict(&self, _: &Packet<'_>, _: Direction) -> Verdict {
        self.0
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        assert_eq!(brooklet_cell::model::held(), 0, "dropped with a cell held");
    }
}

#[test]
fn a_filter_is_exchanged_while_packets_are_judged() {
    check(|| {
        let filter = SharedFilter::new(Watched(Verdict::Pass));
        let judges = [0, 1].map(|_| {
            let filter = filter.clone();
            task(async move {
                let mut packet = Vec::new();
                let (from, to) = (addr(1, 1), addr(2, 2));
                brooklet_packet::udp::write(&mut packet, from, to, 64, b"x").unwrap();
                let packet = Packet::parse(&packet).unwrap();
                let judge = || filter.verdict(&packet, Direction::Inbound) == Verdict::Pass;
                let (first, second) = (judge(), judge());
                assert!(first || !second, "an exchange was taken back");
            })
        });
        let old = filter.replace(Watched(Verdict::Drop));
        assert_eq!(old.0, Verdict::Pass);
        all(judges);
    });
}
