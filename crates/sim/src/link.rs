//! Two devices with an impaired link between them.

use crate::{Channel, LinkConfig, LinkOutcome, LinkStats, VirtualTime, VirtualTimer};
use brooklet::{Clock, Timer};
use brooklet_io::{PacketBuf, PacketIo};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// A link between two devices. This is the handle on it; clones are handles to the same one.
///
/// It lives in virtual time, unless [`with_timers`](Link::with_timers) makes it for another clock.
///
/// ```
/// use brooklet::{PacketBuf, PacketIo};
/// use brooklet_sim::{Link, LinkConfig, Simulation};
/// use std::{future::poll_fn, time::Duration};
///
/// let sim = Simulation::new();
/// let delay = Duration::from_millis(25);
/// let (link, mut here, mut there) =
///     Link::new(sim.time(), 1, LinkConfig::new().delay(delay));
/// let received = sim.run(async {
///     let mut packet = PacketBuf::from(vec![0x45; 40]);
///     poll_fn(|cx| here.poll_send(cx, &packet)).await?;
///     poll_fn(|cx| there.poll_recv(cx, &mut packet)).await
/// });
/// assert!(matches!(received, Ok(Ok(()))));
/// assert_eq!(sim.time().elapsed(), delay);
/// assert_eq!(link.stats().0.delivered, 1);
/// ```
pub struct Link<T = VirtualTimer>(Arc<Mutex<State<T>>>);

/// One end of a [`Link`]: a device for a stack.
///
/// It always takes a packet to send. When the other end is dropped, what is on the way still
/// arrives, and then a receive is [`UnexpectedEof`](io::ErrorKind::UnexpectedEof); packets sent
/// there are lost.
pub struct LinkEnd<T = VirtualTimer> {
    link: Link<T>,
    clock: Clock,
    number: usize,
}

/// One packet, as whoever listens to a link sees it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TapEvent<'a> {
    /// When it was sent.
    pub at: Instant,
    /// Whether the first end sent it.
    pub from_first: bool,
    /// The packet as it was sent.
    pub packet: &'a [u8],
    /// What becomes of it.
    pub fate: LinkOutcome,
}

/// What a test has to say to each packet.
#[derive(Default)]
struct Hooks {
    tap: Option<Box<Tap>>,
    lose: Option<Box<Lose>>,
}

