//! The FIN goes out with the last data, and ACKs that say nothing new are not sent.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_tcp::{Config, TcpOptions};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::net::Shutdown;
use support::*;

fn opened(options: TcpOptions) -> (Host, Peer, Stream) {
    let mut host = Host::new(Config::new().options(options));
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    (host, peer, stream)
}

#[test]
fn a_fin_goes_with_the_data_before_it() {
    let (mut host, mut peer, stream) = opened(TcpOptions::default());
    peer.window = 0;
    host.tx(peer.seg(ACK, &[]));
    now((&stream).write_all(&[1; 2000])).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    host.silent();
    peer.window = 65_535;
    host.tx(peer.seg(ACK, &[]));
    let sent = host.all();
    let sent: Vec<_> = sent.iter().map(|s| (s.data.len(), s.flags.fin())).collect();
    assert_eq!(sent, [(1460, false), (540, true)]);
}

#[test]
fn a_fin_does_not_let_the_data_before_it_wait_for_nagle() {
    // RFC 9293, 3.9.1.4: CLOSE implies the push function.
    let (mut host, _, stream) = opened(TcpOptions::new().nodelay(false));
    now((&stream).write_all(&[1; 1500])).unwrap();
    assert_eq!(host.one().data.len(), 1460);
    stream.shutdown(Shutdown::Write).unwrap();
    let last = host.one();
    assert_eq!((last.data.len(), last.flags.fin()), (40, true));
}

#[test]
fn to_read_sends_no_ack_that_says_nothing_new() {
    for recv_buffer in [4000, 8000, 32_000, 65_535] {
        let (mut host, mut peer, mut stream) = opened(TcpOptions::new().recv_buffer(recv_buffer));
        while peer.seq - 1001 < recv_buffer as u32 {
            let left = recv_buffer - (peer.seq - 1001) as usize;
            peer.send(&mut host, &vec![1; left.min(1000)]);
        }
        let mut window = host.all().pop().unwrap().window;
        assert_eq!(window, 0);
        for _ in 0..recv_buffer {
            now(stream.read_exact(&mut [0])).unwrap();
            for seg in host.all() {
                assert!(seg.window > window, "{recv_buffer}: {seg:?}");
                window = seg.window;
            }
        }
    }
}
