//! Network namespaces without names.

use super::{LIMIT, Missing, Process, program, require};
use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use std::panic::resume_unwind;
use std::process::Command;
use std::thread;

/// Runs `test` on a thread of its own in a new network namespace, which its threads and processes
/// inherit and which is gone with the last of them.
pub fn in_namespace(test: impl FnOnce() + Send) {
    let run = || {
        if require(enter()).is_some() {
            test();
        }
    };
    let outcome = thread::scope(|scope| {
        // The name shows in panic messages.
        let name = thread::current().name().unwrap_or("test").to_owned();
        let thread = thread::Builder::new().name(name).spawn_scoped(scope, run);
        thread.expect("a thread").join()
    });
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

fn enter() -> Result<(), Missing> {
    program("ip")?;
    match std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
    {
        Ok(_) => {}
        Err(why) => {
            return Err(Missing(format!(
                "/dev/net/tun cannot be opened ({why}): load the module `tun`, and run the tests as root"
            )));
        }
    }
    match unshare(CloneFlags::CLONE_NEWNET) {
        Ok(()) => {
            ip("link set lo up");
            Ok(())
        }
        Err(Errno::EPERM) => Err(Missing(
            "no permission to make a network namespace: run the tests as root, or under \
             `unshare --user --map-root-user`"
                .into(),
        )),
        Err(why) => Err(Missing(format!(
            "no network namespace ({why}): the kernel needs CONFIG_NET_NS"
        ))),
    }
}

/// Runs `ip` with these commands, one a line, in the namespace of this thread.
pub fn ip(commands: &str) -> String {
    let path = program("ip").expect("looked for when the namespace was entered");
    let mut all = String::new();
    for line in commands
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let mut command = Command::new(&path);
        command.args(line.split_whitespace());
        let done = Process::start(&mut command).finish(LIMIT);
        assert!(done.status.success(), "`ip {line}`: {}", done.err);
        all += &done.out;
    }
    all
}
