//! Senders that find the outbound queue full, or that have used up their turn, and a driver that takes
//! the packets.
#![cfg(shuttle)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use brooklet::{IcmpSocketConfig, RawConfig};
use brooklet_cell::wakers::{SingleWaker, WaitQueue, WakeList};
use brooklet_cell::{Shared, Threaded};
use brooklet_models::{Options, addr, all, briefly, check, check_with, net, run, task};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::future::poll_fn;
use std::task::Poll;

/// A [`TxQueue`](brooklet_io::TxQueue) as the engines keep it: in a cell, with a driver that sleeps
/// and senders that wait.
struct Queue {
    tx: brooklet_io::TxQueue<u8>,
    driver: SingleWaker,
    senders: WaitQueue,
}

type Cell = Shared<Threaded, Queue>;

fn queue(packets: usize) -> Cell {
    Shared::new(Queue {
        tx: brooklet_io::TxQueue::new(packets, 1 << 20),
        driver: SingleWaker::new(),
        senders: WaitQueue::new(),
    })
}

/// Reserves a place, builds a packet without the cell, and queues it. Waits for room before.
async fn send(cell: &Cell, sender: u8) {
    let mut key = Default::default();
    let mut packet = poll_fn(|cx| {
        let (poll, replaced) = cell.with(|queue| match queue.tx.reserve() {
            true => (Poll::Ready(queue.tx.buffer(1)), None),
            false => {
                queue.tx.wait(sender);
                (Poll::Pending, queue.senders.register(&mut key, cx.waker()))
            }
        });
        drop(replaced);
        poll
    })
    .await;
    packet.copy_from_slice(&[sender]);
    let driver = cell.with(|queue| {
        queue.tx.push_reserved(packet);
        queue.driver.take()
    });
    driver.into_iter().for_each(brooklet_cell::wakers::wake);
}

/// Takes `count` packets.
async fn take(cell: &Cell, count: usize) -> Vec<u8> {
    let mut taken = Vec::new();
    poll_fn(|cx| {
        let mut wakes = WakeList::new();
        let (poll, replaced) = cell.with(|queue| {
            while let Some(packet) = queue.tx.pop() {
                taken.push(packet[0]);
                queue.tx.recycle(packet);
                if queue.tx.callable() > 0 {
                    while queue.tx.next_waiting().is_some() {}
                    queue.senders.drain_into(&mut wakes);
                }
            }
            match taken.len() == count {
                true => (Poll::Ready(()), None),
                false => (Poll::Pending, queue.driver.register(cx.waker())),
            }
        });
        drop(replaced);
        wakes.wake_all();
        poll
    })
    .await;
    taken
}

#[test]
fn a_full_queue_takes_every_packet_in_the_end() {
    check(|| {
        let cell = queue(2);
        let senders = [1, 2, 3].map(|sender| {
            let cell = cell.clone();
            task(async move {
                for _ in 0..3 {
                    send(&cell, sender).await;
                }
            })
        });
        let mut taken = run(take(&cell, 9));
        all(senders);
        taken.sort();
        assert_eq!(taken, [1, 1, 1, 2, 2, 2, 3, 3, 3]);
        cell.with(|queue| assert!(queue.tx.is_empty() && queue.tx.has_room()));
    });
}

#[test]
fn a_turn_that_is_used_up_is_followed_by_another() {
    // Two packets of 64 KiB are a turn nearly, and the window opens by four at a time.
    check_with(100, || {
        let net = net(Options {
            mtu: 65_535,
            buffer: 1 << 19,
            wire: 8,
            outbound: 16,
            ..Options::default()
        });
        let tcp = net.tcp;
        const LEN: usize = 600_000;
        let server = task(async move {
            let (stream, _) = tcp.accept().await.unwrap();
            let (mut got, mut buf) = (0, vec![0; 1 << 17]);
            loop {
                match (&stream).read(&mut buf).await.unwrap() {
                    0 => return got,
                    n => got += n,
                }
            }
        });
        let stream = run(net.here.connect_from(addr(1, 1), addr(2, 2))).unwrap();
        let writer = stream.clone();
        let write = task(async move {
            (&writer).write_all(&vec![7; LEN]).await.unwrap();
            (&writer).close().await.unwrap();
        });
        assert_eq!(all([server]), [LEN]);
        all([write]);
        net.drivers.end();
    });
}

#[test]
fn datagrams_of_senders_that_give_up_keep_no_place() {
    check(|| {
        let net = net(Options {
            wire: 1,
            udp_outbound: 1,
            ..Options::default()
        });
        let fickle = net.here_udp.clone();
        let fickle = task(async move {
            for _ in 0..3 {
                briefly(fickle.send_to(b"?", addr(1, 1), addr(2, 2))).await;
            }
        });
        let steady = net.here_udp.clone();
        let steady = task(async move {
            for _ in 0..3 {
                steady.send_to(b"!", addr(1, 1), addr(2, 2)).await.unwrap();
            }
        });
        let reader = net.there_udp.clone();
        let reader = task(async move {
            let mut steady = 0;
            while steady < 3 {
                let datagram = reader.recv_datagram().await.unwrap();
                steady += usize::from(datagram.payload == b"!");
            }
        });
        all([fickle, steady, reader]);
        net.drivers.end();
    });
}

#[test]
fn echo_requests_and_raw_packets_wait_for_room_and_all_leave() {
    check(|| {
        let net = net(Options {
            wire: 1,
            raw_outbound: 1,
            ..Options::default()
        });
        let pings = IcmpSocketConfig::new().echo_requests(false);
        let sender = net.here.bind_icmp_with(pings).unwrap();
        let answers = sender.clone();
        let write = task(async move {
            for sequence in 0..3 {
                let echo = brooklet::Echo {
                    identifier: 1,
                    sequence,
                };
                let (from, to) = (addr(1, 1).ip(), addr(2, 2).ip());
                sender
                    .send_echo_request(from, to, echo, b"x")
                    .await
                    .unwrap();
            }
        });
        let raw = net.here.bind_raw(RawConfig::new()).unwrap();
        let raw = task(async move {
            for _ in 0..2 {
                let mut packet = Vec::new();
                brooklet_packet::udp::write(&mut packet, addr(1, 1), addr(2, 2), 64, b"x").unwrap();
                raw.send(&packet).await.unwrap();
            }
        });
        let reader = net.there_udp.clone();
        let reader = task(async move {
            for _ in 0..2 {
                reader.recv_datagram().await.unwrap();
            }
        });
        for _ in 0..3 {
            run(answers.recv()).unwrap();
        }
        all([write, raw, reader]);
        net.drivers.end();
    });
}
