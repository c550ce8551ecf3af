//! Another device for a running stack.

use crate::world::{Device, Node, SECOND, World, addr, now};
use brooklet::{Builder, Datagram, DropReason, Offload, PacketBuf, PacketIo, Pipe, QueueParts};
use futures_lite::future::{self, try_zip};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::io::ErrorKind;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const OFFLOAD: Offload = Offload::new()
    .checksum(true)
    .tso4(true)
    .tso6(true)
    .uso(true);

fn device(offload: Offload, mtu: usize) -> (Device, Pipe) {
    let (here, there) = brooklet::pipe(64);
    let mut device = Device::new(here);
    (device.offload, device.mtu) = (offload, Some(mtu));
    (device, there)
}

/// Gives both stacks the ends of a new wire.
fn swap(world: &mut World, offload: Offload, mtu: usize) {
    swap_with_room(world, (offload, mtu), None);
}

/// As [`swap`], with a device of the near stack that takes so many packets.
fn swap_with_room(world: &mut World, (offload, mtu): (Offload, usize), room: Option<usize>) {
    let (near, far) = device(offload, mtu);
    near.script().room = room;
    world.near.driver().swap_device(near).unwrap();
    world.far.driver().swap_device(Device::new(far)).unwrap();
}

fn packets(wire: &mut Pipe) -> Vec<PacketBuf> {
    let mut cx = Context::from_waker(Waker::noop());
    let mut packets = Vec::new();
    loop {
        let mut packet = PacketBuf::default();
        match wire.poll_recv(&mut cx, &mut packet) {
            Poll::Ready(Ok(())) => packets.push(packet),
            _ => return packets,
        }
    }
}

#[test]
fn tcp_and_udp_flows_go_on_over_devices_of_every_kind() {
    const LEN: usize = 4_000_000;
    let mut world = World::new();
    let (stream, peer) = world.connect(1000);
    let data: Vec<u8> = (0..LEN).map(|n| (n / 7) as u8).collect();
    let (mut got, mut back) = (vec![0; LEN], vec![0; LEN]);
    let (mut out, mut far_in) = (&stream, &peer);
    let (mut far_out, mut into) = (&peer, &stream);
    let up = try_zip(out.write_all(&data), far_in.read_exact(&mut got));
    let down = try_zip(far_out.write_all(&data), into.read_exact(&mut back));
    let (near_udp, far_udp) = (world.near.udp.clone(), world.far.udp.clone());
    let (from, to) = (addr("10.0.0.2:5000"), addr("192.0.2.1:53"));
    let (mut swaps, mut datagrams) = (0, 0);
    world.near.script().room = Some(100);
    {
        let mut both = pin!(try_zip(up, down));
        let kinds = [
            (OFFLOAD, 1500),
            (Offload::new(), 1280),
            (OFFLOAD, 1280),
            (Offload::new(), 9000),
        ];
        for (offload, mtu) in kinds.into_iter().cycle() {
            // The wire of every device has room for 64 packets, and takes some of them.
            let moved = world.far.stack.stats().packets_in;
            if world
                .try_run(Duration::from_millis(30), both.as_mut())
                .is_some()
            {
                break;
            }
            assert!(swaps < 10_000, "{moved} packets moved");
            // Super-packets are up to 44 times as long.
            let room = if offload.tso4 { 8 } else { 100 };
            swap_with_room(&mut world, (offload, mtu), Some(room));
            swaps += 1;
            // The device sends UDP in its turn, however much TCP waits.
            while now(far_udp.recv_from(&mut [0; 1500])).is_some() {
                datagrams += 1;
            }
            now(near_udp.send_to(&[7; 1200], from, to))
                .unwrap()
                .unwrap();
        }
    }
    assert!(datagrams >= swaps / 2, "{datagrams} datagrams");
    assert!(got == data && back == data);
    assert!(swaps >= 4, "{swaps} swaps");
}

#[test]
fn super_packets_that_wait_are_segmented_for_a_device_without_offload() {
    for mtu in [1500, 1280] {
        super_packets_are_segmented(mtu);
    }
}

