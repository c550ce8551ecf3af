//! Looks at a victim from outside.

use crate::counters::Counters;
use crate::process;
use crate::victim::Running;
use brooklet_testbed::Process;
use nix::sys::signal::Signal;
use std::io;
use std::thread;
use std::time::Duration;

/// A victim, as far as it can be asked.
#[derive(Debug)]
pub(crate) enum Watch {
    /// A stack in this process.
    Stack(Box<Running>),
    /// A program that prints its counters on SIGUSR1.
    Program(Process),
    /// The kernel.
    Kernel,
}

impl Watch {
    fn pid(&self) -> Option<u32> {
        match self {
            Self::Stack(_) => Some(std::process::id()),
            Self::Program(process) => process.pid().as_raw().try_into().ok(),
            Self::Kernel => None,
        }
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident(&self) -> Option<u64> {
        self.pid().map(process::resident)
    }

    pub(crate) fn forget_peak(&self) {
        self.pid().into_iter().for_each(process::forget_peak);
    }

    pub(crate) fn peak(&self) -> Option<u64> {
        self.pid().map(process::peak)
    }

    pub(crate) fn processor_time(&self) -> Option<Duration> {
        let thread = match self {
            Self::Stack(running) => Some(running.thread),
            _ => None,
        };
        self.pid().map(|pid| process::processor_time(pid, thread))
    }

    /// The memory that the stack counts, in bytes, where asking for it does not disturb.
    pub(crate) fn counted(&self) -> Option<u64> {
        match self {
            Self::Stack(running) => Some(running.stack.stats().memory.total()),
            _ => None,
        }
    }

    pub(crate) fn counters(&self) -> Option<Counters> {
        match self {
            Self::Stack(running) => Some(Counters::parse(&running.stack.stats().to_string())),
            Self::Program(program) => {
                let seen = program.errors_seen();
                program.signal(Signal::SIGUSR1);
                let limit = Duration::from_secs(5);
                program.errors_after(seen, limit, |text| text.contains("packets out: "))?;
                // The text may come in pieces.
                thread::sleep(Duration::from_millis(100));
                let text = program.errors_after(seen, limit, |_| true)?;
                Some(Counters::parse(&text))
            }
            Self::Kernel => None,
        }
    }

    /// Fails if the victim is gone.
    pub(crate) fn check(&self) -> io::Result<()> {
        let alive = match self {
            Self::Stack(running) => running.is_alive(),
            Self::Program(program) => {
                let stat = std::fs::read_to_string(format!("/proc/{}/stat", program.pid()));
                stat.is_ok_and(|stat| !stat.contains(") Z "))
            }
            Self::Kernel => true,
        };
        match alive {
            true => Ok(()),
            false => Err(io::Error::other("the victim has ended")),
        }
    }
}
