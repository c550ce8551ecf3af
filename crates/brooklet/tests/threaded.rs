//! The flavor for several threads, on an `async_executor::Executor` with four of them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use async_executor::Executor;
use brooklet::{Builder, Driver, Parts, Pipe, Stack, TcpListener, TcpStream, TransparentUdpSocket};
use futures_lite::future;
use static_assertions::assert_impl_all;
use std::sync::Arc;

assert_impl_all!(Stack: Send, Sync, Clone);
assert_impl_all!(TcpListener: Send, Sync, Clone);
assert_impl_all!(TcpStream: Send, Sync, Clone);
assert_impl_all!(brooklet::TcpRequest: Send, Sync);
assert_impl_all!(TransparentUdpSocket: Send, Sync, Clone);
assert_impl_all!(
    Driver<Pipe, brooklet::AsyncIoTimer, brooklet::filter::UnicastOnly>: Send, Future
);

#[test]
fn echo_on_four_threads() {
    let executor = Arc::new(Executor::new());
    let (stop, stopped) = async_channel::bounded::<()>(1);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (executor, stopped) = (executor.clone(), stopped.clone());
            std::thread::spawn(move || future::block_on(executor.run(stopped.recv())))
        })
        .collect();

    let (here, there) = brooklet::pipe(64);
    let Parts {
        stack, udp, driver, ..
    } = Builder::new().build(here).unwrap();
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
        let task = async { support::echo(stream).await.unwrap() };
        spawner.spawn(task).detach();
    });
    executor.spawn(serve).detach();

    let clients: Vec<_> = (0..16)
        .map(|n| executor.spawn(support::check(stack.clone(), n)))
        .collect();
    future::block_on(async {
        support::check_datagrams(udp).await;
        for client in clients {
            client.await;
        }
    });
    assert_eq!(stack.stats().tcp.connects, 32);
    drop(stop);
    for thread in threads {
        let _ = thread.join().unwrap();
    }
}

mod glob {
    #[expect(
        unused_imports,
        reason = "the names that it must not shadow are the test"
    )]
    use brooklet::*;

    // `Sync` and `Send` are those of the standard library.
    const fn is_sync<T: Sync + Send>() {}
    const _: () = is_sync::<u8>();
}
