//! Two stacks over two queues each, with a driver for each queue, and packets that come on another
//! queue than that of their connection.
#![cfg(shuttle)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use brooklet_models::{Net, Options, addr, all, check, net, run, task};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::io::ErrorKind;

fn two() -> Net {
    net(Options {
        queues: 2,
        ..Options::default()
    })
}

#[test]
fn a_flow_is_received_by_one_driver_and_sent_by_another() {
    check(|| {
        let net = two();
        let tcp = net.tcp;
        let echo = task(async move {
            let (mut stream, _) = tcp.accept().await.unwrap();
            let mut buf = [0; 900];
            loop {
                match stream.read(&mut buf).await.unwrap() {
                    0 => break,
                    n => stream.write_all(&buf[..n]).await.unwrap(),
                }
            }
            stream.close().await.unwrap();
        });
        let data: Vec<u8> = (0..5000).map(|n| (n / 7) as u8).collect();
        let stream = run(net.here.connect_from(addr(1, 1), addr(2, 2))).unwrap();
        let (mut reader, mut writer) = stream.split();
        let sent = data.clone();
        let write = task(async move { writer.write_all(&sent).await.unwrap() });
        let mut got = Vec::new();
        run(reader.read_to_end(&mut got)).unwrap();
        assert!(got == data, "other bytes than were sent");
        all([echo, write]);
        net.drivers.end();
    });
}

#[test]
fn flows_of_two_queues_wake_no_driver_too_few() {
    check(|| {
        let net = two();
        let servers = [0, 1].map(|_| {
            let tcp = net.tcp.clone();
            task(async move {
                let (mut stream, _) = tcp.accept().await.unwrap();
                stream.write_all(&[7; 3000]).await.unwrap();
                stream.close().await.unwrap();
            })
        });
        // Of these two ports one is of each queue.
        let clients = [6, 7].map(|port| {
            let here = net.here.clone();
            task(async move {
                let mut stream = here.connect_from(addr(1, port), addr(2, 2)).await.unwrap();
                let mut got = Vec::new();
                stream.read_to_end(&mut got).await.unwrap();
                assert_eq!(got, [7; 3000]);
                stream.close().await.unwrap();
            })
        });
        all(clients);
        all(servers);
        net.drivers.end();
    });
}

#[test]
fn datagrams_of_two_queues_wait_for_room_and_all_arrive() {
    check(|| {
        let net = net(Options {
            queues: 2,
            wire: 1,
            udp_outbound: 1,
            ..Options::default()
        });
        let reader = net.there_udp.clone();
        let reads = task(async move {
            let mut got = Vec::new();
            for _ in 0..6 {
                got.push(reader.recv_datagram().await.unwrap().payload[0]);
            }
            got.sort();
            got
        });
        let writers = [0, 1].map(|writer| {
            let udp = net.here_udp.clone();
            task(async move {
                for n in 0..3 {
                    let to = addr(2, 10 + n);
                    let payload = [3 * writer + n as u8];
                    udp.send_to(&payload, addr(1, 1), to).await.unwrap();
                }
            })
        });
        all(writers);
        assert_eq!(all([reads])[0], [0, 1, 2, 3, 4, 5]);
        net.drivers.end();
    });
}

#[test]
fn the_end_of_one_driver_ends_the_others_and_all_who_wait() {
    check(|| {
        let net = two();
        let down = |error: std::io::Error| assert_eq!(error.kind(), ErrorKind::NetworkDown);
        let tcp = net.here_tcp.clone();
        let acceptor = task(async move { down(tcp.accept().await.unwrap_err()) });
        let udp = net.here_udp.clone();
        let receiver = task(async move { down(udp.recv_datagram().await.unwrap_err()) });
        let here = net.here.clone();
        let client = task(async move {
            match here.connect_from(addr(1, 1), addr(2, 2)).await {
                Err(error) => down(error),
                Ok(mut stream) => {
                    // Nobody accepts it for good, and nobody writes.
                    let end = stream.read(&mut [0]).await.unwrap_err();
                    down(end);
                }
            }
        });
        let tcp = net.tcp.clone();
        let server = task(async move {
            let mut kept = Vec::new();
            while let Ok(accepted) = tcp.accept().await {
                kept.push(accepted);
            }
            // It is let go only when that stack is down as well.
        });
        net.drivers.kill();
        all([acceptor, receiver, client, server]);
        let ends = net.drivers.ended();
        // Of the driver that was not dropped; its wire may be gone as well by then.
        assert!(
            matches!(
                ends[..],
                [ErrorKind::NetworkDown | ErrorKind::UnexpectedEof]
            ),
            "{ends:?}"
        );
    });
}
