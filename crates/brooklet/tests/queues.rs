//! Several queues of one device: who wakes, what leaves where, and the end of one driver.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/packets.rs"]
mod packets;
mod support;

use brooklet::{
    Builder, Driver, DropReason, Packet, PacketBuf, PacketIo, Pipe, QueueParts, Stack, TcpListener,
    TcpStream, TransparentUdpSocket,
};
use futures_lite::future::{block_on, poll_once};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use packets::{fragments, ping, syn, udp};
use std::collections::HashSet;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use support::addr;

const QUEUES: usize = 3;

/// Counts how often a driver is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A stack over several queues, with the far ends of their wires in the test's hands.
struct Host {
    stack: Stack,
    tcp: TcpListener,
    udp: TransparentUdpSocket,
    queues: Vec<Queue>,
}

struct Queue {
    driver: Driver<Pipe>,
    wire: Pipe,
    woken: Arc<Count>,
}

impl Queue {
    fn poll(&mut self) -> Poll<std::io::Result<()>> {
        self.woken.0.store(0, Ordering::SeqCst);
        let waker = Waker::from(self.woken.clone());
        Pin::new(&mut self.driver).poll(&mut Context::from_waker(&waker))
    }

    /// Lets the driver work until it sleeps.
    fn run(&mut self) {
        for _ in 0..10 {
            assert!(self.poll().is_pending());
            if self.woken() == 0 {
                return;
            }
        }
        panic!("the driver does not sleep");
    }

    fn woken(&self) -> usize {
        self.woken.0.load(Ordering::SeqCst)
    }

    fn put(&mut self, packet: &[u8]) {
        let packet = PacketBuf::from(packet.to_vec());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(self.wire.poll_send(&mut cx, &packet).is_ready());
    }

    /// What the driver has sent.
    fn sent(&mut self) -> Vec<Vec<u8>> {
        let (mut sent, mut packet) = (Vec::new(), PacketBuf::default());
        let mut cx = Context::from_waker(Waker::noop());
        while self.wire.poll_recv(&mut cx, &mut packet).is_ready() {
            sent.push(packet.to_vec());
        }
        sent
    }
}

impl Host {
    fn new(builder: Builder) -> Self {
        let (devices, wires): (Vec<_>, Vec<_>) = (0..QUEUES).map(|_| brooklet::pipe(256)).unzip();
        let QueueParts {
            stack,
            tcp,
            udp,
            drivers,
            ..
        } = builder.build_queues(devices).unwrap();
        let queue = |(driver, wire)| Queue {
            driver,
            wire,
            woken: Arc::default(),
        };
        let mut host = Self {
            stack,
            tcp,
            udp,
            queues: drivers.into_iter().zip(wires).map(queue).collect(),
        };
        host.run();
        host
    }

    fn run(&mut self) {
        for queue in &mut self.queues {
            queue.run();
        }
    }

    /// Which drivers have been woken since they ran last.
    fn woken(&self) -> Vec<usize> {
        (0..QUEUES)
            .filter(|&n| self.queues[n].woken() > 0)
            .collect()
    }

    /// What each queue has sent.
    fn sent(&mut self) -> Vec<Vec<Vec<u8>>> {
        self.run();
        self.queues.iter_mut().map(Queue::sent).collect()
    }

    /// Gives a packet to one queue, and returns what each has sent then.
    fn give(&mut self, queue: usize, packet: &[u8]) -> Vec<Vec<Vec<u8>>> {
        self.queues[queue].put(packet);
        self.queues[queue].run();
        self.sent()
    }
}

/// The other stack, over one queue, that is at the far ends of all wires.
struct Peer {
    stack: Stack,
    driver: Driver<Pipe>,
    wire: Pipe,
    tcp: TcpListener,
    _udp: TransparentUdpSocket,
}

impl Peer {
    fn new() -> Self {
        let (device, wire) = brooklet::pipe(256);
        let brooklet::Parts {
            stack,
            tcp,
            udp,
            driver,
            ..
        } = Builder::new().build(device).unwrap();
        Self {
            stack,
            driver,
            wire,
            tcp,
            _udp: udp,
        }
    }

