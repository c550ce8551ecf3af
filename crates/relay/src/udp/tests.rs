//! Sessions between a client stack in memory and sockets of the host on the loopback.

use crate::Limits;
use crate::host::{Fields, HostUdpSocket, UdpTransmit};
use crate::tests::{REMOTE, World, client, within, world, world_on, world_over};
use async_executor::Executor;
use brooklet::{Datagram, Offload, UdpFlowError, UdpSocket};
use brooklet_reactor::Async;
use futures_lite::future::block_on;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(10);

type Server = Async<std::net::UdpSocket>;

/// Runs a test on async-io, and on the reactor of this thread.
fn on_each_reactor(test: impl AsyncFn(World)) {
    block_on(test(world(Limits::default())));
    let executor = Arc::new(Executor::new());
    let spawn = executor.clone();
    brooklet_reactor::block_on(executor.run(async {
        test(world_on(Limits::default(), move |task| {
            spawn.spawn(task).detach()
        }))
        .await;
    }));
}

/// A server on the loopback, and its address for the client.
fn server() -> (Server, SocketAddr) {
    let server = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = server.local_addr().unwrap().port();
    (Async::new(server).unwrap(), (REMOTE, port).into())
}

fn bind(world: &World) -> UdpSocket {
    let socket = world.client.bind_udp(client(1000)).unwrap();
    socket.set_recv_errors(true);
    socket
}

async fn receive(socket: &UdpSocket) -> io::Result<Datagram> {
    within(LIMIT, socket.recv_datagram())
        .await
        .expect("a datagram or an error")
}

/// Returns the destination that refuses datagrams by the next ICMP error.
async fn reported(socket: &UdpSocket) -> SocketAddr {
    let error = receive(socket).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    let flow: &UdpFlowError = inner.unwrap_or_else(|| panic!("{error:?}"));
    flow.to
}

async fn received(server: &Server) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2000];
    let received = server.read_with(|socket| socket.recv_from(&mut buffer));
    let (length, from) = within(LIMIT, received).await.expect("a datagram").unwrap();
    (buffer[..length].to_vec(), from)
}

#[test]
fn an_error_in_a_batch_is_reported_for_its_datagram() {
    on_each_reactor(async |world| {
        let socket = bind(&world);
        let ((one, to_one), (two, to_two)) = (server(), server());
        let (closed, to_closed) = server();
        drop(closed);
        let unmapped = (Ipv4Addr::new(192, 0, 2, 9), 53).into();
        let from = client(1000);
        let batch = [
            Datagram::new(*b"to one", from, to_one),
            Datagram::new(*b"to nobody", from, to_closed),
            Datagram::new(*b"to two", from, to_two),
            Datagram::new(*b"to one again", from, to_one),
            Datagram::new(*b"to one at last", from, to_one).hop_limit(Some(1)),
        ];
        let mut sent = 0;
        while sent < batch.len() {
            sent += socket.send_batch(&batch[sent..]).await.unwrap();
        }
        assert_eq!(received(&one).await.0, b"to one");
        assert_eq!(received(&two).await.0, b"to two");
        assert_eq!(received(&one).await.0, b"to one again");
        // A mapped destination is the relay itself, so the hop limit does not matter.
        assert_eq!(received(&one).await.0, b"to one at last");

        assert_eq!(reported(&socket).await, to_closed);
        socket.send_to(b"not mapped", unmapped).await.unwrap();
        assert_eq!(reported(&socket).await, unmapped);

        let stats = world.relay.stats();
        assert_eq!((stats.udp_sessions, stats.udp_sessions_total), (1, 1));
        assert_eq!((stats.datagrams_up, stats.datagrams_unmapped), (5, 1));
        assert_eq!(stats.datagram_errors, 1);
    });
}

