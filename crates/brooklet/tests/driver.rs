//! The driver: what it counts, when it sleeps, and what its end means.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet::filter::{Direction, Filter, UnicastOnly, Verdict};
use brooklet::{
    Builder, DropReason, Packet, PacketBuf, PacketIo, ParseError, Parts, Pipe, Protocol,
    SharedFilter, Stack,
};
use futures_lite::{AsyncReadExt, future};
use smoltcp::wire::{IpProtocol, Ipv4Packet};
use std::future::poll_fn;
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use support::addr;

/// Counts how often a task is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

async fn send(device: &mut Pipe, packet: &[u8]) {
    let packet = PacketBuf::from(packet.to_vec());
    poll_fn(|cx| device.poll_send(cx, &packet)).await.unwrap();
}

async fn receive(device: &mut Pipe) -> Vec<u8> {
    let mut packet = PacketBuf::default();
    poll_fn(|cx| device.poll_recv(cx, &mut packet))
        .await
        .unwrap();
    packet.to_vec()
}

/// What is received now, if anything.
fn received(device: &mut Pipe) -> Option<Vec<u8>> {
    future::block_on(future::poll_once(receive(device)))
}

/// A stack with its driver, polled by hand.
fn stack(builder: Builder) -> (Stack, impl FnMut(), Pipe, brooklet::TcpListener) {
    let (here, there) = brooklet::pipe(512);
    let Parts {
        stack,
        tcp,
        udp,
        mut driver,
        ..
    } = builder.build(here).unwrap();
    let run = move || {
        let _keep = &udp;
        let mut cx = Context::from_waker(Waker::noop());
        assert!(std::pin::Pin::new(&mut driver).poll(&mut cx).is_pending());
    };
    (stack, run, there, tcp)
}

fn udp(from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    brooklet_packet::udp::write(&mut packet, addr(from), addr(to), 64, payload).unwrap();
    packet
}

/// An echo request with a checksum that is right.
fn ping(v6: bool) -> Vec<u8> {
    use smoltcp::phy::ChecksumCapabilities;
    use smoltcp::wire::*;
    let checksums = ChecksumCapabilities::default();
    let (ident, seq_no, data) = (7, 9, &b"abcdefgh"[..]);
    if v6 {
        let (from, to) = ("fd00::2".parse().unwrap(), "2001:db8::1".parse().unwrap());
        let icmp = Icmpv6Repr::EchoRequest {
            ident,
            seq_no,
            data,
        };
        let ip = Ipv6Repr {
            src_addr: from,
            dst_addr: to,
            next_header: IpProtocol::Icmpv6,
            payload_len: icmp.buffer_len(),
            hop_limit: 64,
        };
        let mut bytes = vec![0; ip.buffer_len() + icmp.buffer_len()];
        ip.emit(&mut Ipv6Packet::new_unchecked(&mut bytes[..]));
        icmp.emit(
            &from,
            &to,
            &mut Icmpv6Packet::new_unchecked(&mut bytes[40..]),
            &checksums,
        );
        bytes
    } else {
        let icmp = Icmpv4Repr::EchoRequest {
            ident,
            seq_no,
            data,
        };
        let ip = Ipv4Repr {
            src_addr: [10, 0, 0, 2].into(),
            dst_addr: [192, 0, 2, 1].into(),
            next_header: IpProtocol::Icmp,
            payload_len: icmp.buffer_len(),
            hop_limit: 64,
        };
        let mut bytes = vec![0; ip.buffer_len() + icmp.buffer_len()];
        ip.emit(&mut Ipv4Packet::new_unchecked(&mut bytes[..]), &checksums);
        icmp.emit(
            &mut Icmpv4Packet::new_unchecked(&mut bytes[20..]),
            &checksums,
        );
        bytes
    }
}

#[test]
fn ping_is_answered_for_every_address_or_for_none() {
    let (stack_on, mut run, mut wire, _tcp) = stack(Builder::new());
    for v6 in [false, true] {
        future::block_on(send(&mut wire, &ping(v6)));
        run();
        let reply = received(&mut wire).expect("an echo reply");
        let (request, reply) = (ping(v6), Packet::parse(&reply).unwrap());
        let request = Packet::parse(&request).unwrap();
        assert_eq!(
            (reply.source(), reply.destination()),
            (request.destination(), request.source())
        );
        assert!(reply.verify_checksum());
        assert_eq!(reply.payload(), request.payload());
    }
    assert_eq!(stack_on.stats().echo_replies, 2);

    let (stack_off, mut run, mut wire, _tcp) = stack(Builder::new().icmp_echo(false));
    future::block_on(send(&mut wire, &ping(false)));
    run();
    assert_eq!(received(&mut wire), None);
    assert_eq!(stack_off.stats().dropped(DropReason::EchoIgnored), 1);
}

