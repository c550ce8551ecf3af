//! Datagrams between two stacks.
#![cfg(shuttle)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use brooklet_models::{Options, addr, all, briefly, check, net, run, task};

#[test]
fn two_tasks_send_through_a_queue_of_one_and_two_receive() {
    check(|| {
        let net = net(Options {
            wire: 1,
            udp_outbound: 1,
            ..Options::default()
        });
        let readers = [0, 1].map(|_| {
            let udp = net.there_udp.clone();
            task(async move {
                [
                    udp.recv_datagram().await.unwrap().payload[0],
                    udp.recv_datagram().await.unwrap().payload[0],
                ]
            })
        });
        let writers = [1, 3].map(|n| {
            let udp = net.here_udp.clone();
            task(async move {
                for n in [n, n + 1] {
                    udp.send_to(&[n], addr(1, 1), addr(2, 2)).await.unwrap();
                }
            })
        });
        let mut got: Vec<u8> = all(readers).into_iter().flatten().collect();
        got.sort();
        assert_eq!(got, [1, 2, 3, 4]);
        all(writers);
        net.drivers.end();
    });
}

#[test]
fn a_wait_that_is_given_up_takes_no_wake_up_with_it() {
    check(|| {
        let net = net(Options {
            wire: 1,
            udp_outbound: 1,
            ..Options::default()
        });
        let sender = net.here_udp.clone();
        let flighty = task(async move {
            for _ in 0..2 {
                briefly(sender.send_to(b"?", addr(1, 1), addr(2, 2))).await;
            }
        });
        let reader = net.there_udp.clone();
        let fickle = task(async move {
            for _ in 0..2 {
                briefly(reader.peek_from(&mut [0])).await;
            }
        });
        let reader = net.there_udp.clone();
        let steady =
            task(async move { while reader.recv_datagram().await.unwrap().payload != b"!" {} });
        let sender = net.here_udp.clone();
        let last = task(async move {
            for _ in 0..2 {
                sender.send_to(b".", addr(1, 1), addr(2, 2)).await.unwrap();
            }
            sender.send_to(b"!", addr(1, 1), addr(2, 2)).await.unwrap();
        });
        all([flighty, fickle, steady, last]);
        net.drivers.end();
    });
}

#[test]
fn tcp_and_udp_share_a_wire() {
    check(|| {
        let net = net(Options {
            wire: 1,
            ..Options::default()
        });
        let (tcp, udp) = (net.tcp, net.there_udp);
        let server = task(async move { tcp.accept().await.unwrap().0 });
        let reader =
            task(async move { assert_eq!(udp.recv_datagram().await.unwrap().payload, b"x") });
        let here = net.here_udp;
        let writer = task(async move {
            here.send_to(b"x", addr(1, 1), addr(2, 2)).await.unwrap();
        });
        let stream = run(net.here.connect_from(addr(1, 1), addr(2, 2))).unwrap();
        all([reader, writer]);
        all([server]);
        drop(stream);
        net.drivers.end();
    });
}
