//! The graceful end of a stack.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/host.rs"]
mod host;
#[path = "support/packets.rs"]
mod packets;
mod support;

use brooklet::filter::UnicastOnly;
use brooklet::{Builder, Packet, PacketBuf, PacketIo, Parts, QueueParts, TcpStream};
use futures_lite::future::{block_on, or, poll_once, zip};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use host::{Host, host};
use packets::{summed, syn, udp};
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};
use support::addr;

const SECOND: Duration = Duration::from_secs(1);
const FIN_ACK: u8 = 0x11;
const ACK: u8 = 0x10;

fn ends() -> (SocketAddr, SocketAddr) {
    (addr("10.0.0.2:5000"), addr("192.0.2.1:80"))
}

/// A segment of the client without data.
fn segment(flags: u8, seq: u32, ack: u32) -> Vec<u8> {
    let (from, to) = ends();
    let mut body = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    body.extend(seq.to_be_bytes());
    body.extend(ack.to_be_bytes());
    body.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    summed(from.ip(), to.ip(), 6, body, 16)
}

fn seq(packet: &[u8]) -> u32 {
    Packet::parse(packet).unwrap().tcp().unwrap().seq
}

fn is_rst(packet: &[u8]) -> bool {
    Packet::parse(packet).unwrap().tcp().unwrap().flags.rst()
}

fn is_down<T>(result: io::Result<T>) {
    let error = result.err().expect("the stack is down");
    assert_eq!(error.kind(), ErrorKind::NetworkDown, "{error}");
}

/// An accepted connection, and the sequence number that the client acknowledges.
fn connected(host: &mut Host<UnicastOnly>) -> (TcpStream, u32) {
    let (from, to) = ends();
    host.give([syn(from, to, 0)]);
    let tcp = host.tcp.clone().unwrap();
    let mut accept = pin!(tcp.accept());
    assert!(block_on(poll_once(accept.as_mut())).is_none());
    let syn_ack = host.run();
    let ack = seq(&syn_ack[0]).wrapping_add(1);
    host.give([segment(ACK, 1, ack)]);
    (block_on(accept).unwrap().0, ack)
}

/// Every call on the handles fails.
fn all_is_down(host: &Host<UnicastOnly>) {
    let (stack, tcp, udp) = (&host.stack, &host.tcp, &host.udp);
    is_down(block_on(tcp.as_ref().unwrap().accept()));
    is_down(block_on(
        stack.connect_from(addr("10.0.0.1:1"), addr("10.0.0.2:2")),
    ));
    is_down(stack.bind(addr("0.0.0.0:80")));
    is_down(block_on(udp.as_ref().unwrap().recv_datagram()));
    is_down(block_on(udp.as_ref().unwrap().send_to(
        b"x",
        addr("10.0.0.1:1"),
        addr("10.0.0.2:2"),
    )));
    // Once more, which is done at once.
    block_on(stack.shutdown(SECOND));
}

fn ended(poll: Poll<io::Result<()>>) -> bool {
    match poll {
        Poll::Ready(result) => {
            result.unwrap();
            true
        }
        Poll::Pending => false,
    }
}

#[test]
fn a_stack_without_connections_ends_at_once() {
    let mut host = host();
    let stack = host.stack.clone();
    host.run();
    let (from, to) = (addr("192.0.2.1:53"), addr("10.0.0.2:5000"));
    let socket = host.udp.clone().unwrap();
    block_on(socket.send_to(b"the last words", from, to)).unwrap();
    let mut shutdown = pin!(stack.shutdown(SECOND));
    assert!(block_on(poll_once(shutdown.as_mut())).is_none());
    assert!(ended(host.poll()));
    assert_eq!(host.sent().len(), 1, "what was queued is sent");
    assert!(block_on(poll_once(shutdown)).is_some());
    all_is_down(&host);
}

#[test]
fn an_open_connection_comes_to_its_end_and_new_ones_are_refused() {
    let mut host = host();
    let (stream, ack) = connected(&mut host);
    let stack = host.stack.clone();
    let (from, to) = ends();
    let other = SocketAddr::new(from.ip(), 5001);
    // A request that nobody has accepted, and a task that would.
    host.give([syn(other, to, 7)]);
    let tcp = host.tcp.clone().unwrap();
    let mut shutdown = pin!(stack.shutdown(60 * SECOND));
    assert!(block_on(poll_once(shutdown.as_mut())).is_none());
    is_down(block_on(tcp.accept()));
    is_down(block_on(stack.connect_from(to, from)));
    is_down(stack.bind(addr("0.0.0.0:81")));
    let sent = host.run();
    assert!(
        sent.len() == 1 && is_rst(&sent[0]),
        "the request is refused"
    );
    let sent = host.give([syn(other, to, 9)]);
    assert!(sent.len() == 1 && is_rst(&sent[0]), "a later one as well");

    // Datagrams and the connection go on.
    host.give([udp(from, to, b"still here")]);
    assert_eq!(host.datagram().unwrap().payload, b"still here");
    block_on((&stream).write_all(b"data")).unwrap();
    assert_eq!(Packet::parse(&host.run()[0]).unwrap().payload(), b"data");
    assert!(block_on(poll_once(shutdown.as_mut())).is_none());
    let ack = ack.wrapping_add(4);
    host.give([segment(FIN_ACK, 1, ack)]);
    drop(stream);
    assert_eq!(host.run().len(), 1, "a FIN");
    host.put(segment(ACK, 2, ack.wrapping_add(1)));
    assert!(ended(host.poll()));
    block_on(shutdown);
}

