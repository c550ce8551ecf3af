//! Two devices with an impaired link between them.

use crate::{Channel, LinkConfig, LinkOutcome, LinkStats, VirtualTime, VirtualTimer};
use brooklet::{Clock, Timer};
use brooklet_io::{PacketBuf, PacketIo};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// A handle to a link between two devices. Clones are handles to the same link.
///
/// The link is in virtual time unless [`with_timers`](Link::with_timers) makes it for another clock.
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
/// A send is never pending. When an end is dropped, the packets that it has sent still arrive; then
/// a receive on the other end is [`UnexpectedEof`](io::ErrorKind::UnexpectedEof). Packets to a
/// dropped end are lost.
///
/// ```
/// use brooklet::Builder;
/// use brooklet_sim::{Link, LinkConfig, LinkEnd, Simulation};
///
/// let sim = Simulation::new();
/// let (_link, here, there): (_, LinkEnd, LinkEnd) =
///     Link::new(sim.time(), 1, LinkConfig::new());
/// let parts = Builder::new().build_with_timer(here, sim.time().timer())?;
/// # drop((parts, there));
/// # std::io::Result::Ok(())
/// ```
pub struct LinkEnd<T = VirtualTimer> {
    link: Link<T>,
    clock: Clock,
    number: usize,
}

/// A packet that is sent into a link, as [`Link::tap`] shows it.
///
/// ```
/// use brooklet_sim::{Link, LinkConfig, LinkOutcome, Simulation, TapEvent};
///
/// let sim = Simulation::new();
/// let (link, here, there) = Link::new(sim.time(), 1, LinkConfig::new());
/// let mut lost = 0;
/// link.tap(move |TapEvent { at, packet, outcome, .. }| {
///     lost += u32::from(outcome == LinkOutcome::Lost);
///     println!("{at:?}: {} bytes, {outcome:?}; {lost} lost so far", packet.len());
/// });
/// # drop((here, there));
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TapEvent<'a> {
    /// When the packet is sent.
    pub at: Instant,
    /// Whether the first end sends the packet.
    pub from_first: bool,
    /// The packet as it is sent.
    pub packet: &'a [u8],
    /// The outcome.
    pub outcome: LinkOutcome,
}

/// The functions that a test has set.
#[derive(Default)]
struct Hooks {
    tap: Option<Box<Tap>>,
    lose: Option<Box<Lose>>,
}