    /// Takes in packets, and returns what it sends.
    fn give(&mut self, packets: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let mut cx = Context::from_waker(Waker::noop());
        for packet in packets {
            let packet = PacketBuf::from(packet);
            assert!(self.wire.poll_send(&mut cx, &packet).is_ready());
        }
        let (mut sent, mut packet) = (Vec::new(), PacketBuf::default());
        for _ in 0..3 {
            assert!(Pin::new(&mut self.driver).poll(&mut cx).is_pending());
        }
        while self.wire.poll_recv(&mut cx, &mut packet).is_ready() {
            sent.push(packet.to_vec());
        }
        sent
    }
}

fn is_down<T>(result: std::io::Result<T>) {
    let error = result.err().expect("the stack is down");
    assert_eq!(error.kind(), ErrorKind::NetworkDown, "{error}");
}

/// A connection whose SYN came on queue `queue`: its two ends.
fn connected(host: &mut Host, peer: &mut Peer, queue: usize) -> (TcpStream, TcpStream) {
    let (stack, tcp) = (peer.stack.clone(), host.tcp.clone());
    let mut connect = pin!(stack.connect_from(addr("10.0.0.2:5000"), addr("192.0.2.1:80")));
    let mut accept = pin!(tcp.accept());
    let (mut client, mut server) = (None, None);
    for _ in 0..4 {
        if client.is_none() {
            client = block_on(poll_once(connect.as_mut())).map(Result::unwrap);
        }
        for packet in peer.give(Vec::new()) {
            host.queues[queue].put(&packet);
        }
        host.run();
        if server.is_none() {
            server = block_on(poll_once(accept.as_mut())).map(Result::unwrap);
        }
        let sent = host.sent();
        for (n, packets) in sent.into_iter().enumerate() {
            assert!(n == queue || packets.is_empty(), "queue {n}");
            for packet in peer.give(packets) {
                host.queues[queue].put(&packet);
            }
        }
    }
    (client.expect("connected"), server.expect("accepted").0)
}

#[test]
fn a_connection_answers_through_the_queue_of_its_syn_wherever_packets_come() {
    let (mut host, mut peer) = (Host::new(Builder::new()), Peer::new());
    let (mut client, mut server) = connected(&mut host, &mut peer, 1);
    for queue in [0, 2, 1, 2, 0] {
        block_on(client.write_all(b"question")).unwrap();
        for packet in peer.give(Vec::new()) {
            let answers = host.give(queue, &packet);
            for n in [0, 2] {
                assert!(answers[n].is_empty(), "{n} answers for 1");
            }
            assert_eq!(answers[1].len(), 1, "an acknowledgement");
            peer.give(answers[1].clone());
        }
        let mut got = [0; 8];
        block_on(server.read_exact(&mut got)).unwrap();
        assert_eq!(&got, b"question");
    }
    // What the application writes wakes that driver and no other.
    host.run();
    block_on(server.write_all(b"answer")).unwrap();
    assert_eq!(host.woken(), [1]);
    let sent = host.sent();
    assert_eq!(sent.iter().map(Vec::len).collect::<Vec<_>>(), [0, 1, 0]);
    peer.give(sent.concat());
    block_on(client.read_exact(&mut [0; 6])).unwrap();
    let _ = peer.tcp;
}

#[test]
fn connections_that_begin_here_are_spread_and_each_wakes_one_driver() {
    let mut host = Host::new(Builder::new());
    let mut used = [0; QUEUES];
    let stack = host.stack.clone();
    for port in 1..=60 {
        host.run(); // for the reset of the one before, which has been given up
        let from = SocketAddr::new([10, 0, 0, 1].into(), port);
        let mut connect = pin!(stack.connect_from(from, addr("192.0.2.1:80")));
        assert!(block_on(poll_once(connect.as_mut())).is_none());
        let woken = host.woken();
        assert_eq!(woken.len(), 1, "{woken:?}");
        let sent = host.sent();
        assert!(!sent[woken[0]].is_empty(), "woken, but not for the SYN");
        used[woken[0]] += 1;
    }
    assert!(used.iter().all(|&n| n > 8), "{used:?}");
    host.run();
    let sent = host.stack.stats().packets_out;
    assert_eq!(sent, 60 + 60, "a SYN and a reset of each");
}

