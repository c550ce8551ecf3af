//! Each test is generic over the flavor and runs for both.

mod batch;
mod end;
#[cfg(feature = "log")]
mod events;
mod fields;
mod halves;
mod icmp;
mod path_mtu;
mod queues;
mod receive;
mod send;
mod sessions;
#[cfg(feature = "futures")]
mod sink;
mod socket;
mod sources;
#[cfg(feature = "sync")]
mod threads;
mod waiting;

use crate::{
    Arrival, Clock, Config, Engine, Interface, Received, TransparentUdpSocket, UdpListener,
    UdpReadHalf, UdpSession, UdpSocket, UdpWriteHalf,
};
use brooklet_cell::Flavor;
use brooklet_packet::{Packet, udp};
use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

/// Runs each function, generic over the flavor, as a test of either.
macro_rules! both_flavors {
    ($($name:ident),* $(,)?) => {
        #[cfg(feature = "sync")]
        mod sync {
            $(#[test] fn $name() { super::$name::<brooklet_cell::Threaded>() })*
        }
        #[cfg(feature = "local")]
        mod local {
            $(#[test] fn $name() { super::$name::<brooklet_cell::SingleThread>() })*
        }
    };
}
pub(crate) use both_flavors;

const CLIENT: &str = "10.0.0.1:5000";
const SERVER: &str = "9.9.9.9:53";
const CLIENT6: &str = "[fd00::1]:5000";
const SERVER6: &str = "[2620:fe::fe]:53";

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn packet(payload: &[u8], from: &str, to: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    udp::write(&mut bytes, addr(from), addr(to), 64, payload).unwrap();
    bytes
}

/// Delivers a datagram from `from` to the server of its family.
fn arrive_from<F: Flavor>(engine: &Engine<F>, payload: &[u8], from: &str) -> Received {
    let to = if addr(from).is_ipv4() {
        SERVER
    } else {
        SERVER6
    };
    arrive_at(engine, payload, from, to)
}

/// Delivers a datagram from the client to the server.
fn arrive<F: Flavor>(engine: &Engine<F>, payload: &[u8]) -> Received {
    arrive_at(engine, payload, CLIENT, SERVER)
}

/// A datagram that is in a queue. The helpers do not tell whether the queue is congested.
const QUEUED: Received = Received::Queued { congested: false };

/// Delivers a datagram.
fn arrive_at<F: Flavor>(engine: &Engine<F>, payload: &[u8], from: &str, to: &str) -> Received {
    handle(engine, &packet(payload, from, to), Arrival::new())
}

/// Delivers a packet.
fn handle<F: Flavor>(engine: &Engine<F>, bytes: &[u8], arrival: Arrival) -> Received {
    let packet = Packet::parse(bytes).unwrap();
    match engine.handle_packet(time(), &packet, arrival) {
        Received::Queued { .. } => QUEUED,
        received => received,
    }
}

/// Sends from the server to the client.
async fn answer<F: Flavor>(
    socket: &TransparentUdpSocket<F>,
    payload: &[u8],
) -> std::io::Result<usize> {
    socket.send_to(payload, addr(SERVER), addr(CLIENT)).await
}

/// The payloads of the packets that wait for the device.
fn sent<F: Flavor>(engine: &Engine<F>) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| engine.poll_transmit())
        .map(|bytes| Packet::parse(&bytes).unwrap().payload().to_vec())
        .collect()
}

fn engine_with<F: Flavor>(
    change: impl FnOnce(&mut Config),
) -> (Engine<F>, TransparentUdpSocket<F>) {
    let mut config = Config::default();
    change(&mut config);
    engine_of(Interface::default(), config)
}

fn engine<F: Flavor>() -> (Engine<F>, TransparentUdpSocket<F>) {
    engine_of(Interface::default(), Config::default())
}

fn engine_of<F: Flavor>(
    interface: Interface,
    config: Config,
) -> (Engine<F>, TransparentUdpSocket<F>) {
    Engine::new(interface, config, Clock::new(time), [1, 2])
}

