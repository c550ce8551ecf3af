//! A stack with a seed is the same to the byte in every run.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use brooklet::{Builder, Parts, Stack, TcpListener, TransparentUdpSocket};
use brooklet_sim::{Link, LinkConfig, Simulation};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future, io};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A packet on the link: when it was sent, whether by the client, and its bytes.
type Sent = (Duration, bool, Vec<u8>);

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

async fn fetch(stack: Stack) -> io::Result<()> {
    let get = |n: u8| {
        let stack = &stack;
        async move {
            let stream = stack
                .connect(SocketAddr::from(([192, 0, 2, n], 80)))
                .await?;
            (&stream).write_all(&[n; 3000]).await?;
            let mut got = vec![0; 40_000];
            (&stream).read_exact(&mut got).await?;
            io::Result::Ok(())
        }
    };
    let two = future::try_zip(get(1), get(2));
    future::try_zip(two, future::try_zip(get(3), get(4))).await?;
    // Ports that are chosen one after the other.
    for n in [1, 1, 2] {
        get(n).await?;
    }
    // Two connections at once are reset at the end, in an order of their own.
    let first = stack.connect(addr("192.0.2.9:80")).await?;
    let second = stack.connect(addr("192.0.2.8:80")).await?;
    stack.shutdown(Duration::from_secs(2)).await;
    drop((first, second));
    Ok(())
}

async fn serve(tcp: TcpListener, udp: TransparentUdpSocket) -> io::Result<()> {
    let answer = async |stream: brooklet::TcpStream| -> io::Result<()> {
        let mut request = [0; 3000];
        (&stream).read_exact(&mut request).await?;
        (&stream).write_all(&vec![request[0]; 40_000]).await?;
        (&stream).close().await
    };
    let executor = async_executor::LocalExecutor::new();
    let accept = async {
        loop {
            let (stream, _) = tcp.accept().await?;
            executor.spawn(answer(stream)).detach();
        }
    };
    let datagrams = async {
        for n in 0..20 {
            udp.send_to(&[n; 100], addr("192.0.2.1:53"), addr("10.0.0.2:5000"))
                .await?;
        }
        future::pending::<io::Result<()>>().await
    };
    executor
        .run(future::try_zip(accept, datagrams))
        .await
        .map(|((), ())| ())
}

/// Every packet of a run on a link that loses, doubles and reorders.
fn run(seed: u64) -> Vec<Sent> {
    let sim = Simulation::new();
    let line = LinkConfig::new()
        .delay(Duration::from_millis(10))
        .loss(0.05)
        .duplicate(0.02)
        .reorder(0.05);
    let (link, here, there) = Link::new(sim.time(), 7, line);
    let sent = Arc::new(Mutex::new(Vec::new()));
    let (log, start) = (sent.clone(), sim.time().now());
    link.tap(move |event| {
        let packet = (event.at - start, event.from_first, event.packet.to_vec());
        log.lock().unwrap().push(packet);
    });
    let builder = || Builder::new().seed(seed);
    let Parts {
        tcp, udp, driver, ..
    } = builder()
        .build_with_timer(there, sim.time().timer())
        .unwrap();
    sim.spawn(driver).detach();
    sim.spawn(serve(tcp, udp)).detach();
    let Parts {
        stack,
        driver,
        tcp,
        udp,
        ..
    } = builder()
        .address([10, 0, 0, 2])
        .build_with_timer(here, sim.time().timer())
        .unwrap();
    drop((tcp, udp)); // so that datagrams are answered by ICMP errors
    let ended = sim.run(future::zip(driver, fetch(stack))).unwrap();
    ended.0.unwrap();
    ended.1.unwrap();
    let sent = sent.lock().unwrap();
    sent.clone()
}

#[test]
fn two_runs_with_one_seed_send_the_same_packets_and_another_seed_does_not() {
    let first = run(42);
    assert!(first.len() > 300, "{} packets", first.len());
    for (n, (a, b)) in first.iter().zip(&run(42)).enumerate() {
        assert!(a == b, "packet {n}: {a:02x?}\nand then {b:02x?}");
    }
    assert_eq!(first.len(), run(42).len());
    let other = run(43);
    // Another port or another initial sequence number from the first packet on.
    assert_ne!(first[0], other[0]);
}
