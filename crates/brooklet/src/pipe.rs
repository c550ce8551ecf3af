use brooklet_cell::{Flavor, Shared};
use brooklet_io::{Offload, PacketBuf, PacketIo};
use std::collections::VecDeque;
use std::io;
use std::task::{Context, Poll, Waker};

/// One end of a wire.
///
/// For tests, for two stacks in one program, and, with the feature `futures`, for programs
/// that have their packets as a `Stream` and a `Sink`.
pub struct Pipe<F: Flavor> {
    to: Shared<F, Wire>,
    from: Shared<F, Wire>,
    offload: Offload,
}

/// One direction.
struct Wire {
    packets: VecDeque<PacketBuf>,
    spares: Vec<PacketBuf>,
    limit: usize,
    closed: bool,
    receiver: Option<Waker>,
    sender: Option<Waker>,
}

impl<F: Flavor> std::fmt::Debug for Pipe<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipe").finish_non_exhaustive()
    }
}

impl<F: Flavor> Pipe<F> {
    /// Makes two ends of a wire: what one sends, the other receives.
    ///
    /// At most `limit` packets (at least 1) are on the way in each direction; a sender waits for
    /// room and nothing is lost. When one end is dropped, the other receives what is on the way
    /// and then [`UnexpectedEof`](io::ErrorKind::UnexpectedEof).
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
        let wire = || {
            Shared::new(Wire {
                packets: VecDeque::new(),
                spares: Vec::new(),
                limit: limit.max(1),
                closed: false,
                receiver: None,
                sender: None,
            })
        };
        let (up, down) = (wire(), wire());
        (
            Self {
                to: up.clone(),
                from: down.clone(),
                offload: Offload::default(),
            },
            Self {
                to: down,
                from: up,
                offload: Offload::default(),
            },
        )
    }

    /// Lets the stack at this end leave checksums out and send several segments as one packet,
    /// none of which harms a packet that stays in memory.
    ///
    /// Only for another stack at the other end, which learns of it from each packet's
    /// [`Meta`](brooklet_io::Meta): a `Stream` of bytes cannot tell.
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

    /// Waits for room, and puts in what `fill` makes of an old buffer.
    fn poll_push(
        &self,
        cx: &mut Context<'_>,
        fill: impl FnOnce(&mut PacketBuf),
    ) -> Poll<io::Result<()>> {
        let (poll, wake, _old) = self.to.with(|wire| {
            if wire.closed {
                return (Poll::Ready(Err(other_end_gone())), None, None);
            }
            if wire.packets.len() >= wire.limit {
                return (Poll::Pending, None, wire.sender.replace(cx.waker().clone()));
            }
            let mut packet = wire.spares.pop().unwrap_or_default();
            fill(&mut packet);
            wire.packets.push_back(packet);
            (Poll::Ready(Ok(())), wire.receiver.take(), None)
        });
        wake.into_iter().for_each(Waker::wake);
        poll
    }

    /// Waits for a packet and lets `take` have it.
    fn poll_pop<R>(
        &self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&mut PacketBuf) -> R,
    ) -> Poll<io::Result<R>> {
        let (poll, wake, _old) = self.from.with(|wire| match wire.packets.pop_front() {
            Some(mut packet) => {
                let taken = take(&mut packet);
                if packet.capacity() > 0 {
                    wire.spares.push(packet);
                }
                (Poll::Ready(Ok(taken)), wire.sender.take(), None)
            }
            None if wire.closed => (Poll::Ready(Err(other_end_gone())), None, None),
            None => (
                Poll::Pending,
                None,
                wire.receiver.replace(cx.waker().clone()),
            ),
        });
        wake.into_iter().for_each(Waker::wake);
        poll
    }
}

impl<F: Flavor> PacketIo for Pipe<F> {
    fn offload(&self) -> Offload {
        self.offload
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<()>> {
        self.poll_pop(cx, |sent| copy(packet, sent))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>> {
        self.poll_push(cx, |slot| copy(slot, packet))
    }
}

fn copy(to: &mut PacketBuf, from: &PacketBuf) {
    to.copy_from_slice(from);
    to.set_meta(from.meta());
}

impl<F: Flavor> Drop for Pipe<F> {
    fn drop(&mut self) {
        for wire in [&self.to, &self.from] {
            let wakers = wire.with(|wire| {
                wire.closed = true;
                [wire.receiver.take(), wire.sender.take()]
            });
            wakers.into_iter().flatten().for_each(Waker::wake);
        }
    }
}

fn other_end_gone() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the other end of the wire was dropped",
    )
}

#[cfg(feature = "futures")]
mod sink {
    use super::*;
    use futures_core::Stream;
    use futures_sink::Sink;
    use std::pin::Pin;

    /// The packets that the other end sends. Ends when it is dropped.
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

    /// Packets for the other end.
    impl<F: Flavor> Sink<Vec<u8>> for Pipe<F> {
        type Error = io::Error;

        fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            let (poll, _old) = self.to.with(|wire| {
                if wire.closed {
                    (Poll::Ready(Err(other_end_gone())), None)
                } else if wire.packets.len() < wire.limit {
                    (Poll::Ready(Ok(())), None)
                } else {
                    (Poll::Pending, wire.sender.replace(cx.waker().clone()))
                }
            });
            poll
        }

        fn start_send(self: Pin<&mut Self>, packet: Vec<u8>) -> io::Result<()> {
            // Only this end adds packets, so there is still the room that `poll_ready` saw.
            let mut cx = Context::from_waker(Waker::noop());
            match self.poll_push(&mut cx, |slot| *slot = packet.into()) {
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
            let waker = self.to.with(|wire| {
                wire.closed = true;
                wire.receiver.take()
            });
            waker.into_iter().for_each(Waker::wake);
            Poll::Ready(Ok(()))
        }
    }
}