thread_local! {
    #[expect(clippy::disallowed_methods, reason = "the beginning of the test's time")]
    static TIME: Cell<Instant> = Cell::new(Instant::now());
}

/// The time of the test.
fn time() -> Instant {
    TIME.get()
}

/// Lets time pass.
fn pass(time: Duration) {
    TIME.set(TIME.get() + time);
}

/// A task that counts how often it is woken.
#[derive(Default)]
struct Task(AtomicUsize);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Task {
    fn new() -> Arc<Self> {
        Arc::default()
    }

    /// How many times the task was woken since the last call.
    fn woken(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }

    fn waker(self: &Arc<Self>) -> Waker {
        self.clone().into()
    }

    fn poll<T>(self: &Arc<Self>, future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        future.poll(&mut Context::from_waker(&self.waker()))
    }
}

/// The result of a future that must not have to wait.
fn now<T>(future: impl Future<Output = T>) -> T {
    match Task::new().poll(pin!(future)) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("had to wait"),
    }
}

thread_local! {
    /// The action of a [`Hook`]. It is not in the hook because a waker is `Send` and a local socket
    /// is not.
    static ACTION: RefCell<Option<Box<dyn Fn()>>> = const { RefCell::new(None) };
}

/// A task that runs foreign code when it is woken, or when its last waker is dropped.
struct Hook {
    runs: Arc<AtomicUsize>,
}

impl Hook {
    /// The waker, and how often the action ran.
    fn waker(action: impl Fn() + 'static) -> (Waker, Arc<AtomicUsize>) {
        ACTION.set(Some(Box::new(action)));
        let runs = Arc::default();
        (
            Arc::new(Self {
                runs: Arc::clone(&runs),
            })
            .into(),
            runs,
        )
    }

    fn run(&self) {
        ACTION.with_borrow(|action| action.as_ref().expect("set with the hook")());
        self.runs.fetch_add(1, Ordering::Relaxed);
    }
}

impl Wake for Hook {
    fn wake(self: Arc<Self>) {
        self.run();
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.run();
    }
}

#[cfg(feature = "sync")]
const _: () = {
    use brooklet_cell::Threaded;
    static_assertions::assert_impl_all!(Engine<Threaded>: Send, Sync, Unpin);
    static_assertions::assert_impl_all!(TransparentUdpSocket<Threaded>: Send, Sync, Unpin);
    static_assertions::assert_impl_all!(UdpReadHalf<Threaded>: Send, Sync, Unpin);
    static_assertions::assert_impl_all!(UdpWriteHalf<Threaded>: Send, Sync, Unpin);
    static_assertions::assert_impl_all!(UdpSocket<Threaded>: Send, Sync, Unpin);
    static_assertions::assert_impl_all!(UdpSession<Threaded>: Send, Sync, Unpin);
    static_assertions::assert_impl_all!(UdpListener<Threaded>: Send, Sync, Unpin);
    fn _session_futures(session: &UdpSession<Threaded>) -> impl Send {
        let client = session.source();
        (session.recv_datagram(), session.send_to_client(b"", client))
    }
    fn _futures(socket: &TransparentUdpSocket<Threaded>) -> impl Send {
        (socket.recv_datagram(), answer(socket, b""))
    }
};

#[cfg(feature = "local")]
const _: () = {
    use brooklet_cell::SingleThread;
    static_assertions::assert_not_impl_any!(Engine<SingleThread>: Send, Sync);
    static_assertions::assert_not_impl_any!(TransparentUdpSocket<SingleThread>: Send, Sync);
    static_assertions::assert_not_impl_any!(UdpReadHalf<SingleThread>: Send, Sync);
    static_assertions::assert_not_impl_any!(UdpWriteHalf<SingleThread>: Send, Sync);
    static_assertions::assert_not_impl_any!(UdpSocket<SingleThread>: Send, Sync);
    static_assertions::assert_not_impl_any!(UdpSession<SingleThread>: Send, Sync);
    static_assertions::assert_not_impl_any!(UdpListener<SingleThread>: Send, Sync);
};
