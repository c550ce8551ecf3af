//! Each test is generic over the flavor and runs for both.

mod answers;
mod echo;
mod end;
mod io_errors;
mod pings;
mod queues;
mod raw;
#[cfg(feature = "serde")]
mod serde;
#[cfg(feature = "futures")]
mod stream;
#[cfg(feature = "sync")]
mod threads;
mod waiting;

use crate::{
    Binder, Clock, Config, EchoRequest, Echoed, Engine, IcmpMessage, IcmpSocket, IcmpSocketConfig,
    Interface, RawConfig, RawReceived, RawSocket,
};
use brooklet_cell::Flavor;
use brooklet_packet::icmp::{self, Echo};
use brooklet_packet::{IpFields, Packet, udp};
use std::{
    cell::RefCell,
    net::{IpAddr, SocketAddr},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
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

/// Source and destination of the pings of either family, and a router between them.
const PINGS: [(&str, &str, &str); 2] = [
    ("10.0.0.1", "192.0.2.7", "10.0.0.254"),
    ("fd00::1", "2001:db8::7", "fd00::ff"),
];

const ECHO: Echo = Echo {
    identifier: 7,
    sequence: 1,
};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// An engine whose clock the test moves.
struct Stack<F: Flavor> {
    engine: Engine<F>,
    start: Instant,
    elapsed: Arc<AtomicU64>,
}

impl<F: Flavor> Stack<F> {
    fn new() -> Self {
        Self::with(Interface::new(), Config::new())
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the start of a clock that the test moves"
    )]
    fn with(interface: Interface, config: Config) -> Self {
        let (start, elapsed) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let clock = {
            let elapsed = elapsed.clone();
            Clock::new(move || start + Duration::from_millis(elapsed.load(Ordering::Relaxed)))
        };
        Self {
            engine: Engine::new(interface, config, clock),
            start,
            elapsed,
        }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_millis(self.elapsed.load(Ordering::Relaxed))
    }

    fn advance(&self, time: Duration) {
        let millis = time.as_millis() as u64;
        self.elapsed.fetch_add(millis, Ordering::Relaxed);
    }

    fn binder(&self) -> Binder<F> {
        self.engine.binder()
    }

    fn icmp(&self) -> IcmpSocket<F> {
        self.binder().bind_icmp().unwrap()
    }

    fn raw(&self) -> RawSocket<F> {
        self.binder().bind_raw(RawConfig::new()).unwrap()
    }

    /// An echo request arrives.
    fn ping(&self, from: &str, to: &str, payload: &[u8]) -> Echoed {
        let bytes = request(from, to, payload);
        let packet = Packet::parse(&bytes).unwrap();
        self.engine.handle_echo_request(self.now(), &packet)
    }

    /// A datagram arrives that the filter diverts.
    fn divert(&self, from: &str, payload: &[u8]) -> RawReceived {
        let bytes = datagram(from, "192.0.2.7", payload);
        self.engine
            .handle_diverted(&Packet::parse(&bytes).unwrap(), false)
    }

    /// The packet that waits for the device.
    fn sent(&self) -> Vec<u8> {
        self.engine.poll_transmit().expect("a packet waits")
    }
}

fn request(from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let fields = IpFields::new().hop_limit(9);
    icmp::write_echo_request(&mut bytes, ip(from), ip(to), fields, ECHO, payload).unwrap();
    bytes
}

fn datagram(from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (from, to) = (SocketAddr::new(ip(from), 68), SocketAddr::new(ip(to), 67));
    udp::write(&mut bytes, from, to, 64, payload).unwrap();
    bytes
}

/// The echo request that `socket` has received.
#[track_caller]
fn received<F: Flavor>(socket: &IcmpSocket<F>) -> EchoRequest<F> {
    match now(socket.recv()).unwrap() {
        IcmpMessage::EchoRequest(request) => request,
        other => panic!("{other:?}"),
    }
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
    static_assertions::assert_impl_all!(Binder<Threaded>: Send, Sync, Unpin);
    static_assertions::assert_impl_all!(IcmpSocket<Threaded>: Send, Sync, Unpin);
    static_assertions::assert_impl_all!(RawSocket<Threaded>: Send, Sync, Unpin);
    static_assertions::assert_impl_all!(EchoRequest<Threaded>: Send, Sync, Unpin);
    fn _futures<'a>(icmp: &'a IcmpSocket<Threaded>, raw: &'a RawSocket<Threaded>) -> impl Send {
        let (from, to) = (IpAddr::V4([1; 4].into()), IpAddr::V4([2; 4].into()));
        let send = icmp.send_echo_request(from, to, ECHO, b"");
        (icmp.recv(), send, raw.recv_packet(), raw.send(b""))
    }
};

#[cfg(feature = "local")]
const _: () = {
    use brooklet_cell::SingleThread;
    static_assertions::assert_not_impl_any!(Engine<SingleThread>: Send, Sync);
    static_assertions::assert_not_impl_any!(Binder<SingleThread>: Send, Sync);
    static_assertions::assert_not_impl_any!(IcmpSocket<SingleThread>: Send, Sync);
    static_assertions::assert_not_impl_any!(RawSocket<SingleThread>: Send, Sync);
    static_assertions::assert_not_impl_any!(EchoRequest<SingleThread>: Send, Sync);
};
