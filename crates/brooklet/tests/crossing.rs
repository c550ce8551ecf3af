//! Two stacks over two queues each, a driver for each queue, and packets that come out of any
//! queue of the other side: nothing is lost, and whoever sends keeps to one queue.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/queue_link.rs"]
mod queue_link;
mod support;

use async_executor::{Executor, LocalExecutor};
use brooklet::Flavor;
use brooklet::generic::{Builder, QueueParts, TcpStream};
use futures_lite::future;
use queue_link::{LinkQueue, Seen, queue_links};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const QUEUES: usize = 2;
const CLIENTS: u16 = 10;

/// It takes a second or two; a machine may be slow.
const PATIENCE: Duration = Duration::from_secs(120);

type Parts<F> = QueueParts<F, LinkQueue<F>, brooklet::AsyncIoTimer, brooklet::filter::UnicastOnly>;

fn build<F: Flavor>(device: Vec<LinkQueue<F>>) -> Parts<F> {
    Builder::<F>::new().build_queues(device).unwrap()
}

/// What must be true of the ways that the packets took, of `flows` connections.
fn judge(seen: &Seen, flows: usize) {
    assert_eq!(seen.left_by.len(), 2 * flows, "each way of each flow");
    let one = |queues: &u32| queues.count_ones() == 1;
    assert!(
        seen.left_by.values().all(one),
        "a flow has sent through two queues"
    );
    let all = seen.left_by.values().fold(0, |all, queues| all | queues);
    assert_eq!(all.count_ones() as usize, QUEUES, "a queue was not used");
    let crossed = seen.came_by.values().filter(|queues| !one(queues));
    assert_eq!(crossed.count(), 2 * flows, "a flow has not crossed");
}

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    future::or(work, async {
        async_io::Timer::after(PATIENCE).await;
        panic!("somebody waits for ever");
    })
    .await
}

#[test]
fn threads() {
    let ([here, there], seen) = queue_links::<brooklet::Threaded>(QUEUES);
    let (here, there) = (build(here), build(there));
    let stack = here.stack.clone();
    // Each driver has a thread of its own, and the tasks have two others.
    for driver in here.drivers.into_iter().chain(there.drivers) {
        thread::spawn(|| async_io::block_on(driver));
    }
    let executor = Arc::new(Executor::new());
    let (stop, stopped) = async_channel::bounded::<()>(1);
    let threads = [(), ()].map(|()| {
        let (executor, stopped) = (executor.clone(), stopped.clone());
        thread::spawn(move || future::block_on(executor.run(stopped.recv())))
    });
    executor.spawn(support::echo_datagrams(there.udp)).detach();
    let spawner = executor.clone();
    let serve = support::serve(there.tcp, move |stream: TcpStream<_>| {
        let task = async { support::echo(stream).await.unwrap() };
        spawner.spawn(task).detach();
    });
    executor.spawn(serve).detach();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| executor.spawn(support::check(stack.clone(), n)))
        .collect();
    async_io::block_on(in_time(async {
        support::check_datagrams(here.udp).await;
        for client in clients {
            client.await;
        }
    }));
    judge(&seen.with(|seen| seen.clone()), 2 * usize::from(CLIENTS));
    let stats = stack.stats();
    assert_eq!(stats.tcp.connects, 2 * u64::from(CLIENTS));
    assert!(
        stats.packets_in > 2 * u64::from(CLIENTS) * 200,
        "of both queues"
    );
    drop(stop);
    for thread in threads {
        let _ = thread.join().unwrap();
    }
}

#[test]
fn one_thread() {
    let ([here, there], seen) = queue_links::<brooklet::SingleThread>(QUEUES);
    let (here, there) = (build(here), build(there));
    let executor = Rc::new(LocalExecutor::new());
    for driver in here.drivers.into_iter().chain(there.drivers) {
        executor.spawn(driver).detach();
    }
    executor.spawn(support::echo_datagrams(there.udp)).detach();
    let spawner = executor.clone();
    let serve = support::serve(there.tcp, move |stream: TcpStream<_>| {
        let task = async { support::echo(stream).await.unwrap() };
        spawner.spawn(task).detach();
    });
    executor.spawn(serve).detach();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| executor.spawn(support::check(here.stack.clone(), n)))
        .collect();
    async_io::block_on(executor.run(in_time(async {
        support::check_datagrams(here.udp).await;
        for client in clients {
            client.await;
        }
    })));
    judge(&seen.with(|seen| seen.clone()), 2 * usize::from(CLIENTS));
}
