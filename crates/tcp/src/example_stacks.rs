// Two stacks whose packets reach each other, for the examples of the documentation. This file is
// no module of the crate: each example includes it.

use brooklet_cell::Threaded;
use brooklet_packet::{Headers, Packet, icmp};
use brooklet_tcp::{Clock, Config, Connector, Engine, Interface, TcpListener};
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Runs `example` with the connector of a client with the address 10.0.0.2 and the listener of a
/// server with every address. Their packets move whenever `example` waits; when there are none, the
/// clock jumps to the next timeout.
pub fn run<F>(example: impl FnOnce(Connector<Threaded>, TcpListener<Threaded>) -> F)
where
    F: Future<Output = io::Result<()>>,
{
    let (start, elapsed) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let clock = || {
        let elapsed = elapsed.clone();
        Clock::new(move || start + Duration::from_micros(elapsed.load(Relaxed)))
    };
    let interface = Interface::new().ipv4(Some([10, 0, 0, 2].into()));
    let stack = |secret| Engine::new(interface, Config::default(), clock(), secret);
    let (mut client, _, connector) = stack([1, 2]);
    let (mut server, listener, _) = stack([3, 4]);
    let mut example = pin!(example(connector, listener));
    for _ in 0..10_000 {
        let cx = &mut Context::from_waker(Waker::noop());
        if let Poll::Ready(result) = example.as_mut().poll(cx) {
            return result.unwrap();
        }
        let now = clock().now();
        if carry(&mut client, &mut server, now) | carry(&mut server, &mut client, now) {
            elapsed.fetch_add(100, Relaxed);
            continue;
        }
        let timeouts = [client.poll_timeout(now), server.poll_timeout(now)];
        let next = timeouts.into_iter().flatten().min().expect("nothing will happen");
        let now = next.max(now);
        elapsed.store((now - start).as_micros() as u64 + 1, Relaxed);
        for engine in [&mut client, &mut server] {
            engine.handle_timeout(now);
            engine.flush(now);
        }
    }
    panic!("the example does not end");
}

/// Carries the packets that `from` sends. Returns whether there were any.
fn carry(from: &mut Engine<Threaded>, to: &mut Engine<Threaded>, now: Instant) -> bool {
    let mut carried = false;
    while let Some(packet) = from.poll_transmit() {
        let headers = Headers::parse(&packet).unwrap();
        if headers.tcp().is_some() {
            to.handle_packet(now, &packet, &headers);
        } else if let Some(error) = icmp::parse_error(&Packet::new(&packet, headers)) {
            to.handle_icmp_error(now, &error);
        }
        from.recycle(packet);
        carried = true;
    }
    from.flush(now);
    to.flush(now);
    carried
}
