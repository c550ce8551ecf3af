//! What every handle that sends datagrams does.

use crate::{
    outbound::{Outbound, Outgoing},
    queues::Queues,
};
use brooklet_cell::wakers::{Awaited, WaitKey, Waiter, WakeList, wake};
use brooklet_cell::{Flavor, Shared};
use std::{
    future::poll_fn,
    io,
    ops::Range,
    task::{Context, Poll, ready},
};

/// Sends one datagram, and waits for room.
pub(crate) fn send<F: Flavor>(
    queues: &Queues<F>,
    outgoing: Outgoing<'_>,
) -> impl Future<Output = io::Result<usize>> {
    send_noted(queues, outgoing, || {})
}

/// Sends one datagram, and waits for room. `note` runs once it is queued, before the driver can see
/// it, under the cell of the outbound queue.
pub(crate) async fn send_noted<F: Flavor>(
    queues: &Queues<F>,
    outgoing: Outgoing<'_>,
    note: impl Fn(),
) -> io::Result<usize> {
    let Waiter { queue, key, .. } = &mut Waiter::new(queues.of(outgoing.from, outgoing.to), ());
    let mtu = queues.limit(&outgoing);
    let send = |outbound: &mut Outbound| {
        let sent = outbound.send(&outgoing, mtu)?;
        if sent {
            note();
        }
        Ok(sent)
    };
    poll_fn(|cx| poll_send(queue, Some(key), cx, send)).await?;
    Ok(outgoing.payload.len())
}

/// Sends one datagram, or registers the task for room.
pub(crate) fn poll_send_datagram<F: Flavor>(
    queues: &Queues<F>,
    cx: &mut Context<'_>,
    outgoing: Outgoing<'_>,
) -> Poll<io::Result<usize>> {
    let mtu = queues.limit(&outgoing);
    let queue = queues.of(outgoing.from, outgoing.to);
    poll_send(queue, None, cx, |queue| queue.send(&outgoing, mtu))
        .map_ok(|()| outgoing.payload.len())
}

/// Sends one datagram, or fails with [`WouldBlock`](io::ErrorKind::WouldBlock).
pub(crate) fn try_send<F: Flavor>(queues: &Queues<F>, outgoing: Outgoing<'_>) -> io::Result<usize> {
    try_send_noted(queues, outgoing, || {})
}

/// Sends one datagram as [`try_send`] does. `note` runs as in [`send_noted`].
pub(crate) fn try_send_noted<F: Flavor>(
    queues: &Queues<F>,
    outgoing: Outgoing<'_>,
    note: impl FnOnce(),
) -> io::Result<usize> {
    let mtu = queues.limit(&outgoing);
    let queue = queues.of(outgoing.from, outgoing.to);
    let (sent, driver) = queue.with(|queue| match queue.send(&outgoing, mtu) {
        Ok(true) => {
            note();
            (Ok(outgoing.payload.len()), queue.take_driver())
        }
        Ok(false) => (Err(io::ErrorKind::WouldBlock.into()), None),
        Err(error) => (Err(error), None),
    });
    if let Some(driver) = driver {
        wake(driver);
    }
    sent
}

/// Waits until every outbound queue has room, or registers the task with the first that has none.
pub(crate) fn poll_writable<F: Flavor>(
    queues: &Queues<F>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    for queue in queues.outbound() {
        let mut wakes = WakeList::new();
        let (poll, _replaced) = queue.with(|queue| match queue.is_writable() {
            Ok(true) => (Poll::Ready(Ok(())), None),
            Ok(false) => (Poll::Pending, queue.register((), None, cx, &mut wakes)),
            Err(error) => (Poll::Ready(Err(error)), None),
        });
        wakes.wake_all();
        ready!(poll)?;
    }
    Poll::Ready(Ok(()))
}

