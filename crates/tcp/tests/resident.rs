//! What an established connection that carried nothing takes of the memory of the process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_tcp::Config;
use support::*;

/// In bytes, of pages of 4 KiB.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages = statm.split(' ').nth(1).unwrap();
    pages.parse::<usize>().unwrap() * 4096
}

fn open(host: &mut Host, from: usize, count: usize) -> Vec<Stream> {
    let address = |n: usize| format!("10.1.{}.{}:40000", n / 250, 1 + n % 250);
    (from..from + count)
        .map(|n| Peer::new(&address(n), SERVER).open(host))
        .collect()
}

/// One test, so that nothing else happens in the process.
#[test]
fn an_idle_connection_takes_4_kib_at_most() {
    const FLOWS: usize = 2000;
    let mut host = Host::new(Config::default());
    let warm = open(&mut host, 0, 100);
    let before = resident();
    let idle = open(&mut host, 100, FLOWS);
    host.pass(30 * SECOND);
    let each = (resident() - before) / FLOWS;
    assert!(each <= 4096, "{each} bytes each");
    assert_eq!(host.engine.poll_timeout(host.now()), None);
    for stream in warm.iter().chain(&idle) {
        stream.abort();
    }
    drop((warm, idle));
    host.all();
    assert_eq!(host.engine.stats().connections, 0);

    // The same once all of them have been full of data, and ended: with all that is resident,
    // buffers that wait as well.
    let mut streams = Vec::new();
    for n in 0..FLOWS {
        let address = format!("10.2.{}.{}:40000", n / 250, 1 + n % 250);
        let mut peer = Peer::new(&address, SERVER);
        let stream = peer.open(&mut host);
        for _ in 0..8 {
            peer.send(&mut host, &[1; 1400]);
        }
        host.all();
        streams.push((peer, stream));
    }
    assert_eq!(host.engine.stats().buffered, FLOWS as u64);
    let full = resident();
    for (_, stream) in &streams {
        stream.abort();
    }
    drop(streams);
    host.all();
    let again = open(&mut host, 10_000, FLOWS);
    let each = resident().saturating_sub(before) / FLOWS;
    assert!(each <= 4096, "{each} bytes each; {full} when full");
    drop(again);
}
