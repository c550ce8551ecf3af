//! What a client's `connect` says to each answer, and how soon.

use brooklet::{Builder, Parts, TcpRequest, Unreachable};
use brooklet_testbed::{LIMIT, in_namespace, ip};
use brooklet_tun::TunBuilder;
use futures_lite::{StreamExt, future};
use nix::errno::Errno;
use std::io::{ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

const REMOTE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const REMOTE6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7));

/// Each of these ports gets another answer.
fn answer(request: TcpRequest) {
    match request.local_addr().port() {
        1 => request.refuse(),
        2 => request.reject(Unreachable::Host),
        3 => request.reject(Unreachable::Network),
        4 => request.reject(Unreachable::Prohibited),
        5 => request.reject(Unreachable::Port),
        6 => request.reject(Unreachable::Protocol),
        _ => request.drop_silently(),
    }
}

/// Runs `test` where every address is answered so.
fn answering(test: impl FnOnce() + Send) {
    in_namespace(|| {
        let tun = TunBuilder::new("brooklet0").ipv4([10, 77, 0, 1].into(), 16);
        let tun = tun.ipv6(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1), 64);
        let tun = tun.open().expect("a device");
        ip("route add default dev brooklet0
            -6 route add default dev brooklet0");
        let Parts { tcp, driver, .. } = Builder::new().build(tun).expect("a stack");
        let (stop, stopped) = async_channel::bounded::<()>(1);
        thread::scope(|scope| {
            scope.spawn(|| {
                let serve = async {
                    let mut requests = tcp.requests();
                    while let Some(request) = requests.next().await {
                        answer(request?);
                    }
                    Ok(())
                };
                let end = async {
                    // It says that the test is over by going away.
                    let _ = stopped.recv().await;
                    Ok(())
                };
                async_io::block_on(future::or(end, future::or(driver, serve))).expect("it runs");
            });
            let _stop = stop;
            test();
        });
    });
}

/// Connects many times. Each must fail with `errno`, and says how long it took: the median.
fn fails(to: SocketAddr, errno: Errno) -> Duration {
    let mut times: Vec<Duration> = (0..101)
        .map(|_| {
            let start = Instant::now();
            let why = TcpStream::connect_timeout(&to, LIMIT).expect_err("nobody accepts");
            assert_eq!(why.raw_os_error(), Some(errno as i32), "{to}: {why}");
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    // That it does not wait for the next SYN, which comes after a second.
    assert!(
        times[100] < Duration::from_millis(900),
        "{to}: {:?}",
        times[100]
    );
    times[50]
}

#[test]
fn a_client_learns_why_at_once() {
    answering(|| {
        for (ip, port, errno) in [
            (REMOTE, 1, Errno::ECONNREFUSED),
            (REMOTE, 2, Errno::EHOSTUNREACH),
            (REMOTE, 3, Errno::ENETUNREACH),
            (REMOTE, 4, Errno::EHOSTUNREACH),
            (REMOTE, 5, Errno::ECONNREFUSED),
            (REMOTE, 6, Errno::ENOPROTOOPT),
            (REMOTE6, 1, Errno::ECONNREFUSED),
            (REMOTE6, 2, Errno::EHOSTUNREACH),
            (REMOTE6, 3, Errno::ENETUNREACH),
            (REMOTE6, 4, Errno::EACCES),
            (REMOTE6, 5, Errno::ECONNREFUSED),
        ] {
            let to = SocketAddr::new(ip, port);
            let median = fails(to, errno);
            // Not by `eprintln`, which the test harness keeps to itself.
            let _ = writeln!(
                std::io::stderr(),
                "{to}: {errno:?} after {median:?} (median)"
            );
        }
    });
}

#[test]
fn an_ignored_client_waits() {
    answering(|| {
        for ip in [REMOTE, REMOTE6] {
            // Long enough for a second SYN.
            let limit = Duration::from_millis(1500);
            let why = TcpStream::connect_timeout(&SocketAddr::new(ip, 7), limit);
            assert_eq!(why.expect_err("nobody answers").kind(), ErrorKind::TimedOut);
        }
    });
}
