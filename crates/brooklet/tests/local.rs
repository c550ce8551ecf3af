//! The flavor for one thread, on a `LocalExecutor`, with an `Rc` in the device and in the filter.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet::filter::{Direction, Verdict};
use brooklet::local::{
    Builder, Driver, Parts, Pipe, Stack, TcpListener, TcpStream, TransparentUdpSocket,
};
use brooklet::{Packet, PacketBuf, PacketIo};
use smol::LocalExecutor;
use static_assertions::assert_not_impl_any;
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

assert_not_impl_any!(Stack: Send, Sync);
assert_not_impl_any!(TcpListener: Send, Sync);
assert_not_impl_any!(TcpStream: Send, Sync);
assert_not_impl_any!(brooklet::local::TcpRequest: Send, Sync);
assert_not_impl_any!(TransparentUdpSocket: Send, Sync);
assert_not_impl_any!(
    Driver<Pipe, brooklet::AsyncIoTimer, brooklet::filter::UnicastOnly>: Send, Sync
);

/// A device that counts, for somebody else on the same thread.
struct Counted(Pipe, Rc<Cell<usize>>);

impl PacketIo for Counted {
    fn poll_recv(&mut self, cx: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<()>> {
        self.0.poll_recv(cx, packet)
    }
    fn poll_send(&mut self, cx: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>> {
        self.1.set(self.1.get() + 1);
        self.0.poll_send(cx, packet)
    }
}

#[test]
fn echo_on_a_local_executor() {
    let executor = Rc::new(LocalExecutor::new());
    let (here, there) = brooklet::local::pipe(64);
    let (sent, judged) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let count = judged.clone();
    let filter = move |_: &Packet<'_>, _: Direction| {
        count.set(count.get() + 1);
        Verdict::Pass
    };
    let device = Counted(here, sent.clone());
    let Parts {
        stack, udp, driver, ..
    } = Builder::new().filter(filter).build(device).unwrap();
    executor.spawn(driver).detach();
    let Parts {
        tcp,
        udp: far_udp,
        driver,
        ..
    } = Builder::new().build(there).unwrap();
    executor.spawn(driver).detach();
    executor.spawn(support::echo_datagrams(far_udp)).detach();
    let spawner = executor.clone();
    let serve = support::serve(tcp, move |stream| {
        spawner
            .spawn(async { support::echo(stream).await.unwrap() })
            .detach();
    });
    executor.spawn(serve).detach();
    smol::block_on(executor.run(async {
        support::check_datagrams(udp).await;
        for n in 0..4 {
            support::check(stack.clone(), n).await;
        }
    }));
    assert!(sent.get() > 100 && judged.get() > sent.get());
}