fn super_packets_are_segmented(mtu: usize) {
    let mut world = World::new();
    swap(&mut world, OFFLOAD, 1500);
    let (mut stream, mut peer) = world.connect(1000);
    world.near.script().room = Some(0);
    now(stream.write_all(&[7; 14_000])).unwrap().unwrap();
    world.near.run();
    let (device, far) = device(Offload::new(), mtu);
    let old = world.near.driver().swap_device(device).unwrap();
    assert_eq!(old.mtu, Some(1500));
    drop(world.far.driver().swap_device(Device::new(far)).unwrap());
    // The device asserts that each packet fits, and has a checksum that is right.
    let mut got = vec![0; 14_000];
    world.run(SECOND, peer.read_exact(&mut got)).unwrap();
    assert_eq!(got, [7; 14_000]);
    let stats = world.near.stack.stats();
    // Segments that a smaller MTU makes too long are sent again, as after an ICMP error.
    assert_eq!(stats.tcp.retransmits > 0, mtu < 1500);
    assert_eq!(world.near.script().longest, mtu);
}

#[test]
fn a_segment_for_a_larger_mtu_is_split() {
    // A short write is one packet and no super-packet.
    for offload in [Offload::new(), OFFLOAD] {
        let mut world = World::new();
        let (mut stream, mut peer) = world.connect(1000);
        world.near.script().room = Some(0);
        now(stream.write_all(&[7; 1400])).unwrap().unwrap();
        world.near.run();
        swap(&mut world, offload, 1280);
        let mut got = vec![0; 1400];
        world.run(SECOND, peer.read_exact(&mut got)).unwrap();
    }
}

#[test]
fn a_connection_follows_the_mtu_down_at_once_and_up_by_a_probe() {
    let mut world = World::new();
    swap(&mut world, Offload::new(), 1280);
    let (stream, peer) = world.connect(1000);
    world.transfer(&stream, &peer, 50_000);
    assert_eq!(world.near.script().longest, 1280);
    swap(&mut world, Offload::new(), 1500);
    world.transfer(&stream, &peer, 500_000);
    assert_eq!(world.near.script().longest, 1500);
    swap(&mut world, Offload::new(), 1300);
    world.transfer(&stream, &peer, 50_000);
    assert_eq!(world.near.script().longest, 1300);
}

/// A node whose device takes two of the segments of a super-packet, with the other end of its wire.
fn half_sent(world: &mut World) -> usize {
    let (mut stream, _peer) = world.connect(1000);
    world.near.script().room = Some(2);
    now(stream.write_all(&[7; 14_000])).unwrap().unwrap();
    world.near.run();
    let taken = world.near.script().taken;
    std::mem::forget(stream); // the connection stays
    taken
}

#[test]
fn the_rest_of_a_segmented_packet_follows_through_the_new_device() {
    let mut world = World::new();
    half_sent(&mut world);
    let (device, mut wire) = device(Offload::new(), 1500);
    world.near.driver().swap_device(device).unwrap();
    world.near.run();
    let sent = packets(&mut wire);
    assert_eq!(
        sent.len(),
        8,
        "10 segments, of which the old device has taken 2"
    );
    assert_eq!(world.near.stack.stats().dropped(DropReason::TooLong), 0);
}

#[test]
fn the_rest_of_a_segmented_packet_that_is_too_long_is_dropped_and_counted() {
    let mut world = World::new();
    half_sent(&mut world);
    let (device, _wire) = device(Offload::new(), 1280);
    world.near.driver().swap_device(device).unwrap();
    world.near.run();
    assert_eq!(world.near.stack.stats().dropped(DropReason::TooLong), 1);
}

#[test]
fn long_datagrams_that_wait_are_fragmented_for_the_new_device_and_batches_that_do_not_fit_dropped()
{
    let (here, _wire) = brooklet::pipe(64);
    let mut node = Node::new(Builder::new(), Device::new(here));
    node.script().room = Some(0);
    let (from, to) = (addr("192.0.2.1:53"), addr("10.0.0.2:5000"));
    now(node.udp.send_to(&[7; 1472], from, to))
        .unwrap()
        .unwrap();
    let mut batch = Datagram::new(vec![7; 14_000], from, to);
    batch.segment_size = Some(1400.try_into().unwrap());
    now(node.udp.send_datagram(&batch)).unwrap().unwrap();
    node.run();
    let (device, mut wire) = device(OFFLOAD, 1280);
    node.driver().swap_device(device).unwrap();
    node.run();
    let fragments = packets(&mut wire);
    assert_eq!(fragments.len(), 2);
    assert!(fragments.iter().all(|fragment| fragment.len() <= 1280));
    assert_eq!(node.stack.stats().dropped(DropReason::TooLong), 1);
    // The sockets know of the MTU.
    assert_eq!(node.stack.path_mtu(to.ip()), 1280);
    let error = now(node.udp.send_datagram(&batch)).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
}

