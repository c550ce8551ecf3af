//! Two stacks over devices that take over one thing or another.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet::filter::Verdict;
use brooklet::{
    Builder, Checksum, Datagram, DropReason, Meta, Offload, PacketBuf, PacketIo, Parts, Pipe,
};
use brooklet_packet::{Packet, Protocol, udp};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

const NOTHING: Offload = Offload::new()
    .checksum(false)
    .tso4(false)
    .tso6(false)
    .uso(false);
const CHECKSUM: Offload = NOTHING.checksum(true);
const TSO4: Offload = CHECKSUM.tso4(true);
const TSO6: Offload = CHECKSUM.tso6(true);

/// What a device was given to send.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Seen {
    packets: usize,
    longest: usize,
    partial: usize,
    several: usize,
}

/// A pipe that looks at what is sent through it, and refuses every other packet at first.
struct Watch {
    pipe: Pipe,
    seen: Arc<Mutex<Seen>>,
    calls: usize,
}

impl PacketIo for Watch {
    fn offload(&self) -> Offload {
        self.pipe.offload()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<()>> {
        self.pipe.poll_recv(cx, packet)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>> {
        self.calls += 1;
        if self.calls.is_multiple_of(2) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let (meta, parsed) = (packet.meta(), Packet::parse(packet).unwrap());
        let offload = self.offload();
        let mut seen = self.seen.lock().unwrap();
        seen.packets += 1;
        seen.longest = seen.longest.max(packet.len());
        match meta.checksum {
            Checksum::Partial => {
                assert!(offload.checksum);
                seen.partial += 1;
            }
            _ => assert!(parsed.verify_checksum()),
        }
        if let Some(size) = meta.gso_size {
            seen.several += 1;
            assert!(parsed.payload().len() > usize::from(size.get()));
            assert_eq!(meta.checksum, Checksum::Partial);
            assert!(match (parsed.protocol(), parsed.key().is_ipv6()) {
                (Protocol::Udp, _) => offload.uso,
                (_, true) => offload.tso6,
                (_, false) => offload.tso4,
            });
        }
        self.pipe.poll_send(cx, packet)
    }
}

/// Sends 300,000 bytes there and back. Says what the sender's device saw.
fn transfer(offload: Offload, from: &str, to: &str) -> Seen {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let (here, there) = brooklet::pipe(8);
    let here = Watch {
        pipe: here.with_offload(offload),
        seen: seen.clone(),
        calls: 0,
    };
    let Parts { stack, driver, .. } = Builder::new().build(here).unwrap();
    let there = Builder::new().build(there.with_offload(NOTHING)).unwrap();
    let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
    let data: Vec<u8> = (0..300_000u32).map(|n| (n / 7) as u8).collect();
    let talk = async {
        let accept = async { Ok(there.tcp.accept().await?.0) };
        let (stream, served) = future::try_zip(stack.connect_from(from, to), accept).await?;
        let write = async {
            // The first segment is a short one, whose checksum is left to a device that writes it.
            (&stream).write_all(&data[..10]).await?;
            (&stream).write_all(&data[10..]).await?;
            (&stream).close().await
        };
        let mut back = Vec::new();
        let read = async { (&stream).read_to_end(&mut back).await };
        let both = future::try_zip(write, read);
        future::try_zip(both, support::echo(served)).await?;
        assert!(back == data);
        Ok(())
    };
    let drivers = future::or(driver, there.driver);
    future::block_on(future::or(talk, drivers)).unwrap();
    *seen.lock().unwrap()
}

const V4: [&str; 2] = ["10.0.0.2:40000", "192.0.2.1:7"];
const V6: [&str; 2] = ["[2001:db8::2]:40000", "[2001:db8::1]:7"];

#[test]
fn a_device_that_takes_nothing_over_is_given_packets_for_a_wire() {
    for [from, to] in [V4, V6] {
        let seen = transfer(NOTHING, from, to);
        assert_eq!((seen.longest, seen.partial, seen.several), (1500, 0, 0));
    }
}

#[test]
fn a_device_that_writes_checksums_is_left_them() {
    let seen = transfer(CHECKSUM, V4[0], V4[1]);
    assert_eq!((seen.longest, seen.several), (1500, 0));
    // Segments without data, and those that the driver cuts, are complete.
    assert!(seen.partial > 0);
}

#[test]
fn a_device_that_cuts_is_given_long_packets_of_its_family_only() {
    for (offload, [from, to], cuts) in [
        (TSO4, V4, true),
        (TSO4, V6, false),
        (TSO6, V6, true),
        (TSO6, V4, false),
    ] {
        let seen = transfer(offload, from, to);
        assert!(seen.partial > 0);
        match cuts {
            true => assert!(seen.several > 3 && seen.longest > 20_000, "{seen:?}"),
            false => assert_eq!((seen.several, seen.longest), (0, 1500)),
        }
    }
}

/// Several datagrams of `payload` in one packet, as a device hands them in.
fn datagrams(from: &str, to: &str, payload: &[u8], size: u16) -> PacketBuf {
    let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
    let mut bytes = Vec::new();
    udp::write(&mut bytes, from, to, 64, payload).unwrap();
    let mut packet = PacketBuf::from(bytes);
    packet.set_meta(
        Meta::new()
            .checksum(Checksum::Partial)
            .gso_size(NonZeroU16::new(size)),
    );
    packet
}

#[test]
fn datagrams_that_come_in_as_one_are_judged_once_and_read_one_by_one_or_as_one() {
    for [from, to] in [V4, V6] {
        let (mut wire, device) = brooklet::pipe(8);
        let judged = Arc::new(Mutex::new(Vec::new()));
        let log = judged.clone();
        let no_b = move |packet: &Packet<'_>, _| {
            log.lock().unwrap().push(packet.payload().len());
            match packet.payload() {
                [b'b', ..] => Verdict::Drop,
                _ => Verdict::Pass,
            }
        };
        let Parts {
            udp, driver, stack, ..
        } = Builder::new().filter(no_b).build(device).unwrap();
        let payload = [[b'a'; 1000], [b'b'; 1000], [b'c'; 1000], [b'd'; 1000]].concat();
        let dropped = datagrams(from, to, &payload[1000..], 1000);
        let packet = datagrams(from, to, &payload[..3500], 1000);
        let read = async {
            for packet in [&dropped, &packet] {
                future::poll_fn(|cx| wire.poll_send(cx, packet)).await?;
            }
            for wanted in payload[..3500].chunks(1000) {
                let got = udp.recv_datagram().await?;
                assert!(got.payload == wanted, "{} bytes", got.payload.len());
                assert_eq!([got.from.to_string(), got.to.to_string()], [from, to]);
            }
            udp.set_gro(true);
            future::poll_fn(|cx| wire.poll_send(cx, &packet)).await?;
            let got = udp.recv_datagram().await?;
            assert!(got.payload == payload[..3500]);
            assert_eq!(got.segment_size, NonZeroU16::new(1000));
            Ok(())
        };
        future::block_on(future::or(read, driver)).unwrap();
        assert_eq!(*judged.lock().unwrap(), [3000, 3500, 3500]);
        assert_eq!(stack.stats().dropped(DropReason::FilteredIn), 1);
        assert_eq!(stack.stats().packets_in, 3);
    }
}

/// Sends what `sent` lists from `from`, before the driver runs for the first time. Says what the
/// device was given, after the other end has read each datagram in its order.
fn datagrams_out(offload: Offload, from: &str, sent: &[(u16, usize)]) -> Seen {
    let from: SocketAddr = from.parse().unwrap();
    let to = |port| SocketAddr::new(from.ip(), port);
    let seen = Arc::new(Mutex::new(Seen::default()));
    let (here, there) = brooklet::pipe(8);
    let here = Watch {
        pipe: here.with_offload(offload),
        seen: seen.clone(),
        calls: 0,
    };
    let Parts { udp, driver, .. } = Builder::new().build(here).unwrap();
    let there = Builder::new().build(there).unwrap();
    let payload = |at: usize, len: usize| vec![at as u8; len];
    let talk = async {
        for (at, (port, len)) in sent.iter().enumerate() {
            udp.send_to(&payload(at, *len), from, to(*port)).await?;
        }
        let read = async {
            for (at, (port, len)) in sent.iter().enumerate() {
                let got = there.udp.recv_datagram().await?;
                assert!(got.payload == payload(at, *len), "datagram {at}");
                assert_eq!((got.from, got.to), (from, to(*port)));
            }
            Ok(())
        };
        future::or(read, future::or(driver, there.driver)).await
    };
    future::block_on(talk).unwrap();
    *seen.lock().unwrap()
}

#[test]
fn datagrams_that_wait_in_a_row_are_sent_as_one_and_in_their_order() {
    let uso = CHECKSUM.uso(true);
    let sent: Vec<(u16, usize)> = [
        vec![(7, 1000); 70],           // one of 64 and one of 6
        vec![(7, 1), (7, 1)],          // the first of which ends that of 6
        vec![(8, 900), (9, 900)],      // others
        vec![(9, 900), (9, 901)],      // two and one that is longer
        vec![(9, 0), (9, 0), (9, 10)], // nothing cannot be in a row
    ]
    .concat();
    for [from, _] in [V4, V6] {
        let seen = datagrams_out(uso, from, &sent);
        let header = if from == V4[0] { 28 } else { 48 };
        assert_eq!((seen.several, seen.longest), (3, header + 64_000));
        assert_eq!(seen.packets, 3 + 6);
        let seen = datagrams_out(CHECKSUM, from, &sent);
        assert_eq!((seen.several, seen.longest), (0, header + 1000));
        assert_eq!(seen.packets, sent.len());
    }
}

#[test]
fn datagrams_above_the_mtu_are_fragmented_and_not_coalesced() {
    let uso = CHECKSUM.uso(true);
    for [from, _] in [V4, V6] {
        let seen = datagrams_out(uso, from, &[(7, 3000), (7, 3000), (7, 3000), (7, 100)]);
        assert_eq!((seen.several, seen.packets), (0, 3 * 3 + 1));
        assert!((1480..=1500).contains(&seen.longest), "{seen:?}");
    }
}

#[test]
fn a_batch_of_the_program_is_split_by_the_device_or_by_the_driver() {
    for [from, to] in [V4, V6] {
        let header = if from == V4[0] { 28 } else { 48 };
        for (offload, packets, longest) in [
            (CHECKSUM.uso(true), 1, header + 3500),
            (CHECKSUM, 4, header + 1000),
            (NOTHING, 4, header + 1000),
        ] {
            let seen = Arc::new(Mutex::new(Seen::default()));
            let (here, there) = brooklet::pipe(8);
            let here = Watch {
                pipe: here.with_offload(offload),
                seen: seen.clone(),
                calls: 0,
            };
            let Parts { udp, driver, .. } = Builder::new().build(here).unwrap();
            let there = Builder::new().build(there).unwrap();
            let payload: Vec<u8> = (0..3500_u32).map(|at| (at / 9) as u8).collect();
            let talk = async {
                let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
                let batch = Datagram::new(payload.clone(), from, to);
                let batch = batch.segment_size(NonZeroU16::new(1000));
                udp.send_datagram(&batch).await?;
                for wanted in payload.chunks(1000) {
                    assert!(there.udp.recv_datagram().await?.payload == wanted);
                }
                Ok(())
            };
            let drivers = future::or(driver, there.driver);
            future::block_on(future::or(talk, drivers)).unwrap();
            let seen = *seen.lock().unwrap();
            assert_eq!((seen.packets, seen.longest), (packets, longest));
        }
    }
}

#[test]
fn a_task_that_reads_loses_no_datagram_of_a_stream_of_super_packets() {
    const DATAGRAMS: usize = 3_840;
    let [from, to] = V4;
    // The pipe holds all of them, so that nothing but the driver limits how fast they come.
    let (mut wire, device) = brooklet::pipe(DATAGRAMS / 64);
    let Parts {
        udp, driver, stack, ..
    } = Builder::new().build(device).unwrap();
    let packet = datagrams(from, to, &[7; 64_000], 1000);
    for _ in 0..DATAGRAMS / 64 {
        future::block_on(future::poll_fn(|cx| wire.poll_send(cx, &packet))).unwrap();
    }
    // The reader and the driver are tasks of one executor, which takes turns with them.
    let executor = async_executor::LocalExecutor::new();
    let read = executor.spawn(async move {
        for n in 0..DATAGRAMS {
            let datagram = udp.recv_datagram().await.unwrap();
            assert_eq!(datagram.payload, [7; 1000], "datagram {n}");
        }
    });
    let _driver = executor.spawn(driver);
    let dropped = || stack.stats().drops().map(|(_, count)| count).sum::<u64>();
    while !read.is_finished() && dropped() == 0 {
        executor.try_tick();
    }
    assert_eq!(dropped(), 0, "{}", stack.stats());
}