#[test]
fn a_batch_of_a_host_reaches_the_client_datagram_by_datagram() {
    on_each_reactor(async |world| {
        let socket = bind(&world);
        let server = HostUdpSocket::bind(false).unwrap();
        let port = server.local_addr().unwrap().port();
        let to: SocketAddr = (REMOTE, port).into();
        socket.send_to(b"hello", to).await.unwrap();
        let mut arrivals = Vec::new();
        server.recv_batch(&mut arrivals).await.unwrap();
        let crate::host::UdpArrival::Datagram { from, .. } = arrivals.remove(0) else {
            panic!("a report");
        };
        let session = (Ipv4Addr::LOCALHOST, from.port()).into();
        let (mut total, mut bytes) = (0, 0);
        // The last ones are longer than the path to the client takes in one packet.
        let batches = [
            (1200_u16, 20_u64, 700_usize),
            (10, 64, 1),
            (1400, 2, 3),
            (2000, 9, 5),
        ];
        for (size, count, last) in batches {
            let length = usize::from(size) * (count as usize - 1) + last;
            let payload: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            // Twice: the first one comes in parts, and the second as a batch.
            for _ in 0..2 {
                let batch = UdpTransmit {
                    to: session,
                    payload: &payload,
                    fields: Fields::default(),
                    segment_size: NonZeroU16::new(size),
                };
                assert_eq!(server.send_batch(&[batch]).unwrap(), 1);
                for expected in payload.chunks(size.into()) {
                    let datagram = receive(&socket).await.unwrap();
                    assert_eq!((datagram.from, &datagram.payload[..]), (to, expected));
                }
                (total, bytes) = (total + count, bytes + length as u64);
            }
        }
        // More datagrams than the stack takes in one packet, if the host's kernel does.
        let payload = [9; 100];
        let batch = UdpTransmit {
            to: session,
            payload: &payload,
            fields: Fields::default(),
            segment_size: NonZeroU16::new(1),
        };
        if server.send_batch(&[batch]).is_ok() {
            for _ in 0..100 {
                assert_eq!(receive(&socket).await.unwrap().payload, [9]);
            }
            (total, bytes) = (total + 100, bytes + 100);
        }
        let stats = world.relay.stats();
        assert_eq!(
            (stats.datagrams_down, stats.datagram_bytes_down),
            (total, bytes)
        );
        assert_eq!((stats.datagrams_up, stats.datagram_bytes_up), (1, 5));
    });
}

#[test]
fn datagrams_pass_both_ways_while_the_client_sends_without_a_pause() {
    on_each_reactor(async |world| {
        let socket = bind(&world);
        let (server, to) = server();
        socket.send_to(b"hello", to).await.unwrap();
        let (_, session) = received(&server).await;
        let flood = async {
            let batch = vec![Datagram::new([1; 1000], client(1000), to); 32];
            loop {
                let sent = socket.send_batch(&batch).await;
                assert!(sent.unwrap() > 0);
                futures_lite::future::yield_now().await;
            }
        };
        let answers = async {
            for number in 0..100_u8 {
                server.get_ref().send_to(&[number], session).unwrap();
                assert_eq!(receive(&socket).await.unwrap().payload, [number]);
            }
        };
        futures_lite::future::or(flood, answers).await;
    });
}

#[test]
fn a_batch_of_a_client_reaches_the_host_datagram_by_datagram() {
    block_on(async {
        let offload = Offload::new().checksum(true).uso(true);
        let (near, far) = brooklet::pipe(256);
        let pipe = (near.with_offload(offload), far.with_offload(offload));
        let world = world_over(pipe, Limits::default(), |task| smol::spawn(task).detach());
        let socket = bind(&world);
        let (server, to) = server();
        let mut total = 0;
        for (size, count, last) in [(1200_u16, 20_usize, 700_usize), (10, 64, 1), (1400, 2, 3)] {
            let length = usize::from(size) * (count - 1) + last;
            let payload: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let batch = Datagram::new(payload.clone(), client(1000), to);
            let batch = batch.segment_size(NonZeroU16::new(size));
            // With what fits no batch before and after it.
            for sent in [&batch, &Datagram::new(*b"one", client(1000), to), &batch] {
                socket.send_datagram(sent).await.unwrap();
            }
            for expected in payload.chunks(size.into()).chain([&b"one"[..]]) {
                assert_eq!(received(&server).await.0, expected);
            }
            for expected in payload.chunks(size.into()) {
                assert_eq!(received(&server).await.0, expected);
            }
            total += 2 * count as u64 + 1;
        }
        assert_eq!(world.relay.stats().datagrams_up, total);
    });
}
