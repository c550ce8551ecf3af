use crate::Keepalive;
use brooklet::SessionConfig;
use std::time::Duration;

/// The limits of the relay. Everything that a client can make the relay keep has one here, beside
/// those of the stack.
///
/// ```
/// use brooklet_relay::Limits;
/// use std::time::Duration;
///
/// let limits = Limits::default().connections(100).half_close(Duration::from_secs(60));
/// assert_eq!(limits.dials, 1024);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The most open TCP connections at a time. While there are so many, requests wait in the
    /// stack's backlog. Default 4,096.
    pub connections: usize,
    /// The most TCP connections at a time that the remote host has not answered yet, beside those
    /// that are open. More requests wait in the stack's backlog. Default 1,024.
    pub dials: usize,
    /// How long to wait for the remote host to accept a connection. Default 15 s: the stack keeps
    /// the client's request that long.
    pub dial: Duration,
    /// How long a TCP connection of which one direction has ended may go without traffic in the
    /// other one. Then both sides are reset, up to an eighth of the time later. Default 5 min.
    ///
    /// After an error of one side, what arrived before may wait this long for the other side to
    /// take some of it.
    pub half_close: Duration,
    /// How long an open TCP connection may go without traffic in both directions before both sides
    /// are reset, up to an eighth of the time later. Default `None`, no limit: the keepalive
    /// notices if a side is gone.
    pub idle_connection: Option<Duration>,
    /// When a client or host that vanishes without a word counts as gone. Default: the first probe
    /// after 60 s, and 100 s without an answer. With `None` the connection to a client keeps the
    /// options of the listener, and that of the host no keepalive.
    ///
    /// The stack ends the connection also when a client leaves data unacknowledged for the
    /// [`timeout`](Keepalive::timeout) (RFC 9293, 3.8.3).
    pub keepalive: Option<Keepalive>,
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
            dials: 1024,
            dial: Duration::from_secs(15),
            half_close: Duration::from_secs(300),
            idle_connection: None,
            keepalive: Some(Keepalive {
                idle: Duration::from_secs(60),
                timeout: Duration::from_secs(100),
            }),
            sessions: 1024,
            idle: Duration::from_secs(120),
            idle_dns: Duration::from_secs(10),
            echo: Duration::from_secs(30),
        }
    }
}

/// Defines a setter by value for each field.
macro_rules! setters {
    ($($field:ident: $type:ty,)*) => {$(
        #[doc = concat!(
            "Sets [`", stringify!($field), "`](Self#structfield.", stringify!($field), ")."
        )]
        #[must_use]
        pub fn $field(mut self, $field: $type) -> Self {
            self.$field = $field;
            self
        }
    )*};
}

impl Limits {
    /// The most files that the process keeps for other purposes.
    const SPARE_FILES: usize = 64;

    /// The largest number of open connections, however many files the process may open.
    const MOST_CONNECTIONS: usize = 32_768;

    /// The largest number of dials.
    const MOST_DIALS: usize = 1024;

    /// The largest number of UDP sessions.
    const MOST_SESSIONS: usize = 16_384;

    setters! {
        connections: usize,
        dials: usize,
        dial: Duration,
        half_close: Duration,
        idle_connection: Option<Duration>,
        keepalive: Option<Keepalive>,
        sessions: usize,
        idle: Duration,
        idle_dns: Duration,
        echo: Duration,
    }

    /// Returns the defaults for a process that may open this many files: half of them for open
    /// connections, up to 32,768, an eighth for dials, up to 1,024, and the rest for UDP sessions,
    /// up to 16,384.
    ///
    /// ```
    /// use brooklet_relay::Limits;
    ///
    /// let limits = Limits::for_files(1024);
    /// assert_eq!((limits.connections, limits.dials, limits.sessions), (480, 120, 360));
    /// ```
    pub fn for_files(files: usize) -> Self {
        let files = files.saturating_sub(Self::SPARE_FILES);
        let connections = (files / 2).clamp(16, Self::MOST_CONNECTIONS);
        let dials = (files / 8).clamp(16, Self::MOST_DIALS);
        let rest = files.saturating_sub(connections + dials);
        Self {
            connections,
            dials,
            sessions: rest.clamp(16, Self::MOST_SESSIONS),
            ..Self::default()
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
