//! No executor: everything inside one `block_on`, both flavors.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet::Flavor;
use brooklet::generic::{Builder, Parts, Pipe};
use futures_lite::future;

fn echo_in_one_future<F: Flavor>() {
    let (here, there) = Pipe::<F>::pair(64);
    let Parts {
        stack,
        udp,
        driver: client,
        ..
    } = Builder::<F>::new().build(here).unwrap();
    let Parts {
        tcp,
        udp: far_udp,
        driver: server,
        ..
    } = Builder::<F>::new().build(there).unwrap();
    let serve = async {
        loop {
            let (stream, _) = tcp.accept().await?;
            support::echo(stream).await?;
        }
    };
    let talk = async {
        support::check_datagrams(udp).await;
        support::check(stack, 1).await;
        Ok(())
    };
    let drivers = future::or(client, server);
    let services = future::or(serve, support::echo_datagrams(far_udp));
    future::block_on(future::or(talk, future::or(drivers, services))).unwrap();
}

#[test]
fn echo_without_an_executor() {
    echo_in_one_future::<brooklet::Threaded>();
    echo_in_one_future::<brooklet::SingleThread>();
}