/// Sends several datagrams, as many as there is room for, and waits for room for the first.
/// `outgoing` returns the datagram with a number below `count`.
///
/// The datagrams of one outbound queue that follow each other are sent under one hold of its cell.
pub(crate) fn send_batch<'a, F: Flavor>(
    queues: &Queues<F>,
    count: usize,
    outgoing: impl Fn(usize) -> io::Result<Outgoing<'a>>,
) -> impl Future<Output = io::Result<usize>> {
    send_batch_noted(queues, count, outgoing, |_| {})
}

/// Sends several datagrams as [`send_batch`] does. `note` runs as in [`send_noted`], with the
/// numbers of the datagrams that are queued.
pub(crate) async fn send_batch_noted<'a, F: Flavor>(
    queues: &Queues<F>,
    count: usize,
    outgoing: impl Fn(usize) -> io::Result<Outgoing<'a>>,
    note: impl Fn(Range<usize>),
) -> io::Result<usize> {
    if count == 0 {
        return Ok(0);
    }
    let first = outgoing(0)?;
    let mut sent = 0;
    {
        let Waiter { queue, key, .. } = &mut Waiter::new(queues.of(first.from, first.to), ());
        poll_fn(|cx| {
            poll_send(queue, Some(key), cx, |outbound| {
                sent = send_group(queues, queue, outbound, 0..count, &outgoing)?;
                if sent > 0 {
                    note(0..sent);
                }
                Ok(sent > 0)
            })
        })
        .await?;
    }
    // The rest goes to other queues, or finds no room.
    while sent < count {
        let Ok(next) = outgoing(sent) else {
            break;
        };
        let queue = queues.of(next.from, next.to);
        let (more, driver) = queue.with(|outbound| {
            match send_group(queues, queue, outbound, sent..count, &outgoing) {
                Ok(more) if more > 0 => {
                    note(sent..sent + more);
                    (more, outbound.take_driver())
                }
                // The next call reports the error.
                _ => (0, None),
            }
        });
        if let Some(driver) = driver {
            wake(driver);
        }
        if more == 0 {
            break;
        }
        sent += more;
    }
    Ok(sent)
}

/// Sends the datagrams that belong to `queue`, up to the first that does not, that fails or that
/// finds no room. Fails if the first one fails.
///
/// Consecutive datagrams of one flow leave as one packet if the driver takes such packets.
fn send_group<'a, F: Flavor>(
    queues: &Queues<F>,
    queue: &Shared<F, Outbound>,
    outbound: &mut Outbound,
    numbers: Range<usize>,
    outgoing: &impl Fn(usize) -> io::Result<Outgoing<'a>>,
) -> io::Result<usize> {
    let first = numbers.start;
    let mut next = first;
    while next < numbers.end {
        let result = outgoing(next).and_then(|datagram| {
            if next > first && !queues.of(datagram.from, datagram.to).same(queue) {
                return Ok(0);
            }
            let mtu = queues.path_mtu(None, datagram.to.ip());
            let more = (next + 1..numbers.end).map_while(|number| outgoing(number).ok());
            outbound.send_several(&datagram, more, mtu)
        });
        match result {
            Ok(0) => break,
            Ok(sent) => next += sent,
            Err(error) if next == first => return Err(error),
            Err(_) => break,
        }
    }
    Ok(next - first)
}

/// Sends and wakes the driver, or registers the task for room. `send` returns `false` if there is
/// no room.
pub(crate) fn poll_send<F: Flavor>(
    queue: &Shared<F, Outbound>,
    key: Option<&mut WaitKey>,
    cx: &mut Context<'_>,
    send: impl FnOnce(&mut Outbound) -> io::Result<bool>,
) -> Poll<io::Result<()>> {
    let mut wakes = WakeList::new();
    let (poll, _replaced) = queue.with(|queue| match send(queue) {
        Ok(true) => {
            wakes.extend(queue.take_driver());
            (Poll::Ready(Ok(())), None)
        }
        Ok(false) => (Poll::Pending, queue.register((), key, cx, &mut wakes)),
        Err(error) => (Poll::Ready(Err(error)), None),
    });
    wakes.wake_all();
    poll
}
