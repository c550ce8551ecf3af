//! Connections through `brooklet forward`: hosts that answer late, hosts that answer early and
//! close, and clients that vanish.

use crate::support::Forward;
use brooklet::{Builder, Parts};
use brooklet_testbed::network::Network;
use brooklet_testbed::{LIMIT, in_namespace, ip, wait_until};
use brooklet_tun::TunBuilder;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use smol::Timer;
use smol::stream::StreamExt;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A network behind a TUN device, in the namespace of this thread, whose hosts accept a connection
/// after two seconds.
fn late_hosts() -> smol::Task<()> {
    let tun = TunBuilder::new("distant").open().expect("a TUN device");
    ip("address add 192.0.2.254/24 dev distant
        link set distant up");
    let Parts { tcp, driver, .. } = Builder::new().build(tun).expect("a stack");
    smol::spawn(async move {
        let accept = async {
            let mut requests = tcp.requests();
            while let Some(Ok(request)) = requests.next().await {
                smol::spawn(async {
                    Timer::after(Duration::from_secs(2)).await;
                    if let Ok(stream) = request.accept().await {
                        Timer::after(LIMIT).await;
                        drop(stream);
                    }
                })
                .detach();
            }
        };
        let ended = smol::future::zip(driver, accept).await.0;
        ended.expect("a device that works");
    })
}

#[test]
fn hundreds_of_late_hosts_are_waited_for_at_the_same_time() {
    const CONNECTS: usize = 600;
    in_namespace(|| {
        let _hosts = late_hosts();
        let forward = Forward::start(&[]);
        let took = forward.clients().run(|| {
            let executor = smol::LocalExecutor::new();
            let start = Instant::now();
            let connects: Vec<_> = (0..CONNECTS)
                .map(|n| {
                    let host = Ipv4Addr::new(192, 0, 2, (n % 250 + 1) as u8);
                    executor.spawn(smol::net::TcpStream::connect((host, 80)))
                })
                .collect();
            smol::block_on(executor.run(async {
                for connect in connects {
                    connect.await.expect("a connection");
                }
            }));
            start.elapsed()
        });
        assert!(took >= Duration::from_secs(2), "{took:?}");
        assert!(took < Duration::from_secs(6), "{took:?}");
        forward.stop();
    });
}

#[test]
fn early_answers_arrive() {
    const RUNS: usize = 50;
    // Within the initial window: the kernel of the server drops what it has not sent when it resets
    // the connection.
    const ANSWER: usize = 8 * 1024;
    in_namespace(|| {
        let network = Network::new(1500);
        let listener = network.far().run(|| TcpListener::bind("0.0.0.0:80"));
        let listener = listener.expect("a port");
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a client");
                stream.read_exact(&mut [0; 100]).expect("a request");
                stream.write_all(&[b'a'; ANSWER]).expect("a reader");
                // The rest of the request is not read: the kernel sends a RST.
            }
        });
        let forward = Forward::start(&[]);
        let to = SocketAddr::from((Network::FAR[0], 80));
        for run in 0..RUNS {
            let stream = forward.clients().run(|| TcpStream::connect(to));
            let stream = stream.expect("a connection");
            let answer = thread::scope(|scope| {
                scope.spawn(|| while (&stream).write_all(&[0; 4096]).is_ok() {});
                let mut answer = Vec::new();
                let _ = (&stream).read_to_end(&mut answer);
                let _ = stream.shutdown(Shutdown::Both);
                answer
            });
            assert_eq!(answer.len(), ANSWER, "run {run}");
        }
        forward.stop();
    });
}

/// A host that accepts connections and keeps them open. Returns what it has accepted.
fn keep_open(network: &Network) -> Arc<Mutex<Vec<TcpStream>>> {
    let listener = network.far().run(|| TcpListener::bind("0.0.0.0:80"));
    let listener = listener.expect("a port");
    let open = Arc::new(Mutex::new(Vec::new()));
    let accepted = open.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.expect("a client");
            accepted.lock().expect("no panic").push(stream);
        }
    });
    open
}

fn connect(forward: &Forward, to: SocketAddr, clients: usize) -> Vec<TcpStream> {
    forward.clients().run(|| {
        let connects = (0..clients).map(|_| TcpStream::connect(to).expect("a connection"));
        connects.collect()
    })
}

fn raise_files() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("the own limit");
}

#[test]
#[ignore = "takes three minutes: the keepalive has its default times"]
fn clients_that_vanish_are_gone_after_three_minutes() {
    const CLIENTS: usize = 4096;
    raise_files();
    in_namespace(|| {
        let network = Network::new(1500);
        let hosts = keep_open(&network);
        let forward = Forward::start(&[]);
        let before = forward.files();
        let to = SocketAddr::from((Network::FAR[0], 80));
        let clients = connect(&forward, to, CLIENTS);
        let all_open = || forward.files() >= before + CLIENTS;
        assert!(wait_until(LIMIT, all_open));
        // The kernel drops what arrives for an address that it does not have any more.
        forward.clients().ip("address flush dev brooklet1
             address add 10.78.0.200/16 dev brooklet1
             route replace default dev brooklet1");
        let start = Instant::now();
        let others = connect(&forward, to, 10);
        assert!(start.elapsed() < Duration::from_secs(5), "no room");
        let gone = || forward.files() < before + 20;
        assert!(
            wait_until(Duration::from_secs(180), gone),
            "{} files",
            forward.files()
        );
        println!("gone after {:?}", start.elapsed());
        drop((clients, others, hosts));
        let ended = forward.stop();
        let line = format!("connections whose client vanished: {CLIENTS}");
        assert!(ended.err.contains(&line), "{}", ended.err);
    });
}

#[test]
#[ignore = "takes six minutes: the limit has its default time"]
fn half_closed_connections_are_gone_after_six_minutes() {
    const CLIENTS: usize = 100;
    in_namespace(|| {
        let network = Network::new(1500);
        let hosts = keep_open(&network);
        let forward = Forward::start(&[]);
        let before = forward.files();
        let to = SocketAddr::from((Network::FAR[0], 80));
        let clients = connect(&forward, to, CLIENTS);
        assert!(wait_until(LIMIT, || forward.files() >= before + CLIENTS));
        let start = Instant::now();
        for client in &clients {
            client
                .shutdown(Shutdown::Write)
                .expect("an open connection");
        }
        let gone = || forward.files() < before + 20;
        assert!(
            wait_until(Duration::from_secs(360), gone),
            "{} files",
            forward.files()
        );
        println!("gone after {:?}", start.elapsed());
        drop((clients, hosts));
        let ended = forward.stop();
        let line = format!("connections ended, half closed and idle: {CLIENTS}");
        assert!(ended.err.contains(&line), "{}", ended.err);
    });
}