#[test]
fn time_wait_is_not_waited_for() {
    let mut host = host();
    let (stream, ack) = connected(&mut host);
    let stack = host.stack.clone();
    let mut shutdown = pin!(stack.shutdown(60 * SECOND));
    assert!(block_on(poll_once(shutdown.as_mut())).is_none());
    drop(stream);
    assert_eq!(host.run().len(), 1, "a FIN");
    host.give([segment(ACK, 1, ack.wrapping_add(1))]);
    host.put(segment(FIN_ACK, 1, ack.wrapping_add(1)));
    assert!(ended(host.poll()));
    let sent = host.sent();
    assert_eq!(sent.len(), 1, "the FIN is acknowledged before the end");
    assert!(!is_rst(&sent[0]));
    assert!(block_on(poll_once(shutdown)).is_some());
    assert_eq!(stack.stats().tcp.connections, 0);
}

#[test]
fn connections_that_are_open_at_the_deadline_are_reset() {
    let mut host = host();
    let (stream, ack) = connected(&mut host);
    let stack = host.stack.clone();
    // Dropped after its first poll, and later ones cannot put the deadline off.
    assert!(block_on(poll_once(stack.shutdown(5 * SECOND))).is_none());
    let mut twice = pin!(stack.shutdown(60 * SECOND));
    assert!(block_on(poll_once(twice.as_mut())).is_none());
    assert!(host.pass(4 * SECOND).is_empty());
    assert_eq!(host.sleeps_for(), Some(SECOND));
    host.advance(SECOND);
    assert!(ended(host.poll()));
    let sent = host.sent();
    assert_eq!(sent.len(), 1);
    assert!(is_rst(&sent[0]) && seq(&sent[0]) == ack);
    assert!(block_on(poll_once(twice)).is_some());
    is_down(block_on((&stream).read(&mut [0; 8])));
    is_down(block_on((&stream).write(&[0; 8])));
    all_is_down(&host);
}

#[test]
fn a_later_call_brings_the_deadline_forward() {
    let mut host = host();
    let (_stream, _) = connected(&mut host);
    let stack = host.stack.clone();
    host.pass(60 * SECOND); // no deadline is left of the handshake
    for (timeout, expected) in [
        (Duration::MAX, None),
        (60 * SECOND, Some(60 * SECOND)),
        (Duration::MAX, Some(60 * SECOND)),
        (SECOND, Some(SECOND)),
    ] {
        assert!(block_on(poll_once(stack.shutdown(timeout))).is_none());
        host.run();
        assert_eq!(host.sleeps_for(), expected);
    }
    assert!(block_on(poll_once(stack.shutdown(Duration::ZERO))).is_none());
    assert!(ended(host.poll()));
    assert!(is_rst(&host.sent()[0]));
}

/// Takes in packets, and takes none to send.
struct Stuck(Vec<Vec<u8>>);

