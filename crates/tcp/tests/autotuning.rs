//! Buffers that grow with what the path holds: `recv_buffer_max` and `send_buffer_max` of the options.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_tcp::{Config, TcpOptions};
use futures_lite::AsyncWrite;
use std::io::IoSliceMut;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use support::*;

const RTT: Duration = Duration::from_millis(66);
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const SEGMENT: usize = 1448;

struct Path {
    host: Host,
    peer: Peer,
    stream: Stream,
    /// The application uses lent buffers.
    lends: bool,
    /// Our window scale.
    scale: u8,
    /// The right edge of the window advertised last.
    edge: u32,
}

impl Path {
    fn new(config: Config) -> Self {
        let mut host = Host::new(config);
        let mut peer = Peer::new(CLIENT, SERVER);
        peer.scale = Some(8);
        peer.timestamp = Some((1000, 0));
        host.tx(peer.syn());
        assert!(pends(host.listener().accept()));
        host.pass(RTT);
        let syn_ack = peer.establish(&mut host);
        peer.timestamp = Some((1066, syn_ack.timestamp.unwrap().0));
        let (stream, _) = now(host.listener().accept()).unwrap();
        Self {
            edge: peer.seq.wrapping_add(syn_ack.window.into()),
            scale: syn_ack.scale.unwrap(),
            host,
            peer,
            stream,
            lends: false,
        }
    }

    /// Takes everything that the stack sends. The peer gets it half a round trip later, so that it
    /// knows the window and the timestamp then.
    fn take(&mut self) -> Vec<Seg> {
        let sent = self.host.all();
        if let Some(last) = sent.last() {
            self.edge = last.ack.wrapping_add(u32::from(last.window) << self.scale);
            self.peer.timestamp = Some((self.peer.timestamp.unwrap().0, last.timestamp.unwrap().0));
        }
        sent
    }

    fn pass_a_round_trip(&mut self) {
        self.host.pass(RTT);
        let (val, ecr) = self.peer.timestamp.unwrap();
        self.peer.timestamp = Some((val + 66, ecr));
    }

    /// The window as the peer knows it.
    fn window(&self) -> usize {
        self.edge.wrapping_sub(self.peer.seq) as usize
    }

    /// The peer fills the window, and the application reads what comes if it `reads`. Returns how
    /// much it was.
    fn receive_a_window(&mut self, reads: bool) -> usize {
        let mut left = self.window();
        let total = left;
        while left > 0 {
            // In batches of 16 segments, as they come from a device.
            for _ in 0..16 {
                let len = left.min(SEGMENT);
                let packet = self.peer.seg(ACK, &vec![1; len]);
                self.host.take_in(packet);
                self.peer.seq = self.peer.seq.wrapping_add(len as u32);
                left -= len;
            }
            self.host.engine.flush(self.host.now());
            if reads {
                self.read();
            }
        }
        self.take();
        self.pass_a_round_trip();
        total
    }

    /// The application writes as much as it can, and the peer acknowledges it a round trip later.
    /// Returns how much was in flight.
    fn send_a_window(&mut self) -> usize {
        self.fill();
        let mut last = None;
        loop {
            let sent = self.take();
            last = sent.last().map(Seg::end).or(last);
            if sent.is_empty() {
                break;
            }
        }
        let flight = self.stream.info().in_flight;
        self.pass_a_round_trip();
        let sent = self.take();
        assert!(sent.is_empty(), "sent again: {} segments", sent.len());
        // In steps, as ACKs come.
        let end = last.unwrap();
        while self.peer.ack != end {
            let left = end.wrapping_sub(self.peer.ack) as usize;
            self.peer.ack = self.peer.ack.wrapping_add(left.min(16 * SEGMENT) as u32);
            let ack = self.peer.seg(ACK, &[]);
            self.host.tx(ack);
            self.fill();
        }
        flight
    }

    fn read(&self) {
        match self.lends {
            false => read(&self.stream).map(drop).unwrap(),
            true => (self.stream)
                .try_read_with(|data| Ok(data.iter().map(|slice| slice.len()).sum()))
                .map(drop)
                .unwrap(),
        }
    }

