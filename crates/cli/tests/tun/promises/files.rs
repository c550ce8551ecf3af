//! A program that has no file left for another connection.

use crate::support::Forward;
use brooklet_testbed::network::Network;
use brooklet_testbed::{LIMIT, in_namespace, wait_until};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// A server of echoes on the far host.
fn echo(network: &Network) -> SocketAddr {
    let listen = || TcpListener::bind((Ipv4Addr::UNSPECIFIED, 7)).expect("a port");
    let listener = network.far().run(listen);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a client");
            thread::spawn(move || {
                let mut byte = [0];
                while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
            });
        }
    });
    (Network::FAR[0], 7).into()
}

fn connect(forward: &Forward, to: SocketAddr, limit: Duration) -> std::io::Result<TcpStream> {
    forward
        .clients()
        .run(|| TcpStream::connect_timeout(&to, limit))
}

fn works(mut stream: &TcpStream) -> bool {
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    let mut answer = [0];
    stream.write_all(b"e").is_ok() && stream.read_exact(&mut answer).is_ok() && &answer == b"e"
}

/// The limit falls below the one that the program started with.
#[test]
fn no_client_is_refused_for_want_of_files() {
    in_namespace(|| {
        let network = Network::new(1500);
        let to = echo(&network);
        let forward = Forward::start(&[]);
        let files = forward.files() + 10;
        forward.limit_files(files);
        let mut open = Vec::new();
        let mut errors = Vec::new();
        for _ in 0..30 {
            match connect(&forward, to, LIMIT) {
                Ok(stream) => open.push(stream),
                Err(error) => errors.push(error.kind()),
            }
        }
        let expected = |kind: &ErrorKind| {
            matches!(
                kind,
                ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable
            )
        };
        assert!(errors.iter().all(expected), "{errors:?}");
        assert!(open.len() >= 5, "{} are open", open.len());
        assert!(errors.len() >= 10, "{errors:?}");
        // The connections that are open work on.
        assert!(open.iter().all(works));
        // Each that ends makes room for another one.
        drop(open);
        let again = wait_until(LIMIT, || {
            connect(&forward, to, LIMIT).is_ok_and(|s| works(&s))
        });
        assert!(again, "{} files", forward.files());
        forward.limit_files(1000);
        let open: Vec<_> = (0..100).map(|_| connect(&forward, to, LIMIT)).collect();
        assert!(open.iter().all(|stream| stream.as_ref().is_ok_and(works)));
        let ended = forward.stop();
        let line = format!("dials out of files: {}\n", errors.len());
        assert!(ended.err.contains(&line), "{}", ended.err);
    });
}

/// The clients beyond the limit that the program has set itself wait, and have the places of those who
/// leave.
#[test]
fn clients_beyond_the_limit_wait_for_a_place() {
    in_namespace(|| {
        let network = Network::new(1500);
        let to = echo(&network);
        let forward = Forward::started_with_files(128);
        // Half of 128 files, of which 64 are spare.
        let mut open: Vec<_> = (0..32)
            .map(|_| connect(&forward, to, LIMIT).expect("a place"))
            .collect();
        let limit = Duration::from_secs(2);
        let error = connect(&forward, to, limit).expect_err("no place");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let start = Instant::now();
        thread::scope(|scope| {
            let waits = scope.spawn(|| connect(&forward, to, LIMIT).expect("a place"));
            thread::sleep(Duration::from_secs(1));
            assert!(!waits.is_finished());
            drop(open.pop());
            assert!(works(&waits.join().expect("a client")));
        });
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "{:?}",
            start.elapsed()
        );
        assert!(open.iter().all(works));
        forward.stop();
    });
}
