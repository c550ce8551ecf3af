//! A stack behind a TAP of the kernel, each test in a network namespace of its own.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use async_io::Timer;
use brooklet::{Builder, Parts};
use brooklet_ethernet::{Config, DropCounter, DropReason, Ethernet};
use brooklet_io::Clock;
use brooklet_tun::TunBuilder;
use futures_lite::future::{block_on, or};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use nix::sched::{CloneFlags, unshare};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
const ROUTER6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2);
const HOST6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x15);

/// Says why a test is skipped. A test that CI would skip fails.
fn skip(why: &str) {
    if std::env::var("CI").as_deref() == Ok("true") {
        panic!("{why}");
    }
    // Not by `println`, which the test harness keeps to itself.
    let _ = writeln!(io::stderr(), "skipped: {why}");
}

fn config() -> Config {
    Config::new([2, 0, 0, 0, 0, 1].into())
}

/// Runs `test` in a namespace with a TAP `tap0`, behind which a stack answers on every address
/// with what it is sent.
fn with_tap(config: Config, test: impl FnOnce(DropCounter) + Send + 'static) {
    with_tap_of(false, config, test);
}

/// As [`with_tap`], with super-packets if `offload`.
fn with_tap_of(offload: bool, config: Config, test: impl FnOnce(DropCounter) + Send + 'static) {
    let thread = thread::spawn(move || {
        let tap = unshare(CloneFlags::CLONE_NEWNET)
            .map_err(io::Error::from)
            .and_then(|()| {
                let tap = TunBuilder::new("tap0").tap(true).offload(offload);
                tap.ipv4(HOST, 24).ipv6(HOST6, 64).open()
            });
        let tap = match tap {
            Ok(tap) => tap,
            Err(error) => return skip(&format!("a TAP in a network namespace: {error}")),
        };
        #[expect(clippy::disallowed_methods, reason = "the clock of a real device")]
        let clock = Clock::new(Instant::now);
        let ethernet = Ethernet::new(tap, config, clock, Timer::after);
        let drops = ethernet.drop_counter();
        let (end, ended) = async_channel::bounded::<()>(1);
        thread::scope(|scope| {
            let stack = scope.spawn(|| {
                let Parts { tcp, driver, .. } = Builder::new().build(ethernet).unwrap();
                let serve = async {
                    loop {
                        let (mut stream, _) = tcp.accept().await?;
                        let mut bytes = Vec::new();
                        stream.read_to_end(&mut bytes).await?;
                        stream.write_all(&bytes).await?;
                        stream.close().await?;
                    }
                };
                let ended = async {
                    let _ = ended.recv().await;
                    Ok(())
                };
                block_on(or(ended, or(driver, serve)))
            });
            // Dropped when the test panics as well.
            let _end = end;
            test(drops);
            drop(_end);
            stack.join().unwrap().unwrap();
        });
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn run(command: &str) -> Result<String, String> {
    let mut words = command.split(' ');
    let output = Command::new(words.next().unwrap()).args(words).output();
    let output = output.map_err(|error| format!("{command}: {error}"))?;
    let text = String::from_utf8(output.stdout).unwrap();
    match output.status.success() {
        true => Ok(text),
        false => Err(format!("{command}: {text}{:?}", output.stderr)),
    }
}

/// Repeats `attempt` for up to 10 seconds: an address of IPv6 can be used a moment after it was
/// given.
fn soon<T>(mut attempt: impl FnMut() -> Result<T, String>) -> T {
    for _ in 0..100 {
        if let Ok(value) = attempt() {
            return value;
        }
        thread::sleep(Duration::from_millis(100));
    }
    attempt().unwrap()
}

fn echo(to: impl Into<SocketAddr>, len: usize) -> io::Result<()> {
    let sent: Vec<u8> = (0..len).map(|n| (n * 7 + n / 251) as u8).collect();
    let mut stream = TcpStream::connect_timeout(&to.into(), Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(&sent)?;
    stream.shutdown(Shutdown::Write)?;
    let mut back = Vec::new();
    stream.read_to_end(&mut back)?;
    assert!(sent == back, "{} bytes came back", back.len());
    Ok(())
}

#[test]
fn the_router_answers_pings_and_connections_of_both_families() {
    for offload in [false, true] {
        let config = config().address(ROUTER, 24).address(ROUTER6, 64);
        with_tap_of(offload, config, |drops| {
            soon(|| run("ping -c 1 -W 1 10.0.2.2"));
            soon(|| run("ping -c 1 -W 1 fd00::2"));
            echo((ROUTER, 80), 1 << 20).unwrap();
            echo((ROUTER6, 80), 1 << 20).unwrap();
            let neighbors = run("ip neigh show dev tap0").unwrap();
            for ip in ["10.0.2.2", "fd00::2"] {
                assert!(
                    neighbors.contains(&format!("{ip} lladdr 02:00:00:00:00:01")),
                    "{neighbors}"
                );
            }
            assert!(neighbors.contains("router"), "{neighbors}");
            assert_eq!(drops.get(DropReason::Malformed), 0);
        });
    }
}

#[test]
fn connections_beyond_the_router_arrive() {
    with_tap(config().address(ROUTER, 24).address(ROUTER6, 64), |_| {
        run("ip route add default via 10.0.2.2").unwrap();
        run("ip -6 route add default via fd00::2").unwrap();
        echo(([192, 0, 2, 80], 80), 100_000).unwrap();
        let far: Ipv6Addr = "2001:db8::80".parse().unwrap();
        soon(|| echo((far, 80), 100_000).map_err(|error| error.to_string()));
    });
}

/// Without a router: the host takes everybody for a neighbor.
#[test]
fn a_proxy_answers_for_everybody_but_the_host() {
    with_tap(config().proxy(true), |drops| {
        run("ip route add 192.0.2.0/24 dev tap0").unwrap();
        run("ip -6 route add 2001:db8::/64 dev tap0").unwrap();
        echo(([192, 0, 2, 80], 80), 1000).unwrap();
        echo(([10, 0, 2, 77], 80), 1000).unwrap();
        let far: Ipv6Addr = "2001:db8::80".parse().unwrap();
        soon(|| echo((far, 80), 1000).map_err(|error| error.to_string()));
        // The host would have given up an address that somebody has.
        let addresses = run("ip -6 addr show dev tap0").unwrap();
        assert!(addresses.contains("fd00::15"), "{addresses}");
        assert!(!addresses.contains("dadfailed"), "{addresses}");
        assert_eq!(drops.get(DropReason::Conflict), 0);
    });
}

/// The stack has an answer for a host whose address nobody told.
#[test]
fn the_host_is_asked_for_its_address() {
    let config = config()
        .address(ROUTER, 24)
        .address(ROUTER6, 64)
        .learn(false);
    with_tap(config, |drops| {
        // An entry of the host's, so that the host does not ask, and is not learned by that.
        run("ip neigh add 10.0.2.2 lladdr 02:00:00:00:00:01 dev tap0").unwrap();
        run("ip neigh add fd00::2 lladdr 02:00:00:00:00:01 dev tap0").unwrap();
        echo((ROUTER, 80), 1000).unwrap();
        soon(|| echo((ROUTER6, 80), 1000).map_err(|error| error.to_string()));
        assert_eq!(drops.get(DropReason::QueueFull), 0);
    });
}

#[test]
fn a_host_configures_itself_from_the_advertised_prefix() {
    let config = config().advertise("fd01::".parse().unwrap());
    with_tap(config, |_| {
        soon(|| {
            let addresses = run("ip -6 addr show dev tap0")?;
            let ready = addresses.contains("fd01::") && !addresses.contains("tentative");
            ready.then_some(()).ok_or(addresses)
        });
        let routes = run("ip -6 route show default").unwrap();
        assert!(
            routes.contains("via fe80::ff:fe00:1 dev tap0 proto ra"),
            "{routes}"
        );
        let far: Ipv6Addr = "2001:db8::80".parse().unwrap();
        soon(|| echo((far, 80), 1000).map_err(|error| error.to_string()));
    });
}

#[test]
fn an_address_that_the_adapter_has_fails_the_duplicate_address_detection_of_the_host() {
    with_tap(config().address(ROUTER6, 64), |_| {
        run("ip -6 addr add fd00::2/64 dev tap0").unwrap();
        soon(|| {
            let addresses = run("ip -6 addr show dev tap0")?;
            let failed = addresses.contains("dadfailed");
            failed.then_some(()).ok_or(addresses)
        });
    });
}
