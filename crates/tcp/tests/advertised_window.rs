//! The advertised window: nothing is lost that was sent by leave of it, and nothing beyond it is taken.

mod support;

use brooklet_tcp::{Config, TcpOptions};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use support::*;

struct Filled {
    sent: usize,
    acked: u32,
}

/// Fills the window to the furthest edge that was ever advertised.
fn fill(host: &mut Host, peer: &mut Peer, shift: u8) -> Filled {
    let mut furthest = peer.seq + 65_535;
    let mut sent = 0;
    let mut last = 0;
    for _ in 0..10_000 {
        let room = (furthest.wrapping_sub(peer.seq)) as usize;
        if room == 0 {
            return Filled { sent, acked: last };
        }
        // A size that makes the rounding of the window move its edge back and forth.
        let n = room.min(1001);
        peer.send(host, &vec![1; n]);
        sent += n;
        for seg in host.all() {
            let edge = seg.ack.wrapping_add(u32::from(seg.window) << shift);
            last = seg.ack;
            if (edge.wrapping_sub(furthest) as i32) > 0 {
                furthest = edge;
            }
        }
    }
    panic!("the window never fills");
}

#[test]
fn nothing_is_lost_that_was_sent_by_leave_of_any_window() {
    // A scale of 2: rounding moves the edge by up to 3 bytes.
    for buffer in [131_072, 200_001, 200_002, 200_003] {
        let mut host = Host::new(
            Config::new().options(
                TcpOptions::new()
                    .recv_buffer(buffer)
                    .recv_buffer_max(buffer),
            ),
        );
        let mut peer = Peer::new(CLIENT, SERVER);
        let _stream = peer.open(&mut host);
        let filled = fill(&mut host, &mut peer, 2);
        assert_eq!(filled.acked, peer.seq, "with a buffer of {buffer}");
        assert!(
            filled.sent + 8 > buffer,
            "only {} of {buffer} were let in",
            filled.sent
        );
    }
}

#[test]
fn an_acknowledgement_from_past_a_closed_window_still_counts() {
    let mut host = Host::new(
        Config::new().options(
            TcpOptions::new()
                .recv_buffer(200_001)
                .recv_buffer_max(200_001),
        ),
    );
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    now((&stream).write_all(&[9; 1000])).unwrap();
    let data = host.all();
    assert_eq!(data.iter().map(|seg| seg.data.len()).sum::<usize>(), 1000);
    fill(&mut host, &mut peer, 2);
    // Small probes take up what the rounding has left, and one goes past the end of the buffer.
    let taken = (0..8).all(|_| {
        let before = peer.seq;
        peer.send(&mut host, &[3]);
        host.all().last().is_some_and(|seg| seg.ack != before)
    });
    assert!(
        !taken,
        "the window is closed, and still every byte was taken"
    );
    // From there the peer acknowledges our data.
    peer.ack += 1000;
    host.tx(peer.seg(ACK, &[]));
    host.all();
    host.pass(std::time::Duration::from_secs(120));
    let again: usize = host.all().iter().map(|seg| seg.data.len()).sum();
    assert_eq!(
        again, 0,
        "the acknowledgement was not taken: the data was sent again"
    );
}

#[test]
fn a_fin_behind_data_that_was_cut_off_is_not_the_end() {
    for excess in 1..=3 {
        let mut host = Host::new(
            Config::new().options(
                TcpOptions::new()
                    .recv_buffer(200_001)
                    .recv_buffer_max(200_001),
            ),
        );
        let mut peer = Peer::new(CLIENT, SERVER);
        let stream = peer.open(&mut host);
        let kept = fill(&mut host, &mut peer, 2).sent;
        let mut buf = vec![0; 300_000];
        let mut read = now((&stream).read(&mut buf)).unwrap();
        let edge = host
            .all()
            .iter()
            .map(|seg| seg.ack.wrapping_add(u32::from(seg.window) << 2))
            .next_back()
            .unwrap();
        // Data up to a few bytes past the edge, and a FIN behind it.
        let room = edge.wrapping_sub(peer.seq) as usize;
        let start = peer.seq;
        for at in (0..room).step_by(1000) {
            let end = (at + 1000).min(room);
            let last = end == room;
            let data = vec![2; end - at + if last { excess } else { 0 }];
            let flags = if last { ACK | FIN } else { ACK };
            host.tx(peer.at(start + at as u32, flags, &data));
        }
        while read < kept + room {
            read += now((&stream).read(&mut buf)).unwrap();
        }
        assert!(
            pends((&stream).read(&mut buf)),
            "an end of stream with {excess} bytes missing"
        );
        host.all();
        host.tx(peer.at(start + room as u32, ACK | FIN, &vec![2; excess]));
        assert_eq!(now((&stream).read(&mut buf)).unwrap(), excess);
        assert_eq!(now((&stream).read(&mut buf)).unwrap(), 0);
    }
}