    fn fill(&mut self) {
        if self.lends {
            let fill = |room: &mut [IoSliceMut<'_>]| Ok(room.iter().map(|slice| slice.len()).sum());
            while self.stream.try_write_with(fill).is_ok() {}
            return;
        }
        let mut stream = &self.stream;
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(n) = Pin::new(&mut stream).poll_write(&mut cx, &[1; 64 * KIB]) {
            n.unwrap();
        }
    }

    fn buffers(&self) -> usize {
        self.host.engine.stats().buffers as usize
    }
}

fn with(options: TcpOptions) -> Config {
    Config::new().options(options)
}

fn maximum(max: usize) -> Config {
    with(TcpOptions::new().recv_buffer_max(max).send_buffer_max(max))
}

#[test]
fn buffers_grow_to_4_mib_by_default() {
    let options = TcpOptions::default();
    assert_eq!(options.recv_buffer_max, 4 * MIB);
    assert_eq!(options.send_buffer_max, 4 * MIB);
}

#[test]
fn the_window_scale_is_that_of_the_largest_buffer() {
    // RFC 7323, 2.3: it is fixed when the connection opens.
    for max in [128 * KIB, MIB, 4 * MIB, 64 * MIB] {
        let scale = Path::new(maximum(max)).scale;
        assert!(65_535 << scale >= max - (1 << scale), "{scale} for {max}");
    }
}

#[test]
fn the_window_of_a_reader_that_keeps_up_grows_to_the_maximum() {
    for max in [512 * KIB, 2 * MIB] {
        let mut path = Path::new(maximum(max));
        let mut windows = Vec::new();
        for _ in 0..20 {
            windows.push(path.receive_a_window(true));
        }
        let last = windows[19];
        assert!(last > max / 2 && last <= max, "{windows:?}");
        assert!(path.buffers() >= last);
    }
}

#[test]
fn lent_buffers_grow_as_those_that_are_read_and_written() {
    for max in [512 * KIB, 2 * MIB] {
        let windows = [false, true].map(|lends| {
            let mut path = Path::new(maximum(max));
            path.lends = lends;
            (0..20)
                .map(|_| path.receive_a_window(true))
                .collect::<Vec<_>>()
        });
        assert_eq!(windows[0], windows[1]);
        let mut path = Path::new(maximum(max));
        path.lends = true;
        let flights: Vec<_> = (0..20).map(|_| path.send_a_window()).collect();
        assert!(flights[19] > max / 2 && flights[19] <= max, "{flights:?}");
        assert!(path.buffers() <= max);
    }
}

#[test]
fn a_lent_send_buffer_that_is_never_full_does_not_grow() {
    let initial = 64 * KIB;
    let mut path = Path::new(with(TcpOptions::new().send_buffer(initial)));
    for _ in 0..20 {
        let len = path.stream.info().cwnd.min(40 * SEGMENT);
        assert_eq!(path.stream.try_write_with(|_| Ok(len)).unwrap(), len);
        path.take();
        path.pass_a_round_trip();
        path.peer.ack = path.peer.ack.wrapping_add(len as u32);
        let ack = path.peer.seg(ACK, &[]);
        path.host.tx(ack);
        assert!(path.buffers() <= initial, "{} bytes", path.buffers());
    }
    let cwnd = path.stream.info().cwnd;
    assert!(2 * cwnd > initial, "a full buffer would grow");
}

#[test]
fn a_receive_buffer_grows_within_a_few_round_trips() {
    // 1 MiB within a second.
    let mut path = Path::new(Config::default());
    let mut rounds = 0;
    while path.window() < MIB {
        path.receive_a_window(true);
        rounds += 1;
        assert!(rounds <= 15, "{} bytes after {rounds}", path.window());
    }
}

#[test]
fn the_window_of_a_reader_that_does_not_read_does_not_grow() {
    let mut path = Path::new(Config::default());
    let initial = TcpOptions::default().recv_buffer;
    let mut received = 0;
    for _ in 0..20 {
        received += path.receive_a_window(false);
    }
    assert!(received <= initial, "{received} bytes");
    assert!(path.buffers() <= initial);
}

#[test]
fn the_window_of_a_slow_peer_does_not_grow() {
    // Of a window of 128 KiB it uses 10 KiB in a round trip.
    let mut path = Path::new(Config::default());
    for _ in 0..100 {
        for _ in 0..7 {
            let packet = path.peer.seg(ACK, &[1; SEGMENT]);
            path.host.tx(packet);
            path.peer.seq = path.peer.seq.wrapping_add(SEGMENT as u32);
            read(&path.stream).unwrap();
        }
        path.take();
        path.pass_a_round_trip();
    }
    assert!(path.buffers() <= TcpOptions::default().recv_buffer);
}

#[test]
fn a_maximum_of_the_initial_size_switches_it_off() {
    let initial = TcpOptions::default().recv_buffer;
    for max in [0, initial] {
        let mut path = Path::new(maximum(max));
        for _ in 0..20 {
            assert!(path.receive_a_window(true) <= initial);
        }
        assert!(path.buffers() <= initial);
        let mut path = Path::new(maximum(max));
        for _ in 0..20 {
            assert!(path.send_a_window() <= initial);
        }
        assert!(path.buffers() <= initial);
    }
}

#[test]
fn the_send_buffer_grows_with_the_congestion_window_to_the_maximum() {
    for max in [512 * KIB, 2 * MIB] {
        let mut path = Path::new(maximum(max));
        let mut flights = Vec::new();
        for _ in 0..20 {
            flights.push(path.send_a_window());
        }
        let last = flights[19];
        assert!(last > max / 2 && last <= max, "{flights:?}");
        assert!(path.buffers() >= last && path.buffers() <= max);
    }
}

#[test]
fn the_send_buffer_does_not_grow_beyond_what_the_peer_takes() {
    let mut path = Path::new(Config::default());
    path.peer.window = (64 * KIB / 256) as u16;
    for _ in 0..30 {
        assert!(path.send_a_window() <= 64 * KIB);
    }
    // Twice the window, so that the next is at hand when one has been acknowledged.
    let initial = TcpOptions::default().send_buffer;
    assert!(path.buffers() <= initial, "{} bytes", path.buffers());
}

#[test]
fn an_idle_connection_holds_nothing_and_takes_what_it_advertised() {
    let mut path = Path::new(Config::default());
    for _ in 0..15 {
        path.receive_a_window(true);
    }
    assert!(path.window() >= MIB, "{} bytes", path.window());
    path.host.pass(2 * SECOND);
    path.take();
    assert_eq!(path.buffers(), 0);
    // What was advertised stands: all of it is taken.
    let window = path.window();
    assert_eq!(path.receive_a_window(true), window);
    assert_eq!(path.stream.info().recv_queue, 0);
}

#[test]
fn growth_stays_inside_the_budget() {
    const MEMORY: usize = MIB;
    let mut paths = Vec::new();
    let mut host = Host::new(Config::new().memory(MEMORY));
    for port in 1..=20 {
        let mut peer = Peer::new(&format!("10.0.0.2:{port}"), SERVER);
        let stream = peer.open(&mut host);
        paths.push((peer, stream));
    }
    for _ in 0..40 {
        for (peer, stream) in &mut paths {
            for _ in 0..20 {
                // Inside of any window that may have been advertised.
                host.tx(peer.seg(ACK, &[1; 200]));
                peer.seq = peer.seq.wrapping_add(200);
                assert_eq!(read(stream).unwrap().len(), 200);
            }
            let mut cx = Context::from_waker(Waker::noop());
            while let Poll::Ready(n) = Pin::new(&mut &*stream).poll_write(&mut cx, &[1; 4096]) {
                n.unwrap();
            }
            let buffers = host.engine.stats().buffers as usize;
            assert!(buffers <= MEMORY, "{buffers} bytes");
        }
        host.pass(RTT);
        for seg in host.all() {
            let to = seg.key.destination();
            let (peer, _) = paths.iter_mut().find(|(peer, _)| peer.from == to).unwrap();
            if seg.end().wrapping_sub(peer.ack) as i32 > 0 {
                peer.ack = seg.end();
            }
        }
        for (peer, _) in &paths {
            host.tx(peer.seg(ACK, &[]));
        }
    }
}

#[test]
fn a_small_receive_buffer_can_be_advertised_whatever_its_maximum() {
    for max in [4 * MIB, 64 * MIB, 512 * MIB, 1024 * MIB] {
        let mut host = Host::new(with(
            TcpOptions::new().recv_buffer(2048).recv_buffer_max(max),
        ));
        let mut peer = Peer::new(CLIENT, SERVER);
        let stream = peer.open(&mut host);
        for _ in 0..3 {
            peer.send(&mut host, &[1; 1000]);
            assert_eq!(read(&stream).unwrap().len(), 1000);
            let window = host.all().last().unwrap().window;
            assert!(window > 0, "a zero window with a maximum of {max}");
        }
    }
}
