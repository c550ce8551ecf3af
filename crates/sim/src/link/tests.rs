use super::*;
use crate::{SimError, Simulation};
use std::future::poll_fn;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn link(sim: &Simulation, delay: Duration) -> (Link, LinkEnd, LinkEnd) {
    let config = LinkConfig {
        delay,
        ..LinkConfig::default()
    };
    Link::new(sim.time(), 1, config)
}

async fn send(end: &mut LinkEnd, byte: u8) {
    let packet = PacketBuf::from(vec![byte]);
    poll_fn(|cx| end.poll_send(cx, &packet)).await.unwrap();
}

async fn receive(end: &mut LinkEnd) -> io::Result<u8> {
    let mut packet = PacketBuf::default();
    poll_fn(|cx| end.poll_recv(cx, &mut packet)).await?;
    Ok(packet[0])
}

#[test]
fn a_receiver_that_waits_is_woken_when_the_packet_arrives() {
    let sim = Simulation::new();
    let (_link, mut a, mut b) = link(&sim, 30 * MS);
    let time = sim.time().clone();
    let task = sim.spawn(async move {
        let got = receive(&mut b).await.unwrap();
        (got, time.elapsed())
    });
    let time = sim.time().clone();
    let got = sim.run(async {
        time.sleep(5 * MS).await;
        send(&mut a, 9).await;
        task.await
    });
    assert_eq!(got, Ok((9, 35 * MS)));
}

#[test]
fn a_wire_without_delay_wakes_at_once() {
    let sim = Simulation::new();
    let (_link, mut a, mut b) = link(&sim, Duration::ZERO);
    let task = sim.spawn(async move { receive(&mut b).await.unwrap() });
    let got = sim.run(async {
        // The receiver waits by now.
        futures_lite::future::yield_now().await;
        send(&mut a, 9).await;
        task.await
    });
    assert_eq!((got, sim.time().elapsed()), (Ok(9), Duration::ZERO));
}

#[test]
fn packets_in_flight_arrive_before_the_end() {
    let sim = Simulation::new();
    let (_link, mut a, mut b) = link(&sim, 30 * MS);
    let run = sim.run(async {
        send(&mut a, 1).await;
        drop(a);
        let first = receive(&mut b).await;
        (first.unwrap(), receive(&mut b).await.unwrap_err().kind())
    });
    assert_eq!(run, Ok((1, io::ErrorKind::UnexpectedEof)));
}

#[test]
fn a_receiver_that_waits_sees_the_other_end_dropped_at_once() {
    for in_flight in [false, true] {
        let sim = Simulation::new();
        let (_link, mut a, mut b) = link(&sim, 30 * MS);
        let time = sim.time().clone();
        let task = sim.spawn(async move {
            if in_flight {
                receive(&mut b).await.unwrap();
            }
            (receive(&mut b).await.unwrap_err().kind(), time.elapsed())
        });
        let got = sim.run(async {
            if in_flight {
                send(&mut a, 1).await;
            }
            sim.time().sleep(5 * MS).await;
            drop(a);
            task.await
        });
        let at = if in_flight { 30 * MS } else { 5 * MS };
        assert_eq!(got, Ok((io::ErrorKind::UnexpectedEof, at)));
    }
}

/// Counts its wakers: the strong count of the `Arc`.
struct Idle;

impl std::task::Wake for Idle {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_dropped_end_leaves_no_waker_no_alarm_and_no_packet_behind() {
    let sim = Simulation::new();
    let (link, mut a, mut b) = link(&sim, 30 * MS);
    sim.run(send(&mut a, 1)).unwrap();
    let idle = Arc::new(Idle);
    let waker = Waker::from(idle.clone());
    let mut packet = PacketBuf::default();
    let polled = b.poll_recv(&mut Context::from_waker(&waker), &mut packet);
    assert!(polled.is_pending());
    drop(waker);
    assert!(Arc::strong_count(&idle) > 1);
    drop(b);
    assert_eq!(Arc::strong_count(&idle), 1);
    assert_eq!(sim.time().next_deadline(), None);
    sim.run(send(&mut a, 2)).unwrap();
    let stats = link.stats().0;
    assert_eq!((stats.sent, stats.lost, stats.delivered), (2, 2, 0));
    assert_eq!(sim.time().next_deadline(), None);
}

#[test]
fn a_link_can_be_cut_and_mended_while_it_is_used() {
    let sim = Simulation::new();
    let (link, mut a, mut b) = link(&sim, MS);
    let good = LinkConfig::default();
    let cut = LinkConfig { loss: 1.0, ..good };
    link.configure(cut, good);
    let lost = sim.run(async {
        send(&mut a, 1).await;
        receive(&mut b).await.unwrap()
    });
    assert_eq!(lost, Err(SimError::Stalled));
    link.configure(good, cut);
    let got = sim.run(async {
        send(&mut a, 2).await;
        receive(&mut b).await.unwrap()
    });
    assert_eq!(got, Ok(2));
    assert_eq!(link.stats().0.lost, 1);
}

#[test]
fn a_tap_sees_every_packet_and_its_outcome() {
    let sim = Simulation::new();
    let (link, mut a, mut b) = link(&sim, MS);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = seen.clone();
    link.tap(move |event| {
        let lost = event.outcome == LinkOutcome::Lost;
        let packet = event.packet.to_vec();
        sink.lock().unwrap().push((event.from_first, packet, lost));
    });
    let both = LinkConfig::default();
    link.configure(LinkConfig { loss: 1.0, ..both }, both);
    sim.run(async {
        send(&mut a, 1).await;
        send(&mut b, 2).await;
    })
    .unwrap();
    assert_eq!(
        *seen.lock().unwrap(),
        [(true, vec![1], true), (false, vec![2], false)]
    );
}

#[test]
fn exactly_the_packets_that_a_test_names_are_lost() {
    let sim = Simulation::new();
    let (link, mut a, mut b) = link(&sim, MS);
    let (mut count, handle) = (0, link.clone());
    link.lose_if(move |from_first, packet| {
        count += 1;
        // The link may be used, and a hook be replaced, from within one.
        assert_eq!(handle.stats().0.sent, u64::from(packet[0]) - 1);
        if count == 3 {
            handle.lose_if(|_, _| false);
        }
        from_first && count != 1
    });
    let got = sim.run(async {
        for byte in 1..=4 {
            send(&mut a, byte).await;
        }
        (
            receive(&mut b).await.unwrap(),
            receive(&mut b).await.unwrap(),
        )
    });
    assert_eq!(got, Ok((1, 4)));
    assert_eq!(link.stats().0.lost, 2);
}

#[test]
fn ends_go_to_other_threads() {
    fn is_send<T: Send>() {}
    is_send::<Link>();
    is_send::<LinkEnd>();
    is_send::<VirtualTimer>();
}