impl PacketIo for Stuck {
    fn poll_recv(&mut self, _: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<()>> {
        let Some(bytes) = self.0.pop() else {
            return Poll::Pending;
        };
        packet.copy_from_slice(&bytes);
        Poll::Ready(Ok(()))
    }

    fn poll_send(&mut self, _: &mut Context<'_>, _: &PacketBuf) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

#[test]
fn a_device_that_takes_nothing_delays_the_end_to_the_deadline() {
    let timeout = Duration::from_millis(50);
    let (from, to) = ends();
    let Parts {
        stack, driver, tcp, ..
    } = Builder::new().build(Stuck(vec![syn(from, to, 1)])).unwrap();
    let start = Instant::now();
    let (ended, ()) = block_on(zip(driver, async {
        // Answered, but the answer does not leave.
        assert!(poll_once(tcp.accept()).await.is_none());
        stack.shutdown(timeout).await;
    }));
    ended.unwrap();
    assert!((timeout..timeout + SECOND / 2).contains(&start.elapsed()));
}

#[test]
fn the_end_of_the_driver_ends_the_shutdown() {
    let mut host = host();
    let (_stream, _) = connected(&mut host);
    let stack = host.stack.clone();
    let mut shutdown = pin!(stack.shutdown(Duration::MAX));
    assert!(block_on(poll_once(shutdown.as_mut())).is_none());
    drop(host);
    block_on(shutdown);
}

#[test]
fn what_was_written_is_delivered() {
    const LEN: usize = 1_000_000;
    let (here, there) = brooklet::pipe(64);
    let Parts {
        stack,
        driver: client,
        ..
    } = Builder::new().build(here).unwrap();
    let Parts {
        tcp,
        stack: server_stack,
        driver: server,
        ..
    } = Builder::new().build(there).unwrap();
    let serve = async {
        let (mut stream, _) = tcp.accept().await.unwrap();
        stream.write_all(&vec![7; LEN]).await.unwrap();
        drop(stream);
        server_stack.shutdown(60 * SECOND).await;
    };
    let fetch = async {
        let connect = stack.connect_from(addr("10.0.0.1:1"), addr("192.0.2.1:2"));
        let mut stream = connect.await.unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).await.unwrap();
        assert_eq!(got.len(), LEN);
    };
    let client = async {
        client.await.unwrap_err(); // the wire ends
        unreachable!("the client is needed to the end")
    };
    let (ended, _) = block_on(zip(server, or(async { zip(serve, fetch).await }, client)));
    ended.unwrap();
}

/// Counts how often a driver is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn the_drivers_of_all_queues_end_together() {
    for reset in [false, true] {
        let (devices, mut wires): (Vec<_>, Vec<_>) = (0..3).map(|_| brooklet::pipe(64)).unzip();
        let QueueParts {
            stack,
            tcp,
            udp: _udp,
            mut drivers,
            ..
        } = Builder::new().build_queues(devices).unwrap();
        let woken: Vec<Arc<Count>> = (0..3).map(|_| Arc::default()).collect();
        let mut poll = |queue: usize| {
            let waker = Waker::from(woken[queue].clone());
            woken[queue].0.store(0, Ordering::SeqCst);
            Pin::new(&mut drivers[queue]).poll(&mut Context::from_waker(&waker))
        };
        let is_woken = |queue: usize| woken[queue].0.load(Ordering::SeqCst) > 0;
        let (from, to) = ends();
        let put = |wire: &mut brooklet::Pipe, packet: Vec<u8>| {
            let packet = PacketBuf::from(packet);
            block_on(poll_fn(|cx| wire.poll_send(cx, &packet))).unwrap();
        };
        let take = |wire: &mut brooklet::Pipe| {
            let mut packet = PacketBuf::default();
            block_on(poll_once(poll_fn(|cx| wire.poll_recv(cx, &mut packet))))
                .map(|received| received.map(|()| packet.to_vec()).unwrap())
        };
        put(&mut wires[1], syn(from, to, 0));
        assert!(poll(1).is_pending());
        let mut accept = pin!(tcp.accept());
        assert!(block_on(poll_once(accept.as_mut())).is_none());
        assert!(poll(1).is_pending());
        let ack = seq(&take(&mut wires[1]).unwrap()).wrapping_add(1);
        put(&mut wires[1], segment(ACK, 1, ack));
        assert!(poll(1).is_pending());
        let (stream, _) = block_on(accept).unwrap();
        for queue in [0, 1, 2] {
            while !matches!((poll(queue), is_woken(queue)), (Poll::Pending, false)) {}
        }

        let timeout = if reset { Duration::ZERO } else { 60 * SECOND };
        let mut shutdown = pin!(stack.shutdown(timeout));
        assert!(block_on(poll_once(shutdown.as_mut())).is_none());
        assert!([0, 1, 2].into_iter().all(is_woken));
        if reset {
            // One driver resets, and the queue of the connection sends the RST.
            assert!(poll(0).is_pending());
            assert!(poll(2).is_pending());
            assert!(is_woken(1));
            assert!(ended(poll(1)));
            assert!(is_rst(&take(&mut wires[1]).unwrap()));
        } else {
            drop(stream);
            for queue in [0, 1, 2] {
                assert!(poll(queue).is_pending());
            }
            put(&mut wires[1], segment(ACK, 1, ack.wrapping_add(1)));
            put(&mut wires[1], segment(FIN_ACK, 1, ack.wrapping_add(1)));
            assert!(poll(1).is_pending());
            // The end of the connection wakes the other drivers.
            assert!(is_woken(0) && is_woken(2));
            assert!(poll(0).is_pending());
            assert!(ended(poll(2)));
        }
        assert!(block_on(poll_once(shutdown)).is_some());
        let rest: &[usize] = if reset { &[0, 2] } else { &[0, 1] };
        for &queue in rest {
            assert!(is_woken(queue));
            assert!(ended(poll(queue)));
        }
        is_down(block_on(tcp.accept()));
    }
}
