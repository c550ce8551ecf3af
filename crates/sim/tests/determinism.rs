//! A simulation with the same seed is the same to the byte.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use brooklet_sim::{Link, LinkConfig, LinkOutcome, Peer, Simulation};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const LINKS: u64 = 3;
const SEGMENTS: u32 = 40;

/// Time, link, sender, bytes and outcome of a packet.
type Line = (Duration, u64, bool, Vec<u8>, LinkOutcome);

/// Runs a pair of peers on each of a few links and returns every packet, in the order of sending.
fn run(seed: u64) -> Vec<Line> {
    let sim = Simulation::new();
    let trace = Arc::new(Mutex::new(Vec::new()));
    let config = LinkConfig::new()
        .delay(5 * MS)
        .jitter(3 * MS)
        .loss(0.1)
        .duplicate(0.1)
        .reorder(0.2)
        .corrupt(0.05)
        .rate(Some(1_000_000))
        .queue(10);
    let mut tasks = Vec::new();
    for number in 0..LINKS {
        let (link, here, there) = Link::new(sim.time(), seed + number, config);
        let (sink, time) = (trace.clone(), sim.time().clone());
        link.tap(move |event| {
            let packet = event.packet.to_vec();
            let line = (
                time.elapsed(),
                number,
                event.from_first,
                packet,
                event.outcome,
            );
            sink.lock().unwrap().push(line);
        });
        let addresses = ["10.0.0.1:1000", "10.0.0.2:80"];
        let [a, b] = addresses.map(|address| address.parse::<SocketAddr>().unwrap());
        let mut sender = Peer::new(here, sim.time(), a, b);
        let mut receiver = Peer::new(there, sim.time(), b, a);
        let time = sim.time().clone();
        let send = async move {
            for nth in 0..SEGMENTS {
                sender.write(&vec![nth as u8; 100 + nth as usize]).await?;
                time.sleep(MS * (nth % 3)).await;
            }
            io::Result::Ok(())
        };
        tasks.push(sim.spawn(send));
        let receive = async move {
            // Until nothing arrives; a corrupted segment is an error as well.
            receiver.timeout = Duration::from_secs(1);
            loop {
                match receiver.receive().await {
                    Ok(segment) => receiver.ack = segment.seq,
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                    Err(_) => return io::Result::Ok(()),
                }
                receiver.acknowledge().await?;
            }
        };
        tasks.push(sim.spawner().spawn(receive));
    }
    sim.run(async {
        for task in tasks {
            task.await.unwrap();
        }
    })
    .unwrap();
    Arc::into_inner(trace).map_or_else(Vec::new, |trace| trace.into_inner().unwrap())
}

#[test]
fn a_run_is_the_same_to_the_byte_for_the_same_seed() {
    let first = run(1);
    let sent = first.iter().filter(|line| line.2).count();
    assert_eq!(sent as u64, LINKS * u64::from(SEGMENTS));
    assert!(first.len() > sent);
    assert_eq!(first, run(1));
    assert_ne!(first, run(2));
}