#[test]
fn bad_packets_are_counted_by_reason_and_nothing_else_happens() {
    let (stack, mut run, mut wire, tcp) = stack(Builder::new().reassembly(None));
    let good = udp("10.0.0.2:1", "192.0.2.1:2", b"hello");
    let mut bad_checksum = good.clone();
    *bad_checksum.last_mut().unwrap() ^= 1;
    let mut bad_header = good.clone();
    bad_header[8] ^= 1;
    let with_header = |change: fn(&mut Ipv4Packet<&mut [u8]>)| {
        let mut packet = good.clone();
        let mut header = Ipv4Packet::new_unchecked(&mut packet[..]);
        change(&mut header);
        header.fill_checksum();
        packet
    };
    let fragment = with_header(|header| header.set_more_frags(true));
    let protocol = with_header(|header| header.set_next_header(IpProtocol::Unknown(132)));
    let multicast = udp("10.0.0.2:1", "224.0.0.251:5353", b"hello");
    let cases: [(&[u8], DropReason); 8] = [
        (b"", DropReason::Malformed(ParseError::Truncated)),
        (&[0xff; 60], DropReason::Malformed(ParseError::Version)),
        (
            &good[..good.len() - 1],
            DropReason::Malformed(ParseError::Truncated),
        ),
        (
            &bad_header,
            DropReason::Malformed(ParseError::HeaderChecksum),
        ),
        (&bad_checksum, DropReason::BadChecksum),
        (&fragment, DropReason::ReassemblyOff),
        (&protocol, DropReason::UnknownProtocol),
        (&multicast, DropReason::FilteredIn),
    ];
    for (packet, reason) in cases {
        let before = stack.stats().dropped(reason);
        future::block_on(send(&mut wire, packet));
        run();
        let stats = stack.stats();
        assert_eq!(stats.dropped(reason), before + 1, "{reason}:\n{stats}");
        let answer = received(&mut wire);
        match reason {
            DropReason::UnknownProtocol => {
                let answer = answer.expect("an ICMP protocol unreachable");
                assert_eq!(Packet::parse(&answer).unwrap().protocol(), Protocol::Icmpv4);
            }
            _ => assert_eq!(answer, None, "{reason} was answered"),
        }
    }
    let total: u64 = stack.stats().drops().map(|(_, count)| count).sum();
    assert_eq!(total, cases.len() as u64, "counted twice");
    let text = stack.stats().to_string();
    assert!(
        text.contains("dropped, wrong TCP, UDP or ICMP checksum: 1\n"),
        "{text}"
    );
    assert!(future::block_on(future::poll_once(tcp.accept())).is_none());
    // The stack still works.
    future::block_on(send(&mut wire, &good));
    run();
    assert_eq!(stack.stats().udp.datagrams_in, 1);
}

#[test]
fn datagrams_that_nobody_can_read_are_port_unreachable() {
    let (here, mut wire) = brooklet::pipe(64);
    let Parts {
        stack,
        udp: socket,
        mut driver,
        tcp: _tcp,
        ..
    } = Builder::new().build(here).unwrap();
    drop(socket);
    future::block_on(send(&mut wire, &udp("10.0.0.2:1", "192.0.2.1:2", b"hello")));
    let polled = future::block_on(future::poll_once(&mut driver));
    assert!(polled.is_none());
    let answer = received(&mut wire).unwrap();
    let answer = Packet::parse(&answer).unwrap();
    assert_eq!(answer.protocol(), Protocol::Icmpv4);
    assert_eq!(&answer.transport()[..2], [3, 3], "port unreachable");
    assert_eq!(stack.stats().dropped(DropReason::UdpNoListener), 1);
}

#[test]
fn a_filter_is_exchanged_while_the_stack_runs() {
    type Any = Box<dyn Filter + Send + Sync>;
    let filter = SharedFilter::<Any>::new(Box::new(UnicastOnly));
    let (here, mut wire) = brooklet::pipe(64);
    let Parts {
        stack, mut driver, ..
    } = Builder::new().filter(filter.clone()).build(here).unwrap();
    let mut exchange = |wire: &mut Pipe| {
        future::block_on(send(wire, &ping(false)));
        assert!(future::block_on(future::poll_once(&mut driver)).is_none());
        received(wire).is_some()
    };
    assert!(exchange(&mut wire));
    let one_way = |way: Direction| {
        move |_: &Packet<'_>, direction: Direction| match direction == way {
            true => Verdict::Drop,
            false => Verdict::Pass,
        }
    };
    filter.replace(Box::new(one_way(Direction::Inbound)));
    assert!(!exchange(&mut wire));
    filter.replace(Box::new(one_way(Direction::Outbound)));
    assert!(!exchange(&mut wire));
    let stats = stack.stats();
    let dropped = [DropReason::FilteredIn, DropReason::FilteredOut].map(|r| stats.dropped(r));
    assert_eq!((dropped, stats.echo_replies), ([1, 1], 2));
    filter.replace(Box::new(UnicastOnly));
    assert!(exchange(&mut wire));
}

