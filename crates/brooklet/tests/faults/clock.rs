//! Clocks that jump, and systems that are suspended.

use crate::world::{SECOND, TestTimer, World, now};
use brooklet::filter::{Direction, Verdict};
use brooklet::{Builder, Packet, TcpConfig, TcpOptions, TcpStream};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

fn options(options: TcpOptions) -> World {
    World::with(Builder::new().tcp_config(TcpConfig::new().options(options)))
}

fn connections(world: &mut World) -> Vec<(TcpStream, TcpStream)> {
    let connections = (0..20).map(|n| world.connect(1000 + n)).collect();
    world.pass(600 * SECOND); // buffers are released meanwhile
    connections
}

/// What the near stack sends.
fn sent(world: &World) -> u64 {
    world.near.stack.stats().packets_out
}

/// Only the clock of the near stack jumps.
fn jump(world: &World, time: Duration) {
    world.near.timer.forward(time);
    std::task::Wake::wake(world.near.woken.clone());
}

#[test]
fn idle_connections_survive_a_suspension_without_a_packet() {
    let mut world = options(TcpOptions::new().keepalive(None));
    let connections = connections(&mut world);
    let (before, polls) = (sent(&world), world.near.polls);
    jump(&world, 8 * HOUR);
    world.pass(60 * SECOND);
    assert_eq!(sent(&world), before);
    assert!(
        world.near.polls - polls < 20,
        "{}",
        world.near.polls - polls
    );
    for (stream, peer) in &connections {
        world.transfer(stream, peer, 1000);
        world.transfer(peer, stream, 1000);
    }
}

#[test]
fn a_keepalive_probe_is_sent_once_after_a_suspension() {
    let mut world = options(TcpOptions::new().keepalive(Some(7200 * SECOND)));
    let connections = connections(&mut world);
    let before = sent(&world);
    jump(&world, 8 * HOUR);
    world.pass(60 * SECOND);
    assert_eq!(sent(&world) - before, connections.len() as u64);
    assert_eq!(world.near.stack.stats().tcp.connections, 20);
    for (stream, peer) in &connections {
        world.transfer(stream, peer, 1000);
    }
}

#[test]
fn a_lost_segment_is_retransmitted_once_after_a_suspension() {
    let mut world = options(TcpOptions::new().user_timeout(None));
    let (mut stream, mut peer) = world.connect(1000);
    world.transfer(&stream, &peer, 1000);
    world.pass(10 * SECOND);
    // The far stack is not there.
    now(stream.write_all(b"lost")).unwrap().unwrap();
    world.near.run();
    let (unconnected, _keep) = brooklet::pipe(1);
    let old_far = std::mem::replace(&mut world.far.driver().device_mut().pipe, unconnected);
    let before = sent(&world);
    world.near.timer.forward(8 * HOUR);
    world.near.run();
    world.near.pass(Duration::from_millis(100));
    assert_eq!(sent(&world) - before, 1, "one RTO, no burst");
    // The timeout doubles from then on, as without the suspension.
    world.far.driver().device_mut().pipe = old_far;
    let mut got = [0; 4];
    world.run(120 * SECOND, peer.read_exact(&mut got)).unwrap();
    assert_eq!(&got, b"lost");
}

#[test]
fn a_clock_that_is_set_back_delays_no_timeout() {
    for back in [SECOND / 2, 2 * SECOND, HOUR, 40 * HOUR] {
        let mut world = World::new();
        let (mut stream, mut peer) = world.connect(1000);
        world.transfer(&stream, &peer, 1000);
        let old_far = std::mem::replace(
            &mut world.far.driver().device_mut().pipe,
            brooklet::pipe(1).0,
        );
        now(stream.write_all(b"lost")).unwrap().unwrap();
        world.near.run();
        world.near.timer.back(back);
        let polls = world.near.polls;
        let before = sent(&world);
        world.near.pass(20 * SECOND);
        let (sent, polls) = (sent(&world) - before, world.near.polls - polls);
        assert!((3..8).contains(&sent), "{sent} retransmissions in 20 s");
        assert!(polls < 60, "{polls} polls");
        world.far.driver().device_mut().pipe = old_far;
        let mut got = [0; 4];
        world.run(60 * SECOND, peer.read_exact(&mut got)).unwrap();
        world.transfer(&stream, &peer, 100_000);
        world.transfer(&peer, &stream, 100_000);
    }
}

#[test]
fn a_clock_that_jumps_to_and_fro_loses_no_byte() {
    const LEN: usize = 1_000_000;
    let mut world = World::new();
    let (stream, peer) = world.connect(1000);
    let data: Vec<u8> = (0..LEN).map(|n| (n / 7) as u8).collect();
    let mut got = vec![0; LEN];
    let (mut writer, mut reader) = (&stream, &peer);
    {
        let both =
            futures_lite::future::try_zip(writer.write_all(&data), reader.read_exact(&mut got));
        let mut both = pin!(both);
        for n in 0.. {
            assert!(n < 100_000);
            // Less than any timeout of a connection, forwards; any time, backwards.
            match n % 3 {
                0 => world.near.timer.forward(5 * SECOND),
                1 => world.near.timer.back(HOUR / 2),
                _ => world.far.timer.back(SECOND / 10),
            }
            if world
                .try_run(Duration::from_micros(100), both.as_mut())
                .is_some()
            {
                break;
            }
        }
    }
    assert!(got == data);
}

#[test]
fn a_filter_that_takes_long_over_each_packet_costs_no_byte() {
    let timers = Arc::new(OnceLock::<[TestTimer; 2]>::new());
    let filter = {
        let timers = timers.clone();
        move |_: &Packet<'_>, _: Direction| {
            let timers = timers.get().into_iter().flatten();
            timers.for_each(|timer| timer.forward(SECOND / 50));
            Verdict::Pass
        }
    };
    let mut world = World::with(Builder::new().filter(filter));
    let both = [world.near.timer.clone(), world.far.timer.clone()];
    assert!(timers.set(both).is_ok());
    let (stream, peer) = world.connect(1000);
    world.transfer(&stream, &peer, 200_000);
    world.transfer(&peer, &stream, 200_000);
    let stats = world.near.stack.stats();
    assert!(stats.tcp.retransmits < 20, "{stats}");
}
