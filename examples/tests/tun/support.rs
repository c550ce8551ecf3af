//! The `inetd` example, started on a TUN of its own.

use brooklet_testbed::{Finished, LIMIT, Process, in_namespace, ip};
use nix::sys::signal::Signal;
use std::path::PathBuf;
use std::process::Command;

const TUN: &str = "brooklet0";

/// A running `inetd`. Every address but the kernel's own, 10.77.0.1 and fd77::1, is its.
#[derive(Debug)]
pub(crate) struct Inetd {
    process: Process,
}

/// Runs `test` in a namespace with an `inetd` that was given the flags `mode` too; afterwards it
/// must end with status 0 when it is asked to.
pub(crate) fn on_inetd(mode: &[&str], test: impl FnOnce(&Inetd) + Send) {
    in_namespace(|| {
        let inetd = Inetd::start(mode);
        test(&inetd);
        inetd.stop();
    });
}

impl Inetd {
    /// In the namespace of this thread.
    pub(crate) fn start(mode: &[&str]) -> Self {
        let mut command = Command::new(example("inetd"));
        command.args(["--tun", TUN, "--mtu", "1500"]).args(mode);
        let mut process = Process::start(&mut command);
        process.wait_for(&format!("inetd: serving on {TUN}, mtu 1500"), LIMIT);
        // Without a link-local address the kernel does not solicit routers by itself; the one that
        // it has made goes when the interface goes down.
        ip("link set brooklet0 down
            link set brooklet0 addrgenmode none
            address add 10.77.0.1/16 dev brooklet0
            -6 address add fd77::1/64 dev brooklet0 nodad
            link set brooklet0 up
            route add default dev brooklet0
            -6 route add default dev brooklet0");
        Self { process }
    }

    pub(crate) fn tun(&self) -> &'static str {
        TUN
    }

    pub(crate) fn pid(&self) -> i32 {
        self.process.pid().as_raw()
    }

    /// The counters of the stack, as they are now.
    pub(crate) fn stats(&self) -> String {
        let seen = self.process.errors_seen();
        self.process.signal(Signal::SIGUSR1);
        // They are printed by one write: when the first line is there, all are.
        let stats = self
            .process
            .errors_after(seen, LIMIT, |text| text.ends_with('\n'));
        stats.expect("counters after SIGUSR1")
    }

    /// Waits for an end that nobody has asked for.
    pub(crate) fn finish(self) -> Finished {
        self.process.finish(LIMIT)
    }

    pub(crate) fn stop(self) {
        self.process.signal(Signal::SIGTERM);
        let ended = self.process.finish(LIMIT);
        assert_eq!(
            ended.status.code(),
            Some(0),
            "after SIGTERM; errors: {}",
            ended.err
        );
        assert!(!ended.err.is_empty(), "no counters at the end");
    }
}

/// The path of an example that was built along with this test.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the path of the test");
    let profile = test
        .parent()
        .and_then(|deps| deps.parent())
        .expect("target/PROFILE/deps");
    let path = profile.join("examples").join(name);
    assert!(
        path.is_file(),
        "{} is not built: `cargo build -p brooklet-examples --examples` builds it",
        path.display()
    );
    path
}

/// Makes three tests of each function: on one thread with handles that stay there, on two threads,
/// and with a device that carries long segments.
macro_rules! each_mode {
    ($($name:ident),* $(,)?) => {
        mod local {
            $(#[test] fn $name() { super::$name(&["--local"]) })*
        }
        mod threads {
            $(#[test] fn $name() { super::$name(&["--workers", "2"]) })*
        }
        mod offload {
            $(#[test] fn $name() { super::$name(&["--offload"]) })*
        }
        mod queues {
            $(#[test] fn $name() { super::$name(&["--queues", "2", "--offload"]) })*
        }
    };
}
pub(crate) use each_mode;
