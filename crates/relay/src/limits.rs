use brooklet::SessionConfig;
use std::time::Duration;

/// The limits of the relay.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most TCP connections at a time, including those that are connecting. More requests wait
    /// in the stack's backlog. Default 4,096.
    pub connections: usize,
    /// How long to wait for the remote host to accept a connection. Default 15 s: the stack keeps
    /// the client's request that long.
    pub dial: Duration,
    /// The most UDP sessions, each with a socket of its own. A new session replaces the one that
    /// was idle longest. Default 1,024.
    pub sessions: usize,
    /// How long a UDP session may be idle in both directions before it ends. Default 120 s, the
    /// least that RFC 4787 (REQ-5) allows.
    pub idle: Duration,
    /// The same for questions to name servers (port 53) that are all answered. Default 10 s.
    pub idle_dns: Duration,
    /// How long to wait for the reply to an echo request. Default 30 s.
    pub echo: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            dial: Duration::from_secs(15),
            sessions: 1024,
            idle: Duration::from_secs(120),
            idle_dns: Duration::from_secs(10),
            echo: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// The largest number of UDP sessions, however many files the process may open.
    const MOST_SESSIONS: usize = 16_384;

    /// Returns the defaults for a process that may open this many files: UDP sessions have what the
    /// connections leave, or half of the files where that is more.
    pub fn for_files(files: usize) -> Self {
        let default = Self::default();
        let left = files.saturating_sub(default.connections + 64);
        let sessions = left.max(files / 2).clamp(64, Self::MOST_SESSIONS);
        Self {
            sessions,
            ..default
        }
    }

    /// Raises the limit of open files of this process as far as the system allows, and returns the
    /// limits for that many.
    ///
    /// Processes that have started already keep the limit that they started with.
    #[cfg(target_os = "linux")]
    pub fn of_this_process() -> Self {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        let Ok((now, most)) = getrlimit(Resource::RLIMIT_NOFILE) else {
            return Self::default();
        };
        let raised = setrlimit(Resource::RLIMIT_NOFILE, most, most);
        let files = if raised.is_ok() { most } else { now };
        Self::for_files(files.try_into().unwrap_or(usize::MAX))
    }

    /// Returns the defaults.
    #[cfg(not(target_os = "linux"))]
    pub fn of_this_process() -> Self {
        Self::default()
    }

    pub(super) fn session_config(&self) -> SessionConfig {
        SessionConfig::new()
            .sessions(self.sessions)
            .per_source(self.sessions.div_ceil(4).max(64).min(self.sessions))
            .idle_timeout(self.idle)
            .dns_timeout(self.idle_dns)
            .gro(true)
    }
}
