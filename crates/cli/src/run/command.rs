//! The command: its start, the signals for it, and its end.

use async_signal::{Signal, Signals};
use futures_lite::StreamExt;
use nix::sys::signal::{Signal as Sig, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Pid, getpid};
use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};

/// The status of `run` for what is its own failure.
pub(super) const FAILED: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Returns the exit status that a shell reports.
pub(super) fn exit_status(status: ExitStatus) -> u8 {
    let code = match (status.code(), status.signal()) {
        (Some(code), _) => code.try_into(),
        (None, Some(signal)) => (128 + signal).try_into(),
        (None, None) => Ok(FAILED), // neither of the two ways to end
    };
    code.unwrap_or(FAILED)
}

/// Returns the exit status for a command that could not be started.
pub(super) fn start_status(error: &io::Error) -> u8 {
    match error.kind() {
        io::ErrorKind::NotFound => NOT_FOUND,
        _ => NOT_EXECUTABLE,
    }
}

/// Waits for the command and passes signals on to it.
pub(super) async fn ended(mut child: Child, mut signals: Signals) -> io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if getpid() == Pid::from_raw(1) {
            reap_orphans(&child);
        }
        // The child was not waited for, so no other process has its number.
        let pid = Pid::from_raw(child.id().cast_signed());
        let pass = match signals.next().await.transpose()? {
            Some(Signal::Term) => Sig::SIGTERM,
            Some(Signal::Hup) => Sig::SIGHUP,
            // The terminal has sent these to the command already.
            Some(Signal::Int) if !in_foreground() => Sig::SIGINT,
            Some(Signal::Quit) if !in_foreground() => Sig::SIGQUIT,
            _ => continue,
        };
        kill(pid, pass)?;
    }
}

/// Waits for the processes that were left to process 1 of a container and have ended, except for the
/// command.
fn reap_orphans(child: &Child) {
    let command = Pid::from_raw(child.id().cast_signed());
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    while let Ok(status) = waitid(Id::All, look) {
        match status {
            WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..) if pid != command => {
                let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
            }
            // None has ended, or the command has, and its status is for `try_wait`.
            _ => return,
        }
    }
}

/// Returns whether the terminal sends its signals to this process and the command alike.
fn in_foreground() -> bool {
    let terminal = File::open("/dev/tty").ok();
    let group = terminal.and_then(|terminal| nix::unistd::tcgetpgrp(terminal).ok());
    group == Some(nix::unistd::getpgrp())
}
