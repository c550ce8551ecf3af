use super::common::{Common, Observe, check_mtu};
use super::timeouts::Timeouts;
use brooklet_relay::Router;
use clap::Args;
use std::net::IpAddr;

/// Forward everything that is routed into a TUN device.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
SIGTERM and SIGINT end it, and the counters of the stack and of the rules are printed. SIGUSR1
prints the counters. SIGHUP reads --rules again.")]
pub(crate) struct Forward {
    /// TUN device to create, or to attach to where it exists
    #[arg(long, value_name = "NAME")]
    pub(crate) tun: String,
    /// MTU of the device in bytes, 1280 to 65535
    #[arg(long, value_name = "N", default_value_t = 1500)]
    pub(crate) mtu: u16,
    /// Let the kernel hand over and take packets of up to 64 KiB, and leave out their checksums
    /// (default: packets of at most --mtu)
    #[arg(long)]
    pub(crate) offload: bool,
    /// Queues of the device, each with a driver of its own (IFF_MULTI_QUEUE of Linux)
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=255))]
    pub(crate) queues: u16,
    /// First hop that traceroute shows; once for each IP version (default 192.0.0.8 and fe80::1)
    #[arg(long, value_name = "ADDRESS")]
    router: Vec<IpAddr>,
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) timeouts: Timeouts,
    #[command(flatten)]
    pub(crate) observe: Observe,
}

impl Forward {
    /// Returns the addresses of the first hop.
    pub(crate) fn router(&self) -> Router {
        let mut router = Router::default();
        for address in &self.router {
            match address {
                IpAddr::V4(address) => router.ipv4 = *address,
                IpAddr::V6(address) => router.ipv6 = *address,
            }
        }
        router
    }

    pub(super) fn check(&self) -> Result<(), String> {
        check_mtu(self.mtu, &self.common)
    }
}