type Tap = dyn FnMut(TapEvent<'_>) + Send;
type Lose = dyn FnMut(bool, &[u8]) -> bool + Send;

struct State<T> {
    /// By the number of the end that sends.
    ways: [Way<T>; 2],
    hooks: Hooks,
}

struct Way<T> {
    channel: Channel,
    /// The sender is gone.
    closed: bool,
    /// Who waits for a packet, and the alarm for the next one.
    receiver: Option<Waker>,
    alarm: T,
}

impl Link {
    /// Joins two ends, with the same conditions both ways.
    ///
    /// What happens depends on the seed and on the packets and their times, and on nothing else.
    pub fn new(time: &VirtualTime, seed: u64, both: LinkConfig) -> (Self, LinkEnd, LinkEnd) {
        Self::with_timers([time.timer(), time.timer()], seed, both)
    }
}

impl<T: Timer> Link<T> {
    /// Joins two ends on another clock: two timers of it that are not in use.
    ///
    /// With `AsyncIoTimer::new()` twice this is the same link in real time, between a real TUN and
    /// a stack for instance.
    pub fn with_timers(
        timers: [T; 2],
        seed: u64,
        both: LinkConfig,
    ) -> (Self, LinkEnd<T>, LinkEnd<T>) {
        let clock = timers[0].clock();
        // Both directions of one seed, and those of neighbouring seeds, must not look alike.
        let seed = seed.wrapping_mul(0xd134_2543_de82_ef95);
        let way = |seed, alarm| Way {
            channel: Channel::new(seed, both),
            closed: false,
            receiver: None,
            alarm,
        };
        let [first, second] = timers;
        let ways = [way(seed, first), way(!seed, second)];
        let link = Self(Arc::new(Mutex::new(State {
            ways,
            hooks: Hooks::default(),
        })));
        let end = |number| LinkEnd {
            link: link.clone(),
            clock: clock.clone(),
            number,
        };
        let (first, second) = (end(0), end(1));
        (link, first, second)
    }
}

impl<T> Link<T> {
    /// Changes what happens to packets from the first end, and to those from the second. Packets
    /// on the way stay as they are.
    pub fn configure(&self, from_first: LinkConfig, from_second: LinkConfig) {
        let mut state = self.state();
        state.ways[0].channel.configure(from_first);
        state.ways[1].channel.configure(from_second);
    }

    /// What happened to packets from the first end, and to those from the second.
    pub fn stats(&self) -> (LinkStats, LinkStats) {
        let state = self.state();
        (state.ways[0].channel.stats(), state.ways[1].channel.stats())
    }

    /// Shows every packet to `tap` when it is sent, with what becomes of it: for a capture, or to
    /// count.
    pub fn tap(&self, tap: impl FnMut(TapEvent<'_>) + Send + 'static) {
        let old = self.state().hooks.tap.replace(Box::new(tap));
        drop(old);
    }

    /// Loses exactly the packets for which `lose` says so, beside those that chance takes. It is
    /// told whether the first end sends the packet, and the packet.
    ///
    /// ```
    /// use brooklet_sim::{Link, LinkConfig, Simulation};
    ///
    /// let sim = Simulation::new();
    /// let (link, client, server) = Link::new(sim.time(), 1, LinkConfig::default());
    /// let mut answers = 0;
    /// link.lose_if(move |from_client, _packet| {
    ///     answers += u32::from(!from_client);
    ///     !from_client && answers == 1 // the SYN-ACK, once
    /// });
    /// # drop((client, server));
    /// ```
    pub fn lose_if(&self, lose: impl FnMut(bool, &[u8]) -> bool + Send + 'static) {
        let old = self.state().hooks.lose.replace(Box::new(lose));
        drop(old);
    }

    /// Gives the hooks their place again, unless there are new ones.
    fn put_back(&self, mut hooks: Hooks) {
        let mut state = self.state();
        let Hooks { tap, lose } = std::mem::take(&mut state.hooks);
        state.hooks = Hooks {
            tap: tap.or_else(|| hooks.tap.take()),
            lose: lose.or_else(|| hooks.lose.take()),
        };
        drop(state);
        drop(hooks); // those that were replaced
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // Nothing that can panic runs while it is held, so that there is no half-done state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Link<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Timer> PacketIo for LinkEnd<T> {
    fn poll_recv(&mut self, cx: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<()>> {
        let mut state = self.link.state();
        let way = &mut state.ways[1 - self.number];
        if let Some(bytes) = way.channel.receive(self.clock.now()) {
            packet.copy_from_slice(&bytes);
            return Poll::Ready(Ok(()));
        }
        let next = way.channel.next_arrival();
        if next.is_none() && way.closed {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the other end of the link was dropped",
            )));
        }
        let old = way.receiver.replace(cx.waker().clone());
        // A clock that runs by itself may have come this far meanwhile.
        let come = way.alarm.poll_deadline(cx, next).is_ready();
        drop(state);
        drop(old);
        if come {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn poll_send(&mut self, _: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>> {
        let (now, from_first) = (self.clock.now(), self.number == 0);
        // They are called while nothing is held, so that they may use the link.
        let mut hooks = std::mem::take(&mut self.link.state().hooks);
        let lost = hooks
            .lose
            .as_mut()
            .is_some_and(|lose| lose(from_first, packet));

        let mut state = self.link.state();
        let way = &mut state.ways[self.number];
        let fate = way.channel.send_unless(lost, now, packet);
        let next = way.channel.next_arrival();
        // The receiver is woken when the packet arrives, not now, unless that is now.
        let come = way.receiver.take_if(|receiver| {
            let mut cx = Context::from_waker(receiver);
            way.alarm.poll_deadline(&mut cx, next).is_ready()
        });
        drop(state);

        come.into_iter().for_each(Waker::wake);
        if let Some(tap) = &mut hooks.tap {
            tap(TapEvent {
                at: now,
                from_first,
                packet,
                fate,
            });
        }
        self.link.put_back(hooks);
        Poll::Ready(Ok(()))
    }
}

impl<T> Drop for LinkEnd<T> {
    fn drop(&mut self) {
        let waker = {
            let mut state = self.link.state();
            let way = &mut state.ways[self.number];
            way.closed = true;
            way.receiver.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }
}

impl<T> fmt::Debug for Link<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from_first, from_second) = self.stats();
        f.debug_struct("Link")
            .field("from_first", &from_first)
            .field("from_second", &from_second)
            .finish()
    }
}

impl<T> fmt::Debug for LinkEnd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkEnd").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
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
    fn the_end_comes_after_what_is_on_the_way() {
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
    fn a_tap_sees_every_packet_and_its_fate() {
        let sim = Simulation::new();
        let (link, mut a, mut b) = link(&sim, MS);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = seen.clone();
        link.tap(move |sighting| {
            let lost = sighting.fate == LinkOutcome::Lost;
            let packet = sighting.packet.to_vec();
            sink.lock()
                .unwrap()
                .push((sighting.from_first, packet, lost));
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
}
