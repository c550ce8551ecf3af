use brooklet_cell::wakers::{SingleWaker, WakeList};
use brooklet_cell::{Flavor, Shared};
use brooklet_io::{BufferPool, Offload, PacketBuf, PacketIo};
use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll, Waker};

/// The largest number of buffers in the pool of each direction, and their largest capacity in
/// bytes: a vector that grows to the longest IP packet may take twice as much.
const POOL_BUFFERS: usize = 64;
const POOL_CAPACITY: usize = 2 * 65_575;

/// One end of a wire in memory, which carries IP packets.
///
/// A pipe connects two stacks in one program, or a stack and a test. With the feature `futures`,
/// an end is also a `Stream` and a `Sink`, for programs that have their packets in this form.
pub struct Pipe<F: Flavor> {
    tx: Shared<F, Channel>,
    rx: Shared<F, Channel>,
    offload: Offload,
}

/// One direction of the wire.
struct Channel {
    packets: VecDeque<PacketBuf>,
    pool: BufferPool,
    limit: usize,
    closed: bool,
    receiver: SingleWaker,
    sender: SingleWaker,
}

impl Channel {
    fn new(limit: usize) -> Self {
        let limit = limit.max(1);
        Self {
            packets: VecDeque::new(),
            pool: BufferPool::new(limit.min(POOL_BUFFERS), POOL_CAPACITY),
            limit,
            closed: false,
            receiver: SingleWaker::new(),
            sender: SingleWaker::new(),
        }
    }
}

impl<F: Flavor> std::fmt::Debug for Pipe<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipe").finish_non_exhaustive()
    }
}

impl<F: Flavor> Pipe<F> {
    /// Creates the two ends of a wire: each end receives the packets that the other end sends.
    ///
    /// Up to `limit` packets (at least 1) are in flight in each direction. A sender waits for
    /// room, and no packet is lost. After one end is dropped, the other end receives the packets
    /// in flight and then [`UnexpectedEof`](io::ErrorKind::UnexpectedEof).
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// use brooklet::PacketIo;
    /// use std::task::{Context, Poll, Waker};
    ///
    /// let (mut a, mut b) = brooklet::pipe(64);
    /// let mut cx = Context::from_waker(Waker::noop());
    /// let mut packet = brooklet::PacketBuf::from(vec![0x45, 0, 0, 20]);
    /// assert!(a.poll_send(&mut cx, &packet).is_ready());
    /// assert!(matches!(b.poll_recv(&mut cx, &mut packet), Poll::Ready(Ok(()))));
    /// # }
    /// ```
    pub fn pair(limit: usize) -> (Self, Self) {
        let channel = || Shared::new(Channel::new(limit));
        let (up, down) = (channel(), channel());
        let end = |tx: &Shared<F, Channel>, rx: &Shared<F, Channel>| Self {
            tx: tx.clone(),
            rx: rx.clone(),
            offload: Offload::default(),
        };
        (end(&up, &down), end(&down, &up))
    }

    /// Sets the offloads of this end. The stack at this end may then leave checksums out and send
    /// several segments as one packet, which is safe for a packet that stays in memory.
    ///
    /// Set offloads only if the other end is a stack, too. A stack reads the
    /// [`Meta`](brooklet_io::Meta) of each packet; a `Stream` of bytes does not carry it.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// use brooklet::{Builder, Offload};
    ///
    /// let all = Offload::new().checksum(true).tso4(true).tso6(true).uso(true);
    /// let (a, b) = brooklet::pipe(64);
    /// let here = Builder::new().build(a.with_offload(all))?;
    /// let there = Builder::new().build(b.with_offload(all))?;
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn with_offload(mut self, offload: Offload) -> Self {
        self.offload = offload;
        self
    }

    /// Waits for room, and sends the packet that `fill` writes into a recycled buffer.
    fn poll_push(
        &self,
        cx: &mut Context<'_>,
        fill: impl FnOnce(&mut PacketBuf),
    ) -> Poll<io::Result<()>> {
        let (poll, wake, _replaced) = self.tx.with(|channel| {
            if channel.closed {
                return (Poll::Ready(Err(other_end_dropped())), None, None);
            }
            if channel.packets.len() >= channel.limit {
                return (Poll::Pending, None, channel.sender.register(cx.waker()));
            }
            let mut packet = channel.pool.take_packet().unwrap_or_default();
            fill(&mut packet);
            channel.packets.push_back(packet);
            (Poll::Ready(Ok(())), channel.receiver.take(), None)
        });
        wake.into_iter().for_each(Waker::wake);
        poll
    }

