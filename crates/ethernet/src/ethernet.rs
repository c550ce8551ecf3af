use crate::config::Config;
use crate::frame::HEADER;
use crate::link::{Link, Outbound};
use crate::{DropCounter, MacAddr};
use brooklet_io::{Clock, Offload, PacketBuf, PacketIo};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// The MTU of an Ethernet, for a frame source that does not tell.
const MTU: usize = 1500;

/// The longest packet that a [`PacketIo`] delivers, in bytes: IPv6 with a payload of 65,535 bytes.
const LONGEST: usize = 40 + 65_535;

/// The frames that one call may drop or answer before other tasks have their turn.
const FRAMES_PER_POLL: usize = 64;

/// A source and sink of IP packets over a source and sink `D` of Ethernet frames.
///
/// The frames of `D` are without preamble and frame check sequence: a header of 14 bytes, perhaps
/// a tag, and the payload. A TAP device, a socket of QEMU (`-netdev dgram`) and a packet socket
/// carry such frames. [`PacketIo::mtu`] of `D` is the length of the longest frame, and
/// [`PacketIo::mtu`] of the adapter is 14 bytes less.
///
/// `S` makes a future of type `F` that completes after the given time. The adapter sleeps only
/// while it waits for an answer of a neighbor, and as a router that [advertises](Config::advertise)
/// itself.
///
/// The offloads and the packet metadata of `D` pass through: the ranges of a super-packet are those
/// of the IP packet behind the header.
///
/// # Examples
///
/// Two adapters, back to back:
///
/// ```
/// use brooklet_ethernet::{Config, Ethernet};
/// use brooklet_io::{Clock, PacketBuf, PacketIo};
/// use brooklet_packet::udp;
/// # use std::cell::RefCell;
/// # use std::collections::VecDeque;
/// # use std::future::poll_fn;
/// # use std::io;
/// # use std::rc::Rc;
/// # use std::task::{Context, Poll};
/// use std::time::Instant;
///
/// # type Cable = Rc<RefCell<VecDeque<Vec<u8>>>>;
/// # struct End(Cable, Cable);
/// # impl PacketIo for End {
/// #     fn poll_recv(&mut self, cx: &mut Context<'_>, p: &mut PacketBuf) -> Poll<io::Result<()>> {
/// #         match self.0.borrow_mut().pop_front() {
/// #             Some(frame) => Poll::Ready(Ok(p.copy_from_slice(&frame))),
/// #             None => {
/// #                 cx.waker().wake_by_ref();
/// #                 Poll::Pending
/// #             }
/// #         }
/// #     }
/// #     fn poll_send(&mut self, _: &mut Context<'_>, p: &PacketBuf) -> Poll<io::Result<()>> {
/// #         self.1.borrow_mut().push_back(p.to_vec());
/// #         Poll::Ready(Ok(()))
/// #     }
/// # }
/// # let (one, two) = (Cable::default(), Cable::default());
/// # let (here, there) = (End(one.clone(), two.clone()), End(two, one));
/// let adapter = |frames, last| {
///     let config = Config::new([2, 0, 0, 0, 0, last].into()).address([10, 0, 0, last], 24);
///     Ethernet::new(frames, config, Clock::new(Instant::now), async_io::Timer::after)
/// };
/// let (mut here, mut there) = (adapter(here, 1), adapter(there, 2));
///
/// let mut datagram = Vec::new();
/// udp::write(&mut datagram, "10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?, 64, b"hello")?;
/// # futures_lite::future::block_on(async {
/// // The adapter asks for 10.0.0.2 and keeps the packet until the other one has answered.
/// let packet = PacketBuf::from(datagram.clone());
/// poll_fn(|cx| here.poll_send(cx, &packet)).await?;
/// let (mut received, mut ignored) = (PacketBuf::default(), PacketBuf::default());
/// let there = poll_fn(|cx| there.poll_recv(cx, &mut received));
/// let here = poll_fn(|cx| here.poll_recv(cx, &mut ignored));
/// futures_lite::future::or(there, here).await?;
/// assert_eq!(&received[..], datagram);
/// # io::Result::Ok(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Ethernet<D, S, F> {
    io: D,
    clock: Clock,
    sleep: S,
    /// When the sleep ends.
    alarm: Option<(Instant, Pin<Box<F>>)>,
    link: Link,
    received: PacketBuf,
    /// The frame of the packet that is being sent.
    frame: PacketBuf,
    /// The frame of the link that `io` has not taken yet.
    sending: Option<PacketBuf>,
}

