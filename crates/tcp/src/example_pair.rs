// Two connected streams, for the examples of the documentation. This file is no module of the
// crate: each example includes it.

use brooklet_cell::Threaded;
use brooklet_packet::Headers;
use brooklet_tcp::{Clock, Config, Engine, Interface, TcpStream};
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

type Stream = TcpStream<Threaded>;

/// Runs `example` with the two ends of a connection between two stacks. Their packets move whenever
/// `example` waits; when there are none, the clock jumps to the next timeout.
pub fn run<F>(example: impl FnOnce(Stream, Stream) -> F)
where
    F: Future<Output = io::Result<()>>,
{
    let (start, elapsed) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let clock = || {
        let elapsed = elapsed.clone();
        Clock::new(move || start + Duration::from_micros(elapsed.load(Relaxed)))
    };
    let stack = |secret| Engine::new(Interface::default(), Config::default(), clock(), secret);
    let (mut near, _listener, connector) = stack([1, 2]);
    let (mut far, listener, _) = stack([3, 4]);
    let mut talk = pin!(async {
        let (from, to) = (
            "10.0.0.1:4000".parse().unwrap(),
            "192.0.2.1:80".parse().unwrap(),
        );
        let connect = connector.connect_from(from, to);
        let (stream, (peer, _)) = futures_lite::future::try_zip(connect, listener.accept()).await?;
        example(stream, peer).await
    });
    for _ in 0..10_000 {
        let cx = &mut Context::from_waker(Waker::noop());
        if let Poll::Ready(result) = talk.as_mut().poll(cx) {
            return result.unwrap();
        }
        let now = clock().now();
        if carry(&mut near, &mut far, now) || carry(&mut far, &mut near, now) {
            elapsed.fetch_add(100, Relaxed);
            continue;
        }
        let timeouts = [near.poll_timeout(now), far.poll_timeout(now)];
        let next = timeouts
            .into_iter()
            .flatten()
            .min()
            .expect("nothing will happen");
        elapsed.store((next.max(now) - start).as_micros() as u64, Relaxed);
        for engine in [&mut near, &mut far] {
            engine.handle_timeout(next.max(now));
            engine.flush(next.max(now));
        }
    }
    panic!("the example does not end");
}

/// Carries the packets that `from` sends. Returns whether there were any.
fn carry(from: &mut Engine<Threaded>, to: &mut Engine<Threaded>, now: Instant) -> bool {
    let mut carried = false;
    while let Some(packet) = from.poll_transmit() {
        let headers = Headers::parse(&packet).unwrap();
        to.handle_packet(now, &packet, &headers);
        from.recycle(packet);
        carried = true;
    }
    from.flush(now);
    to.flush(now);
    carried
}
