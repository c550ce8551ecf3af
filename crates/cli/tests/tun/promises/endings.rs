//! Connections whose client or host is gone without a word, and connections that are half closed: how
//! long the kernels on both sides keep them.

use super::{Way, connections};
use crate::support::Forward;
use brooklet_testbed::network::{Namespace, Network};
use brooklet_testbed::{LIMIT, in_namespace, wait_until};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// The address of the clients that are gone, which others keep.
const GONE: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 50);

/// The state that the clients leave their connections in.
#[derive(Clone, Copy, Debug)]
enum State {
    Idle,
    /// The client has closed its direction.
    ClosedByClient,
    /// The host has closed its direction.
    ClosedByHost,
    /// The host sends, and nobody acknowledges.
    Receiving,
    /// The client does not read, and its window is closed.
    Full,
}

const STATES: [State; 5] = [
    State::Idle,
    State::ClosedByClient,
    State::ClosedByHost,
    State::Receiving,
    State::Full,
];

fn raise_files() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("the own limit");
}

/// A port of the far host.
fn listen(network: &Network) -> (TcpListener, SocketAddr) {
    let listen = || TcpListener::bind((Ipv4Addr::UNSPECIFIED, 80)).expect("a port");
    (network.far().run(listen), (Network::FAR[0], 80).into())
}

/// Connects from an address of the clients. Returns both sides.
fn connect(
    clients: &Namespace,
    from: Option<Ipv4Addr>,
    to: SocketAddr,
    listener: &TcpListener,
) -> (TcpStream, TcpStream) {
    let client = clients.run(|| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        if let Some(from) = from {
            let from = SocketAddr::from((from, 0));
            socket.bind(&from.into()).expect("an address");
        }
        socket
            .connect_timeout(&to.into(), LIMIT)
            .expect("a connection");
        TcpStream::from(socket)
    });
    let (server, _) = listener.accept().expect("a client");
    (client, server)
}

