use brooklet::{PacketBuf, PacketIo};
use futures_lite::future;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::task::Poll;

/// Packets in one go.
const BATCH: usize = 64;

/// Carries packets between a device and an end of a link until one of them fails.
pub(crate) async fn carry(
    device: &mut impl PacketIo,
    end: &mut impl PacketIo,
) -> io::Result<Infallible> {
    let (mut out, mut back) = (PacketBuf::with_capacity(65_535), PacketBuf::default());
    // A packet that the device has not taken yet.
    let mut waits = false;
    loop {
        poll_fn(|cx| {
            for batch in 0..BATCH {
                let mut moved = false;
                if let Poll::Ready(received) = device.poll_recv(cx, &mut out) {
                    received?;
                    // A link takes everything at once.
                    if let Poll::Ready(sent) = end.poll_send(cx, &out) {
                        sent?;
                    }
                    moved = true;
                }
                if !waits && let Poll::Ready(received) = end.poll_recv(cx, &mut back) {
                    received?;
                    waits = true;
                }
                if waits && let Poll::Ready(sent) = device.poll_send(cx, &back) {
                    sent?;
                    waits = false;
                    moved = true;
                }
                if !moved {
                    return match batch {
                        0 => Poll::Pending,
                        _ => Poll::Ready(io::Result::Ok(())),
                    };
                }
            }
            Poll::Ready(Ok(()))
        })
        .await?;
        // The other device has its turn.
        future::yield_now().await;
    }
}
