//! The log events at the start and at the end of a session.

use super::sessions::{accepted, listener, payload};
use super::*;
use crate::SessionConfig;
use std::sync::Once;

const TARGET: &str = "brooklet::udp";
const MS: Duration = Duration::from_millis(1);

both_flavors! {
    a_session_that_ends_has_its_age_and_the_bytes_of_both_directions,
    each_end_has_its_reason,
    a_session_without_a_handle_is_logged_as_well,
    a_logger_may_use_the_stack,
}

/// Keeps the events of each thread apart.
struct Lines;

thread_local! {
    static LINES: RefCell<Vec<(String, String)>> = const { RefCell::new(Vec::new()) };
    /// What the logger does with each event, before it keeps it.
    static HOOK: RefCell<Option<Box<dyn Fn()>>> = const { RefCell::new(None) };
}

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        HOOK.with_borrow(|hook| hook.iter().for_each(|hook| hook()));
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
fn events() -> Vec<String> {
    let lines = LINES.take();
    assert!(
        lines.iter().all(|(target, _)| target == TARGET),
        "{lines:?}"
    );
    lines.into_iter().map(|(_, line)| line).collect()
}

const OPENED: &str = "UDP 9.9.9.9:53 10.0.0.1:5000 opened";

fn ended(what: &str) -> String {
    format!("UDP 9.9.9.9:53 10.0.0.1:5000 ended: {what}")
}

fn opened<F: Flavor>() -> (Engine<F>, UdpListener<F>) {
    start();
    let (engine, listener) = listener::<F>(|config| config.sessions(1));
    assert_eq!(arrive(&engine, b"question"), QUEUED);
    assert_eq!(events(), [OPENED]);
    (engine, listener)
}

fn a_session_that_ends_has_its_age_and_the_bytes_of_both_directions<F: Flavor>() {
    let (engine, listener) = opened::<F>();
    let session = accepted(&listener).unwrap();
    pass(20 * MS);
    now(session.send_to_client(b"a secret answer", addr(SERVER))).unwrap();
    pass(5 * MS);
    drop(session);
    let end = "closed age=0.020s in=8 out=15 datagrams_in=1 datagrams_out=1";
    assert_eq!(events(), [ended(end)]);
    drop((engine, listener));
    assert_eq!(events(), [""; 0]);
}

fn each_end_has_its_reason<F: Flavor>() {
    let figures = "age=0.000s in=8 out=0 datagrams_in=1 datagrams_out=0";
    let (engine, listener) = opened::<F>();
    let session = accepted(&listener).unwrap();
    pass(Duration::from_secs(120));
    engine.handle_timeout(time());
    assert_eq!(events(), [ended(&format!("idle {figures}"))]);
    drop(session);
    assert_eq!(events(), [""; 0], "it has ended before");

    let (engine, listener) = opened::<F>();
    let session = accepted(&listener).unwrap();
    assert_eq!(arrive_from(&engine, b"x", "10.0.0.7:7"), QUEUED);
    let next = "UDP 9.9.9.9:53 10.0.0.7:7 opened".to_string();
    assert_eq!(events(), [ended(&format!("evicted {figures}")), next]);
    drop((session, listener, engine));
    events();

    let (engine, listener) = opened::<F>();
    let session = accepted(&listener).unwrap();
    engine.shutdown();
    assert_eq!(events(), [ended(&format!("stack ended {figures}"))]);
    assert_eq!(payload(&session).unwrap(), b"question");
    drop((session, listener, engine));
    assert_eq!(events(), [""; 0], "an end is logged once");
}

fn a_session_without_a_handle_is_logged_as_well<F: Flavor>() {
    start();
    let (engine, socket) = engine::<F>();
    assert_eq!(arrive(&engine, b"before"), QUEUED);
    let listener = socket.into_sessions(SessionConfig::new());
    assert_eq!(events(), [OPENED]);
    drop(listener);
    let end = "closed age=0.000s in=6 out=0 datagrams_in=1 datagrams_out=0";
    assert_eq!(events(), [ended(end)]);
}

fn a_logger_may_use_the_stack<F: Flavor>() {
    start();
    let (engine, listener) = listener::<F>(|config| config);
    let counters = engine.counters();
    HOOK.set(Some(Box::new(move || assert!(counters.flows().len() <= 1))));
    assert_eq!(arrive(&engine, b"question"), QUEUED);
    drop(accepted(&listener));
    assert_eq!(arrive(&engine, b"question"), QUEUED);
    pass(Duration::from_secs(120));
    engine.handle_timeout(time());
    assert_eq!(arrive(&engine, b"question"), QUEUED);
    drop((engine, listener));
    HOOK.take();
    assert_eq!(events().len(), 6);
}
