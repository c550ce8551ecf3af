//! A thousand UDP sessions, and sessions when the process is out of files.

#![cfg(target_os = "linux")]

use brooklet::{Builder, IcmpErrorKind, TransparentUdpSocket, UdpFlowError, Unreachable};
use brooklet_relay::{Limits, Map, Relay, Router, Spawner};
use futures_lite::future::{block_on, or};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// What the client knows the loopback as.
const REMOTE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// The limits of the process are those of all tests.
static PROCESS: Mutex<()> = Mutex::new(());

fn start(limits: Limits) -> (brooklet::Stack, TransparentUdpSocket, Relay) {
    let (near, far) = brooklet::pipe(1024);
    let client = Builder::new().build(near).expect("a stack");
    let relay = Builder::new().build(far).expect("a stack");
    let map = Map::new(|to| {
        (to.ip() == REMOTE).then_some(SocketAddr::from((Ipv4Addr::LOCALHOST, to.port())))
    });
    smol::spawn(client.driver).detach();
    smol::spawn(relay.driver).detach();
    let spawner = Spawner::new(|task| smol::spawn(task).detach());
    let tasks = Relay::new(relay.stack, map, Router::default(), limits, spawner);
    tasks.start(relay.tcp, relay.udp, true).expect("it works");
    (client.stack, client.udp, tasks)
}

fn client(number: u16) -> SocketAddr {
    (Ipv4Addr::new(10, 0, 0, 1), 1000 + number).into()
}

/// An echo server on the loopback, and its address for the clients.
fn echo() -> SocketAddr {
    let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("it works");
    let port = server.local_addr().expect("it works").port();
    thread::spawn(move || {
        let mut buffer = [0; 2000];
        while let Ok((length, from)) = server.recv_from(&mut buffer) {
            server.send_to(&buffer[..length], from).expect("it works");
        }
    });
    (REMOTE, port).into()
}

async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    let late = async {
        async_io::Timer::after(Duration::from_secs(20)).await;
        panic!("not in time: {what}")
    };
    or(work, late).await
}

fn memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("it works");
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line
        .and_then(|line| line.split_whitespace().nth(1))
        .expect("it works");
    kib.parse::<usize>().expect("it works") << 10
}

fn files() -> usize {
    fs::read_dir("/proc/self/fd").expect("it works").count()
}

/// Exchanges datagrams of this length in this many sessions.
async fn exchange(socket: &TransparentUdpSocket, to: SocketAddr, sessions: u16, length: usize) {
    let payload = vec![7; length];
    for number in 0..sessions {
        socket
            .send_to(&payload, client(number), to)
            .await
            .expect("it works");
        let mut buffer = [0; 2000];
        let (received, ..) = soon("an answer", socket.recv_from(&mut buffer))
            .await
            .expect("it works");
        assert_eq!(received, length);
    }
}

#[test]
fn a_thousand_sessions_need_little_memory_and_no_files_when_they_end() {
    let _process = PROCESS.lock().unwrap_or_else(|error| error.into_inner());
    block_on(async {
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
        let limits = Limits::default()
            .sessions(4000) // of all sources
            .idle(Duration::from_secs(2));
        let (_stack, socket, relay) = start(limits);
        let to = echo();
        exchange(&socket, to, 1, 1200).await; // what the first session allocates for all of them
        let (before, idle) = (memory(), files());

        let start = Instant::now();
        exchange(&socket, to, 1000, 1200).await;
        let open = relay.stats().udp_sessions;
        let each = memory().saturating_sub(before) / 1000;
        println!(
            "{each} bytes for each of {open} sessions, {:?}",
            start.elapsed()
        );
        assert!(each < MOST, "{each} bytes for each session");
        if start.elapsed() < limits.idle {
            assert_eq!((open, files() - idle), (1000, 999));
        }
        let end = Instant::now() + Duration::from_secs(20);
        while relay.stats().udp_sessions > 0 {
            assert!(
                Instant::now() < end,
                "{} are left",
                relay.stats().udp_sessions
            );
            async_io::Timer::after(Duration::from_millis(50)).await;
        }
        assert_eq!(files(), idle - 1, "the first session has ended, too");
    });
}

/// The most bytes of memory for an idle session with one socket, in pages of the process.
const MOST: usize = 6 << 10;

#[test]
fn a_session_without_a_file_is_unreachable_and_not_refused() {
    let _process = PROCESS.lock().unwrap_or_else(|error| error.into_inner());
    block_on(async {
        let (stack, socket, relay) = start(Limits::default());
        let to = echo();
        exchange(&socket, to, 1, 10).await;
        let bound = stack.bind_udp(client(7)).unwrap();
        bound.connect(to).await.unwrap();

        let (now, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, 3, most).unwrap();
        bound.send(b"no file").await.unwrap();
        let error = soon("an error", bound.recv(&mut [0; 10]))
            .await
            .unwrap_err();
        let stats = relay.stats();
        setrlimit(Resource::RLIMIT_NOFILE, now, most).unwrap();

        let flow = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<UdpFlowError>());
        let prohibited = IcmpErrorKind::Unreachable(Unreachable::Prohibited);
        assert_eq!(flow.map(|flow| flow.kind), Some(prohibited), "{error:?}");
        assert_eq!(stats.datagrams_out_of_files, 1);
        // Files are there again, and the same session works.
        bound.send(b"a file").await.unwrap();
        let mut buffer = [0; 10];
        let received = soon("an answer", bound.recv(&mut buffer)).await.unwrap();
        assert_eq!(&buffer[..received], b"a file");
    });
}
