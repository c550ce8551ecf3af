//! Many connections, and none.

use crate::support::{Inetd, each_mode, on_inetd};
use crate::tcp::{connect, request, somewhere, somewhere6};
use brooklet_testbed::data::random;
use brooklet_testbed::{LIMIT, wait_until};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

each_mode! {
    a_thousand_at_once,
    ten_thousand_in_a_row,
    nothing_to_do,
}

fn a_thousand_at_once(mode: &[&str]) {
    const THREADS: usize = 8;
    // 14 KiB of each connection: buffers of the stack, the read buffer and the task of `inetd`.
    const GROWN_KIB: u64 = 24 * 1024;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit of open files");
    if soft < 4096 {
        setrlimit(Resource::RLIMIT_NOFILE, hard.min(4096), hard).expect("a higher limit");
    }
    on_inetd(mode, |inetd| {
        let before = resident_kib(inetd);
        let all_are_open = Barrier::new(THREADS);
        thread::scope(|scope| {
            for seed in 0..THREADS {
                let all_are_open = &all_are_open;
                scope.spawn(move || {
                    let to = if seed % 2 == 0 {
                        somewhere(7)
                    } else {
                        somewhere6(7)
                    };
                    let mut streams: Vec<_> = (0..1000 / THREADS).map(|_| connect(to)).collect();
                    all_are_open.wait();
                    let sent = |n| random(1024, (seed * 1000 + n) as u64);
                    for (n, stream) in streams.iter_mut().enumerate() {
                        stream.write_all(&sent(n)).expect("1 KiB written");
                    }
                    for (n, stream) in streams.iter_mut().enumerate() {
                        let mut received = [0; 1024];
                        stream.read_exact(&mut received).expect("1 KiB read");
                        assert!(received[..] == sent(n), "connection {n} has other bytes");
                    }
                    all_are_open.wait();
                    let grown = resident_kib(inetd) - before;
                    assert!(grown <= GROWN_KIB, "{grown} KiB for 1000 connections");
                });
            }
        });
    });
}

/// What connections took comes back, but for what the allocator keeps for the next ones.
fn ten_thousand_in_a_row(mode: &[&str]) {
    // With the tuples remembered for 30 s (TIME-WAIT) it is 2 to 4 MiB, and stays at that however
    // often the ten thousand come again. A connection alone, were it kept, is more than 8 KiB.
    const KEPT_KIB: u64 = 4 * 1024;
    on_inetd(mode, |inetd| {
        requests(1_000);
        let before = resident_kib(inetd);
        requests(10_000);
        let open = |line: &str| line.starts_with("TCP connections: ");
        let all_gone = wait_until(LIMIT, || !inetd.stats().lines().any(open));
        assert!(all_gone, "connections remain: {}", inetd.stats());
        let after = resident_kib(inetd);
        let limit = before + before / 10 + KEPT_KIB;
        assert!(
            after <= limit,
            "{before} KiB resident before, {after} KiB after"
        );
    });
}

fn requests(number: u16) {
    const THREADS: u16 = 4;
    thread::scope(|scope| {
        for n in 0..THREADS {
            // An address for each thread, so that the client does not run out of ports.
            let to: SocketAddr = ([198, 51, 100, n as u8], 80).into();
            scope.spawn(move || (0..number / THREADS).for_each(|_| request(to)));
        }
    });
}

fn resident_kib(inetd: &Inetd) -> u64 {
    let path = format!("/proc/{}/status", inetd.pid());
    number_in(
        &fs::read_to_string(path).expect("the process lives"),
        "VmRSS:",
    )
}

/// A stack with nothing to do sleeps, with connections open too.
fn nothing_to_do(mode: &[&str]) {
    on_inetd(mode, |inetd| {
        let hello = |stream: &mut TcpStream| {
            stream.write_all(b"hello").expect("written");
            stream.read_exact(&mut [0; 5]).expect("read");
        };
        // Closed from this side: TIME-WAIT, and its timer, is here.
        (0..40).for_each(|_| hello(&mut connect(somewhere(7))));
        let mut open: Vec<_> = (0..10).map(|_| connect(somewhere(7))).collect();
        open.iter_mut().for_each(hello);
        // By then all is acknowledged, and IPv6 has said what it says of a new interface.
        thread::sleep(Duration::from_secs(5));
        let before = switches(inetd);
        thread::sleep(Duration::from_secs(10));
        assert_eq!(switches(inetd) - before, 0, "wake-ups in 10 s");
        open.iter_mut().for_each(hello);
    });
}

/// How often the threads of the process have gone to sleep.
fn switches(inetd: &Inetd) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{}/task", inetd.pid())).expect("the process lives");
    let count = |task: fs::DirEntry| {
        let status = fs::read_to_string(task.path().join("status")).expect("a thread that stays");
        number_in(&status, "voluntary_ctxt_switches:")
    };
    tasks.map(|task| count(task.expect("a thread"))).sum()
}

fn number_in(text: &str, field: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no {field} in {text}"))
}
