//! A stack is shut down in the midst of whatever its connections do.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use brooklet::{Builder, QueueParts, Stack, TcpListener, TcpStream};
use brooklet_sim::{Link, LinkConfig, Simulation};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future, io};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

const CONNECTIONS: u16 = 12;

/// SplitMix64.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

/// What one end of a connection does.
async fn use_stream(stream: TcpStream, choice: u64, len: usize) -> io::Result<()> {
    match choice {
        // Written and dropped: delivered in the background.
        0 => (&stream).write_all(&vec![1; len]).await,
        // Both ways, and closed.
        1 => {
            let write = async {
                (&stream).write_all(&vec![2; len]).await?;
                (&stream).close().await
            };
            let read = async { io::copy(&stream, io::sink()).await.map(drop) };
            future::try_zip(write, read).await.map(drop)
        }
        // Reads to the end.
        2 => (&stream).read_to_end(&mut Vec::new()).await.map(drop),
        // Never closed.
        3 => {
            let mut byte = [0];
            while (&stream).read(&mut byte).await? > 0 {}
            future::pending().await
        }
        // Aborted.
        _ => {
            stream.abort();
            Ok(())
        }
    }
}

async fn connect(
    stack: Stack,
    n: u16,
    mut random: Random,
    wait: Duration,
    time: brooklet_sim::VirtualTime,
) {
    time.sleep(wait).await;
    let from = SocketAddr::from(([10, 0, 0, 2], 4000 + n));
    let to = SocketAddr::from(([192, 0, 2, 1], 80));
    if let Ok(stream) = stack.connect_from(from, to).await {
        let len = random.below(50_000) as usize;
        drop(use_stream(stream, random.below(5), len).await);
    }
}

fn model(seed: u64) {
    let mut random = Random(seed);
    let sim = Simulation::new();
    let queues = 1 + random.below(3);
    let line = LinkConfig::new()
        .delay(Duration::from_millis(random.below(50)))
        .loss(random.below(3) as f64 * 0.04);
    let links = (0..queues).map(|queue| {
        let (_, a, b) = Link::new(sim.time(), seed + queue, line);
        let timers = [sim.time().timer(), sim.time().timer()];
        let [one, two] = timers;
        ((a, one), (b, two))
    });
    let (here, there): (Vec<_>, Vec<_>) = links.unzip();
    let build = |devices| {
        let builder = Builder::new().seed(seed);
        builder.build_queues_with_timers(devices).unwrap()
    };
    let (server, client) = (build(here), build(there));
    let QueueParts {
        stack: peer,
        drivers,
        udp: _udp,
        tcp: _tcp,
        ..
    } = client;
    for driver in drivers {
        sim.spawn(driver).detach();
    }
    for n in 0..CONNECTIONS {
        let wait = Duration::from_millis(random.below(2000));
        let choices = Random(random.below(u64::MAX));
        let task = connect(peer.clone(), n, choices, wait, sim.time().clone());
        sim.spawn(task).detach();
    }
    let QueueParts {
        stack,
        tcp,
        drivers,
        udp,
        ..
    } = server;
    let served = Rc::new(RefCell::new(Vec::new()));
    let (log, mut choices) = (served.clone(), Random(random.below(u64::MAX)));
    let executor = Rc::new(async_executor::LocalExecutor::new());
    let inner = executor.clone();
    let mut accept = async move |tcp: TcpListener| -> io::Result<()> {
        loop {
            let (stream, _) = tcp.accept().await?;
            let (choice, len) = (choices.below(5), choices.below(50_000) as usize);
            let task = inner.spawn(use_stream(stream, choice, len));
            log.borrow_mut().push(task);
        }
    };
    let accept = sim.spawn(async move { accept(tcp).await });
    sim.spawn(async move { executor.run(future::pending::<()>()).await })
        .detach();
    let drivers: Vec<_> = drivers
        .into_iter()
        .map(|driver| sim.spawn(driver))
        .collect();

    let begins = Duration::from_millis(random.below(2500));
    let timeout = match random.below(4) {
        0 => Duration::ZERO,
        1 => Duration::from_millis(random.below(300)),
        _ => Duration::from_millis(random.below(20_000)),
    };
    let time = sim.time().clone();
    let handle = stack.clone();
    let run = sim.run(async move {
        time.sleep(begins).await;
        let start = time.now();
        handle.shutdown(timeout).await;
        let accepted = accept.await;
        let mut ends = Vec::new();
        for driver in drivers {
            ends.push(driver.await);
        }
        (time.now() - start, accepted, ends)
    });
    let (took, accepted, ends) = run.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    assert!(
        took <= timeout + Duration::from_millis(1),
        "seed {seed}: {took:?} of {timeout:?}"
    );
    assert_eq!(
        accepted.unwrap_err().kind(),
        io::ErrorKind::NetworkDown,
        "seed {seed}"
    );
    for end in ends {
        end.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    let again = sim.run(stack.shutdown(Duration::MAX));
    assert_eq!(again, Ok(()), "seed {seed}");
    let down = sim.run(udp.recv_datagram()).unwrap();
    assert_eq!(down.unwrap_err().kind(), io::ErrorKind::NetworkDown);
}

#[test]
fn every_shutdown_ends_in_time_with_every_driver_ok() {
    for seed in 0..100 {
        model(seed);
    }
}