#[test]
fn an_mtu_out_of_range_is_refused() {
    for mtu in [0, 1279, 65_536] {
        let (device, _end) = brooklet::pipe(1);
        let error = Builder::new().mtu(mtu).build(device).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("use 1280 to 65535"), "{error}");
    }
}

#[test]
fn the_end_of_the_device_ends_the_driver_and_every_call() {
    for drop_driver in [false, true] {
        let (here, wire) = brooklet::pipe(64);
        let Parts {
            stack,
            tcp,
            udp,
            mut driver,
            ..
        } = Builder::new().build(here).unwrap();
        let mut accept = pin!(tcp.accept());
        let mut buf = [0; 8];
        let mut recv = pin!(udp.recv_from(&mut buf));
        let mut connect = pin!(stack.connect_from(addr("10.0.0.1:1"), addr("192.0.2.1:2")));
        future::block_on(async {
            assert!(future::poll_once(accept.as_mut()).await.is_none());
            assert!(future::poll_once(recv.as_mut()).await.is_none());
            assert!(future::poll_once(connect.as_mut()).await.is_none());
            assert!(future::poll_once(&mut driver).await.is_none());
        });
        // Either way; in one the finished driver is still there.
        let (kept, wire) = if drop_driver {
            drop(driver);
            (None, Some(wire))
        } else {
            drop(wire);
            let end = future::block_on(&mut driver);
            assert_eq!(end.unwrap_err().kind(), ErrorKind::UnexpectedEof);
            (Some(driver), None)
        };
        future::block_on(async {
            assert_eq!(accept.await.unwrap_err().kind(), ErrorKind::NetworkDown);
            assert_eq!(recv.await.unwrap_err().kind(), ErrorKind::NetworkDown);
            assert_eq!(connect.await.unwrap_err().kind(), ErrorKind::NetworkDown);
            let late = stack
                .connect_from(addr("10.0.0.1:2"), addr("192.0.2.1:2"))
                .await;
            assert_eq!(late.unwrap_err().kind(), ErrorKind::NetworkDown);
        });
        drop((kept, wire));
    }
}

/// Runs two stacks on this thread until `talk` is done.
fn with_two_stacks<T>(talk: impl AsyncFnOnce(Stack, brooklet::TcpListener) -> T) -> T {
    let (here, there) = brooklet::pipe(64);
    let Parts {
        stack,
        driver: client,
        ..
    } = Builder::new().build(here).unwrap();
    let Parts {
        tcp,
        driver: server,
        udp: _udp,
        ..
    } = Builder::new().build(there).unwrap();
    let drivers = async {
        future::or(client, server).await.unwrap();
        unreachable!("a driver ended");
    };
    future::block_on(future::or(talk(stack, tcp), drivers))
}

#[test]
fn a_stream_survives_the_drop_of_everything_but_the_driver() {
    let text = with_two_stacks(async |stack, tcp| {
        let accept = async {
            let (stream, _) = tcp.accept().await.unwrap();
            drop(tcp);
            stream
        };
        let connect = stack.connect_from(addr("10.0.0.1:1"), addr("192.0.2.1:2"));
        let (there, here) = future::zip(accept, connect).await;
        let mut here = here.unwrap();
        drop(stack);
        use futures_lite::AsyncWriteExt;
        (&there).write_all(b"the last words").await.unwrap();
        drop(there);
        let mut text = String::new();
        here.read_to_string(&mut text).await.unwrap();
        text
    });
    assert_eq!(text, "the last words");
}

#[test]
fn an_idle_stack_sleeps() {
    let (here, _wire) = brooklet::pipe(64);
    let Parts {
        stack,
        tcp,
        udp,
        mut driver,
        ..
    } = Builder::new().build(here).unwrap();
    // Give it a deadline that runs out first: a connect that nobody answers.
    let mut connect = Box::pin(stack.connect_from(addr("10.0.0.1:1"), addr("192.0.2.1:2")));
    assert!(future::block_on(future::poll_once(&mut connect)).is_none());
    drop(connect);
    let task = Arc::new(Count::default());
    let waker = Waker::from(task.clone());
    let mut cx = Context::from_waker(&waker);
    let mut poll = || std::pin::Pin::new(&mut driver).poll(&mut cx);
    // Deadlines armed before the connection was given up may still come once.
    for _ in 0..3 {
        assert!(poll().is_pending());
        std::thread::sleep(Duration::from_millis(600));
    }
    let before = task.0.load(Ordering::SeqCst);
    std::thread::sleep(Duration::from_secs(10));
    assert_eq!(
        task.0.load(Ordering::SeqCst) - before,
        0,
        "woken while idle"
    );
    drop((tcp, udp));
    let _ = Poll::Ready(());
}