    /// Waits for a packet and passes it to `read`.
    fn poll_pop<R>(
        &self,
        cx: &mut Context<'_>,
        read: impl FnOnce(&mut PacketBuf) -> R,
    ) -> Poll<io::Result<R>> {
        let (poll, wake, _replaced) = self.rx.with(|channel| match channel.packets.pop_front() {
            Some(mut packet) => {
                let result = read(&mut packet);
                channel.pool.recycle_packet(packet);
                (Poll::Ready(Ok(result)), channel.sender.take(), None)
            }
            None if channel.closed => (Poll::Ready(Err(other_end_dropped())), None, None),
            None => (Poll::Pending, None, channel.receiver.register(cx.waker())),
        });
        wake.into_iter().for_each(Waker::wake);
        poll
    }
}

/// A pipe does not know an MTU: it carries packets of any length.
impl<F: Flavor> PacketIo for Pipe<F> {
    fn offload(&self) -> Offload {
        self.offload
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<()>> {
        self.poll_pop(cx, |sent| copy(packet, sent))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>> {
        self.poll_push(cx, |buffer| copy(buffer, packet))
    }
}

fn copy(to: &mut PacketBuf, from: &PacketBuf) {
    to.copy_from_slice(from);
    to.set_meta(from.meta());
}

impl<F: Flavor> Drop for Pipe<F> {
    fn drop(&mut self) {
        let mut wakes = WakeList::new();
        for channel in [&self.tx, &self.rx] {
            channel.with(|channel| {
                channel.closed = true;
                wakes.extend(channel.receiver.take());
                wakes.extend(channel.sender.take());
            });
        }
        wakes.wake_all();
    }
}

fn other_end_dropped() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the other end of the pipe was dropped",
    )
}

#[cfg(feature = "futures")]
mod sink {
    use super::*;
    use futures_core::Stream;
    use futures_sink::Sink;
    use std::pin::Pin;

    /// The packets that the other end sends. The stream ends when the other end is dropped.
    impl<F: Flavor> Stream for Pipe<F> {
        type Item = io::Result<Vec<u8>>;

        fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            self.poll_pop(cx, |packet| std::mem::take(packet).into_vec())
                .map(|taken| match taken {
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
                    taken => Some(taken),
                })
        }
    }

    /// The packets for the other end.
    impl<F: Flavor> Sink<Vec<u8>> for Pipe<F> {
        type Error = io::Error;

        fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            let (poll, _replaced) = self.tx.with(|channel| {
                if channel.closed {
                    (Poll::Ready(Err(other_end_dropped())), None)
                } else if channel.packets.len() < channel.limit {
                    (Poll::Ready(Ok(())), None)
                } else {
                    (Poll::Pending, channel.sender.register(cx.waker()))
                }
            });
            poll
        }

        fn start_send(self: Pin<&mut Self>, packet: Vec<u8>) -> io::Result<()> {
            // Only this end adds packets, so there is still the room that `poll_ready` saw.
            let mut cx = Context::from_waker(Waker::noop());
            match self.poll_push(&mut cx, |buffer| *buffer = packet.into()) {
                Poll::Ready(sent) => sent,
                Poll::Pending => Err(io::Error::new(
                    io::ErrorKind::WouldBlock,
                    "call poll_ready before each packet",
                )),
            }
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            let waker = self.tx.with(|channel| {
                channel.closed = true;
                channel.receiver.take()
            });
            waker.into_iter().for_each(Waker::wake);
            Poll::Ready(Ok(()))
        }
    }
}

#[cfg(all(test, feature = "sync"))]
mod tests {
    use super::*;
    use brooklet_cell::Threaded;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker panics");
        }
    }

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn dropping_an_end_wakes_the_sender_although_the_waker_of_the_receiver_panics() {
        for receiver_panics in [true, false] {
            let (here, mut there) = Pipe::<Threaded>::pair(1);
            let (panics, count) = (Waker::from(Arc::new(Panics)), Arc::new(Count::default()));
            let mut wakers = [panics, count.clone().into()];
            if !receiver_panics {
                wakers.reverse();
            }
            let [mut receiver, mut sender] = wakers.each_ref().map(Context::from_waker);
            let mut packet = PacketBuf::from(vec![0x45; 20]);
            assert!(there.poll_send(&mut sender, &packet).is_ready());
            assert!(there.poll_send(&mut sender, &packet).is_pending());
            assert!(there.poll_recv(&mut receiver, &mut packet).is_pending());
            drop(here);
            assert_eq!(count.0.load(Ordering::Relaxed), 1);
        }
    }

    #[test]
    fn the_buffer_pool_of_a_pipe_is_bounded() {
        let (mut here, mut there) = Pipe::<Threaded>::pair(1_000);
        let mut cx = Context::from_waker(Waker::noop());
        let mut packet = PacketBuf::from(vec![0x45; 2_000]);
        for _ in 0..1_000 {
            assert!(here.poll_send(&mut cx, &packet).is_ready());
        }
        for _ in 0..1_000 {
            assert!(there.poll_recv(&mut cx, &mut packet).is_ready());
        }
        assert_eq!(here.tx.with(|channel| channel.pool.len()), POOL_BUFFERS);
    }
}
