//! A terminal of its own for a command line.

use brooklet_testbed::{Folder, LIMIT, Process};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::process::Command;

/// A running command line on a terminal, by `script`.
///
/// The shell writes the exit status of the line to a file. The status of `script` is not that of the
/// line in every case: a child that changes state at the wrong moment leaves `script` with another.
#[derive(Debug)]
pub(crate) struct Terminal {
    process: Process,
    keys: File,
    status: String,
}

/// The end of a command line on a terminal.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit status of the line, as the shell has it.
    pub(crate) status: u8,
    /// Everything that the terminal was sent.
    pub(crate) out: String,
}

impl Terminal {
    /// Starts a line of `/bin/sh`. `folder` gets the files of the terminal.
    pub(crate) fn start(folder: &Folder, line: &str) -> Self {
        let (keys, status) = (folder.path("keys"), folder.path("status"));
        nix::unistd::mkfifo(keys.as_str(), nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
        // The shell is in the foreground too, and is to outlive Ctrl-C.
        let line = format!("trap : INT QUIT; {line}; echo $? >{status}");
        let mut sh = Command::new("sh");
        let script = "exec script --quiet --command \"$0\" /dev/null <\"$1\"";
        sh.args(["-c", script, &line, &keys]);
        let process = Process::start(sh.env("SHELL", "/bin/sh"));
        let keys = OpenOptions::new().write(true).open(&keys).expect("a fifo");
        Self {
            process,
            keys,
            status,
        }
    }

    /// Waits until the terminal was sent a line like this.
    pub(crate) fn wait_for(&mut self, line: &str) {
        self.process.wait_for(line, LIMIT);
    }

    /// Presses keys.
    pub(crate) fn press(&mut self, keys: &[u8]) {
        self.keys.write_all(keys).expect("a fifo that is read");
    }

    /// Waits for the end.
    pub(crate) fn finish(self) -> Ended {
        let out = self.process.finish(LIMIT).out;
        let status = fs::read_to_string(&self.status).unwrap_or_default();
        let Ok(status) = status.trim().parse() else {
            panic!("no status of the line in {status:?}; output {out:?}");
        };
        Ended { status, out }
    }
}
