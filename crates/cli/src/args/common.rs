use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The flags of the stack that every subcommand has.
#[derive(Args, Clone, Debug)]
pub(crate) struct Common {
    /// IPv4 only, with an MTU from 576
    #[arg(long)]
    pub(crate) no_ipv6: bool,
    /// Packets to reject, drop or pass, one rule a line, such as `udp dport 443 reject`
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Option<PathBuf>,
    /// Answer ping here for every address (default: the host pings)
    #[arg(long)]
    pub(crate) answer_ping: bool,
}

/// The flags that show what the stack does.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Observation")]
pub(crate) struct Observe {
    /// Print the counters of the stack at the end, and with =SECONDS a line every so often
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "0",
        value_parser = clap::value_parser!(u32).range(..=86_400),
    )]
    pub(crate) stats: Option<u32>,
    /// Show flows, drops and memory on the terminal, once a second
    #[arg(long)]
    pub(crate) top: bool,
    /// Print a line at the start and at the end of each connection and UDP session
    #[arg(long)]
    pub(crate) log: bool,
    /// Serve the counters as OpenMetrics text at http://ADDRESS:PORT/metrics
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) metrics: Option<SocketAddr>,
    /// Write the packets of the device with the verdicts on them to a pcapng file, which Wireshark reads;
    /// SIGUSR2 pauses the capture and lets it go on
    #[arg(long, value_name = "FILE")]
    pub(crate) capture: Option<PathBuf>,
    /// Let the capture begin with the first SIGUSR2
    #[arg(long, requires = "capture")]
    pub(crate) capture_paused: bool,
}

impl Observe {
    /// Returns how often to print a line of counters.
    pub(crate) fn interval(&self) -> Option<Duration> {
        let seconds = self.stats.filter(|seconds| *seconds > 0)?;
        Some(Duration::from_secs(seconds.into()))
    }
}

/// Checks the value of `--mtu`.
///
/// # Errors
///
/// The MTU is less than the minimum of the IP versions: 1,280 bytes with IPv6 (RFC 8200, section 5), and
/// otherwise 576, which every IPv4 host takes (RFC 791).
pub(super) fn check_mtu(mtu: u16, common: &Common) -> Result<(), String> {
    match (mtu, common.no_ipv6) {
        (1280.., _) | (576.., true) => Ok(()),
        (_, false) => {
            Err("--mtu is at least 1280, which IPv6 asks for (576 with --no-ipv6)".to_owned())
        }
        (_, true) => Err("--mtu is at least 576".to_owned()),
    }
}
