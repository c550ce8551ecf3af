//! The list of the flows of a whole stack, also while its drivers run on other threads.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet::generic::{Builder, Parts, Pipe};
use brooklet::{Flavor, Flow, SessionConfig, SingleThread, TcpState, Threaded};
use futures_lite::future::{self, block_on};
use futures_lite::{AsyncReadExt, AsyncWriteExt, io};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use support::{addr, echo};

fn connections_come_first_and_then_sessions<F: Flavor>() {
    let (a, b) = Pipe::<F>::pair(64);
    let Parts {
        stack, udp, driver, ..
    } = Builder::<F>::new().build(a).unwrap();
    let far = Builder::<F>::new().build(b).unwrap();
    let sessions = far.udp.into_sessions(SessionConfig::new());
    let talk = async {
        let (client, server) = (addr("10.0.0.1:5000"), addr("192.0.2.1:7"));
        udp.send_to(b"datagram", client, server).await?;
        let session = sessions.accept().await?;
        let connect = stack.connect_from(addr("10.0.0.1:4000"), addr("192.0.2.1:80"));
        let (mut stream, (mut peer, _)) = future::try_zip(connect, far.tcp.accept()).await?;
        stream.write_all(&[7; 20_000]).await?;
        let mut buf = vec![0; 20_000];
        peer.read_exact(&mut buf).await?;
        peer.write_all(b"unread").await?;
        stream.wait_acked().await?;
        while stream.info().recv_queue == 0 {
            future::yield_now().await;
        }
        let flows = far.stack.flows();
        let [Flow::Tcp(tcp), Flow::Udp(udp)] = flows[..] else {
            panic!("{flows:?}");
        };
        assert_eq!(
            (tcp.local_addr, tcp.peer_addr),
            (addr("192.0.2.1:80"), addr("10.0.0.1:4000"))
        );
        assert_eq!((tcp.state, tcp.bytes_in), (TcpState::Established, 20_000));
        assert_eq!((udp.source, udp.destination), (client, Some(server)));
        assert_eq!((udp.bytes_in, udp.recv_queue), (8, 8));
        let lines: Vec<_> = flows.iter().map(Flow::to_string).collect();
        assert!(
            lines[0].starts_with("TCP 192.0.2.1:80 10.0.0.1:4000 ESTABLISHED "),
            "{lines:?}"
        );
        assert!(
            lines[1].starts_with("UDP 192.0.2.1:7 10.0.0.1:5000 "),
            "{lines:?}"
        );
        let [Flow::Tcp(near)] = stack.flows()[..] else {
            panic!("{:?}", stack.flows());
        };
        assert_eq!(
            (near.bytes_in, near.bytes_out, near.recv_queue),
            (6, 20_000, 6)
        );
        assert!(near.srtt.is_some() && near.cwnd > 0);
        assert!(stack.stats().tcp.round_trips.count() > 0);
        drop(session);
        io::Result::Ok(())
    };
    block_on(future::or(talk, future::or(driver, far.driver))).unwrap();
}

#[test]
fn connections_come_first_and_then_sessions_in_the_flavor_for_threads() {
    connections_come_first_and_then_sessions::<Threaded>();
}

#[test]
fn connections_come_first_and_then_sessions_in_the_flavor_for_one_thread() {
    connections_come_first_and_then_sessions::<SingleThread>();
}

#[test]
fn flows_are_listed_while_connections_begin_and_end_on_other_threads() {
    let (a, b) = brooklet::pipe(64);
    let near = brooklet::Builder::new().build(a).unwrap();
    let far = brooklet::Builder::new().build(b).unwrap();
    let (stack, tcp, over) = (near.stack, far.tcp, AtomicBool::new(false));
    let drivers = thread::spawn(|| {
        let far = thread::spawn(|| block_on(far.driver));
        let near = block_on(near.driver);
        (near, far.join().unwrap())
    });
    thread::scope(|scope| {
        scope.spawn(|| {
            block_on(async {
                while let Ok((stream, _)) = tcp.accept().await {
                    let _reset = echo(stream).await;
                }
            });
        });
        let list = || {
            let (mut seen, mut calls) = (0, 0_u32);
            while !over.load(Ordering::Relaxed) {
                for flow in stack.flows() {
                    let Flow::Tcp(tcp) = flow else {
                        panic!("{flow}");
                    };
                    assert!(tcp.bytes_in <= 5000 && tcp.bytes_out <= 5000, "{flow}");
                    seen += 1;
                }
                calls += 1;
            }
            (seen, calls)
        };
        let lists = [scope.spawn(list), scope.spawn(list)];
        for port in 1..=50 {
            let from = addr(&format!("10.0.0.1:{port}"));
            block_on(async {
                let mut stream = stack
                    .connect_from(from, addr("192.0.2.1:80"))
                    .await
                    .unwrap();
                stream.write_all(&[7; 5000]).await.unwrap();
                stream.close().await.unwrap();
                let mut back = Vec::new();
                stream.read_to_end(&mut back).await.unwrap();
                assert_eq!(back.len(), 5000);
            });
        }
        over.store(true, Ordering::Relaxed);
        let flows = stack.flows();
        block_on(stack.shutdown(std::time::Duration::ZERO));
        block_on(far.stack.shutdown(std::time::Duration::ZERO));
        // After the end of the stack, which the task that accepts waits for.
        for list in lists {
            let (seen, calls) = list.join().unwrap();
            assert!(seen > 0 && calls > 0);
        }
        let in_time_wait =
            |flow: &Flow| matches!(flow, Flow::Tcp(tcp) if tcp.state == TcpState::TimeWait);
        assert!(
            !flows.is_empty() && flows.iter().all(in_time_wait),
            "{flows:?}"
        );
    });
    let _ended = drivers.join().unwrap();
}