#[test]
fn a_device_with_a_small_mtu_is_refused_and_the_old_one_stays() {
    let mut world = World::new();
    let (stream, peer) = world.connect(1000);
    let (small, _wire) = device(Offload::new(), 1279);
    let error = world.near.driver().swap_device(small).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    world.transfer(&stream, &peer, 10_000);

    let (here, _there) = brooklet::pipe(64);
    let mut node = Node::new(Builder::new().ipv6(false).mtu(1400), Device::new(here));
    let (small, _wire) = device(Offload::new(), 576);
    node.driver().swap_device(small).unwrap();
    let to = addr("10.0.0.2:1").ip();
    assert_eq!(node.stack.path_mtu(to), 576);
    let (large, _wire) = device(Offload::new(), 9000);
    node.driver().swap_device(large).unwrap();
    assert_eq!(node.stack.path_mtu(to), 1400, "the MTU of the builder");
}

#[test]
fn a_sleeping_driver_is_woken_and_errors_of_the_old_device_do_not_count() {
    let (here, _wire) = brooklet::pipe(64);
    let mut node = Node::new(Builder::new(), Device::new(here));
    node.script().always_recv = Some(ErrorKind::OutOfMemory);
    node.pass(50 * SECOND);
    node.woken.take();
    let (device, wire) = device(Offload::new(), 1500);
    node.driver().swap_device(device).unwrap();
    assert!(node.woken.take());
    node.script().always_recv = Some(ErrorKind::OutOfMemory);
    node.pass(50 * SECOND);
    assert!(node.ended.is_none());
    drop(wire);
}

#[test]
fn several_queues_have_the_least_mtu_of_their_devices() {
    let (here, there): (Vec<_>, Vec<_>) = (0..2).map(|_| device(Offload::new(), 1500)).unzip();
    let QueueParts {
        stack, mut drivers, ..
    } = Builder::new().build_queues(here).unwrap();
    let to = addr("10.0.0.2:1").ip();
    let (one, _wire) = device(Offload::new(), 1400);
    drivers[0].swap_device(one).unwrap();
    assert_eq!(stack.path_mtu(to), 1400);
    let (other, _wire) = device(Offload::new(), 9000);
    drivers[1].swap_device(other).unwrap();
    assert_eq!(stack.path_mtu(to), 1400);
    let (one, _wire) = device(Offload::new(), 9000);
    drivers[0].swap_device(one).unwrap();
    assert_eq!(stack.path_mtu(to), 9000);
    drop(there);
}

#[test]
fn a_program_swaps_the_device_by_interrupting_its_driver() {
    let (first, first_end) = brooklet::pipe(64);
    let brooklet::Parts {
        stack, mut driver, ..
    } = Builder::new().build(first).unwrap();
    let (there, receiver) = async_channel::bounded::<Pipe>(1);
    let run = async {
        loop {
            let ended = async { Err((&mut driver).await) };
            match future::or(async { Ok(receiver.recv().await) }, ended).await {
                Ok(Ok(device)) => drop(driver.swap_device(device)?),
                Ok(Err(_)) => return Ok(()),
                Err(result) => return result,
            }
        }
    };
    let program = async {
        let connect = stack.connect_from(addr("10.0.0.2:1000"), addr("192.0.2.1:80"));
        let far = async {
            // The SYN is lost with the first device, and sent again through the second.
            let (second, second_end) = brooklet::pipe(64);
            there.send(second).await.unwrap();
            drop(first_end);
            let far = Builder::new().build(second_end).unwrap();
            let serve = async {
                let (mut stream, _) = far.tcp.accept().await?;
                stream.write_all(b"hello").await?;
                stream.close().await
            };
            future::or(serve, far.driver).await
        };
        let client = async {
            let mut hello = String::new();
            connect.await?.read_to_string(&mut hello).await?;
            assert_eq!(hello, "hello");
            Ok(())
        };
        try_zip(client, far).await.map(drop)
    };
    future::block_on(future::or(run, program)).unwrap();
}