/// Sends until the other side takes no more.
fn fill(mut stream: &TcpStream) {
    stream.set_nonblocking(true).expect("a socket");
    let mut refused = 0;
    // What is in flight moves on meanwhile.
    while refused < 20 {
        match stream.write(&[0; 65_536]) {
            Ok(_) => refused = 0,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                refused += 1;
                thread::sleep(Duration::from_millis(5));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// `clients` of them vanish, in every state. Returns how long it takes until nothing is left of them.
fn vanish(clients: usize, flags: &[&str], limit: Duration) -> Duration {
    let network = Network::new(1500);
    let forward = Forward::start(flags);
    let (listener, to) = listen(&network);
    let before = forward.files();
    let mut open = Vec::new();
    for n in 0..clients {
        let (client, mut server) = connect(forward.clients(), Some(GONE), to, &listener);
        let state = STATES[n % STATES.len()];
        match state {
            State::Idle | State::Receiving => {}
            State::ClosedByClient => client.shutdown(Shutdown::Write).expect("open"),
            State::ClosedByHost => server.shutdown(Shutdown::Write).expect("open"),
            // Large buffers take their time: a few are enough.
            State::Full if n < 50 => fill(&server),
            State::Full => server.write_all(&[0; 1000]).expect("open"),
        }
        open.push((client, server, state));
    }
    assert!(
        forward.files() >= before + clients,
        "{} files",
        forward.files()
    );
    forward
        .clients()
        .ip(&format!("address del {GONE}/16 dev brooklet1"));
    let start = Instant::now();
    for (_, server, state) in &mut open {
        if matches!(state, State::Receiving) {
            server.write_all(&[0; 10_000]).expect("open");
        }
    }
    // Others connect meanwhile, without a wait.
    let mut others = Vec::new();
    let mut longest = Duration::ZERO;
    for _ in 0..20 {
        let start = Instant::now();
        let (mut client, mut server) = connect(forward.clients(), None, to, &listener);
        client.write_all(b"?").expect("open");
        server.read_exact(&mut [0]).expect("a question");
        longest = longest.max(start.elapsed());
        others.push((client, server));
    }
    // Less than two SYNs that are lost.
    assert!(longest < Duration::from_secs(3), "{longest:?}");
    println!("a new client is answered within {longest:?}");
    let left = || connections(network.far(), &["state", "connected"]).len();
    let gone = || forward.files() <= before + others.len() + 2 && left() <= others.len();
    let gone = wait_until(limit.saturating_sub(start.elapsed()), gone);
    assert!(
        gone,
        "{} files, {} connections of the host",
        forward.files(),
        left()
    );
    let took = start.elapsed();
    // The others are still there.
    for (client, server) in &mut others {
        server.write_all(b"!").expect("open");
        client.read_exact(&mut [0]).expect("an answer");
    }
    let ended = forward.stop();
    let line = format!("connections whose client vanished: {clients}\n");
    assert!(ended.err.contains(&line), "{}", ended.err);
    took
}

#[test]
fn nothing_is_left_of_clients_that_vanish() {
    in_namespace(|| {
        let flags = ["--keepalive", "2", "--keepalive-timeout", "3"];
        let took = vanish(100, &flags, Duration::from_secs(15));
        assert!(took >= Duration::from_secs(3), "{took:?}");
    });
}

#[test]
#[ignore = "takes three minutes: the keepalive has its default times"]
fn nothing_is_left_of_4096_clients_after_three_minutes() {
    raise_files();
    in_namespace(|| {
        let took = vanish(4096, &[], Duration::from_secs(180));
        println!("gone after {took:?}");
    });
}

/// A client that is there and only silent stays, however long.
#[test]
fn a_silent_client_that_answers_probes_stays() {
    in_namespace(|| {
        let network = Network::new(1500);
        let forward = Forward::start(&["--keepalive", "1", "--keepalive-timeout", "1"]);
        let (listener, to) = listen(&network);
        let (mut client, mut server) = connect(forward.clients(), None, to, &listener);
        let (full, filling) = connect(forward.clients(), None, to, &listener);
        fill(&filling);
        thread::sleep(Duration::from_secs(5));
        server.write_all(b"!").expect("open");
        client.read_exact(&mut [0]).expect("an answer");
        assert_eq!(
            filling.take_error().expect("a socket").map(|e| e.kind()),
            None
        );
        drop(full);
        forward.stop();
    });
}

#[test]
fn nothing_is_left_of_a_host_that_vanishes() {
    const CONNECTIONS: usize = 20;
    in_namespace(|| {
        let network = Network::new(1500);
        let forward = Forward::start(&["--keepalive", "1", "--keepalive-timeout", "5"]);
        let (listener, to) = listen(&network);
        let before = forward.files();
        let open: Vec<_> = (0..CONNECTIONS)
            .map(|_| connect(forward.clients(), None, to, &listener))
            .collect();
        network.far().ip("link set far0 down");
        let left = || connections(forward.clients(), &["state", "connected"]).len();
        let gone = || forward.files() <= before && left() == 0;
        assert!(
            wait_until(LIMIT, gone),
            "{} files, {} connections",
            forward.files(),
            left()
        );
        for (mut client, _) in open {
            let error = client.read(&mut [0]).expect_err("no end was sent");
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
        let ended = forward.stop();
        let line = format!("connections whose host vanished: {CONNECTIONS}\n");
        assert!(ended.err.contains(&line), "{}", ended.err);
    });
}

/// So many pairs are closed by the client only, and as many by the host only. Returns how long it
/// takes until no kernel has any of them.
fn half_close(pairs: usize, way: &Way, network: &Network, limit: Duration) -> Duration {
    let (listener, to) = listen(network);
    let here = Namespace::of_this_thread();
    let open: Vec<_> = (0..2 * pairs)
        .map(|_| connect(way.clients(), None, to, &listener))
        .collect();
    let start = Instant::now();
    for (n, (client, server)) in open.iter().enumerate() {
        let closes = if n < pairs { client } else { server };
        closes.shutdown(Shutdown::Write).expect("open");
    }
    let sides = [way.clients(), &here, network.far()];
    let count = |state: &str| sides.map(|side| connections(side, &["state", state]).len());
    let half_closed = || {
        let states = [count("fin-wait-2"), count("close-wait")];
        // The relay has both sides of its host's sockets.
        states
            .iter()
            .flatten()
            .all(|connections| *connections == pairs)
    };
    assert!(
        wait_until(LIMIT, half_closed),
        "{:?} {:?}",
        count("fin-wait-2"),
        count("close-wait")
    );
    let left = || sides.map(|side| connections(side, &["state", "connected"]).len());
    let gone = wait_until(limit.saturating_sub(start.elapsed()), || left() == [0; 3]);
    assert!(gone, "{:?} are left", left());
    start.elapsed()
}

#[test]
fn nothing_is_left_of_half_closed_connections() {
    in_namespace(|| {
        let network = Network::new(1500);
        let way = Way::forward(&["--half-close-timeout", "4"]);
        let took = half_close(20, &way, &network, Duration::from_secs(15));
        assert!(took >= Duration::from_secs(4), "{took:?}");
    });
    in_namespace(|| {
        let network = Network::new(1500);
        let way = Way::run(&["--half-close-timeout", "4"]);
        let took = half_close(20, &way, &network, Duration::from_secs(15));
        assert!(took >= Duration::from_secs(4), "{took:?}");
    });
}

#[test]
#[ignore = "takes six minutes: the limit has its default time"]
fn nothing_is_left_of_100_half_closed_pairs_after_six_minutes() {
    in_namespace(|| {
        let network = Network::new(1500);
        let way = Way::forward(&[]);
        let took = half_close(100, &way, &network, Duration::from_secs(360));
        println!("gone after {took:?}");
    });
}

/// Traffic in the other direction keeps a half-closed connection, as long as it goes on.
#[test]
fn a_half_closed_connection_with_traffic_stays() {
    in_namespace(|| {
        let network = Network::new(1500);
        let forward = Forward::start(&["--half-close-timeout", "2"]);
        let (listener, to) = listen(&network);
        let (mut client, mut server) = connect(forward.clients(), None, to, &listener);
        client.shutdown(Shutdown::Write).expect("open");
        let (seen, all_seen) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = [0; 1];
            while client.read_exact(&mut bytes).is_ok() {
                seen.send(bytes).expect("a test that waits");
            }
        });
        for n in 0..6 {
            thread::sleep(Duration::from_secs(1));
            server.write_all(&[n]).expect("open");
            assert_eq!(all_seen.recv_timeout(LIMIT), Ok([n]));
        }
        forward.stop();
    });
}