#[test]
fn datagrams_of_one_flow_keep_their_queue_and_wake_one_driver() {
    let mut host = Host::new(Builder::new());
    let mut queues = HashSet::new();
    for port in 1..=40 {
        let to = SocketAddr::new([10, 0, 0, 1].into(), port);
        let mut own = HashSet::new();
        for payload in [b"1", b"2"] {
            block_on(host.udp.send_to(payload, addr("192.0.2.1:53"), to)).unwrap();
            own.extend(host.woken());
            let sent = host.sent();
            own.extend((0..QUEUES).filter(|&n| !sent[n].is_empty()));
        }
        assert_eq!(own.len(), 1);
        queues.extend(own);
    }
    assert_eq!(queues.len(), QUEUES);
}

#[test]
fn a_ping_is_answered_where_it_came() {
    let mut host = Host::new(Builder::new());
    for queue in 0..QUEUES {
        let question = ping(addr("10.0.0.2:0").ip(), addr("192.0.2.1:0").ip(), b"hello");
        let answers = host.give(queue, &question);
        let by: Vec<usize> = (0..QUEUES).filter(|&n| !answers[n].is_empty()).collect();
        assert_eq!(by, [queue]);
    }
    let stats = host.stack.stats();
    assert_eq!(
        (stats.echo_replies, stats.packets_in, stats.packets_out),
        (3, 3, 3)
    );
}

#[test]
fn fragments_of_one_datagram_may_come_on_every_queue() {
    let mut host = Host::new(Builder::new());
    let payload: Vec<u8> = (0..3000).map(|n| (n / 7) as u8).collect();
    let (from, to) = (addr("10.0.0.2:5000"), addr("192.0.2.1:53"));
    let pieces = fragments(&udp(from, to, &payload), &[1000, 2000]);
    for (queue, piece) in [2, 0, 1].into_iter().zip(&pieces) {
        host.give(queue, piece);
    }
    let datagram = block_on(poll_once(host.udp.recv_datagram())).expect("all are there");
    assert_eq!(datagram.unwrap().payload, payload);
    let stats = host.stack.stats().reassembly;
    assert_eq!((stats.fragments, stats.packets), (3, 1));
}

#[test]
fn long_answers_never_share_an_identification() {
    let mut host = Host::new(Builder::new());
    let question = ping(
        addr("[fd00::2]:0").ip(),
        addr("[2001:db8::1]:0").ip(),
        &[7; 3000],
    );
    let pieces = fragments(&question, &[1400]);
    let mut seen = HashSet::new();
    for queue in [0, 1, 2, 0, 1, 2] {
        host.give(queue, &pieces[0]);
        let answers = host.give(queue, &pieces[1]).concat();
        let id = |bytes: &Vec<u8>| Packet::parse(bytes).unwrap().fragment().unwrap().id;
        let ids: HashSet<u32> = answers.iter().map(id).collect();
        assert_eq!((answers.len(), ids.len()), (3, 1));
        assert!(seen.is_disjoint(&ids));
        seen.extend(ids);
    }
}

#[test]
fn icmp_errors_are_limited_for_the_stack_as_a_whole() {
    let mut host = Host::new(Builder::new());
    let closed = udp(addr("10.0.0.2:5000"), addr("192.0.2.1:53"), b"x");
    let Host {
        udp: socket,
        queues,
        stack,
        ..
    } = &mut host;
    let (_there, unused) = brooklet::pipe(1);
    let replacement = Builder::new().build(unused).unwrap().udp;
    drop(std::mem::replace(socket, replacement));
    let mut errors = 0;
    for n in 0..90 {
        let queue = &mut queues[n % QUEUES];
        queue.put(&closed);
        queue.run();
        errors += queue.sent().len();
    }
    // One more each 10 ms.
    assert!((50..70).contains(&errors), "{errors} errors");
    let limited = stack.stats().dropped(DropReason::IcmpLimited);
    assert_eq!(errors as u64 + limited, 90);
}