type Tap = dyn FnMut(TapEvent<'_>) + Send;
type Lose = dyn FnMut(bool, &[u8]) -> bool + Send;

struct State<T> {
    /// Indexed by the number of the sending end.
    directions: [Direction<T>; 2],
    hooks: Hooks,
}

struct Direction<T> {
    channel: Channel,
    /// Whether the sending end is dropped.
    closed: bool,
    /// The task that waits for a packet.
    receiver: Option<Waker>,
    /// Wakes the receiver at the next arrival. `None` after the receiving end is dropped.
    alarm: Option<T>,
}

impl Link {
    /// Joins two ends, with the same impairments in both directions.
    ///
    /// The outcome depends on the seed, on the packets and on their times, and on nothing else.
    ///
    /// ```
    /// use brooklet_sim::{Link, LinkConfig, Simulation};
    ///
    /// let sim = Simulation::new();
    /// let seed = 42;
    /// let (link, here, there) = Link::new(sim.time(), seed, LinkConfig::new().loss(0.01));
    /// # drop((link, here, there));
    /// ```
    pub fn new(time: &VirtualTime, seed: u64, both: LinkConfig) -> (Self, LinkEnd, LinkEnd) {
        Self::with_timers([time.timer(), time.timer()], seed, both)
    }
}

impl<T: Timer> Link<T> {
    /// Joins two ends on another clock, with two unused timers of that clock.
    ///
    /// With `AsyncIoTimer::new()` twice the link is in real time, for example between a TUN device
    /// and a stack.
    ///
    /// ```
    /// use brooklet::AsyncIoTimer;
    /// use brooklet_sim::{Link, LinkConfig};
    /// use std::time::Duration;
    ///
    /// let timers = [AsyncIoTimer::new(), AsyncIoTimer::new()];
    /// let config = LinkConfig::new().delay(Duration::from_millis(50));
    /// let (link, tun_side, stack_side) = Link::with_timers(timers, 1, config);
    /// # drop((link, tun_side, stack_side));
    /// ```
    pub fn with_timers(
        timers: [T; 2],
        seed: u64,
        both: LinkConfig,
    ) -> (Self, LinkEnd<T>, LinkEnd<T>) {
        let clock = timers[0].clock();
        // The directions of one seed, and those of neighbouring seeds, must not be alike.
        let seed = seed.wrapping_mul(0xd134_2543_de82_ef95);
        let direction = |seed, alarm| Direction {
            channel: Channel::new(seed, both),
            closed: false,
            receiver: None,
            alarm: Some(alarm),
        };
        let [first, second] = timers;
        let directions = [direction(seed, first), direction(!seed, second)];
        let link = Self(Arc::new(Mutex::new(State {
            directions,
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
    /// Changes the impairments of the packets from the first end, and of those from the second. The
    /// change applies to packets that are sent from now on.
    ///
    /// ```
    /// use brooklet_sim::{Link, LinkConfig, Simulation};
    ///
    /// let sim = Simulation::new();
    /// let (link, here, there) = Link::new(sim.time(), 1, LinkConfig::new());
    /// // The path from the first to the second end fails.
    /// link.configure(LinkConfig::new().loss(1.0), LinkConfig::new());
    /// # drop((here, there));
    /// ```
    pub fn configure(&self, from_first: LinkConfig, from_second: LinkConfig) {
        let mut state = self.state();
        state.directions[0].channel.configure(from_first);
        state.directions[1].channel.configure(from_second);
    }

    /// Returns the counters of the packets from the first end, and of those from the second.
    ///
    /// ```
    /// use brooklet_sim::{Link, LinkConfig, Simulation};
    ///
    /// let sim = Simulation::new();
    /// let (link, here, there) = Link::new(sim.time(), 1, LinkConfig::new());
    /// let (from_first, from_second) = link.stats();
    /// assert_eq!((from_first.sent, from_second.sent), (0, 0));
    /// # drop((here, there));
    /// ```
    pub fn stats(&self) -> (LinkStats, LinkStats) {
        let [first, second] = &self.state().directions;
        (first.channel.stats(), second.channel.stats())
    }

    /// Calls `tap` with every packet that is sent and its outcome, for a capture or to count.
    /// Replaces the previous tap.
    ///
    /// `tap` may use the link. If both ends send at the same time on two threads, only one of the
    /// two packets is shown.
    ///
    /// ```
    /// use brooklet_sim::{Link, LinkConfig, Simulation};
    /// use std::sync::{Arc, Mutex};
    ///
    /// let sim = Simulation::new();
    /// let (link, here, there) = Link::new(sim.time(), 1, LinkConfig::new());
    /// let capture = Arc::new(Mutex::new(Vec::new()));
    /// let sink = capture.clone();
    /// link.tap(move |event| sink.lock().unwrap().push(event.packet.to_vec()));
    /// # drop((here, there));
    /// ```
    pub fn tap(&self, tap: impl FnMut(TapEvent<'_>) + Send + 'static) {
        let old = self.state().hooks.tap.replace(Box::new(tap));
        drop(old);
    }

    /// Loses the packets for which `lose` returns `true`, beside the random losses. The arguments of
    /// `lose` are whether the first end sends the packet, and the packet. Replaces the previous
    /// function.
    ///
    /// The packets are lost at the [`loss_point`](LinkConfig::loss_point). `lose` may use the link.
    /// If both ends send at the same time on two threads, `lose` sees only one of the two packets.
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

    /// Puts the hooks back, unless they were replaced meanwhile.
    fn put_back(&self, mut hooks: Hooks) {
        let mut state = self.state();
        let Hooks { tap, lose } = std::mem::take(&mut state.hooks);
        state.hooks = Hooks {
            tap: tap.or_else(|| hooks.tap.take()),
            lose: lose.or_else(|| hooks.lose.take()),
        };
        drop(state);
        drop(hooks); // the replaced ones
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        // No code that can panic runs under the lock, so the state is always consistent.
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
        let direction = &mut state.directions[1 - self.number];
        if let Some(bytes) = direction.channel.receive(self.clock.now()) {
            packet.copy_from_slice(&bytes);
            return Poll::Ready(Ok(()));
        }
        let next = direction.channel.next_arrival();
        if next.is_none() && direction.closed {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the other end of the link was dropped",
            )));
        }
        let old = direction.receiver.replace(cx.waker().clone());
        let arrived = poll_alarm(&mut direction.alarm, cx, next);
        drop(state);
        drop(old);
        // A real clock may have reached the arrival since it was read above.
        if arrived {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn poll_send(&mut self, _: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>> {
        let (now, from_first) = (self.clock.now(), self.number == 0);
        // The hooks run without the lock, so that they can use the link.
        let mut hooks = std::mem::take(&mut self.link.state().hooks);
        let lost = hooks
            .lose
            .as_mut()
            .is_some_and(|lose| lose(from_first, packet));

        let mut state = self.link.state();
        let direction = &mut state.directions[self.number];
        let lost = lost || direction.alarm.is_none();
        let outcome = direction.channel.send_unless(lost, now, packet);
        let next = direction.channel.next_arrival();
        // The alarm wakes the receiver when the packet arrives. A packet that arrives now wakes it
        // at once.
        let alarm = &mut direction.alarm;
        let arrived = direction
            .receiver
            .take_if(|receiver| poll_alarm(alarm, &mut Context::from_waker(receiver), next));
        drop(state);

        arrived.into_iter().for_each(Waker::wake);
        if let Some(tap) = &mut hooks.tap {
            tap(TapEvent {
                at: now,
                from_first,
                packet,
                outcome,
            });
        }
        self.link.put_back(hooks);
        Poll::Ready(Ok(()))
    }
}

/// Sets the alarm. Returns whether the time has come.
fn poll_alarm<T: Timer>(alarm: &mut Option<T>, cx: &mut Context<'_>, at: Option<Instant>) -> bool {
    let alarm = alarm.as_mut();
    alarm.is_some_and(|alarm| alarm.poll_deadline(cx, at).is_ready())
}

impl<T> Drop for LinkEnd<T> {
    fn drop(&mut self) {
        let (peer, own, alarm) = {
            let mut state = self.link.state();
            let outbound = &mut state.directions[self.number];
            outbound.closed = true;
            let peer = outbound.receiver.take();
            let inbound = &mut state.directions[1 - self.number];
            inbound.channel.lose_in_flight();
            (peer, inbound.receiver.take(), inbound.alarm.take())
        };
        // An alarm that stays set would keep a simulation going, and holds a waker.
        drop((own, alarm));
        // The peer sees the end, unless packets are in flight to it.
        peer.into_iter().for_each(Waker::wake);
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
mod tests;
