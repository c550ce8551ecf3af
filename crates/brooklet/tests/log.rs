//! The log events of a whole stack: none has a payload, and both flavors have them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet::generic::{Builder, Parts, Pipe};
use brooklet::{Flavor, SessionConfig, SingleThread, Threaded};
use futures_lite::future::{self, block_on};
use futures_lite::{AsyncReadExt, AsyncWriteExt, io};
use std::cell::RefCell;
use std::sync::Once;
use std::time::Duration;
use support::addr;

/// Keeps the events of each thread apart.
struct Lines;

thread_local! {
    static LINES: RefCell<Vec<(String, String)>> = const { RefCell::new(Vec::new()) };
}

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = (record.target().to_string(), record.args().to_string());
        LINES.with_borrow_mut(|lines| lines.push(line));
    }

    fn flush(&self) {}
}

fn start() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Lines).unwrap();
        log::set_max_level(log::LevelFilter::Debug);
    });
}

/// The events of this thread since the last call.
fn events() -> Vec<(String, String)> {
    let lines = LINES.take().into_iter();
    lines
        .filter(|(target, _)| target.starts_with("brooklet"))
        .collect()
}

fn an_exchange<F: Flavor>() {
    start();
    let (a, b) = Pipe::<F>::pair(64);
    let Parts {
        stack, udp, driver, ..
    } = Builder::<F>::new().build(a).unwrap();
    let far = Builder::<F>::new().build(b).unwrap();
    let sessions = far.udp.into_sessions(SessionConfig::new());
    let talk = async {
        let connect = stack.connect_from(addr("10.0.0.1:4000"), addr("192.0.2.1:80"));
        let (mut stream, (mut peer, _)) = future::try_zip(connect, far.tcp.accept()).await?;
        stream.write_all(b"PAYLOAD of the client").await?;
        stream.close().await?;
        let mut got = Vec::new();
        peer.read_to_end(&mut got).await?;
        peer.close().await?;
        let (client, server) = (addr("10.0.0.1:5000"), addr("192.0.2.1:7"));
        udp.send_to(b"PAYLOAD of a datagram", client, server)
            .await?;
        let session = sessions.accept().await?;
        session.recv_datagram().await?;
        drop(session);
        stack.shutdown(Duration::from_secs(5)).await;
        io::Result::Ok(())
    };
    // The far driver fails when the near one has ended.
    let drivers = async {
        let _ended = future::zip(driver, far.driver).await;
        Ok(())
    };
    block_on(future::or(talk, drivers)).unwrap();
    let events = events();
    assert!(
        events.iter().all(|(_, line)| !line.contains("PAYLOAD")),
        "{events:?}"
    );
    let of = |start: &str| {
        let lines = events.iter().filter(|(_, line)| line.starts_with(start));
        lines
            .map(|(target, line)| (&target[..], &line[start.len()..]))
            .collect::<Vec<_>>()
    };
    for (start, figures) in [
        ("TCP 10.0.0.1:4000 192.0.2.1:80 ", " in=0 out=21 "),
        ("TCP 192.0.2.1:80 10.0.0.1:4000 ", " in=21 out=0 "),
        ("UDP 192.0.2.1:7 10.0.0.1:5000 ", " in=21 out=0 "),
    ] {
        let [(target, opened), (_, ended)] = of(start)[..] else {
            panic!("{start}: {events:?}");
        };
        assert_eq!(
            target,
            if start.starts_with("TCP") {
                "brooklet::tcp"
            } else {
                "brooklet::udp"
            }
        );
        assert_eq!(opened, "opened");
        assert!(ended.starts_with("ended: closed age="), "{ended}");
        assert!(ended.contains(figures), "{ended}");
    }
}

#[test]
fn flows_of_the_flavor_for_threads_are_logged() {
    an_exchange::<Threaded>();
}

#[test]
fn flows_of_the_flavor_for_one_thread_are_logged() {
    an_exchange::<SingleThread>();
}