impl<D, S, F> Ethernet<D, S, F>
where
    D: PacketIo,
    S: FnMut(Duration) -> F,
    F: Future,
{
    /// Creates an adapter over the frame source `io`.
    ///
    /// `sleep` returns a future that completes after the given time by `clock`:
    /// `async_io::Timer::after`, `smol::Timer::after`, `tokio::time::sleep` or the timer of a
    /// virtual clock.
    ///
    /// ```
    /// use brooklet_ethernet::{Config, Ethernet};
    /// use brooklet_io::{Clock, PacketIo};
    /// use std::time::Instant;
    ///
    /// fn adapter(tap: impl PacketIo) -> impl PacketIo {
    ///     let config = Config::new([2, 0, 0, 0, 0, 1].into()).address([10, 0, 0, 1], 24);
    ///     Ethernet::new(tap, config, Clock::new(Instant::now), async_io::Timer::after)
    /// }
    /// ```
    pub fn new(io: D, config: Config, clock: Clock, sleep: S) -> Self {
        let of_frames = io.mtu().map(|mtu| mtu.saturating_sub(HEADER));
        let mtu = config.mtu.or(of_frames).unwrap_or(MTU);
        Self {
            io,
            clock,
            sleep,
            alarm: None,
            link: Link::new(config, mtu),
            // One byte more than fits, so that a giant is seen.
            received: PacketBuf::with_capacity(HEADER + 4 + LONGEST.max(mtu) + 1),
            frame: PacketBuf::default(),
            sending: None,
        }
    }

    /// Sends the frames of the link: answers, questions, and packets whose neighbor is resolved.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(frame) = self.sending.take().or_else(|| self.link.poll_transmit()) {
            let sent = self.io.poll_send(cx, &frame);
            if sent.is_pending() {
                self.sending = Some(frame);
            }
            ready!(sent)?;
        }
        Poll::Ready(Ok(()))
    }

    /// As [`poll_flush`](Self::poll_flush), for a caller that does not wait: what `io` does not
    /// take is sent by a later call, for which the task is woken.
    fn flush(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.poll_flush(cx) {
            Poll::Ready(sent) => sent,
            Poll::Pending => Ok(()),
        }
    }

    /// Handles the timeouts that are due, and sleeps until the next one.
    fn poll_timeouts(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while let Some(deadline) = self.link.poll_timeout() {
            let now = self.clock.now();
            if deadline <= now {
                self.link.handle_timeout(now);
                self.flush(cx)?;
                continue;
            }
            // An alarm before the deadline is kept: a needless wake-up costs less than a timer.
            let (_, sleep) = match &mut self.alarm {
                Some(alarm) if alarm.0 <= deadline => alarm,
                alarm => alarm.insert((deadline, Box::pin((self.sleep)(deadline - now)))),
            };
            if sleep.as_mut().poll(cx).is_pending() {
                return Ok(());
            }
            self.alarm = None;
            if self.clock.now() < deadline {
                // That was the alarm of an earlier deadline, or one that came early.
                cx.waker().wake_by_ref();
                return Ok(());
            }
        }
        Ok(())
    }
}

impl<D, S, F> Ethernet<D, S, F> {
    /// Returns the counter of dropped frames and packets, which outlives the adapter.
    ///
    /// ```
    /// # use brooklet_ethernet::{Config, Ethernet};
    /// # use brooklet_io::{Clock, PacketIo};
    /// # use std::time::Instant;
    /// # fn example(tap: impl PacketIo) {
    /// # let config = Config::new([2, 0, 0, 0, 0, 1].into());
    /// let clock = Clock::new(Instant::now);
    /// let ethernet = Ethernet::new(tap, config, clock, async_io::Timer::after);
    /// let drops = ethernet.drop_counter();
    /// // ... the stack takes `ethernet` ...
    /// println!("{} frames and packets dropped", drops.total());
    /// # }
    /// ```
    pub fn drop_counter(&self) -> DropCounter {
        self.link.drops().clone()
    }

    /// Returns the MAC address of the adapter.
    pub fn mac(&self) -> MacAddr {
        self.link.mac()
    }

    /// Returns the number of neighbors in the table, the unresolved ones included.
    pub fn neighbors(&self) -> usize {
        self.link.neighbors()
    }
}

impl<D, S, F> PacketIo for Ethernet<D, S, F>
where
    D: PacketIo,
    S: FnMut(Duration) -> F,
    F: Future,
{
    fn offload(&self) -> Offload {
        self.io.offload()
    }

    fn mtu(&self) -> Option<usize> {
        Some(self.link.mtu())
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<()>> {
        let now = self.clock.now();
        self.link.start(now);
        for _ in 0..FRAMES_PER_POLL {
            self.flush(cx)?;
            let received = self.io.poll_recv(cx, &mut self.received);
            if received.is_pending() {
                self.poll_timeouts(cx)?;
            }
            ready!(received)?;
            if self.link.handle_frame(now, &self.received, packet) {
                return Poll::Ready(Ok(()));
            }
        }
        // A flood of frames without packets must not keep the task from its other work.
        self.flush(cx)?;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>> {
        let now = self.clock.now();
        self.link.start(now);
        ready!(self.poll_flush(cx))?;
        if let Outbound::To(mac) = self.link.send(now, packet) {
            self.link.encapsulate(mac, packet, &mut self.frame);
            ready!(self.io.poll_send(cx, &self.frame))?;
        }
        // The packet may have begun a question to its neighbor.
        self.flush(cx)?;
        self.poll_timeouts(cx)?;
        Poll::Ready(Ok(()))
    }
}

impl<D: fmt::Debug, S, F> fmt::Debug for Ethernet<D, S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ethernet")
            .field("io", &self.io)
            .field("mac", &self.mac())
            .field("mtu", &self.link.mtu())
            .field("neighbors", &self.neighbors())
            .finish_non_exhaustive()
    }
}
