//! No byte is sent beyond the window of the peer, whatever its scale (RFC 9293, 3.8.6; RFC 7323, 2).
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_packet::Headers;
use brooklet_tcp::{Config, Congestion, Interface, TcpOptions};
use futures_lite::{AsyncWrite, AsyncWriteExt};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use support::*;

fn after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) as i32 > 0
}

/// Writes as much as fits.
fn fill(mut stream: &Stream) {
    let mut cx = Context::from_waker(Waker::noop());
    while let Poll::Ready(n) = Pin::new(&mut stream).poll_write(&mut cx, &[1; 16 << 10]) {
        n.unwrap();
    }
}

struct Run {
    host: Host,
    peer: Peer,
    stream: Stream,
    scale: u8,
    /// The furthest right edge that the peer advertised.
    edge: u32,
    what: String,
    sent: u64,
}

impl Run {
    fn new(scale: Option<u8>, send_buffer: usize, offload: bool) -> Self {
        let mut host = Host::on(
            Interface::new().offload(offload),
            Config::new().options(
                TcpOptions::new()
                    .send_buffer(send_buffer)
                    .congestion(Congestion::None)
                    .user_timeout(None),
            ),
        );
        let mut peer = Peer::new(CLIENT, SERVER);
        peer.scale = scale;
        peer.window = 1;
        let stream = peer.open(&mut host);
        let scale = scale.unwrap_or(0);
        Self {
            edge: peer.ack.wrapping_add(1 << scale),
            host,
            peer,
            stream,
            scale,
            what: format!("scale {scale}, buffer {send_buffer}, offload {offload}"),
            sent: 0,
        }
    }

    /// The peer acknowledges what it has got and advertises `window`.
    fn advertise(&mut self, window: u16) {
        self.peer.window = window;
        let edge = self.peer.ack.wrapping_add(u32::from(window) << self.scale);
        if after(edge, self.edge) {
            self.edge = edge;
        }
        self.host.tx(self.peer.seg(ACK, &[]));
    }

    /// Takes in what is sent; nothing may lie beyond the edge.
    fn take(&mut self) {
        for seg in self.host.all() {
            let beyond = seg.end().wrapping_sub(self.edge) as i32;
            assert!(
                beyond <= 0,
                "{beyond} bytes beyond the window; {}",
                self.what
            );
            if !after(seg.seq, self.peer.ack) && after(seg.end(), self.peer.ack) {
                self.peer.ack = seg.end();
                self.sent += seg.data.len() as u64;
            }
        }
    }
}

#[test]
fn no_byte_is_sent_beyond_an_odd_window_of_any_scale() {
    for scale in (0..=14).map(Some).chain([None]) {
        for (send_buffer, offload) in [(4096, false), (128 << 10, true), (512 << 10, false)] {
            let mut run = Run::new(scale, send_buffer, offload);
            let mut rng = Rng::new(u64::from(scale.unwrap_or(15)));
            for _ in 0..30 {
                fill(&run.stream);
                run.take();
                // Few bytes, or few units, and now and then as much as a window can be.
                let window = match rng.below(5) {
                    0 => rng.below(20),
                    1 => rng.below(3000) | 1,
                    2 => (rng.below(200_000) >> run.scale) | 1,
                    _ => rng.below(65_536) >> run.scale.saturating_sub(4),
                };
                run.advertise(window.min(65_535) as u16);
                run.take();
                run.host.pass(Duration::from_millis(rng.below(2000)));
                run.take();
            }
            assert!(run.sent > 0, "{}", run.what);
        }
    }
}

#[test]
fn an_odd_window_is_used_to_its_last_byte() {
    for scale in (0..=14).map(Some).chain([None]) {
        for send_buffer in [128 << 10, 512 << 10] {
            let mut run = Run::new(scale, send_buffer, false);
            let unit = 1 << run.scale;
            for bytes in [1461_u32, 2921, 9999, 30_001] {
                fill(&run.stream);
                let window = bytes.div_ceil(unit) as u16;
                run.take();
                run.advertise(window);
                // The congestion window grows by what is acknowledged.
                for _ in 0..20 {
                    run.take();
                    let left = run.edge.wrapping_sub(run.peer.ack);
                    run.advertise((left >> run.scale).min(65_535) as u16);
                    run.host.pass(SECOND);
                }
                run.take();
                let left = run.edge.wrapping_sub(run.peer.ack);
                assert!(left < unit, "{left} bytes left of {bytes}; {}", run.what);
            }
        }
    }
}

#[test]
fn a_window_update_counts_after_gigabytes_of_data_from_the_peer() {
    let mut host = host();
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    now((&stream).write_all(&[1; 1000])).unwrap();
    host.one();
    peer.ack += 1000;
    peer.window = 0;
    host.tx(peer.seg(ACK, &[]));
    now((&stream).write_all(&[2; 1000])).unwrap();
    host.silent();
    // More than half of the sequence space, in packets whose checksum nobody looks at any more.
    stream.shutdown(Shutdown::Read).unwrap();
    let mut packet = peer.seg(ACK, &[3; 60_000]);
    let now = host.now();
    for _ in 0..37_000 {
        packet[24..28].copy_from_slice(&peer.seq.to_be_bytes());
        let headers = Headers::parse(&packet).unwrap();
        host.engine.handle_packet(now, &packet, &headers);
        host.engine.flush(now);
        while host.engine.poll_transmit().is_some() {}
        peer.seq = peer.seq.wrapping_add(60_000);
    }
    peer.window = 65_535;
    host.tx(peer.seg(ACK, &[]));
    let sent: usize = host.all().iter().map(|seg| seg.data.len()).sum();
    assert_eq!(sent, 1000, "the window is open");
}
