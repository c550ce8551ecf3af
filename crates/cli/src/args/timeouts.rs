use brooklet_relay::{Keepalive, Limits};
use clap::Args;
use std::time::Duration;

/// The flags of the times after which TCP connections end.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Timeouts")]
pub(crate) struct Timeouts {
    /// Seconds without traffic after which the client and the host of a TCP connection are probed
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 60,
        value_parser = clap::value_parser!(u32).range(1..=86_400),
    )]
    keepalive: u32,
    /// Seconds without an answer, to probes or to data, after which a client or host counts as gone
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..=86_400),
    )]
    keepalive_timeout: u32,
    /// Seconds without traffic after which a TCP connection ends of which one direction has ended
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 300,
        value_parser = clap::value_parser!(u32).range(1..=86_400),
    )]
    half_close_timeout: u32,
}

impl Timeouts {
    /// Returns the limits with these times.
    pub(crate) fn set(self, limits: Limits) -> Limits {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        limits
            .keepalive(Some(Keepalive {
                idle: seconds(self.keepalive),
                timeout: seconds(self.keepalive_timeout),
            }))
            .half_close(seconds(self.half_close_timeout))
    }
}
