//! What stands between the wire and smoltcp.

mod support;

use brooklet_tcp::Config;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use support::*;

/// Fills the receive buffer until the window is closed. Returns what was sent and the furthest
/// edge that was advertised.
fn fill(host: &mut Host, peer: &mut Peer, shift: u8) -> (usize, u32) {
    let mut furthest = peer.seq + 65_535;
    let mut sent = 0;
    loop {
        let room = (furthest.wrapping_sub(peer.seq)) as usize;
        if room == 0 {
            return (sent, furthest);
        }
        peer.send(host, &vec![1; room.min(1000)]);
        sent += room.min(1000);
        for seg in host.all() {
            let edge = seg.ack.wrapping_add(u32::from(seg.window) << shift);
            if (edge.wrapping_sub(furthest) as i32) > 0 {
                furthest = edge;
            }
        }
    }
}

#[test]
fn an_acknowledgement_past_a_window_that_was_rounded_down_still_counts() {
    // 200,001 bytes need a scale of 2, which rounds the window down by up to 3 bytes.
    let mut host = Host::new(Config { recv_buffer: 200_001, ..Config::default() });
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    now((&stream).write_all(&[9; 1000])).unwrap();
    let data = host.all();
    assert_eq!(data.iter().map(|seg| seg.data.len()).sum::<usize>(), 1000);
    fill(&mut host, &mut peer, 2);
    // The peer acknowledges our data from where it is: at or past the edge.
    peer.ack += 1000;
    host.tx(peer.seg(ACK, &[]));
    host.all();
    host.pass(std::time::Duration::from_secs(120));
    let again: usize = host.all().iter().map(|seg| seg.data.len()).sum();
    assert_eq!(again, 0, "the acknowledgement was not taken: the data was sent again");
}

#[test]
fn a_fin_behind_data_that_was_cut_off_is_not_the_end() {
    for excess in 1..=3 {
        let mut host = Host::new(Config { recv_buffer: 200_001, ..Config::default() });
        let mut peer = Peer::new(CLIENT, SERVER);
        let stream = peer.open(&mut host);
        let (sent, _) = fill(&mut host, &mut peer, 2);
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
        while read < sent + room {
            read += now((&stream).read(&mut buf)).unwrap();
        }
        assert!(pends((&stream).read(&mut buf)), "an end of stream with {excess} bytes missing");
        host.all();
        host.tx(peer.at(start + room as u32, ACK | FIN, &vec![2; excess]));
        assert_eq!(now((&stream).read(&mut buf)).unwrap(), excess);
        assert_eq!(now((&stream).read(&mut buf)).unwrap(), 0);
    }
}