/// Ends the driver of queue 2 by `end`, with tasks that wait for everything there is.
fn the_end(end: impl FnOnce(Queue)) {
    let (mut host, mut peer) = (Host::new(Builder::new()), Peer::new());
    let (_client, mut server) = connected(&mut host, &mut peer, 0);
    host.run();
    let (stack, tcp, udp) = (host.stack.clone(), host.tcp.clone(), host.udp.clone());
    let task = Arc::new(Count::default());
    let waker = Waker::from(task.clone());
    let mut cx = Context::from_waker(&waker);
    let mut buf = [0; 8];
    let mut read = pin!(server.read(&mut buf));
    let mut accept = pin!(tcp.accept());
    let mut recv = pin!(udp.recv_datagram());
    assert!(read.as_mut().poll(&mut cx).is_pending());
    assert!(accept.as_mut().poll(&mut cx).is_pending());
    assert!(recv.as_mut().poll(&mut cx).is_pending());
    end(host.queues.pop().unwrap());
    assert!(task.0.load(Ordering::SeqCst) >= 3, "whoever waits is woken");
    for queue in &mut host.queues {
        assert!(queue.woken() > 0, "the other drivers are woken");
        // A packet that comes meanwhile is nobody's any more, and not answered.
        queue.put(&syn(addr("10.0.0.2:7"), addr("192.0.2.1:80"), 1));
        let Poll::Ready(ended) = queue.poll() else {
            panic!("the other drivers end")
        };
        is_down(ended);
        assert!(queue.sent().is_empty());
    }
    let ready = |poll: Poll<std::io::Result<()>>| match poll {
        Poll::Ready(result) => is_down(result),
        Poll::Pending => panic!("still waits"),
    };
    ready(read.poll(&mut cx).map_ok(drop));
    ready(accept.poll(&mut cx).map_ok(drop));
    ready(recv.poll(&mut cx).map_ok(drop));
    is_down(block_on(
        stack.connect_from(addr("10.0.0.1:1"), addr("10.0.0.2:2")),
    ));
    is_down(stack.bind(addr("0.0.0.0:80")));
    is_down(block_on(udp.send_to(
        b"x",
        addr("10.0.0.1:1"),
        addr("10.0.0.2:2"),
    )));
}

#[test]
fn a_device_that_fails_ends_the_drivers_of_all_queues() {
    the_end(|mut queue| {
        drop(queue.wire);
        let waker = Waker::noop();
        let ended = Pin::new(&mut queue.driver).poll(&mut Context::from_waker(waker));
        let Poll::Ready(Err(error)) = ended else {
            panic!("the device has failed");
        };
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    });
}

#[test]
fn a_driver_that_is_dropped_ends_those_of_all_queues() {
    the_end(drop);
}

#[test]
fn a_stack_has_between_1_and_255_queues() {
    for (queues, good) in [(0, false), (1, true), (255, true), (256, false)] {
        let devices = (0..queues).map(|_| brooklet::pipe(1).0);
        let built = Builder::new().build_queues(devices);
        assert_eq!(built.is_ok(), good, "{queues}");
        if let Err(error) = built {
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains(&queues.to_string()), "{error}");
        }
    }
}

#[test]
fn an_answer_has_good_checksums_on_every_queue() {
    let mut host = Host::new(Builder::new());
    for queue in 0..QUEUES {
        let port = 9000 + queue as u16;
        let from = SocketAddr::new([10, 0, 0, 2].into(), port);
        host.give(queue, &syn(from, addr("192.0.2.1:80"), 7));
        assert!(block_on(poll_once(host.tcp.accept())).is_none());
        let sent = host.sent();
        assert_eq!(sent[queue].len(), 1, "the SYN-ACK is where the SYN came");
        assert!(Packet::parse(&sent[queue][0]).unwrap().verify_checksum());
    }
}
