//! The log events at the start and at the end of a connection.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_tcp::{Config, TcpOptions};
use futures_lite::AsyncWriteExt;
use std::cell::RefCell;
use std::net::Shutdown;
use std::sync::Once;
use std::time::Duration;
use support::*;

const TARGET: &str = "brooklet::tcp";

/// Keeps the events of each thread apart.
struct Lines;

thread_local! {
    static LINES: RefCell<Vec<(String, String)>> = const { RefCell::new(Vec::new()) };
    /// What the logger asks the stack, and the answers.
    static HOOK: RefCell<Option<Box<dyn Fn() -> usize>>> = const { RefCell::new(None) };
    static SEEN: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = (record.target().to_string(), record.args().to_string());
        LINES.with_borrow_mut(|lines| lines.push(line));
        let seen = HOOK.with_borrow(|hook| hook.as_ref().map(|hook| hook()));
        SEEN.with_borrow_mut(|all| all.extend(seen));
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
fn events() -> Vec<String> {
    let lines = LINES.take();
    assert!(
        lines.iter().all(|(target, _)| target == TARGET),
        "{lines:?}"
    );
    lines.into_iter().map(|(_, line)| line).collect()
}

const OPENED: &str = "TCP 192.0.2.1:80 10.0.0.2:40000 opened";

/// The only event, which is an end: its reason and what follows.
fn end() -> String {
    let events = events();
    let [event] = &events[..] else {
        panic!("{events:?}");
    };
    let start = "TCP 192.0.2.1:80 10.0.0.2:40000 ended: ";
    event
        .strip_prefix(start)
        .unwrap_or_else(|| panic!("{event}"))
        .to_string()
}

fn opened() -> (Host, Peer, Stream) {
    start();
    let mut host = Host::new(Config::new().options(TcpOptions::new().user_timeout(Some(SECOND))));
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    assert_eq!(events(), [OPENED]);
    (host, peer, stream)
}

#[test]
fn a_connection_that_is_closed_has_its_age_and_the_bytes_of_both_directions() {
    let (mut host, mut peer, mut stream) = opened();
    host.pass(Duration::from_millis(1250));
    now(stream.write(b"a secret answer")).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    peer.drain(&mut host);
    peer.send(&mut host, b"question");
    read(&stream).unwrap();
    assert_eq!(events(), [""; 0], "the connection is open");
    host.tx(peer.seg(FIN | ACK, &[]));
    host.all();
    assert_eq!(end(), "closed age=1.250s in=8 out=15 retransmits=0");
    drop(stream);
    host.pass(100 * SECOND);
    assert_eq!(events(), [""; 0], "TIME-WAIT is no event");
}

#[test]
fn each_end_has_its_reason() {
    let (mut host, peer, _stream) = opened();
    host.tx(peer.seg(RST | ACK, &[]));
    assert_eq!(
        end(),
        "reset by the peer age=0.000s in=0 out=0 retransmits=0"
    );

    let (mut host, _, stream) = opened();
    stream.abort();
    host.all();
    assert_eq!(end(), "aborted age=0.000s in=0 out=0 retransmits=0");

    let (mut host, _, mut stream) = opened();
    now(stream.write(b"lost")).unwrap();
    host.all();
    host.pass(30 * SECOND);
    host.all();
    let end_of_timeout = end();
    assert!(
        end_of_timeout.starts_with("timed out age=1."),
        "{end_of_timeout}"
    );
    assert!(end_of_timeout.contains("in=0 out=0 retransmits="));

    let (mut host, mut peer, stream) = opened();
    peer.send(&mut host, b"unread");
    drop(stream);
    host.all();
    assert_eq!(
        end(),
        "dropped and reset age=0.000s in=6 out=0 retransmits=0"
    );

    let (host, _, _stream) = opened();
    drop(host);
    assert_eq!(end(), "stack ended age=0.000s in=0 out=0 retransmits=0");
}

#[test]
fn a_connect_that_fails_only_has_an_end() {
    start();
    let host = host();
    let mut connect = Box::pin(connect(&host.connector, addr(SERVER), addr(CLIENT)));
    assert!(poll(&mut connect).is_pending());
    drop(connect);
    assert_eq!(
        end(),
        "dropped and reset age=0.000s in=0 out=0 retransmits=0"
    );
}

#[test]
fn an_event_is_logged_while_no_cell_is_held() {
    start();
    let mut host = host();
    let connector = host.connector.clone();
    HOOK.with_borrow_mut(|hook| *hook = Some(Box::new(move || connector.flows().len())));
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    stream.abort();
    host.all();
    drop(host);
    HOOK.take();
    assert_eq!(SEEN.take(), [1, 0]);
    events();
}
